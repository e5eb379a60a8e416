"""A process that appends without end and says what is on disk; made to be killed.

It prints `batch size` once a batch was acknowledged.
"""

from __future__ import annotations

import asyncio
import sys
from hashlib import blake2b
from pathlib import Path

from bridge.journal.records import Entry
from bridge.journal.sqlite import SqliteJournal, open_sqlite
from tests.journal.making import entry

AT_ONCE = 4
TAIL_ROWS = 60
"""So few that a kill often falls on the moment in which a tail is indexed."""


def names(batch: str) -> list[str]:
    """The messageIds of a batch; every batch has another size, so that half of one is seen."""
    return [f"{batch}.{number}" for number in range(1 + hash_of(batch) % 40)]


def hash_of(batch: str) -> int:
    return sum(map(ord, batch)) * 7


def entry_of(name: str) -> Entry:
    return entry(name, dedupe_key=blake2b(name.encode(), digest_size=16).digest())


async def append_for_ever(journal: SqliteJournal, worker: str) -> None:
    number = 0
    while True:
        batch = f"{worker}-{number}"
        await journal.append([entry_of(name) for name in names(batch)])
        sys.stdout.write(f"{batch}\n")
        sys.stdout.flush()
        number += 1


async def main(path: str, round_name: str) -> None:
    journal = open_sqlite(Path(path), tail_rows=TAIL_ROWS)
    workers = [append_for_ever(journal, f"{round_name}-{n}") for n in range(AT_ONCE)]
    await asyncio.gather(*workers)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
