"""What an import would mean, before anything of it is sent: calls, minutes, and what does not fit."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import orjson

from bridge.cli.importing.rows import Bad, Row
from bridge.config import IMPORT
from bridge.deliver.gates import WRITES_PER_SECOND
from bridge.mapping.rules import Mapping
from bridge.plan import plan
from bridge.segment.events import Event, read_event

_CAPPED = "tag_cap"


@dataclass(slots=True)
class Forecast:
    """The sums over all rows."""

    rows: int = 0
    #: Rows that are no events, by code.
    bad: Counter[str] = field(default_factory=Counter)
    #: Requests, by operation, when each row makes its own.
    calls: Counter[str] = field(default_factory=Counter)
    #: Operations and whole rows that would be left undone, by reason.
    skips: Counter[str] = field(default_factory=Counter)
    #: Rows of which a tag does not fit under the plan's cap.
    capped: int = 0

    @property
    def minutes(self) -> float:
        """The least that the calls take, at the published limit."""
        return self.calls.total() / WRITES_PER_SECOND / 60

    def lines(self) -> Iterator[str]:
        yield f"{self.rows:>10,} rows"
        for code, count in self.bad.most_common():
            yield f"{count:>10,} of them are no events: {code}"
        for operation, count in self.calls.most_common():
            yield f"{count:>10,} calls: {operation}"
        for reason, count in self.skips.most_common():
            yield f"{count:>10,} skipped: {reason}"
        if self.capped:
            yield f"{self.capped:>10,} rows have tags that do not fit under the plan's cap (tag_cap)"
        yield (
            f"At OneSignal's limit of {WRITES_PER_SECOND:,} writes a second: at least"
            f" {self.minutes:.1f} minutes. Rows of one user share calls, and what OneSignal has had"
            " from us already is left out."
        )


def forecast(rows: Iterable[Row | Bad], mapping: Mapping, *, now_ms: int) -> Forecast:
    """Plan every row; nothing of it is kept."""
    found = Forecast()
    for row in rows:
        found.rows += 1
        if isinstance(row, Bad):
            found.bad[row.code] += 1
        else:
            _add(found, row, mapping, now_ms)
    return found


def _add(found: Forecast, row: Row, mapping: Mapping, now_ms: int) -> None:
    event = read_event(orjson.loads(row.event), raw=row.event, source=IMPORT, received_ms=now_ms)
    if not isinstance(event, Event):
        found.bad[event.code] += 1
        return
    planned = plan(event, mapping)
    for operation in planned.operations:
        found.calls[operation.name] += 1
    for skip in planned.skips:
        found.skips[skip.reason] += 1
    reasons = [note.reason for note in planned.notes] + [skip.reason for skip in planned.skips]
    found.capped += _CAPPED in reasons
