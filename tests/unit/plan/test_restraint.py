"""A dry run, and a list of the only people: what is left of a plan."""

from __future__ import annotations

import pytest

from bridge.mapping.terms import Stay
from bridge.onesignal.operations import (
    CreateAlias,
    DeleteUser,
    Operation,
    Recipient,
    SendNotification,
    UpdateUser,
)
from bridge.plan import Plan
from bridge.plan.restraint import FREE, Restraint, restrain


def user(name: str, label: str = "external_id") -> Recipient:
    return Recipient(label=label, id=name)


def push(to: Recipient) -> SendNotification:
    return SendNotification(rule="push", to=to, body={}, flags={}, max_age_ms=None)


UPDATE = UpdateUser(rules=("a", "b"), to=user("ann"), tags={"x": "1"})
PLAN = Plan(
    operations=(UPDATE, push(user("ann")), push(user("ben"))), stay=Stay("vip", entered=True, event_ms=5)
)  # fmt: skip


def reasons(plan: Plan) -> list[tuple[str, str, str]]:
    return [(skip.rule, skip.operation, skip.reason) for skip in plan.skips]


def test_without_a_restraint_a_plan_is_as_it_was() -> None:
    assert restrain(PLAN, FREE) is PLAN


def test_a_dry_run_leaves_nothing_to_do_and_nothing_to_learn() -> None:
    left = restrain(PLAN, Restraint(dry_run=True))
    assert (left.operations, left.stay) == ((), None)
    assert reasons(left) == [
        ("a", "update_user", "dry_run"),
        ("b", "update_user", "dry_run"),
        ("push", "send_notification", "dry_run"),
    ]


def test_a_list_leaves_what_is_for_those_on_it() -> None:
    left = restrain(PLAN, Restraint(only=frozenset({"ann"})))
    assert left.operations == (UPDATE, push(user("ann")))
    assert reasons(left) == [("push", "send_notification", "not_listed")]
    assert left.stay == PLAN.stay


@pytest.mark.parametrize(
    "operation",
    [
        push(user("ann", "email_hash")),
        push(user("ann", "subscription_id")),
        push(user("Ann")),
        CreateAlias(rule="r", to=user("ben"), label="l", id="ann"),
        DeleteUser(rule="r", to=user("ben")),
    ],
)
def test_what_may_be_for_somebody_else_is_not_listed(operation: Operation) -> None:
    left = restrain(Plan(operations=(operation,)), Restraint(only=frozenset({"ann"})))
    assert left.operations == ()


def test_who_is_listed_is_still_in_a_dry_run() -> None:
    left = restrain(PLAN, Restraint(dry_run=True, only=frozenset({"ann"})))
    assert {skip.reason for skip in left.skips} == {"dry_run", "not_listed"}
    assert left.operations == ()
