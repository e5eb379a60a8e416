"""JSON Schema (2020-12) of a mapping file, for editors: from the declarations that the parser reads.

What a validator takes beyond the type behind it (`30s` for a number of milliseconds, a text for texts by
language) is in `SHAPES`, by validator. The schema takes everything that the parser takes; the parser
refuses more, because a schema cannot read a condition or a template.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from copy import deepcopy
from typing import Any, Final

from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import core_schema

from bridge.mapping import document, written_user
from bridge.onesignal.platforms import PLATFORMS

DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"
DURATION: Final = {"type": "string", "pattern": "^[0-9]{1,15}[smhd]$"}
_POLICY: Final = {
    "anyOf": [
        {"const": "all"},
        *(
            {
                "type": "object",
                "properties": {
                    kind: {"type": "array", "items": {"enum": list(PLATFORMS)}, "minItems": 1},
                    "by": {"enum": ["flags", "devices"]},
                    "unknown_devices": {"enum": ["skip", "flags"]},
                },
                "required": [kind],
                "additionalProperties": False,
            }
            for kind in ("only", "exclude")
        ),
    ]
}
_OBJECTS: Final = {"type": "array", "items": {"type": "object"}, "minItems": 1}

Shape = Callable[[JsonSchemaValue], JsonSchemaValue]


def _or(*others: JsonSchemaValue) -> Shape:
    return lambda inner: {"anyOf": [*deepcopy(others), inner]}


def _instead(shape: JsonSchemaValue) -> Shape:
    return lambda _: deepcopy(shape)


def _one(inner: JsonSchemaValue) -> JsonSchemaValue:
    """An object with one name in it; or nothing, where that will do."""
    return {**inner, "minProperties": 1, "maxProperties": 1}


def _as_it_is(inner: JsonSchemaValue) -> JsonSchemaValue:
    return inner


_TEXT: Final = {"type": "string"}
SHAPES: Final[dict[str, Shape]] = {
    "duration_ms": _instead(DURATION),
    "_positive_ms": _instead(DURATION),
    "ttl_ms": _instead(DURATION),
    "_moment_ms": _instead({"type": "string", "format": "date-time"}),
    "_policy": _instead(_POLICY),
    "_texts": lambda inner: {"anyOf": [_TEXT, {**inner, "minProperties": 1}]},
    "paths": lambda inner: {"anyOf": [_TEXT, {**inner, "minItems": 1}]},
    "_reasons": _or(_TEXT),
    "_contact": _or(_TEXT),
    "_consent": _or({"type": "array", "items": _TEXT, "minItems": 1}),
    "tokens_of": _or({"type": "array", "items": {"enum": ["ios", "android"]}, "minItems": 1}),
    "off": _or({"const": False}),
    "_happened": _instead({"anyOf": [{"type": "null"}, {"type": "object"}, _OBJECTS]}),
    "_one_person": _one,
    "_one_alias": _one,
    "_type": _instead({"enum": list(written_user.SUBSCRIPTION_TYPES)}),
    "scalar": _as_it_is,
    "_present": _as_it_is,
    "_tag_value": _as_it_is,
    "_raw": _as_it_is,
    "_vars": _as_it_is,
    "_number": _as_it_is,
    "_acts": _as_it_is,
    "_version": _as_it_is,
    "_nothing_to_say": _as_it_is,
}
"""What each validator that runs before the type takes, by its name."""


def json_schema() -> dict[str, Any]:
    """The schema of a mapping file."""
    made = document.Document.model_json_schema(schema_generator=_Generator, mode="validation")
    return {"$schema": DIALECT, "title": "A mapping of segment-bridge", **_tidied(made)}


class _Generator(GenerateJsonSchema):
    """Pydantic's generator, with our validators' shapes."""

    def function_before_schema(
        self, schema: core_schema.BeforeValidatorFunctionSchema
    ) -> JsonSchemaValue:
        name = getattr(schema["function"]["function"], "__name__", "")
        inner = schema["schema"]
        return SHAPES[name]({} if name == "_policy" else self.generate_inner(inner))

    def default_schema(self, schema: core_schema.WithDefaultSchema) -> JsonSchemaValue:
        made = super().default_schema(schema)
        written_as = _as_written(made)
        if written_as is None:
            made.pop("default", None)
        else:
            made["default"] = written_as
        return made

    def encode_default(self, dft: Any) -> Any:
        return dft if isinstance(dft, str | bool | int | float) else None


def _as_written(made: JsonSchemaValue) -> str | bool | int | float | None:
    """A default in the way in which a file says it: 14400000 is `4h`."""
    value = made.get("default")
    is_duration = DURATION["pattern"] in {one.get("pattern") for one in (made, *_ways(made))}
    if is_duration and isinstance(value, int):
        return duration_text(value)
    return value


def _ways(made: JsonSchemaValue) -> list[JsonSchemaValue]:
    """Everything that a value may be, below each other."""
    below = [way for way in made.get("anyOf", []) if isinstance(way, dict)]
    return [*below, *(deeper for way in below for deeper in _ways(way))]


def duration_text(ms: int) -> str:
    """Milliseconds as a file writes them, in the largest unit that leaves no rest."""
    if ms == 0:
        return "0s"
    units = ((86_400_000, "d"), (3_600_000, "h"), (60_000, "m"), (1_000, "s"))
    return next(f"{ms // size}{unit}" for size, unit in units if ms % size == 0)


def _tidied(made: Any) -> Any:
    """Without the titles that say a field's name again, and with descriptions in one line."""
    if isinstance(made, list):
        return [_tidied(one) for one in made]
    if not isinstance(made, dict):
        return made
    tidy: JsonSchemaValue = {}
    for name, value in made.items():
        if name == "title" and isinstance(value, str):
            continue
        if name == "description" and isinstance(value, str):
            tidy[name] = re.sub(r"\s+", " ", value)
        elif name == "anyOf":
            tidy[name] = [flat for one in value for flat in _flat(_tidied(one))]
        else:
            tidy[name] = _tidied(value)
    return tidy


def _flat(way: JsonSchemaValue) -> list[JsonSchemaValue]:
    """The ways of a choice that is itself one of a choice's."""
    return way["anyOf"] if way.keys() == {"anyOf"} else [way]
