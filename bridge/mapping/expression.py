"""Values of a mapping: read once, resolved for every event.

    20, true, "Hello"                 a literal; the event is not read
    "{{ traits.orders }}"             exactly one path: the value keeps its type, null included
    "Order {{ properties.id }}"       a Liquid template: a text

What comes out is a JSON value, or the reason why there is none: `Missing` when the event does not
say, `Refused` when what it says cannot be used. Nothing here raises for an event, and nothing asks
the clock, the time zone or anything else outside the event.

Two thirds of all values are one path, or text around paths. Those are compiled to a loop over keys,
and python-liquid is not even imported for them; everything else goes to `bridge.mapping.liquid`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final, NamedTuple
from urllib.parse import quote

from bridge.mapping.reading import (
    ABSENT,
    MAX_TEXT,
    ExpressionError,
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

if TYPE_CHECKING:
    from pydantic import JsonValue

__all__ = [
    "Expression",
    "ExpressionError",
    "Fields",
    "Missing",
    "Refused",
    "Var",
    "Vars",
    "as_tag",
    "compile_expression",
]

Resolved = Any  # JsonValue | Missing | Refused; naming JsonValue here would import pydantic
Resolver = Callable[[Fields], Resolved]
Var = str | bool | int | float
Vars = Mapping[str, Var]
"""The vars of a mapping, by name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Expression:
    """A value of a mapping, compiled."""

    #: As the author wrote it.
    text: str
    #: Every path of the event that it may read, as Liquid writes it: `properties.products[0].name`.
    paths: frozenset[str]
    #: The first names of those paths: `properties`, `traits`, `userId`, …
    roots: frozenset[str]
    #: Exactly one `{{ path }}`: the only kind that can resolve to null, a list or an object.
    is_path: bool = False
    _resolver: Resolver = field(repr=False, compare=False)

    @property
    def is_literal(self) -> bool:
        """The same for every event: nothing of it is read."""
        return not self.paths

    def resolve(self, fields: Fields) -> JsonValue | Missing | Refused:
        """The value for one event's fields; never raises."""
        return self._resolver(fields)  # type: ignore[no-any-return]  # see Resolved


def as_tag(value: JsonValue) -> str | Refused:
    """A resolved value as the text of a tag; null is "", which deletes it (mappings/README.md, "Values")."""
    if value is None:
        return ""
    text = json_text(value)
    return Refused("not_text", None) if text is None else text


def compile_expression(
    value: JsonValue, *, encode: bool = False, names: Vars | None = None
) -> Expression:
    """A scalar of a mapping, compiled; raises ExpressionError for what can never work.

    `encode` is for links and pictures: every `{{ }}` that is not the whole value is percent-encoded.
    `names` are the values of `{{ vars.name }}`, which is written in as if it had stood there.
    """
    if isinstance(value, (list, dict)):
        raise ExpressionError(
            "value-not-scalar", "a list or an object is not one value", "give each entry its own"
        )
    if not isinstance(value, str):
        return _literal("null" if value is None else json_text(value) or repr(value), value)
    if "vars" not in value:
        return _from_text(value, encode=encode)
    return _with_vars(value, names or {}, encode=encode)


@lru_cache(maxsize=8192)
def _from_text(value: str, *, encode: bool) -> Expression:
    # Kept by text: a mapping that is read again has mostly the values it had.
    if "{{" not in value and "{%" not in value:
        return _literal(value, value)
    slots = _plain_slots(value)
    return (
        _templated(value, encode=encode) if slots is None else _plain(value, slots, encode=encode)
    )


_VAR: Final = re.compile(r"\{\{\s*vars\.([A-Za-z_]\w*)\s*\}\}")


def _with_vars(text: str, names: Vars, *, encode: bool) -> Expression:
    """`text` with the vars that it names written in; where Liquid uses one, it gets them instead."""
    alone = _VAR.fullmatch(text)
    if alone is not None:
        return _literal(text, _var(alone[1], names))
    if "{%" not in text:
        text = _VAR.sub(lambda found: json_text(_var(found[1], names)) or "", text)
    whole = _from_text(text, encode=encode)
    if "vars" not in whole.roots:
        return whole
    for path in whole.paths:
        if path == "vars" or path.startswith(("vars.", "vars[")):
            _var(path[5:], names)
    paths = frozenset(path for path in whole.paths if not path.startswith("vars."))
    known = {"vars": dict(names)}
    if not paths:
        return _literal(text, _constant(whole.resolve(known)))
    return replace(
        whole,
        paths=paths,
        roots=whole.roots - {"vars"},
        _resolver=lambda fields: whole.resolve({**fields, **known}),
    )


def _var(name: str, names: Vars) -> Var:
    if name in names:
        return names[name]
    near = get_close_matches(name, names, n=1)
    known = f"vars: {', '.join(sorted(names))}" if names else "vars: {name: value}, beside `rules:`"
    raise ExpressionError(
        "unknown-var",
        f"there is no var `{name}`",
        f"did you mean `vars.{near[0]}`?" if near else known,
    )


def _literal(text: str, value: Any) -> Expression:
    return Expression(
        text=text, paths=frozenset(), roots=frozenset(), _resolver=lambda _fields: value
    )


# --- one path, and text around paths: no Liquid needed -------------------------------------------

