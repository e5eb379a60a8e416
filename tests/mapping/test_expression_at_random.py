"""Values of a mapping, over any event: nothing missing is ever made up, and nothing raises."""

from __future__ import annotations

import inspect
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, example, given, settings, strategies as st

from bridge.mapping.expression import (
    ExpressionError,
    Missing,
    Refused,
    compile_expression,
)
from bridge.mapping.liquid import compile_template, environment

EVENT: dict[str, Any] = {"userId": "u1", "properties": {"colours": ["red", "blue"]}}


def resolved(template: Any, event: dict[str, Any], *, encode: bool = False) -> Any:
    return compile_expression(template, encode=encode).resolve(event)


LITERALS = st.lists(st.sampled_from(["{", "%", "a", "}", " "])).map("".join)
VALUES = st.lists(st.sampled_from(["{", "%", "a", "}", "{{", "{%"])).map("".join)


# --- at random -----------------------------------------------------------------------------------

SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8)
JSON = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from(["a", "b", "size", "name", "x y"]), inner, max_size=4)
    ),
    max_leaves=8,
)
ARGUMENTS = st.sampled_from(["'a'", "1", "'%Y'", "2.5", "'name'", "true", "'-1'"])
FILTERS = sorted(environment().filters)


def required(name: str) -> int:
    """How many arguments a filter cannot do without."""
    parameters = list(inspect.signature(environment().filters[name]).parameters.values())[1:]
    plain = [p for p in parameters if p.kind is p.POSITIONAL_OR_KEYWORD]
    return sum(p.default is p.empty for p in plain)


def optional(name: str) -> int:
    parameters = list(inspect.signature(environment().filters[name]).parameters.values())[1:]
    return len([p for p in parameters if p.kind is p.POSITIONAL_OR_KEYWORD])


@st.composite
def calls(draw: st.DrawFn, name: str, *, among: st.SearchStrategy[str] = ARGUMENTS) -> str:
    count = draw(st.integers(required(name), optional(name)))
    arguments = ", ".join(draw(among) for _ in range(count))
    return f"{name}: {arguments}" if arguments else name


ABSENT_OR_NULL: list[dict[str, Any]] = [
    {},
    {"traits": {}},
    {"traits": {"x": None}},
    {"traits": None},
]
PLACES = [
    "{{ %s }}",
    "a {{ %s }}",
    "{%% assign v = %s %%}{{ v }}",
    "{%% capture v %%}{{ %s }}{%% endcapture %%}a",
    "{%% echo %s %%}",
    "{%% if true %%}{{ %s }}{%% endif %%}",
    "{%% for i in (1..2) %%}{{ %s }}{%% endfor %%}",
]


@pytest.mark.parametrize("name", [name for name in FILTERS if name != "default"])
@given(data=st.data())
@settings(deadline=None, max_examples=12, suppress_health_check=[HealthCheck.too_slow])
def test_no_filter_turns_a_missing_value_into_anything(name: str, data: st.DataObject) -> None:
    chain = ["traits.x", data.draw(calls(name))]
    chain += [
        data.draw(calls(other))
        for other in data.draw(st.lists(st.sampled_from(FILTERS), max_size=2))
        if other != "default"
    ]
    template = data.draw(st.sampled_from(PLACES)) % " | ".join(chain)
    event = data.draw(st.sampled_from(ABSENT_OR_NULL))
    assert resolved(template, event) == Missing("traits.x")


@pytest.mark.parametrize("name", [name for name in FILTERS if optional(name) and name != "default"])
@given(data=st.data())
@settings(deadline=None, max_examples=12, suppress_health_check=[HealthCheck.too_slow])
def test_no_filter_takes_a_missing_argument(name: str, data: st.DataObject) -> None:
    call = data.draw(calls(name, among=ARGUMENTS | st.just("traits.x")))
    assume("traits.x" in call)
    left = data.draw(st.sampled_from(["'a,b'", "5", "userId", "properties.colours"]))
    template = data.draw(st.sampled_from(PLACES)) % f"{left} | {call}"
    event = {**EVENT, **data.draw(st.sampled_from(ABSENT_OR_NULL))}
    assert resolved(template, event) == Missing("traits.x")


@pytest.mark.parametrize("name", FILTERS)
@given(data=st.data())
@settings(deadline=None, max_examples=8)
def test_a_default_after_any_filter_stands_in_for_a_missing_value(
    name: str, data: st.DataObject
) -> None:
    template = f"{{{{ traits.x | {data.draw(calls(name))} | default: 'instead' }}}}"
    event = data.draw(st.sampled_from(ABSENT_OR_NULL))
    outcome = resolved(template, event)
    assert outcome == "instead" or name == "default"


@pytest.mark.parametrize("name", FILTERS)
@given(data=st.data())
@settings(deadline=None, max_examples=12)
def test_a_filter_gives_text_or_a_reason_for_any_json(name: str, data: st.DataObject) -> None:
    call = data.draw(calls(name, among=ARGUMENTS | st.sampled_from(["p.y", "p.y.a"])))
    event = {"p": {"x": data.draw(JSON), "y": data.draw(JSON)}}
    outcome = resolved(f"{{{{ p.x | {call} }}}}", event)
    assert isinstance(outcome, (str, Missing, Refused))
    if isinstance(outcome, str) and not isinstance(event["p"]["x"], str):
        assert "None" not in outcome
        assert "<" not in outcome or "<" in repr(event)


PATHS = st.sampled_from(
    [
        "p",
        "p.a",
        "p.a.b",
        "p[0]",
        "p[-1].a",
        "p.size",
        "p.first",
        "p.last.name",
        "p['x y']",
        "p.a.size",
        "gone",
    ]
)


