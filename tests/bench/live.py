"""`live`: an order shipped while a great many bulk updates wait at OneSignal's limits.

How long until its push leaves, and does the bulk go on meanwhile?
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import orjson

from bridge.clock import SystemClock
from tests.bench.events import now as iso_now
from tests.bench.people import client, now, pending, post, post_all, wait
from tests.bench.processes import Served, bridge, receiver
from tests.harness import mapping_of

MAPPING = """
version: 1
push: {platforms: {exclude: [ios]}}
rules:
  - name: profile
    when: type = "identify"
    do: {update_user: {tags: {tier: "{{ traits.tier }}"}}}
  - name: shipped
    when: type = "track" and event = "Order Shipped"
    limit: off
    do:
      update_user: {tags: {last_order: "{{ properties.order_id }}"}}
      send_notification: {contents: "{{ properties.order_id }} is on its way"}
"""
BULK, ORDERS = 200_000, 300
WRITES_PER_SECOND = 1000
_SECONDS = 70.0


def live(seconds: float, rounds: int, connections: int | None) -> dict[str, Any]:
    """Seconds from a live event's 200 to its push; the bulk's writes a second meanwhile."""
    del rounds, connections
    short = seconds < 2.5
    bulk, orders = (5_000, 10) if short else (BULK, ORDERS)
    before = os.getloadavg()[0]
    with (
        tempfile.TemporaryDirectory(prefix="bridge-bench-") as folder,
        receiver(WRITES_PER_SECOND) as onesignal,
    ):
        mapping_of(MAPPING)
        path = Path(folder) / "live.yaml"
        path.write_text(MAPPING)
        with bridge(Path(folder) / "bridge.db", path, onesignal) as served:
            post_all(served, _bulk(bulk))
            first = httpx.get(f"{onesignal}/figures", timeout=60).json()["writes"]
            began = now()
            answered = _order(served, orders, 3.0 if short else _SECONDS)
            took = now() - began
            seen = httpx.get(f"{onesignal}/figures", timeout=60).json()
            with client(served) as http:
                left = pending(http)
            pushed = httpx.get(f"{onesignal}/pushes", timeout=60).json()
    waits = sorted(pushed[user] - at for user, at in answered.items() if user in pushed)
    return {
        "bulk_updates": bulk,
        "still_waiting_at_the_end": left,
        "orders": orders,
        "pushed": len(waits),
        "p50_s": round(waits[len(waits) // 2], 3),
        "p99_s": round(waits[len(waits) * 99 // 100], 3),
        "slowest_s": round(waits[-1], 3),
        "share_of_the_limit": round((seen["writes"] - first) / took / WRITES_PER_SECOND, 3),
        "writes_peak_1s": seen["writes_peak_1s"],
        "load_average_before": before,
    }


def _bulk(count: int) -> Iterator[dict[str, Any]]:
    at = iso_now()
    for number in range(count):
        yield {
            "type": "identify",
            "messageId": f"personas_{number:08d}",
            "userId": f"person-{number:08d}",
            "timestamp": at,
            "traits": {"tier": f"tier-{number % 7}"},
            "context": {"__segment_internal": {"creator": "sync-worker"}},
        }


def _order(served: Served, orders: int, seconds: float) -> dict[str, float]:
    """When each was answered, in seconds since 1970; evenly over the time."""
    clock, answered = SystemClock(), {}
    began = now()
    with client(served) as http:
        for number in range(orders):
            wait(max(0.0, began + seconds * number / orders - now()))
            user = f"shopper-{number:04d}"
            event = {
                "type": "track",
                "event": "Order Shipped",
                "messageId": f"order-{number:04d}",
                "userId": user,
                "timestamp": iso_now(),
                "properties": {"order_id": user},
            }
            post(http, [orjson.dumps(event)])
            answered[user] = clock.now_ms() / 1000
        # Who was the last to order is waited for as long as the figure allows.
        wait(4.0)
    return answered
