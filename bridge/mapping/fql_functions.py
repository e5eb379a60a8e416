"""The functions of FQL, each declared once: its use, its arguments, its result.

They never raise. Of a value of the wrong type they make null, or false where the result is a
boolean. Null gives null, and where Segment says so something handier: `length(null)` is 0,
`contains(null, …)` and `match(null, …)` are false, `typeof(null)` is "null".

Source: Segment, "Destination Filter Query Language", Functions (api/public-api/fql). It is silent
on how values are converted; `bool` takes "", "0" and "false" for false, and `number` and `string`
leave null alone, since a missing value must never turn into text or zero.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from bridge.mapping.fql_glob import GlobError, compile_glob

_KINDS: dict[type, str] = {
    str: "string",
    int: "number",
    float: "number",
    list: "list",
    bool: "bool",
    type(None): "null",
}
_NUMBER = re.compile(r"[+-]?[0-9]+(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?", re.ASCII)
_FALSE_TEXTS = frozenset({"", "0", "false"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Function:
    """One function. `takes` and `gives` are kinds of `typeof`; the last of `takes` may repeat."""

    usage: str
    takes: tuple[frozenset[str], ...]
    gives: str
    call: Callable[..., Any]
    repeats: bool = False

    def accepts(self, count: int) -> bool:
        return count == len(self.takes) or (self.repeats and count > len(self.takes))


def kind_of(value: Any) -> str:
    """What `typeof` says. Segment names no word for an object; ours is "object"."""
    return _KINDS.get(type(value), "object")


def _contains(text: Any, *parts: Any) -> bool:
    return isinstance(text, str) and any(isinstance(p, str) and p in text for p in parts)


def _length(value: Any) -> int | None:
    match value:
        case None:
            return 0
        case str():
            # JSON may hold half a surrogate pair, which plain UTF-8 refuses.
            return len(value) if value.isascii() else len(value.encode("utf-8", "surrogatepass"))
        case list():
            return len(value)
        case _:
            return None


def _match(text: Any, pattern: Any) -> bool:
    if not (isinstance(text, str) and isinstance(pattern, str)):
        return False
    try:
        return compile_glob(pattern)(text) is not None
    except GlobError:
        return False


def _bool(value: Any) -> bool:
    match value:
        case str():
            return value.lower() not in _FALSE_TEXTS
        case dict():
            return False
        case _:
            return bool(value)


def _string(value: Any) -> str | None:
    if value is None or isinstance(value, str | dict):
        return value if isinstance(value, str) else None
    try:
        return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    except (ValueError, TypeError, RecursionError):
        # A number of thousands of digits, or lists deeper than Python can follow.
        return None


def _number(value: Any) -> int | float | None:
    if kind_of(value) == "number":
        number: int | float = value
        return number
    if not isinstance(value, str) or not _NUMBER.fullmatch(value):
        return None
    converted = float(value)
    if not math.isfinite(converted):
        return None
    return int(converted) if converted.is_integer() and abs(converted) < 2**53 else converted


def _on_text(change: Callable[[str], str]) -> Callable[[Any], str | None]:
    return lambda value: change(value) if isinstance(value, str) else None


def _titlecase(text: str) -> str:
    return " ".join(word[:1].upper() + word[1:] for word in text.split(" "))


def _text_function(name: str, change: Callable[[str], str]) -> Function:
    return Function(usage=f"{name}(text)", takes=(_TEXT,), gives="string", call=_on_text(change))


_TEXT = frozenset({"string"})
_PLAIN = frozenset({"string", "number", "list", "bool"})

FUNCTIONS: Mapping[str, Function] = {
    "contains": Function(
        usage="contains(text, part, …)",
        takes=(_TEXT, _TEXT),
        gives="bool",
        call=_contains,
        repeats=True,
    ),
    "length": Function(
        usage="length(text or list)",
        takes=(frozenset({"string", "list"}),),
        gives="number",
        call=_length,
    ),
    "lowercase": _text_function("lowercase", str.lower),
    "uppercase": _text_function("uppercase", str.upper),
    "snakecase": _text_function("snakecase", lambda text: text.replace(" ", "_")),
    "kebabcase": _text_function("kebabcase", lambda text: text.replace(" ", "-")),
    "titlecase": _text_function("titlecase", _titlecase),
    "typeof": Function(usage="typeof(value)", takes=(_PLAIN,), gives="string", call=kind_of),
    "match": Function(
        usage="match(text, pattern)", takes=(_TEXT, _TEXT), gives="bool", call=_match
    ),
    "bool": Function(usage="bool(value)", takes=(_PLAIN,), gives="bool", call=_bool),
    "string": Function(usage="string(value)", takes=(_PLAIN,), gives="string", call=_string),
    "number": Function(
        usage="number(text or number)",
        takes=(frozenset({"string", "number"}),),
        gives="number",
        call=_number,
    ),
}

#: What people type for them in other languages.
OTHER_NAMES: Mapping[str, str] = {
    "lower": "lowercase",
    "tolower": "lowercase",
    "upper": "uppercase",
    "toupper": "uppercase",
    "len": "length",
    "size": "length",
    "count": "length",
    "type": "typeof",
    "glob": "match",
    "matches": "match",
    "like": "match",
    "startswith": "match",
    "endswith": "match",
    "includes": "contains",
    "str": "string",
    "int": "number",
    "float": "number",
    "boolean": "bool",
}
