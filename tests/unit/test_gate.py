"""How fast calls leave, in which turn, and what holds them back."""

from __future__ import annotations

import asyncio
from bisect import bisect_left
from collections import deque
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings, strategies as st

from bridge.clock import ManualClock
from bridge.deliver.gate import (
    BULK_EVERY,
    IN_FLIGHT,
    PATIENCE_SECONDS,
    Gate,
    ShutError,
    StoppingError,
)
from bridge.deliver.pace import ARRIVAL_SECONDS, Arrivals, Breaker, Bucket, Pass


@dataclass
class Crowd:
    """Calls at a gate: who was let through, and when."""

    clock: ManualClock
    gate: Gate
    left: list[tuple[float, str]] = field(default_factory=list)
    tasks: list[asyncio.Task[None]] = field(default_factory=list)
    out: list[Pass] = field(default_factory=list)

    def come(self, name: str, *, bulk: bool = False, stay: bool = False) -> None:
        async def call() -> None:
            entered = await self.gate.enter(bulk=bulk)
            self.left.append((self.clock.monotonic(), name))
            if stay:
                self.out.append(entered)
            else:
                self.gate.leave(entered)

        self.tasks.append(asyncio.get_running_loop().create_task(call()))

    async def calm(self) -> None:
        for _ in range(30):
            await self.clock.sleep(0)

    async def pass_time(self, seconds: float) -> None:
        """Wake everybody who sleeps, each in turn, for so many seconds."""
        end = self.clock.monotonic() + seconds
        await self.calm()
        while (wake := self.clock.next_wake) is not None and self.clock.monotonic() + wake <= end:
            self.clock.advance(wake)
            await self.calm()
        self.clock.advance(end - self.clock.monotonic())
        await self.calm()

    @property
    def names(self) -> list[str]:
        return [name for _, name in self.left]


def crowd(per_second: float = 1000) -> Crowd:
    clock = ManualClock()
    return Crowd(clock, Gate("write", per_second=per_second, clock=clock))


def most_in_a_second(moments: list[float]) -> int:
    return max(
        (bisect_left(moments, at + 1) - number for number, at in enumerate(moments)), default=0
    )


# The rate --------------------------------------------------------------------------------------


@given(
    st.sampled_from([1.0, 2.0, 7.0, 24.0, 150.0]),
    st.lists(st.tuples(st.floats(0, 2), st.integers(1, 60), st.booleans()), max_size=8),
)
@settings(max_examples=40, deadline=None)
def test_no_second_ever_holds_more_than_the_limit(
    limit: float, arrivals: list[tuple[float, int, bool]]
) -> None:
    async def scenario() -> list[float]:
        here = crowd(limit)
        for pause, number, bulk in arrivals:
            for _ in range(number):
                here.come("x", bulk=bulk)
            await here.pass_time(pause)
        await here.pass_time(2000)
        assert len(here.left) == sum(number for _, number, _ in arrivals)
        return [at for at, _ in here.left]

    assert most_in_a_second(asyncio.run(scenario())) <= limit


@given(st.integers(1, 6000), st.lists(st.floats(0, 0.2), min_size=1, max_size=50))
@settings(deadline=None)
def test_a_bucket_keeps_below_its_limit_and_wastes_little(limit: int, gaps: list[float]) -> None:
    bucket, now, taken = Bucket(limit * 0.95, max(1.0, limit * 0.04)), 0.0, []
    for gap in gaps:
        now += gap
        while (wait := bucket.wait(now)) == 0:
            bucket.take()
            taken.append(now)
        assert wait > 0
        # A billionth more is what adding up fractions costs.
        assert wait * limit * 0.95 <= 1 + 1e-9
    assert most_in_a_second(taken) <= limit


def test_waiting_as_long_as_the_bucket_says_is_always_enough() -> None:
    bucket, now = Bucket(950, 40), 1e5
    for _ in range(10_000):
        if wait := bucket.wait(now):
            now += wait
            assert bucket.wait(now) == 0
        bucket.take()


