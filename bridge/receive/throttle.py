"""How often one user may say something new of its devices: each time is a write to the disk."""

from __future__ import annotations

from dataclasses import dataclass, field

from bridge.clock import Clock

MOST = 60
PER_SECONDS = 600.0
_KNOWN = 50_000


@dataclass(slots=True)
class Throttle:
    clock: Clock
    #: When a user's stretch of time began, and how often it was since.
    _users: dict[int, tuple[float, int]] = field(default_factory=dict)

    def lets(self, user_hash: int) -> bool:
        """Whether once more is not too often; it counts."""
        now = self.clock.monotonic()
        began, count = self._users.get(user_hash, (now, 0))
        if now - began >= PER_SECONDS:
            began, count = now, 0
        if count >= MOST:
            return False
        if len(self._users) >= _KNOWN:
            self._users = {u: one for u, one in self._users.items() if now - one[0] < PER_SECONDS}
        if len(self._users) < 2 * _KNOWN:
            self._users[user_hash] = began, count + 1
        return True
