"""`schema`: what editors read is what the parser takes."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]  # it has no types
from typer.testing import CliRunner

from bridge.cli import app
from bridge.mapping.load import starter
from bridge.mapping.mistakes import declared
from bridge.mapping.schema import DIALECT, duration_text, json_schema
from bridge.mapping.tree import read_tree
from bridge.mapping.written import duration_ms


@pytest.fixture(scope="module")
def validator() -> Draft202012Validator:
    return Draft202012Validator(json_schema())


def mapping(**rule: Any) -> dict[str, Any]:
    whole = {"name": "r", "when": "true", "do": {"update_user": {}}} | rule
    return {"version": 1, "rules": [whole]}


def push(**fields: Any) -> dict[str, Any]:
    return mapping(do={"send_notification": {"contents": "Hi"} | fields})


def test_it_is_printed_as_json_and_a_schema_of_2020_12() -> None:
    result = CliRunner().invoke(app, ["schema"])

    assert result.exit_code == 0
    printed = orjson.loads(result.output)
    assert printed == json_schema()
    assert printed["$schema"] == DIALECT
    Draft202012Validator.check_schema(printed)


def test_help_says_how_an_editor_finds_it() -> None:
    said = " ".join(CliRunner().invoke(app, ["schema", "--help"]).output.split())

    assert "# yaml-language-server: $schema=" in said
    assert "segment-bridge schema > mapping.schema.json" in said


@pytest.mark.parametrize(
    "path", sorted(starter().parent.glob("*.yaml")), ids=lambda path: path.stem
)
def test_every_shipped_mapping_is_valid(path: Any, validator: Draft202012Validator) -> None:
    validator.validate(read_tree(path.read_text(encoding="utf-8")).value)


@pytest.mark.parametrize(
    "good",
    [
        {"version": 1},
        {"version": 1, "push": {"platforms": "all", "cap": {"max": 7, "per": "15m"}}},
        {"version": 1, "identity": {"external_id": ["{{ userId }}", "{{ traits.id }}"]}},
        {"version": 1, "vars": {"a": 1, "b": "x", "c": True}},
        mapping(group=False, limit=False, cap="off", max_age="6h"),
        mapping(group="3s", limit={"max": 5, "per": "10m"}, once_per={"time": "7d"}),
        mapping(consent=["Marketing"]),
        mapping(consent={"need": ["Marketing"], "unknown": "allow"}),
        mapping(starts="2026-11-27T08:00:00+01:00"),
        mapping(do={"delete_user": None}),
        mapping(do={"update_user": {"email": "{{ traits.email }}"}}),
        mapping(do={"update_user": {"email": {"address": "a", "opted_in": False}}}),
        push(contents={"en": "Hi", "de": "Hallo"}, ttl="2d", data={"a": [1, {"b": None}]}),
        push(to={"external_id": "{{ properties.seller }}"}, platforms={"only": ["ios"]}),
        push(to={"alias": {"crm": "7"}}),
    ],
)
def test_what_the_parser_takes_is_valid(good: Any, validator: Draft202012Validator) -> None:
    validator.validate(good)


@pytest.mark.parametrize(
    "bad",
    [
        {},
        {"version": 2},
        {"version": 1, "rulez": []},
        {"version": 1, "push": {"platforms": "none"}},
        {"version": 1, "push": {"platforms": {"exclude": ["iphone"]}}},
        {"version": 1, "push": {"platforms": {"exclude": ["ios"], "only": ["web"]}}},
        {"version": 1, "identity": {"external_id": []}},
        {"version": 1, "rules": [{"name": "r", "when": "true"}]},
        mapping(when=True),
        mapping(max_age="6 hours"),
        mapping(max_age=6),
        mapping(replays="yes"),
        mapping(consent=[]),
        mapping(group=True),
        push(contents=5),
        push(ttl=60),
        push(contnets="Hi"),
        push(included_segments=["All"]),
        push(to={"external_id": "1", "subscription_id": "2"}),
        mapping(do={"add_subscription": {"type": "Fax", "token": "1"}}),
        mapping(do={"update_user": {"tags": {"a": [1]}}}),
    ],
)
def test_what_the_parser_refuses_is_not(bad: Any, validator: Draft202012Validator) -> None:
    assert not validator.is_valid(bad)


def test_every_field_is_there_with_what_it_means() -> None:
    schema = json_schema()
    parts = {"Document": schema, **schema["$defs"]}

    for model in declared():
        part = parts[model.__name__]
        assert part["properties"].keys() == model.model_fields.keys()
        assert part["additionalProperties"] is False
        assert part["description"].endswith((".", "`"))
        for name, one in part["properties"].items():
            # A field that means what its declaration does says it there.
            at = parts[one["$ref"].rpartition("/")[2]] if "$ref" in one else one
            assert one.get("description") or at["description"], f"{model.__name__}.{name}"


def test_a_default_is_written_as_in_a_file() -> None:
    rule = json_schema()["$defs"]["Rule"]["properties"]

    assert rule["max_age"]["default"] == "4h"
    assert rule["fold"]["default"] == "0s"
    assert rule["group"]["default"] == "off"
    assert "default" not in rule["once_per"]


@pytest.mark.parametrize("text", ["0s", "30s", "10m", "6h", "2d", "90m", "3650d"])
def test_a_duration_is_written_as_it_is_read(text: str) -> None:
    assert duration_ms(duration_text(duration_ms(text))) == duration_ms(text)
