"""How often one user may say something new of its devices: each time is a write to the disk."""

from __future__ import annotations

from dataclasses import dataclass, field

from bridge.clock import Clock

MOST = 60
PER_SECONDS = 600.0
_KNOWN = 100_000


@dataclass(slots=True)
class Throttle:
    """Counts from the beginning of a stretch of time, which is everybody's."""

    clock: Clock
    _began: float = float("-inf")
    #: Of this stretch, by user.
    _counts: dict[int, int] = field(default_factory=dict)

    def lets(self, user_hash: int) -> bool:
        """Whether once more is not too often; it counts."""
        now = self.clock.monotonic()
        if now - self._began >= PER_SECONDS:
            self._began, self._counts = now, {}
        count = self._counts.get(user_hash, 0)
        if count >= MOST:
            return False
        if count or len(self._counts) < _KNOWN:
            self._counts[user_hash] = count + 1
        return True
