"""`drain`: many people enter an audience, and each gets a tag and a push.

First at OneSignal's limits: what arrives is measured where it arrives, and what the bridge's process
costs while it goes on; the cost of updates alone, too, without pushes behind them. Then updates alone,
without limits, beside the same transport without a bridge around it, in turns.
"""

from __future__ import annotations

import asyncio
import os
import statistics
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import uvloop

from bridge.onesignal.client import OneSignal
from tests.bench.events import now as iso_now
from tests.bench.people import client, delivered, now, post_all, wait
from tests.bench.processes import Served, bridge, nobody, receiver
from tests.harness import APP_ID, mapping_of

MAPPING = """
version: 1
push: {platforms: {exclude: [ios]}}
rules:
  - name: audience-tags
    when: audience.class = "audience"
    do: {update_user: {tags_from: {audience: {prefix: aud_}}}}
  - name: vip-welcome
    when: audience.key = "vip" and audience.entered = true
    limit: off
    group: 3s
    max_age: 6h
    do: {send_notification: {headings: "Welcome to VIP", contents: "Good to have you."}}
"""
UPDATES = MAPPING.partition("  - name: vip-welcome")[0]
RULE = "audience-tags"
PEOPLE = 100_000
WRITES_PER_SECOND = 1000
_CONCURRENT = 100
_LOOK_SECONDS = 0.25
_LAST_PUSHES_SECONDS = 6.0
"""A group waits for 3 s; whoever entered last has a push by then."""
_LONGEST_SECONDS = 600.0


def drain(seconds: float, rounds: int, connections: int | None) -> dict[str, Any]:
    """100,000 people at the limit, unless a shorter round is asked for; then without limits."""
    del connections
    people = PEOPLE if seconds >= 2.5 else 2_000
    figures: dict[str, Any] = {"people": people, "load_average_before": os.getloadavg()[0]}
    figures["at_the_limit"] = _at_the_limit(people, MAPPING)
    alone = _at_the_limit(people // 3, UPDATES)
    figures["core_used_by_updates_alone"] = alone["core_used_while_delivering"]
    figures["without_limits"] = _without_limits(people // 5, max(1, rounds // 2))
    return figures | {"load_average_after": os.getloadavg()[0]}


def entered(people: int, first: int = 0) -> Iterator[dict[str, Any]]:
    at = iso_now()
    personas = {"computation_class": "audience", "computation_key": "vip"}
    for number in range(first, first + people):
        yield {
            "type": "track",
            "event": "Audience Entered",
            "messageId": f"personas_{number:08d}",
            "userId": f"person-{number:08d}",
            "timestamp": at,
            "properties": {"audience_key": "vip", "vip": True},
            "context": {"personas": personas},
        }


def _at_the_limit(people: int, rules: str) -> dict[str, Any]:
    with (
        tempfile.TemporaryDirectory(prefix="bridge-bench-") as folder,
        receiver(WRITES_PER_SECOND) as onesignal,
    ):
        mapping = written(folder, rules)
        with bridge(Path(folder) / "bridge.db", mapping, onesignal) as served:
            cpu = _deliver(served, people)
        seen: dict[str, Any] = httpx.get(f"{onesignal}/figures", timeout=60).json()
    share = seen["writes_per_second_over_a_minute"] / WRITES_PER_SECOND
    return seen | {
        "share_of_the_limit": round(share, 3),
        "writes_per_person": round(seen["writes"] / people, 4),
        "core_used_while_delivering": round(cpu, 3),
        "well": seen["recipients"] == people and not seen["pushed_again"],
    }


def written(folder: str, mapping: str) -> Path:
    mapping_of(mapping)
    path = Path(folder) / "bench.yaml"
    path.write_text(mapping)
    return path


def _deliver(served: Served, people: int) -> float:
    """Post them all, and wait until all are written; the share of a core used once all are in."""
    post_all(served, entered(people))
    with client(served) as http:
        began, cpu = now(), sum(served.cpu_seconds())
        # While the last pushes are under way there is little to do: they do not count.
        while delivered(http, RULE) < people and now() - began < _LONGEST_SECONDS:
            wait(_LOOK_SECONDS)
        spent, took = sum(served.cpu_seconds()) - cpu, now() - began
        wait(_LAST_PUSHES_SECONDS)
    return spent / took


def _without_limits(people: int, rounds: int) -> dict[str, Any]:
    ours, alone = [], []
    with receiver() as onesignal:
        for _ in range(rounds):
            alone.append(_alone(onesignal, people))
            ours.append(_ours(onesignal, people))
    return {
        "transport_alone_per_second": round(statistics.median(alone)),
        "bridge_per_second": round(statistics.median(ours)),
        "ratio": round(statistics.median(a / b for a, b in zip(ours, alone, strict=True)), 3),
    }


def _ours(onesignal: str, people: int) -> float:
    """Updates a second of a bridge that has them all, and only has to deliver."""
    with tempfile.TemporaryDirectory(prefix="bridge-bench-") as folder:
        mapping, database = written(folder, UPDATES), Path(folder) / "bridge.db"
        with nobody() as unreachable, bridge(database, mapping, unreachable) as served:
            post_all(served, entered(people))
        unlimited = bridge(database, mapping, onesignal, module="tests.bench.unlimited")
        with unlimited as served, client(served) as http:
            return _rate(http, people)


def _rate(http: httpx.Client, people: int) -> float:
    """From a tenth of the way to nine tenths."""
    began, first = now(), (0.0, 0)
    while (done := delivered(http, RULE)) < 0.9 * people and now() - began < _LONGEST_SECONDS:
        if done >= 0.1 * people and not first[1]:
            first = now(), done
        wait(_LOOK_SECONDS)
    return (done - first[1]) / (now() - first[0])


def _alone(onesignal: str, people: int) -> float:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_calls(onesignal, people))


async def _calls(onesignal: str, people: int) -> float:
    """Calls a second of the transport that the bridge has, and nothing else."""
    numbers = iter(range(people))
    async with OneSignal(url=onesignal, api_keys=["os_v2_app_bench"]) as client:

        async def some() -> None:
            for number in numbers:
                path = f"/apps/{APP_ID}/users/by/external_id/person-{number:08d}"
                await client.perform("PATCH", path, b'{"properties":{"tags":{"aud_vip":"true"}}}')

        began = now()
        async with asyncio.TaskGroup() as group:
            for _ in range(_CONCURRENT):
                group.create_task(some())
        return people / (now() - began)
