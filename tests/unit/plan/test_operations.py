"""Custom events, aliases, subscriptions and deletions: what an event gives, and what it does not."""

from __future__ import annotations

import uuid
from typing import Any

import orjson
import pytest
from hypothesis import assume, given, strategies as st

from bridge.onesignal.operations import (
    NAMESPACE,
    AddSubscription,
    CreateAlias,
    DeleteUser,
    Recipient,
    RemoveSubscription,
    TrackCustomEvent,
    send_key,
)
from bridge.onesignal.user_model import EVENT_BYTES, custom_event
from bridge.plan import Plan
from tests.unit.plan.planning import (
    RECEIVED_MS,
    errors_of,
    mapping_of,
    notes,
    planned,
    rule,
    the_skip,
)

ADA = Recipient(label="external_id", id="u1")


def did(operation: dict[str, Any], **sent: Any) -> Plan:
    """The plan of a mapping whose only rule does this."""
    return planned(mapping_of(rule(**operation)), **sent)


def the_event(plan: Plan) -> TrackCustomEvent:
    (event,) = plan.operations
    assert isinstance(event, TrackCustomEvent)
    return event


# Custom events

TRACK = {
    "track_custom_event": {
        "name": "order_{{ properties.state }}",
        "properties": {
            "total": "{{ properties.total }}",
            "first": "{{ properties.products[0].name }}",
            "note": "of {{ properties.shop }}",
            "kind": {"list": [1, "{{ properties.state }}"]},
        },
    }
}


def test_a_custom_event_has_the_values_of_the_event_with_their_types() -> None:
    properties = {"state": "paid", "total": 7.5, "products": [{"name": "Kettle"}], "shop": "Wien"}

    event = the_event(did(TRACK, properties=properties, timestamp="2025-10-09T08:00:00Z"))

    assert event == TrackCustomEvent(
        rule="r",
        to=ADA,
        event="order_paid",
        properties={
            "total": 7.5, "first": "Kettle", "note": "of Wien", "kind": {"list": [1, "paid"]},
        },
        at_ms=1_759_996_800_000,
        max_age_ms=14_400_000,
    )  # fmt: skip


def test_a_property_that_is_missing_is_left_out_and_null_is_passed_on() -> None:
    found = did(TRACK, properties={"state": "paid", "total": None})

    assert the_event(found).properties == {"total": None, "kind": {"list": [1, "paid"]}}
    assert notes(found) == [
        "properties.first: missing (properties.products[0].name)",
        "properties.note: missing (properties.shop)",
    ]


def test_without_a_time_of_its_own_it_happened_when_it_came() -> None:
    assert the_event(did(TRACK, properties={"state": "x"})).at_ms == RECEIVED_MS


@pytest.mark.parametrize(
    ("properties", "reason"),
    [
        ({}, "missing: properties.state"),
        ({"state": "x" * 123}, "too_long: name"),
        ({"state": ["x"]}, "not_text: properties.state"),
        ({"state": "{{ x }}"}, "liquid_in_value: properties.state"),
    ],
)
def test_an_event_without_a_name_is_none(properties: dict[str, Any], reason: str) -> None:
    assert str(the_skip(did(TRACK, properties=properties))) == reason


@pytest.mark.parametrize("more", [0, 1])
def test_2024_bytes_are_the_limit_of_an_event(more: int) -> None:
    track = {"track_custom_event": {"name": "e", "properties": {"t": "{{ properties.t }}"}}}
    key = "00000000-0000-5000-8000-000000000000"
    room = EVENT_BYTES - len(custom_event(the_event(did(track, properties={"t": ""})), key=key))

    found = did(track, properties={"t": "x" * (room + more)})

    if more:
        assert str(the_skip(found)) == "too_long: 2025 bytes, and OneSignal takes 2024"
    else:
        assert len(custom_event(the_event(found), key=key)) == EVENT_BYTES


def test_an_event_is_of_a_user_by_external_id_or_onesignal_id_only() -> None:
    assert the_event(
        did({"track_custom_event": {"name": "e", "to": {"alias": {"onesignal_id": "o"}}}})
    ).to == Recipient(label="onesignal_id", id="o")
    errors = errors_of(rule(track_custom_event={"name": "e", "to": {"alias": {"crm": "c"}}}))
    assert [one.partition(":")[0] for one in errors] == ["target-label"]


