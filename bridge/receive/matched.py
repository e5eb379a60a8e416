"""Of each rule the last event that met it, and how many did: for people who ask whether it works.

Counted where an event is taken, because it is known there already. What is in memory is the rules' last
events, until somebody takes them: a few at most, however many come.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, NamedTuple

import orjson

from bridge.journal.records import Entry
from bridge.mapping.rules import Rule
from bridge.segment.audience import ReverseEtl
from bridge.segment.events import Unusable, read_event


class Last(NamedTuple):
    rule: Rule
    seq: int
    event: Entry
    #: Its text, and how its source is read.
    raw: bytes
    reverse_etl: ReverseEtl | None

    @property
    def fields(self) -> dict[str, Any]:
        """What the rule read, read once more: what is made of an event weighs ten times its text."""
        event = read_event(
            orjson.loads(self.raw),
            raw=self.raw,
            source=self.event.source,
            received_ms=self.event.received_ms,
            reverse_etl=self.reverse_etl,
        )
        return {} if isinstance(event, Unusable) else event.fields


@dataclass(slots=True)
class Matched:
    times: dict[str, int] = field(default_factory=dict)
    last: dict[str, Last] = field(default_factory=dict)

    def add(self, last: Last) -> None:
        """An event has met a rule."""
        name = last.rule.name
        self.times[name] = self.times.get(name, 0) + 1
        self.last[name] = last

    def take(self) -> tuple[dict[str, int], dict[str, Last]]:
        """What there is, which is not there any more."""
        taken = self.times, self.last
        self.times, self.last = {}, {}
        return taken
