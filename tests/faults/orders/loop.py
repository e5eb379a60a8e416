"""A loop in which time passes when nobody has anything to do, and nothing happens anywhere else.

What the journal does on threads of its own is done on the loop instead, a moment later, so that
everything happens in an order that the seed alone decides: a failure can be seen again.
"""

from __future__ import annotations

import asyncio
import random
import selectors
from collections.abc import Callable
from typing import Any

START_MS = 1_800_000_000_000
_SECONDS = (0.0, 0.0, 0.0002, 0.001, 0.02)
"""That a commit or a read takes; each time one of these."""
_NEXT = 1e-6
"""What one executor does happens in its order: a heap of equal times would not keep it."""


class StuckError(Exception):
    """Nobody has anything to do, and nobody waits for a time to come."""


class _Leap(selectors.DefaultSelector):
    """Waits for nothing: it moves the loop's time instead."""

    loop: Loop

    def select(self, timeout: float | None = None) -> Any:
        if timeout is None:
            raise StuckError
        self.loop.elapsed += max(0.0, timeout)
        return super().select(0)


class Loop(asyncio.SelectorEventLoop):
    def __init__(self, draw: random.Random) -> None:
        self.elapsed = 0.0
        self._draw = draw
        #: When the last of what was handed to an executor is done: each does one thing after another.
        self._busy: dict[int, float] = {}
        #: Told before and after each piece of work that the journal does.
        self.step: Callable[[], None] = lambda: None
        selector = _Leap()
        selector.loop = self
        super().__init__(selector)

    def time(self) -> float:
        return self.elapsed

    def run_in_executor(self, executor: Any, func: Callable[..., Any], *args: Any) -> Any:  # type: ignore[override]
        future: asyncio.Future[Any] = self.create_future()
        took = self._draw.choice(_SECONDS)
        at = max(self.elapsed, self._busy.get(id(executor), 0.0)) + took + _NEXT
        self._busy[id(executor)] = at
        self.call_at(at, self._do, future, func, args)
        return future

    def _do(self, future: asyncio.Future[Any], func: Callable[..., Any], args: Any) -> None:
        self.step()
        try:
            result = func(*args)
        except BaseException as error:  # noqa: BLE001 — whoever asked hears it
            if not future.done():
                future.set_exception(error)
        else:
            if not future.done():
                future.set_result(result)
        self.step()


class LoopClock:
    """The time of such a loop, as the bridge asks for it."""

    def __init__(self, loop: Loop) -> None:
        self._loop = loop

    def now_ms(self) -> int:
        return START_MS + round(self._loop.elapsed * 1000)

    def monotonic(self) -> float:
        return self._loop.elapsed

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(max(0.0, seconds))  # noqa: TID251 — no time passes but this loop's own
