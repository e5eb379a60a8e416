"""One user of whom very much is heard, and everybody else."""

from __future__ import annotations

import asyncio

import pytest

from bridge.clock import SystemClock
from bridge.deliver.lanes import CREDIT, ROWS_PER_CHAIN
from bridge.deliver.spacing import SPACING_SECONDS
from tests.faults.canary import person
from tests.faults.sight import rows
from tests.faults.story import order, profile
from tests.faults.worlds import Inside, Outside

MOST_MS = 2000
SHARE = 0.2
"""Calls for an event of the hot user's, at the most."""
BATCH = 1000


def delays_of_others(world: Inside | Outside) -> list[int]:
    """From receipt to the end, of each thing to do for somebody else; milliseconds, sorted."""
    sql = (
        "SELECT at_ms - received_ms FROM event JOIN outcome USING (seq) WHERE message_id LIKE 'o%'"
    )
    return sorted(delay for (delay,) in rows(world.database, sql))


def p99(sorted_values: list[int]) -> int:
    return sorted_values[round(len(sorted_values) * 0.99) - 1]


async def _heard(inside: Inside, hot: int, others: int) -> None:
    """All of the hot user's at once; the others' while that is worked on."""
    inside.people(others + 1)
    inside.told.expect_nothing("nothing is wrong")
    most = 0
    async with inside.bridge() as here:
        for start in range(0, hot, BATCH):
            await inside.post([profile(0, f"h{number}") for number in range(start, start + BATCH)])
        seconds = hot / ROWS_PER_CHAIN * SPACING_SECONDS
        for number in range(1, others + 1):
            await inside.post(order(number, f"o{number}"))
            await here.pass_time(0.8 * seconds / others)
            most = max(most, here.lanes._credit.lent)
        assert (await here.bridge.journal.counts()).pending > 0, "it was worked on all the while"
        await here.settle(within=3 * seconds)
    assert most <= CREDIT
    delays = delays_of_others(inside)
    assert len(delays) == 2 * others
    assert p99(delays) < MOST_MS
    calls = [call for call in inside.sandbox.calls if call.user == person(0)]
    assert len(calls) <= SHARE * hot


@pytest.mark.slow
async def test_a_hot_user_is_folded_and_nobody_else_waits_for_it(inside: Inside) -> None:
    await _heard(inside, hot=5_000, others=100)


@pytest.mark.long
async def test_a_hundred_thousand_events_of_one_user_and_a_thousand_others(inside: Inside) -> None:
    await _heard(inside, hot=100_000, others=1_000)


@pytest.mark.long
async def test_a_hot_user_in_a_real_process(outside: Outside) -> None:
    """Ten thousand events, which take three and a half minutes, with 300 MB at the most."""
    hot, others = 10_000, 1_000
    outside.told.expect_nothing("nothing is wrong")
    await outside.people(others + 1)
    clock = SystemClock()
    async with outside.serving() as serving:
        for start in range(0, hot, BATCH):
            events = [profile(0, f"h{number}") for number in range(start, start + BATCH)]
            await serving.sender.must(events)
        async with asyncio.TaskGroup() as group:
            for number in range(1, others + 1):
                group.create_task(serving.sender.must(order(number, f"o{number}")))
                # Below the limit of pushes, at which everybody waits.
                await clock.sleep(0.02)
        assert p99(delays_of_others(outside)) < MOST_MS
        await outside.settled(within=300)
    assert p99(delays_of_others(outside)) < MOST_MS
    sql = "SELECT count(*) FROM event WHERE message_id LIKE 'h%'"
    assert rows(outside.database, sql) == [(hot,)]
    answer = await outside.onesignal.get("/sandbox/calls", params={"limit": 1_000_000})
    calls = [call for call in answer.json()["calls"] if call["user"] == person(0)]
    assert len(calls) <= SHARE * hot
