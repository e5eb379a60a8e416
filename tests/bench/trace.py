"""`trace`: what known customers do in a shop, in real time: how few calls are enough, and is the end the same?

20,000 users, each with a session of 3 to 12 events, two seconds apart on average (exponential gaps);
four in ten are identify calls, of which seven in ten repeat what is known from an earlier visit. Of the
other six a mapping of a shop wants the products that are looked at and put into the cart: `MIX`. Folding
depends on how many events say something new, so that share is among the figures. The final tags of every
user are compared with what one call for each event would come to.
"""

from __future__ import annotations

import os
import random
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import orjson

from bridge.clock import SystemClock
from tests.bench.events import now as iso_now
from tests.bench.people import client, now, pending, post, post_all, wait
from tests.bench.processes import Served, bridge, receiver
from tests.harness import mapping_of

MAPPING = """
version: 1
rules:
  - name: profile
    when: type = "identify"
    FOLD
    do:
      update_user:
        tags: {tier: "{{ traits.tier }}", city: "{{ traits.city }}", orders: "{{ traits.orders }}"}
  - name: product-viewed
    when: type = "track" and event = "Product Viewed"
    FOLD
    do: {update_user: {tags: {viewed_product: "{{ properties.sku }}"}}}
  - name: cart-updated
    when: type = "track" and event = "Product Added"
    FOLD
    do: {update_user: {tags: {cart_product: "{{ properties.sku }}"}}}
"""
SEED = 20_261_125
USERS, SPREAD_SECONDS = 20_000, 170.0
"""Sessions begin within so many seconds: about 900 events a second, below the limit of writes."""
MIX = {
    "Product List Viewed": 3,
    "Product Clicked": 2,
    "Product Viewed": 2,
    "Product Added": 1,
    "Cart Viewed": 1,
    "Checkout Started": 1,
}
"""Of ten track events; a click leads to a view."""
TAGS = {"Product Viewed": "viewed_product", "Product Added": "cart_product"}
_TIERS, _CITIES = ("silver", "gold", "platinum"), ("Lisbon", "Vienna", "Malmo", "Turin")
_LONGEST_SECONDS = 120.0


class Happening(NamedTuple):
    at: float
    user: str
    event: dict[str, Any]


def trace(seconds: float, rounds: int, connections: int | None) -> dict[str, Any]:
    """Calls for an event, the first update leaving at once, and with `fold: 5s`."""
    del rounds, connections
    users = USERS if seconds >= 2.5 else 200
    happenings = session_events(users, SPREAD_SECONDS if seconds >= 2.5 else 5.0)
    figures: dict[str, Any] = {
        "users": users,
        "events": len(happenings),
        "track_mix": MIX,
        "says_something_new": round(_new(happenings), 3),
        "load_average_before": os.getloadavg()[0],
    }
    for name, fold in (("at_once", ""), ("fold_5s", "fold: 5s")):
        figures[name] = _run(users, happenings, fold)
    return figures


def session_events(users: int, spread: float) -> list[Happening]:
    """Everything that happens, in its order; the same every time."""
    draw = random.Random(SEED)
    found = [one for number in range(users) for one in _session(number, spread, draw)]
    return sorted(found, key=lambda one: one.at)


def _session(number: int, spread: float, draw: random.Random) -> Iterator[Happening]:
    user, at, traits = name_of(number), draw.uniform(0, spread), known_traits(number)
    for count in range(draw.randint(3, 12)):
        if draw.random() < 0.4:
            if draw.random() >= 0.7:
                traits = _changed(traits, draw)
            event: dict[str, Any] = {"type": "identify", "traits": traits}
        else:
            name = draw.choices(list(MIX), list(MIX.values()))[0]
            sku = f"SKU-{draw.randrange(5000):04d}"
            event = {"type": "track", "event": name, "properties": {"sku": sku}}
        yield Happening(at, user, event | {"messageId": f"{user}-{count}", "userId": user})
        at += draw.expovariate(1 / 2.0)


def name_of(number: int) -> str:
    return f"shopper-{number:06d}"


def known_traits(number: int) -> dict[str, Any]:
    """What an earlier visit has told of a user."""
    return {"tier": _TIERS[number % 3], "city": _CITIES[number % 4], "orders": number % 9}


