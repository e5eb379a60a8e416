"""The machine's clock is set forward, set back, and slewed, while events come and retries wait."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from bridge.clock import ManualClock
from bridge.sandbox import create_sandbox
from tests.faults.story import SHOP, Event, Story, order, ping, profile
from tests.faults.told import samples
from tests.faults.worlds import Inside

LONGEST_RETRY = 300.0
HOUR, DAY = 3600.0, 86_400.0

STORY = Story(
    mapping=SHOP.mapping.replace('"identify"\n', '"identify"\n    fold: 20s\n').replace(
        '"Ping"\n', '"Ping"\n    group: 5s\n'
    ),
    owes=SHOP.owes,
    tags=SHOP.tags,
)
"""Updates wait for company here, and pushes for others."""


class SetClock(ManualClock):
    """Somebody sets it: what it says of the time of day changes, and time itself does not."""

    def set_by(self, seconds: float) -> None:
        self._start_ms += round(seconds * 1000)


class Another(ManualClock):
    """OneSignal's: time passes there as it does here, and nobody sets it."""

    def __init__(self, ours: ManualClock) -> None:
        super().__init__()
        self._ours = ours

    def now_ms(self) -> int:
        return self._start_ms + round(self._ours.monotonic() * 1000)

    def monotonic(self) -> float:
        return self._ours.monotonic()

    async def sleep(self, seconds: float) -> None:
        await self._ours.sleep(seconds)


async def posted(inside: Inside, label: str, *makers: Callable[[int, str], Event]) -> None:
    for start in range(0, 60, 20):
        for make in makers:
            some = range(start, start + 20)
            await inside.post([make(one, f"{label}{make.__name__}{one}") for one in some])


async def through(inside: Inside, *steps: float) -> float:
    """Events and failures before, while and after the clock is set; seconds until all was done."""
    clock = SetClock()
    inside.clock, inside.onesignal = clock, create_sandbox(clock=Another(clock))
    inside.told.expect_line("update.failed", reason="http_503")
    inside.told.expect_metric("bridge_calls_total", http="503")
    inside.people(60)
    if min(steps) < -1.0:
        inside.told.expect_line("clock.set_back", seconds=-min(steps))
    async with inside.bridge(STORY) as here:
        # Some have failed several times, and wait for minutes.
        inside.fails({"status": 503}, times=200)
        await posted(inside, "a", profile, ping, order)
        await here.pass_time(30)
        inside.sandbox.faults.clear()
        await posted(inside, "b", profile, order)
        await here.pass_time(0.5)
        for step in steps:
            clock.set_by(step)
            await here.pass_time(0.05)
        began = clock.monotonic()
        await posted(inside, "c", profile, ping)
        await here.settle(within=2 * DAY)
        took = clock.monotonic() - began
        ends = {(status, reason) for _, _, _, status, reason in await here.outcomes()}
    assert ends == {("delivered", None)}
    for name, _, value in samples(inside.told.scrapes[-1]):
        assert value >= 0 or name == "bridge_only_users", name
    return took


@pytest.mark.slow
@pytest.mark.parametrize(
    "steps",
    [(HOUR,), (-HOUR,), (-600.0,), (DAY,), (-DAY,), (1.0, -1.0), (-0.1,) * 20],
    ids=["+1h", "-1h", "-10m", "+1d", "-1d", "leap", "slew"],
)
async def test_nothing_waits_longer_and_nothing_dies_because_the_clock_was_set(
    inside: Inside, steps: tuple[float, ...]
) -> None:
    assert await through(inside, *steps) < LONGEST_RETRY + 10


@pytest.mark.parametrize("step", [-600.0, -DAY], ids=str)
async def test_nor_because_it_was_set_back_while_nothing_ran(inside: Inside, step: float) -> None:
    clock = SetClock()
    inside.clock, inside.onesignal = clock, create_sandbox(clock=Another(clock))
    inside.told.expect_line("update.failed", reason="http_503")
    inside.told.expect_line("clock.set_back")
    inside.told.expect_metric("bridge_calls_total", http="503")
    inside.people(20)
    inside.fails({"status": 503}, times=100)
    async with inside.bridge(SHOP) as here:
        await inside.post([profile(number, f"p{number}") for number in range(20)])
        await inside.post([order(number, f"o{number}") for number in range(20)])
        await here.pass_time(120)
    inside.sandbox.faults.clear()
    clock.set_by(step)
    async with inside.bridge() as here:
        began = clock.monotonic()
        await here.settle(within=2 * DAY)
        assert clock.monotonic() - began < LONGEST_RETRY + 10
