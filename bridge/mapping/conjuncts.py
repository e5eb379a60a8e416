"""The parts of a condition that `and` joins: which of them an event does not meet. Pure."""

from __future__ import annotations

from typing import Any, NamedTuple

from lark import Token, Tree

from bridge.mapping.fql import Condition, Fields, compile_condition
from bridge.mapping.fql_grammar import parse


class Unmet(NamedTuple):
    """A part that is not true of an event, and what the event has where it looks."""

    text: str
    #: By path; None for what is not there.
    found: dict[str, Any]


def unmet(condition: Condition, fields: Fields) -> list[Unmet]:
    """The parts that are not true of an event; all of the condition, when `and` does not join it."""
    parts = [compile_condition(text) for text in _conjuncts(condition.text)]
    wrong = [part for part in parts if not part.test(fields)]
    return [Unmet(part.text, _found(part, fields)) for part in wrong]


def undecided(condition: Condition, fields: Fields) -> list[str]:
    """The parts that are not surely met when no more than the top of an event is known."""
    parts = [compile_condition(text) for text in _conjuncts(condition.text)]
    return [part.text for part in parts if not (_known(part, fields) and part.test(fields))]


def _known(part: Condition, fields: Fields) -> bool:
    return all(len(path) == 1 and path[0] in fields for path in part.paths)


def _conjuncts(text: str) -> list[str]:
    (node,) = parse(text).children
    if not isinstance(node, Tree) or node.data != "conjunction":
        return [text]
    return [_text(text, child) for child in node.children]


def _text(text: str, node: Tree[Token] | Token) -> str:
    if isinstance(node, Token):
        return str(node)
    return text[node.meta.start_pos : node.meta.end_pos]


def _found(part: Condition, fields: Fields) -> dict[str, Any]:
    return {".".join(path): _at(fields, path) for path in sorted(part.paths)}


def _at(fields: Any, path: tuple[str, ...]) -> Any:
    for step in path:
        fields = fields.get(step) if isinstance(fields, dict) else None
    return fields