def test_a_name_that_is_too_long_is_an_error_beforehand() -> None:
    errors = errors_of(rule(track_custom_event={"name": "x" * 129}))

    assert errors == ["field-unusable: a custom event's name has up to 128 characters"]


def test_a_replayed_event_tracks_nothing_unless_the_rule_says_so() -> None:
    mapping = mapping_of(rule(track_custom_event={"name": "e"}))
    wanted = mapping_of(rule(track_custom_event={"name": "e"}, replays=True))

    assert str(the_skip(planned(mapping, replay=True))) == "replay"
    assert the_event(planned(wanted, replay=True)).event == "e"


def test_a_custom_event_is_on_the_terms_of_its_rule() -> None:
    track = rule(track_custom_event={"name": "e"}, once_per={"time": "7d", "key": "{{ userId }}"})

    found = planned(mapping_of(track))

    assert found.terms["r"].once == (7 * 86_400_000, "u1")


# Aliases


@pytest.mark.parametrize(
    ("value", "id_"), [("c1", "c1"), (7, "7"), (7.5, "7.5"), ("x" * 512, "x" * 512)]
)
def test_an_alias_is_one_more_id(value: Any, id_: str) -> None:
    found = did({"create_alias": {"label": "crm", "id": "{{ traits.crm }}"}}, traits={"crm": value})

    assert found.operations == (CreateAlias(rule="r", to=ADA, label="crm", id=id_),)


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (None, "empty_text: id"),
        ("", "empty_text: id"),
        ("undefined", "blocked_external_id: id"),
        ("x" * 513, "too_long: id"),
        ([1], "not_text"),
    ],
)
def test_what_is_no_id_is_no_alias(value: Any, reason: str) -> None:
    alias = {"create_alias": {"label": "crm", "id": "{{ traits.crm }}"}}

    assert str(the_skip(did(alias, traits={"crm": value}))) == reason
    assert str(the_skip(did(alias, traits={}))) == "missing: traits.crm"


@pytest.mark.parametrize("label", ["external_id", "onesignal_id", "", "a b", "{{ traits.l }}"])
def test_labels_that_are_not_the_customers(label: str) -> None:
    errors = errors_of(rule(create_alias={"label": label, "id": "x"}))

    assert [one.partition(":")[0] for one in errors] == ["field-invalid"]


# Subscriptions


@pytest.mark.parametrize(
    ("kind", "token"),
    [
        ("Email", "ada@shop.example"),
        ("SMS", "+4312345678"),
        ("AndroidPush", "fcm:token"),
        ("iOSPush", "aabb"),
        ("iOSPush", "x" * 4096),
        ("SMS", "+1234567"),
        ("SMS", "+123456789012345"),
        ("Email", "a" * 310 + "@b.example"),
    ],
)
def test_a_subscription_comes_and_goes(kind: str, token: str) -> None:
    fields = {"type": kind, "token": "{{ traits.t }}"}

    added = did({"add_subscription": fields}, traits={"t": f" {token} " if "+" in token else token})
    removed = did({"remove_subscription": fields}, traits={"t": token})

    assert added.operations == (AddSubscription(rule="r", to=ADA, type=kind, token=token),)
    assert removed.operations == (RemoveSubscription(rule="r", to=ADA, type=kind, token=token),)


@pytest.mark.parametrize(
    ("kind", "token", "reason"),
    [
        ("Email", "ada", "not_an_email: token"),
        ("Email", "ada@shop", "not_an_email: token"),
        ("Email", "a b@shop.example", "not_an_email: token"),
        ("Email", "Ada <ada@shop.example>", "not_an_email: token"),
        ("SMS", "0664 1234567", "not_e164: token"),
        ("SMS", "+43 664 1234567", "not_e164: token"),
        ("SMS", "+0664123456", "not_e164: token"),
        ("SMS", "+١٢٣٤٥٦٧٨", "not_e164: token"),
        ("SMS", "+1234567890123456", "not_e164: token"),
        ("SMS", "+123456", "not_e164: token"),
        ("Email", "a" * 311 + "@b.example", "not_an_email: token"),
        ("AndroidPush", "", "empty_text: token"),
        ("AndroidPush", None, "empty_text: token"),
        ("AndroidPush", "x" * 4097, "too_long: token"),
        ("AndroidPush", {"a": 1}, "not_text"),
    ],
)
def test_what_is_no_address_and_no_number_is_not_added(kind: str, token: Any, reason: str) -> None:
    for name in ("add_subscription", "remove_subscription"):
        found = did({name: {"type": kind, "token": "{{ traits.t }}"}}, traits={"t": token})
        assert str(the_skip(found)) == reason


