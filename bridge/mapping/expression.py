"""Values of a mapping: read once, resolved for every event.

    20, true, "Hello"                 a literal; the event is not read
    "{{ traits.orders }}"             exactly one path: the value keeps its type, null included
    "Order {{ properties.id }}"       a Liquid template: a text

What comes out is a JSON value, or the reason why there is none: `Missing` when the event does not
say, `Refused` when what it says cannot be used. Nothing here raises for an event, and nothing asks
the clock, the time zone or anything else outside the event.

Two thirds of all values are one path, or text around paths. Those are compiled by
`bridge.mapping.plain`, and python-liquid is not even imported for them; everything else goes to
`bridge.mapping.liquid`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

from bridge.mapping.plain import (
    Resolved,
    Resolver,
    Slots,
    path_resolver,
    plain_slots,
    text_resolver,
)
from bridge.mapping.reading import (
    ExpressionError,
    Fields,
    Missing,
    Refused,
    json_text,
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
    #: The value for one event's fields, or why there is none; never raises.
    resolve: Resolver = field(repr=False, compare=False)

    @property
    def is_literal(self) -> bool:
        """The same for every event: nothing of it is read."""
        return not self.paths


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
    slots = plain_slots(value)
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
        resolve=lambda fields: whole.resolve({**fields, **known}),
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
        text=text, paths=frozenset(), roots=frozenset(), resolve=lambda _fields: value
    )


def _plain(text: str, found: Slots, *, encode: bool) -> Expression:
    """One path, or text around paths: no Liquid needed."""
    slots = found.slots
    alone = len(slots) == 1 and not slots[0].before and not found.after
    is_path = alone and slots[0].fallback is None
    return Expression(
        text=text,
        paths=frozenset(slot.path for slot in slots),
        roots=frozenset(str(slot.keys[0]) for slot in slots),
        is_path=is_path,
        resolve=(
            path_resolver(slots[0])
            if is_path
            else text_resolver(found, encode=encode and not alone)
        ),
    )


def _templated(text: str, *, encode: bool) -> Expression:
    from bridge.mapping.liquid import compile_template
    from bridge.mapping.straight import straightened

    template = compile_template(text, encode=encode)
    if not template.paths:
        return _literal(text, _constant(template.resolve({})))
    return Expression(
        text=text,
        paths=template.paths,
        roots=template.roots,
        is_path=template.whole is not None,
        resolve=(
            straightened(template.tree, template.resolve, encode=template.encode)
            if template.whole is None
            else template.resolve
        ),
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
