"""The disk is full, or nearly; and the disk breaks."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest

from bridge.clock import SystemClock
from bridge.journal.writer import CHECKPOINT_IDLE_ROWS
from tests.faults.canary import person
from tests.faults.disk import (
    DATA_FULL,
    LOG_FULL,
    SYNC_FAILS,
    TEMPORARY_FULL,
    Disk,
    Switches,
)
from tests.faults.sight import waiting
from tests.faults.small_disk import Small
from tests.faults.story import order, ping, profile
from tests.faults.worlds import Outside, Serving
from tests.harness import eventually, track

pytestmark = pytest.mark.slow

RESUMES_SECONDS = 5.0
ANSWERS_SECONDS = 1.0


async def refused(serving: Serving, number: int) -> httpx.Response | None:
    """Post one event: the answer if it is that nothing was kept, None if it was kept."""
    clock = SystemClock()
    began = clock.monotonic()
    answer = await serving.sender.post(profile(number, f"p{number}"))
    assert answer is not None
    assert clock.monotonic() - began < ANSWERS_SECONDS
    if answer.status_code == 200:
        return None
    assert answer.status_code == 503
    assert int(answer.headers["retry-after"]) > 0
    assert answer.json()["code"] == "not-durable"
    return answer


async def taken_again(serving: Serving, number: int) -> None:
    async def look() -> bool | None:
        return True if await refused(serving, number) is None else None

    await eventually(look, within=RESUMES_SECONDS, every=0.1)


def tell(outside: Outside) -> None:
    outside.told.expect_line("accept.unavailable", reason="journal-unavailable")
    outside.told.expect_line("request.refused", reason="not-durable")
    outside.told.expect_metric("bridge_refused_total", reason="not-durable")
    outside.told.expect_metric("bridge_accept_total", result="503")


def a_disk(outside: Outside, library: Path) -> Disk:
    return Disk(folder=outside.folder, library=library, beside=outside.folder)


async def test_a_log_that_cannot_grow_is_a_503_until_it_can(
    outside: Outside, library: Path, switches: Switches
) -> None:
    tell(outside)
    await outside.people(20)
    await outside.fails({"delay": 0.3}, times=5)
    async with outside.serving(disk=a_disk(outside, library).failing(switches)) as serving:
        await serving.sender.must([order(number, f"o{number}") for number in range(10)])
        switches[LOG_FULL] = 1
        assert await refused(serving, 1) is not None
        # What was accepted goes on as far as it can, and what cannot be written is done again.
        assert await refused(serving, 2) is not None
        assert serving.command.process.returncode is None
        switches[LOG_FULL] = 0
        await taken_again(serving, 3)
        await outside.settled()
        assert (await serving.http.get("/readyz")).status_code == 200


async def test_a_database_that_cannot_grow_leaves_everything_in_its_log(
    outside: Outside, library: Path, switches: Switches
) -> None:
    """What is accepted is in the log of the database: that it cannot be copied yet is told."""
    outside.told.expect_line("journal.upkeep_failed", what="checkpoint", reason="SQLITE_FULL")
    outside.told.expect_metric("bridge_journal_bytes", file="log")
    await outside.people(20)
    nobody = [track("Nobody cares", person(0), f"n{n}") for n in range(CHECKPOINT_IDLE_ROWS)]
    async with outside.serving(disk=a_disk(outside, library).failing(switches)) as serving:
        switches[DATA_FULL] = 1
        await serving.sender.must(nobody)
        await serving.sender.must([order(number, f"o{number}") for number in range(10)])
        await outside.settled()
        switches[DATA_FULL] = 0
        assert await refused(serving, 1) is None


async def test_no_temporary_file_is_needed(
    outside: Outside, library: Path, switches: Switches
) -> None:
    outside.told.expect_nothing("nothing goes wrong by it")
    await outside.people(20)
    async with outside.serving(disk=a_disk(outside, library).failing(switches)) as serving:
        switches[TEMPORARY_FULL] = 1
        await serving.sender.must([order(number, f"o{number}") for number in range(10)])
        await outside.settled()


async def test_a_disk_that_fails_to_sync_ends_the_process_and_nothing_is_called_kept(
    outside: Outside, library: Path, switches: Switches
) -> None:
    outside.told.expect_line("journal.broken", reason="the database failed (SQLITE_IOERR_FSYNC)")
    outside.told.expect_metric("bridge_accept_total", result="200")
    await outside.people(20)
    await outside.fails({"delay": 3.0}, class_="send", times=20)
    clock = SystemClock()
    async with outside.serving(disk=a_disk(outside, library).failing(switches)) as serving:
        await serving.sender.must([order(number, f"o{number}") for number in range(10)])
        await eventually(lambda: sends_are_out(outside), within=10)
        await outside.scrape(serving.http)
        kept = dict(outside.sent.acknowledged)
        async with half_a_request(serving.url):
            began = clock.monotonic()
            switches[SYNC_FAILS] = 1
            await serving.sender.post([ping(number, f"m{number}") for number in range(10, 15)])
            assert await serving.command.ends(within=5) == 1
            assert clock.monotonic() - began < 1
        assert outside.sent.acknowledged == kept
    async with outside.resumed():
        await outside.settled()


@asynccontextmanager
async def half_a_request(url: str) -> AsyncIterator[None]:
    """Somebody sends so slowly that the request is not whole by the end of the block."""
    host, _, port = url.removeprefix("http://").partition(":")
    _, writing = await asyncio.open_connection(host, int(port))
    writing.write(b"POST /v1/segment HTTP/1.1\r\ncontent-length: 1000\r\nhost: x\r\n\r\n{")
    await writing.drain()
    yield
    writing.close()


async def sends_are_out(outside: Outside) -> bool | None:
    counts = (await outside.onesignal.get("/sandbox/counts")).json()
    return True if counts["statuses"]["send"] else None


# A small disk ----------------------------------------------------------------------------------


async def test_a_disk_that_is_nearly_full_takes_nothing_and_what_was_taken_is_delivered(
    small: Small, outside: Outside
) -> None:
    tell(outside)
    outside.disk = small.folder
    await outside.people(60)
    await outside.fails({"delay": 1.0}, times=20)
    async with outside.serving() as serving:
        await serving.sender.must([order(number, f"o{number}") for number in range(30)])
        small.fill(left=20_000_000)
        await eventually(lambda: unready(serving), within=2)
        assert await refused(serving, 1) is not None
        left = waiting(outside.database)
        await outside.settled()
        assert left > 0
        # And now there is no room at all, as if somebody else had taken it.
        small.fill(left=0)
        assert await refused(serving, 2) is not None
        assert serving.command.process.returncode is None
        small.empty()
        await taken_again(serving, 3)
        await serving.sender.must([order(number, f"o{number}") for number in range(30, 60)])
        await outside.settled()


async def unready(serving: Serving) -> bool | None:
    return True if (await serving.http.get("/readyz")).status_code == 503 else None
