"""Playing an example: its events one after another, with the clock moved, and what comes of them.

Nothing here decides anything that delivery would decide otherwise: events are read, planned and
judged by the same functions, and only the record of what was sent before is a small one in memory.
What is expected is `expectations`' to compare.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, NamedTuple

import orjson

from bridge.mapping import document
from bridge.mapping.rules import Mapping
from bridge.onesignal.operations import Operation, Request, Send, UpdateUser
from bridge.plan import plan
from bridge.plan.guards import Go, Hold, Stop, judge
from bridge.plan.memory import Memory
from bridge.plan.requests import requests_of
from bridge.plan.values import Plan, Skip
from bridge.segment.events import Event, Unusable, parse_timestamp, read_event

START_MS = 1_800_000_000_000
"""When an example begins that does not say: 2027-01-15T08:00:00Z."""
APP_ID = "YOUR-APP-ID"


class Happening(NamedTuple):
    """One rule did one thing, for an event of this time."""

    event_ms: int
    rule: str
    operation: Operation


@dataclass(slots=True)
class Played:
    """Everything that an example's events gave, in the order in which it happened."""

    happenings: list[Happening] = field(default_factory=list)
    skips: list[Skip] = field(default_factory=list)
    requests: list[Request] = field(default_factory=list)


def play(example: document.Example, mapping: Mapping) -> Played:
    """Play an example from a record of nothing."""
    stage = _Stage(mapping, example.source)
    for now_ms, sent in _timed(example):
        stage.hear(sent, now_ms)
    return stage.played


def _timed(example: document.Example) -> list[tuple[int, dict[str, Any]]]:
    """Each event with the time at which it comes in, in that order."""
    first = example.sequence[0]
    start = example.now
    if start is None:
        happened = parse_timestamp(first.event.get("timestamp"))
        start = happened - (first.at or 0) if happened else START_MS
    timed = [(_comes_ms(moved, example, start), moved.event) for moved in example.sequence]
    return sorted(timed, key=lambda one: one[0])


def _comes_ms(moved: document.Moved, example: document.Example, start_ms: int) -> int:
    if moved.at is None and example.now is None:
        return parse_timestamp(moved.event.get("timestamp")) or start_ms
    return start_ms + (moved.at or 0)


@dataclass(slots=True)
class _Stage:
    mapping: Mapping
    source: str
    played: Played = field(default_factory=Played)
    _memory: Memory = field(default_factory=Memory)
    _heard: set[str] = field(default_factory=set)

    def hear(self, sent: dict[str, Any], now_ms: int) -> None:
        event = read_event(sent, raw=orjson.dumps(sent), source=self.source, received_ms=now_ms)
        if isinstance(event, Unusable):
            self._skip(Skip(reason=event.code.replace("-", "_"), detail=event.message))
        elif self._is_duplicate(event):
            self._skip_all(event, Skip(reason="duplicate"))
        else:
            self._act(event, plan(event, self.mapping, apart=True), now_ms)

    def _is_duplicate(self, event: Event) -> bool:
        """Events of an example that have no messageId are different events, however alike."""
        if "messageId" not in event.sent or event.is_test:
            return False
        known = event.message_id in self._heard
        self._heard.add(event.message_id)
        return known

    def _act(self, event: Event, planned: Plan, now_ms: int) -> None:
        for skip in planned.skips:
            if skip.rule:
                self._skip(skip)
            else:
                self._skip_all(event, skip)
        person = self.mapping.external_id(event.fields) or ""
        if planned.stay is not None:
            self._memory.learn(person, planned.stay)
        for operation in planned.operations:
            if not isinstance(operation, Send) or self._may(operation, planned, event, now_ms):
                self._happen(operation, event)

    def _may(self, send: Send, planned: Plan, event: Event, now_ms: int) -> bool:
        person = self.mapping.external_id(event.fields) or ""
        terms = planned.terms[send.rule]
        standing = self._memory.standing(send.rule, terms, person, now_ms=now_ms)
        match judge(terms, standing, event_ms=event.event_ms, now_ms=now_ms):
            case Go():
                self._memory.sent(send.rule, terms, person, now_ms=now_ms)
                return True
            case Stop(reason=reason, detail=detail):
                self._skip(Skip(rule=send.rule, operation=send.name, reason=reason, detail=detail))
            case Hold(reason=reason):
                self._memory.held(send.rule, terms, person, now_ms=now_ms)
                self._skip(Skip(rule=send.rule, operation=send.name, reason="held", detail=reason))
        return False

    def _happen(self, operation: Operation, event: Event) -> None:
        for rule in rules_of(operation):
            self.played.happenings.append(Happening(event.event_ms, rule, operation))
        self.played.requests += requests_of(operation, message_id=event.message_id, app_id=APP_ID)

    def _skip(self, skip: Skip) -> None:
        self.played.skips.append(skip)

    def _skip_all(self, event: Event, skip: Skip) -> None:
        """What holds for the event as a whole holds for every rule that wanted it."""
        for rule in self.mapping.rules:
            if rule.condition(event.fields):
                self._skip(Skip(rule=rule.name, reason=skip.reason, detail=skip.detail))


def rules_of(operation: Operation) -> tuple[str, ...]:
    return operation.rules if isinstance(operation, UpdateUser) else (operation.rule,)
