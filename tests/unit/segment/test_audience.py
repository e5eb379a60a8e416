"""Who entered and left what: the table in the module, row by row."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, strategies as st

from bridge.segment.audience import NO_AUDIENCE, Audience, ReverseEtl, SyncMode, audience_of


def sent(
    kind: str = "track",
    event: object = None,
    *,
    values: object = None,
    computation_class: object = None,
    key: object = None,
) -> dict[str, Any]:
    personas = {"computation_class": computation_class, "computation_key": key}
    return {
        "type": kind,
        "event": event,
        "traits" if kind in {"identify", "group"} else "properties": values,
        "context": {"personas": personas},
    }


def audience(key: str, *, entered: bool) -> Audience:
    return Audience(class_="audience", key=key, entered=entered)


@pytest.mark.parametrize("kind", ["track", "identify", "group"])
@pytest.mark.parametrize(
    ("value", "entered"), [(True, True), (False, False), ("true", True), ("false", False)]
)
def test_the_boolean_at_the_key_says_it(*, kind: str, value: object, entered: bool) -> None:
    found = audience_of(sent(kind, values={"vip": value}, computation_class="audience", key="vip"))
    assert found == audience("vip", entered=entered)


@pytest.mark.parametrize("event", ["Audience Entered", "Audience Exited", "VIP again", None])
def test_the_boolean_counts_more_than_the_name(event: str | None) -> None:
    assert audience_of(sent(event=event, values={"vip": True}, key="vip")) == audience(
        "vip", entered=True
    )
    assert audience_of(sent(event=event, values={"vip": False}, key="vip")) == audience(
        "vip", entered=False
    )


def test_the_property_counts_more_than_the_computation_key() -> None:
    placeholder = sent(
        values={"audience_key": "vip", "vip": True}, computation_class="audience", key="aud_1"
    )
    assert audience_of(placeholder) == audience("vip", entered=True)


def test_of_two_booleans_that_of_the_properties_counts() -> None:
    both = sent(values={"vip": False}, key="vip") | {"traits": {"vip": True}}
    assert audience_of(both) == audience("vip", entered=False)


def test_an_audience_key_is_enough() -> None:
    without_personas = {"type": "track", "properties": {"audience_key": "vip", "vip": False}}
    assert audience_of(without_personas) == audience("vip", entered=False)
    beside_traits = {
        **without_personas,
        "properties": {"audience_key": "vip"},
        "traits": {"vip": True},
    }
    assert audience_of(beside_traits) == audience("vip", entered=True)


@pytest.mark.parametrize(
    ("event", "entered"), [("Audience Entered", True), ("Audience Exited", False)]
)
@pytest.mark.parametrize("value", [{}, {"vip": None}, {"vip": 1}, {"vip": "yes"}, {"vip": [True]}])
def test_without_a_boolean_the_name_says_it(
    *, event: str, entered: bool, value: dict[str, Any]
) -> None:
    assert audience_of(sent(event=event, values=value, key="vip")) == audience(
        "vip", entered=entered
    )


@pytest.mark.parametrize("event", ["Audience Existed", "audience entered", None, 7])
def test_without_boolean_and_name_nothing_is_said(event: object) -> None:
    assert (
        audience_of(
            sent(event=event, values={"vip": "yes"}, computation_class="audience", key="vip")
        )
        is NO_AUDIENCE
    )


@pytest.mark.parametrize("key", [None, "", 7])
def test_a_membership_without_a_key_is_none(key: object) -> None:
    assert (
        audience_of(sent(event="Audience Entered", values={"email": "a@b.example"}, key=key))
        is NO_AUDIENCE
    )


def test_a_placeholder_key_has_no_boolean() -> None:
    assert (
        audience_of(sent("identify", values={"first_time_shopper": True}, key="aud_###"))
        is NO_AUDIENCE
    )


# Journeys


@pytest.mark.parametrize("kind", ["track", "identify"])
@pytest.mark.parametrize("value", ["true", True, None, "yes"])
def test_a_journey_step_is_entered(kind: str, value: object) -> None:
    step = Audience(class_="journey_step", key="j_o_welcome__mail_x1", entered=True)
    by_key = sent(
        kind,
        "Audience Entered",
        values={step.key: value},
        computation_class="audience",
        key=step.key,
    )
    assert audience_of(by_key) == step


def test_a_journeys_key_counts_wherever_it_stands() -> None:
    key = "j_o_welcome__mail_x1"
    step = Audience(class_="journey_step", key=key, entered=True)
    values = {"audience_key": "vip", "vip": True}
    assert audience_of(sent(values=values, computation_class="audience", key=key)) == step
    values = {"audience_key": key, key: True}
    assert audience_of(sent(values=values, computation_class="audience", key="aud_1")) == step


def test_the_class_says_journey_step_whatever_the_key() -> None:
    found = audience_of(
        sent(event="Any name", values={}, computation_class="journey_step", key="welcome__mail")
    )
    assert found == Audience(class_="journey_step", key="welcome__mail", entered=True)
    beside = sent(
        values={"audience_key": "vip"}, computation_class="journey_step", key="welcome__mail"
    )
    assert audience_of(beside).key == "welcome__mail"


def test_an_audience_key_may_be_the_journeys() -> None:
    found = audience_of({"type": "track", "properties": {"audience_key": "j_o_a", "j_o_a": "true"}})
    assert found == Audience(class_="journey_step", key="j_o_a", entered=True)


@pytest.mark.parametrize("value", ["false", False])
def test_a_journey_that_says_false_is_left(value: object) -> None:
    assert audience_of(sent(values={"j_o_a": value}, key="j_o_a")).entered is False


# Traits


@pytest.mark.parametrize("computation_class", ["trait", "computed_trait"])
@pytest.mark.parametrize("value", [450.0, "gold", True, None, [1], {"a": 1}])
def test_a_computed_trait_has_a_value_and_no_membership(
    computation_class: str, value: object
) -> None:
    expected = Audience(class_="trait", key="spend", entered=None, value=value)
    by_identify = sent(
        "identify", values={"spend": value}, computation_class=computation_class, key="spend"
    )
    by_track = sent(
        event="Trait Computed", values={"trait_key": "spend", "spend": value}, computation_class=computation_class, key="tra_1"
    )  # fmt: skip
    assert audience_of(by_identify) == audience_of(by_track) == expected


def test_a_trait_without_a_key_has_no_value() -> None:
    assert audience_of(sent(computation_class="trait")) == Audience(class_="trait")


# Reverse ETL

ENTERS, LEAVES, SILENT = True, False, None
MODES: dict[SyncMode, list[bool | None]] = {
    #          new      updated  deleted
    "add":    [ENTERS, SILENT, SILENT],
    "update": [SILENT, ENTERS, SILENT],
    "upsert": [ENTERS, ENTERS, SILENT],
    "mirror": [ENTERS, ENTERS, LEAVES],
    "delete": [SILENT, SILENT, LEAVES],
}  # fmt: skip


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(("column", "event"), [(0, "new"), (1, "updated"), (2, "deleted")])
def test_reverse_etl_rows_count_by_sync_mode(mode: SyncMode, column: int, event: str) -> None:
    row = {"type": "track", "event": event, "properties": {"id": 1}}
    entered = MODES[mode][column]
    expected = NO_AUDIENCE if entered is None else audience("vip", entered=entered)
    assert audience_of(row, ReverseEtl(mode=mode, key="vip")) == expected
    assert audience_of(row) is NO_AUDIENCE


@pytest.mark.parametrize(
    "row",
    [
        {"type": "identify", "event": "new"},
        {"type": "track", "event": "New"},
        {"type": "track", "event": ["new"]},
    ],
)
def test_other_events_of_a_reverse_etl_source_are_no_rows(row: dict[str, Any]) -> None:
    assert audience_of(row, ReverseEtl(mode="mirror", key="vip")) is NO_AUDIENCE


# Anything else


@pytest.mark.parametrize(
    "event",
    [
        {},
        {"type": "identify", "traits": {"vip": True}},
        {"type": "track", "event": "Audience Entered", "properties": {"vip": True}},
        {"context": None, "properties": "text", "traits": []},
        {"context": {"personas": ["audience"]}},
        {"context": {"personas": {"computation_class": ["trait"], "computation_key": {"a": 1}}}},
        {"context": {"personas": {"external_audience_id": 101}}, "event": "Audience Entered"},
    ],
)
def test_anything_else_is_about_no_audience(event: dict[str, Any]) -> None:
    assert audience_of(event) is NO_AUDIENCE


ODD = st.recursive(
    st.none() | st.booleans() | st.sampled_from(["vip", "true", "j_o_a", "trait", "journey_step"]),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.just("vip"), inner),
    max_leaves=3,
)
VALUES = st.fixed_dictionaries({}, optional=dict.fromkeys(["audience_key", "vip", "j_o_a"], ODD))
PERSONAS = st.fixed_dictionaries(
    {}, optional=dict.fromkeys(["computation_key", "computation_class"], ODD)
)
EVENTS = st.fixed_dictionaries(
    {"event": st.sampled_from(["Audience Entered", "Audience Exited", "Other"]) | ODD},
    optional={
        "properties": VALUES | ODD,
        "traits": VALUES | ODD,
        "context": st.fixed_dictionaries({"personas": PERSONAS | ODD}) | ODD,
    },
)


@given(EVENTS)
def test_whatever_stands_in_those_places_the_answer_is_a_row_of_the_table(
    event: dict[str, Any],
) -> None:
    found = audience_of(event)
    match found.class_:
        case None:
            assert found == NO_AUDIENCE
        case "trait":
            assert found.entered is None
        case "audience":
            assert found.key
            assert found.entered in {True, False}
        case "journey_step":
            assert found.entered in {True, False}
    assert found.as_field() == {
        "class": found.class_,
        "key": found.key,
        "entered": found.entered,
        "value": found.value,
    }


def test_a_row_that_names_an_audience_without_saying_more_counts_by_sync_mode() -> None:
    row = sent(event="new", values={"__segment_id": "1"}, computation_class="audience", key="vip")
    entered = audience_of(row, ReverseEtl(mode="upsert", key="customers"))
    assert entered == audience("customers", entered=True)


@pytest.mark.parametrize("value", [0, False, "", None])
def test_a_computed_trait_that_comes_to_nothing_is_that(value: object) -> None:
    found = sent(values={"trait_key": "score", "score": value}, computation_class="trait", key="x")
    assert audience_of(found | {"traits": {"score": 5}}).value is value