def test_a_kind_of_subscription_that_there_is_not() -> None:
    (error,) = errors_of(rule(add_subscription={"type": "Push", "token": "x"}))

    assert error.startswith("field-invalid: ")
    assert "AndroidPush" in error


# Deletions


@pytest.mark.parametrize("written", [{}, None])
def test_a_deletion_goes_last(written: Any) -> None:
    mapping = mapping_of(
        rule("delete", delete_user=written),
        rule("alias", create_alias={"label": "crm", "id": "c1"}),
        rule("track", track_custom_event={"name": "bye"}),
        rule("tag", update_user={"tags": {"a": "1"}}),
    )

    found = planned(mapping)

    assert [one.name for one in found.operations] == [
        "update_user", "create_alias", "track_custom_event", "delete_user",
    ]  # fmt: skip
    assert found.operations[-1] == DeleteUser(rule="delete", to=ADA)


def test_one_rule_may_do_one_of_each() -> None:
    everything = rule(
        update_user={"tags": {"a": "1"}, "email": "{{ traits.email }}"},
        send_notification={"contents": "Hi"},
        track_custom_event={"name": "e"},
        create_alias={"label": "crm", "id": "c1"},
        add_subscription={"type": "SMS", "token": "+4312345678"},
        remove_subscription={"type": "SMS", "token": "+4387654321"},
        delete_user={},
    )

    found = planned(
        mapping_of(everything, push={"platforms": "all"}), traits={"email": "a@b.example"}
    )

    assert [type(one).__name__ for one in found.operations] == [
        "UpdateUser", "SetContact", "CreateAlias", "AddSubscription", "RemoveSubscription",
        "SendNotification", "TrackCustomEvent", "DeleteUser",
    ]  # fmt: skip
    assert orjson.dumps([one.name for one in found.operations])


def test_raw_properties_of_a_user_are_passed_on_and_what_has_a_field_is_not() -> None:
    found = did(
        {
            "update_user": {
                "raw": {
                    "test_user_name": "{{ traits.name }}",
                    "lat": "{{ traits.lat }}",
                    "new": "{{ traits.whole }}",
                }
            }
        },
        traits={"name": "Ada", "whole": {"external_id": "u2"}},
    )

    (update,) = found.operations
    assert update.properties == {"test_user_name": "Ada"}  # type: ignore[union-attr]  # it is an UpdateUser
    assert notes(found) == ["raw.lat: missing (traits.lat)", "raw.new: reserved_name"]
    for name in ("tags", "language", "timezone_id", "subscriptions", "identity"):
        errors = errors_of(rule(update_user={"raw": {name: "x"}}))
        assert [one.partition(":")[0] for one in errors] == ["raw-declared"]


@given(st.text(max_size=30), st.text(max_size=30), st.text(max_size=30))
def test_a_key_is_the_uuid5_of_what_makes_a_send_unique(rule: str, message: str, id_: str) -> None:
    assume(not any("\ud800" <= c <= "\udfff" for c in rule + message + id_))
    to = Recipient(label="external_id", id=id_)

    key = send_key(app="a|b", rule=rule, message_id=message, recipient=to, generation=3)

    parts = ("a|b", rule, message, f"external_id:{id_}", "3")
    name = "|".join(part.replace("%", "%25").replace("|", "%7C") for part in parts)
    assert key == str(uuid.uuid5(NAMESPACE, name))


@pytest.mark.parametrize(
    ("name", "value"), [("language", "German"), ("country", "Austria"), ("timezone", "CET+1")]
)
def test_a_property_that_is_never_usable_is_found_when_the_mapping_is_read(
    name: str, value: str
) -> None:
    (error,) = errors_of(rule(update_user={name: value}))

    assert error.startswith(f"field-unusable: `{name}` can never be written")
