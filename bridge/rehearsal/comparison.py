"""What many events would do under a mapping, rule by rule, and what another mapping would change. Pure.

The events are played one after another with a record that begins empty, so the pushes that `once_per`,
a stay, a cap or a limit would stop are counted as skips, as far as these events tell.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from bridge.mapping.rules import Mapping
from bridge.onesignal.operations import Send, SendNotification
from bridge.rehearsal.stage import Act, Stage
from bridge.rehearsal.views import Done, done
from bridge.segment.events import Event

SAMPLES = 3


@dataclass(slots=True)
class Tally:
    """What one rule did."""

    events: int = 0
    pushes: int = 0
    custom_events: int = 0
    updates: int = 0
    skips: Counter[str] = field(default_factory=Counter)


@dataclass(slots=True)
class Change:
    """What another mapping does differently in one rule's name; events, with a few to look at."""

    pushes_more: int = 0
    pushes_fewer: int = 0
    pushes_other: int = 0
    tags: int = 0
    updates: int = 0
    custom_events: int = 0
    samples: list[str] = field(default_factory=list)


@dataclass(slots=True)
class Rehearsal:
    """Events played under a mapping, and under another one beside it if there is one."""

    mapping: Mapping
    other: Mapping | None = None
    tallies: defaultdict[str, Tally] = field(default_factory=lambda: defaultdict(Tally))
    other_tallies: defaultdict[str, Tally] = field(default_factory=lambda: defaultdict(Tally))
    changes: defaultdict[str, Change] = field(default_factory=lambda: defaultdict(Change))
    events: int = 0

    def play(self, events: Iterable[Event]) -> None:
        """Play events in the order in which they came in, each at the time at which it did."""
        stage = Stage(self.mapping)
        other = Stage(self.other) if self.other is not None else None
        for event in events:
            self.events += 1
            act = stage.hear(event, now_ms=event.received_ms)
            _count(self.tallies, act)
            if other is not None:
                changed = other.hear(event, now_ms=event.received_ms)
                _count(self.other_tallies, changed)
                _compare(
                    self.changes, event.message_id, done(act.happenings), done(changed.happenings)
                )


def _count(tallies: defaultdict[str, Tally], act: Act) -> None:
    # What becomes of the event as a whole is also said of each rule that met it.
    skips = [skip for skip in act.skips if skip.rule]
    for rule in {one.rule for one in act.happenings} | {skip.rule for skip in skips}:
        tallies[rule].events += 1
    for one in act.happenings:
        tally = tallies[one.rule]
        if isinstance(one.operation, SendNotification):
            tally.pushes += 1
        elif isinstance(one.operation, Send):
            tally.custom_events += 1
        else:
            tally.updates += 1
    for skip in skips:
        tallies[skip.rule].skips[skip.reason] += 1


def _compare(changes: defaultdict[str, Change], message_id: str, before: Done, after: Done) -> None:
    for rule in before.keys() | after.keys():
        was, now = before.get(rule, {}), after.get(rule, {})
        if was == now:
            continue
        change = changes[rule]
        _note_push(change, was.get(SendNotification.name), now.get(SendNotification.name))
        for operation in (was.keys() | now.keys()) - {SendNotification.name}:
            _note_other(change, operation, was.get(operation), now.get(operation))
        if len(change.samples) < SAMPLES:
            change.samples.append(message_id)


def _note_push(change: Change, was: Any, now: Any) -> None:
    if was == now:
        return
    if was is None:
        change.pushes_more += 1
    elif now is None:
        change.pushes_fewer += 1
    else:
        change.pushes_other += 1


def _note_other(change: Change, operation: str, was: Any, now: Any) -> None:
    if was == now:
        return
    if operation == "track_custom_event":
        change.custom_events += 1
    elif operation == "update_user" and _tags(was) != _tags(now):
        change.tags += 1
    else:
        change.updates += 1


def _tags(found: Any) -> Any:
    return found[0].get("tags") or None if found else None
