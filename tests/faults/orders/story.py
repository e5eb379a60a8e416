"""One run in words, for whoever wants to know what went wrong in it."""

from __future__ import annotations

from collections.abc import Iterator

from tests.faults.orders.loop import START_MS
from tests.faults.orders.run import Report
from tests.faults.orders.schedule import Schedule


def story(schedule: Schedule, report: Report) -> Iterator[str]:
    """What was to happen, what became of every event, what OneSignal saw, and what is wrong."""
    yield f"seed {schedule.seed}{', what is dead is replayed in the end' if schedule.mends else ''}"
    for pause, step in schedule.steps:
        yield f"  after {pause:g} s  {step}"
    if report.seen is not None:
        yield "events, by their time"
        for event in sorted(report.seen.events, key=lambda one: one.order):
            told = event.told
            yield f"  {told.at_ms - START_MS:>8} ms  {event.message_id} ({event.seq}) {told.source}"
            yield f"               {told.what.user} {event.kind} {told.what.says}"
            for name, end in event.ends.items():
                at = end.at_ms - START_MS
                yield f"               {name}: {end.status} {end.reason or ''} {end.detail or ''} at {at}"
        yield "calls"
        yield from (f"  {call}" for call in report.seen.calls)
    yield from (f"WRONG: {wrong}" for wrong in report.wrong)
    yield f"met: {dict(report.met)}"
