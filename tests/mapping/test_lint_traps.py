"""The traps of YAML: each has a name of its own, the place where it closes, and the way out."""

from __future__ import annotations

import pytest

from bridge.errors import ConfigurationError, Finding
from bridge.mapping.lint import check_texts
from bridge.mapping.load import Source, compile_mapping
from bridge.mapping.traps import Trap, traps

RULE = "version: 1\nrules:\n  - name: r\n    when: {when}\n    do:\n      update_user:\n        tags: {{a: 1}}\n"
TAG = 'version: 1\nrules:\n  - name: r\n    when: "true"\n    do:\n      update_user:\n        tags:\n          a: {value}\n'


def found(text: str) -> list[Finding]:
    try:
        return compile_mapping([Source(name="a.yaml", text=text)], serves=("android",))[1]
    except ConfigurationError as error:
        return list(error.findings)


def said(finding: Finding | Trap) -> str:
    return f"{finding.code} {finding.line}:{finding.column}"


@pytest.mark.parametrize(
    ("when", "expected", "hint"),
    [
        ('!(type = "track")', "bang-first 4:11", """write it in quotes: '!(type = "track")'"""),
        ("! replay", "bang-first 4:11", "write it in quotes: '! replay'"),
        ('!contains(event, "x")', "bang-first 4:11", """write it in quotes: '!contains(event, "x")'"""),
        ('"track" = type', "quote-first 4:11", """put the whole value in quotes: when: '"track" = type'"""),
        ("'a' = event", "quote-first 4:11", """put the whole value in quotes: when: "'a' = event\""""),
        ('event = "Order #5"', "text-cut-short 4:26", """write when: 'event = "Order #5"'"""),
        ("event = # what?", "text-cut-short 4:19", "write when: 'event = # what?'"),
        ('event = "Sale: now"', "colon-in-text 4:11", """write when: 'event = "Sale: now"'"""),
        ("true", "text-unquoted 4:5", 'write "true"'),
        ("2026-01-01", "text-unquoted 4:5", 'write "2026-01-01"'),
    ],
)  # fmt: skip
def test_a_condition_that_yaml_does_not_read_as_one(when: str, expected: str, hint: str) -> None:
    (finding,) = found(RULE.format(when=when))

    assert said(finding) == expected
    assert finding.hint == hint
    assert finding.is_error


def test_a_condition_that_is_cut_short_is_told_once() -> None:
    text = RULE.format(when='event = "Order #5"')

    (finding,) = check_texts([Source(name="a.yaml", text=text)], serves=("android",))

    assert finding.is_error


def test_a_negation_that_yaml_would_drop_without_a_word_is_an_error() -> None:
    text = RULE.format(when="! replay")

    assert [one.code for one in found(text)] == ["bang-first"]
    assert found(text.replace("! replay", '"!replay"')) == []
    assert found("# when: !replay\n" + text.replace("! replay", "'!replay'")) == []


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("{{ traits.a }}", "unquoted-template 8:11"),
        ("{{ traits.a }} and more", "unquoted-template 8:14"),
        ("{% if x %}", "unquoted-template 8:14"),
        ("Sale: 50% off", "colon-in-text 8:14"),
        ("@ada", "text-unquoted 8:14"),
        ("50% off\n          a: 2", "key-twice 9:11"),
        ('"open', "yaml-invalid 8:14"),
        ("1\n\tb: 2", "tab-indent 9:1"),
        ("1\n         b: 2", "yaml-invalid 9:10"),
    ],
)
def test_a_text_that_yaml_cannot_read(value: str, expected: str) -> None:
    (finding,) = found(TAG.replace("{value}", value))

    assert said(finding) == expected
    assert finding.hint


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("Order #5 is on its way", "text-cut-short 8:20"),
        ("01234", "leading-zeros 8:14"),
        ("-007", "leading-zeros 8:14"),
        ("1.10", "number-rewritten 8:14"),
        ("0x1F", "number-rewritten 8:14"),
        ("1_000", "number-rewritten 8:14"),
        ("12e3", "number-rewritten 8:14"),
    ],
)
def test_a_text_that_yaml_reads_as_something_else(value: str, expected: str) -> None:
    text = TAG.replace("{value}", value)

    assert found(text) == []
    (trap,) = traps(text)
    assert said(trap) == expected
    assert trap.hint


@pytest.mark.parametrize(
    "value",
    [
        "Order 5   # the fifth",
        "Order 5   #",
        '"Order #5"',
        "'0815'",
        "1234",
        "1.5",
        "0",
        "yes",
        "#5",
        "|\n            Order #5",
        "9" * 5000,
        "v1.10",
    ],
)
def test_what_is_written_as_it_is_meant_is_no_trap(value: str) -> None:
    assert list(traps(TAG.replace("{value}", value))) == []


def test_an_event_in_an_example_may_have_any_number() -> None:
    assert list(traps("version: 1\nexamples:\n  - event: {price: 1.10, zip: 0815}\n")) == []


def test_yes_and_no_are_texts_and_said_so_where_true_or_false_is_meant() -> None:
    text = RULE.format(when="replay").replace("    do:", "    replays: yes\n    do:")

    (finding,) = found(text)

    assert said(finding) == "yes-or-no 5:5"
    assert finding.hint == "write true"


def test_what_is_right_is_read_on_beside_what_is_wrong() -> None:
    text = (
        TAG.replace("{value}", "{{ x }}").replace("{{ x }}", "[1]")
        + "  - name: s\n    when: type =\n    do: {update_user: {tags: {a: 1}}}\n"
        + "rulez: []\n"
    )

    assert sorted(map(said, found(text))) == [
        "condition-invalid 10:5",
        "field-invalid 8:11",
        "unknown-field 12:1",
    ]
