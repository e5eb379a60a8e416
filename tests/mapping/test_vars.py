"""`vars`: values with a name, written in when the mapping is read."""

from __future__ import annotations

from typing import Any

import pytest

from bridge.mapping.expression import ExpressionError, compile_expression
from bridge.mapping.load import Source, compile_mapping
from bridge.mapping.rules import Mapping
from tests.unit.plan.planning import NO_IPHONES, errors_of, mapping_of, planned, rule, the_send

VARS: dict[str, Any] = {"shop": "https://www.shop.example", "n": 3, "on": True, "name": "the shop"}


def value(text: str, **event: Any) -> Any:
    return compile_expression(text, names=VARS).resolve(event)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("{{ vars.n }}", 3),
        ("{{vars.on}}", True),
        ("{{ vars.name }}", "the shop"),
        ("at {{ vars.name }} no. {{ vars.n }}", "at the shop no. 3"),
        ("{{ vars.name | upcase }}", "THE SHOP"),
        ("{% if vars.on %}yes{% endif %}", "yes"),
        ("{% for i in (1..vars.n) %}{{ i }}{% endfor %}", "123"),
    ],
)
def test_a_var_alone_is_a_literal(text: str, expected: Any) -> None:
    compiled = compile_expression(text, names=VARS)

    assert compiled.is_literal
    assert compiled.resolve({}) == expected
    assert compiled.resolve({"vars": {"n": 9, "name": "x", "on": False}}) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("{{ traits.a }} at {{ vars.name }}", "Ada at the shop"),
        ("{{ traits.a | append: vars.name }}", "Adathe shop"),
        ("{{ traits.b | default: vars.name }}", "the shop"),
        ("{% if traits.a == vars.name %}x{% else %}{{ traits.a }}{% endif %}", "Ada"),
    ],
)
def test_vars_beside_what_an_event_says(text: str, expected: str) -> None:
    compiled = compile_expression(text, names=VARS)

    assert compiled.resolve({"traits": {"a": "Ada"}}) == expected
    theirs = {"name": "elsewhere", "n": 9, "on": False, "shop": "https://elsewhere.example"}
    assert compiled.resolve({"traits": {"a": "Ada"}, "vars": theirs}) == expected
    assert all(path.startswith("traits.") for path in compiled.paths)
    assert "vars" not in compiled.roots


@pytest.mark.parametrize(
    "text",
    ["{{ vars.nane }}", "x {{ vars.nane }}", "{{ vars.nane | upcase }}", "{% if vars.nane %}{% endif %}",
     "{{ vars.name.first }}", "{{ vars }}", "{{ vars['nane'] }}"],
)  # fmt: skip
def test_an_unknown_var_is_an_error(text: str) -> None:
    with pytest.raises(ExpressionError) as error:
        compile_expression(text, names=VARS)

    assert error.value.code == "unknown-var"
    assert error.value.hint


def test_a_property_that_is_called_vars_is_one_of_the_event() -> None:
    assert value("{{ properties.vars.n }} x", properties={"vars": {"n": 1}}) == "1 x"


def test_a_var_in_an_address_is_part_of_it_and_not_encoded() -> None:
    send = {"contents": "Hi", "web_url": "{{ vars.shop }}/o/{{ properties.id }}"}
    mapping = mapping_of(
        rule(send_notification=send),
        vars=VARS,
        push={**NO_IPHONES, "links": ["https://www.shop.example/"]},
    )

    assert the_send(planned(mapping, properties={"id": "a b"})).body["web_url"] == (
        "https://www.shop.example/o/a%20b"
    )


def test_an_address_of_vars_alone_needs_no_links() -> None:
    send = {"contents": "Hi", "web_url": "{{ vars.shop }}/o"}

    mapping = mapping_of(rule(send_notification=send), vars=VARS, push=NO_IPHONES)

    assert the_send(planned(mapping)).body["web_url"] == "https://www.shop.example/o"


def tagged(names: dict[str, Any] | None, declared: dict[str, Any] | None = VARS) -> dict[str, str]:
    mapping = mapping_of(
        rule(update_user={"tags": {"n": "{{ vars.n }}", "on": "{{ vars.on }}"}}),
        vars=declared,
        names=names,
    )
    (update,) = planned(mapping).operations
    return update.tags  # type: ignore[union-attr]  # it is an UpdateUser


def test_an_app_or_the_environment_has_the_last_word() -> None:
    assert tagged(None) == {"n": "3", "on": "true"}
    assert tagged({"n": "4"}) == {"n": "4", "on": "true"}
    assert tagged({"n": 4, "on": "false"}) == {"n": "4", "on": "false"}
    assert tagged({"n": "a", "on": "b"}, None) == {"n": "a", "on": "b"}


def test_a_value_over_another_is_of_its_kind_where_it_spells_one() -> None:
    send = {"contents": "Hi", "ios_badgeType": "SetTo", "ios_badgeCount": "{{ vars.n }}"}
    mapping = mapping_of(rule(send_notification=send), vars=VARS, push=NO_IPHONES, names={"n": "7"})

    assert the_send(planned(mapping)).body["ios_badgeCount"] == 7


def test_another_value_of_a_var_is_another_revision() -> None:
    def revision(names: dict[str, Any]) -> str:
        mapping: Mapping = compile_mapping(
            [Source(name="a.yaml", text="version: 1\n")], serves=("web",), names=names
        )[0]
        return mapping.revision

    assert revision({"a": "1"}) == revision({"a": "1"})
    assert (
        len({revision({}), revision({"a": "1"}), revision({"a": "2"}), revision({"b": "1"})}) == 4
    )


@pytest.mark.parametrize(
    "declared",
    [
        {"a b": "x"},
        {"a": "{{ traits.x }}"},
        {"a": "{% if x %}"},
        {"a": None},
        {"a": [1]},
        {"1a": "x"},
    ],
    ids=str,
)
def test_vars_that_are_written_wrong(declared: dict[str, Any]) -> None:
    (error,) = errors_of(vars=declared)

    assert error.startswith("field-invalid: `vars")


def test_vars_stand_in_one_file() -> None:
    sources = [Source(name=f"{n}.yaml", text="version: 1\nvars: {a: x}\n") for n in "ab"]

    with pytest.raises(Exception, match="section-twice"):
        compile_mapping(sources, serves=("web",))


def test_links_may_be_written_with_vars() -> None:
    send = {"contents": "Hi", "web_url": "{{ vars.shop }}/o/{{ properties.id }}"}
    mapping = mapping_of(
        rule(send_notification=send), vars=VARS, push={**NO_IPHONES, "links": ["{{ vars.shop }}/"]}
    )

    assert the_send(planned(mapping, properties={"id": 1})).body["web_url"] == (
        "https://www.shop.example/o/1"
    )


@pytest.mark.parametrize(
    ("link", "code"),
    [
        ("{{ properties.host }}", "links-from-event"),
        ("https://{{ properties.host }}/", "links-from-event"),
        ("{{ vars.n }}", "links-from-event"),
        ("{{ vars.shopp }}/", "unknown-var"),
    ],
)
def test_links_that_would_allow_anything(link: str, code: str) -> None:
    (error,) = errors_of(vars=VARS, push={"links": [link]})

    assert error.partition(":")[0] == code
