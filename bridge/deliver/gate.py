"""How fast calls may leave: one gate for each app and class of endpoint.

`pace` says how fast. Live calls go first, and at least one in ten is bulk. An answer can hold the
gate: `Retry-After` for as long as it says, a refused key until a single probe succeeds, and so do
many failures at once: then one call at a time asks whether OneSignal is back.

Tokens are handed out in batches, one look every `TICK_SECONDS`: a timer for every call would cost
more than the call's own bookkeeping. Who is not patient does not wait at a gate that is shut for
longer: it hears `ShutError`, leaves memory, and comes back when the gate says so.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Literal

from bridge.clock import Clock
from bridge.deliver.pace import BURST, STEADY, Arrivals, Breaker, Bucket, Pass

EndpointClass = Literal["write", "send", "view", "event"]
BULK_EVERY = 10
CLOSED_SECONDS = 60.0
IN_FLIGHT = 100
TICK_SECONDS = 0.04
PATIENCE_SECONDS = 2.0
"""A gate that is held for longer is not waited for in memory."""


class StoppingError(Exception):
    """The bridge is stopping: no further call begins, and what is left stays pending."""


class ShutError(StoppingError):
    """This gate lets nothing through for longer than anybody should wait in memory."""

    def __init__(self, gate: EndpointClass) -> None:
        super().__init__(gate)
        self.gate: EndpointClass = gate


class GoneError(StoppingError):
    """The user's events are another's by now: whoever works on them lets go of them."""


class Gate:
    """Lets calls of one class through, in their turn."""

    def __init__(
        self,
        name: EndpointClass,
        *,
        per_second: float,
        clock: Clock,
        in_flight: int = IN_FLIGHT,
    ) -> None:
        self.name: EndpointClass = name
        self._clock = clock
        self._bucket = Bucket(per_second * STEADY, max(1.0, per_second * BURST))
        self._arrivals = Arrivals(max(1, int(per_second)))
        self._breaker = Breaker()
        self._live: deque[asyncio.Future[Pass]] = deque()
        self._bulk: deque[asyncio.Future[Pass]] = deque()
        self._impatient: set[asyncio.Future[Pass]] = set()
        self._turn = 0
        self._held_until = 0.0
        self._closed_until = 0.0
        self._closed: str | None = None
        #: When it was last closed: what left before says nothing about why.
        self.closed_at = 0.0
        self._most = in_flight
        self._in_flight = 0
        self._stopping = False
        self._changed = asyncio.Event()
        self._listeners: list[Callable[[], None]] = []
        self._pump: asyncio.Task[None] | None = None

    def __repr__(self) -> str:
        held = self.held_seconds
        state = f"closed ({self._closed})" if self._closed else "open"
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
        return self._closed

    @property
    def closed_seconds(self) -> float:
        """For how long it has been closed; 0 when it is open."""
        return 0.0 if self._closed is None else self._clock.monotonic() - self.closed_at

    @property
    def state(self) -> int:
        """0 open, 1 held, 2 closed but for probes; for metrics."""
        if self._closed is not None:
            return 2
        return 0 if self.held_seconds == 0 else 1

    @property
    def is_open(self) -> bool:
        """Calls leave as fast as the limit allows."""
        return self._closed is None and self.held_seconds == 0

    @property
    def wants_probe(self) -> bool:
        """Closed, and it is time that one call asks whether it has to be."""
        waiting = self._in_flight or self._live or self._bulk
        return self._closed is not None and not waiting and self.held_seconds == 0

    def listen(self, changed: Callable[[], None]) -> None:
        """Call this whenever the gate may have opened, or wants a probe."""
        self._listeners.append(changed)

    # Calls ----------------------------------------------------------------------------------------

    async def enter(self, *, bulk: bool, patient: bool = True) -> Pass:
        """Return when it is this call's turn; every `enter` is followed by a `leave`.

        Raises:
            StoppingError: there will be no more turns.
            ShutError: not patient, and the gate is shut for long.
        """
        if self._stopping:
            raise StoppingError
        if not patient and self._is_shut():
            raise ShutError(self.name)
        if not self._anybody_waits() and self._may_leave() and self._leaves_at_once():
            return self._pass()
        return await self._queue(bulk=bulk, patient=patient)

    async def _queue(self, *, bulk: bool, patient: bool) -> Pass:
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Pass] = loop.create_future()
        (self._bulk if bulk else self._live).append(future)
        if not patient:
            self._impatient.add(future)
        if self._pump is None or self._pump.done():
            self._pump = loop.create_task(self._run())
        try:
            return await future
        except asyncio.CancelledError:
            if _was_let_through(future):
                self.leave(future.result())
            raise
        finally:
            self._impatient.discard(future)

    def leave(self, one: Pass) -> None:
        """The call that entered has its answer, or is not made after all."""
        self._arrivals.answered(one, self._clock.monotonic())
        self._in_flight -= 1
        self._changed.set()
        if self._closed is not None:
            self._tell()

    def stop(self) -> None:
        """Let nobody through any more."""
        self._stopping = True
        for future in (*self._live, *self._bulk):
            if not future.done():
                future.set_exception(StoppingError())
        if self._pump is not None:
            self._pump.cancel()

    # What answers do to it ------------------------------------------------------------------------

    def hold(self, seconds: float) -> None:
        """Let nothing through for so long; OneSignal asked for it."""
        self._held_until = max(self._held_until, self._clock.monotonic() + seconds)
        self._send_away()

    def close(self, reason: str, seconds: float = CLOSED_SECONDS) -> bool:
        """Let one probe through every so often until one succeeds; True when it was open before."""
        was_open = self._closed is None
        if was_open:
            self.closed_at = self._clock.monotonic()
        self._closed = reason
        self._close_for(seconds)
        return was_open

    def _close_for(self, seconds: float) -> None:
        self._closed_until = max(self._closed_until, self._clock.monotonic() + seconds)
        self._send_away()

    def open(self) -> bool:
        """Whatever closed the gate is over; True when it was closed."""
        was_closed = self._closed is not None
        if was_closed:
            self._closed = None
            # What OneSignal asked for still holds; only our own waiting between probes is over.
            self._closed_until = 0.0
            self._breaker.reset()
            self._bucket.wait(self._clock.monotonic())
            self._bucket.empty()
        self._tell()
        return was_closed

    def succeeded(self) -> bool:
        """OneSignal answered in earnest; True when that opened the gate."""
        self._breaker.record(ok=True, now=self._clock.monotonic())
        return self._closed is not None and self.open()

    def failed(self, reason: str) -> bool:
        """A call failed; True when that closed the gate."""
        trips = self._breaker.record(ok=False, now=self._clock.monotonic())
        if self._closed is not None:
            # Calls that left before the gate closed say nothing new; only a probe that fails does.
            if self._in_flight == 1:
                self._close_for(self._breaker.next_wait())
            return False
        return trips and self.close(reason, self._breaker.next_wait())

    def _send_away(self) -> None:
        """Nobody waits in memory at a gate that is shut for long, but who must."""
        if self._is_shut():
            for future in self._impatient:
                if not future.done():
                    future.set_exception(ShutError(self.name))
        self._tell()

    def _tell(self) -> None:
        self._changed.set()
        for changed in self._listeners:
            changed()

    # Turns ----------------------------------------------------------------------------------------

    async def _run(self) -> None:
        while self._anybody_waits():
            if not self._may_leave():
                self._changed.clear()
                await self._changed.wait()
                self._wait()
            elif (held := self.held_seconds) > 0:
                await self._held(held)
                self._wait()
            elif (wait := self._wait(waited=True)) > 0:
                await self._clock.sleep(max(wait, TICK_SECONDS))
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

    def _is_shut(self) -> bool:
        """Held for long, or closed with a probe out or about to leave."""
        if self._closed is not None and (self._in_flight or self._live or self._bulk):
            return True
        return self.held_seconds > PATIENCE_SECONDS

    def _may_leave(self) -> bool:
        return self._in_flight < (1 if self._closed else self._most)

    def _leaves_at_once(self) -> bool:
        return self.held_seconds == 0 and self._wait() == 0

    def _wait(self, *, waited: bool = False) -> float:
        """Seconds until the next call may leave, as far as the pace goes; `waited`: for it, and nothing else."""
        now = self._clock.monotonic()
        return max(self._bucket.wait(now, waited=waited), self._arrivals.wait(now))

    def _let_one_through(self) -> None:
        """The next in turn; somebody waits, and has not been given up since that was seen."""
        self._turn += 1
        first, second = self._live, self._bulk
        if self._turn % BULK_EVERY == 0:
            first, second = second, first
        (first or second).popleft().set_result(self._pass())

    def _pass(self) -> Pass:
        self._in_flight += 1
        self._bucket.take()
        return self._arrivals.leave(self._clock.monotonic())


def _was_let_through(future: asyncio.Future[Pass]) -> bool:
    return future.done() and not future.cancelled() and future.exception() is None
