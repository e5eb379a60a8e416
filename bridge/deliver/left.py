"""What is left to do of a pending event: its plan, without what has ended or is not asked for. Pure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import orjson

from bridge.deliver.progress import Progress
from bridge.journal.records import Death, Waiting, operation_name
from bridge.mapping.rules import Mapping
from bridge.onesignal.operations import Operation, UpdateUser
from bridge.plan import Plan
from bridge.segment.events import Event, Unusable, read_event


def heard(row: Waiting, mapping: Mapping) -> Event:
    """The event as it was heard.

    Raises:
        ValueError: it cannot be read any more, though it could when it was accepted.
    """
    event = read_event(
        orjson.loads(row.payload),
        raw=row.payload,
        source=row.source,
        received_ms=row.received_ms,
        reverse_etl=mapping.reverse_etl,
    )
    if isinstance(event, Unusable):
        raise ValueError(event.code)  # noqa: TRY004 — it is what was sent that is wrong, not a type of ours
    return event


def unplanned(row: Waiting, reason: str, detail: str) -> Death:
    """The death of what was never planned."""
    return Death(
        rule="",
        operation="",
        reason=reason,
        request=None,
        answer=detail,
        http=None,
        attempt=row.attempt,
        uncertain=False,
        send_key=None,
    )


def left_of_replay(row: Waiting, progress: Progress) -> list[tuple[str, str]]:
    """Rule and operation of what a replay is about and has not ended."""
    # The names of rules hold no "/".
    names = [name.partition("/") for name in sorted((row.only or frozenset()) - progress.done)]
    return [(rule, operation) for rule, _, operation in names]


def remaining(row: Waiting, planned: Plan) -> Plan:
    """What of a plan is still to be done: not what has ended, and of a replay only what it is about."""
    if not row.done and row.only is None:
        return planned

    def left(rule: str, operation: str) -> bool:
        name = operation_name(rule, operation)
        return name not in row.done and (row.only is None or name in row.only)

    operations = (_of_left_rules(one, left) for one in planned.operations)
    return planned._replace(
        operations=tuple(one for one in operations if one is not None),
        skips=tuple(skip for skip in planned.skips if left(skip.rule, skip.operation)),
    )


def _of_left_rules(one: Operation, left: Callable[[str, str], bool]) -> Operation | None:
    if not isinstance(one, UpdateUser):
        return one if left(one.rule, one.name) else None
    rules = tuple(rule for rule in one.rules if left(rule, one.name))
    return replace(one, rules=rules) if rules else None
