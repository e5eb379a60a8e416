"""Of each rule the last event that met it, and how many did: for people who ask whether it works.

Counted where an event is taken, because it is known there already. What is in memory is the rules' last
events, until somebody takes them: a few at most, however many come.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, NamedTuple

from bridge.mapping.rules import Rule


class Last(NamedTuple):
    rule: Rule
    seq: int
    at_ms: int
    fields: dict[str, Any]


@dataclass(slots=True)
class Matched:
    times: dict[str, int] = field(default_factory=dict)
    last: dict[str, Last] = field(default_factory=dict)

    def add(self, rules: tuple[Rule, ...], seq: int, at_ms: int, fields: dict[str, Any]) -> None:
        """An event has met these rules."""
        for rule in rules:
            name = rule.name
            self.times[name] = self.times.get(name, 0) + 1
            self.last[name] = Last(rule, seq, at_ms, fields)

    def take(self) -> tuple[dict[str, int], dict[str, Last]]:
        """What there is, which is not there any more."""
        taken = self.times, self.last
        self.times, self.last = {}, {}
        return taken
