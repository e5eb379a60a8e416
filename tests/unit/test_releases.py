"""How many held pushes may go now."""

from __future__ import annotations

from hypothesis import given, strategies as st

from bridge.deliver.held import AT_ONCE
from bridge.deliver.releases import MOST_LATE_MS, due_of
from bridge.journal.piles import Releasing

NOW = 1_800_000_000_000
RATES = st.integers(min_value=1, max_value=30_000)


def at(per_minute: int, paid_ms: int = NOW) -> Releasing:
    return Releasing("shop", "vip", "limit", per_minute, None, NOW, paid_ms)


def released(per_minute: int, steps: list[int]) -> int:
    """How many go in all, when it is looked after each of so many milliseconds."""
    one, now, total = at(per_minute), NOW, 0
    for step in steps:
        now += step
        due, paid_ms = due_of(one, now)
        assert 0 <= due <= AT_ONCE
        if due:
            assert one.paid_ms < paid_ms
            one, total = one._replace(paid_ms=paid_ms), total + due
    return total


@given(per_minute=RATES, steps=st.lists(st.integers(0, 120_000), max_size=50))
def test_the_rate_is_never_exceeded(per_minute: int, steps: list[int]) -> None:
    assert released(per_minute, steps) <= sum(steps) * per_minute / 60_000


@given(per_minute=st.integers(1, 20_000), seconds=st.integers(60, 300))
def test_and_nearly_reached_when_it_is_looked_at_each_second(per_minute: int, seconds: int) -> None:
    whole = seconds * per_minute / 60
    assert whole * 0.9 - 1 <= released(per_minute, [1000] * seconds) <= whole


@given(per_minute=RATES, back_ms=st.integers(0, 10**9))
def test_a_clock_that_was_set_back_lets_none_go_and_stops_none_for_long(
    per_minute: int, back_ms: int
) -> None:
    now = NOW - back_ms
    assert due_of(at(per_minute), now) == (0, now)


@given(per_minute=RATES, late_ms=st.integers(120_000, 10**9))
def test_what_a_long_absence_missed_is_not_made_up_for(per_minute: int, late_ms: int) -> None:
    due, _ = due_of(at(per_minute), NOW + late_ms)
    assert due <= max(1, MOST_LATE_MS * per_minute // 60_000)