@given(PATHS, PATHS, JSON)
@settings(deadline=None, max_examples=300)
def test_the_quick_way_and_liquid_agree(one: str, two: str, value: Any) -> None:
    event = {"p": value}
    for text in (f"{{{{ {one} }}}}", f"a{{{{ {one} }}}}-{{{{ {two} }}}}"):
        quick, full = compile_expression(text), compile_template(text, encode=False)
        assert quick.paths == full.paths
        assert quick.roots == full.roots
        assert repr(quick.resolve(event)) == repr(full.resolve(event))


@pytest.mark.parametrize("name", FILTERS)
@given(data=st.data())
@settings(deadline=None, max_examples=10)
def test_the_straight_way_and_liquid_agree(name: str, data: st.DataObject) -> None:
    chain = [data.draw(PATHS), data.draw(calls(name))]
    chain += [
        data.draw(calls(one)) for one in data.draw(st.lists(st.sampled_from(FILTERS), max_size=2))
    ]
    before, after = data.draw(LITERALS), data.draw(LITERALS)
    text = f"{before}{{{{ {' | '.join(chain)} }}}}{after}"
    encode = data.draw(st.booleans())
    event = {"p": data.draw(JSON | VALUES)}
    try:
        quick, full = compile_expression(text, encode=encode), compile_template(text, encode=encode)
    except ExpressionError:
        return
    assert repr(quick.resolve(event)) == repr(full.resolve(event))


DEFAULTS = st.sampled_from(
    ["", " | default: 'x'", '|default:""', " | default: 'a b' ", " |  default:'{'"]
)


@given(PATHS, PATHS, DEFAULTS, DEFAULTS, JSON, st.booleans())
@settings(deadline=None, max_examples=400)
def test_the_quick_way_and_liquid_agree_on_defaults(
    one: str,
    two: str,
    first: str,
    second: str,
    value: Any,
    encode: bool,  # noqa: FBT001 — hypothesis gives it
) -> None:
    event = {"p": value}
    for text in (
        f"{{{{ {one}{first} }}}}",
        f"{{{{ {one}{first} }}}}{{{{ {two}{second} }}}}",
        f"a{{{{ {one}{first} }}}}-{{{{ {two}{second} }}}}",
    ):
        quick, full = compile_expression(text, encode=encode), compile_template(text, encode=encode)
        assert (quick.paths, quick.roots) == (full.paths, full.roots)
        assert quick.is_path == (full.whole is not None)
        assert repr(quick.resolve(event)) == repr(full.resolve(event))


@given(LITERALS, LITERALS, VALUES, VALUES, st.sampled_from(["link", "text"]))
@example("", "{{a}}", "{{", "", "link")
@settings(deadline=None, max_examples=300)
def test_the_quick_way_and_liquid_agree_on_braces(
    a: str, b: str, one: str, two: str, use: str
) -> None:
    text = f"-{a}{{{{ v.one }}}}{b}{{{{ v.two }}}}"
    try:
        quick = compile_expression(text, encode=use == "link")
        full = compile_template(text, encode=use == "link")
    except ExpressionError:
        return
    event = {"v": {"one": one, "two": two}}
    assert quick.resolve(event) == full.resolve(event)


TOKENS = st.sampled_from(
    [
        "{{",
        "}}",
        "{%",
        "%}",
        "{%-",
        "-}}",
        "|",
        ":",
        ",",
        ".",
        "[",
        "]",
        "'",
        '"',
        "(",
        ")",
        "..",
        "==",
        "if",
        "endif",
        "else",
        "for",
        "endfor",
        "in",
        "p",
        "p.a",
        "p[0]",
        "upcase",
        "default",
        "assign",
        "x",
        "=",
        "1",
        "-1",
        "2.5",
        "true",
        "nil",
        "raw",
        "endraw",
        "case",
        "when",
        "endcase",
        "capture",
        "endcapture",
        "join",
        "map",
        "liquid",
        "echo",
        "comment",
        "endcomment",
        "#",
        "doc",
        "enddoc",
        "increment",
        "forloop",
        "now",
        "date",
        "unix",
        "size",
        "\n",
        "%",
        "{",
        "}",
    ]
)


@given(
    st.lists(TOKENS | st.text(max_size=3)).map(" ".join), JSON, st.sampled_from(["link", "text"])
)
@example("{{ a }}" * 3000, None, "text")
@example("{% if a %}" * 200, None, "text")
@example("{{ " + "a." * 5000 + "a }}", None, "text")
@example("{{ a" + "[a" * 3000, None, "text")
@example("{% if " + "a and " * 3000 + "a %}b{% endif %}", None, "text")
@settings(deadline=None, max_examples=400)
def test_any_text_is_an_expression_or_an_expression_error(text: str, value: Any, use: str) -> None:
    try:
        expression = compile_expression(text, encode=use == "link")
    except ExpressionError:
        return
    outcome = expression.resolve({"p": value})
    assert expression.is_path or isinstance(outcome, (str, Missing, Refused))
    assert repr(expression.resolve({"p": value})) == repr(outcome)


def test_a_deep_value_is_no_trouble() -> None:
    deep: Any = "x"
    for _ in range(100_000):
        deep = [deep]
    assert resolved("{{ p }}", {"p": deep}) is deep
    assert resolved("a{{ p }}", {"p": deep}) == Refused("not_text", "p")
    assert isinstance(resolved("{{ p | join }}", {"p": deep}), Refused)
    assert isinstance(resolved("{{ p | sort }}", {"p": deep}), Refused)
