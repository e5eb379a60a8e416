"""A process that appends, ends and checkpoints, and tells in a file beside the database what is kept.

`recorded.py DATABASE ACKNOWLEDGED [normal]`; with the last, SQLite syncs at checkpoints alone.
"""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

from bridge.journal import writer
from bridge.journal.records import Acked, End
from bridge.journal.sqlite import SqliteJournal, open_sqlite
from tests.journal.endless_appends import entry_of, names

BATCHES = 60
TAIL_ROWS = 60
CHECKPOINT_ROWS = 150
AT_ONCE = 2


async def work(journal: SqliteJournal, worker: str, acknowledged: int) -> None:
    """Each batch is appended, and every second one is worked off."""
    for number in range(BATCHES // AT_ONCE):
        batch = f"{worker}-{number}"
        appended = await journal.append([entry_of(name) for name in names(batch)])
        os.write(acknowledged, f"kept {batch}\n".encode())
        if number % 2:
            ends = (End("r", "update_user", "delivered"),)
            acked = [Acked(one.seq, ends) for one in appended]
            await journal.ack(acked, at_ms=number)
            os.write(acknowledged, f"ended {batch}\n".encode())


async def main(path: str, acknowledged: str, mode: str = "full") -> None:
    writer.CHECKPOINT_IDLE_ROWS = writer.CHECKPOINT_ROWS = CHECKPOINT_ROWS
    journal = open_sqlite(Path(path), tail_rows=TAIL_ROWS)
    if mode == "normal":
        journal._writer._connection.execute("PRAGMA synchronous = NORMAL")
    opened = os.open(acknowledged, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    await asyncio.gather(*(work(journal, f"w{n}", opened) for n in range(AT_ONCE)))
    await journal.close()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
