"""What an event says of its phone, by the token in its context."""

from __future__ import annotations

from typing import Any

import pytest

from bridge.mapping.rules import Trust
from bridge.onesignal.api import Spoken
from bridge.onesignal.operations import Recipient, SetPushToken
from bridge.plan import Skip, triage
from tests.unit.plan.planning import errors_of, event_of, mapping_of, planned, rule

TOKEN = "ab" * 32
U1 = Recipient("external_id", "u1")


def phone(**more: Any) -> dict[str, Any]:
    return {"device": {"type": "ios", "id": "p1", "token": TOKEN} | more}


def said(
    tokens: Any = ("ios",), context: dict[str, Any] | None = None, **sent: Any
) -> list[SetPushToken]:
    mapping = mapping_of(push_tokens=list(tokens) if isinstance(tokens, tuple) else tokens)
    plan = planned(mapping, context=phone() if context is None else context, **sent)
    return [one for one in plan.operations if isinstance(one, SetPushToken)]


def test_a_token_is_said_of_the_events_user() -> None:
    assert said() == [SetPushToken(to=U1, type="iOSPush", device="p1", token=TOKEN)]


@pytest.mark.parametrize(
    ("device", "type_"),
    [
        ({"type": "ios"}, "iOSPush"),
        ({"type": "Android"}, "AndroidPush"),
        ({"type": "iOS"}, "iOSPush"),
    ],
)
def test_what_kind_it_is_the_device_says(device: dict[str, Any], type_: str) -> None:
    (one,) = said(("ios", "android"), phone(**device))
    assert one.type == type_


@pytest.mark.parametrize(
    "context",
    [
        phone(type="android"),
        phone(type="web"),
        phone(token=None),
        phone(token=""),
        phone(token="  "),
        phone(token=7),
        phone(token=[TOKEN]),
        {"device": TOKEN},
        {},
    ],
)
def test_an_event_that_says_nothing_of_its_phone_is_nothing_for_the_bridge(
    context: dict[str, Any],
) -> None:
    assert said(context=context) == []
    found = triage(event_of({"context": context}), mapping_of(push_tokens=["ios"]))
    assert found.skip == Skip("no_rule")


def test_a_devices_id_that_is_too_long_for_one_is_none() -> None:
    assert [one.device for one in said(context=phone(id="x" * 256))] == ["x" * 256]
    assert [one.device for one in said(context=phone(id="x" * 257))] == [None]


def test_only_an_iphone_has_a_token_of_a_development_build() -> None:
    tokens = {"platforms": ["ios", "android"], "development": 'type = "identify"'}
    assert [one.test for one in said(tokens)] == [1]
    assert [one.test for one in said(tokens, type="track")] == [0]
    assert [one.test for one in said(tokens, phone(type="android"))] == [None]


def test_an_event_without_a_rule_is_wanted_for_its_token() -> None:
    found = triage(event_of({"context": phone()}), mapping_of(push_tokens=["ios"]))
    assert (found.skip, found.token) == (None, True)


@pytest.mark.parametrize("token", ["a", "has blanks in it", "ü" * 64, "a" * 5000, ".."])
def test_what_no_phone_can_have_is_skipped(token: str) -> None:
    plan = planned(mapping_of(push_tokens=["ios"]), context=phone(token=token))
    assert plan.operations == ()
    assert plan.skips == (Skip("bad_token", operation="push_token"),)


CONDITIONS = {
    "platforms": ["ios"],
    "withdrawn": "properties.granted = false",
    "granted": "properties.granted = true",
    "logged_out": 'event = "Logged Out"',
    "development": "context.app.build = 'debug'",
}


def subscribed(status: str, kind: str = "IOS_PUSH", key: str | None = TOKEN) -> dict[str, Any]:
    return {"messaging_subscriptions": [{"type": kind, "key": key, "status": status}]}


