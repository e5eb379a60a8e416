"""What OneSignal's legacy API cannot do is left out of a plan, and said."""

from __future__ import annotations

from typing import Any

import pytest

from bridge.onesignal import legacy, user_model
from bridge.onesignal.api import Spoken
from bridge.onesignal.operations import DeleteUser, Recipient, UpdateUser
from bridge.plan import Plan, plan_erasure
from tests.unit.plan.planning import mapping_of, notes, planned, rule, the_send, the_update

LEGACY = Spoken(api="legacy")
ANYWHERE = {"platforms": "all"}
SERVES = ("android", "web", "ios")
TAGS = {"tags": {"tier": "gold"}}


def of(*rules: dict[str, Any], **sent: Any) -> Plan:
    return planned(mapping_of(*rules, spoken=LEGACY, serves=SERVES, push=ANYWHERE), **sent)


def skips(plan: Plan) -> list[tuple[str, str, str]]:
    return [(one.rule, one.operation, str(one)) for one in plan.skips]


@pytest.mark.parametrize(
    ("operation", "written", "detail"),
    [
        ("track_custom_event", {"name": "bought"}, "custom events"),
        ("create_alias", {"label": "crm", "id": "17"}, "aliases"),
        ("add_subscription", {"type": "Email", "token": "a@b.example"}, "subscriptions to add"),
        (
            "remove_subscription",
            {"type": "Email", "token": "a@b.example"},
            "subscriptions to remove",
        ),
        ("delete_user", {}, "deletion of users"),
        ("update_user", {"language": "de"}, "language"),
        ("update_user", {"timezone": "Europe/Vienna"}, "timezone_id"),
        ("update_user", {"email": "a@b.example"}, "email"),
        ("update_user", {"raw": {"lat": 1}}, "lat"),
        ("update_user", TAGS | {"to": {"alias": {"crm": "17"}}}, "aliases"),
        ("send_notification", {"contents": "Hi", "to": {"alias": {"crm": "17"}}}, "aliases"),
    ],
)
def test_an_operation_that_it_has_not_is_a_skip(
    operation: str, written: dict[str, Any], detail: str
) -> None:
    found = of(rule("r", "true", **{operation: written}))

    assert found.operations == ()
    assert skips(found) == [("r", operation, f"legacy_api: {detail}")]


def test_tags_and_pushes_are_done() -> None:
    found = of(rule(update_user=TAGS, send_notification={"contents": "Hi"}))

    assert the_update(found).tags == {"tier": "gold"}
    assert the_send(found).to == Recipient(label="external_id", id="u1")
    assert found.skips == ()


def test_what_else_an_update_says_is_noted() -> None:
    found = of(rule(update_user=TAGS | {"language": "de", "email": "a@b.example"}))

    assert the_update(found).properties == {}
    assert notes(found) == ["language: legacy_api", "email: legacy_api"]
    assert found.skips == ()


def test_rules_that_write_one_user_are_told_apart() -> None:
    found = of(
        rule("a", update_user=TAGS | {"language": "de"}),
        rule("b", update_user={"language": "de", "phone": "+43123456"}),
    )

    assert the_update(found).rules == ("a",)
    assert skips(found) == [("b", "update_user", "legacy_api: language")]


def test_nobody_is_erased_there_and_everybody_with_the_user_model() -> None:
    erasure = plan_erasure("u1", user_model)

    assert erasure.operations == (DeleteUser(rule="", to=Recipient("external_id", "u1")),)
    assert skips(plan_erasure("u1", legacy)) == [
        ("", "delete_user", "legacy_api: deletion of users")
    ]


def test_a_deletion_that_segment_asks_for_is_planned_in_the_same_way() -> None:
    found = of(rule(update_user=TAGS), type="delete")

    assert skips(found) == [("", "delete_user", "legacy_api: deletion of users")]
    assert not any(isinstance(one, UpdateUser) for one in found.operations)
