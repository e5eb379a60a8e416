"""What of a plan the app's API cannot do is left out of it, with a reason. Pure.

Of today's API nothing is left out; OneSignal's legacy one knows tags and pushes alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from bridge.onesignal.api import Api
from bridge.onesignal.operations import Operation, UpdateUser
from bridge.plan.values import Note, Skip

REASON = "legacy_api"


class Feasible(NamedTuple):
    """What is left of operations, and what is said of the rest."""

    operations: tuple[Operation, ...]
    skips: tuple[Skip, ...] = ()
    notes: tuple[Note, ...] = ()


def feasible(operations: Sequence[Operation], api: Api) -> Feasible:
    """What the API can do; an operation of a rule of which nothing is left is a skip."""
    judged = [(one, api.able(one)) for one in operations]
    left = tuple(able.operation for _, able in judged if able.operation is not None)
    done = {(rule, one.name) for one in left for rule in _rules(one)}
    skips: dict[tuple[str, str], Skip] = {}
    notes: list[Note] = []
    for one, able in judged:
        for rule, field in _left_out(one, able.cannot):
            if (rule, one.name) in done:
                notes.append(Note(rule, one.name, field, REASON))
            else:
                skips.setdefault((rule, one.name), Skip(REASON, rule, one.name, field))
    return Feasible(left, tuple(skips.values()), tuple(notes))


def _left_out(operation: Operation, cannot: Iterable[str]) -> Iterator[tuple[str, str]]:
    for field in cannot:
        for rule in _rules(operation):
            yield rule, field


def _rules(operation: Operation) -> tuple[str, ...]:
    return operation.rules if isinstance(operation, UpdateUser) else (operation.rule,)
