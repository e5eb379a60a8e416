"""What an example in a mapping may say, and that a bad one is found where it stands."""

from __future__ import annotations

from typing import Any

import pytest

from bridge.errors import ConfigurationError, Finding
from bridge.mapping.load import Source, compile_mapping
from bridge.mapping.rules import Mapping

RULES = """\
version: 1
push: {platforms: {exclude: [ios]}}
rules:
  - {name: profile, when: type = "identify", do: {update_user: {tags: {plan: "{{ traits.plan }}"}}}}
  - {name: shipped, when: event = "Order Shipped", do: {send_notification: {contents: On its way}}}
examples:
"""
FIRST = RULES.count("\n") + 1
"""The line of the first example."""


def read(text: str) -> Mapping:
    return compile_mapping([Source(name="shop.yaml", text=RULES + text)], serves=("android",))[0]


def findings(text: str) -> tuple[Finding, ...]:
    with pytest.raises(ConfigurationError) as caught:
        read(text)
    return caught.value.findings


def test_an_example_keeps_its_place() -> None:
    mapping = read("  - {name: a, event: {type: page}}\n  - {name: b, event: {type: page}}\n")

    assert [(one.declared.name, one.file, one.line) for one in mapping.examples] == [
        ("a", "shop.yaml", FIRST),
        ("b", "shop.yaml", FIRST + 1),
    ]


def test_one_event_is_a_sequence_of_one() -> None:
    (example,) = read("  - {name: a, event: {type: page}}\n").examples

    assert [(one.at, one.event) for one in example.declared.sequence] == [(None, {"type": "page"})]


def test_a_reason_may_stand_alone_or_in_a_list() -> None:
    text = "  - {name: a, event: {}, skips: {shipped: too_old, profile: [no_rule, missing]}}\n"
    (example,) = read(text).examples

    assert example.declared.skips == {"shipped": ("too_old",), "profile": ("no_rule", "missing")}


@pytest.mark.parametrize(
    ("text", "code", "message", "line"),
    [
        ("  - {event: {}}\n", "field-missing", "`examples.0.name` is missing", FIRST),
        ("  - {name: a, give: {}, event: {}}\n", "unknown-field", "`examples.0.give` is not a field", FIRST),
        ("  - {name: a}\n", "field-invalid", "either `event`, or `events`", FIRST),
        ("  - {name: a, event: {}, events: [{event: {}}]}\n", "field-invalid", "either `event`, or `events`", FIRST),
        ("  - name: a\n    event: {}\n    now: yesterday\n", "field-invalid", "a moment is a date", FIRST + 2),
        ("  - name: a\n    events:\n      - {at: soon, event: {}}\n", "field-invalid", "a duration is a number", FIRST + 2),
        ("  - name: a\n    event:\n      timestamp: 2026-01-01\n", "text-unquoted", "", FIRST + 2),
        ("  - name: a\n    event: {}\n    gives: {profile: {update: {}}}\n", "field-invalid", "an operation is one of update_user", FIRST + 2),
        ("  - name: a\n    event: {}\n    gives: {profile: {update_user: 3}}\n", "field-invalid", "`{}` for any", FIRST + 2),
        ("  - name: a\n    event: {}\n    gives: {profile: {}}\n", "field-invalid", "write what the rule does", FIRST + 2),
        ("  - name: a\n    event: {}\n    never: [[x]]\n", "field-invalid", "write a text", FIRST + 2),
    ],
    ids=lambda value: value if isinstance(value, str) and "\n" in value else "",
)  # fmt: skip
def test_a_bad_example_is_a_finding_with_its_line(
    text: str, code: str, message: str, line: int
) -> None:
    found: Any = findings(text)

    assert [(one.code, one.file, one.line) for one in found[:1]] == [(code, "shop.yaml", line)]
    assert message in found[0].message


@pytest.mark.parametrize(
    ("text", "code", "hint"),
    [
        ("gives: {profil: {update_user: {}}}", "example-unknown-rule", "did you mean `profile`?"),
        ("skips: {nothing-like: x}", "example-unknown-rule", "the rules: profile, shipped"),
        (
            "gives: {profile: {send_notification: {}}}",
            "example-unknown-operation",
            "its operations: update_user",
        ),
    ],
)
def test_what_cannot_happen_is_a_finding(text: str, code: str, hint: str) -> None:
    (found,) = findings(f"  - name: a\n    event: {{}}\n    {text}\n")

    assert (found.code, found.hint, found.line) == (code, hint, FIRST + 2)
