"""The events that benchmarks send: of a real size, every one with a messageId of its own.

Requests are made before a clock starts: an event is written once as a template, and its number is
put where placeholders of the same width stand, so that all requests of a kind are equally long.
"""

from __future__ import annotations

import hmac
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import orjson

from bridge.clock import SystemClock

SECRET = b"a-shared-secret-of-many-letters"
PATH = "/v1/segment/default"
USERS = 100_000
"""So many that nobody gets more pushes than a person may."""
_MESSAGE, _USER = "message-number-placeholder-0000000000", "user-000000"


def now() -> str:
    """The time of events that have just happened, as Segment writes it."""
    return datetime.fromtimestamp(SystemClock().now_ms() / 1000, UTC).isoformat()


def order_shipped(at: str) -> dict[str, Any]:
    properties = {
        "order_id": "A-50314-B",
        "product": "The blue kettle",
        "carrier": "Parcel Post",
        "total": 74.5,
        "currency": "EUR",
        "products": [
            {"sku": "KT-1702", "name": "The blue kettle", "price": 49.5, "quantity": 1},
            {"sku": "TT-0034", "name": "Tea towel, linen", "price": 12.5, "quantity": 2},
        ],
    }
    return _event("track", at) | {"event": "Order Shipped", "properties": properties}


def identified(at: str) -> dict[str, Any]:
    traits = {
        "tier": "gold",
        "customer_status": "vip",
        "orders": 7,
        "total_spent": 1940.5,
        "city": "Lisbon",
        "email": "ana@shop.example",
        "createdAt": "2024-03-01T09:30:00Z",
        "marketingOptIn": True,
    }
    return _event("identify", at) | {"traits": traits}


def order_completed(at: str) -> dict[str, Any]:
    return order_shipped(at) | {"event": "Order Completed"}


def product_viewed(at: str) -> dict[str, Any]:
    return _event("track", at) | {"event": "Product Viewed", "properties": dict(_KETTLE)}


def product_added(at: str) -> dict[str, Any]:
    return _event("track", at) | {"event": "Product Added", "properties": _KETTLE | {"quantity": 1}}


def product_removed(at: str) -> dict[str, Any]:
    return _event("track", at) | {"event": "Product Removed", "properties": dict(_KETTLE)}


def price_dropped(at: str) -> dict[str, Any]:
    properties = _KETTLE | {"price": 39.5}
    return _event("track", at) | {"event": "Product Price Dropped", "properties": properties}


_KETTLE = {
    "product_id": "507f1f77bcf86cd799439011",
    "sku": "KT-1702",
    "name": "The blue kettle",
    "category": "Kitchen",
    "price": 49.5,
    "currency": "EUR",
    "url": "https://www.shop.example/p/kt-1702",
    "image_url": "https://www.shop.example/p/kt-1702.jpg",
}


def audience_entered(at: str) -> dict[str, Any]:
    event = _event("track", at)
    event["context"]["personas"] = {
        "computation_class": "audience",
        "computation_key": "vip",
        "computation_id": "aud_0ujsszwN8NRY24YaXiTIE2VWDTS",
    }
    properties = {"audience_key": "vip", "vip": True}
    return event | {"event": "Audience Entered", "properties": properties}


def page_viewed(at: str) -> dict[str, Any]:
    """What no rule wants."""
    properties = {"path": "/kettles", "title": "Kettles", "url": "https://www.shop.example/kettles"}
    return _event("page", at) | {"name": "Kettles", "properties": properties}


def _event(kind: str, at: str) -> dict[str, Any]:
    return {
        "type": kind,
        "messageId": _MESSAGE,
        "userId": _USER,
        "anonymousId": "8f9a2a71-52b1-4d0d-8f4e-0f3d3f4a2c11",
        "timestamp": at,
        "sentAt": at,
        "receivedAt": at,
        "originalTimestamp": at,
        "channel": "client",
        "version": 2,
        "context": {
            "ip": "203.0.113.24",
            "locale": "en-GB",
            "userAgent": "Mozilla/5.0 (Linux; Android 14; Pixel 8) AppleWebKit/537.36 Chrome/126.0 Mobile",
            "timezone": "Europe/Lisbon",
            "library": {"name": "analytics-kotlin", "version": "1.16.3"},
            "app": {"name": "Shop", "version": "5.4.5", "namespace": "example.shop"},
            "device": {"type": "android", "manufacturer": "Google", "model": "Pixel 8"},
            "os": {"name": "Android", "version": "14"},
            "network": {"wifi": True, "cellular": False, "carrier": "Example Mobile"},
            "traits": {"firstName": "Ana"},
        },
        "integrations": {},
    }


class Template:
    """One kind of event, ready to be numbered."""

    def __init__(self, event: dict[str, Any]) -> None:
        self._text = orjson.dumps(event)

    @property
    def size(self) -> int:
        return len(self._text)

    def numbered(self, number: int) -> bytes:
        message = f"bench-{number:0{len(_MESSAGE) - 6}d}"
        user = f"user-{number % USERS:06d}"
        text = self._text.replace(_MESSAGE.encode(), message.encode(), 1)
        return text.replace(_USER.encode(), user.encode(), 1)


def requests(*, first: int, count: int, batch: int) -> Iterator[bytes]:
    """Whole HTTP requests, signed as Segment does: a batch by its first event."""
    template = Template(order_shipped(now()))
    for start in range(first, first + count * batch, batch):
        events = [template.numbered(number) for number in range(start, start + batch)]
        yield _request(events[0] if batch == 1 else b"[%b]" % b",".join(events), signed=events[0])


def _request(body: bytes, *, signed: bytes) -> bytes:
    signature = hmac.digest(SECRET, signed, "sha1").hex()
    head = (
        f"POST {PATH} HTTP/1.1\r\nhost: bridge.test\r\nuser-agent: Segment.io/2.0\r\n"
        f"content-type: application/json\r\nx-signature: {signature}\r\n"
        f"content-length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body
