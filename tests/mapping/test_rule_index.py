"""Rules are found by what their condition pins, and never missed for it."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings, strategies as st

from bridge.mapping.fql import compile_condition
from tests.unit.plan.planning import mapping_of, rule

TYPE, EVENT, SOURCE = ("type",), ("event",), ("source",)


@pytest.mark.parametrize(
    ("text", "pins"),
    [
        ("true", {}),
        ('type = "track"', {TYPE: {"track"}}),
        ('"track" = type', {TYPE: {"track"}}),
        ('type != "track"', {}),
        ('!( type = "track" )', {}),
        ('type in ["track", "page"]', {TYPE: {"track", "page"}}),
        ('type in ["track", 1]', {}),
        ("type = null", {}),
        ("type = event", {}),
        ('"track" in type', {}),
        ('type = "track" and event = "A"', {TYPE: {"track"}, EVENT: {"A"}}),
        ('type = "track" and traits.a > 1', {TYPE: {"track"}}),
        ('type = "track" or traits.a > 1', {}),
        ('event = "A" or event = "B"', {EVENT: {"A", "B"}}),
        ('( type = "track" and event = "A" ) or ( type = "page" )', {TYPE: {"track", "page"}}),
        ('event = "A" and event = "B"', {EVENT: set()}),
        ('event in ["A", "B"] and event in ["B", "C"]', {EVENT: {"B"}}),
        ('source = "x" and ( type = "a" or type = "b" )', {SOURCE: {"x"}, TYPE: {"a", "b"}}),
        ('( event = "A" ) = true', {}),
        ('contains(event, "A")', {}),
        ('properties.type = "track"', {}),
    ],
)
def test_what_a_condition_pins(text: str, pins: dict[tuple[str, ...], set[str]]) -> None:
    assert dict(compile_condition(text).pins) == pins


TERMS = st.sampled_from(
    ['type = "track"', 'type = "page"', 'type != "track"', 'event = "A"', 'event = "B"',
     'event in ["A", "B"]', 'event = null', 'event = 1', 'traits.a = 1', 'source = "s"', "true", "false",
     'match(event, "A*")', 'type = event']
)  # fmt: skip
CONDITIONS = st.recursive(
    TERMS,
    lambda inner: (
        st.tuples(inner, st.sampled_from(["and", "or"]), inner).map(
            lambda parts: f"( {' '.join(parts)} )"
        )
        | inner.map(lambda one: f"!( {one} )")
    ),
    max_leaves=6,
)
EVENTS = st.fixed_dictionaries(
    {},
    optional={
        "type": st.sampled_from(["track", "page", "odd", "", "A"]),
        "event": st.sampled_from(["A", "B", "C", "", "track", 1, None, ["A"], {"A": 1}, True]),
        "traits": st.just({"a": 1}),
        "source": st.just("s"),
    },
)


@settings(deadline=None, max_examples=300)
@given(st.lists(CONDITIONS, min_size=1, max_size=6), st.lists(EVENTS, min_size=1, max_size=6))
def test_the_rules_found_are_those_whose_condition_is_met(
    conditions: list[str], events: list[dict[str, Any]]
) -> None:
    mapping = mapping_of(
        *(
            rule(f"r{number}", when=text, update_user={"tags": {"a": "1"}})
            for number, text in enumerate(conditions)
        )
    )

    for fields in events:
        one_by_one = [rule for rule in mapping.rules if rule.condition(fields)]
        assert list(mapping.met_by(fields)) == one_by_one


def test_an_event_is_tried_against_the_rules_that_it_may_meet_only() -> None:
    mapping = mapping_of(
        *(
            rule(
                f"r{n}", when=f'type = "track" and event = "E{n}"', update_user={"tags": {"a": "1"}}
            )
            for n in range(100)
        ),
        rule("any", update_user={"tags": {"a": "1"}}),
    )

    likely = mapping._index.likely({"type": "track", "event": "E7"})

    assert [rule.name for rule in likely] == ["r7", "any"]
    for number in range(1000):
        mapping.met_by({"type": "track", "event": f"other {number}"})
    assert len(mapping._index._found) == 2, "what no rule names is one kind"
