"""How many events a source has sent in the last minute, and when the last one came."""

from __future__ import annotations

from bridge.clock import Clock

_SECONDS = 60


class Pulse:
    """Counts by the second; what is older than a minute is forgotten."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._counts = [0] * _SECONDS
        self._seconds = [-_SECONDS] * _SECONDS
        #: Milliseconds since 1970; None: nothing has come since the start.
        self.last_ms: int | None = None

    def beat(self, events: int) -> None:
        """So many have come just now."""
        now = int(self._clock.monotonic())
        place = now % _SECONDS
        if self._seconds[place] != now:
            self._seconds[place], self._counts[place] = now, 0
        self._counts[place] += events
        self.last_ms = self._clock.now_ms()

    @property
    def per_minute(self) -> int:
        """Events of the last 60 seconds."""
        return self.within(_SECONDS)

    def within(self, seconds: int) -> int:
        """Events of the last so many seconds, a minute at most."""
        since = int(self._clock.monotonic()) - seconds
        pairs = zip(self._seconds, self._counts, strict=True)
        return sum(count for second, count in pairs if second > since)
