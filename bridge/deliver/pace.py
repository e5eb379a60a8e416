"""How fast, and how long to keep still: a token bucket, a window of arrivals, a breaker. Pure.

The bucket keeps below OneSignal's limit as calls leave us (95 % steadily, 4 % as a burst, and what was
not spent in time because we were busy). The limit counts calls as they *arrive*: a new connection or a busy machine can push those of a long moment
into a short one. So each call is taken to arrive at any time between leaving and its answer, within
`ARRIVAL_SECONDS`; and none leaves while, so taken, a second could hold more than the limit. Of one
that was answered far later than is usual it is taken that something stood still, and that it arrived
only then.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

STEADY, BURST = 0.95, 0.04
ARRIVAL_SECONDS = 0.08
"""Calls that take longer are thought to have arrived by then: 926 a second at the least."""
LATE_ANSWER = 2
"""Times what is usual, when that is more than `ARRIVAL_SECONDS`."""
_TOWARDS_USUAL = 1.001
"""What is usual moves by so much with each answer: half of them take longer, and a hundred late ones change little."""
WINDOW_SECONDS = 1.001
"""A second, and more than two clocks or two sums of floats may disagree by."""
TRIP_SECONDS = 10.0
TRIP_CALLS, TRIP_SHARE = 20, 0.5
PROBE_FIRST, PROBE_LONGEST = 5.0, 60.0
LATE_SECONDS = 0.12
"""Of a loop that was busy or a timer that was late: the tokens of so long are not lost to who waited."""
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

    def wait(self, now: float, *, waited: bool = False) -> float:
        """Seconds until there is a token; 0: there is one.

        `waited`: somebody did since the last look, so that what has gathered since is more than a burst
        only because nobody looked in time.
        """
        gathered = self.tokens + max(0.0, now - self.at) * self.rate
        self.tokens = min(
            max(self.burst, self.rate * LATE_SECONDS) if waited else self.burst, gathered
        )
        self.at = now
        return 0.0 if self.tokens >= 1 - _ALMOST else (1 - self.tokens) / self.rate

    def take(self) -> None:
        self.tokens -= 1

    def empty(self) -> None:
        """What gathered while nothing could leave is not spent at once."""
        self.tokens = min(self.tokens, 1.0)


@dataclass(slots=True)
class Pass:
    """One call's leave to go; by `arrives` it is at OneSignal, as far as anybody can tell."""

    left: float
    arrives: float
    #: It was answered so late that another stands for it.
    again: bool = False


@dataclass(slots=True)
class Arrivals:
    """The calls that may arrive within a second of one that leaves now."""

    limit: int
    _passes: deque[Pass] = field(default_factory=deque)
    #: Passes that are there twice.
    _twice: int = 0
    _usual: float = 0.01

    def wait(self, now: float) -> float:
        """Seconds until it is worth asking again; 0: one more may leave now."""
        passes = self._passes
        while passes and passes[0].arrives <= now - WINDOW_SECONDS:
            self._twice -= passes.popleft().again
        if len(passes) - self._twice < self.limit:
            return 0.0
        return max(_ALMOST, passes[0].arrives + WINDOW_SECONDS - now)

    def leave(self, now: float) -> Pass:
        one = Pass(now, now + ARRIVAL_SECONDS)
        self._passes.append(one)
        return one

    def answered(self, one: Pass, now: float) -> None:
        """It has arrived by now; one that took unusually long perhaps only now."""
        took = now - one.left
        if now < one.arrives:
            one.arrives = now
        elif took > LATE_ANSWER * self._usual:
            one.again = one.arrives > now - WINDOW_SECONDS
            self._twice += one.again
            self._passes.append(Pass(one.left, now))
        self._usual *= _TOWARDS_USUAL if took > self._usual else 1 / _TOWARDS_USUAL


@dataclass(slots=True)
class Breaker:
    """Trips when most of many recent calls failed; then waits 5 s, 10 s, … 60 s between probes."""

    since: float = 0.0
    calls: int = 0
    failures: int = 0
    wait: float = PROBE_FIRST

    def record(self, *, ok: bool, now: float) -> bool:
        """Count one call; True when this one trips it."""
        if now - self.since > TRIP_SECONDS:
            self.since, self.calls, self.failures = now, 0, 0
        self.calls += 1
        self.failures += not ok
        return self.calls >= TRIP_CALLS and self.failures >= self.calls * TRIP_SHARE

    def reset(self) -> None:
        self.calls = self.failures = 0
        self.wait = PROBE_FIRST

    def next_wait(self) -> float:
        self.wait, wait = min(PROBE_LONGEST, self.wait * 2), self.wait
        return wait
