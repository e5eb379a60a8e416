"""`kill -9` at random while events keep coming, and SIGTERM; nothing is lost and nothing is sent twice.

The long one, 200 rounds, writes its figures to standard output::

    .venv/bin/python -m pytest tests/faults/test_kill.py -m long -s
"""

from __future__ import annotations

import asyncio
import itertools
import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest

from bridge.clock import SystemClock
from tests.faults.sender import Sent
from tests.faults.steady import Steady
from tests.faults.story import Event, ping, profile
from tests.faults.worlds import Outside, Serving, Worlds

pytestmark = pytest.mark.slow

BATCH = 5
REQUESTS_A_SECOND = 300
"""Of six of them one is a batch: 500 events a second, half of them one by one."""
READY_SECONDS = 5.0


@dataclass(slots=True, kw_only=True)
class Traffic:
    """Events of many people: nine profiles to one push, so that nobody gets more than one may."""

    people: int
    numbers: itertools.count[int] = field(default_factory=itertools.count)

    def event(self) -> Event:
        number = next(self.numbers)
        if number % 10:
            return profile(number % self.people, f"p{number}")
        # A person in turn, who has had the last push long ago.
        return ping(number // 10 % self.people, f"m{number}")

    def bodies(self) -> Iterator[Event | list[Event]]:
        """Half of it one by one, half in batches."""
        while True:
            yield from [self.event() for _ in range(BATCH)]
            yield [self.event() for _ in range(BATCH)]

    async def flow(self, serving: Serving, sent: Sent) -> None:
        """Until nobody answers any more."""
        steady = Steady(url=httpx.URL(serving.url), sent=sent)
        try:
            await steady.post(self.bodies(), per_second=REQUESTS_A_SECOND)
        finally:
            steady.close()
        assert steady.wrong == []


async def rounds(
    world: Outside, traffic: Traffic, count: int, *, dice: random.Random, longest: float
) -> list[float]:
    """So many lives under load, each ended by `kill -9`; seconds from each start to ready."""
    clock, starts = SystemClock(), []
    for _ in range(count):
        began = clock.monotonic()
        async with world.serving(fresh=True) as serving:
            assert (await serving.http.get("/readyz")).status_code == 200
            starts.append(clock.monotonic() - began)
            flowing = asyncio.create_task(traffic.flow(serving, world.sent))
            await clock.sleep(dice.uniform(0.05, longest))
            await world.scrape(serving.http)
            serving.kill()
            await flowing
    return starts


def faults() -> list[dict[str, Any]]:
    """Most calls go well; some are slow, and of some the answer is lost."""
    return [{"ordinary": True}] * 18 + [{"reset": True, "applied": True}, {"delay": 0.5}]


async def test_killed_at_random_under_load_nothing_is_lost_and_nothing_is_sent_twice(
    worlds: Worlds,
) -> None:
    async with worlds.outside("killed", apart=True) as world:
        world.told.expect_line("bridge.cautious")
        world.told.expect_metric("bridge_calls_total", http="202")
        await world.people(500)
        await world.fails(*faults(), times="until_cleared")
        traffic = Traffic(people=500)
        starts = await rounds(world, traffic, 3, dice=random.Random(11), longest=1.2)
        assert max(starts) < READY_SECONDS
        assert len(world.sent.acknowledged) > 500


@pytest.mark.long
async def test_killed_two_hundred_times(worlds: Worlds) -> None:
    dice, ready, accepted = random.Random(2026), list[float](), 0
    for number in range(10):
        async with worlds.outside(f"killed-{number}", apart=True) as world:
            world.told.expect_line("bridge.cautious")
            world.told.expect_metric("bridge_calls_total", http="202")
            await world.people(2000)
            await world.fails(*faults(), times="until_cleared")
            traffic = Traffic(people=2000)
            ready += await rounds(world, traffic, 20, dice=dice, longest=3.0)
            accepted += len(world.sent.acknowledged)
    ready.sort()
    print(  # noqa: T201 — its figures are what it is run for
        f"\n{len(ready)} kills, {accepted} events accepted, "
        f"ready after {ready[len(ready) // 2]:.2f} s (median), {ready[-1]:.2f} s (longest)"
    )
    assert len(ready) == 200
    assert ready[-1] < READY_SECONDS
