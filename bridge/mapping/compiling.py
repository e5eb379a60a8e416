"""Compiling a rule: what each part of it needs, and where it says what is wrong.

`push`, `update`, `targets` and `operations` compile the parts; `rules` puts them together.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from bridge.mapping import document
from bridge.mapping.expression import Expression, ExpressionError, Vars, compile_expression
from bridge.onesignal.api import USER_MODEL, Spoken

Path = tuple[str | int, ...]


class Problem(NamedTuple):
    """Something wrong at a place inside a rule."""

    path: Path
    code: str
    message: str
    hint: str | None = None
    level: str = "error"


@dataclass(frozen=True, slots=True)
class Link:
    """An address inside a value: it must begin as `push.links` says, if an event has a part in it."""

    expression: Expression


Tree = Expression | Link | dict[str, "Tree"] | list["Tree"]
"""A value of a mapping: expressions in lists and objects."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What a rule inherits: the push defaults and vars of its mapping, the platforms of its app."""

    defaults: document.PushDefaults
    serves: Collection[str]
    vars: Vars = field(default_factory=dict)
    spoken: Spoken = USER_MODEL


@dataclass(slots=True)
class Compiling:
    """One rule in the making; problems gather, and everything is tried."""

    rule: document.Rule
    around: Surroundings
    problems: list[Problem] = field(default_factory=list)

    def report(
        self, path: Path, code: str, message: str, hint: str | None = None, level: str = "error"
    ) -> None:
        problem = Problem(path, code, message, hint, level)
        if problem not in self.problems:  # an image is read once for each field it becomes
            self.problems.append(problem)

    def value(self, value: Any, path: Path, *, encode: bool = False) -> Expression | None:
        """A scalar; None when it can never work, which is reported then."""
        try:
            return compile_expression(value, encode=encode, names=self.around.vars)
        except ExpressionError as error:
            self.report(path, error.code, error.message, error.hint)
            return None

    def optional(self, value: Any, path: Path) -> Expression | None:
        return None if value is None else self.value(value, path)

    def tree(self, value: Any, path: Path, *, links: Collection[str] = ()) -> Tree | None:
        """Lists and objects of scalars; what has one of the names `links` is an address."""
        if isinstance(value, dict):
            children = {
                name: self.tree(one, (*path, name), links=links)
                if name not in links
                else self.link(one, (*path, name))
                for name, one in value.items()
            }
            return {name: child for name, child in children.items() if child is not None}
        if isinstance(value, list):
            items = [self.tree(one, (*path, i), links=links) for i, one in enumerate(value)]
            return [item for item in items if item is not None]
        return self.value(value, path)

    def link(self, value: Any, path: Path) -> Link | None:
        compiled = self.value(value, path, encode=True)
        if compiled is None:
            return None
        if not compiled.is_literal and not self.around.defaults.links:
            self.report(
                path[:3],
                "links-undecided",
                f"{path[2]} comes from an event, and nothing says where it may point",
                'push: {links: ["shop://", "https://www.shop.example/"]}',
            )
        return Link(compiled)


def leaves(tree: Tree) -> Iterator[Expression]:
    """Every expression in a value."""
    if isinstance(tree, dict):
        for child in tree.values():
            yield from leaves(child)
    elif isinstance(tree, list):
        for child in tree:
            yield from leaves(child)
    else:
        yield tree.expression if isinstance(tree, Link) else tree
