"""What a rule reads of an event beside its condition, and whether an event has it. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from bridge.mapping.compiling import leaves
from bridge.mapping.expression import Expression, Missing, compile_expression
from bridge.mapping.rules import Rule

_SPARED = re.compile(r"\{\{-?\s*([^\s|}]+)\s*\|[^}]*\bdefault\s*:")
"""A path whose absence the author has thought of."""


def reads(rule: Rule) -> frozenset[str]:
    """Every path that a value of the rule counts on, as it is written: `properties.products[0].name`.

    One with a `default` is not among them: where an event lacks it, all is as it should be.
    """
    found = {path for value in _values(rule) for path in value.paths - _spared(value)}
    if rule.update is not None:
        found |= {
            f"{copy.root}.{glob.text}"
            for copy in rule.update.copies
            for glob in copy.include
            # Which fields a pattern is about only an event can say.
            if glob.pattern is None and "_" not in glob.text
        }
    return frozenset(path for path in found if not path.startswith("audience."))


def _spared(value: Expression) -> frozenset[str]:
    return frozenset(_SPARED.findall(value.text))


def finds(path: str, fields: dict[str, Any]) -> bool:
    """Whether an event says something there, be it null."""
    return not isinstance(compile_expression(f"{{{{ {path} }}}}").resolve(fields), Missing)


def _values(rule: Rule) -> Iterator[Expression]:
    if rule.update is not None:
        for name, value in rule.update.tags:
            yield from (name, value)
        yield from (value for _, value in rule.update.properties)
        for contact in rule.update.contacts:
            yield contact.address
            if contact.opted_in is not None:
                yield contact.opted_in
        yield from (leaf for _, tree in rule.update.raw for leaf in leaves(tree))
    if rule.push is not None:
        yield from (leaf for field in rule.push.fields for leaf in leaves(field.value))
    if rule.track is not None:
        yield rule.track.name
        yield from (leaf for _, tree in rule.track.properties for leaf in leaves(tree))
    yield from _others(rule)


def _others(rule: Rule) -> Iterator[Expression]:
    if rule.once_key is not None:
        yield rule.once_key
    if rule.alias is not None:
        yield rule.alias.id
    for subscription in (rule.addition, rule.removal):
        if subscription is not None:
            yield subscription.token
    for part in (
        rule.update,
        rule.push,
        rule.track,
        rule.alias,
        rule.addition,
        rule.removal,
        rule.deletion,
    ):
        if part is not None and part.to is not None:
            yield part.to.id