@pytest.mark.parametrize(
    ("context", "properties", "allowed"),
    [
        ({}, {}, None),
        ({}, {"granted": False}, False),
        ({}, {"granted": True}, True),
        (subscribed("SUBSCRIBED"), {}, True),
        (subscribed("UNSUBSCRIBED"), {}, False),
        (subscribed("DID_NOT_SUBSCRIBE"), {}, False),
        (subscribed("UNSUBSCRIBED"), {"granted": True}, False),
        (subscribed("SUBSCRIBED"), {"granted": False}, False),
        (subscribed("UNSUBSCRIBED", "ANDROID_PUSH"), {}, None),
        (subscribed("UNSUBSCRIBED", key="another"), {}, None),
        (subscribed("UNSUBSCRIBED", key=None), {}, False),
    ],
)
def test_whether_it_takes_pushes_is_said_by_conditions_and_by_segment(
    context: dict[str, Any], properties: dict[str, Any], allowed: Any
) -> None:
    (one,) = said(CONDITIONS, phone() | context, properties=properties)
    assert one.allowed is allowed


def test_that_permission_is_withdrawn_is_said_without_a_token_too() -> None:
    (one,) = said(CONDITIONS, phone(token=None), properties={"granted": False})
    assert (one.device, one.token, one.allowed) == ("p1", None, False)
    assert said(CONDITIONS, phone(token=None), properties={"granted": True}) == []
    assert said(CONDITIONS, phone(token=None, id=None), properties={"granted": False}) == []


def test_a_user_who_logs_out_leaves_the_phone() -> None:
    (one,) = said(CONDITIONS, event="Logged Out", type="track")
    assert one.leaves


@pytest.mark.parametrize(("build", "test"), [("debug", 1), ("release", 0)])
def test_a_build_for_development_is_marked(build: str, test: int) -> None:
    (one,) = said(CONDITIONS, phone() | {"app": {"build": build}})
    assert one.test == test


# Who may say so --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("trust", "clients", "is_heard"),
    [
        ("server", [], True),
        ("client", [], False),
        ("client", ["default"], True),
        ("client", ["x"], False),
    ],
)
def test_what_anybody_can_send_attaches_no_phone_unless_the_mapping_names_the_source(
    trust: Trust, clients: list[str], *, is_heard: bool
) -> None:
    tokens = {"platforms": ["ios"], "clients": clients}
    mapping = mapping_of(push_tokens=tokens, trust=trust)
    sent = {"context": phone()}
    plan = planned(mapping, **sent)
    assert bool(plan.operations) == is_heard
    assert (triage(event_of(sent), mapping).skip is None) == is_heard
    if not is_heard:
        assert [str(one) for one in plan.skips] == ["client_source: push_tokens.clients"]


def test_a_rule_acts_on_it_all_the_same() -> None:
    tagged = rule(update_user={"tags": {"a": "b"}})
    plan = planned(mapping_of(tagged, push_tokens=["ios"], trust="client"), context=phone())
    assert [one.name for one in plan.operations] == ["update_user"]
    assert [(one.operation, one.reason) for one in plan.skips] == [("push_token", "client_source")]


def test_the_legacy_api_has_no_phones_to_give() -> None:
    mapping = mapping_of(push_tokens=["ios"], spoken=Spoken(api="legacy"))
    plan = planned(mapping, context=phone())
    assert [str(one) for one in plan.skips] == ["legacy_api: push_tokens"]


def test_an_event_of_nobody_attaches_nothing() -> None:
    mapping = mapping_of(push_tokens=["ios"])
    found = triage(event_of({"userId": None, "context": phone()}), mapping)
    assert found.skip == Skip("no_external_id")


# What is written wrong -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("tokens", "code"),
    [
        ([], "field-invalid"),
        (["web"], "field-invalid"),
        ("ios", "field-invalid"),
        ({}, "field-missing"),
        ({"platforms": ["ios"], "withdrew": "true"}, "unknown-field"),
        ({"platforms": ["ios"], "withdrawn": "event ="}, "condition-invalid"),
    ],
)
def test_what_is_wrong_with_it_is_said(tokens: Any, code: str) -> None:
    assert {one.partition(":")[0] for one in errors_of(push_tokens=tokens)} == {code}
