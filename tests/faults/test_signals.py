"""SIGTERM under load, a second one, and a second process on the same database."""

from __future__ import annotations

import asyncio
import resource
import signal

import httpx
import pytest

from bridge.clock import SystemClock
from tests.faults.sight import waiting
from tests.faults.test_kill import Traffic
from tests.faults.worlds import Outside
from tests.harness import eventually
from tests.processes import command

pytestmark = pytest.mark.slow

DRAIN = 3.0


async def unready(http: httpx.AsyncClient) -> bool | None:
    return True if (await http.get("/readyz")).status_code == 503 else None


async def test_told_to_stop_under_load_it_takes_what_comes_and_ends_in_time(
    outside: Outside,
) -> None:
    """What was not done is done by the next; no call is made twice."""
    outside.told.expect_line("bridge.draining")
    outside.told.expect_line("bridge.stopped")
    outside.told.expect_metric("bridge_accept_total", result="200")
    await outside.people(300)
    await outside.fails({"delay": 1.0}, class_="send", times="until_cleared")
    traffic, clock = Traffic(people=300), SystemClock()
    async with outside.serving(BRIDGE_DRAIN=str(DRAIN)) as serving:
        flowing = asyncio.create_task(traffic.flow(serving, outside.sent))
        await clock.sleep(1.0)
        await outside.scrape(serving.http)
        told = clock.monotonic()
        serving.command.process.send_signal(signal.SIGTERM)
        async with httpx.AsyncClient(base_url=serving.url) as asking:
            await eventually(lambda: unready(asking), within=1, every=0.02)
        before = len(outside.sent.acknowledged)
        assert await serving.command.ends(within=DRAIN + 2) == 0
        assert clock.monotonic() - told < DRAIN + 1
        await flowing
        # It went on taking events while the load balancer looked elsewhere, and refused none.
        assert len(outside.sent.acknowledged) > before
    assert waiting(outside.database) > 0
    text = serving.command.text
    assert "Traceback" not in text
    async with outside.resumed():
        await outside.settled()
    await no_send_twice(outside)


async def no_send_twice(outside: Outside) -> None:
    """A clean end leaves no doubt: nothing was asked again that had been asked."""
    calls = (await outside.onesignal.get("/sandbox/calls", params={"limit": 10**6})).json()["calls"]
    keys = [call["idempotency_key"] for call in calls if call["endpoint_class"] == "send"]
    assert len(keys) == len(set(keys)) > 0


async def test_told_twice_it_ends_at_once_and_loses_nothing(outside: Outside) -> None:
    outside.told.expect_line("bridge.draining")
    outside.told.expect_metric("bridge_accept_total", result="200")
    await outside.people(300)
    await outside.fails({"delay": 1.0}, class_="send", times="until_cleared")
    traffic, clock = Traffic(people=300), SystemClock()
    async with outside.serving(BRIDGE_DRAIN="8") as serving:
        flowing = asyncio.create_task(traffic.flow(serving, outside.sent))
        await clock.sleep(0.7)
        await outside.scrape(serving.http)
        serving.command.process.send_signal(signal.SIGTERM)
        async with httpx.AsyncClient(base_url=serving.url) as asking:
            await eventually(lambda: unready(asking), within=1, every=0.02)
        again = clock.monotonic()
        serving.command.process.send_signal(signal.SIGTERM)
        assert await serving.command.ends(within=2) == 1
        assert clock.monotonic() - again < 1
        await flowing
    assert waiting(outside.database) > 0


async def test_a_second_process_is_refused_within_a_second_and_the_first_does_not_notice(
    outside: Outside,
) -> None:
    """The second is counted by what it computes: how long it waits for a processor is not its own."""
    outside.told.expect_nothing("the second process has no metrics; what it says is looked at here")
    await outside.people(50)
    traffic = Traffic(people=50)
    async with outside.serving() as serving:
        await serving.sender.must([traffic.event() for _ in range(20)])
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        settings = outside.settings()
        async with command(outside.folder, "serve", "--port", "0", **settings) as second:
            assert await second.ends(within=10) == 1
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 1
        assert "Traceback" not in second.text
        assert "another process is using the database" in second.text
        assert str(outside.database) in second.text
        outside.told.others.append(second.text)
        assert serving.command.process.returncode is None
        await serving.sender.must([traffic.event() for _ in range(20)])
        await outside.settled()