@given(
    st.sampled_from([3, 20, 150]),
    st.lists(st.tuples(st.floats(0, 0.5), st.floats(0, 10 * ARRIVAL_SECONDS)), max_size=300),
)
@settings(deadline=None)
def test_however_calls_bunch_on_their_way_no_second_at_the_receiver_holds_more_than_the_limit(
    limit: int, calls: list[tuple[float, float]]
) -> None:
    """Each call arrives some time after it left, and is answered at once."""
    arrivals, now = Arrivals(limit), 0.0
    out: list[tuple[float, Pass]] = []
    arrived: list[float] = []

    def wait(now: float) -> float:
        for at, one in sorted((each for each in out if each[0] <= now), key=lambda each: each[0]):
            out.remove((at, one))
            arrivals.answered(one, at)
        return arrivals.wait(now)

    for pause, way in calls:
        now += pause
        while seconds := wait(now):
            now += seconds
        out.append((now + way, arrivals.leave(now)))
        arrived.append(now + way)
    assert most_in_a_second(sorted(arrived)) <= limit


def test_what_stood_still_on_its_way_is_taken_to_have_arrived_when_it_was_answered() -> None:
    """Every two seconds whoever receives stands still for 0.3 s, and then has all at once."""
    arrivals, now = Arrivals(1000), 0.0
    out: deque[tuple[float, Pass]] = deque()
    arrived: list[float] = []
    while now < 20:
        while out and out[0][0] <= now:
            at, one = out.popleft()
            arrivals.answered(one, at)
        if len(out) < 150 and not arrivals.wait(now):
            way = now + 0.005
            at = way if way % 2 > 0.3 else way - way % 2 + 0.3
            out.append((at, arrivals.leave(now)))
            arrived.append(at)
        now += 1 / 990
    assert most_in_a_second(arrived) <= 1000
    assert len(arrived) >= 20 * 800


async def test_a_call_that_comes_alone_leaves_without_a_timer() -> None:
    here = crowd(1000)
    here.gate.leave(await here.gate.enter(bulk=False))
    assert here.gate._pump is None
    assert here.clock.next_wake is None


async def test_tokens_are_handed_out_in_batches_and_not_one_by_one() -> None:
    here = crowd(1000)
    for _ in range(2000):
        here.come("x")
    await here.calm()
    looks = 0
    end = here.clock.monotonic() + 1
    while (wake := here.clock.next_wake) is not None and here.clock.monotonic() + wake < end:
        here.clock.advance(wake)
        await here.calm()
        looks += 1
    assert len(here.left) >= 950
    assert looks <= 70


async def test_what_gathered_while_the_gate_was_closed_is_not_spent_at_once() -> None:
    here = crowd(1000)
    here.gate.close("http_503", seconds=60)
    here.clock.advance(60)
    here.come("probe", stay=True)
    await here.calm()
    for _ in range(3000):
        here.come("x")
    here.gate.succeeded()
    here.gate.leave(here.out.pop())
    await here.calm()
    assert len(here.left) <= 2
    await here.pass_time(1)
    assert 900 <= len(here.left) <= 1000


async def test_most_of_the_limit_is_used() -> None:
    here = crowd(100)
    for _ in range(500):
        here.come("x")
    await here.pass_time(5)
    assert len(here.left) >= 470


async def test_what_a_busy_loop_could_not_let_through_in_time_leaves_later_and_within_the_limit() -> (
    None
):
    here = crowd(1000)
    for _ in range(12_000):
        here.come("x")
    for _ in range(8):
        await here.pass_time(1.15)
        here.clock.advance(0.1)
    await here.calm()
    assert len(here.left) >= 0.94 * 1000 * 10
    assert most_in_a_second([at for at, _ in here.left]) <= 1000


