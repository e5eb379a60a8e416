"""The filters that a mapping adds to Liquid, what it takes away, and where templates end."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings, strategies as st

from bridge.mapping import dates
from bridge.mapping.expression import (
    ExpressionError,
    Refused,
    compile_expression,
)
from bridge.mapping.reading import MAX_TEXT

EVENT: dict[str, Any] = {"userId": "u1", "timestamp": "2024-05-01T10:20:30.5+02:00"}


def resolved(template: Any, event: dict[str, Any] | None = None, *, encode: bool = False) -> Any:
    return compile_expression(template, encode=encode).resolve(EVENT if event is None else event)


# --- extra filters -------------------------------------------------------------------------------

AFTER_A_PATH = (
    "after a path comes `|` and a filter, whose value follows a colon: `| default: 'you'`"
)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("1970-01-01T00:00:00Z", "0"),
        ("2024-01-02T03:04:05Z", "1704164645"),
        ("2024-01-02t03:04:05.123456789z", "1704164645"),
        ("2024-01-02T03:04:05.999Z", "1704164645"),
        ("2024-01-02T03:04:05+05:30", "1704144845"),
        ("2024-01-02T03:04:05-0100", "1704168245"),
        ("20240102T030405Z", "1704164645"),
        ("1969-12-31T23:59:59.5Z", "-1"),
    ],
)
def test_unix_turns_iso_8601_with_zone_into_seconds(text: str, seconds: str) -> None:
    assert resolved("{{ traits.at | unix }}", {"traits": {"at": text}}) == seconds


@pytest.mark.parametrize(
    ("at", "ms"),
    [
        ("2024-01-02T03:04:05.5Z", "500"),
        ("2024-01-02T03:04:05.05Z", "050"),
        ("2024-01-02T03:04:05,0054321Z", "005"),
        ("2024-01-02T03:04:05Z", "000"),
    ],
)
def test_a_date_keeps_its_fraction(at: str, ms: str) -> None:
    assert resolved("{{ traits.at | date: '%L' }}", {"traits": {"at": at}}) == ms


@pytest.mark.parametrize(
    "value",
    [
        "2024-01-02",
        "2024-01-02T03:04:05",
        "2024-13-02T03:04:05Z",
        "2024-01-02T25:04:05Z",
        "2024-01-02T03:04:05+05:99",
        "2024-W01-2T03:04:05Z",
        "2024-01-02T03:04:05+00:00:30",
        "2024-01-02T03:04:05+99:00",
        "0000-01-01T00:00:00Z",
        "yesterday",
        "now",
        "",
        "1704164645",
        1704164646,
        True,
        [],
        {},
    ],
)
def test_unix_refuses_anything_else(value: Any) -> None:
    refused = Refused("not_a_date", "traits.at")
    assert resolved("{{ traits.at | unix }}", {"traits": {"at": value}}) == refused


@pytest.mark.parametrize(
    ("value", "digits", "text"),
    [
        (2.345, 2, "2.35"),
        (2, 2, "2.00"),
        ("12.5", 0, "13"),
        (-0.001, 2, "0.00"),
        (1e21, 1, "1000000000000000000000.0"),
        (1.005, 2, "1.01"),
    ],
)
def test_fixed_prints_a_decimal_with_so_many_digits(value: Any, digits: int, text: str) -> None:
    assert resolved(f"{{{{ traits.v | fixed: {digits} }}}}", {"traits": {"v": value}}) == text


def test_fixed_refuses_what_is_no_number() -> None:
    assert resolved("{{ userId | fixed: 2 }}") == Refused("not_a_number", "userId")


def test_date_writes_a_date_in_its_own_zone() -> None:
    assert resolved("{{ timestamp | date: '%A %-d %B %Y, %H:%M %z' }}") == (
        "Wednesday 1 May 2024, 10:20 +0200"
    )
    assert resolved("{{ '2024-05-01' | date: '%d/%m' }}") == "01/05"
    assert resolved("{{ 86400 | date: '%F %T' }}") == "1970-01-02 00:00:00"
    assert resolved("{{ '86400' | date: '%s %L %j %U' }}") == "86400 000 002 00"


@pytest.mark.parametrize("value", ["May 2024", "10:30", "now", "today", "", True, 1e300, [1]])
def test_what_is_no_date_is_not_passed_through(value: Any) -> None:
    refused = Refused("not_a_date", "traits.at")
    assert resolved("{{ traits.at | date: '%Y' }}", {"traits": {"at": value}}) == refused


@pytest.fixture
def time_zones() -> Iterator[list[str]]:
    before = os.environ.get("TZ")
    yield ["UTC", "America/New_York", "Asia/Kolkata", "XYZ-13"]
    os.environ.pop("TZ", None)
    if before is not None:
        os.environ["TZ"] = before
    time.tzset()


def test_nothing_depends_on_the_time_zone_of_the_container(time_zones: list[str]) -> None:
    templates = [
        "{{ timestamp | date: '%c %s %Z %z %x %X' }}",
        "{{ 1704164645 | date: '%c %s' }}",
        "{{ '2024-01-02T03:04:05' | date: '%c %s' }}",
        "{{ timestamp | unix }}",
    ]
    seen = set()
    for zone in time_zones:
        os.environ["TZ"] = zone
        time.tzset()
        seen.add(tuple(resolved(template) for template in templates))
    assert len(seen) == 1
    assert all(isinstance(text, str) for text in seen.pop())


def error_of(template: str) -> ExpressionError:
    with pytest.raises(ExpressionError) as caught:
        compile_expression(template)
    return caught.value


# --- what is not offered ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    "template",
    [
        "{{ now }}",
        "{{ today | date: '%Y' }}",
        "{{ 'now' | date: '%Y' }}",
        "{{ traits.at | default: 'now' | date: '%Y' }}",
        "{% if now %}a{% endif %}",
        "{% include 'a' %}",
        "{% render 'a' %}",
        "{% extends 'a' %}",
        "{% layout 'a' %}",
        "{% macro a %}{% endmacro %}",
        "{% tablerow a in b %}{% endtablerow %}",
        "{% raw %}{{ a | default: '{% endraw %}{{ traits.x }}{% raw %}' }}{% endraw %}",
    ],
)
def test_the_clock_and_other_files_are_refused_when_the_mapping_is_read(template: str) -> None:
    error = error_of(template)
    assert error.code == "template-not-allowed"
    assert error.hint
    assert error.offset is not None


@pytest.mark.parametrize(
    ("template", "code", "hint", "offset"),
    [
        ("Hi {{ userId | capitalise }}", "unknown-filter", "did you mean `capitalize`?", 15),
        ("{% iff a %}", "unknown-tag", "did you mean {% if %}?", 3),
        ("{{ a | fixed }}", "filter-arguments", "write `| fixed: digits`", 7),
        ("{{ a | upcase: 1 }}", "filter-arguments", "write `| upcase`", 7),
        ("{{ a", "template-syntax", "", 0),
        ("a {% endif %}", "template-syntax", "", 5),
        ("{% if a %}", "template-syntax", "", None),
        ("{{ a b }}", "template-syntax", AFTER_A_PATH, 5),
        ("{{ a | default 'b' }}", "template-syntax", AFTER_A_PATH, 15),
    ],
)
def test_a_mistake_is_named_with_its_place(
    template: str, code: str, hint: str, offset: int | None
) -> None:
    error = error_of(template)
    assert (error.code, error.hint, error.offset) == (code, hint, offset)


def test_a_template_that_can_only_fail_is_an_error_at_once() -> None:
    assert error_of("{{ 'soon' | date: '%Y' }}").code == "template-never-renders"
    assert "{% raw %}" in error_of("{{ '{{' }}").hint


def test_a_list_is_not_one_value() -> None:
    with pytest.raises(ExpressionError):
        compile_expression(["a"])


# --- bounds ----------------------------------------------------------------------------------------


def test_output_is_bounded() -> None:
    long = {"traits": {"text": "x" * MAX_TEXT}}
    assert resolved("{{ traits.text | upcase }}", long) == "X" * MAX_TEXT
    assert resolved("a{{ traits.text }}", long) == Refused("too_long", None)
    assert resolved("a{{ traits.text | upcase }}", long) == Refused("too_long", "traits.text")
    assert resolved("{{ traits.text | upcase | truncate: 5 }}!", long) == "XX...!"


@pytest.mark.parametrize(
    "template",
    [
        "{% assign x = traits.s %}{% for i in (1..99) %}{% assign x = x | append: x %}{% endfor %}{{ x }}",
        "{% assign x = 9 %}{% for i in (1..99) %}{% assign x = x | times: x %}{% endfor %}{{ x }}{{ traits.s }}",
        "{% assign x = properties.a %}{% for i in (1..99) %}{% assign x = x | concat: x %}{% endfor %}{{ x | join }}",
        "{{ properties.long | replace: '', properties.long | size }}",
        "{{ properties.a | join: properties.long | size }}",
        "{% for i in (1..9000) %}{{ traits.s }}{{ traits.s }}{% endfor %}",
    ],
)
def test_a_template_that_grows_without_end_is_stopped(template: str) -> None:
    event = {"traits": {"s": "s"}, "properties": {"a": ["a", "b", "c"], "long": "ab" * 20_000}}
    outcome = resolved(template, event)
    assert isinstance(outcome, Refused)
    assert outcome.reason == "too_long"


@pytest.mark.parametrize(
    "template",
    [
        "{% for i in (1..traits.n) %}a{% endfor %}",
        "{% for i in (1..traits.n) offset: 1000000 limit: 1 %}a{% endfor %}",
        "{% if (1..traits.n) contains 'x' %}a{% endif %}b",
        "{{ (1..traits.n) | join }}",
        "{% for i in (1..200) %}{% for j in (1..200) %}{{ traits.n }}{% endfor %}{% endfor %}",
        "{{ traits.n | divided_by: 0 }}",
        "{% break %}{{ traits.n }}",
    ],
)
def test_loops_are_bounded(template: str) -> None:
    outcome = resolved(template, {"traits": {"n": 10_000_000_000}})
    assert isinstance(outcome, Refused)
    assert outcome.reason == "render_error"


@given(
    st.datetimes(timezones=st.timezones() | st.just(UTC)),
    st.sampled_from(["seconds", "milliseconds", "microseconds"]),
    st.booleans(),
)
@settings(deadline=None)
def test_the_usual_time_of_a_program_and_any_other_spelling_are_the_same_second(
    moment: datetime,
    precision: str,
    zulu: bool,  # noqa: FBT001 — hypothesis gives it
) -> None:
    text = moment.isoformat(timespec=precision)
    if zulu and text.endswith("+00:00"):
        text = text.removesuffix("+00:00") + "Z"

    seconds = dates.unix_seconds(text)

    # A space in front of the zone is a spelling that only the careful reader takes.
    assert seconds == dates.unix_seconds(f" {text} ")
    if moment.utcoffset() is not None and not moment.utcoffset() % timedelta(minutes=1):  # type: ignore[operator]  # it has one
        assert seconds == (moment - dates.EPOCH) // timedelta(seconds=1)
