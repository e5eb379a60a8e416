"""Which parts of a condition an event does not meet."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, strategies as st

from bridge.mapping.conjuncts import undecided, unmet
from bridge.mapping.fql import compile_condition


def parts(text: str, **fields: Any) -> list[str]:
    return [part.text for part in unmet(compile_condition(text), fields)]


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("a = 1 and b = 2", ["b = 2"]),
        ("a = 2 and b = 2 and c = null", ["a = 2", "b = 2"]),
        ("a = 2 or b = 2", ["a = 2 or b = 2"]),
        ("a = 1 and (b = 2 or c = 3)", ["(b = 2 or c = 3)"]),
        ("a = 1 and !(a = 1)", ["!(a = 1)"]),
        ("a = 1 or b = 2 and c = 3", []),
        ("a = 1 and b", ["b"]),
        ("a = 1 and  contains( b , 'and' )  and a = 1", ["contains( b , 'and' )"]),
        ("b = ' and '", ["b = ' and '"]),
    ],
)
def test_the_parts_that_are_not_true(text: str, wrong: list[str]) -> None:
    assert parts(text, a=1, b=None) == wrong


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("type = 'track' and event = 'Cart' and p.price >= 50", ["p.price >= 50"]),
        ("type = 'track' and audience.key = 'vip'", ["audience.key = 'vip'"]),
        ("event = 'Other' and p.price >= 50", ["event = 'Other'", "p.price >= 50"]),
        ("event = 'Cart' or p.price >= 50", ["event = 'Cart' or p.price >= 50"]),
        ("userId = null", ["userId = null"]),
        ("event = 'Cart'", []),
    ],
)
def test_of_an_event_that_only_its_name_is_known_of_what_it_surely_meets_is_not_named(
    text: str, left: list[str]
) -> None:
    assert undecided(compile_condition(text), {"type": "track", "event": "Cart"}) == left


def test_it_is_said_what_the_event_has_instead() -> None:
    condition = compile_condition("properties.total > traits.limit and type = 'track'")
    (part,) = unmet(condition, {"properties": {"total": 5}, "type": "track"})
    assert part.found == {"properties.total": 5, "traits.limit": None}


ATOMS = st.sampled_from(["a = 1", "b = 'x'", "c", "!d", "(a = 2 or b = 'x')", "b in ['x', 'y']"])
VALUES = st.sampled_from([1, 2, "x", "y", None, True])


@given(
    st.lists(ATOMS, min_size=1, max_size=5), st.fixed_dictionaries(dict.fromkeys("abcd", VALUES))
)
def test_an_event_meets_a_condition_when_it_meets_all_of_its_parts(
    atoms: list[str], fields: dict[str, Any]
) -> None:
    condition = compile_condition(" and ".join(atoms))
    assert condition.test(fields) is (unmet(condition, fields) == [])
    assert set(parts(condition.text, **fields)) <= set(atoms)
