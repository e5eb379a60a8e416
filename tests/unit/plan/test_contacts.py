"""`email` and `phone` of update_user: what an event says of an address, passed on as it says it."""

from __future__ import annotations

from typing import Any

import pytest

from bridge.onesignal.operations import Recipient, SetContact
from bridge.plan import Plan
from tests.unit.plan.planning import errors_of, notes, rule, the_skip, updated

ADA = Recipient(label="external_id", id="u1")
EMAIL = {"email": {"address": "{{ traits.email }}", "opted_in": "{{ traits.news }}"}}


def contacts(plan: Plan) -> list[tuple[str, str | None, bool | None]]:
    found = [one for one in plan.operations if isinstance(one, SetContact)]
    assert all((one.rule, one.to) == ("r", ADA) for one in found)
    return [(one.type, one.address, one.opted_in) for one in found]


def test_an_address_and_a_number() -> None:
    update = {"email": "{{ traits.email }}", "phone": {"address": "{{ traits.phone }}"}}

    found = updated(update, traits={"email": " ada@shop.example", "phone": "+436641234567"})

    assert contacts(found) == [
        ("Email", "ada@shop.example", None),
        ("SMS", "+436641234567", None),
    ]
    assert found.skips == ()


@pytest.mark.parametrize(
    ("said", "opted_in"),
    [(True, True), (False, False), ("true", True), ("false", False), (None, None)],
)
def test_leave_to_write_is_yes_no_or_not_said(said: Any, opted_in: Any) -> None:
    found = updated(EMAIL, traits={"email": "ada@shop.example", "news": said})

    assert contacts(found) == [("Email", "ada@shop.example", opted_in)]


def test_leave_that_the_event_does_not_speak_of_is_not_said() -> None:
    assert contacts(updated(EMAIL, traits={"email": "ada@shop.example"})) == [
        ("Email", "ada@shop.example", None)
    ]


@pytest.mark.parametrize("said", ["yes", 1, 0, "", "TRUE", [True], {"a": 1}])
def test_an_answer_that_is_neither_yes_nor_no_is_no_yes(said: Any) -> None:
    found = updated(EMAIL, traits={"email": "ada@shop.example", "news": said})

    assert contacts(found) == []
    assert notes(found) == ["email: not_a_boolean (traits.news)"]


@pytest.mark.parametrize("address", [None, ""])
def test_no_address_any_more(address: Any) -> None:
    found = updated(EMAIL, traits={"email": address, "news": True})

    assert contacts(found) == [("Email", None, True)]


def test_an_address_that_the_event_does_not_speak_of_is_left_as_it_is() -> None:
    found = updated(EMAIL, traits={"news": False})

    assert contacts(found) == []
    assert the_skip(found).reason == "nothing_to_write"
    assert notes(found) == ["email: missing (traits.email)"]


@pytest.mark.parametrize(
    ("trait", "value", "reason"),
    [
        ("email", "ada", "not_an_email"),
        ("email", "a@b.example,c@d.example", "not_an_email"),
        ("email", f"{'a' * 320}@b.example", "not_an_email"),
        ("email", 5, "not_text"),
        ("email", "{{ x }}@b.example", "liquid_in_value (traits.email)"),
        ("phone", "0664 123", "not_e164"),
        ("phone", 436641234567, "not_text"),
    ],
)
def test_what_is_none_is_left_out_beside_tags_that_are_written(
    trait: str, value: Any, reason: str
) -> None:
    update = {"tags": {"a": "1"}, trait: f"{{{{ traits.{trait} }}}}"}

    found = updated(update, traits={trait: value})

    assert contacts(found) == []
    assert [one.name for one in found.operations] == ["update_user"]
    assert notes(found) == [f"{trait}: {reason}"]


@pytest.mark.parametrize(
    ("update", "code"),
    [
        ({"email": ["a@b.example"]}, "field-invalid"),
        ({"email": {"opted_in": True}}, "field-missing"),
        ({"email": {"address": "a@b.example", "enabled": True}}, "unknown-field"),
        ({"phone": 43}, "field-invalid"),
    ],
    ids=str,
)
def test_contacts_that_are_written_wrong(update: dict[str, Any], code: str) -> None:
    assert [one.partition(":")[0] for one in errors_of(rule(update_user=update))] == [code]


# What Segment knows of subscriptions


def said_to(status: str, kind: str = "EMAIL", key: str = "ada@shop.example") -> dict[str, Any]:
    return {"messaging_subscriptions": [{"key": key, "type": kind, "status": status}]}


@pytest.mark.parametrize(
    ("status", "trait", "opted_in"),
    [
        ("UNSUBSCRIBED", None, False),
        ("UNSUBSCRIBED", True, False),
        ("UNSUBSCRIBED", False, False),
        ("SUBSCRIBED", None, True),
        ("SUBSCRIBED", True, True),
        ("SUBSCRIBED", False, False),
        ("DID_NOT_SUBSCRIBE", None, False),
        ("DID_NOT_SUBSCRIBE", True, True),
        ("DID_NOT_SUBSCRIBE", False, False),
        ("OTHER", None, None),
    ],
)
def test_who_has_unsubscribed_in_segment_is_not_written_to(
    status: str, trait: Any, opted_in: Any
) -> None:
    traits = {"email": "ada@shop.example", "news": trait}
    found = updated(EMAIL, traits=traits, context=said_to(status))

    assert contacts(found) == [("Email", "ada@shop.example", opted_in)]


def test_it_is_said_that_segment_knows_of_it() -> None:
    found = updated(EMAIL, traits={"email": "ada@shop.example"}, context=said_to("UNSUBSCRIBED"))

    assert notes(found) == ["email.opted_in: unsubscribed (context.messaging_subscriptions)"]


@pytest.mark.parametrize(
    "context",
    [said_to("UNSUBSCRIBED", "SMS"), said_to("UNSUBSCRIBED", key="eva@shop.example"), {}],
)
def test_what_is_said_of_another_address_is_not_about_this_one(context: dict[str, Any]) -> None:
    found = updated(EMAIL, traits={"email": "ada@shop.example"}, context=context)

    assert contacts(found) == [("Email", "ada@shop.example", None)]
