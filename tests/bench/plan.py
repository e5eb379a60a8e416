"""`plan`: from an event's stored bytes to the bodies of its requests; pure thinking, on one core."""

from __future__ import annotations

import itertools
import os
import statistics
import time
from collections.abc import Callable
from typing import Any

import orjson

from bridge.clock import SystemClock
from bridge.mapping.fql import compile_condition
from bridge.mapping.load import load_mapping, preset
from bridge.mapping.rules import Mapping
from bridge.onesignal.operations import Operation, Send, send_key
from bridge.onesignal.user_model import send_body, update_requests
from bridge.plan import plan as decide
from bridge.segment.events import Event, Unusable, read_event
from tests.bench.events import (
    Template,
    identified,
    now,
    order_completed,
    order_shipped,
    page_viewed,
    price_dropped,
    product_added,
    product_removed,
    product_viewed,
)

APP_ID = "8a1b3c4d-0000-4000-8000-000000000001"
MIX = {
    "product_viewed": 6,
    "product_added": 3,
    "product_removed": 1,
    "identified": 3,
    "order_completed": 1,
    "order_shipped": 1,
    "price_dropped": 1,
    "page_viewed": 4,
}
"""Of twenty events of a shop, as the ecommerce preset has rules for; the last is wanted by none of them."""
_KINDS = {
    "product_viewed": product_viewed,
    "product_added": product_added,
    "product_removed": product_removed,
    "identified": identified,
    "order_completed": order_completed,
    "order_shipped": order_shipped,
    "price_dropped": price_dropped,
    "page_viewed": page_viewed,
}
CONDITION = 'type = "track" and event = "Order Shipped"'
_DIFFERENT = 1000


def plan(seconds: float, rounds: int, connections: int | None) -> dict[str, Any]:
    """Events a second on one core, and nanoseconds for a condition of two terms."""
    del connections
    mapping, _ = load_mapping(preset("ecommerce"), serves=("android", "web"), tag_cap=10)
    stored = _stored()
    received_ms = SystemClock().now_ms()

    def one_pass() -> int:
        return sum(_bodies(text, mapping, received_ms) for text in stored)

    requests = one_pass()
    rates = [_rate(one_pass, seconds) * len(stored) for _ in range(rounds)]
    kinds = {name: _us(name, mapping, received_ms, seconds / 4) for name in MIX}
    return {
        "events_per_second": round(statistics.median(rates)),
        "us_per_event": round(1e6 / statistics.median(rates), 2),
        "us_per_kind": kinds,
        "mapping": f"preset ecommerce, {len(mapping.rules)} rules",
        "mix": MIX,
        "event_bytes": round(statistics.mean(map(len, stored))),
        "requests_per_event": requests / len(stored),
        "condition": CONDITION,
        "condition_ns": _condition_ns(received_ms, seconds / 4),
        "rounds": rounds,
        "seconds": seconds,
        "load_average": os.getloadavg()[0],
    }


def _stored() -> list[bytes]:
    at = now()
    templates = [Template(_KINDS[name](at)) for name, share in MIX.items() for _ in range(share)]
    return [templates[number % len(templates)].numbered(number) for number in range(_DIFFERENT)]


def _read(text: bytes, received_ms: int) -> Event:
    event = read_event(orjson.loads(text), raw=text, source="default", received_ms=received_ms)
    assert not isinstance(event, Unusable)
    return event


def _bodies(text: bytes, mapping: Mapping, received_ms: int) -> int:
    """Make the request bodies of one event; how many there are."""
    event = _read(text, received_ms)
    operations = decide(event, mapping).operations
    return sum(len(_written(one, event)) for one in operations)


def _written(operation: Operation, event: Event) -> list[bytes]:
    if not isinstance(operation, Send):
        requests = update_requests(operation, app_id=APP_ID)
        return [orjson.dumps(request.body) for request in requests]
    key = send_key(
        app="default",
        rule=operation.rule,
        message_id=event.message_id,
        recipient=operation.to,
        generation=0,
    )
    return [send_body(operation, app_id=APP_ID, key=key)]


def _us(name: str, mapping: Mapping, received_ms: int, seconds: float) -> float:
    text = Template(_KINDS[name](now())).numbered(0)
    rate = _rate(lambda: _bodies(text, mapping, received_ms), seconds)
    return round(1e6 / rate, 2)


def _condition_ns(received_ms: int, seconds: float) -> dict[str, float]:
    test = compile_condition(CONDITION).test
    found = {}
    for name, kind in (("met", order_shipped), ("not_met", identified)):
        fields = _read(Template(kind(now())).numbered(0), received_ms).fields

        def thousand(fields: dict[str, Any] = fields) -> None:
            for _ in itertools.repeat(None, 1000):
                test(fields)

        found[name] = round(1e6 / _rate(thousand, seconds), 1)
    return found


def _rate(work: Callable[[], object], seconds: float) -> float:
    """How often a second `work` can be done, processor time of this process alone."""
    count, began = 0, time.process_time()
    while (spent := time.process_time() - began) < seconds:
        work()
        count += 1
    return count / spent
