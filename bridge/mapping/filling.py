"""What a field of a request says for one event: its value, or the reason why it has none. Pure.

A field is compiled into one function of the event's fields. What reads nothing of the event is
filled in once, when the mapping is read, and what is wrong with it is a finding then.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import orjson

from bridge.mapping import dates
from bridge.mapping.compiling import Link, Tree
from bridge.mapping.expression import Expression, Fields, Missing, Refused, as_tag
from bridge.mapping.liquid_filters import Stop, number
from bridge.mapping.written import Sent
from bridge.onesignal.reserved import reserved

Filled = Any  # a JSON value | Missing | Refused
Fill = Callable[[Fields], Filled]

_ADDRESS = re.compile(r"\s*(?:[A-Za-z][A-Za-z0-9+.-]*:|//)")
"""What some client may follow: a text with a scheme, or one that inherits it."""


def as_text(found: Any) -> str | Missing | Refused:
    """A resolved value as OneSignal's text, or why there is none; null is ""."""
    return found if isinstance(found, Missing | Refused) else as_tag(found)


def fill_of(name: str, tree: Tree, how: Sent, links: tuple[str, ...]) -> Fill:
    """How the field `name` is filled in."""
    match how.kind:
        case "text":
            assert isinstance(tree, Expression)  # noqa: S101 — a text is one expression; tells mypy
            return _text_fill(name, tree, how.longest)
        case "texts":
            assert isinstance(tree, dict)  # noqa: S101 — texts are by language; tells mypy
            return _texts_fill(tree)
        case "number" | "moment":
            normal = _moment if how.kind == "moment" else _number(how)
            return lambda fields: _normal(normal, resolve(tree, fields, links), name)
        case _:
            return _tree_fill(name, tree, how, links)


def resolve(
    tree: Tree, fields: Fields, links: tuple[str, ...], *, keep_null: bool = False
) -> Filled:
    """The tree with every expression resolved, or the first Missing or Refused in it."""
    if isinstance(tree, Expression):
        found = tree.resolve(fields)
        if found is None and tree.is_path and not keep_null:
            return Missing(next(iter(tree.paths)))  # nobody reads null on a phone
        return found
    if isinstance(tree, Link):
        return _link(tree.expression, fields, links)
    if isinstance(tree, dict):
        whole: Any = {}
        for key, child in tree.items():
            found = resolve(child, fields, links, keep_null=keep_null)
            if isinstance(found, Missing | Refused):
                return found
            whole[key] = found
        return whole
    whole = [resolve(child, fields, links, keep_null=keep_null) for child in tree]
    return next((one for one in whole if isinstance(one, Missing | Refused)), whole)


def _link(expression: Expression, fields: Fields, links: tuple[str, ...]) -> Filled:
    """A link or a picture; one that an event has a part in must begin as `push.links` allows."""
    found = expression.resolve(fields)
    if isinstance(found, Missing | Refused):
        return found
    if found is None:
        return Missing(next(iter(expression.paths), expression.text))
    if not isinstance(found, str):
        return Refused(reason="not_text", path=None)
    if expression.is_literal or found.startswith(links):
        return found
    return Refused(reason="link_not_allowed", path=None)


def _text_fill(name: str, expression: Expression, longest: int | None) -> Fill:
    empty, long = Refused("empty_text", name), Refused("too_long", name)
    missing = Missing(next(iter(expression.paths), name))

    def fill(fields: Fields) -> Filled:
        found = expression.resolve(fields)
        if type(found) is not str:
            if found is None:
                return missing
            if isinstance(found, Missing | Refused):
                return found
            found = as_tag(found)
            if isinstance(found, Refused):
                return Refused("not_text", name)
        if not found or found.isspace():
            return empty
        return found if longest is None or len(found) <= longest else long

    return fill


def _texts_fill(tree: dict[str, Tree]) -> Fill:
    fills = [
        (language, _text_fill(language, text, None))
        for language, text in tree.items()
        if isinstance(text, Expression)
    ]

    def fill(fields: Fields) -> Filled:
        texts = {}
        for language, one in fills:
            text = one(fields)
            if type(text) is not str:
                return text
            texts[language] = text
        return texts

    return fill


def _tree_fill(name: str, tree: Tree, how: Sent, links: tuple[str, ...]) -> Fill:
    keep_null = how.keep_null

    def fill(fields: Fields) -> Filled:
        found = resolve(tree, fields, links, keep_null=keep_null)
        if isinstance(found, Missing | Refused):
            return found
        if how.longest is not None and len(orjson.dumps(found)) > how.longest:
            return Refused("too_long", name)
        return found

    return fill


def resolve_raw(
    tree: Tree, fields: Fields, links: tuple[str, ...], *, keep_null: bool = False
) -> Filled:
    """As any tree; an object of the event's that holds a name which no mapping may write is refused.

    What the operator wrote was looked through when the mapping was read.
    """
    found = resolve(tree, fields, links, keep_null=keep_null)
    if isinstance(found, Missing | Refused) or not _holds_reserved(found):
        return found
    return Refused("reserved_name", None)


def _holds_reserved(value: Any) -> bool:
    waiting = [value]
    while waiting:
        one = waiting.pop()
        if isinstance(one, dict):
            if any(reserved(name) for name in one):
                return True
            waiting += one.values()
        elif isinstance(one, list):
            waiting += one
    return False


def raw_fill(tree: Tree, links: tuple[str, ...]) -> Fill:
    """A field of `raw`: an address that an event has a part in is held to `push.links` here, too."""

    def fill(fields: Fields) -> Filled:
        found = resolve_raw(tree, fields, links, keep_null=True)
        if isinstance(found, Missing | Refused):
            return found
        strange = _strange_address(tree, found, links)
        return Refused("link_not_allowed", None) if strange else found

    return fill


def _strange_address(tree: Tree, found: Any, links: tuple[str, ...]) -> bool:
    if isinstance(tree, dict):
        return any(_strange_address(child, found[name], links) for name, child in tree.items())
    if isinstance(tree, list):
        return any(
            _strange_address(child, one, links) for child, one in zip(tree, found, strict=True)
        )
    if isinstance(tree, Link) or tree.is_literal:
        return False
    return any(_ADDRESS.match(text) and not text.startswith(links) for text in _texts_in(found))


def _texts_in(value: Any) -> list[str]:
    if isinstance(value, str):
        return [value]
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return [text for one in inner for text in _texts_in(one)]


def _normal(normal: Callable[[Any], Any], found: Any, name: str) -> Filled:
    if isinstance(found, Missing | Refused):
        return found
    usable = normal(found)
    return Refused(usable.reason, name) if isinstance(usable, Refused) else usable


def _number(how: Sent) -> Callable[[Any], Any]:
    def normal(found: Any) -> Any:
        try:
            value = number(found)
        except Stop as stop:
            return Refused(stop.reason, None)
        if how.whole and value != int(value):
            return Refused("not_a_number", None)
        low, high = how.least, how.most
        if (low is not None and value < low) or (high is not None and value > high):
            return Refused("out_of_range", None)
        return int(value) if how.whole else value

    return normal


def _moment(found: Any) -> Any:
    """A time as OneSignal reads it; seconds since 1970 are not one, nor is a time without a zone."""
    seconds = dates.unix_seconds(found) if isinstance(found, str) else None
    moment = None if seconds is None else dates.parse(seconds)
    return Refused("not_a_date", None) if moment is None else dates.formatted(moment, "%FT%TZ")
