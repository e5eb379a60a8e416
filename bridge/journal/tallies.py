"""What was counted for people: how often each rule did what, what came in and went out.

Counted in memory as it happens, and added here every few seconds; what was counted in between is lost
with a process that ends abruptly. No outcome hangs on it: the journal's own rows are what is true.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

HOUR_MS, MINUTE_MS, DAY_MS = 3_600_000, 60_000, 86_400_000
KEEP_RULES_MS = 30 * DAY_MS
KEEP_TRAFFIC_MS = 2 * DAY_MS
LOOKED_MOST = 200
"""Events a path is looked for in; then both numbers are halved, so that what was found long ago fades."""
MET = "met"
"""In place of an outcome: an event met the rule."""


class RuleCount(NamedTuple):
    rule: str
    #: "" of `MET`.
    operation: str
    outcome: str
    reason: str
    times: int


class TrafficCount(NamedTuple):
    what: str
    label: str
    times: int


class Met(NamedTuple):
    """The last event that a rule met."""

    rule: str
    seq: int
    at_ms: int


class PathCount(NamedTuple):
    """In how many events that met a rule a path was looked for, and found."""

    rule: str
    path: str
    looked: int
    found: int


class Counted(NamedTuple):
    """What happened since it was last added."""

    rules: Sequence[RuleCount] = ()
    traffic: Sequence[TrafficCount] = ()
    last: Sequence[Met] = ()
    paths: Sequence[PathCount] = ()


class RuleSlots(NamedTuple):
    #: Of the whole time.
    counts: list[RuleCount]
    #: By rule: events that met it in each hour, by when it began.
    hours: dict[str, dict[int, int]]
    #: Since when there are counts at all; None: never.
    since_ms: int | None


class Tallies(Protocol):
    """The part of a journal that counts for people."""

    async def add(self, counted: Counted, *, at_ms: int) -> None:
        """Add what happened; what is older than anybody looks at goes."""

    async def rules(self, *, since_ms: int, hours_ms: int) -> RuleSlots:
        """What rules did since one time, and how many events met them by the hour since another."""

    async def traffic(self, *, since_ms: int, step_ms: int) -> list[tuple[int, TrafficCount]]:
        """What came in and went out, by stretches of so long, in their order."""

    async def last(self) -> dict[str, Met]:
        """By rule."""

    async def paths(self) -> list[PathCount]: ...
