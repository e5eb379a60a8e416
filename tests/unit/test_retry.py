"""When a failed operation is tried again, and when it is given up."""

from __future__ import annotations

import pytest
from hypothesis import given, strategies as st

from bridge.deliver.retry import (
    GIVE_UP_AGE_MS,
    GIVE_UP_ATTEMPTS,
    LONGEST_SECONDS,
    LONGEST_WAIT_MS,
    Again,
    GiveUp,
    after_failure,
    backoff_seconds,
    is_early,
)
from bridge.onesignal.verdict import Failed

ROLLS = st.floats(0, 1, exclude_max=True)


def failed(after_seconds: float | None = None) -> Failed:
    return Failed(
        reason="http_503", status=503, detail="", certain=False, after_seconds=after_seconds
    )


@pytest.mark.parametrize(
    ("attempt", "ceiling"),
    [(1, 2.0), (2, 4.0), (3, 8.0), (7, 128.0), (8, 256.0), (9, 300.0), (10_000, 300.0)],
)
def test_the_ceiling_doubles_up_to_five_minutes(attempt: int, ceiling: float) -> None:
    assert backoff_seconds(attempt, roll=0.5) == ceiling / 2


@given(st.integers(1, 10_000), ROLLS)
def test_the_wait_is_anywhere_below_the_ceiling(attempt: int, roll: float) -> None:
    assert 0 <= backoff_seconds(attempt, roll=roll) <= LONGEST_SECONDS


@given(st.integers(1, 100), ROLLS, ROLLS)
def test_a_higher_roll_never_waits_less(attempt: int, one: float, other: float) -> None:
    low, high = sorted((one, other))
    assert backoff_seconds(attempt, roll=low) <= backoff_seconds(attempt, roll=high)


@given(st.integers(0, 50), st.integers(0, 10 * GIVE_UP_AGE_MS), ROLLS)
def test_only_what_is_both_old_and_often_tried_is_given_up(
    attempts: int, age_ms: int, roll: float
) -> None:
    decided = after_failure(failed(), attempts=attempts, age_ms=age_ms, roll=roll)
    is_hopeless = attempts + 1 >= GIVE_UP_ATTEMPTS and age_ms > GIVE_UP_AGE_MS
    assert isinstance(decided, GiveUp) is is_hopeless


def test_ten_failures_within_a_day_are_not_the_end() -> None:
    decided = after_failure(failed(), attempts=9, age_ms=GIVE_UP_AGE_MS, roll=0.5)
    assert decided == Again(after_seconds=150.0, attempt=10, error="http_503")


def test_the_tenth_failure_after_a_day_is_the_end() -> None:
    decided = after_failure(failed(), attempts=9, age_ms=GIVE_UP_AGE_MS + 1, roll=0.5)
    assert decided == GiveUp(reason="exhausted")


@given(st.integers(0, 20), ROLLS, st.floats(0, 3600))
def test_what_onesignal_asks_for_is_the_least_wait(
    attempts: int, roll: float, asked: float
) -> None:
    decided = after_failure(failed(asked), attempts=attempts, age_ms=0, roll=roll)
    assert isinstance(decided, Again)
    assert decided.after_seconds >= asked
    assert decided.attempt == attempts + 1


@pytest.mark.parametrize(
    ("ahead_ms", "early"),
    [(-1, False), (0, False), (1, True), (LONGEST_WAIT_MS, True), (LONGEST_WAIT_MS + 1, False)],
)
def test_what_is_farther_away_than_anything_waits_does_not_wait(
    ahead_ms: int, *, early: bool
) -> None:
    now_ms = 1_800_000_000_000
    assert is_early(now_ms + ahead_ms, now_ms) is early
