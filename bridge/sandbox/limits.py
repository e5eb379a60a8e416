"""OneSignal's rate limits: per app and class of endpoint, and per user (reference/rate-limits).

Sends and writes have a sliding window of one second, views a bucket that holds a burst. A refused
request does not count. Distances are measured with the clock's monotonic seconds.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass
from typing import Final

from bridge.sandbox.wire import RATE_LIMITED, Answer, EndpointClass, refused

WINDOW_SECONDS: Final = 1.0
#: Two floats that should be a second apart are allowed to miss it by this much.
_ROUNDING: Final = 1e-6
_PRUNE_FROM: Final = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Requests per second; `enforced=False` still notices two quick writes to one user."""

    writes_per_second: int = 1_000
    writes_per_user_per_second: int = 1
    sends_per_second: int = 150
    views_per_second: float = 1
    views_burst: int = 10
    enforced: bool = True


class Window:
    """At most `size` moments in any second."""

    __slots__ = ("_moments", "_size")

    def __init__(self, size: int) -> None:
        self._size = size
        self._moments: deque[float] = deque(maxlen=size)

    @property
    def last(self) -> float:
        return self._moments[-1] if self._moments else -math.inf

    def wait(self, now: float) -> float:
        """Seconds until one more fits; 0 when it does now."""
        if len(self._moments) < self._size:
            return 0.0
        missing = self._moments[0] + WINDOW_SECONDS - now if self._moments else WINDOW_SECONDS
        return missing if missing > _ROUNDING else 0.0

    def take(self, now: float) -> None:
        self._moments.append(now)


class Bucket:
    """`burst` at once, then `rate` per second."""

    __slots__ = ("_at", "_burst", "_rate", "_tokens")

    def __init__(self, rate: float, burst: int) -> None:
        self._rate, self._burst = rate, burst
        self._tokens, self._at = float(burst), -math.inf

    def wait(self, now: float) -> float:
        held = self._held(now)
        if held >= 1 - _ROUNDING:
            return 0.0
        return (1 - held) / self._rate if self._rate > 0 else 60.0

    def take(self, now: float) -> None:
        self._tokens, self._at = self._held(now) - 1, now

    def _held(self, now: float) -> float:
        if math.isinf(self._at):
            return float(self._burst)
        return min(float(self._burst), self._tokens + (now - self._at) * self._rate)


@dataclass(frozen=True, slots=True, kw_only=True)
class Admission:
    """`refusal` is the 429, if any; `hurried` says that this user was written to a moment ago."""

    refusal: Answer | None = None
    hurried: bool = False


class Limiter:
    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self._classes: dict[tuple[str, EndpointClass], Window | Bucket] = {}
        self._users: dict[str, Window] = {}
        self._prune_at = _PRUNE_FROM

    def admit(
        self, app_id: str, endpoint_class: EndpointClass, user_key: str | None, now: float
    ) -> Admission:
        """Count one request that arrives `now` (monotonic seconds), or refuse it.

        `user_key` names the user that a write is about; None when it is not a write to one user.
        """
        rate = self._rate(app_id, endpoint_class)
        user = self._user(user_key, now)
        rate_wait = rate.wait(now) if rate and self.limits.enforced else 0.0
        user_wait = user.wait(now) if user else 0.0
        if rate_wait > 0:
            return Admission(refusal=_too_fast(endpoint_class, rate_wait), hurried=user_wait > 0)
        if user_wait > 0 and self.limits.enforced:
            return Admission(refusal=_too_fast_for_user(user_wait), hurried=True)
        for window in (rate, user):
            if window:
                window.take(now)
        return Admission(hurried=user_wait > 0)

    def _rate(self, app_id: str, endpoint_class: EndpointClass) -> Window | Bucket | None:
        rate = self._classes.get((app_id, endpoint_class))
        if rate is None:
            rate = self._new_rate(endpoint_class)
            if rate is not None:
                self._classes[app_id, endpoint_class] = rate
        return rate

    def _new_rate(self, endpoint_class: EndpointClass) -> Window | Bucket | None:
        match endpoint_class:
            case EndpointClass.SEND:
                return Window(self.limits.sends_per_second)
            case EndpointClass.WRITE:
                return Window(self.limits.writes_per_second)
            case EndpointClass.VIEW:
                return Bucket(self.limits.views_per_second, self.limits.views_burst)
            case EndpointClass.EVENT | EndpointClass.UNKNOWN:
                # The limit of custom events exists but is not published.
                return None

    def _user(self, user_key: str | None, now: float) -> Window | None:
        if user_key is None:
            return None
        window = self._users.get(user_key)
        if window is None:
            if len(self._users) >= self._prune_at:
                self._forget_idle_users(now)
            window = self._users[user_key] = Window(self.limits.writes_per_user_per_second)
        return window

    def _forget_idle_users(self, now: float) -> None:
        since = now - WINDOW_SECONDS - _ROUNDING
        self._users = {key: window for key, window in self._users.items() if window.last > since}
        self._prune_at = max(_PRUNE_FROM, 2 * len(self._users))


def _retry_after(seconds: float) -> dict[str, str]:
    return {"Retry-After": str(max(1, math.ceil(seconds - _ROUNDING)))}


def _too_fast(endpoint_class: EndpointClass, wait: float) -> Answer:
    if endpoint_class is EndpointClass.WRITE:
        error = {"code": "Rate Limit Exceeded", "title": RATE_LIMITED}
        return Answer(status=429, body={"errors": [error]}, headers=_retry_after(wait))
    body = refused(RATE_LIMITED, status=429).body
    return Answer(status=429, body=body, headers=_retry_after(wait))


def _too_fast_for_user(wait: float) -> Answer:
    body = {"errors": [RATE_LIMITED], "limit": "Subscription/User Update Per Device"}
    return Answer(status=429, body=body, headers=_retry_after(wait))
