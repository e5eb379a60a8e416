"""What is counted in memory, brought to disk every few seconds; nothing is written while nothing happens."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass, field

from bridge.clock import Clock
from bridge.errors import BridgeError
from bridge.journal import Journal
from bridge.journal.tallies import MET, Counted, Met, PathCount, RuleCount, TrafficCount
from bridge.mapping.reads import finds, reads
from bridge.mapping.rules import Rule
from bridge.receive.matched import Last, Matched
from bridge.telemetry import Tally, log

FLUSH_SECONDS = 10.0


@dataclass(slots=True, kw_only=True)
class Counting:
    journal: Journal
    clock: Clock
    tally: Tally
    matched: Matched
    _happened: asyncio.Event = field(default_factory=asyncio.Event)
    #: What is on its way to disk: whoever looks meanwhile counts it in.
    _leaving: Counted = field(default_factory=Counted)
    _reads: dict[str, tuple[Rule, frozenset[str]]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.tally.begun = self._happened.set

    async def run(self) -> None:
        """Until cancelled; what is left then is for `flush`."""
        while True:
            await self._happened.wait()
            await self.clock.sleep(FLUSH_SECONDS)
            self._happened.clear()
            await self.flush()

    async def flush(self) -> None:
        """Bring to disk what was counted since; what cannot be written is given up, and said."""
        self._leaving = self._take()
        try:
            if any(self._leaving):
                await self.journal.tallies.add(self._leaving, at_ms=self.clock.now_ms())
        except BridgeError as error:
            log().warning("tally.lost", error=error.code)
        finally:
            self._leaving = Counted()

    @property
    def fresh(self) -> Counted:
        """What happened since it was last brought to disk."""
        times = self.matched.times
        return Counted(
            rules=[*self._leaving.rules, *_rules(self.tally.counts), *_met(times)],
            traffic=[*self._leaving.traffic, *_traffic(self.tally.counts)],
            last=[*self._leaving.last, *map(_last, self.matched.last.values())],
        )

    def _take(self) -> Counted:
        counts, (times, last) = self.tally.take(), self.matched.take()
        return Counted(
            rules=[*_rules(counts), *_met(times)],
            traffic=list(_traffic(counts)),
            last=[_last(one) for one in last.values()],
            paths=[path for one in last.values() for path in self._paths(one)],
        )

    def _paths(self, last: Last) -> Iterator[PathCount]:
        """What the rule reads, and whether its last event has it."""
        rule = last.rule
        known = self._reads.get(rule.name)
        if known is None or known[0] is not rule:
            known = self._reads[rule.name] = rule, reads(rule)
        for path in known[1]:
            yield PathCount(rule.name, path, 1, int(finds(path, last.fields)))


def _rules(counts: dict[tuple[str, ...], int]) -> Iterator[RuleCount]:
    for (what, *key), times in counts.items():
        if what == "rule":
            rule, operation, outcome, reason = key
            yield RuleCount(rule, operation, outcome, reason, times)


def _met(times: dict[str, int]) -> Iterator[RuleCount]:
    return (RuleCount(rule, "", MET, "", number) for rule, number in times.items())


def _traffic(counts: dict[tuple[str, ...], int]) -> Iterator[TrafficCount]:
    return (
        TrafficCount(key[0], key[1], times) for key, times in counts.items() if key[0] != "rule"
    )


def _last(one: Last) -> Met:
    return Met(one.rule.name, one.seq, one.event.received_ms)
