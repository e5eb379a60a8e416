"""Values that are one path, or text around paths: compiled to loops over keys, without Liquid.

    {{ properties.id }}     Order {{ properties.id }}     {{ traits.firstName | default: 'friend' }}

They mean what `bridge.mapping.liquid` would make of them, to the letter; tests compare the two.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Final, NamedTuple
from urllib.parse import quote

from bridge.mapping.reading import (
    ABSENT,
    MAX_TEXT,
    Fields,
    Key,
    Missing,
    Refused,
    culprit,
    dotted,
    json_text,
    runs,
    runs_in,
    walk,
)

Resolved = Any  # JsonValue | Missing | Refused; naming JsonValue here would import pydantic
Resolver = Callable[[Fields], Resolved]

_NAME = r"[^\W\d](?:[\w-]*\w)?\??"
_BRACKET = r"""\[\s*(?:-?[0-9]{1,9}|'[^'{}]*'|"[^"{}]*")\s*\]"""
_DEFAULT = r"""\s*\|\s*default:\s*(?:'([^'{}\\]*)'|"([^"{}\\]*)")"""
_SLOT: Final = re.compile(rf"\{{\{{\s*({_NAME}(?:\.{_NAME}|{_BRACKET})*)(?:{_DEFAULT})?\s*\}}\}}")
_KEY: Final = re.compile(rf"({_NAME})|\[\s*(?:(-?[0-9]+)|(['\"])(.*?)\3)\s*\]", re.DOTALL)
#: What `default` stands in for, besides nil and false.
_EMPTY: Final[tuple[Any, ...]] = ("", [], {})
#: Words that are not names in Liquid: a first name among them is for python-liquid to judge.
_WORDS: Final = re.compile(
    "true|false|nil|null|empty|blank|and|or|contains|not|in|offset|limit|reversed|cols|continue"
    "|with|for|as|if|else|required|now|today"
)


class Slot(NamedTuple):
    """One `{{ path }}` or `{{ path | default: 'text' }}`, and the text before it."""

    before: str
    path: str
    keys: tuple[Key, ...]
    #: What stands in for a value that is absent, null, false or empty.
    fallback: str | None


class Slots(NamedTuple):
    slots: tuple[Slot, ...]
    after: str


def plain_slots(text: str) -> Slots | None:
    """`text` as literals and plain `{{ path }}`s; None when it takes Liquid to read it."""
    slots, end = [], 0
    for match in _SLOT.finditer(text):
        fallback = match[2] if match[2] is not None else match[3]
        slots.append(_slot(text[end : match.start()], match[1], fallback))
        end = match.end()
    found = Slots(tuple(slots), text[end:])
    literals = [slot.before for slot in slots]
    odd = any(map(runs, (*literals, found.after))) or any(part.endswith("{") for part in literals)
    return None if odd or any(_WORDS.fullmatch(str(slot.keys[0])) for slot in slots) else found


def _slot(before: str, path: str, fallback: str | None) -> Slot:
    keys: tuple[Key, ...] = tuple(
        int(match[2]) if match[2] else match[1] or match[4] for match in _KEY.finditer(path)
    )
    return Slot(before, dotted(keys), keys, fallback)


def path_resolver(slot: Slot) -> Resolver:
    read = reader(slot.keys)
    missing = Missing(slot.path)
    refused = Refused("liquid_in_value", slot.path)

    def resolve(fields: Fields) -> Resolved:
        value = read(fields)
        if value is ABSENT:
            return missing
        if isinstance(value, str):
            return refused if "{" in value and runs(value) else value
        return refused if isinstance(value, (list, dict)) and runs_in(value) else value

    return resolve


def reader(keys: tuple[Key, ...]) -> Callable[[Fields], Any]:
    """The value at a path, or `ABSENT`."""
    if not all(isinstance(key, str) for key in keys):
        return _reader_by_index(keys)
    if len(keys) == 2:
        return _second_reader(*keys)

    def read(fields: Fields) -> Any:
        value: Any = fields
        try:
            for key in keys:
                value = value[key]
        except (KeyError, TypeError, IndexError):
            return walk(fields, keys)  # absent, or Liquid's `.size`, `.first`, `.last`
        return value

    return read


def _reader_by_index(keys: tuple[Key, ...]) -> Callable[[Fields], Any]:
    def read(fields: Fields) -> Any:
        value: Any = fields
        try:
            for key in keys:
                if type(value) is str:  # a text has no first item, whatever Python says
                    return walk(fields, keys)
                value = value[key]
        except (KeyError, TypeError, IndexError):
            return walk(fields, keys)
        return value

    return read


def _second_reader(outer: Key, inner: Key) -> Callable[[Fields], Any]:
    """As `reader`, for `traits.tier`: nearly every path has two names."""
    keys = (outer, inner)

    def read(fields: Fields) -> Any:
        try:
            return fields[outer][inner]  # type: ignore[index]  # both are names
        except (KeyError, TypeError, IndexError):
            return walk(fields, keys)

    return read


def text_resolver(found: Slots, *, encode: bool) -> Resolver:
    """Text around paths."""
    readers = [
        (_defaulting(slot), Missing(slot.path), Refused("not_text", slot.path))
        for slot in found.slots
    ]
    literals = [*(slot.before for slot in found.slots), found.after]
    layout = "%s".join(literal.replace("%", "%%") for literal in literals)

    def resolve(fields: Fields) -> Resolved:
        values: list[str] = []
        suspects = False
        for read, missing, refused in readers:
            value = read(fields)
            if value is None or value is ABSENT:
                return missing
            text = value if type(value) is str else json_text(value)
            if text is None:
                return refused
            if "{" in text:
                if runs(text):
                    return Refused("liquid_in_value", missing.path)
                suspects = True
            values.append(text)
        # What is none alone may become some together with what is around it.
        if suspects and not encode and runs(layout % tuple(values)):
            paths = (slot.path for slot in found.slots)
            return Refused("liquid_in_value", culprit(zip(paths, values, strict=True)))
        return _whole(layout % tuple(map(_encoded, values) if encode else values), found, fields)

    return resolve


def _whole(text: str, found: Slots, fields: Fields) -> Resolved:
    if not text:
        return _emptied(found, fields)
    return text if len(text) <= MAX_TEXT else Refused("too_long", None)


def _defaulting(slot: Slot) -> Callable[[Fields], Any]:
    """What a slot reads, or what stands in for it."""
    read, fallback = reader(slot.keys), slot.fallback
    if fallback is None:
        return read

    def read_or_default(fields: Fields) -> Any:
        value = read(fields)
        is_nothing = value is None or value is ABSENT or value is False or value in _EMPTY
        return fallback if is_nothing else value

    return read_or_default


def _emptied(found: Slots, fields: Fields) -> Resolved:
    """An empty tag is deleted; only paths that are all present may say so."""
    for slot in found.slots:
        if reader(slot.keys)(fields) is ABSENT:
            return Missing(slot.path)
    return ""


_UNRESERVED: Final = re.compile(r"[A-Za-z0-9_.~-]*")


def _encoded(text: str) -> str:
    return text if _UNRESERVED.fullmatch(text) else quote(text, safe="", errors="replace")
