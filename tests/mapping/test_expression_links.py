"""What an event may not bring into a text that OneSignal reads: Liquid, and characters of links."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import given, settings, strategies as st

from bridge.mapping.expression import (
    ExpressionError,
    Missing,
    Refused,
    compile_expression,
)


def resolved(template: Any, event: dict[str, Any], *, encode: bool = False) -> Any:
    return compile_expression(template, encode=encode).resolve(event)


# --- liquid that an event brings, and links ----------------------------------------------------------


def test_raw_liquid_of_the_author_passes_through_for_onesignal() -> None:
    raw = "{% raw %}{{ first_name | default: 'there' }}{% endraw %}"
    assert compile_expression(raw).is_literal
    assert resolved(raw, {}) == "{{ first_name | default: 'there' }}"
    assert (
        resolved(raw + " {{ userId | upcase }}", {"userId": "u1"})
        == "{{ first_name | default: 'there' }} U1"
    )


@pytest.mark.parametrize(
    "value",
    ["{{ secret }}", "a {% if x %}", ["x", {"y": ["{{"]}], {"{{ k }}": 1}],
)
def test_a_value_that_holds_liquid_is_refused(value: Any) -> None:
    event = {"traits": {"v": value}}
    assert resolved("{{ traits.v }}", event) == Refused("liquid_in_value", "traits.v")


@pytest.mark.parametrize(
    ("template", "value"),
    [
        ("a {{ traits.v }}", "{{"),
        ("a {{ traits.v | downcase }}", "{{"),
        ("{{ traits.v }}{{ traits.v }}", "{"),
        ("{{ traits.v }}%", "{"),
        ("{{ traits.v }}{{ traits.v | upcase }}", "{"),
        ("{{ traits.v | append: '{' }}", "{"),
        ("{{ traits.v | url_decode }}", "%7B%7B"),
        ("{{ traits.v | base64_decode }}", "e3sgeCB9fQ=="),
        ("{% assign a = traits.v | split: ',' %}{{ a[0] }}{{ a[1] }}", "{,{"),
        ("{% capture c %}{{ traits.v }}{{ traits.v }}{% endcapture %}{{ c }}", "{"),
        ("{% raw %}{{% endraw %}{{ traits.v | upcase }}", "{ x }}"),
    ],
)
def test_no_piece_and_no_two_pieces_make_liquid(template: str, value: str) -> None:
    try:
        outcome = resolved(template, {"traits": {"v": value}})
    except ExpressionError as error:
        assert error.code == "template-not-allowed"  # noqa: PT017  # both answers refuse
    else:
        assert isinstance(outcome, Refused)
        assert outcome.reason == "liquid_in_value"


def test_a_value_is_refused_inside_liquid_meant_for_onesignal() -> None:
    template = "{% raw %}{{ a {% endraw %}{% if traits.v %}{{ traits.v }}{% endif %}"
    assert resolved(template, {"traits": {"v": "x"}}) == Refused("liquid_in_value", "traits.v")


def test_single_braces_are_only_text() -> None:
    assert resolved("{{ traits.v }}", {"traits": {"v": "{a}"}}) == "{a}"
    assert resolved("<{{ traits.v }}>", {"traits": {"v": "{a}"}}) == "<{a}>"
    assert resolved("<{{ traits.v | upcase }}>", {"traits": {"v": "{a}"}}) == "<{A}>"


LITERALS = st.lists(st.sampled_from(["{", "%", "a", "}", " "])).map("".join)
VALUES = st.lists(st.sampled_from(["{", "%", "a", "}", "{{", "{%"])).map("".join)


@settings(deadline=None)
@given(LITERALS, LITERALS, LITERALS, VALUES, VALUES, st.sampled_from(["", " | append: ''"]))
def test_no_event_ever_adds_liquid_to_a_text(
    a: str, b: str, c: str, one: str, two: str, filters: str
) -> None:
    template = f"{a}{{{{ v.one{filters} }}}}{b}{{{{ v.two }}}}{c}"
    try:
        outcome = resolved(template, {"v": {"one": one, "two": two}})
    except ExpressionError:
        return
    if isinstance(outcome, str):
        assert "{{" not in outcome
        assert "{%" not in outcome
    else:  # three pieces of literal text may happen to spell a path of their own
        assert isinstance(outcome, Refused) or outcome == Missing("a")


def test_in_links_every_value_that_is_not_the_whole_is_percent_encoded() -> None:
    event = {"p": {"id": "a/b ?&é#%"}}
    encoded = quote("a/b ?&é#%", safe="")
    assert resolved("shop://o/{{ p.id }}", event, encode=True) == f"shop://o/{encoded}"
    assert resolved("shop://{{ p.id | strip }}?{{ p.id }}", event, encode=True) == (
        f"shop://{encoded}?{encoded}"
    )
    assert resolved("{{ p.id }}", event, encode=True) == "a/b ?&é#%"
    assert resolved("{{ p.id | strip }}", event, encode=True) == "a/b ?&é#%"
    assert resolved("{% if p.id %}{{ p.id }}{% endif %}", event, encode=True) == encoded


def test_a_whole_link_with_a_default_is_as_it_stands() -> None:
    text = "{{ p.link | default: 'shop://home?a=b' }}"
    assert resolved(text, {"p": {"link": "shop://o?x=1&y=2"}}, encode=True) == "shop://o?x=1&y=2"
    assert resolved(text, {"p": {}}, encode=True) == "shop://home?a=b"


def test_a_brace_of_the_mappings_and_what_an_event_says_make_no_liquid() -> None:
    for printed in ("{{ p.v }}", "{{ p.v | strip }}"):
        brace = "{% raw %}{{% endraw %}"
        assert resolved(brace + printed, {"p": {"v": "a}"}}) == "{a}"
        for value in ("{ a }}", "% if a %}"):
            outcome = resolved(brace + printed, {"p": {"v": value}})
            assert isinstance(outcome, Refused)
            assert outcome.reason == "liquid_in_value"


def test_what_is_already_encoded_is_not_encoded_twice() -> None:
    event = {"p": {"id": "a/b é"}}
    assert resolved("x?{{ p.id | url_encode }}", event, encode=True) == "x?a%2Fb+%C3%A9"
    captured = "{% capture c %}{{ p.id }}{% endcapture %}x/{{ c }}"
    assert resolved(captured, event, encode=True) == "x/a%2Fb%20%C3%A9"


def test_encoding_does_not_let_liquid_through() -> None:
    for template in ("x/{{ p.id }}", "x/{{ p.id | strip }}"):
        outcome = resolved(template, {"p": {"id": "{{ a }}"}}, encode=True)
        assert outcome == Refused("liquid_in_value", "p.id")
