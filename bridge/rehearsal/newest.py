"""The newest stored events played: what they would do, and what an edited mapping would change of it. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from typing import Any

import orjson

from bridge.journal.recent import Kept
from bridge.mapping.rules import Mapping
from bridge.rehearsal.comparison import Rehearsal, Tally
from bridge.segment.events import Event, read_event


@dataclass(slots=True)
class Looked:
    """How many of the newest events there were to look at."""

    stored: int = 0
    gone: int = 0


def rehearse(
    kept: Iterable[Kept], mapping: Mapping, other: Mapping | None, *, source: str | None
) -> tuple[Rehearsal, Looked]:
    """Play events of a source, or of all, under one mapping, and under another beside it."""
    looked, rehearsal = Looked(), Rehearsal(mapping, other)
    rehearsal.play(_events((one for one in kept if source in {None, one.source}), looked))
    return rehearsal, looked


def _events(kept: Iterable[Kept], looked: Looked) -> Iterator[Event]:
    for one in kept:
        looked.stored += 1
        event = None if one.payload is None else _read(one, one.payload)
        if event is None:
            looked.gone += 1
        else:
            yield event


def _read(one: Kept, payload: bytes) -> Event | None:
    try:
        value = orjson.loads(payload)
    except orjson.JSONDecodeError:  # kept as dead: it was no event when it came, either
        return None
    event = read_event(value, raw=payload, source=one.source, received_ms=one.received_ms)
    return event if isinstance(event, Event) else None


def as_json(rehearsal: Rehearsal, looked: Looked) -> dict[str, Any]:
    """The events, the rules under each mapping, the changes."""
    found: dict[str, Any] = {
        "events": looked.stored,
        "without_payload": looked.gone,
        "rules": _tallies(rehearsal.tallies),
    }
    if rehearsal.other is not None:
        found["rules_after"] = _tallies(rehearsal.other_tallies)
        found["changes"] = {rule: asdict(one) for rule, one in sorted(rehearsal.changes.items())}
    return found


def _tallies(tallies: dict[str, Tally]) -> dict[str, Any]:
    return {
        rule: {**asdict(tally), "skips": dict(tally.skips)}
        for rule, tally in sorted(tallies.items())
    }
