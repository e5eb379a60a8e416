"""A process that is killed keeps every promise it made: what it acknowledged is on disk, whole."""

from __future__ import annotations

import random
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from bridge.journal.sqlite import open_sqlite
from tests.journal.endless_appends import TAIL_ROWS, entry_of, names
from tests.journal.making import select

ROUNDS = 10
KEYS = "SELECT count(*) FROM (SELECT key FROM dedupe UNION SELECT key FROM tail)"
SCRIPT = Path(__file__).with_name("endless_appends.py")
ROOT = Path(__file__).parents[2]


def acknowledged_before_a_kill(path: Path, round_name: str, lines: int) -> list[str]:
    """Let the process acknowledge so many batches, kill it, and say which ones it told us of."""
    with subprocess.Popen(
        [sys.executable, str(SCRIPT), str(path), round_name],
        stdout=subprocess.PIPE,
        cwd=ROOT,
        env={"PYTHONPATH": str(ROOT)},
    ) as process:
        assert process.stdout is not None
        heard = [process.stdout.readline().decode() for _ in range(lines)]
        process.kill()
        heard += process.stdout.read().decode().splitlines(keepends=True)
    assert process.returncode == -9
    # The last line may be cut off: it was acknowledged, but nobody could know.
    return [line.strip() for line in heard if line.endswith("\n")]


@pytest.mark.slow
async def test_what_was_acknowledged_survives_a_kill_and_no_batch_is_half(tmp_path: Path) -> None:
    path = tmp_path / "bridge.db"
    dice = random.Random(20_260_101)
    acknowledged: list[str] = []
    indexed = 0
    for number in range(ROUNDS):
        lines = dice.randint(1, 120)
        acknowledged += acknowledged_before_a_kill(path, f"r{number}", lines)
        journal = open_sqlite(path)
        rows = await select(journal, "SELECT e.message_id FROM event e JOIN pending USING (seq)")
        ((events,),) = await select(journal, "SELECT count(*) FROM event")
        ((keys,),) = await select(journal, KEYS)
        ((indexed,),) = await select(journal, "SELECT count(*) FROM pending WHERE indexed = 1")
        ((indexed_keys,),) = await select(journal, "SELECT count(*) FROM dedupe")
        again = await journal.append([entry_of(name) for (name,) in rows])
        await journal.close()
        kept = Counter(name.split(".")[0] for (name,) in rows)
        assert events == keys == len(rows)
        assert indexed == indexed_keys
        assert all(one.duplicate for one in again)
        assert set(acknowledged) <= set(kept)
        assert {batch: len(names(batch)) for batch in kept} == kept
    assert len(acknowledged) >= ROUNDS
    assert indexed > ROUNDS * TAIL_ROWS
