"""What shares a call: who is chosen for it, and what the same members make of it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import orjson
import pytest
from hypothesis import given, strategies as st

from bridge.deliver.seal import EVENTS_BYTES, SAME_AGE_MS, Sealer, accepted, call_key, group_of
from bridge.journal.groups import Member
from bridge.onesignal.api import api_named
from bridge.onesignal.operations import Recipient, Send, SendNotification, TrackCustomEvent
from bridge.onesignal.verdict import Accepted

API = api_named("user-model")
PUSH = SendNotification(
    rule="sale",
    to=Recipient("external_id", "u1"),
    body={"contents": {"en": "Shoes"}},
    flags={"isIos": False, "isAndroid": True},
    max_age_ms=None,
)
EVENT = TrackCustomEvent(
    rule="bought",
    to=Recipient("external_id", "u1"),
    event="bought",
    properties={},
    at_ms=0,
    max_age_ms=None,
)


def group(send: Send = PUSH, **more: Any) -> Any:
    values: dict[str, Any] = {"app": "shop", "api": API, "app_id": "a", "rank": 0}
    return group_of(send, **(values | more))


def member(number: int, **more: Any) -> Member:
    values: dict[str, Any] = {
        "key": f"key-{number}",
        "rule": "sale",
        "recipient": f"u{number}",
        "part": None,
        "expires_ms": None,
        "label": "external_id",
    }
    return Member(**(values | more))


def chosen(*members: Member, most: int = 2000, send: Send = PUSH) -> list[str]:
    found = Sealer(most=most).choose(group(send), members)
    return [one.key for one in found]


# Which group ----------------------------------------------------------------------------------------


def test_who_gets_it_makes_no_other_group_of_a_push() -> None:
    assert group(replace(PUSH, to=Recipient("external_id", "u2"))).id == group().id


@pytest.mark.parametrize(
    ("send", "more"),
    [
        (replace(PUSH, rule="another"), {}),
        (replace(PUSH, to=Recipient("crm", "u1")), {}),
        (replace(PUSH, body={"contents": {"en": "Hats"}}), {}),
        (replace(PUSH, flags={"isIos": True}), {}),
        (PUSH, {"app": "another"}),
        (PUSH, {"rank": 1}),
        (EVENT, {}),
    ],
)
def test_what_differs_in_anything_else_shares_no_call(send: Send, more: dict[str, Any]) -> None:
    assert group(send, **more).id != group().id


def test_custom_events_share_calls_whatever_they_say() -> None:
    other = replace(EVENT, rule="another", event="sold", properties={"a": 1})
    assert group(other).id == group(EVENT).id


# Who is chosen --------------------------------------------------------------------------------------


def test_those_of_one_age_share_a_call_and_the_first_says_which() -> None:
    first, late = member(1, expires_ms=0), member(2, expires_ms=SAME_AGE_MS)
    later, never = member(3, expires_ms=SAME_AGE_MS + 1), member(4)
    assert chosen(first, late, later, never) == ["key-1", "key-2"]
    assert chosen(later, late, first, never) == ["key-3", "key-2"]
    assert chosen(never, first, member(5)) == ["key-4", "key-5"]


def test_nobody_is_named_twice_in_a_call_of_pushes() -> None:
    twice = member(2, recipient="u1")
    assert chosen(member(1), twice, member(3)) == ["key-1", "key-3"]
    assert chosen(member(1, part=b"{}"), twice._replace(part=b"{}"), send=EVENT) == [
        "key-1",
        "key-2",
    ]


def test_every_device_of_a_person_counts_for_how_many_a_call_may_name() -> None:
    two = [member(n, part=orjson.dumps([f"d{n}", f"e{n}"])) for n in (1, 2, 3)]
    assert chosen(*two, most=5) == ["key-1", "key-2"]
    # One person's are never torn apart.
    assert chosen(*two, most=1) == ["key-1"]


def test_a_call_of_custom_events_is_no_larger_than_onesignal_takes() -> None:
    half = b"x" * (EVENTS_BYTES // 2)
    assert chosen(member(1, part=half), member(2, part=half), send=EVENT) == ["key-1"]
    some = [member(n, part=b"x" * 2024) for n in range(500)]
    taken = chosen(*some, send=EVENT)
    assert len(taken) > 480
    assert 2025 * len(taken) <= EVENTS_BYTES


# What it is -----------------------------------------------------------------------------------------


@given(st.permutations(range(5)))
def test_the_same_members_make_the_same_call_in_whatever_order_they_come(order: list[int]) -> None:
    sealer = Sealer(most=2000)
    made = sealer.make(group(), [member(n) for n in order])
    assert made == sealer.make(group(), [member(n) for n in range(5)])
    assert made[0] == call_key([f"key-{n}" for n in order])
    assert orjson.loads(made[1])["idempotency_key"] == made[0]


def test_a_call_of_one_has_that_ones_own_key() -> None:
    assert call_key(["only"]) == "only"
    assert Sealer(most=9).make(group(), [member(7)])[0] == "key-7"


def test_a_device_of_two_people_is_named_once() -> None:
    shared = [member(n, part=b'["d1"]', label="subscription_id") for n in (1, 2)]
    devices = replace(PUSH, subscriptions=("d1",))
    _, body = Sealer(most=9).make(group(devices), shared)
    assert body.count(b'"d1"') == 1


# How a member ends ----------------------------------------------------------------------------------


def test_who_was_reached_on_one_device_of_two_was_reached() -> None:
    both = member(1, part=b'["d1","d2"]')
    one = Accepted(200, "n1", unreached=frozenset({"d1"}))
    neither = Accepted(200, "n1", unreached=frozenset({"d1", "d2", "d3"}))
    assert accepted(both, one, endpoint="send").status == "delivered"
    assert accepted(both, neither, endpoint="send").status == "no_recipients"
