"""Templates without tags: text around paths and their filters, rendered straight.

    {{ properties.products[0].name | truncate: 40 }} is on its way     {{ traits.createdAt | unix }}

python-liquid's context, buffers and tree walk cost ten times what the filters do. So what such a
template comes to for most events is found by a loop here, with the same filters; for every other
event, with a value that cannot be used or that brings braces along, `Template.resolve` has the word.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final, NamedTuple
from urllib.parse import quote

from liquid.builtin.content import ContentNode
from liquid.builtin.expressions import Path, is_empty
from liquid.builtin.expressions.filtered import Filter
from liquid.builtin.expressions.primitive import Literal
from liquid.template import BoundTemplate

from bridge.mapping.liquid_filters import Stop, bounded, text
from bridge.mapping.liquid_tags import ENCODING, Emit
from bridge.mapping.plain import reader
from bridge.mapping.reading import ABSENT, MAX_TEXT, Fields, Missing
from bridge.mapping.rendering import EventContext

_NOT_HERE: Final = object()
"""For an event that `Template.resolve` has to judge."""


class Step(NamedTuple):
    """One filter with its arguments; None is `default`, which needs none of its own code."""

    call: Callable[[Any], Any] | None
    fallback: Any = None


class Piece(NamedTuple):
    """A text, or a path with what happens to it."""

    text: str
    read: Callable[[Fields], Any] = dict
    steps: tuple[Step, ...] = ()
    missing: Missing | None = None
    #: A `default` stands in for what is not there.
    defaults: bool = False
    encode: bool = False


def straightened(
    tree: BoundTemplate, resolve: Callable[[Fields], Any], *, encode: bool
) -> Callable[[Fields], Any]:
    """`resolve` with a short cut, for a template that has one."""
    pieces = [_piece(node, tree, encode=encode) for node in tree.nodes]
    known = [piece for piece in pieces if piece is not None]
    if len(known) < len(pieces):
        return resolve

    def quick(fields: Fields) -> Any:
        found = _rendered(known, fields)
        return resolve(fields) if found is _NOT_HERE else found

    return quick


def _rendered(pieces: Sequence[Piece], fields: Fields) -> Any:
    texts: list[str] = []
    for piece in pieces:
        if piece.missing is None:
            texts.append(piece.text)
            continue
        value = piece.read(fields)
        if value is ABSENT or value is None:
            if not piece.defaults:
                return piece.missing
            value = None
        written = _written(value, piece)
        if written is None or "{" in written:
            return _NOT_HERE
        texts.append(quote(written, safe="", errors="replace") if piece.encode else written)
    whole = texts[0] if len(texts) == 1 else "".join(texts)
    return whole if whole and len(whole) <= MAX_TEXT and "{" not in whole else _NOT_HERE


def _written(value: Any, piece: Piece) -> str | None:
    """What a path and its filters print; None when something is in the way."""
    try:
        value = bounded(value)
        for call, fallback in piece.steps:
            if call is None:
                value = fallback if value is None or value is False or is_empty(value) else value
            elif value is not None:
                value = bounded(call(value))
        return None if value is None else text(value)
    except Stop:
        return None
    except Exception:  # noqa: BLE001 — whatever a filter trips over is explained by `Template.resolve`
        return None


def _piece(node: object, tree: BoundTemplate, *, encode: bool) -> Piece | None:
    if isinstance(node, ContentNode):
        return Piece(node.text)
    if not isinstance(node, Emit) or not isinstance(node.chain.left, Path):
        return None
    chain = node.chain
    keys = tuple(key for key in node.chain.left.path if isinstance(key, str | int))
    steps = [_step(one, tree) for one in chain.filters]
    if len(keys) < len(node.chain.left.path) or None in steps:
        return None
    last = chain.filters[-1].name if chain.filters else ""
    return Piece(
        text="",
        read=reader(keys),
        steps=tuple(step for step in steps if step is not None),
        missing=Missing(str(chain.left)),
        defaults=any(step.name == "default" for step in chain.filters),
        encode=encode and last not in ENCODING,
    )


def _step(step: Filter, tree: BoundTemplate) -> Step | None:
    if not all(isinstance(arg.value, Literal) for arg in step.args):
        return None
    context = EventContext(tree, {})
    positional, named = step.evaluate_args(context)
    if step.name == "default":
        is_plain = len(positional) == 1 and not named and positional[0] is not None
        return Step(None, positional[0]) if is_plain else None
    call = context.filter(step.name, token=step.token)
    return Step(_applied(call, positional, named) if positional or named else call)


def _applied(
    call: Callable[..., Any], positional: list[Any], named: dict[str, Any]
) -> Callable[[Any], Any]:
    if len(positional) == 1 and not named:
        (only,) = positional
        return lambda value: call(value, only)
    return lambda value: call(value, *positional, **named)