async def test_what_gathered_while_nobody_waited_or_places_were_full_is_a_burst_and_no_more() -> (
    None
):
    here = crowd(1000)
    for _ in range(500):
        here.come("x")
    await here.calm()
    here.clock.advance(0.2)
    await here.pass_time(5)
    assert len(here.left) == 500
    for _ in range(IN_FLIGHT):
        here.come("x", stay=True)
    await here.calm()
    assert len(here.left) == 540

    await here.pass_time(1)
    for _ in range(IN_FLIGHT):
        here.come("x", stay=True)
    await here.pass_time(1)
    for _ in range(IN_FLIGHT):
        here.gate.leave(here.out.pop())
    await here.calm()
    assert len(here.left) == 500 + IN_FLIGHT + 40


async def test_no_more_than_so_many_calls_are_out_at_once() -> None:
    here = crowd(6000)
    for _ in range(IN_FLIGHT + 5):
        here.come("x", stay=True)
    await here.pass_time(10)
    assert len(here.left) == IN_FLIGHT

    here.gate.leave(here.out.pop())
    await here.pass_time(1)
    assert len(here.left) == IN_FLIGHT + 1


# Turns -----------------------------------------------------------------------------------------


async def test_live_goes_first_and_one_in_ten_is_bulk() -> None:
    here = crowd(10)
    for _ in range(60):
        here.come("bulk", bulk=True)
    for _ in range(200):
        here.come("live")
    await here.pass_time(10)

    names = here.names
    assert len(names) >= 90
    # Whoever comes while nobody waits leaves at once, whatever its rank.
    assert names[0] == "bulk"
    assert names[1:BULK_EVERY] == ["live"] * (BULK_EVERY - 1)
    for start in range(len(names) - BULK_EVERY + 1):
        assert names[start : start + BULK_EVERY].count("bulk") == 1


async def test_bulk_alone_has_the_whole_limit() -> None:
    here = crowd(100)
    for _ in range(100):
        here.come("bulk", bulk=True)
    await here.pass_time(1)
    assert len(here.left) >= 95


async def test_within_a_rank_who_came_first_goes_first() -> None:
    here = crowd(100)
    for number in range(20):
        here.come(str(number))
    await here.pass_time(1)
    assert here.names == [str(number) for number in range(20)]


# Giving up -------------------------------------------------------------------------------------


async def test_a_call_that_gave_up_costs_no_token() -> None:
    here = crowd(1)
    here.come("first")
    await here.calm()
    for _ in range(5):
        here.come("impatient")
    await here.calm()
    for task in here.tasks[1:]:
        task.cancel()
    await here.pass_time(1.1)
    here.come("patient")
    await here.calm()
    assert here.names == ["first", "patient"]


async def test_a_call_that_gives_up_as_it_is_let_through_gives_its_place_back() -> None:
    here = crowd(1000)
    here.gate.close("http_401", seconds=1.0)  # so that there is a single place
    here.come("slipping", stay=True)
    (slipping,) = here.tasks
    await here.calm()
    here.clock.advance(1.0)
    while not here.gate._in_flight:
        await here.clock.sleep(0)
    assert slipping.cancel()
    await here.calm()
    assert slipping.cancelled()
    assert here.gate._in_flight == 0

    here.come("next")
    await here.pass_time(1)
    assert here.names == ["next"]


async def test_who_waits_when_the_gate_stops_is_told_and_nobody_enters_any_more() -> None:
    here = crowd(1)
    here.gate.hold(60)
    here.come("x")
    (waiting,) = here.tasks
    await here.calm()
    here.gate.stop()
    with pytest.raises(StoppingError):
        await waiting
    with pytest.raises(StoppingError):
        await here.gate.enter(bulk=False)
    assert here.left == []


async def test_giving_up_while_the_gate_stops_leaves_the_count_right() -> None:
    here = crowd(1)
    here.gate.hold(60)
    here.come("x")
    (waiting,) = here.tasks
    await here.calm()
    here.gate.stop()
    waiting.cancel()
    await here.calm()
    assert waiting.cancelled()
    assert here.gate._in_flight == 0


