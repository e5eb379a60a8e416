"""What came in and went out: from counts by the minute. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

from bridge.journal.tallies import MINUTE_MS, TrafficCount
from bridge.telemetry import TOOK

HALF, MOST = 0.5, 0.95
_QUIET: Final = frozenset({"404", "429"})
"""Answers that are no failures: a user who has to be created, and being asked to wait."""


class Span(NamedTuple):
    """A stretch of time that is looked at in equal steps."""

    name: str
    steps: int
    step_ms: int
    tick_ms: int


HOUR = Span("the last hour", 60, MINUTE_MS, 15 * MINUTE_MS)
DAY = Span("the last day", 96, 15 * MINUTE_MS, 6 * 60 * MINUTE_MS)


class Series(NamedTuple):
    """The same step by step, oldest first."""

    start_ms: int
    events: list[int]
    calls: list[int]
    failures: list[int]
    #: Seconds within which most were delivered; None: there were none.
    most: list[float | None]


class Figures(NamedTuple):
    """Of one span."""

    events: int
    calls: int
    failures: int
    asked_to_wait: int
    #: Seconds within which half of the events were delivered, and most; None: there were none.
    half: float | None
    most: float | None
    looked_at: int
    ios_reached: int
    series: Series


Counts = Iterable[tuple[int, TrafficCount]]


def start_of(span: Span, now_ms: int) -> int:
    return (now_ms // span.step_ms - span.steps + 1) * span.step_ms


def figures(counts: Counts, span: Span, now_ms: int) -> Figures:
    """Everything about one span; of counts before it none is looked at."""
    start = start_of(span, now_ms)
    by_step = _by_step(counts, span, start)
    took = [_took(one) for one in by_step]
    whole = [sum(step) for step in zip(*took, strict=True)]
    series = Series(
        start_ms=start,
        events=[_sum(one, "in") for one in by_step],
        calls=[_sum(one, "out") for one in by_step],
        failures=[_sum(one, "out", failed) for one in by_step],
        most=[percentile(one, MOST) for one in took],
    )
    return Figures(
        events=sum(series.events),
        calls=sum(series.calls),
        failures=sum(series.failures),
        asked_to_wait=sum(
            _sum(one, "out", lambda label: label.endswith(" 429")) for one in by_step
        ),
        half=percentile(whole, HALF),
        most=percentile(whole, MOST),
        looked_at=sum(_sum(one, "audit", lambda label: label == "looked") for one in by_step),
        ios_reached=sum(_sum(one, "audit", lambda label: label == "reached") for one in by_step),
        series=series,
    )


def failed(label: str) -> bool:
    """Whether a call of that class and answer is one that should not have been."""
    http = label.rpartition(" ")[2]
    return not http.startswith("2") and http not in _QUIET


def percentile(took: Sequence[int], share: float) -> float | None:
    """Seconds within which that share was delivered, by even odds inside a bucket; None of none."""
    total = sum(took)
    if total == 0:
        return None
    left = total * share
    for place, times in enumerate(took):
        if times and left <= times:
            low = TOOK[place - 1] if place else 0.0
            high = TOOK[place] if place < len(TOOK) else low
            return low + (high - low) * left / times
        left -= times
    return TOOK[-1]


Step = dict[tuple[str, str], int]


def _by_step(counts: Counts, span: Span, start: int) -> list[Step]:
    steps: list[Step] = [defaultdict(int) for _ in range(span.steps)]
    for at, one in counts:
        place = (at - start) // span.step_ms
        if 0 <= place < span.steps:
            steps[place][one.what, one.label] += one.times
    return steps


def _sum(step: Step, what: str, wanted: object = None) -> int:
    return sum(
        times
        for (name, label), times in step.items()
        if name == what and (not callable(wanted) or wanted(label))
    )


def _took(step: Step) -> list[int]:
    return [step.get(("took", str(place)), 0) for place in range(len(TOOK) + 1)]
