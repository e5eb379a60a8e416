"""How soon a push leaves: from the 200 to its arrival at OneSignal, on an idle bridge.

One event at a time, each for a user of its own who has an Android phone; both times are the wall
clock of this machine, read by us when the 200 is here and by the sandbox when the call arrives.
"""

from __future__ import annotations

import hmac
import statistics
import tempfile
from pathlib import Path
from typing import Any

import httpx
import orjson

from bridge.clock import SystemClock
from tests.bench.events import SECRET, now
from tests.bench.processes import bridge, sandbox
from tests.harness import APP_ID, mapping_of

MAPPING = """
version: 1
push: {platforms: {exclude: [ios]}}
rules:
  - name: shipped
    when: event = "Order Shipped"
    do: {send_notification: {contents: "{{ properties.order_id }} is on its way"}}
"""
PUSHES = 100


def push(_seconds: float, _rounds: int, _connections: int | None) -> dict[str, Any]:
    """Milliseconds from an answer to its push; `PUSHES` of them, one after the other."""
    mapping_of(MAPPING)
    with tempfile.TemporaryDirectory() as folder, sandbox() as onesignal:
        written = Path(folder) / "push.yaml"
        written.write_text(MAPPING)
        with bridge(Path(folder) / "bridge.db", written, onesignal) as served:
            waits = _measure(f"http://127.0.0.1:{served.port}", onesignal)
    return {
        "pushes": len(waits),
        "p50_ms": statistics.median(waits),
        "p95_ms": sorted(waits)[int(len(waits) * 0.95)],
        "slowest_ms": max(waits),
    }


def _measure(here: str, there: str) -> list[int]:
    answered: dict[str, int] = {}
    clock = SystemClock()
    with httpx.Client(trust_env=False) as http:
        for number in range(PUSHES):
            user = f"u{number}"
            device = {"external_id": user, "platform": "android", "app_id": APP_ID}
            http.post(f"{there}/sandbox/devices", json=device).raise_for_status()
            raw = _event(user)
            headers = {"x-signature": hmac.new(SECRET, raw, "sha1").hexdigest()}
            http.post(f"{here}/v1/segment", content=raw, headers=headers).raise_for_status()
            answered[user] = clock.now_ms()
            _arrived(http, there, number + 1)
        arrived = http.get(f"{there}/sandbox/pushes").json()["pushes"]
    return [max(0, one["at_ms"] - answered[one["external_id"]]) for one in arrived]


def _arrived(http: httpx.Client, there: str, count: int) -> None:
    """Ask until so many pushes are there.

    Raises:
        TimeoutError: they are not there after many answers.
    """
    for _ in range(5000):
        if http.get(f"{there}/sandbox/pushes").json()["total"] >= count:
            return
    raise TimeoutError(f"push {count} did not arrive")


def _event(user: str) -> bytes:
    return orjson.dumps(
        {
            "type": "track",
            "event": "Order Shipped",
            "messageId": f"push-{user}",
            "userId": user,
            "timestamp": now(),
            "properties": {"order_id": user},
        }
    )
