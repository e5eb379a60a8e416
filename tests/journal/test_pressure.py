"""When there is no room the sender is told to come back, and accepted work goes on."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from bridge.clock import ManualClock
from bridge.errors import JournalUnavailableError
from bridge.journal.pressure import (
    MAX_QUEUED_BYTES,
    MAX_QUEUED_ROWS,
    MIN_FREE_BYTES,
    Pressure,
    free_bytes,
)
from bridge.journal.sqlite import SqliteJournal, open_sqlite
from bridge.journal.writer import Queued
from tests.journal.making import NOW, at_once, chain, entry
from tests.journal.test_group_commit import a_slow_disk

NOTHING = Queued(0, 0)


class Disk:
    """So much is free; and how often that was asked."""

    def __init__(self, free: int) -> None:
        self.free = free
        self.asked = 0

    def __call__(self, path: Path) -> int:
        self.asked += 1
        return self.free


def test_more_than_the_queue_may_hold_is_refused(tmp_path: Path, clock: ManualClock) -> None:
    pressure = Pressure(tmp_path / "bridge.db", clock=clock, free=Disk(MIN_FREE_BYTES))
    pressure.check(Queued(MAX_QUEUED_ROWS, MAX_QUEUED_BYTES))
    with pytest.raises(JournalUnavailableError, match="50001 writes wait"):
        pressure.check(Queued(MAX_QUEUED_ROWS + 1, 0))
    with pytest.raises(JournalUnavailableError, match="3 writes wait"):
        pressure.check(Queued(3, MAX_QUEUED_BYTES + 1))


def test_the_disk_is_asked_once_a_second(tmp_path: Path, clock: ManualClock) -> None:
    disk = Disk(MIN_FREE_BYTES - 1)
    pressure = Pressure(tmp_path / "bridge.db", clock=clock, free=disk)
    for _ in range(3):
        with pytest.raises(JournalUnavailableError, match="67 MB are free"):
            pressure.check(NOTHING)
    assert disk.asked == 1
    disk.free = MIN_FREE_BYTES
    clock.advance(0.9)
    with pytest.raises(JournalUnavailableError):
        pressure.check(NOTHING)
    clock.advance(0.1)
    pressure.check(NOTHING)
    assert disk.asked == 2


def test_the_free_bytes_of_this_disk_are_known(tmp_path: Path) -> None:
    assert free_bytes(tmp_path / "there is no such file") > 0


async def test_a_nearly_full_disk_takes_no_events_but_lets_work_end(
    tmp_path: Path, clock: ManualClock
) -> None:
    disk = Disk(MIN_FREE_BYTES)
    journal = open_sqlite(tmp_path / "bridge.db", clock=clock, free=disk)
    ((seq, _),) = await journal.append([entry("m1")])
    disk.free = 0
    clock.advance(1)
    with pytest.raises(JournalUnavailableError, match="0 MB are free") as caught:
        await journal.append([entry("m2")])
    assert str(tmp_path) in (caught.value.hint or "")
    await journal.finish(seq, [], deaths=[], at_ms=NOW)
    assert await chain(journal) == []
    disk.free = MIN_FREE_BYTES
    clock.advance(1)
    assert len(await journal.append([entry("m2")])) == 1
    await journal.close()


async def test_events_are_refused_while_too_many_wait_and_taken_afterwards(
    journal: SqliteJournal,
) -> None:
    async with a_slow_disk(journal):
        many = [entry(f"m{n}", dedupe_key=None) for n in range(MAX_QUEUED_ROWS + 1)]
        waiting = asyncio.ensure_future(journal.append(many))
        await asyncio.sleep(0)  # noqa: TID251 — lets the task ask; no time passes
        (refused,) = await at_once(journal.append([entry("more")]))
        assert isinstance(refused, JournalUnavailableError)
        assert journal._writer.waiting.rows == MAX_QUEUED_ROWS + 1
    assert len(await waiting) == MAX_QUEUED_ROWS + 1
    assert journal._writer.waiting == NOTHING
    assert not (await journal.append([entry("more")]))[0].duplicate


async def test_what_waits_is_counted_in_bytes_too(journal: SqliteJournal) -> None:
    async with a_slow_disk(journal):
        payload = b"x" * (MAX_QUEUED_BYTES // 4 + 1)
        several = [
            asyncio.ensure_future(journal.append([entry(f"m{n}", payload=payload)]))
            for n in range(4)
        ]
        await asyncio.sleep(0)  # noqa: TID251 — lets the tasks ask; no time passes
        (refused,) = await at_once(journal.append([entry("more", payload=None)]))
        for one in several:
            one.cancel()
    assert isinstance(refused, JournalUnavailableError)
    await journal._write(lambda connection: connection.in_transaction)
    assert journal._writer.waiting == NOTHING
