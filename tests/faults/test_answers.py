"""What OneSignal may answer instead of yes: wait, not now, not this, not you."""

from __future__ import annotations

import email.utils
from dataclasses import replace
from itertools import pairwise
from typing import Any

import orjson
import pytest
from pydantic import SecretStr

from bridge.clock import ManualClock
from bridge.deliver.retry import GIVE_UP_AGE_MS, GIVE_UP_ATTEMPTS, backoff_seconds
from bridge.deliver.spacing import SPACING_SECONDS
from bridge.sandbox.ledger import Call
from tests.faults.canary import person, trait
from tests.faults.sight import rows
from tests.faults.story import SALE, SHOP, order, ping, profile
from tests.faults.worlds import Inside, Worlds
from tests.harness import Rig, track

HOUR = 3600.0
START_MS = ManualClock().now_ms()


def calls(world: Inside, endpoint_class: str) -> list[Call]:
    return [call for call in world.sandbox.calls if call.endpoint_class == endpoint_class]


def attempts(world: Inside) -> set[int]:
    """Failures that were counted, of whatever has not ended."""
    found = rows(world.database, "SELECT attempt FROM pending UNION SELECT attempt FROM call")
    return {attempt for (attempt,) in found}


async def statuses(here: Rig) -> set[str]:
    return {status for _, _, _, status, _ in await here.outcomes()}


# 9: asked to wait ------------------------------------------------------------------------------


def date(seconds: float) -> str:
    return email.utils.formatdate(START_MS / 1000 + seconds, usegmt=True)


