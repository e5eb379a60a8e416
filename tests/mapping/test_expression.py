"""Values of a mapping: mappings/README.md, section "Values", sentence by sentence."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest
from hypothesis import assume, given, strategies as st

from bridge.mapping.expression import (
    Missing,
    Refused,
    as_tag,
    compile_expression,
)

EVENT: dict[str, Any] = {
    "userId": "u1",
    "timestamp": "2024-05-01T10:20:30.5+02:00",
    "traits": {
        "firstName": "Ann",
        "first name": "Ann Lee",
        "nickname": None,
        "vip": True,
        "optedOut": False,
        "orders": 3,
        "balance": 1.0,
        "huge": 1e21,
        "empty": "",
        "address": {"city": "Oslo"},
    },
    "properties": {
        "order_id": "7/8",
        "limit": 20,
        "size": "XL",
        "products": [{"name": "Shoe", "price": 10}, {"name": "Sock", "price": 2.5}],
        "gaps": [{"name": "Shoe"}, {"price": 3}],
        "holes": ["a", None],
        "colours": ["red", "blue"],
        "none": [],
    },
}


def resolved(template: Any, event: dict[str, Any] | None = None, *, encode: bool = False) -> Any:
    return compile_expression(template, encode=encode).resolve(EVENT if event is None else event)


# --- literals, one path, templates ---------------------------------------------------------------


@pytest.mark.parametrize("value", ["", "Hello", "100 % {x}", 20, 1.5, True, False, None])
def test_a_value_without_liquid_is_literal(value: Any) -> None:
    expression = compile_expression(value)
    assert expression.is_literal
    assert expression.paths == frozenset()
    assert expression.resolve(EVENT) == value
    assert type(expression.resolve(EVENT)) is type(value)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("traits.firstName", "Ann"),
        ("traits['first name']", "Ann Lee"),
        ('traits["first name"]', "Ann Lee"),
        ("traits.nickname", None),
        ("traits.vip", True),
        ("traits.orders", 3),
        ("traits.address", {"city": "Oslo"}),
        ("properties.colours", ["red", "blue"]),
        ("properties.products[0].name", "Shoe"),
        ("properties.products[-1].name", "Sock"),
        ("properties.products.first.name", "Shoe"),
        ("properties.products.last.price", 2.5),
        ("properties.products.size", 2),
        ("properties.size", "XL"),
        ("properties.limit", 20),
        ("traits.firstName.size", 3),
        ("traits[properties.key]", Missing("properties.key")),
    ],
)
def test_exactly_one_path_keeps_its_type(path: str, value: Any) -> None:
    expression = compile_expression(f"{{{{ {path} }}}}")
    assert expression.is_path
    assert expression.resolve(EVENT) == value
    assert compile_expression(f"{{{{{path}}}}}").resolve(EVENT) == value


def test_a_path_may_be_chosen_by_another_path() -> None:
    template = "{{ traits[properties.key] }}"
    assert resolved(template, {"traits": {"a": 5}, "properties": {"key": "a"}}) == 5
    assert resolved(template, {"traits": {"a": 5}, "properties": {"key": "b"}}) == Missing(
        "traits[properties.key]"
    )
    assert resolved(template, {"traits": {"a": "{{ x }}"}, "properties": {"key": "a"}}) == Refused(
        "liquid_in_value", "traits[properties.key]"
    )


@pytest.mark.parametrize(
    "path",
    [
        "traits.gone",
        "gone",
        "traits.firstName.first",
        "traits.firstName[0]",
        "traits.nickname.anything",
        "traits.address.size",
        "traits.address.first",
        "traits[0]",
        "properties.products[2]",
        "properties.products[-3]",
        "properties.products['0']",
        "properties.none.first",
    ],
)
def test_what_is_not_there_is_missing_under_its_own_name(path: str) -> None:
    assert resolved(f"{{{{ {path} }}}}") == Missing(path)
    assert resolved(f"a {{{{ {path} }}}}") == Missing(path)
    assert resolved(f"a {{{{ {path} | upcase }}}}") == Missing(path)


def test_any_other_string_is_a_template() -> None:
    assert resolved("Hello {{ traits.firstName }}, {{ traits.orders }} %s") == "Hello Ann, 3 %s"
    assert resolved("{{ traits.firstName | upcase }}") == "ANN"
    assert resolved(" {{ traits.orders }}") == " 3"


def test_an_expression_names_the_paths_it_may_read() -> None:
    expression = compile_expression(
        "{% if traits.vip %}{{ properties.products[0]['full name'] | append: userId }}{% endif %}"
        "{% for p in properties.gaps %}{{ p.name }}{% endfor %}{% assign x = 1 %}{{ x }}"
    )
    assert expression.paths == {
        "traits.vip",
        "properties.products[0]['full name']",
        "userId",
        "properties.gaps",
    }
    assert expression.roots == {"traits", "properties", "userId"}
    assert not expression.is_literal


def test_names_that_are_words_of_liquid_are_names_after_a_dot() -> None:
    for word in ("limit", "for", "empty", "true", "in", "contains", "with"):
        event = {"properties": {word: "x"}}
        assert resolved(f"{{{{ properties.{word} }}}}", event) == "x"
        assert resolved(f"{{{{ properties.{word} | upcase }}}}", event) == "X"
        assert resolved(f"{{% if properties.{word} %}}y{{% endif %}}", event) == "y"


# --- missing -----------------------------------------------------------------------------------


def test_a_missing_value_is_never_turned_into_zero() -> None:
    assert resolved("{{ traits.gone | round }}") == Missing("traits.gone")
    assert resolved("{{ traits.nickname | plus: 1 }}") == Missing("traits.nickname")
    assert resolved("{{ traits.gone | size }}") == Missing("traits.gone")


def test_null_is_a_value_alone_and_missing_in_a_template() -> None:
    assert resolved("{{ traits.nickname }}") is None
    assert resolved("Hi {{ traits.nickname }}") == Missing("traits.nickname")
    assert resolved("{{ traits.nickname | upcase }}") == Missing("traits.nickname")


def test_a_default_stands_in_for_what_is_missing() -> None:
    assert resolved("{{ traits.gone | default: 'friend' }}") == "friend"
    assert resolved("{{ traits.nickname | default: 'friend' }}") == "friend"
    assert resolved("{{ traits.firstName | default: 'friend' }}") == "Ann"
    assert resolved("{{ traits.gone | default: traits.firstName }}") == "Ann"
    assert resolved("{{ traits.gone | default: traits.gone2 }}") == Missing("traits.gone2")
    assert resolved("{{ traits.gone | default: traits.gone2 | default: 'x' }}") == "x"


def test_a_default_later_in_the_chain_protects_the_path_and_skips_the_filters_between() -> None:
    assert resolved("{{ traits.gone | capitalize | default: 'friend' }}") == "friend"
    assert resolved("{{ traits.gone | plus: 1 | default: 'none' }}") == "none"
    assert resolved("{{ traits.gone | append: '!' | default: 'none' | upcase }}") == "NONE"


def test_a_default_does_not_protect_the_arguments_of_other_filters() -> None:
    assert resolved("{{ 'a' | append: traits.gone | default: 'x' }}") == Missing("traits.gone")


def test_the_fallback_of_a_default_is_read_only_when_it_is_needed() -> None:
    assert resolved("{{ traits.firstName | default: traits.gone }}") == "Ann"


def test_default_replaces_false_and_empty_as_liquid_does() -> None:
    assert resolved("{{ traits.optedOut | default: 'x' }}") == "x"
    assert resolved("{{ traits.empty | default: 'x' }}") == "x"
    assert resolved("{{ properties.none | default: 'x' }}") == "x"
    assert resolved("{{ traits.optedOut | default: 'x' | upcase }}") == "X"
    assert resolved("{{ traits.empty | default: 'x' | upcase }}") == "X"
    assert resolved("{{ traits.optedOut | default: 'x', allow_false: true }}") == "false"
    assert resolved("{{ 0 | default: 'x' }}") == "0"


def test_a_path_that_only_decides_may_be_absent() -> None:
    assert resolved("{% if traits.gone %}a{% else %}b{% endif %}") == "b"
    assert (
        resolved("{% if traits.nickname %}a{% elsif traits.gone %}c{% else %}b{% endif %}") == "b"
    )
    assert resolved("{% unless traits.gone %}a{% endunless %}") == "a"
    assert resolved("{% case traits.gone %}{% when 1 %}a{% else %}b{% endcase %}") == "b"
    assert resolved("{% case 1 %}{% when traits.gone %}a{% else %}b{% endcase %}") == "b"
    assert resolved("{% if traits.gone == nil and traits.gone2 != 3 %}a{% endif %}") == "a"


def test_a_branch_that_is_not_taken_is_not_read() -> None:
    assert resolved("{% if traits.vip %}a{% else %}{{ traits.gone }}{% endif %}") == "a"
    assert resolved("{% if traits.gone %}{{ traits.gone }}{% endif %}b") == "b"
    assert resolved("{% if traits.vip %}{{ traits.gone }}{% endif %}") == Missing("traits.gone")


@pytest.mark.parametrize(
    "template",
    [
        "{{ 'a' | append: traits.gone }}",
        "{{ 'a' | replace: 'a', traits.gone }}",
        "{% assign x = traits.gone %}a",
        "{% capture x %}{{ traits.gone }}{% endcapture %}a",
        "{% for p in traits.gone %}{% else %}a{% endfor %}",
        "{% for p in properties.colours limit: traits.gone %}a{% endfor %}",
        "{% for p in (1..traits.gone) %}a{% endfor %}",
        "{% echo traits.gone %}",
        "{% liquid\n echo traits.gone\n%}",
        "{{ (1..traits.gone) | join }}",
    ],
)
def test_every_other_place_that_reads_makes_it_missing(template: str) -> None:
    assert resolved(template) == Missing("traits.gone")


def test_variables_of_a_template_are_no_paths_but_what_is_read_through_them_counts() -> None:
    assert resolved("{% assign x = traits.firstName | upcase %}{{ x }}!") == "ANN!"
    assert resolved("{% capture x %}<{{ userId }}>{% endcapture %}{{ x }}") == "<u1>"
    names = "{% for p in properties.products %}{{ p.name }}{% unless forloop.last %}, {% endunless %}{% endfor %}"
    assert resolved(names) == "Shoe, Sock"
    assert resolved("{% for p in properties.gaps %}{{ p.name }}{% endfor %}") == Missing("p.name")
    assert resolved("{% for p in properties.holes %}{{ p }}{% endfor %}") == Missing("p")


def test_absent_items_of_a_list_are_missing_unless_compacted() -> None:
    names = "{{ properties.gaps | map: 'name' "
    assert resolved(names + "| join: '+' }}") == Missing("properties.gaps")
    assert resolved(names + "| compact | join: '+' }}") == "Shoe"
    assert resolved("{{ properties.gaps | sum: 'price' }}") == Missing("properties.gaps")
    assert resolved("{{ properties.holes | join }}") == Missing("properties.holes")
    assert resolved("{{ properties.none | first }}") == Missing("properties.none")
    assert resolved("{{ properties.none | first | default: 'x' }}") == "x"
    assert resolved("{{ properties.colours | find: 'x', 'y' }}") == Missing("properties.colours")


def test_an_empty_text_stands_only_where_all_paths_are_present() -> None:
    assert resolved("{{ traits.empty }}") == ""
    assert resolved("{{ traits.empty | strip }}") == ""
    assert resolved("{% if traits.optedOut %}x{% endif %}") == ""
    assert resolved("{% if traits.gone %}x{% endif %}") == Missing("traits.gone")
    assert resolved("{{ traits.gone | default: '' }}") == Missing("traits.gone")
    assert resolved("{{ traits.nickname | default: '' }}") == ""
    assert resolved("{{ traits.gone | default: '' | upcase }}") == Missing("traits.gone")
    assert resolved("{{ traits.gone | upcase | default: '' }}") == Missing("traits.gone")
    assert resolved("{{ traits.nickname | default: '' | upcase }}") == ""


@pytest.mark.parametrize(
    "text", ["x{{ traits.a }}", "{{ traits.a | upcase }}", "x{{ traits.a | upcase }}"]
)
def test_a_text_has_up_to_10000_characters(text: str) -> None:
    before = text.partition("{{")[0]
    room = 10_000 - len(before)
    assert resolved(text, {"traits": {"a": "A" * room}}) == before + "A" * room
    refused = resolved(text, {"traits": {"a": "A" * (room + 1)}})
    assert isinstance(refused, Refused)
    assert refused.reason == "too_long"


# --- text ----------------------------------------------------------------------------------------


def test_booleans_and_numbers_are_printed_as_json_prints_them() -> None:
    text = "{{ traits.vip }} {{ traits.optedOut }} {{ traits.orders }} {{ traits.balance }} {{ traits.huge }}"
    assert resolved(text) == "true false 3 1.0 1e+21"
    assert resolved("{{ traits.vip | append: traits.balance }}") == "true1.0"
    assert resolved("{% assign v = traits.vip %}{{ v }}") == "true"
    assert resolved("{{ properties.products | map: 'price' | join: '/' }}") == "10/2.5"


@pytest.mark.parametrize("path", ["traits.address", "properties.colours"])
def test_a_list_or_an_object_is_not_text(path: str) -> None:
    for template in (f"a {{{{ {path} }}}}", f"{{{{ {path} | upcase }}}}", f"{{% echo {path} %}}"):
        assert resolved(template) == Refused("not_text", path)
    assert resolved("{{ properties.products | join }}") == Refused(
        "not_text", "properties.products"
    )


def test_a_joined_list_is_text() -> None:
    assert resolved("{{ properties.colours | join: ', ' }}") == "red, blue"


def test_a_text_that_is_no_number_is_not_taken_for_zero() -> None:
    assert resolved("{{ traits.firstName | plus: 1 }}") == Refused(
        "not_a_number", "traits.firstName"
    )
    assert resolved("{{ traits.vip | plus: 1 }}") == Refused("not_a_number", "traits.vip")
    assert resolved("{{ traits.empty | round }}") == Refused("not_a_number", "traits.empty")
    assert resolved("{{ '2.5' | times: 2 }}") == "5.0"


@given(value=st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text())
def test_a_tag_is_the_json_text_of_a_scalar(value: Any) -> None:
    assume(not isinstance(value, float) or abs(value) != float("inf"))
    expected = "" if value is None else value if isinstance(value, str) else json.dumps(value)
    assert as_tag(value) == expected


def test_a_list_is_no_tag() -> None:
    assert as_tag([1]) == Refused("not_text", None)
    assert as_tag({}) == Refused("not_text", None)
    assert as_tag(float("nan")) == Refused("not_text", None)


def test_plain_values_do_not_load_liquid() -> None:
    code = (
        "import sys\n"
        "from bridge.mapping.expression import compile_expression\n"
        "e = compile_expression('Hi {{ traits.a }}')\n"
        "assert e.resolve({'traits': {'a': 1}}) == 'Hi 1'\n"
        "assert 'liquid' not in sys.modules\n"
        "assert 'pydantic' not in sys.modules\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
