"""What a source's door has refused of late, because it did not show who sent it.

Anybody can be refused, so what shows no token counts only until something is taken. Whoever has the
token is Segment, and a wrong signature of its is an alarm whatever is taken beside it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from bridge.clock import Clock

QUIET_SECONDS = 300.0
"""Something was taken, and so long none was refused: it is over."""
FORGOTTEN_SECONDS = 4 * 3600.0
"""For as long Segment repeats what it was refused for a time."""
KNOWN = frozenset({"signature-mismatch", "batch-refused"})
"""Refused although it is surely Segment's."""
UNKNOWN = frozenset({"token-wrong", "signature-wrong"})


class Refused(NamedTuple):
    code: str
    times: int
    #: Whether it is surely Segment that is refused.
    is_known: bool


class Refusals:
    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        #: How many by their codes, and when the last one came.
        self._counts: dict[str, tuple[int, float]] = {}

    def add(self, code: str) -> None:
        """A request was refused; of interest is only who was not believed."""
        if code in KNOWN or code in UNKNOWN:
            self._counts[code] = self._counts.get(code, (0, 0.0))[0] + 1, self._clock.monotonic()

    def taken(self) -> None:
        """Events were taken: who was refused without a token was somebody else."""
        if self._counts:
            since = self._clock.monotonic() - QUIET_SECONDS
            self._counts = {
                code: (count, last)
                for code, (count, last) in self._counts.items()
                if code in KNOWN and last > since
            }

    @property
    def recent(self) -> Iterator[Refused]:
        since = self._clock.monotonic() - FORGOTTEN_SECONDS
        for code, (count, last) in self._counts.items():
            if last > since:
                yield Refused(code, count, code in KNOWN)
