"""The story that `segment-bridge demo` tells: four customers of a shop, their phones, a few events."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path
from typing import Any

SECRET = "demo-secret"  # noqa: S105 — of a bridge that lives for ten seconds, on loopback
APP_ID = "00000000-0000-4000-8000-00000000de30"

PEOPLE = {"ana": ["ios", "android"], "ben": ["android"], "cleo": ["ios"], "dora": ["web-chrome"]}
"""Who has which devices; Segment already pushes every iPhone."""


def mapping_path() -> Path:
    return Path(str(files("bridge.cli.demonstration").joinpath("shop.yaml")))


def identify(user: str, number: int, *, at: str, **traits: Any) -> dict[str, Any]:
    return {
        "type": "identify",
        "messageId": f"demo-identify-{user}-{number}",
        "userId": user,
        "timestamp": at,
        "context": {"locale": "en-GB"},
        "traits": traits,
    }


def order_shipped(user: str, *, at: str, product: str) -> dict[str, Any]:
    return {
        "type": "track",
        "event": "Order Shipped",
        "messageId": f"demo-shipped-{user}",
        "userId": user,
        "timestamp": at,
        "context": {"traits": {"firstName": user.capitalize()}},
        "properties": {"order_id": f"A-{len(user)}7", "product": product},
    }


def audience(user: str, *, at: str, entered: bool) -> dict[str, Any]:
    return {
        "type": "track",
        "event": "Audience Entered" if entered else "Audience Exited",
        "messageId": f"demo-audience-{user}-{entered}",
        "userId": user,
        "timestamp": at,
        "context": {"personas": {"computation_class": "audience", "computation_key": "vip"}},
        "properties": {"audience_key": "vip", "vip": entered},
    }


def profiles(at: str) -> list[dict[str, Any]]:
    """What Segment knows of everybody: one webhook with a batch."""
    return [
        identify("ana", 1, at=at, tier="gold", orders=7, city="Lisbon"),
        identify("ben", 1, at=at, tier="silver", orders=2, city="Leeds"),
        identify("cleo", 1, at=at, tier="gold", orders=12),
        identify("dora", 1, at=at, tier="new", orders=0),
    ]


def happenings(at: str) -> list[dict[str, Any]]:
    """What then happens: one webhook each."""
    return [
        audience("ana", at=at, entered=True),
        order_shipped("ana", at=at, product="The blue kettle"),
        order_shipped("ben", at=at, product="A pair of boots"),
        order_shipped("cleo", at=at, product="The red lamp"),
        order_shipped("dora", at=at, product="A garden chair"),
    ]
