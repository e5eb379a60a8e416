"""Which events go first, and which are not for us."""

from __future__ import annotations

from typing import Any

import pytest

from bridge.segment.audience import ReverseEtl
from bridge.segment.events import (
    LIVE_FOR_MS,
    Event,
    Rank,
    is_onesignal_echo,
    rank_of,
    read_event,
    routed_away,
)

NOW = 1_780_000_000_000


def event(sent: dict[str, Any] | None = None, *, reverse_etl: ReverseEtl | None = None) -> Event:
    element = {"type": "track", "messageId": "m", "timestamp": NOW} | (sent or {})
    found = read_event(
        element, raw=b"{}", source="backend", received_ms=NOW, reverse_etl=reverse_etl
    )
    assert isinstance(found, Event)
    return found


# Ranks


def rank(sent: dict[str, Any], *, now_ms: int = NOW, is_bulk: bool = False, **more: Any) -> Rank:
    return rank_of(event(sent, **more), now_ms=now_ms, source_is_bulk=is_bulk)


def test_an_event_that_has_just_happened_is_live() -> None:
    assert rank({}) is Rank.LIVE < Rank.BULK
    assert rank({}, now_ms=NOW + LIVE_FOR_MS) is Rank.LIVE


def test_an_event_of_ten_minutes_ago_is_bulk() -> None:
    assert rank({}, now_ms=NOW + LIVE_FOR_MS + 1) is Rank.BULK


@pytest.mark.parametrize(
    "sent",
    [
        {"replay": True},
        {"context": {"__segment_internal": {"creator": "sync-worker"}}},
        {"event": "deleted", "properties": {"__segment_id": "r1"}},
    ],
)
def test_what_comes_in_backlogs_is_bulk(sent: dict[str, Any]) -> None:
    assert rank(sent) is Rank.BULK


def test_a_source_marked_bulk_is_bulk() -> None:
    assert rank({}, is_bulk=True) is Rank.BULK


def test_rows_of_a_reverse_etl_source_are_bulk() -> None:
    reverse_etl = ReverseEtl(mode="upsert", key="vip")
    assert rank({"event": "new"}, reverse_etl=reverse_etl) is Rank.BULK
    assert rank({"event": "Order Shipped"}, reverse_etl=reverse_etl) is Rank.LIVE
    assert rank({"event": "new"}) is Rank.LIVE
    assert rank({"type": "identify", "event": "new"}, reverse_etl=reverse_etl) is Rank.LIVE


@pytest.mark.parametrize(
    "sent",
    [{"replay": False}, {"replay": "true"}, {"context": {"__segment_internal": "sync-worker"}}],
)
def test_what_only_looks_like_a_backlog_is_live(sent: dict[str, Any]) -> None:
    assert rank(sent) is Rank.LIVE


# Echoes and routing


@pytest.mark.parametrize(
    "sent",
    [
        {"context": {"library": {"name": "OneSignal"}}},
        {"context": {"library": {"name": "com.onesignal.segment"}}},
        {"context": {"integration": {"name": "OneSignal (Source)"}}},
        {"context": {"integration": "OneSignal"}},
        {"event": "Push Clicked", "properties": {"onesignal_id": "8d0f"}},
        {"event": "In-App Message Page Displayed", "properties": {"onesignal_id": "8d0f"}},
    ],
)
def test_what_onesignal_sent_itself_is_an_echo(sent: dict[str, Any]) -> None:
    assert is_onesignal_echo(event(sent))


@pytest.mark.parametrize(
    "sent",
    [
        {"event": "Push Clicked"},
        {"event": "Push Clicked", "properties": {"onesignal_id": ""}},
        {"event": "Order Shipped", "properties": {"onesignal_id": "8d0f"}},
        {"context": {"library": {"name": "analytics.js"}, "integration": {"name": "Stripe"}}},
        {"context": {"library": None, "integration": 7}},
        {"integrations": {"OneSignal": True}},
    ],
)
def test_what_others_sent_is_no_echo(sent: dict[str, Any]) -> None:
    assert not is_onesignal_echo(event(sent))


@pytest.mark.parametrize("name", ["OneSignal", "OneSignal New", "OneSignal (New)"])
def test_an_explicit_false_under_our_name_routes_an_event_away(name: str) -> None:
    assert routed_away(event({"integrations": {"All": True, name: False}}))
    assert not routed_away(event({"integrations": {"All": False, name: True}}))
    assert not routed_away(event({"integrations": {name: {"enabled": False}}}))


@pytest.mark.parametrize(
    "integrations",
    [{"All": False}, {"all": False}, {"onesignal": False}, {"OneSignal": None}, {"OneSignal": 0}, {}, None, [], "x"],
)  # fmt: skip
def test_nothing_else_routes_an_event_away(integrations: object) -> None:
    assert not routed_away(event({"integrations": integrations}))
