"""Small pictures of numbers, and what is read from them."""

from __future__ import annotations

import pytest
from hypothesis import given, strategies as st

from bridge.console.views.figures import DAY, HOUR, failed, figures, percentile, start_of
from bridge.console.web.charts import HEIGHT, WIDTH, bars, ceiling, charts_of, line, ticks
from bridge.journal.tallies import MINUTE_MS, TrafficCount
from bridge.telemetry import TOOK

NOW = 1_800_000_000_000


@given(values=st.lists(st.integers(0, 10**9), min_size=1, max_size=48))
def test_bars_stay_in_their_picture_and_something_is_never_nothing(values: list[int]) -> None:
    for bar, value in zip(bars(values), values, strict=True):
        assert 0 <= bar.y <= 28.0
        assert bar.y + bar.height == pytest.approx(28.0, abs=0.02)
        assert (bar.height > 0) is (value > 0)


@given(value=st.floats(0.001, 1e12))
def test_the_top_of_a_chart_is_easy_to_say_and_not_far_above(value: float) -> None:
    top = ceiling(value)
    assert value <= top <= max(value * 2.51, 1.0)
    assert f"{top:e}"[0] in "125"


def test_a_line_has_a_gap_where_nothing_is_known_and_a_dot_where_it_is_alone() -> None:
    assert line("a", "one", [1.0, 2.0, None, 4.0], top=4.0).path == "M0 63L106.7 42M320 0h1.5"
    assert line("a", "one", [None, None], top=1.0, filled=True).area == ""
    assert line("a", "one", [0.0, 9.0], top=3.0, filled=True).path.endswith("L320 0")


def test_ticks_stand_at_whole_hours_of_the_person() -> None:
    hour = 3_600_000
    quarter = hour // 4
    found = ticks(NOW, NOW + 4 * hour, hour, offset_ms=quarter)
    assert [(one.at_ms + quarter) % hour for one in found] == [0] * 4
    assert all(0 < one.x < WIDTH for one in found)


# What is counted


def counted(minutes_ago: int, what: str, label: str, times: int = 1) -> tuple[int, TrafficCount]:
    at = NOW // MINUTE_MS * MINUTE_MS - minutes_ago * MINUTE_MS
    return at, TrafficCount(what, label, times)


def test_only_the_span_is_counted() -> None:
    found = figures(
        [counted(0, "in", "a", 3), counted(59, "in", "b", 4), counted(60, "in", "a", 9)], HOUR, NOW
    )
    assert found.events == 7
    assert start_of(HOUR, NOW) == NOW - 59 * MINUTE_MS
    assert len(charts_of(found, HOUR)) == 3


def test_failures_are_what_should_not_have_been() -> None:
    answers = ["write 202", "send 200", "write 404", "send 429", "send 500", "write timeout", "send 401"]  # fmt: skip
    found = figures([counted(1, "out", answer) for answer in answers], DAY, NOW)
    assert (found.calls, found.failures, found.asked_to_wait) == (7, 3, 1)
    assert [one for one in answers if failed(one)] == answers[4:]


def test_of_nothing_there_is_no_time_that_it_took() -> None:
    found = figures([], HOUR, NOW)
    assert (found.half, found.most, found.events) == (None, None, 0)
    assert "Nothing was delivered" in charts_of(found, HOUR)[1].words


@given(times=st.lists(st.integers(0, 1000), min_size=len(TOOK) + 1, max_size=len(TOOK) + 1))
def test_most_takes_no_less_than_half(times: list[int]) -> None:
    half, most = percentile(times, 0.5), percentile(times, 0.95)
    if sum(times) == 0:
        assert half is most is None
    else:
        assert half is not None
        assert most is not None
        assert 0 <= half <= most <= TOOK[-1]


def test_a_share_lies_in_the_bucket_that_holds_it() -> None:
    times = [0] * (len(TOOK) + 1)
    times[3] = 100
    assert percentile(times, 0.5) == pytest.approx((TOOK[2] + TOOK[3]) / 2)


def test_an_iphone_that_was_reached_is_counted() -> None:
    found = figures([counted(3, "audit", "looked", 5), counted(3, "audit", "reached")], DAY, NOW)
    assert (found.looked_at, found.ios_reached) == (5, 1)


def test_a_chart_stays_in_its_picture() -> None:
    found = figures([counted(n, "in", "a", n * 7) for n in range(60)], HOUR, NOW)
    numbers = [float(one) for one in charts_of(found, HOUR)[0].lines[0].path.replace("M", " ").replace("L", " ").split()]  # fmt: skip
    assert all(0 <= x <= WIDTH for x in numbers[::2])
    assert all(0 <= y <= HEIGHT for y in numbers[1::2])
