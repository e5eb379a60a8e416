"""The push of a rule, drawn from an event that it met, or from what its mapping says. Pure."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from bridge.console.views.drawing import Drawn, drawn
from bridge.explain.again import read_again
from bridge.journal.trace import Event as Heard
from bridge.mapping.compiling import Link, Tree
from bridge.mapping.expression import Expression
from bridge.mapping.rules import Mapping, Rule
from bridge.onesignal.operations import SendNotification
from bridge.plan import plan


def of_event(heard: Heard, mapping: Mapping) -> dict[str, Drawn]:
    """By rule, every push that the event asks for under today's mapping."""
    try:
        event = read_again(heard, mapping)
        operations = () if event is None else plan(event, mapping).operations
    except Exception:  # noqa: BLE001 — what breaks planning is dead, and the page of the event says so
        return {}
    return {
        one.rule: drawn(one.body | one.flags)
        for one in operations
        if isinstance(one, SendNotification)
    }


def of_rule(rule: Rule) -> Drawn | None:
    """The push as it is written, with the places that an event fills in."""
    if rule.push is None:
        return None
    body: dict[str, Any] = {field.name: _written(field.value) for field in rule.push.fields}
    found = drawn(rule.push.constant | body | rule.push.flags)
    return replace(found, text=found.text or None)


def _written(tree: Tree) -> Any:
    if isinstance(tree, Expression):
        return tree.text
    if isinstance(tree, Link):
        return tree.expression.text
    if isinstance(tree, dict):
        return {name: _written(child) for name, child in tree.items()}
    return [_written(child) for child in tree]