async def test_who_is_not_patient_does_not_wait_at_a_gate_that_is_shut_for_long() -> None:
    here = crowd()
    here.gate.hold(PATIENCE_SECONDS + 1)
    with pytest.raises(ShutError) as shut:
        await here.gate.enter(bulk=False, patient=False)
    assert shut.value.gate == "write"
    here.clock.advance(1)
    waiting = asyncio.ensure_future(here.gate.enter(bulk=False, patient=False))
    await here.pass_time(PATIENCE_SECONDS)
    assert waiting.done()


async def test_who_is_not_patient_is_sent_away_when_the_gate_shuts_for_long() -> None:
    here = crowd(1)
    here.come("first")
    await here.calm()
    here.come("patient")
    impatient = asyncio.ensure_future(here.gate.enter(bulk=False, patient=False))
    await here.calm()
    here.gate.hold(PATIENCE_SECONDS + 10)
    with pytest.raises(ShutError):
        await impatient
    await here.pass_time(PATIENCE_SECONDS + 11)
    assert here.names == ["first", "patient"]


async def test_at_a_closed_gate_one_asks_and_the_others_do_not_wait() -> None:
    here = crowd()
    here.gate.close("http_503", seconds=5)
    wanted = [here.gate.wants_probe]
    here.clock.advance(5)
    wanted.append(here.gate.wants_probe)
    asking = await here.gate.enter(bulk=False, patient=False)
    wanted.append(here.gate.wants_probe)
    assert wanted == [False, True, False]
    with pytest.raises(ShutError):
        await here.gate.enter(bulk=False, patient=False)
    here.gate.succeeded()
    here.gate.leave(asking)
    assert here.gate.is_open


async def test_who_listens_hears_that_the_gate_may_have_opened() -> None:
    here = crowd()
    heard: list[bool] = []
    here.gate.listen(lambda: heard.append(here.gate.is_open))
    here.gate.close("http_503", seconds=5)
    here.clock.advance(5)
    asking = await here.gate.enter(bulk=False)
    here.gate.succeeded()
    here.gate.leave(asking)
    assert heard == [False, True]


# Holds -----------------------------------------------------------------------------------------


async def test_nothing_leaves_before_the_time_onesignal_asked_for() -> None:
    here = crowd()
    here.gate.hold(30)
    here.come("x")
    await here.pass_time(29.9)
    assert here.left == []
    await here.pass_time(0.2)
    assert here.names == ["x"]


async def test_a_longer_hold_counts_and_a_shorter_one_does_not() -> None:
    here = crowd()
    here.gate.hold(10)
    here.come("x")
    await here.pass_time(1)
    here.gate.hold(30)
    here.gate.hold(2)
    await here.pass_time(28)
    assert here.left == []
    assert here.gate.held_seconds == pytest.approx(2)
    await here.pass_time(3)
    assert here.names == ["x"]


async def test_a_closed_gate_lets_one_probe_through_at_a_time() -> None:
    here = crowd()
    assert here.gate.close("http_401")
    assert not here.gate.close("http_401")
    for number in range(5):
        here.come(str(number), stay=True)
    await here.pass_time(59)
    assert here.left == []
    await here.pass_time(100)
    assert here.names == ["0"]
    assert here.gate.closed == "http_401"


async def test_a_probe_that_succeeds_opens_the_gate_for_all() -> None:
    here = crowd()
    here.gate.close("http_401")
    for number in range(5):
        here.come(str(number), stay=True)
    await here.pass_time(60)
    assert here.gate.succeeded()
    here.gate.leave(here.out.pop())
    await here.pass_time(1)
    assert here.names == ["0", "1", "2", "3", "4"]
    assert here.gate.closed is None


async def test_a_late_success_opens_the_gate_at_once() -> None:
    here = crowd()
    here.come("early", stay=True)
    await here.calm()
    here.gate.close("http_401")
    here.come("next")
    await here.pass_time(1)
    assert here.names == ["early"]
    here.gate.succeeded()
    here.gate.leave(here.out.pop())
    await here.pass_time(0.1)
    assert here.names == ["early", "next"]