def earlier_visits(users: int) -> Iterator[dict[str, Any]]:
    at = iso_now()
    for number in range(users):
        user = name_of(number)
        seen = {"type": "identify", "traits": known_traits(number), "timestamp": at}
        yield seen | {"messageId": f"{user}-before", "userId": user}


def _changed(traits: dict[str, Any], draw: random.Random) -> dict[str, Any]:
    return {
        "tier": draw.choice(_TIERS),
        "city": draw.choice(_CITIES),
        "orders": traits["orders"] + 1,
    }


def one_by_one(users: int, happenings: list[Happening]) -> dict[str, dict[str, str]]:
    """The tags that one call for each event would come to."""
    tags = {name_of(number): _texts(known_traits(number)) for number in range(users)}
    for one in happenings:
        tags[one.user] |= _tags_of(one)
    return tags


def _tags_of(one: Happening) -> dict[str, str]:
    if one.event["type"] == "identify":
        return _texts(one.event["traits"])
    tag = TAGS.get(one.event["event"])
    return {} if tag is None else {tag: one.event["properties"]["sku"]}


def _texts(traits: dict[str, Any]) -> dict[str, str]:
    return {name: str(value) for name, value in traits.items()}


def _new(happenings: list[Happening]) -> float:
    """The share of events that change a tag: the calls that one for each change would be."""
    tags: dict[str, dict[str, str]] = {}
    news = 0
    for one in happenings:
        mine = tags.setdefault(one.user, _texts(known_traits(int(one.user[-6:]))))
        said = _tags_of(one)
        news += any(mine.get(name) != text for name, text in said.items())
        mine |= said
    return news / len(happenings)


def _run(users: int, happenings: list[Happening], fold: str) -> dict[str, Any]:
    text = MAPPING.replace("    FOLD\n", f"    {fold}\n" if fold else "")
    mapping_of(text)
    with tempfile.TemporaryDirectory(prefix="bridge-bench-") as folder, receiver(1000) as onesignal:
        path = Path(folder) / "trace.yaml"
        path.write_text(text)
        with bridge(Path(folder) / "bridge.db", path, onesignal) as served:
            post_all(served, earlier_visits(users))
            _settled(served)
            before = httpx.get(f"{onesignal}/figures", timeout=60).json()["writes"]
            cpu, began = sum(served.cpu_seconds()), now()
            late = _play(served, happenings)
            spent = (sum(served.cpu_seconds()) - cpu) / (now() - began)
            _settled(served)
        seen = httpx.get(f"{onesignal}/figures", timeout=60).json()
        tags = httpx.get(f"{onesignal}/tags", timeout=60).json()
    return {
        "calls_per_event": round((seen["writes"] - before) / len(happenings), 4),
        "same_final_state": tags == one_by_one(users, happenings),
        "refused_429": seen["refused_429"],
        "closest_writes_to_one_user_s": seen["closest_writes_to_one_user_s"],
        "writes_peak_1s": seen["writes_peak_1s"],
        "core_used": round(spent, 3),
        "posted_late_by_s": round(late, 3),
    }


def _play(served: Served, happenings: list[Happening]) -> float:
    """Post each when its time has come, those of a twentieth of a second together."""
    clock, slowest = SystemClock(), 0.0
    begins_ms, began = clock.now_ms(), now()
    position = 0
    with client(served) as http:
        while position < len(happenings):
            passed = now() - began
            some: list[bytes] = []
            while (
                position < len(happenings) and happenings[position].at <= passed and len(some) < 500
            ):
                one = happenings[position]
                at = datetime.fromtimestamp(begins_ms / 1000 + one.at, UTC)
                some.append(orjson.dumps(one.event | {"timestamp": at.isoformat()}))
                slowest = max(slowest, passed - one.at)
                position += 1
            if some:
                post(http, some)
            wait(max(0.0, 0.05 - (now() - began - passed)))
    return slowest


def _settled(served: Served) -> None:
    began = now()
    with client(served) as http:
        while pending(http):
            if now() - began > _LONGEST_SECONDS:
                raise SystemExit("the figures are worthless: events are still pending")
            wait(0.2)
