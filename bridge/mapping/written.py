"""How values are written in a mapping file: one kind a value can be, with what is wrong with others.

The declarations of `document`, `written_push` and `written_user` are made of these. Each field is
declared once, with a sentence that says what it is; the parser, `check`, the JSON Schema and the
reference page read that declaration.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field
from pydantic_core import PydanticCustomError

from bridge.onesignal.platforms import PLATFORMS, Policy

_DURATION = re.compile(r"([0-9]{1,15})([smhd])")
_UNIT_MS = {"s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
TTL_MAX_MS = 2_419_200_000
DURATION_MAX_MS = 3650 * _UNIT_MS["d"]
"""Ten years: beyond it an event's time and a duration do not add up to a time."""
_TREE_DEPTH = 20


class Declared(BaseModel):
    """A part of a mapping file; a field that is not declared is an error."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, arbitrary_types_allowed=True, strict=True
    )


def optional(description: str, *, example: Any = None) -> Any:
    """A field that may be left out."""
    return default(None, description, example=example)


def default(value: Any, description: str, *, example: Any = None) -> Any:
    """A field that has a value when it is left out."""
    examples = None if example is None else [example]
    return Field(default=value, description=description, examples=examples)


def needed(description: str, *, example: Any = None) -> Any:
    """A field that must be there."""
    examples = None if example is None else [example]
    return Field(description=description, examples=examples)


def refusal(code: str, message: str, hint: str) -> PydanticCustomError:
    """What a validator raises when the finding has a code and a hint of its own."""
    return PydanticCustomError(
        "refused", "{message}", {"message": message, "code": code, "hint": hint}
    )


def duration_ms(value: object) -> int:
    """`30s`, `10m`, `6h`, `2d` in milliseconds.

    Raises:
        ValueError: it is none of these, or above ten years.
    """
    found = _DURATION.fullmatch(value) if isinstance(value, str) else None
    if found is None:
        raise ValueError("a duration is a number and a unit: 30s, 10m, 6h, 2d")
    ms = int(found[1]) * _UNIT_MS[found[2]]
    if ms > DURATION_MAX_MS:
        raise ValueError("a duration is ten years at most: 3650d")
    return ms


def _positive_ms(value: object) -> int:
    ms = duration_ms(value)
    if ms == 0:
        raise ValueError("a time of 0 is none: leave it out, or write a longer one")
    return ms


def _moment_ms(value: object) -> int:
    """An ISO 8601 time with its zone, in milliseconds since 1970."""
    try:
        moment = datetime.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        raise ValueError('a moment is a date, a time and a zone: "2026-11-27T08:00:00+01:00"')
    return round(moment.timestamp() * 1000)


def off(value: object) -> object:
    """`off` is what YAML 1.1 has for false; both are taken."""
    return "off" if value is False else value


def ttl_ms(value: object) -> int:
    ms = duration_ms(value)
    if ms > TTL_MAX_MS:
        raise ValueError("OneSignal keeps a notification for 28 days at most: ttl: 28d")
    return ms


def _policy(value: object) -> object:
    if isinstance(value, Policy):
        return value
    if value == "all":
        return Policy(kind="all")
    if isinstance(value, dict):
        rest = dict(value)
        by, unknown = rest.pop("by", "flags"), rest.pop("unknown_devices", None)
        _check_by(by, unknown)
        (kind, names), *more = list(rest.items()) or [("", None)]
        if kind in {"only", "exclude"} and isinstance(names, list) and names and not more:
            known = frozenset(_known_platforms(names))
            return Policy(kind=kind, names=known, by=by, unknown=unknown or "skip")
    raise ValueError("write `all`, `{only: [android, web]}` or `{exclude: [ios]}`")


def _check_by(by: object, unknown: object) -> None:
    if by not in {"flags", "devices"}:
        raise ValueError("`by` is `devices`, for registered devices alone, or left out")
    if unknown is not None and by != "devices":
        raise ValueError("`unknown_devices` goes with `by: devices`")
    if unknown not in {None, "skip", "flags"}:
        raise ValueError("`unknown_devices` is `skip` or `flags`")


def _known_platforms(names: list[Any]) -> list[str]:
    unknown = [str(name) for name in names if name not in PLATFORMS]
    if unknown:
        raise ValueError(f"{', '.join(unknown)}: a platform is one of {', '.join(PLATFORMS)}")
    return names


def _texts(value: object) -> object:
    """`"text"` is short for `{en: "text"}`."""
    return {"en": value} if isinstance(value, str) else value


def scalar(value: object) -> object:
    """A text, a number, true, false or nothing."""
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError("this is not a number that JSON has")
    if value is not None and not isinstance(value, str | bool | int | float):
        raise ValueError("write a text, a number, true or false; a date needs quotes")
    return value


def _number(value: object) -> object:
    if isinstance(value, bool) or not (value is None or isinstance(value, str | int | float)):
        raise ValueError("write a number, or a text with `{{ }}`")
    return scalar(value)


def _present(value: object) -> object:
    if value is None:
        raise ValueError("write a value, or leave the field out")
    return scalar(value)


def _tag_value(value: object) -> object:
    if value is None:
        raise ValueError('write a value, or "" to delete the tag')
    return scalar(value)


def json_tree(value: object, depth: int = 0) -> object:
    """A value of JSON, as deep as anybody needs."""
    if depth > _TREE_DEPTH:
        raise ValueError(f"this is deeper than {_TREE_DEPTH} levels")
    if isinstance(value, dict):
        if not all(isinstance(key, str) for key in value):
            raise ValueError("a name is a text; put quotes around a number")
        return {key: json_tree(one, depth + 1) for key, one in value.items()}
    if isinstance(value, list):
        return [json_tree(one, depth + 1) for one in value]
    if isinstance(value, int) and not -(2**63) <= value < 2**63:
        raise ValueError("this number is too large; put quotes around it")
    return scalar(value)


def paths(value: object) -> object:
    """One path is short for a list of one."""
    return (value,) if isinstance(value, str) else value


Scalar = Annotated[str | bool | int | float | None, BeforeValidator(scalar)]
"""A literal, or a text with `{{ }}`; see "Values" in mappings/README.md."""
Value = Annotated[str | bool | int | float, BeforeValidator(_present)]
"""As `Scalar`, but never left empty."""
TagValue = Annotated[str | bool | int | float, BeforeValidator(_tag_value)]
"""As `Value`: what deletes a tag is `""`, said aloud."""
Tree = Annotated[Any, AfterValidator(json_tree)]
"""Scalars in lists and objects."""
Trees = dict[str, Tree]
DurationMs = Annotated[int, BeforeValidator(duration_ms)]
PositiveMs = Annotated[int, BeforeValidator(_positive_ms)]
Moment = Annotated[int, BeforeValidator(_moment_ms)]
Platforms = Annotated[Policy, BeforeValidator(_policy)]
Beginning = Annotated[str, Field(min_length=1)]
Texts = Annotated[dict[str, str], BeforeValidator(_texts), Field(min_length=1)]
"""One text, or a text by language: `{en: …, de: …}`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """How the value of a field goes into a request, and within which limits."""

    kind: Literal["text", "texts", "link", "tree", "number", "moment", "constant", "seconds"]
    #: Characters of a text; bytes of a tree as JSON.
    longest: int | None = None
    #: Of a number.
    least: float | None = None
    most: float | None = None
    whole: bool = False
    #: null in a tree says something to whoever reads it.
    keep_null: bool = False
    #: Without it, where it is written, there is no message: leaving it out would say something else.
    needed: bool = False


Text = Annotated[str | None, Sent(kind="text")]
"""A text, which may hold `{{ }}`; left out when the event does not say."""
Link = Annotated[str | None, Sent(kind="link")]
"""An address or a picture: what comes from an event is encoded and must begin as `push.links` says."""
Number = Annotated[int | float | str | None, BeforeValidator(_number)]
"""A number, or a text with `{{ }}` that comes to one."""


def whole(least: int | None = None, most: int | None = None) -> Sent:
    """A number without a fraction, between two others."""
    return Sent(kind="number", least=least, most=most, whole=True)
