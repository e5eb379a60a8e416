"""The machine's clock is set back: nothing waits for longer because of it, and nothing counts for longer.

What waits does so until a time of day, in memory and on disk, so that it outlasts a restart. When
time itself has passed and the time of day has not, somebody has set the clock, and every such time
is moved along. Whoever compares times asks here first; its own sleep, which is of time itself, has
ended when the first of them is due.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

from bridge.clock import Clock
from bridge.journal import Journal
from bridge.telemetry import log

LEAST_MS = 1000
"""Less is how clocks are corrected all the time, and how floats are rounded."""


@dataclass(slots=True, kw_only=True)
class Setback:
    clock: Clock
    journal: Journal
    #: Told by how many milliseconds.
    _listeners: list[Callable[[int], None]] = field(default_factory=list)
    _moving: asyncio.Lock = field(default_factory=asyncio.Lock)
    #: By how much the time of day was ahead of time itself when it was last looked at.
    _ahead_ms: int = field(init=False)

    def __post_init__(self) -> None:
        self._ahead_ms = self._now_ahead_ms()

    def listen(self, moved: Callable[[int], None]) -> None:
        self._listeners.append(moved)

    async def begin(self) -> None:
        """Once at the start: it may have been set back while nobody looked."""
        heard_ms = await self.journal.last_heard_ms()
        self._ahead_ms = max(self._ahead_ms, heard_ms - round(self.clock.monotonic() * 1000))
        await self.look()

    async def look(self) -> None:
        """Return when the times that are kept fit to the clock."""
        ahead_ms = self._now_ahead_ms()
        if self._ahead_ms - ahead_ms <= LEAST_MS and not self._moving.locked():
            self._ahead_ms = ahead_ms
            return
        async with self._moving:
            await self._move()

    async def _move(self) -> None:
        ahead_ms = self._now_ahead_ms()
        back_ms = self._ahead_ms - ahead_ms
        if back_ms > LEAST_MS:
            log().warning("clock.set_back", seconds=back_ms / 1000)
            await self.journal.set_back(by_ms=back_ms, now_ms=self.clock.now_ms())
            for moved in self._listeners:
                moved(back_ms)
        self._ahead_ms = ahead_ms

    def _now_ahead_ms(self) -> int:
        return self.clock.now_ms() - round(self.clock.monotonic() * 1000)
