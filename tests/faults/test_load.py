"""Two thousand events a second for ten minutes, all of them well: who sends and who is told waits for nothing.

What they are, as in a shop: of a hundred, 60 that no rule wants, 27 profiles that say what is known, 8 that
say something new, and 5 orders, each a tag and a push: 160 to 260 writes and 100 pushes a second, which
OneSignal would take. In the fast part fewer, for seconds. The long one writes its figures to standard
output::

    .venv/bin/python -m pytest tests/faults/test_load.py -m long -s
"""

from __future__ import annotations

import gc
import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest

from tests.faults.canary import email, person, trait
from tests.faults.sight import rows
from tests.faults.steady import Steady
from tests.faults.story import Event, order, profile
from tests.faults.worlds import Outside, Worlds

pytestmark = pytest.mark.slow


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, Any]]:
    """A loop that leaves more of the machine to the bridge."""
    return "asyncio", {"use_uvloop": True}


ACCEPT_MS, DONE_MS = 250, 2000
CONTEXT: dict[str, Any] = {
    "ip": "203.0.113.24",
    "locale": "en-GB",
    "userAgent": "Mozilla/5.0 (Linux; Android 14; Pixel 8) AppleWebKit/537.36 Chrome/126.0 Mobile",
    "timezone": "Europe/Lisbon",
    "library": {"name": "analytics-kotlin", "version": "1.16.3"},
    "app": {"name": "Shop", "version": "5.4.5", "namespace": "example.shop"},
    "device": {"type": "android", "manufacturer": "Google", "model": "Pixel 8"},
    "os": {"name": "Android", "version": "14"},
    "network": {"wifi": True, "cellular": False, "carrier": "Example Mobile"},
}
_SHUFFLED = 37
"""Steps through a hundred, so that kinds take turns."""


@dataclass(slots=True)
class Shop:
    """What so many people do, in turn: nobody gets more pushes than a person may."""

    people: int
    numbers: itertools.count[int] = field(default_factory=itertools.count)
    orders: itertools.count[int] = field(default_factory=itertools.count)

    def known(self, number: int, message_id: str) -> Event:
        traits = {"tier": trait("known"), "email": email(number)}
        return profile(number, message_id, traits=traits, context=CONTEXT)

    def events(self) -> Iterator[Event]:
        for number in self.numbers:
            yield self._event(number, number * _SHUFFLED % 100, number % self.people)

    def _event(self, number: int, kind: int, somebody: int) -> Event:
        if kind < 60:
            page = {"type": "page", "name": "Kettles", "messageId": f"page-{number}"}
            return page | {"userId": person(somebody), "context": CONTEXT}
        if kind < 87:
            return self.known(somebody, f"known-{number}")
        if kind < 95:
            return profile(somebody, f"new-{number}", context=CONTEXT)
        return order(next(self.orders) % self.people, f"order-{number}", context=CONTEXT)


async def _loaded(
    world: Outside, *, people: int, per_second: int, seconds: int
) -> dict[str, float]:
    """All of it is answered 200 and delivered; how long both took, in milliseconds."""
    world.told.expect_nothing("nothing is wrong")
    await world.people(people)
    shop = Shop(people)
    async with world.serving() as serving:
        for start in range(0, people, 500):
            some = range(start, min(people, start + 500))
            await serving.sender.must([shop.known(number, f"first-{number}") for number in some])
        await world.settled(within=60 + people / 500)
        steady = Steady(url=httpx.URL(serving.url), sent=world.sent)
        try:
            await steady.post(shop.events(), per_second=per_second, most=per_second * seconds)
        finally:
            steady.close()
        await world.settled(within=30)
    assert not steady.is_lost
    assert steady.wrong == []
    took = sorted(steady.took)
    done = sorted(_done(world))
    return {
        "events": len(took),
        "accept_p50_ms": round(_share(took, 0.5) * 1000, 1),
        "accept_p99_ms": round(_share(took, 0.99) * 1000, 1),
        "slowest_accept_ms": round(took[-1] * 1000, 1),
        "delivered": len(done),
        "done_p50_ms": _share(done, 0.5),
        "done_p99_ms": _share(done, 0.99),
        "slowest_done_ms": done[-1],
    }


def _done(world: Outside) -> list[int]:
    """From receipt to the end, of everything that was not known before."""
    found = rows(
        world.database,
        "SELECT at_ms - received_ms FROM event JOIN outcome USING (seq)"
        " WHERE status = 'delivered' AND message_id NOT LIKE 'first-%'",
    )
    return [delay for (delay,) in found]


def _share(ordered: list[Any], share: float) -> Any:
    return ordered[round(len(ordered) * share) - 1]


def _holds(world: Outside, figures: dict[str, float], share: str) -> None:
    statuses = rows(world.database, "SELECT DISTINCT status, reason FROM outcome ORDER BY 1, 2")
    assert statuses == [("delivered", None), ("skipped", "no_rule"), ("skipped", "unchanged")]
    assert figures[f"accept_{share}_ms"] < ACCEPT_MS
    assert figures[f"done_{share}_ms"] < DONE_MS


async def test_a_steady_load_is_accepted_and_delivered_at_once(worlds: Worlds) -> None:
    async with worlds.outside("load") as world:
        figures = await _loaded(world, people=200, per_second=500, seconds=3)
        # Of three seconds beside other tests only what is usual says something.
        _holds(world, figures, "p50")


@pytest.mark.long
async def test_two_thousand_events_a_second_for_ten_minutes(worlds: Worlds) -> None:
    # So much is remembered that to look for what is not would stop the load for seconds.
    gc.disable()
    try:
        async with worlds.outside("load", apart=True) as world:
            figures = await _loaded(world, people=20_000, per_second=2_000, seconds=600)
            print(f"\n{figures}")  # noqa: T201 — its figures are what it is run for
            _holds(world, figures, "p99")
    finally:
        gc.enable()
