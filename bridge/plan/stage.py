"""Events played one after another against a mapping, with a record of what was sent in memory. Pure.

Nothing here decides anything that delivery would decide otherwise: events are planned and judged by
the same functions, and only the record of what came before is a small one that begins empty.
Examples are played on it, and so are stored events when a mapping is edited.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

from bridge.mapping.rules import Mapping
from bridge.onesignal.operations import Operation, Send, UpdateUser
from bridge.plan import plan
from bridge.plan.guards import Go, Hold, Stop, judge
from bridge.plan.memory import Memory
from bridge.plan.values import Plan, Skip
from bridge.segment.events import Event


class Happening(NamedTuple):
    """One rule did one thing, for an event of this time."""

    event_ms: int
    rule: str
    operation: Operation


@dataclass(slots=True)
class Act:
    """What came of one event, by rule."""

    happenings: list[Happening] = field(default_factory=list)
    skips: list[Skip] = field(default_factory=list)
    operations: list[Operation] = field(default_factory=list)

    def add(self, operation: Operation, event_ms: int) -> None:
        self.operations.append(operation)
        self.happenings += [Happening(event_ms, rule, operation) for rule in rules_of(operation)]


@dataclass(slots=True)
class Stage:
    """A mapping, and what was sent since the first event."""

    mapping: Mapping
    _memory: Memory = field(default_factory=Memory)
    _events: int = 0

    def hear(self, event: Event, *, now_ms: int) -> Act:
        """What the event does when it comes in at this time."""
        act = Act()
        self._events += 1
        planned = plan(event, self.mapping, apart=True)
        for skip in planned.skips:
            act.skips += [skip] if skip.rule else self.for_every_rule(event, skip)
        if planned.stay is not None:
            self._memory.learn(self._person(event), planned.stay)
        for operation in planned.operations:
            if isinstance(operation, Send):
                stopped = self._stopped(operation, planned, event, now_ms)
                if stopped is not None:
                    act.skips.append(stopped)
                    continue
            act.add(operation, event.event_ms)
        return act

    def for_every_rule(self, event: Event, skip: Skip) -> list[Skip]:
        """What holds for the event as a whole holds for every rule that wants it."""
        return [
            Skip(rule=rule.name, reason=skip.reason, detail=skip.detail)
            for rule in self.mapping.rules
            if rule.condition(event.fields)
        ]

    def _person(self, event: Event) -> str:
        return self.mapping.external_id(event.fields) or ""

    def _stopped(self, send: Send, planned: Plan, event: Event, now_ms: int) -> Skip | None:
        """Why a send does not leave, if so; what leaves or is held takes its places."""
        rule, terms, person = send.rule, planned.terms[send.rule], self._person(event)
        number, memory = self._events, self._memory
        standing = memory.standing(rule, terms, person, event=number, now_ms=now_ms)
        match judge(terms, standing, event_ms=event.event_ms, now_ms=now_ms):
            case Go():
                memory.sent(rule, terms, person, event=number, now_ms=now_ms)
                return None
            case Stop(reason=reason, detail=detail):
                return Skip(rule=rule, operation=send.name, reason=reason, detail=detail)
            case Hold(reason=reason):
                memory.held(rule, terms, person, event=number, now_ms=now_ms)
                return Skip(rule=rule, operation=send.name, reason="held", detail=reason)


def rules_of(operation: Operation) -> tuple[str, ...]:
    """The rules that want an operation; several, when updates were folded into one."""
    return operation.rules if isinstance(operation, UpdateUser) else (operation.rule,)