async def test_a_late_success_does_not_shorten_what_onesignal_asked_for() -> None:
    here = crowd()
    here.gate.close("http_500", seconds=5)
    here.gate.hold(60)
    here.gate.succeeded()
    here.come("x")
    await here.pass_time(59)
    assert here.left == []
    await here.pass_time(2)
    assert here.names == ["x"]


# The breaker -----------------------------------------------------------------------------------


def fail(gate: Gate, times: int) -> list[bool]:
    return [gate.failed("http_500") for _ in range(times)]


async def test_many_failures_close_the_gate_once() -> None:
    here = crowd()
    assert fail(here.gate, 25) == [False] * 19 + [True] + [False] * 5
    assert here.gate.closed == "http_500"
    assert here.gate.held_seconds == 5


async def test_failures_among_more_successes_do_not() -> None:
    here = crowd()
    for _ in range(100):
        here.gate.succeeded()
        here.gate.succeeded()
        here.gate.failed("http_500")
    assert here.gate.closed is None


async def test_old_failures_are_forgotten() -> None:
    here = crowd()
    fail(here.gate, 19)
    here.clock.advance(11)
    assert fail(here.gate, 19) == [False] * 19


async def test_probes_come_less_and_less_often() -> None:
    here = crowd()
    fail(here.gate, 20)
    for _ in range(7):
        here.come("probe", stay=True)
    for expected in (5, 10, 20, 40, 60, 60):
        assert here.gate.held_seconds == pytest.approx(expected)
        before = len(here.left)
        await here.pass_time(expected - 0.1)
        assert len(here.left) == before
        await here.pass_time(0.1)
        assert len(here.left) == before + 1
        here.gate.failed("http_500")
        here.gate.leave(here.out.pop())
        await here.calm()


async def test_after_the_gate_opened_the_next_trouble_waits_briefly_again() -> None:
    here = crowd()
    fail(here.gate, 20)
    here.gate._in_flight = 1
    here.gate.failed("http_500")
    here.gate.succeeded()
    here.gate._in_flight = 0
    fail(here.gate, 20)
    assert here.gate.held_seconds == 5


async def test_calls_that_left_before_the_gate_closed_do_not_make_it_wait_longer() -> None:
    here = crowd()
    for _ in range(30):
        here.come("x", stay=True)
    await here.calm()
    fail(here.gate, 29)
    assert here.gate.held_seconds == 5


@given(st.lists(st.booleans(), max_size=200))
def test_a_breaker_trips_only_on_many_calls_of_which_half_failed(results: list[bool]) -> None:
    breaker = Breaker()
    for number, ok in enumerate(results, start=1):
        failures = results[:number].count(False)
        tripped = breaker.record(ok=ok, now=0.0)
        assert tripped is (number >= 20 and failures * 2 >= number)


def test_failures_from_before_it_was_reset_do_not_trip_a_breaker_again() -> None:
    breaker = Breaker()
    assert [breaker.record(ok=False, now=0.0) for _ in range(20)][-1]
    breaker.reset()
    assert not breaker.record(ok=False, now=1.0)


async def test_who_comes_when_there_is_a_turn_again_stands_behind_those_who_wait() -> None:
    here = crowd(1000)
    for _ in range(60):
        here.come("early")
    await here.calm()
    assert len(here.left) < 60
    # There are turns now, which those who wait have not been given yet.
    here.clock.advance(0.02)
    here.come("late")
    await here.calm()
    assert "late" not in here.names
    await here.pass_time(1)
    assert here.names == ["early"] * 60 + ["late"]


async def test_over_a_long_time_calls_leave_below_the_limit_and_not_at_it() -> None:
    here = crowd(100)
    for _ in range(1200):
        here.come("x")
    await here.pass_time(10)
    assert 900 <= len(here.left) <= 955


def test_the_gate_tells_its_state() -> None:
    clock = ManualClock()
    gate = Gate("send", per_second=1, clock=clock)
    assert repr(gate) == "<Gate send: open, held 0.0s, 0 waiting, 0 out>"
    gate.close("http_403", 60)
    assert repr(gate) == "<Gate send: closed (http_403), held 60.0s, 0 waiting, 0 out>"
