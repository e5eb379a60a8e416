"""Entries of a file that were read before: neither validated nor compiled again.

A piece of a file (`tree`) is the same as long as its text is, and what it is declared to be depends on
nothing else; how it runs depends on its surroundings, too. So a mapping of hundreds of rules of which
one was edited is read again in a fraction of the time, and most of what it held stays the very same.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Final

from pydantic import BaseModel, ValidationError

from bridge.mapping import document
from bridge.mapping.compiling import Problem, Surroundings
from bridge.mapping.rules import Rule, compile_rule
from bridge.mapping.tree import Piece, Tree

_KEPT: Final = 4096
_ENTRIES: Final[dict[str, type[BaseModel]]] = {
    "rules": document.Rule,
    "examples": document.Example,
}


@dataclass(frozen=True, slots=True)
class Around:
    """Surroundings, which are the same whenever they say the same."""

    text: str
    surroundings: Surroundings = field(compare=False)


def around(surroundings: Surroundings) -> Around:
    return Around(repr(surroundings), surroundings)


def with_what_is_known(tree: Tree) -> dict[str, Any]:
    """What a file says; entries that are known to be right are there as what they are."""
    value = dict(tree.value)
    for name in _ENTRIES:
        if isinstance(value.get(name), list):
            known = (_declared(tree.entry(name, n), name) for n in range(len(value[name])))
            value[name] = [new or raw for new, raw in zip(known, value[name], strict=True)]
    return value


@lru_cache(maxsize=_KEPT)
def _declared(piece: Piece | None, name: str) -> BaseModel | None:
    """An entry that is right; else None, and whoever reads the whole file says what is wrong."""
    if piece is None or piece.unquoted is not None:
        return None
    try:
        return _ENTRIES[name].model_validate(piece.value[name][0])
    except (ValidationError, UnicodeError, RecursionError):
        return None


def compiled(
    rule: document.Rule, piece: Piece | None, known: Around
) -> tuple[Rule | None, list[Problem]]:
    """The rule as it runs, or None with everything that is wrong with it."""
    if piece is None or _declared(piece, "rules") is not rule:
        return compile_rule(rule, known.surroundings)
    return _compiled(piece, known)


@lru_cache(maxsize=_KEPT)
def _compiled(piece: Piece, known: Around) -> tuple[Rule | None, list[Problem]]:
    declared = _declared(piece, "rules")
    assert isinstance(declared, document.Rule)  # noqa: S101 — the caller has it; this tells mypy
    return compile_rule(declared, known.surroundings)
