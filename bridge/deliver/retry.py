"""When to try again, and when to stop. Pure.

Being asked to wait is not a failure and costs no attempt. An operation is given up only when it is
both old and often tried: neither a short outage with quick retries nor a long sleep kills it.
"""

from __future__ import annotations

from dataclasses import dataclass

from bridge.onesignal.verdict import Failed

FIRST_SECONDS = 2.0
LONGEST_SECONDS = 300.0
GIVE_UP_ATTEMPTS = 10
GIVE_UP_AGE_MS = 24 * 3_600_000
CREATED_WAIT_SECONDS = 5.0
LONGEST_WAIT_MS = 3_660_000
"""A minute more than OneSignal may ask us to wait."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Again:
    """Try again after so many seconds; `attempt` counts the failures so far."""

    after_seconds: float
    attempt: int
    error: str


@dataclass(frozen=True, slots=True, kw_only=True)
class GiveUp:
    reason: str


def backoff_seconds(attempt: int, *, roll: float) -> float:
    """Full jitter: anything up to 2, 4, 8, … 300 seconds; `roll` is a uniform draw from [0, 1)."""
    return roll * min(LONGEST_SECONDS, FIRST_SECONDS * 2.0 ** min(attempt - 1, 16))


def after_failure(failed: Failed, *, attempts: int, age_ms: int, roll: float) -> Again | GiveUp:
    """What follows a failure, after `attempts` failures before it, `age_ms` after the first try."""
    attempt = attempts + 1
    if attempt >= GIVE_UP_ATTEMPTS and age_ms > GIVE_UP_AGE_MS:
        return GiveUp(reason="exhausted")
    wait = backoff_seconds(attempt, roll=roll)
    return Again(
        after_seconds=max(wait, failed.after_seconds or 0.0), attempt=attempt, error=failed.reason
    )


def is_early(not_before_ms: int, now_ms: int) -> bool:
    """Whether it has to wait; what is farther away than anything waits, a clock said that was set back since."""
    return now_ms < not_before_ms <= now_ms + LONGEST_WAIT_MS
