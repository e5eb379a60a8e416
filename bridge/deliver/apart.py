"""How far this machine's clock is from OneSignal's, by the `Date` of its answers. For people: ages, order and limits go by it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from bridge.alerts.causes import CLOCK_SECONDS
from bridge.clock import Clock
from bridge.onesignal.verdict import said_at
from bridge.telemetry import log

AGAIN_SECONDS = 60.0
"""One answer in so long is looked at."""


@dataclass(slots=True)
class Apart:
    """Of one app."""

    clock: Clock
    #: By the last answer that was looked at; above 0 when this clock is ahead.
    seconds: float = 0.0
    _looked: float = -AGAIN_SECONDS

    def heard(self, headers: Mapping[str, str]) -> None:
        """OneSignal has answered, just now."""
        now = self.clock.monotonic()
        if now - self._looked < AGAIN_SECONDS or (theirs := said_at(headers)) is None:
            return
        was_far, self.seconds = self.is_far, self.clock.now_ms() / 1000 - theirs
        self._looked = now
        if self.is_far and not was_far:
            log().warning("clock.apart", seconds=round(self.seconds))

    @property
    def is_far(self) -> bool:
        return abs(self.seconds) > CLOCK_SECONDS