FORMS: dict[str, tuple[dict[str, str], float]] = {
    "seconds": ({"Retry-After": "30"}, 30),
    "float": ({"Retry-After": "2.5"}, 2.5),
    "date": ({"Retry-After": date(90)}, 90),
    "date in the past": ({"Retry-After": date(-90)}, 0),
    "absent": ({}, 5),
    "zero": ({"Retry-After": "0"}, 0),
    "negative": ({"Retry-After": "-7"}, 0),
    "1e9": ({"Retry-After": "1e9"}, HOUR),
    "a day": ({"Retry-After": "86400"}, HOUR),
    "garbage": ({"Retry-After": "soon"}, 5),
    "old name": ({"RetryAfter": "12"}, 12),
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("asked", ["write", "send"])
async def test_nothing_of_a_class_leaves_before_the_time_that_onesignal_asks_for(
    inside: Inside, asked: str, form: str
) -> None:
    headers, seconds = FORMS[form]
    inside.people(3)
    inside.fails({"status": 429, "headers": headers}, class_=asked)
    inside.told.expect_line("gate.held", gate=asked, asked_for_longer=form in {"1e9", "a day"})
    inside.told.expect_metric("bridge_calls_total", http="429", **{"class": asked})
    async with inside.bridge() as here:
        first, others = {"write": (profile, ping), "send": (ping, profile)}[asked]
        await inside.post(first(0, "m0"))
        await here.still()
        await inside.post([first(1, "m1"), others(2, "m2")])
        await here.pass_time(max(seconds - 0.1, 0.9))
        # Whoever asks for less than a second is asked again after one.
        assert len(calls(inside, asked)) == 1
        assert attempts(inside) == {0}
        assert len(calls(inside, "send" if asked == "write" else "write")) == 1
        await here.pass_time(1.1)
        again = (calls(inside, asked)[1].at_ms - START_MS) / 1000
        assert seconds <= again <= seconds + 1
        await here.settle()
        assert await statuses(here) == {"delivered"}


# 10: one user too many ---------------------------------------------------------------------------

PEOPLE, LIMITED = 600, 30
OF_ONE_USER = {
    "status": 429,
    "headers": {"Retry-After": "5"},
    "body": {"errors": ["API rate limit exceeded"], "limit": "Subscription/User Update Per Device"},
}


async def _done_in_half_a_second(world: Inside, *, limited: int) -> int:
    """How many others were written to; the first `limited` are refused for being asked too often."""
    world.people(PEOPLE)
    for number in range(limited):
        world.fails(OF_ONE_USER, path=f"*/{person(number)}", times="until_cleared")
    async with world.bridge() as here:
        await world.post([profile(number, f"m{number}") for number in range(PEOPLE)])
        await here.pass_time(0.4)
        others = {person(number) for number in range(LIMITED, PEOPLE)}
        done = [call for call in calls(world, "write") if call.user in others]
        assert {call.status for call in done} == {202}
        await here.pass_time(30)
        assert attempts(world) <= {0}
        assert here.means.destination.writes.is_open
        world.sandbox.faults.clear()
        await here.settle()
        assert await statuses(here) == {"delivered"}
        return len(done)


async def test_a_limit_of_one_user_slows_nobody_else(worlds: Worlds) -> None:
    async with worlds.inside("without") as world:
        world.told.expect_nothing("nothing goes wrong")
        ordinary = await _done_in_half_a_second(world, limited=0)
    async with worlds.inside("with") as world:
        world.told.expect_line("user.held", seconds=5.0)
        world.told.expect_metric("bridge_calls_total", http="429")
        others = await _done_in_half_a_second(world, limited=LIMITED)
    assert ordinary > 300
    assert others >= 0.95 * ordinary * (PEOPLE - LIMITED) / PEOPLE


# 11: OneSignal fails -----------------------------------------------------------------------------

HTML = "<html><body><h1>503 Service Temporarily Unavailable</h1></body></html>"
FAILURES: dict[str, dict[str, Any]] = {
    "500": {"status": 500, "body": {"errors": ["Internal server error"]}},
    "502": {"status": 502, "body": HTML},
    "503": {"status": 503, "body": {"errors": ["Service unavailable"]}},
    "503 without a body": {"status": 503},
    "503 in HTML": {"status": 503, "body": HTML},
    "504": {"status": 504, "body": HTML},
}


@pytest.mark.parametrize("failure", FAILURES)
async def test_what_fails_is_tried_again_at_random_within_bounds_that_double(
    inside: Inside, failure: str
) -> None:
    answer = FAILURES[failure]
    reason = f"http_{answer['status']}"
    inside.people(1)
    for endpoint_class in ("write", "send"):
        inside.fails(answer, times=9, class_=endpoint_class)
        inside.told.expect_metric(
            "bridge_calls_total", http=str(answer["status"]), **{"class": endpoint_class}
        )
    inside.told.expect_line("update.failed", reason=reason, attempt=9)
    inside.told.expect_line("send.failed", reason=reason, attempt=9)
    async with inside.bridge() as here:
        await inside.post(order(0, "m1"))
        await here.settle()
        assert await statuses(here) == {"delivered"}
    for endpoint_class, spacing in (("write", SPACING_SECONDS), ("send", 0.0)):
        made = calls(inside, endpoint_class)
        assert len(made) == 10
        assert len({str(call.body) for call in made}) == 1
        waits = [(after.at_ms - before.at_ms) / 1000 for before, after in pairwise(made)]
        for attempt, wait in enumerate(waits, start=1):
            ceiling = backoff_seconds(attempt, roll=1.0)
            assert wait <= max(ceiling, spacing) + 0.01, f"after failure {attempt}"


def distance(samples: list[float]) -> float:
    """Kolmogorov's: how far the share of samples below any value is from an even share."""
    ordered, count = sorted(samples), len(samples)
    return max(
        max((number + 1) / count - value, value - number / count)
        for number, value in enumerate(ordered)
    )


async def test_waits_are_spread_evenly_below_their_ceiling_and_end_with_the_day(
    inside: Inside,
) -> None:
    """Evenly: by a bound that one run in a hundred thousand would miss by accident."""
    names = inside.people(2)
    inside.fails({"status": 503}, times="until_cleared", class_="send")
    inside.told.expect_line("send.failed", reason="http_503")
    inside.told.expect_line("operation.dead", reason="exhausted")
    inside.told.expect_metric("bridge_dead_total", reason="exhausted")
    async with inside.bridge() as here:
        await inside.post([ping(number, f"m{number}") for number in range(len(names))])
        await here.settle(within=2 * 86_400)
        assert await statuses(here) == {"dead"}
    shares = []
    for name in names:
        made = [call.at_ms for call in calls(inside, "send") if name in str(call.body)]
        waits = [(after - before) / 1000 for before, after in pairwise(made)]
        ceilings = [backoff_seconds(attempt, roll=1.0) for attempt in range(1, len(made))]
        shares += [wait / ceiling for wait, ceiling in zip(waits, ceilings, strict=True)]
        # Given up by the first failure after a day, and not by the tenth.
        assert made[-2] - made[0] <= GIVE_UP_AGE_MS < made[-1] - made[0]
    assert len(shares) > 1000
    assert max(shares) < 1.001
    assert distance(shares) < 2.47 / len(shares) ** 0.5


async def test_what_is_a_day_old_is_not_given_up_before_its_tenth_failure(inside: Inside) -> None:
    inside.people(1)
    inside.told.expect_line("send.failed", reason="http_500", attempt=9)
    inside.told.expect_line("operation.dead", reason="exhausted")
    inside.told.expect_metric("bridge_dead_total", reason="exhausted")
    inside.fails({"status": 500}, times="until_cleared", class_="send")
    async with inside.bridge() as here:
        await inside.post(ping(0, "m1"))
        while len(calls(inside, "send")) < 3:
            await here.pass_time(0.5)
    inside.clock.advance(30 * HOUR)
    async with inside.bridge() as here:
        await here.settle()
        assert await statuses(here) == {"dead"}
    assert len(calls(inside, "send")) == GIVE_UP_ATTEMPTS


# 12: not this ------------------------------------------------------------------------------------

REFUSED = {"status": 400, "body": {"errors": ["that is not possible"]}}


async def test_of_a_folded_call_only_the_culprit_dies(inside: Inside) -> None:
    events = [profile(0, f"m{number}") for number in range(6)]
    inside.people(1)
    inside.fails(REFUSED, text=trait("m3"), times="until_cleared")
    inside.told.expect_line("operation.dead", reason="http_400")
    inside.told.expect_metric("bridge_dead_total", reason="http_400")
    inside.story = replace(
        SHOP, tags=lambda event: {f"{event['messageId']}": event["traits"]["tier"]}
    )
    mapping = SHOP.mapping.replace("tier: ", '"{{ messageId }}": ')
    async with inside.bridge(replace(inside.story, mapping=mapping)) as here:
        await inside.post(events)
        await here.settle()
        outcomes = {seq: status for seq, _, _, status, _ in await here.outcomes()}
        assert outcomes == {
            seq: "dead" if seq == 4 else "delivered" for seq in range(1, len(events) + 1)
        }
    assert len(calls(inside, "write")) <= 1 + 2 * len(events)


@pytest.mark.parametrize("culprits", [1, 3])
async def test_of_a_shared_call_only_the_culprits_die(inside: Inside, culprits: int) -> None:
    """Whoever they are is found by halves."""
    count = 48
    inside.people(count)
    bad = {person(number * 17 + 5) for number in range(culprits)}
    for name in bad:
        inside.fails(REFUSED, class_="send", text=f'"{name}"', times="until_cleared")
    inside.told.expect_line("call.split", reason="http_400")
    inside.told.expect_line("operation.dead", reason="http_400")
    inside.told.expect_metric("bridge_dead_total", reason="http_400")
    async with inside.bridge(SALE) as here:
        await inside.post([track("Sale", person(n), f"m{n}") for n in range(count)])
        await here.settle()
    dead = rows(inside.database, "SELECT request FROM dead")
    assert {one for (request,) in dead for one in orjson.loads(request)["include_aliases"]["external_id"]} == bad  # fmt: skip
    assert len({push.external_id for push in inside.sandbox.pushes}) == count - culprits
    assert len(calls(inside, "send")) <= 1 + 2 * count


# 13: not you -------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [401, 403])
async def test_a_key_that_is_refused_for_ten_minutes_kills_nothing(
    inside: Inside, status: int
) -> None:
    count = 40
    inside.people(count)
    inside.fails({"status": status}, times="until_cleared")
    inside.told.expect_line("gates.closed", reason=f"http_{status}")
    inside.told.expect_line("gate.opened")
    inside.told.expect_metric("bridge_calls_total", http=str(status))
    inside.told.expect_metric("bridge_gate_state", **{"class": "send"})
    async with inside.bridge(alert_url=SecretStr("https://chat.example/hook")) as here:
        await inside.post(order(0, "m0"))
        await here.still()
        assert all(gate.closed == f"http_{status}" for gate in here.means.destination.gates)
        assert len(inside.sandbox.calls) <= 3
        await inside.post([order(number, f"m{number}") for number in range(1, count)])
        await here.pass_time(600)
        inside.told.scrapes.append((await here.http.get("/metrics")).text)
        assert len(inside.sandbox.calls) <= 3 + 10, (
            "and then one a minute, of the class that has work"
        )
        assert (await here.bridge.journal.counts()).dead == 0

        inside.sandbox.faults.clear()
        fixed = here.clock.monotonic()
        while not all(gate.is_open for gate in here.means.destination.gates):
            await here.pass_time(1)
        assert here.clock.monotonic() - fixed < 90
        await here.settle()
        assert await statuses(here) == {"delivered"}
        await here.pass_time(60)
    begun, over = inside.told.alerts
    assert "OneSignal refuses the API key of app default" in begun
    assert "Over after" in over
