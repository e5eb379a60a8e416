"""What a rule says of itself: its terms, and what is wrong with them."""

from __future__ import annotations

from typing import Any

import pytest

from bridge.mapping import document
from bridge.mapping.load import Source, compile_mapping
from bridge.mapping.mistakes import declared
from bridge.mapping.terms import CAP_MAX, CAP_PER_MS, LIMIT_MAX, LIMIT_PER_MS, Rate, Terms
from tests.unit.plan.planning import NO_IPHONES, errors_of, mapping_of, rule

PUSH: dict[str, Any] = {"send_notification": {"contents": "Hi"}}
TAGS: dict[str, Any] = {"update_user": {"tags": {"a": "1"}}}
HOUR = 3_600_000


def terms(push: dict[str, Any] | None = None, **more: Any) -> Terms:
    (compiled,) = mapping_of(rule(**PUSH, **more), push={**NO_IPHONES, **(push or {})}).rules
    return compiled.terms


def test_the_terms_of_a_rule_that_says_nothing() -> None:
    assert terms() == Terms(
        max_age_ms=4 * HOUR,
        limit=Rate(LIMIT_MAX, LIMIT_PER_MS),
        cap=Rate(CAP_MAX, CAP_PER_MS),
        group_ms=None,
    )


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ({"max_age": "6h"}, {"max_age_ms": 6 * HOUR}),
        ({"limit": {"max": 5, "per": "1h"}}, {"limit": Rate(5, HOUR)}),
        ({"limit": "off"}, {"limit": None}),
        ({"limit": False}, {"limit": None}),
        ({"transactional": True}, {"limit": None, "cap": Rate(CAP_MAX, CAP_PER_MS)}),
        ({"transactional": True, "limit": {"max": 5, "per": "1h"}}, {"limit": Rate(5, HOUR)}),
        ({"cap": "off"}, {"cap": None}),
        ({"cap": False}, {"cap": None}),
        ({"group": "3s"}, {"group_ms": 3000}),
        ({"group": "10m"}, {"group_ms": 600_000}),
        ({"group": "off"}, {"group_ms": None}),
        ({"group": False}, {"group_ms": None}),
        ({"push": {"cap": {"max": 7, "per": "10m"}}}, {"cap": Rate(7, 600_000)}),
        ({"push": {"cap": {"max": 2}}}, {"cap": Rate(2, CAP_PER_MS)}),
    ],
    ids=str,
)
def test_terms(more: dict[str, Any], expected: dict[str, Any]) -> None:
    found = terms(**more)._asdict()

    assert {name: found[name] for name in expected} == expected


@pytest.mark.parametrize(
    ("more", "error"),
    [
        ({"once_per": {}}, "field-missing: `rules.0.once_per.time` is missing"),
        ({"once_per": {"key": "x"}}, "field-missing: `rules.0.once_per.time` is missing"),
        ({"once_per": "7d"}, "field-invalid: `rules.0.once_per`"),
        ({"once_per": {"time": 7}}, "field-invalid: `rules.0.once_per.time`: a duration is"),
        (
            {"once_per": {"time": "0s"}},
            "field-invalid: `rules.0.once_per.time`: a time of 0 is none",
        ),
        ({"once_per": {"time": "7d", "key": "{{ properties.sku"}}, "template-syntax: "),
        ({"limit": "on"}, "field-invalid: `rules.0.limit"),
        ({"limit": {"max": 0, "per": "1h"}}, "field-invalid: `rules.0.limit"),
        ({"limit": {"max": 5}}, "field-missing: `rules.0.limit"),
        ({"limit": {"max": 5, "per": "0s"}}, "field-invalid: `rules.0.limit"),
        ({"cap": {"max": 3}}, "field-invalid: `rules.0.cap`"),
        ({"cap": True}, "field-invalid: `rules.0.cap`"),
        ({"group": "on"}, "field-invalid: `rules.0.group"),
        ({"group": "0s"}, "field-invalid: `rules.0.group"),
        ({"group": "11m"}, "group-too-long: a group waits ten minutes at most"),
        ({"group": "5m", "max_age": "5m"}, "group-too-long: what waits for a group that long"),
        ({"max_age": "0s"}, "field-invalid: `rules.0.max_age`: a time of 0 is none"),
        ({"max_age": "4 h"}, "field-invalid: `rules.0.max_age`: a duration is"),
        ({"transactional": "yes"}, "yes-or-no: "),
        ({"replays": 1}, "field-invalid: `rules.0.replays`"),
        ({"unchanged": "always"}, "field-invalid: `rules.0.unchanged`"),
        ({"push": {"cap": {"max": 8}}}, "field-invalid: `push.cap.max`"),
        ({"push": {"cap": {"max": 0}}}, "field-invalid: `push.cap.max`"),
        ({"push": {"cap": {"per": "0s"}}}, "field-invalid: `push.cap.per`"),
    ],
    ids=str,
)
def test_terms_that_are_written_wrong(more: dict[str, Any], error: str) -> None:
    push = {**NO_IPHONES, **more.pop("push", {})}

    found = errors_of(rule(**PUSH, **more), push=push)

    assert any(one.startswith(error) for one in found), found


@pytest.mark.parametrize(
    "name", ["max_age", "once_per", "limit", "cap", "group", "transactional", "replays"]
)
def test_what_is_about_sends_does_nothing_without_one(name: str) -> None:
    values = {
        "once_per": "{time: 7d}", "limit": "off", "cap": "off", "transactional": "true",
        "replays": "true",
    }  # fmt: skip
    text = (
        'version: 1\nrules:\n  - name: r\n    when: "true"\n'
        f"    {name}: {values.get(name, '3s')}\n    do: {{update_user: {{tags: {{a: 'x'}}}}}}\n"
    )

    _, findings = compile_mapping([Source(name="a.yaml", text=text)], serves=("web",))

    assert [(one.code, one.level, one.line) for one in findings] == [
        ("field-without-effect", "warning", 5)
    ]


def test_every_field_says_in_a_sentence_what_it_is() -> None:
    fields = [
        (model.__name__, name, field)
        for model in declared()
        for name, field in model.model_fields.items()
    ]

    assert {model for model, _, _ in fields} >= {"Rule", "SendNotification", "Target", "Contact"}
    for where, name, field in fields:
        assert field.description, (where, name)
        assert field.description[0].isupper() or field.description.startswith(
            ("`", "0 ", "10 ", "false ")
        ), (
            where,
            name,
        )
        assert field.description.endswith("."), (where, name)
    for model in declared():
        assert model.__doc__, model


def test_every_example_of_a_field_is_one_that_the_field_takes() -> None:
    for model in declared():
        for name, field in model.model_fields.items():
            for example in field.examples or ():
                rest = {
                    other: one.examples[0]
                    for other, one in model.model_fields.items()
                    if one.is_required() and other != name and one.examples
                }
                model_can_stand_alone = all(
                    not one.is_required() or other in {name, *rest}
                    for other, one in model.model_fields.items()
                )
                if model_can_stand_alone and model is not document.Example:
                    model.model_validate({**rest, name: example})
