"""The power goes: what was written and not synced may be lost, and nothing that was acknowledged is."""

from __future__ import annotations

import random
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from bridge.journal.sqlite import open_sqlite
from bridge.journal.writer import CHECKPOINT_IDLE_ROWS
from tests.faults.canary import person
from tests.faults.disk import (
    END_AT_DATA_WRITE,
    ENDED_AT_DATA_WRITE,
    Disk,
    Operation,
    Replay,
    Switches,
    put,
)
from tests.faults.sight import waiting
from tests.faults.story import order, ping, profile
from tests.faults.worlds import Outside
from tests.harness import eventually, track
from tests.journal.endless_appends import names
from tests.journal.making import select

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
SCRIPT = Path(__file__).with_name("recorded.py")
ACKNOWLEDGED = "acknowledged"
LEAST_CUTS = 150


class LostError(AssertionError):
    """Something that was acknowledged is not there."""


@pytest.fixture
def disk(tmp_path: Path, library: Path) -> Disk:
    folder = tmp_path / "disk"
    folder.mkdir()
    return Disk(folder=folder, library=library, beside=tmp_path)


def recorded(disk: Disk, mode: str) -> list[Operation]:
    """What a journal that appends, ends and checkpoints asked of its disk."""
    database, acknowledged = disk.folder / "bridge.db", disk.folder / ACKNOWLEDGED
    command = [sys.executable, str(SCRIPT), str(database), str(acknowledged), mode]
    subprocess.run(command, check=True, cwd=ROOT, env={"PYTHONPATH": str(ROOT)} | disk.recording())
    return disk.operations()


def cuts(operations: list[Operation], dice: random.Random) -> Iterator[dict[str, bytes]]:
    """What may be there after a power cut: just before each sync, just after it, and in the end.

    Three times each: nothing of what was not synced has reached the disk, some of it, and all of it.
    """
    replay = Replay()
    for operation in operations:
        if operation.is_sync:
            yield from _versions(replay, dice)
        replay.do(operation)
        if operation.is_sync:
            yield from _versions(replay, dice)
    yield from _versions(replay, dice)


def _versions(replay: Replay, dice: random.Random) -> Iterator[dict[str, bytes]]:
    told = {ACKNOWLEDGED: replay.plain().get(ACKNOWLEDGED, b"")}
    yield from (found | told for found in (replay.dropped(), replay.torn(dice), replay.plain()))


async def check(files: dict[str, bytes], folder: Path) -> None:
    """It opens, SQLite finds it sound, and what was acknowledged is there.

    Raises:
        LostError: it is not.
    """
    told = re.findall(r"^(kept|ended) (\S+)\n", files.pop(ACKNOWLEDGED).decode(), re.MULTILINE)
    journal = open_sqlite(put(files, folder))
    try:
        found = await select(
            journal,
            "SELECT message_id, status FROM event LEFT JOIN outcome USING (seq)",
        )
        ((sound,),) = await select(journal, "PRAGMA quick_check")
    finally:
        await journal.close()
    assert sound == "ok"
    statuses = dict(found)
    for what, batch in told:
        for name in names(batch):
            if name not in statuses or (what == "ended" and statuses[name] != "delivered"):
                raise LostError(f"{name} was {what}")


@pytest.mark.unchecked("a journal alone: each cut is checked for what was acknowledged")
async def test_wherever_the_power_goes_what_was_acknowledged_is_there(disk: Disk) -> None:
    operations = recorded(disk, "full")
    # It did all that a journal does to its files.
    assert {one.name for one in operations if one.is_sync} >= {"", "bridge.db", "bridge.db-wal"}
    assert await check_all(operations, disk.beside / "cut") >= LEAST_CUTS


async def check_all(operations: list[Operation], folder: Path) -> int:
    """Every cut that is not as one before it; how many there were."""
    seen = set[int]()
    for files in cuts(operations, random.Random(3)):
        state = hash(tuple(files.items()))
        if state not in seen:
            seen.add(state)
            await check(files, folder)
    return len(seen)


@pytest.mark.unchecked("a journal alone")
async def test_with_less_syncing_the_same_cuts_lose_what_was_acknowledged(disk: Disk) -> None:
    """So the test before this one can fail."""
    operations = recorded(disk, "normal")
    with pytest.raises(LostError):
        await check_all(operations, disk.beside / "cut")


async def test_the_power_goes_while_it_delivers_and_the_next_start_goes_on(
    outside: Outside, library: Path
) -> None:
    outside.told.expect_line("bridge.cautious")
    outside.told.expect_metric("bridge_calls_total")
    await outside.people(30)
    await outside.fails({"delay": 0.2}, times=10)
    disk = Disk(folder=outside.folder, library=library, beside=outside.folder / "beside")
    disk.beside.mkdir()
    async with outside.serving(disk=disk.recording()) as serving:
        await serving.sender.must([order(number, f"o{number}") for number in range(30)])
        for number in range(30):
            await serving.sender.must(profile(number, f"p{number}"))

        async def some_are_done() -> bool | None:
            calls = (await outside.onesignal.get("/sandbox/counts")).json()["pushes"]
            return True if calls > 5 else None

        await eventually(some_are_done, within=20)
        serving.kill()
        await serving.command.ends(within=5)
    replay = Replay()
    for operation in disk.operations():
        replay.do(operation)
    for path in outside.folder.glob("bridge.db*"):
        path.unlink()
    for name, content in replay.dropped().items():
        if name.startswith("bridge.db"):
            (outside.folder / name).write_bytes(content)
    assert waiting(outside.database) > 0


async def test_the_process_ends_in_the_middle_of_a_checkpoint(
    outside: Outside, library: Path, switches: Switches
) -> None:
    outside.told.expect_line("bridge.cautious")
    outside.told.expect_metric("bridge_calls_total")
    await outside.people(2)
    disk = Disk(folder=outside.folder, library=library, beside=outside.folder)
    events = [track("Nobody cares", person(0), f"n{n}") for n in range(CHECKPOINT_IDLE_ROWS)]
    async with outside.serving(disk=disk.failing(switches)) as serving:
        # The log is copied from its first page on: this is somewhere among them.
        switches[END_AT_DATA_WRITE] = 20
        await serving.sender.post([*events, profile(0, "p0"), ping(1, "m1")])
        assert await serving.command.ends(within=20) == ENDED_AT_DATA_WRITE
    async with outside.resumed() as sender:
        await sender.must([*events, profile(0, "p0"), ping(1, "m1")])
        await outside.settled()
