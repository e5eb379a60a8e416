"""`update_user.tags`: what is written, what is deleted and what is left alone (mappings/README.md, "Values")."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings, strategies as st

from bridge.onesignal.operations import UpdateUser
from bridge.onesignal.tags import tag_name
from tests.unit.plan.planning import (
    mapping_of,
    notes,
    planned,
    rule,
    the_skip,
    the_update,
    updated,
)

scalars = st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats() | st.text()


def tags_of(tags: dict[str, Any], **sent: Any) -> dict[str, str]:
    return the_update(updated({"tags": tags}, **sent)).tags


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("gold", "gold"),
        (" gold ", " gold "),
        (True, "true"),
        (False, "false"),
        (0, "0"),
        (7, "7"),
        (-1.5, "-1.5"),
        (9007199254740993, "9007199254740993"),
        ("00", "00"),
    ],
)
def test_a_value_from_the_event_is_written_as_text(value: Any, text: str) -> None:
    assert tags_of({"tier": "{{ traits.tier }}"}, traits={"tier": value}) == {"tier": text}


@pytest.mark.parametrize(
    ("literal", "text"), [("gold", "gold"), (True, "true"), (3, "3"), (1.5, "1.5")]
)
def test_a_literal_is_written_as_text(literal: Any, text: str) -> None:
    assert tags_of({"tier": literal}) == {"tier": text}


@pytest.mark.parametrize("template", ["{{ traits.tier }}", "is {{ traits.tier }}"])
def test_a_missing_tag_is_left_as_it_is(template: str) -> None:
    plan = updated({"tags": {"tier": template, "seen": "yes"}}, traits={})

    assert the_update(plan).tags == {"seen": "yes"}
    assert notes(plan) == ["tags.tier: missing (traits.tier)"]


@pytest.mark.parametrize(
    "template",
    [
        "{{ traits.n | round }}",
        "{{ traits.n | plus: 1 }}",
        "{{ traits.n | size }}",
        "{{ traits.n | upcase }}",
        "{{ traits.n | append: '!' }}",
        "{{ traits.n | strip }}",
        "{{ traits.n | unix }}",
        "{{ traits.n | fixed: 2 }}",
        "{{ traits.n.deep }}",
        "{% if true %}{{ traits.n }}{% endif %}",
        "{% assign x = traits.n %}{{ x }}",
        "{% for one in traits.n %}{{ one }}{% endfor %}",
        "{% if traits.n %}yes{% endif %}",
        "{{ traits.n | default: '' }}",
    ],
)
@pytest.mark.parametrize("traits", [{}, {"other": 1}])
def test_an_absent_value_never_becomes_text_zero_or_a_deletion(
    template: str, traits: dict[str, Any]
) -> None:
    plan = updated({"tags": {"n": template}}, traits=traits)

    assert the_skip(plan).reason == "nothing_to_write"
    assert notes(plan) == [
        f"tags.n: missing ({'traits.n.deep' if 'deep' in template else 'traits.n'})"
    ]


@pytest.mark.parametrize("sent", [{}, {"traits": None}, {"traits": "text"}, {"traits": []}])
def test_an_event_without_traits_writes_nothing(sent: dict[str, Any]) -> None:
    plan = updated({"tags": {"tier": "{{ traits.tier }}"}}, **sent)

    assert the_skip(plan).reason == "nothing_to_write"


def test_null_inside_a_template_is_missing_and_null_alone_deletes() -> None:
    plan = updated(
        {"tags": {"alone": "{{ traits.tier }}", "inside": "is {{ traits.tier }}"}},
        traits={"tier": None},
    )

    assert the_update(plan).tags == {"alone": ""}
    assert notes(plan) == ["tags.inside: missing (traits.tier)"]


@pytest.mark.parametrize(
    ("template", "traits"),
    [
        ("", {}),
        ("{{ traits.tier }}", {"tier": None}),
        ("{{ traits.tier }}", {"tier": ""}),
        ("{% if traits.on %}yes{% endif %}", {"on": False}),
        ("{{ traits.tier | strip }}", {"tier": "  "}),
    ],
)
def test_what_deletes_a_tag(template: str, traits: dict[str, Any]) -> None:
    assert tags_of({"tier": template}, traits=traits) == {"tier": ""}


def test_a_default_stands_in_for_what_is_absent() -> None:
    assert tags_of({"tier": "{{ traits.tier | default: 'none' }}"}) == {"tier": "none"}


@pytest.mark.parametrize("value", [[], [1], {}, {"a": 1}])
@pytest.mark.parametrize("template", ["{{ traits.x }}", "is {{ traits.x }}"])
def test_a_list_or_an_object_is_not_text(value: Any, template: str) -> None:
    plan = updated({"tags": {"x": template, "seen": "yes"}}, traits={"x": value})

    assert the_update(plan).tags == {"seen": "yes"}
    assert [note.reason for note in plan.notes] == ["not_text"]


@pytest.mark.parametrize("value", ["{{ api_key }}", "{% for x in y %}", "Hi {{", "a{{b"])
@pytest.mark.parametrize(
    "template", ["{{ traits.x }}", "is {{ traits.x }}", "{{ traits.x | strip }}"]
)
def test_liquid_from_an_event_is_not_written(value: str, template: str) -> None:
    plan = updated({"tags": {"x": template, "seen": "yes"}}, traits={"x": value})

    assert the_update(plan).tags == {"seen": "yes"}
    assert notes(plan) == ["tags.x: liquid_in_value (traits.x)"]


def test_braces_that_join_into_liquid_are_not_written() -> None:
    plan = updated(
        {"tags": {"x": "{{ traits.a }}{{ traits.b }}", "seen": "yes"}},
        traits={"a": "{", "b": "{ app_key }}"},
    )

    assert the_update(plan).tags == {"seen": "yes"}
    assert [note.reason for note in plan.notes] == ["liquid_in_value"]


@pytest.mark.parametrize(
    ("written", "name"),
    [
        ("tier", "tier"),
        ("loyalty tier", "loyalty_tier"),
        ("loyalty.tier", "loyalty_tier"),
        ("größe", "gr__e"),
        ("user", "user_"),
        ("User", "User_"),
        ("custom_data", "custom_data_"),
        ("message", "message_"),
        ("user_tier", "user_tier"),
    ],
)
def test_names_become_legal_and_reserved_ones_get_an_underscore(written: str, name: str) -> None:
    assert tags_of({written: "x"}) == {name: "x"}


@settings(deadline=None)
@given(st.text(min_size=1))
def test_every_name_becomes_one_that_onesignal_takes(name: str) -> None:
    legal = tag_name(name)

    assert legal
    assert legal.isascii()
    assert legal.replace("_", "").isalnum() or not legal.strip("_")
    assert tag_name(legal) == legal


def test_a_tag_name_may_be_a_template() -> None:
    tags = {"last_{{ properties.category }}": "{{ properties.id }}", "{{ properties.n }}": "n"}

    assert tags_of(tags, properties={"category": "shoes", "id": 7, "n": 5}) == {
        "last_shoes": "7",
        "5": "n",
    }


@pytest.mark.parametrize(
    ("properties", "reason"),
    [
        ({}, "missing"),
        ({"category": None}, "missing"),
        ({"category": ["a"]}, "not_text"),
        ({"category": "{{ x }}"}, "liquid_in_value"),
    ],
)
def test_a_tag_whose_name_cannot_be_had_is_left_out(
    properties: dict[str, Any], reason: str
) -> None:
    plan = updated(
        {"tags": {"last_{{ properties.category }}": "x", "seen": "yes"}}, properties=properties
    )

    assert the_update(plan).tags == {"seen": "yes"}
    assert [note.reason for note in plan.notes] == [reason]


@pytest.mark.parametrize("name", [None, ""])
def test_a_tag_never_has_an_empty_name(name: str | None) -> None:
    plan = updated({"tags": {"{{ traits.name }}": "x", "seen": "yes"}}, traits={"name": name})

    assert the_update(plan).tags == {"seen": "yes"}
    assert [note.reason for note in plan.notes] == ["empty_name"]


def test_what_does_not_fit_the_plan_is_left_out_in_order_with_a_note() -> None:
    plan = updated(
        {
            "tags": {"a": "1", "gone": "", "b": "2"},
            "tags_from": {"traits": {"include": ["c", "d"]}},
        },
        tag_cap=3,
        traits={"d": 4, "c": 3},
    )

    assert list(the_update(plan).tags.items()) == [("a", "1"), ("gone", ""), ("b", "2"), ("c", "3")]
    assert notes(plan) == ["tags.d: tag_cap (the plan has 3 tags for a user)"]


def test_a_tag_that_is_written_already_fits_and_one_that_was_deleted_does_not() -> None:
    names = {"a": "1", "{{ traits.a }}": "2", "b": "", "{{ traits.b }}": "3"}

    plan = updated({"tags": names}, tag_cap=1, traits={"a": "a", "b": "b"})

    assert the_update(plan).tags == {"a": "2", "b": ""}
    assert notes(plan) == ["tags.b: tag_cap (the plan has 1 tags for a user)"]


def test_the_plan_is_shared_by_all_rules_of_an_event() -> None:
    mapping = mapping_of(
        rule("one", update_user={"tags": {"a": "1", "b": "2"}}),
        rule("two", update_user={"tags": {"b": "3", "c": "4"}}),
        tag_cap=2,
    )

    plan = planned(mapping)

    assert the_update(plan).tags == {"a": "1", "b": "3"}
    assert notes(plan) == ["tags.c: tag_cap (the plan has 2 tags for a user)"]


def test_a_tag_that_an_earlier_rule_deletes_takes_no_place() -> None:
    mapping = mapping_of(
        rule("one", update_user={"tags": {"a": "", "b": "2"}}),
        rule("two", update_user={"tags": {"c": "3", "d": "4"}}),
        tag_cap=2,
    )

    plan = planned(mapping)

    assert the_update(plan).tags == {"a": "", "b": "2", "c": "3"}
    assert notes(plan) == ["tags.d: tag_cap (the plan has 2 tags for a user)"]


def test_updates_of_one_event_wait_no_longer_than_the_most_hurried_rule_wants() -> None:
    mapping = mapping_of(
        rule("slow", fold="10m", update_user={"tags": {"a": "1"}}),
        rule("hurried", fold="10s", update_user={"tags": {"b": "1"}}),
    )

    assert the_update(planned(mapping)).fold_ms == 10_000
    assert the_update(planned(mapping_of(rule(fold="5s", update_user=LANGUAGE)))).fold_ms == 5_000


LANGUAGE: dict[str, Any] = {"tags": {"a": "1"}, "language": "de"}


def test_what_others_write_too_is_written_whatever_was_written_before() -> None:
    again = rule("again", unchanged="send", update_user=LANGUAGE)
    once = rule("once", update_user={"tags": {"b": "1"}})

    assert the_update(planned(mapping_of(again))).always == {"tags.a", "language"}
    assert the_update(planned(mapping_of(once, again))).always == {"tags.a", "language"}
    assert the_update(planned(mapping_of(again, once))).always == {"tags.a", "language"}
    assert the_update(planned(mapping_of(once))).always == frozenset()


def test_the_later_of_two_rules_wins() -> None:
    mapping = mapping_of(
        rule("one", update_user={"tags": {"a": "1", "b": "1"}, "language": "de"}),
        rule("two", update_user={"tags": {"a": "2", "c": ""}, "language": "fr"}),
        rule("never", when="false", update_user={"tags": {"a": "9"}}),
    )

    update = the_update(planned(mapping))

    assert update.tags == {"a": "2", "b": "1", "c": ""}
    assert update.properties == {"language": "fr"}
    assert update.rules == ("one", "two")


def test_a_rule_that_misses_its_value_takes_nothing_from_an_earlier_one() -> None:
    mapping = mapping_of(
        rule("one", update_user={"tags": {"a": "1"}}),
        rule("two", update_user={"tags": {"a": "{{ traits.a }}"}}),
    )

    plan = planned(mapping, traits={})

    assert the_update(plan).tags == {"a": "1"}
    assert [(skip.rule, skip.reason) for skip in plan.skips] == [("two", "nothing_to_write")]


@settings(deadline=None)
@given(st.integers(0, 250), st.booleans())
def test_no_request_carries_more_than_a_hundred_properties(count: int, language: bool) -> None:  # noqa: FBT001 — hypothesis draws it
    tags = {f"t{number}": str(number) for number in range(count)}
    update = {"tags": tags} | ({"language": "de"} if language else {})

    plan = updated(update)

    sizes = [one.size for one in plan.operations if isinstance(one, UpdateUser)]
    assert all(0 < size <= 100 for size in sizes)
    assert sum(sizes) == count + language
    assert len(sizes) == -(-(count + language) // 100)


@settings(deadline=None)
@given(st.dictionaries(st.sampled_from("abcd"), scalars))
def test_a_tag_is_deleted_only_where_the_event_says_null_or_nothing(
    traits: dict[str, Any],
) -> None:
    plan = updated({"tags": {name: f"{{{{ traits.{name} }}}}" for name in "abcd"}}, traits=traits)
    written = {
        name: text
        for one in plan.operations
        if isinstance(one, UpdateUser)
        for name, text in one.tags.items()
    }

    assert written.keys() <= traits.keys()
    # JSON has no NaN: it arrives as null.
    empty = {k for k, v in traits.items() if v in (None, "") or (v != v or v in INFINITE)}  # noqa: PLR0124 — NaN alone differs from itself
    assert {name for name, text in written.items() if text == ""} == empty


INFINITE = (float("inf"), float("-inf"))
