"""`trace`: what shoppers do, in real time: how few calls are enough, and is the end the same?

20,000 users, each with a session of 3 to 12 events, two seconds apart on average; four in ten are
identify calls, of which seven in ten repeat what is known. One call for each event would be the plain
way; the final tags of every user are compared with what that way comes to.
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
from tests.bench.people import client, now, pending, post, wait
from tests.bench.processes import Served, bridge, receiver
from tests.harness import mapping_of

MAPPING = """
version: 1
rules:
  - name: profile
    when: type = "identify"
    do:
      update_user:
        tags: {tier: "{{ traits.tier }}", city: "{{ traits.city }}", orders: "{{ traits.orders }}"}
  - name: last-seen
    when: type = "track" and event = "Product Viewed"
    FOLD
    do: {update_user: {tags: {last_viewed: "{{ properties.sku }}"}}}
"""
SEED = 20_261_125
USERS, SPREAD_SECONDS = 20_000, 170.0
"""Sessions begin within so many seconds: about 900 events a second, below the limit of writes."""
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
        "load_average_before": os.getloadavg()[0],
    }
    for name, fold in (("at_once", ""), ("fold_5s", "fold: 5s")):
        figures[name] = _run(happenings, fold)
    return figures


def session_events(users: int, spread: float) -> list[Happening]:
    """Everything that happens, in its order; the same every time."""
    draw = random.Random(SEED)
    found = [one for number in range(users) for one in _session(number, spread, draw)]
    return sorted(found, key=lambda one: one.at)


def _session(number: int, spread: float, draw: random.Random) -> Iterator[Happening]:
    user, at = f"shopper-{number:06d}", draw.uniform(0, spread)
    traits: dict[str, Any] = {}
    for count in range(draw.randint(3, 12)):
        if draw.random() < 0.4:
            if not traits or draw.random() >= 0.7:
                traits = _changed(traits, draw)
            event: dict[str, Any] = {"type": "identify", "traits": traits}
        else:
            sku = f"SKU-{draw.randrange(5000):04d}"
            event = {"type": "track", "event": "Product Viewed", "properties": {"sku": sku}}
        yield Happening(at, user, event | {"messageId": f"{user}-{count}", "userId": user})
        at += draw.expovariate(1 / 2.0)


def _changed(traits: dict[str, Any], draw: random.Random) -> dict[str, Any]:
    return {
        "tier": draw.choice(_TIERS),
        "city": draw.choice(_CITIES),
        "orders": int(traits.get("orders", 0)) + 1,
    }


def one_by_one(happenings: list[Happening]) -> dict[str, dict[str, str]]:
    """The tags that one call for each event would come to."""
    tags: dict[str, dict[str, str]] = {}
    for one in happenings:
        mine = tags.setdefault(one.user, {})
        if one.event["type"] == "identify":
            mine |= {name: str(value) for name, value in one.event["traits"].items()}
        else:
            mine["last_viewed"] = one.event["properties"]["sku"]
    return tags


def _run(happenings: list[Happening], fold: str) -> dict[str, Any]:
    text = MAPPING.replace("    FOLD\n", f"    {fold}\n" if fold else "")
    if fold:
        text = text.replace('"identify"\n', f'"identify"\n    {fold}\n')
    mapping_of(text)
    with tempfile.TemporaryDirectory(prefix="bridge-bench-") as folder, receiver(1000) as onesignal:
        path = Path(folder) / "trace.yaml"
        path.write_text(text)
        with bridge(Path(folder) / "bridge.db", path, onesignal) as served:
            cpu = sum(served.cpu_seconds())
            began = now()
            late = _play(served, happenings)
            spent = (sum(served.cpu_seconds()) - cpu) / (now() - began)
            _settled(served)
        seen = httpx.get(f"{onesignal}/figures", timeout=60).json()
        tags = httpx.get(f"{onesignal}/tags", timeout=60).json()
    return {
        "calls_per_event": round(seen["writes"] / len(happenings), 4),
        "same_final_state": tags == one_by_one(happenings),
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
