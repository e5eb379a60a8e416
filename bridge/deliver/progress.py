"""How far one event has come, and how its ends are told."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from bridge.deliver.means import Means
from bridge.journal.records import Death, End, Learnt, Status, Waiting, operation_name
from bridge.onesignal.operations import SendNotification
from bridge.telemetry import log

_FIRST: tuple[Status, ...] = ("dead", "delivered", "no_recipients", "discarded", "skipped")
"""How an operation of several parts ends: as the first of these that one of them came to."""


@dataclass(slots=True)
class Progress:
    """What of one event has ended: in the journal (`done`), and not yet (`ends`, `deaths`)."""

    done: set[str]
    ends: list[End] = field(default_factory=list)
    deaths: list[Death] = field(default_factory=list)
    #: What was learnt by it, and goes into the journal with it.
    learnt: list[Learnt] = field(default_factory=list)
    #: Told once that is on disk: until then nobody else may go by what it changes.
    then: list[Callable[[], None]] = field(default_factory=list)
    #: Nothing is left of it, and that is on disk.
    finished: bool = False

    def add(self, end: End, death: Death | None = None) -> None:
        """An operation has ended, or a part of it: of what its parts came to the first of `_FIRST`."""
        name = operation_name(end.rule, end.operation)
        self.ends = _with(self.ends, end)
        self.done.add(name)
        if death is not None:
            self.deaths.append(death._replace(rule=end.rule, operation=end.operation))

    def written(self) -> None:
        """What there was is in the journal now."""
        self.ends, self.deaths, self.learnt = [], [], []
        while self.then:
            self.then.pop()()


def _with(ends: list[End], end: End) -> list[End]:
    """The ends with one more, or with another end of the same operation."""
    for number, one in enumerate(ends):
        if (one.rule, one.operation) == (end.rule, end.operation):
            first = min(one, end, key=lambda e: _FIRST.index(e.status))
            return [*ends[:number], first, *ends[number + 1 :]]
    return [*ends, end]


def tell(means: Means, row: Waiting, ends: Iterable[End]) -> None:
    """Count ends, and log those that a person has to look at."""
    for end in ends:
        means.metrics.ended(end.rule, end.operation, end.status, end.reason)
        if end.operation == SendNotification.name:
            means.reach.ended(end.rule, end.status)
            if end.status == "delivered":
                means.metrics.pushed(end.rule, means.clock.now_ms() - row.event_ms)
        if end.status == "dead":
            means.metrics.dead.labels(end.reason or "").inc()
            log().error(
                "operation.dead",
                message_id=row.message_id,
                rule=end.rule,
                operation=end.operation,
                reason=end.reason,
            )