_NAME = r"[^\W\d](?:[\w-]*\w)?\??"
_BRACKET = r"""\[\s*(?:-?[0-9]{1,9}|'[^'{}]*'|"[^"{}]*")\s*\]"""
_SLOT: Final = re.compile(rf"\{{\{{\s*({_NAME}(?:\.{_NAME}|{_BRACKET})*)\s*\}}\}}")
_KEY: Final = re.compile(rf"({_NAME})|\[\s*(?:(-?[0-9]+)|(['\"])(.*?)\3)\s*\]", re.DOTALL)
#: Words that are not names in Liquid: a first name among them is for python-liquid to judge.
_WORDS: Final = re.compile(
    "true|false|nil|null|empty|blank|and|or|contains|not|in|offset|limit|reversed|cols|continue"
    "|with|for|as|if|else|required|now|today"
)


class Slot(NamedTuple):
    """One `{{ path }}`, and the text before it."""

    before: str
    path: str
    keys: tuple[Key, ...]
    #: All keys are names: the path can be followed with `[]` alone.
    is_direct: bool


class Slots(NamedTuple):
    slots: tuple[Slot, ...]
    after: str


def _plain_slots(text: str) -> Slots | None:
    """`text` as literals and plain `{{ path }}`s; None when it takes Liquid to read it."""
    slots, end = [], 0
    for match in _SLOT.finditer(text):
        slots.append(_slot(text[end : match.start()], match[1]))
        end = match.end()
    found = Slots(tuple(slots), text[end:])
    literals = [slot.before for slot in slots]
    odd = any(map(runs, (*literals, found.after))) or any(part.endswith("{") for part in literals)
    return None if odd or any(_WORDS.fullmatch(str(slot.keys[0])) for slot in slots) else found


def _slot(before: str, path: str) -> Slot:
    keys: tuple[Key, ...] = tuple(
        int(match[2]) if match[2] else match[1] or match[4] for match in _KEY.finditer(path)
    )
    return Slot(before, dotted(keys), keys, all(isinstance(key, str) for key in keys))


def _plain(text: str, found: Slots, *, encode: bool) -> Expression:
    slots, after = found
    is_path = len(slots) == 1 and not slots[0].before and not after
    return Expression(
        text=text,
        paths=frozenset(slot.path for slot in slots),
        roots=frozenset(str(slot.keys[0]) for slot in slots),
        is_path=is_path,
        _resolver=_path_resolver(slots[0]) if is_path else _text_resolver(found, encode=encode),
    )


def _path_resolver(slot: Slot) -> Resolver:
    read = _reader(slot)
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


def _reader(slot: Slot) -> Callable[[Fields], Any]:
    keys = slot.keys

    def read_by_index(fields: Fields) -> Any:
        value: Any = fields
        try:
            for key in keys:
                if type(value) is str:  # a text has no first item, whatever Python says
                    return walk(fields, keys)
                value = value[key]
        except (KeyError, TypeError, IndexError):
            return walk(fields, keys)
        return value

    def read(fields: Fields) -> Any:
        value: Any = fields
        try:
            for key in keys:
                value = value[key]
        except (KeyError, TypeError, IndexError):
            return walk(fields, keys)  # absent, or Liquid's `.size`, `.first`, `.last`
        return value

    return read if slot.is_direct else read_by_index


def _text_resolver(found: Slots, *, encode: bool) -> Resolver:
    readers = [
        (_reader(slot), Missing(slot.path), Refused("not_text", slot.path)) for slot in found.slots
    ]
    literals = [*(slot.before for slot in found.slots), found.after]
    layout = "%s".join(literal.replace("%", "%%") for literal in literals)

    def resolve(fields: Fields) -> Resolved:
        values = []
        suspects = False
        for read, missing, refused in readers:
            value = read(fields)
            if value is None or value is ABSENT:
                return missing
            text = value if type(value) is str else json_text(value)
            if text is None:
                return refused
            suspects = suspects or "{" in text
            values.append(text)
        if suspects and _bring_liquid(layout, values, encode=encode):
            paths = (slot.path for slot in found.slots)
            return Refused("liquid_in_value", culprit(zip(paths, values, strict=True)))
        result = layout % tuple(map(_encoded, values) if encode else values)
        return result if len(result) <= MAX_TEXT else Refused("too_long", None)

    return resolve


def _bring_liquid(layout: str, values: list[str], *, encode: bool) -> bool:
    """Whether a value is Liquid, or becomes some together with what is around it."""
    return any(map(runs, values)) or (not encode and runs(layout % tuple(values)))


_UNRESERVED: Final = re.compile(r"[A-Za-z0-9_.~-]*")


def _encoded(text: str) -> str:
    return text if _UNRESERVED.fullmatch(text) else quote(text, safe="", errors="replace")


# --- everything else: Liquid -----------------------------------------------------------------------


def _templated(text: str, *, encode: bool) -> Expression:
    from bridge.mapping.liquid import compile_template

    template = compile_template(text, encode=encode)
    if not template.paths:
        return _literal(text, _constant(template.resolve({})))
    return Expression(
        text=text,
        paths=template.paths,
        roots=template.roots,
        is_path=template.whole is not None,
        _resolver=template.resolve,
    )


def _constant(outcome: Resolved) -> str:
    if isinstance(outcome, str):
        return outcome
    reason = outcome.reason if isinstance(outcome, Refused) else f"missing: {outcome.path}"
    raise ExpressionError(
        "template-never-renders",
        f"this template reads nothing of the event, and always ends as `{reason}`",
        "to pass Liquid on to OneSignal, put it between {% raw %} and {% endraw %}"
        if reason == "liquid_in_value"
        else "",
    )
