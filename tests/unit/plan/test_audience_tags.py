"""`tags_from.audience`: a tag for each audience and each computed trait."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.plan.planning import notes, the_skip, the_update, updated

UPDATE = {"tags_from": {"audience": {"prefix": "aud_"}}}


def personas(kind: str, key: str | None) -> dict[str, Any]:
    return {"personas": {"computation_class": kind, "computation_key": key}}


def test_entering_is_true_and_leaving_deletes() -> None:
    context = personas("audience", "vip")

    entered = updated(UPDATE, traits={"vip": True}, context=context)
    left = updated(UPDATE, traits={"vip": False}, context=context)

    assert the_update(entered).tags == {"aud_vip": "true"}
    assert the_update(left).tags == {"aud_vip": ""}


def test_a_track_event_writes_the_same_tag() -> None:
    properties = {"audience_key": "vip", "vip": True}

    plan = updated(UPDATE, type="track", event="Audience Entered", properties=properties)

    assert the_update(plan).tags == {"aud_vip": "true"}


@pytest.mark.parametrize(
    ("value", "text"),
    [(12.5, "12.5"), ("gold", "gold"), (False, "false"), (["a", "b"], "a,b"), (None, ""), ([], "")],
)
def test_a_computed_trait_is_its_value(value: Any, text: str) -> None:
    plan = updated(UPDATE, traits={"ltv": value}, context=personas("computed_trait", "ltv"))

    assert the_update(plan).tags == {"aud_ltv": text}


def test_a_computed_trait_without_a_value_deletes_nothing() -> None:
    plan = updated(UPDATE, traits={"other": 1}, context=personas("computed_trait", "ltv"))

    assert the_skip(plan).reason == "nothing_to_write"
    assert notes(plan) == ["tags.aud_ltv: missing (traits.ltv)"]


@pytest.mark.parametrize(
    ("value", "reason"),
    [({"a": 1}, "not_text"), ("{{ x }}", "liquid_in_value"), (["x" * 300], "too_long")],
)
def test_a_computed_trait_that_is_no_tag_is_left_out_with_a_note(value: Any, reason: str) -> None:
    plan = updated(UPDATE, traits={"ltv": value}, context=personas("computed_trait", "ltv"))

    assert the_skip(plan).reason == "nothing_to_write"
    assert [note.reason for note in plan.notes] == [reason]


@pytest.mark.parametrize(
    "sent", [{}, {"context": personas("audience", None), "traits": {"vip": True}}]
)
def test_an_event_of_no_audience_writes_nothing(sent: dict[str, Any]) -> None:
    plan = updated(UPDATE, **sent)

    assert the_skip(plan).reason == "nothing_to_write"
    assert notes(plan) == ["tags_from.audience: not_an_audience"]


def test_an_audience_whose_key_is_no_legal_name() -> None:
    plan = updated(
        UPDATE, traits={"big spender": True}, context=personas("audience", "big spender")
    )

    assert the_update(plan).tags == {"aud_big_spender": "true"}


def test_a_reserved_key_without_a_prefix_gets_an_underscore() -> None:
    plan = updated(
        {"tags_from": {"audience": {}}}, traits={"user": True}, context=personas("audience", "user")
    )

    assert the_update(plan).tags == {"user_": "true"}
