"""Conditions: what each says of which event, how mistakes are explained, and what always holds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, strategies as st
from ruamel.yaml import YAML

from bridge.mapping.fql import LONGEST, ConditionError, compile_condition

_TABLE = YAML(typ="safe", pure=True).load(Path(__file__).with_name("fql_table.yaml"))


def _truths() -> list[Any]:
    rows = []
    for group in _TABLE["truths"]:
        for number, (condition, truth, *own) in enumerate(group["rows"], start=1):
            fields = own[0] if own else group["fields"]
            name = f"{group['about']}, {number}: {condition}"
            rows.append(pytest.param(condition, fields, truth, id=name))
    return rows


@pytest.fixture(scope="module", autouse=True)
def _grammar() -> None:
    """Loads the grammar, so that no example of a property is charged for it."""
    compile_condition("true")


@pytest.mark.parametrize(("text", "fields", "truth"), _truths())
def test_a_condition_says(text: str, fields: dict[str, Any], truth: object) -> None:
    assert compile_condition(text)(fields) is truth


def test_the_table_is_long_enough_to_be_believed() -> None:
    rows = [row for group in _TABLE["truths"] for row in group["rows"]]

    assert len({repr(row) for row in rows}) >= 150
    assert {row[1] for row in rows} == {True, False}
    assert len(_TABLE["mistakes"]) >= 40


@pytest.mark.parametrize(
    ("text", "offset", "message", "hint"),
    [pytest.param(*row, id=f"{row[0]!r}") for row in _TABLE["mistakes"]],
)
def test_a_mistake_is_shown_and_explained(text: str, offset: int, message: str, hint: str) -> None:
    with pytest.raises(ConditionError) as caught:
        compile_condition(text)

    assert caught.value.offset == offset
    assert message in caught.value.message
    assert hint in caught.value.hint


def test_the_caret_stands_under_the_place() -> None:
    with pytest.raises(ConditionError) as caught:
        compile_condition('type = "track"\n\tand event == "x"\n')

    assert caught.value.caret() == ' and event == "x"\n           ^'


def test_the_caret_stands_behind_the_text_when_something_is_missing() -> None:
    with pytest.raises(ConditionError) as caught:
        compile_condition("type =")

    assert caught.value.caret() == "type =\n      ^"


def test_a_condition_may_have_five_kilobytes_and_no_more() -> None:
    longest = f"type = '{'é' * ((LONGEST - 9) // 2)}'"
    longest += " " * (LONGEST - len(longest.encode()))
    assert compile_condition(longest)({"type": "x"}) is False

    with pytest.raises(ConditionError, match="5121 bytes"):
        compile_condition(longest + " ")


@pytest.mark.parametrize(
    ("open_", "middle", "close"),
    [
        ("(", "t", ")"),
        ("!", "t", ""),
        ("(t and (f or ", "t", "))"),
        ("!(f or t and ", "t", ")"),
        ("lowercase(", "t", ")"),
        ("[", "t", "]"),
    ],
)
def test_deep_conditions_work_up_to_a_hundred_levels(open_: str, middle: str, close: str) -> None:
    levels = sum(open_.count(sign) for sign in "(![")
    times = 100 // levels
    condition = compile_condition(open_ * times + middle + close * times)
    assert condition({"t": True, "f": False}) in {True, False}

    with pytest.raises(ConditionError, match="100 levels"):
        compile_condition(open_ * (times + 1) + middle + close * (times + 1))


def test_thousands_of_brackets_are_refused_and_not_followed() -> None:
    with pytest.raises(ConditionError, match="100 levels"):
        compile_condition("(" * 2000 + "t" + ")" * 2000)


def test_a_condition_tells_what_it_reads() -> None:
    condition = compile_condition(
        'type = "track" and ("a" = event or event in ["b", 5, "c"] or event != "d")'
        ' and length(properties.product\\.name) > 0 and type in ["page", traits.type]'
    )

    assert condition.paths == {
        ("type",),
        ("event",),
        ("properties", "product.name"),
        ("traits", "type"),
    }
    assert condition.event_names == {"a", "b", "c"}
    assert condition.types == {"track", "page"}
    assert condition.text.startswith("type =")
    assert condition.suspicious == ()


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("type = track", 'a text needs quotes: "track"'),
        ("event in [Order, 'Shipped']", 'a text needs quotes: "Order"'),
        ("propertes.total > 5", "did you mean `properties`?"),
        ("cart.total > 5", "properties or traits"),
        ("replay = True", "write `true`"),
        ("userId != NULL", "write `null`"),
        ("type = 'Track'", 'did you mean "track"?'),
        ("type in ['click']", "the types are alias"),
        ("audience.name = 'vip'", "audience.key"),
        ("audience = 'vip'", "audience.key"),
        ("source.name = 'web'", "always null"),
        ("event = 'A' or 'B'", 'event in ["A", "B"]'),
        ("!length(userId)", "is a number, which is never true"),
        ("[true]", "is a list, which is never true"),
        ("length(userId) = '3'", "is always false"),
        ("audience.entered = 'true'", "is always false: it compares a bool with a string"),
        ("replay != 'yes'", "is always true"),
        ("length(userId) != '3'", "is always true"),
        ("properties.total > '5'", "compares numbers"),
        ("[1] in properties.list", "cannot be in a list"),
        ("contains(event, 5)", "contains(text, part"),
        ("match(event, '[!a]')", "has no negation"),
    ],
)
def test_what_is_legal_and_odd_is_pointed_out(text: str, part: str) -> None:
    (message,) = compile_condition(text).suspicious

    assert part in message


@pytest.mark.parametrize(
    "text",
    [
        'type = "track" and event = "Order Shipped"',
        'audience.class = "audience" and audience.entered = true',
        "source = 'backend' and !replay",
        "device.platform in ['ios', 'android']",
        "length(userId) > 0 and userId != null and lowercase(traits.plan) = traits.old",
        "number(properties.total) >= 5",
        "true",
    ],
)
def test_ordinary_conditions_raise_no_suspicion(text: str) -> None:
    assert compile_condition(text).suspicious == ()


def test_numbers_that_are_not_json_still_compare() -> None:
    fields = {"nan": float("nan"), "inf": float("inf"), "huge": 10**5000}

    assert compile_condition("nan = nan")(fields) is False
    assert compile_condition("inf > 1e300")(fields) is True
    assert compile_condition("huge > 1e300 and string(huge) = null")(fields) is True


def test_lists_deeper_than_python_can_follow_are_compared_all_the_same() -> None:
    one: list[Any] = []
    other: list[Any] = []
    for _ in range(5000):
        one, other = [one], [other]

    assert compile_condition("a = b")({"a": one, "b": other}) is True
    assert compile_condition("a = b")({"a": one, "b": [other]}) is False
    assert compile_condition("string(a) = null")({"a": one}) is True


def test_half_a_surrogate_pair_has_a_length() -> None:
    assert compile_condition("length(userId) = 3")({"userId": "\ud800"}) is True


def test_a_pattern_with_many_stars_ends() -> None:
    condition = compile_condition(f"match(event, '{'*a' * 30}*b')")

    assert condition({"event": "a" * 20_000}) is False


# What always holds.

_names = st.sampled_from(["type", "event", "traits.plan", "properties.n", "audience.in", "x\\.y"])
_texts = st.sampled_from(['"track"', "'Order *'", '""', "'[a-z]*'", '"1"', "'é'"])
_numbers = st.sampled_from(["0", "1", "-2.5", "1e3"])
_atoms = st.one_of(_names, _texts, _numbers, st.sampled_from(["true", "false", "null", "[]"]))


def _calls(values: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    one = st.sampled_from(
        [
            "length",
            "lowercase",
            "uppercase",
            "snakecase",
            "kebabcase",
            "titlecase",
            "typeof",
            "bool",
            "string",
            "number",
        ]
    )
    two = st.sampled_from(["contains", "match"])
    return st.one_of(
        st.tuples(one, values).map(lambda c: f"{c[0]}({c[1]})"),
        st.tuples(two, values, values).map(lambda c: f"{c[0]}({c[1]}, {c[2]})"),
        st.lists(values, max_size=3).map(lambda items: f"[{', '.join(items)}]"),
    )


_values = st.recursive(_atoms, _calls, max_leaves=6)
_comparisons = st.one_of(
    st.tuples(_values, st.sampled_from(["=", "!=", "<", "<=", ">", ">="]), _values).map(" ".join),
    st.tuples(_values, _names).map(" in ".join),
    st.tuples(_values, st.lists(_values, max_size=3).map(", ".join)).map(
        lambda pair: f"{pair[0]} in [{pair[1]}]"
    ),
    _values,
)


def _joined(conditions: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.one_of(
        st.tuples(conditions, st.sampled_from([" and ", " or "]), conditions).map("".join),
        conditions.map("({})".format),
        conditions.map("!( {} )".format),
    )


_conditions = st.recursive(_comparisons, _joined, max_leaves=8)

_characters = st.integers(0, 0x10FFFF).map(chr)
_json = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(),
        st.floats(),
        st.lists(_characters, max_size=5).map("".join),
        st.sampled_from(["track", "1", "Order 1", "true", "[a"]),
    ),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["plan", "n", "in", "a"]), inner, max_size=3)
    ),
    max_leaves=10,
)
_events = st.dictionaries(
    st.sampled_from(["type", "event", "traits", "properties", "audience", "x.y"]), _json
)


@given(_conditions, _events)
def test_a_condition_answers_every_event_with_true_or_false(
    text: str, fields: dict[str, Any]
) -> None:
    answer = compile_condition(text)(fields)

    assert type(answer) is bool


@given(_conditions, _events)
def test_a_negated_condition_says_the_opposite(text: str, fields: dict[str, Any]) -> None:
    condition = compile_condition(f"({text}) and true")

    assert compile_condition(f"!(({text}) and true)")(fields) is not condition(fields)


_pieces = st.sampled_from(
    [
        "type",
        "event",
        "a.b",
        "and",
        "or",
        "in",
        "not",
        "!",
        "=",
        "==",
        "!=",
        "<",
        "<=",
        ">",
        ">=",
        "(",
        ")",
        "[",
        "]",
        ",",
        ".",
        "\\",
        '"',
        "'",
        '"x"',
        "'y'",
        "5",
        "-1",
        "1.",
        "1e9",
        "true",
        "null",
        "&",
        "|",
        "#",
        "{",
        "$",
        "é",
        "“",
        "~",
        "match(",
        "contains(",
        "f(",
        "length(a)",
    ]
)


@given(
    st.one_of(
        st.lists(_characters, max_size=20).map("".join),
        st.lists(_pieces, max_size=12).map(" ".join),
        st.lists(_pieces, max_size=12).map("".join),
    )
)
@example("\ud800")
@example("a = \ud800")
@example("\x00")
@example("0" * 5000 + "1 = 1")
@example("a = " + "9" * 5000)
def test_every_text_compiles_or_is_explained(text: str) -> None:
    error = _refusal(text)

    if error is not None:
        line, mark = error.caret().split("\n")
        assert error.message
        assert 0 <= error.offset <= len(text)
        assert mark.strip() == "^"
        assert len(mark) <= len(line) + 1


def _refusal(text: str) -> ConditionError | None:
    try:
        compile_condition(text)
    except ConditionError as error:
        return error
    return None


def _matches(pattern: str, text: str) -> bool:
    """Globs as the documentation describes them, in the slowest and plainest way."""
    if not pattern:
        return not text
    if pattern[0] == "*":
        return any(_matches(pattern[1:], text[i:]) for i in range(len(text) + 1))
    if pattern[0] == "[":
        listed, rest = pattern[1:].split("]", 1)
        allowed = {listed[0]} if len(listed) == 1 else set(listed)
        if len(listed) == 3 and listed[1] == "-":
            allowed = {chr(code) for code in range(ord(listed[0]), ord(listed[2]) + 1)}
        return text[:1] in allowed and _matches(rest, text[1:])
    if pattern[0] == "\\":
        return text[:1] == pattern[1] and _matches(pattern[2:], text[1:])
    return bool(text) and pattern[0] in {"?", text[0]} and _matches(pattern[1:], text[1:])


_globs = st.lists(
    st.sampled_from(["*", "?", "a", "b", "-", "[ab]", "[a-b]", "[b]", "\\*", "\\a", ".", "\n"]),
    max_size=8,
).map("".join)


def test_a_pattern_of_an_event_is_no_longer_than_a_condition_may_be() -> None:
    condition = compile_condition("match(properties.a, properties.b)")
    assert condition({"properties": {"a": "x" * 5_000, "b": "x" * 5_000}})
    assert not condition({"properties": {"a": "x" * 6_000, "b": "x" * 6_000}})


@given(_globs, st.text("ab*-.\n", max_size=8))
def test_patterns_match_as_the_plain_definition_does(pattern: str, text: str) -> None:
    fields = {"text": text, "pattern": pattern}

    assert compile_condition("match(text, pattern)")(fields) is _matches(pattern, text)


@given(_globs, st.text("ab*-.\n", max_size=8))
def test_a_pattern_written_out_matches_as_one_from_the_event(pattern: str, text: str) -> None:
    escaped = pattern.replace("\\", "\\\\").replace("\n", "\\n")

    written = compile_condition(f'match(text, "{escaped}")')

    assert written({"text": text}) is _matches(pattern, text)
