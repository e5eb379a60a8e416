"""`to`: one person, who need not be the event's user, and never a crowd."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import orjson
import pytest

from bridge.onesignal import legacy, user_model
from bridge.onesignal.operations import ByDevices, Recipient
from bridge.onesignal.user_model import send_body
from tests.unit.plan.planning import (
    errors_of,
    mapping_of,
    planned,
    pushed,
    rule,
    the_send,
    the_skip,
    the_update,
)


def to_whom(to: Any, **sent: Any) -> Recipient:
    return the_send(pushed({"contents": "Hi", "to": to}, **sent)).to


def test_without_to_it_is_the_events_user() -> None:
    assert the_send(pushed({"contents": "Hi"})).to == Recipient(label="external_id", id="u1")


@pytest.mark.parametrize(
    ("to", "properties", "label", "id_"),
    [
        ({"external_id": "{{ properties.seller }}"}, {"seller": "s1"}, "external_id", "s1"),
        ({"external_id": "{{ properties.seller }}"}, {"seller": 42}, "external_id", "42"),
        ({"external_id": "{{ properties.seller }}"}, {"seller": 42.0}, "external_id", "42"),
        ({"external_id": "s-{{ properties.n }}"}, {"n": 1}, "external_id", "s-1"),
        ({"external_id": "ops"}, {}, "external_id", "ops"),
        ({"alias": {"crm": "{{ properties.crm }}"}}, {"crm": "c1"}, "crm", "c1"),
    ],
)
def test_a_message_from_one_user_to_another(
    to: Any, properties: dict[str, Any], label: str, id_: str
) -> None:
    assert to_whom(to, properties=properties) == Recipient(label=label, id=id_)


@pytest.mark.parametrize(
    ("properties", "reason"),
    [
        ({}, "missing: properties.seller"),
        ({"seller": None}, "missing: properties.seller"),
        ({"seller": ""}, "missing: properties.seller"),
        ({"seller": ["a", "b"]}, "many_recipients: properties.seller"),
        ({"seller": {"id": "a"}}, "not_text: properties.seller"),
        ({"seller": True}, "not_text: properties.seller"),
        ({"seller": "null"}, "blocked_external_id: to"),
        ({"seller": 0}, "blocked_external_id: to"),
        ({"seller": "x" * 513}, "external_id_too_long: to"),
        ({"seller": "{{ all }}"}, "liquid_in_value: properties.seller"),
    ],
    ids=str,
)
def test_nobody_gets_it_when_the_event_does_not_name_one(
    properties: dict[str, Any], reason: str
) -> None:
    found = pushed(
        {"contents": "Hi", "to": {"external_id": "{{ properties.seller }}"}}, properties=properties
    )

    assert str(the_skip(found)) == reason


@pytest.mark.parametrize(
    "to",
    [
        ["a", "b"],
        {"external_id": ["a", "b"]},
        {"alias": {"crm": ["a"]}},
        {"alias": {"crm": "a", "erp": "b"}},
        {"external_id": "a", "subscription_id": "b"},
        {"external_id": "a", "alias": {"crm": "b"}},
        {"included_segments": "All"},
        {"segments": ["All"]},
        {"filters": []},
        {"include_player_ids": ["x"]},
        {},
    ],
    ids=str,
)
def test_a_crowd_is_refused_with_what_to_do_instead(to: Any) -> None:
    errors = errors_of(
        rule(send_notification={"contents": "Hi", "to": to}), push={"platforms": "all"}
    )

    assert len(errors) == 1
    assert errors[0].startswith("one-person-per-event: ")


@pytest.mark.parametrize(
    ("to", "code"),
    [
        ("{{ properties.seller }}", "field-invalid"),
        ({"external": "a"}, "unknown-field"),
        ({"external_id": 5}, "text-unquoted"),
        ({"devices": ["u1"]}, "one-person-per-event"),
        ({"external_id": "{{ properties.seller"}, "template-syntax"),
    ],
    ids=str,
)
def test_other_things_that_name_nobody(to: Any, code: str) -> None:
    errors = errors_of(
        rule(send_notification={"contents": "Hi", "to": to}), push={"platforms": "all"}
    )

    assert [one.partition(":")[0] for one in errors] == [code]


# A device


def test_a_device_is_sent_to_by_its_subscription_and_without_flags() -> None:
    found = pushed(
        {"contents": "Hi", "platforms": "all", "to": {"subscription_id": "{{ properties.s }}"}},
        properties={"s": "5f6c3a52-3d0b-4f57-9d5e-1f0a6f5f7c11"},
    )

    body = orjson.loads(send_body(the_send(found), app_id="a", key="k"))

    assert body == {
        "app_id": "a",
        "contents": {"en": "Hi"},
        "include_subscription_ids": ["5f6c3a52-3d0b-4f57-9d5e-1f0a6f5f7c11"],
        "idempotency_key": "k",
    }


def test_no_policy_can_be_kept_for_a_device_whose_platform_nobody_knows() -> None:
    send = {"contents": "Hi", "to": {"subscription_id": "{{ properties.s }}"}}

    errors = errors_of(rule(send_notification=send), push={"platforms": {"exclude": ["ios"]}})

    assert [one.partition(":")[0] for one in errors] == ["platforms-of-a-device"]


@pytest.mark.parametrize(
    "operation",
    [
        {"update_user": {"tags": {"a": "1"}}},
        {"delete_user": {}},
        {"add_subscription": {"type": "Email", "token": "a@b.example"}},
    ],
    ids=lambda one: next(iter(one)),
)
def test_a_device_is_no_user(operation: dict[str, Any]) -> None:
    ((name, fields),) = operation.items()
    to_a_device: dict[str, Any] = {name: {**fields, "to": {"subscription_id": "s"}}}
    errors = errors_of(rule(**to_a_device))

    assert [one.partition(":")[0] for one in errors] == ["target-not-a-user"]


# Registered devices

BY: dict[str, Any] = {"exclude": ["ios"], "by": "devices"}


@pytest.mark.parametrize(
    ("send", "devices"),
    [
        ({"platforms": BY}, ByDevices(frozenset({"android", "web"}), "skip")),
        (
            {"platforms": BY | {"unknown_devices": "flags"}},
            ByDevices(frozenset({"android", "web"}), "flags"),
        ),
        ({"platforms": {"only": ["android"], "by": "devices"}}, ByDevices(frozenset({"android"}))),
        (
            {"platforms": "all", "to": {"devices": "{{ userId }}"}},
            ByDevices(frozenset({"android", "web", "ios", "ios_web"})),
        ),
        ({"platforms": {"exclude": ["ios"]}}, None),
    ],
    ids=str,
)
def test_a_push_says_whether_registered_devices_are_named(
    send: dict[str, Any], devices: ByDevices | None
) -> None:
    found = pushed({"contents": "Hi", **send}, serves=("android", "web", "ios"))

    assert the_send(found).to == Recipient(label="external_id", id="u1")
    assert the_send(found).devices == devices


def test_what_is_not_looked_up_yet_is_shown_in_words_and_named_without_flags() -> None:
    send = the_send(pushed({"contents": "Hi", "platforms": BY}))

    assert orjson.loads(send_body(send, app_id="a", key="k")) == {
        "app_id": "a",
        "contents": {"en": "Hi"},
        "include_subscription_ids": ["registered devices of external_id:u1"],
        "idempotency_key": "k",
    }


def test_the_ids_of_devices_are_named_and_no_flags() -> None:
    send = replace(
        the_send(pushed({"contents": "Hi", "platforms": BY})), subscriptions=("s1", "s2")
    )

    for api, name in ((user_model, "include_subscription_ids"), (legacy, "include_player_ids")):
        body = orjson.loads(api.send_body(send, app_id="a", key="k"))
        assert body[name] == ["s1", "s2"]
        assert not [field for field in body if field.startswith("is")]


@pytest.mark.parametrize(
    ("platforms", "words"),
    [
        ({"exclude": ["ios"], "by": "hope"}, "`by` is `devices`"),
        ({"exclude": ["ios"], "unknown_devices": "skip"}, "goes with `by: devices`"),
        (BY | {"unknown_devices": "guess"}, "`skip` or `flags`"),
        ({"by": "devices"}, "write `all`"),
        (BY | {"only": ["web"]}, "write `all`"),
    ],
    ids=str,
)
def test_a_policy_that_says_half_is_refused(platforms: Any, words: str) -> None:
    (error,) = errors_of(push={"platforms": platforms})

    assert words in error


@pytest.mark.parametrize("to", [{"alias": {"crm": "c1"}}, {"subscription_id": "s1"}], ids=str)
def test_devices_are_found_by_the_external_id_alone(to: Any) -> None:
    errors = errors_of(
        rule(send_notification={"contents": "Hi", "platforms": BY, "to": to}),
        push={"platforms": "all"},
    )

    assert "devices-of-a-person" in [one.partition(":")[0] for one in errors]


@pytest.mark.parametrize(
    "operation",
    [
        {"update_user": {"tags": {"a": "1"}}},
        {"delete_user": {}},
        {"create_alias": {"label": "crm", "id": "c"}},
        {"track_custom_event": {"name": "n"}},
    ],
    ids=lambda one: next(iter(one)),
)
def test_only_a_push_goes_to_devices(operation: dict[str, Any]) -> None:
    ((name, fields),) = operation.items()
    to_devices: dict[str, Any] = {name: {**fields, "to": {"devices": "u1"}}}
    errors = errors_of(rule(**to_devices))

    assert [one.partition(":")[0] for one in errors] == ["target-not-a-user"]


def test_home_screen_web_apps_alone_have_no_flag_and_can_be_named() -> None:
    only = {"only": ["ios_web"], "by": "devices"}
    found = pushed({"contents": "Hi", "platforms": only}, serves=("android", "web", "ios"))

    assert the_send(found).devices == ByDevices(frozenset({"ios_web"}))
    assert the_send(found).flags == {}


# Writing to somebody else


def test_tags_of_two_people_are_two_requests_with_a_cap_each() -> None:
    seller = {"external_id": "{{ properties.seller }}"}
    mapping = mapping_of(
        rule("mine", update_user={"tags": {"bought": "1"}}),
        rule("theirs", update_user={"tags": {"sold": "1"}, "to": seller}),
        rule("mine-too", update_user={"tags": {"more": "1"}}),
        tag_cap=2,
    )

    found = planned(mapping, properties={"seller": "s1"})

    assert [(one.to.id, one.tags, one.rules) for one in found.operations] == [  # type: ignore[union-attr]  # all are UpdateUser
        ("u1", {"bought": "1", "more": "1"}, ("mine", "mine-too")),
        ("s1", {"sold": "1"}, ("theirs",)),
    ]
    assert found.notes == ()


def test_one_who_is_named_and_is_the_events_user_is_one_request() -> None:
    mapping = mapping_of(
        rule("a", update_user={"tags": {"a": "1"}}),
        rule("b", update_user={"tags": {"b": "1"}, "to": {"external_id": "{{ userId }}"}}),
    )

    assert the_update(planned(mapping)).tags == {"a": "1", "b": "1"}
