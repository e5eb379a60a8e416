"""How fast calls may leave: one gate for each app and class of endpoint.

A token bucket keeps below OneSignal's limit in every second (95 % of it steadily, 4 % as a burst).
Live calls go first, and at least one in ten is bulk. An answer can hold the gate: `Retry-After`
for as long as it says, a refused key until a single probe succeeds, and so do many failures at
once: then one call at a time asks whether OneSignal is back.
"""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass, field

from bridge.clock import Clock

STEADY, BURST = 0.95, 0.04
BULK_EVERY = 10
CLOSED_SECONDS = 60.0
IN_FLIGHT = 100
_WINDOW_SECONDS = 10.0
_TRIP_CALLS, _TRIP_SHARE = 20, 0.5
_PROBE_FIRST, _PROBE_LONGEST = 5.0, 60.0
_ALMOST = 1e-6
"""What a sum of floats may miss a whole token by; waiting for it could take no time at all."""


@dataclass(slots=True)
class Bucket:
    """Tokens that refill with time; pure but for its own count."""

    rate: float
    burst: float
    tokens: float = field(init=False)
    at: float = 0.0

    def __post_init__(self) -> None:
        self.tokens = self.burst

    def wait(self, now: float) -> float:
        """Take a token and return 0, or return the seconds until there is one."""
        self.tokens = min(self.burst, self.tokens + max(0.0, now - self.at) * self.rate)
        self.at = now
        if self.tokens >= 1 - _ALMOST:
            self.tokens -= 1
            return 0.0
        return (1 - self.tokens) / self.rate


@dataclass(slots=True)
class Breaker:
    """Trips when most of many recent calls failed; then waits 5 s, 10 s, … 60 s between probes."""

    since: float = 0.0
    calls: int = 0
    failures: int = 0
    wait: float = _PROBE_FIRST

    def record(self, *, ok: bool, now: float) -> bool:
        """Count one call; True when this one trips it."""
        if now - self.since > _WINDOW_SECONDS:
            self.since, self.calls, self.failures = now, 0, 0
        self.calls += 1
        self.failures += not ok
        return self.calls >= _TRIP_CALLS and self.failures >= self.calls * _TRIP_SHARE

    def reset(self) -> None:
        self.calls = self.failures = 0
        self.wait = _PROBE_FIRST

    def next_wait(self) -> float:
        self.wait, wait = min(_PROBE_LONGEST, self.wait * 2), self.wait
        return wait


class StoppingError(Exception):
    """The bridge is stopping: no further call begins, and what is left stays pending."""


class Gate:
    """Lets calls of one class through, in their turn."""

    def __init__(self, name: str, *, per_second: float, clock: Clock) -> None:
        self.name = name
        self._clock = clock
        self._bucket = Bucket(per_second * STEADY, max(1.0, per_second * BURST))
        self._breaker = Breaker()
        self._live: deque[asyncio.Future[None]] = deque()
        self._bulk: deque[asyncio.Future[None]] = deque()
        self._turn = 0
        self._held_until = 0.0
        self._closed_until = 0.0
        self._probing: str | None = None
        self._in_flight = 0
        self._stopping = False
        self._changed = asyncio.Event()
        self._pump: asyncio.Task[None] | None = None

    def __repr__(self) -> str:
        held = self.held_seconds
        state = f"closed ({self._probing})" if self._probing else "open"
        waiting = len(self._live) + len(self._bulk)
        return f"<Gate {self.name}: {state}, held {held:.1f}s, {waiting} waiting, {self._in_flight} out>"

    @property
    def held_seconds(self) -> float:
        """How long the gate will certainly let nothing through."""
        until = max(self._held_until, self._closed_until)
        return max(0.0, until - self._clock.monotonic())

    @property
    def closed(self) -> str | None:
        """Why only one call at a time may ask; None when the gate is open."""
        return self._probing

    async def enter(self, *, bulk: bool) -> None:
        """Return when it is this call's turn; every `enter` is followed by a `leave`.

        Raises:
            StoppingError: there will be no more turns.
        """
        if self._stopping:
            raise StoppingError
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        (self._bulk if bulk else self._live).append(future)
        if self._pump is None or self._pump.done():
            self._pump = asyncio.get_running_loop().create_task(self._run())
        try:
            await future
        except asyncio.CancelledError:
            if _was_let_through(future):
                self.leave()
            raise

    def leave(self) -> None:
        """The call that entered has its answer, or is not made after all."""
        self._in_flight -= 1
        self._changed.set()

    def stop(self) -> None:
        """Let nobody through any more."""
        self._stopping = True
        for future in (*self._live, *self._bulk):
            if not future.done():
                future.set_exception(StoppingError())
        if self._pump is not None:
            self._pump.cancel()

    def hold(self, seconds: float) -> None:
        """Let nothing through for so long; OneSignal asked for it."""
        self._held_until = max(self._held_until, self._clock.monotonic() + seconds)

    def close(self, reason: str, seconds: float = CLOSED_SECONDS) -> bool:
        """Let one probe through every so often until one succeeds; True when it was open before."""
        was_open = self._probing is None
        self._probing = reason
        self._close_for(seconds)
        return was_open

    def _close_for(self, seconds: float) -> None:
        self._closed_until = max(self._closed_until, self._clock.monotonic() + seconds)

    def succeeded(self) -> bool:
        """OneSignal answered in earnest; True when that opened the gate."""
        was_closed = self._probing is not None
        self._breaker.record(ok=True, now=self._clock.monotonic())
        if was_closed:
            self._probing = None
            # What OneSignal asked for still holds; only our own waiting between probes is over.
            self._closed_until = 0.0
            self._breaker.reset()
        self._changed.set()
        return was_closed

    def failed(self, reason: str) -> bool:
        """A call failed; True when that closed the gate."""
        trips = self._breaker.record(ok=False, now=self._clock.monotonic())
        if self._probing is not None:
            # Calls that left before the gate closed say nothing new; only a probe that fails does.
            if self._in_flight == 1:
                self._close_for(self._breaker.next_wait())
            return False
        return trips and self.close(reason, self._breaker.next_wait())

    async def _run(self) -> None:
        while self._anybody_waits():
            if not self._may_leave():
                self._changed.clear()
                await self._changed.wait()
            elif (held := self.held_seconds) > 0:
                await self._held(held)
            elif (wait := self._bucket.wait(self._clock.monotonic())) > 0:
                await self._clock.sleep(wait)
            else:
                self._let_one_through()

    def _anybody_waits(self) -> bool:
        """Whether there is a call to spend a token on; those that were given up leave the queues."""
        for queue in (self._live, self._bulk):
            while queue and queue[0].done():
                del queue[0]
        return bool(self._live or self._bulk)

    async def _held(self, seconds: float) -> None:
        """Until the hold ends, or something happened that may have ended it."""
        self._changed.clear()
        waits = [
            asyncio.ensure_future(self._clock.sleep(seconds)),
            asyncio.ensure_future(self._changed.wait()),
        ]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()

    def _may_leave(self) -> bool:
        return self._in_flight < (1 if self._probing else IN_FLIGHT)

    def _let_one_through(self) -> None:
        """The next in turn; somebody waits, and has not been given up since that was seen."""
        self._turn += 1
        first, second = self._live, self._bulk
        if self._turn % BULK_EVERY == 0:
            first, second = second, first
        self._in_flight += 1
        (first or second).popleft().set_result(None)


def _was_let_through(future: asyncio.Future[None]) -> bool:
    return future.done() and not future.cancelled() and future.exception() is None
