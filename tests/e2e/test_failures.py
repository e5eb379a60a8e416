"""What OneSignal, or the way to it, can do to a call; and what becomes of the operation."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette

from bridge.clock import ManualClock
from bridge.deliver.replay import replay
from bridge.sandbox import Behaviour, create_sandbox
from bridge.sandbox.ledger import Call
from tests.harness import APP_ID, Rig, ends, identify, rig, track

SHOP = """
version: 1
push: {platforms: {exclude: [ios]}}
rules:
  - name: profile
    when: type = "identify"
    do: {update_user: {tags: {tier: "{{ traits.tier }}"}}}
  - name: shipped
    when: event = "Order Shipped"
    max_age: 30d
    do: {send_notification: {contents: "{{ properties.id }} is on its way"}}
  - name: flash
    when: event = "Flash Sale"
    max_age: 30m
    do: {send_notification: {contents: "Now!"}}
"""
PUSH = "shipped/send_notification"
UPDATE = "profile/update_user"


def shipped(user: str = "u1") -> dict[str, Any]:
    return track("Order Shipped", user, properties={"id": "A7"})


def fail(here: Rig, endpoint_class: str, *answers: dict[str, Any], times: Any = 1) -> None:
    here.sandbox.faults.script(
        {"match": {"class": endpoint_class}, "answers": answers, "times": times}
    )


def sends(here: Rig) -> list[Call]:
    return [call for call in here.sandbox.calls if call.endpoint_class == "send"]


def writes(here: Rig) -> list[Call]:
    return [call for call in here.sandbox.calls if call.endpoint_class == "write"]


def with_phones(here: Rig, *users: str) -> None:
    for user in users or ("u1",):
        here.sandbox.add_device(user, "android", app_id=APP_ID)


# Updates ---------------------------------------------------------------------------------------


async def test_an_unknown_user_is_created(tmp_path: Path) -> None:
    async with rig(tmp_path, SHOP) as here:
        await here.post(identify("u1", tier="gold"))
        await here.settle()
        assert [(call.method, call.status) for call in writes(here)] == [
            ("PATCH", 404),
            ("POST", 201),
        ]


async def test_a_user_that_was_just_created_is_waited_for(tmp_path: Path) -> None:
    async with rig(tmp_path, SHOP) as here:
        await here.post(identify("u1", "m1", tier="gold"))
        await here.settle()
        fail(here, "write", {"status": 404}, times=3)
        await here.post(identify("u1", "m2", tier="silver"))
        await here.settle()

        methods = [call.method for call in writes(here)]
        assert methods == ["PATCH", "POST", "PATCH", "PATCH", "PATCH", "PATCH"]
        user = here.sandbox.user("u1", app_id=APP_ID)
        assert user is not None
        assert user.tags == {"tier": "silver"}


async def test_a_user_that_is_gone_for_a_minute_is_created_again(tmp_path: Path) -> None:
    async with rig(tmp_path, SHOP) as here:
        await here.post(identify("u1", "m1", tier="gold"))
        await here.settle()
        fail(here, "write", *[{"status": 404}] * 100)
        await here.post(identify("u1", "m2", tier="silver"))
        await here.pass_time(50)
        assert "POST" not in [call.method for call in writes(here)[2:]]
        await here.pass_time(15)
        assert "POST" in [call.method for call in writes(here)[2:]]


@pytest.mark.parametrize("answer", [{"status": 500}, {"status": 503}, {"reset": True}])
async def test_an_update_that_failed_is_tried_again(tmp_path: Path, answer: Any) -> None:
    async with rig(tmp_path, SHOP) as here:
        with_phones(here)
        fail(here, "write", answer, times=5)
        await here.post(identify("u1", tier="gold"))
        await here.settle()
        assert len(writes(here)) == 6
        assert ends(await here.outcomes()) == {UPDATE: ("delivered", None)}
        assert not here.sandbox.complaints


async def test_an_update_that_is_refused_is_dead_with_all_that_a_person_needs(
    tmp_path: Path,
) -> None:
    async with rig(tmp_path, SHOP) as here:
        with_phones(here)
        fail(here, "write", {"status": 400, "body": {"errors": ["no such thing"]}})
        await here.post(identify("u1", tier="gold"))
        await here.post(shipped())
        await here.settle()

        (dead,) = await here.bridge.journal.dead_letters()
        assert (dead.reason, dead.rule, dead.operation) == ("http_400", "profile", "update_user")
        assert dead.http == 400
        assert dead.answer == '{"errors":["no such thing"]}'
        assert b'"tier":"gold"' in (dead.request or b"")
        assert b'"traits"' in (dead.payload or b"")
        assert len(here.sandbox.pushes) == 1


async def test_the_limit_of_one_user_holds_up_nobody_else(tmp_path: Path) -> None:
    limited = {
        "status": 429,
        "headers": {"Retry-After": "30"},
        "body": {"errors": ["x"], "limit": "Subscription/User Update Per Device"},
    }
    async with rig(tmp_path, SHOP) as here:
        with_phones(here, "u1", "u2")
        here.sandbox.faults.script({"match": {"path": "*/u1"}, "answers": [limited]})
        await here.post(identify("u1", tier="gold"))
        await here.post(identify("u2", tier="gold"))
        await here.still()
        assert [call.status for call in writes(here) if call.user == "u2"] == [202]
        await here.settle()

        first, second = (call.at_ms for call in writes(here) if call.user == "u1")
        assert second - first >= 30_000
        assert not await here.bridge.journal.dead_letters()


# Limits ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"Retry-After": "40"}, 40),
        ({"Retry-After": "1e9"}, 3600),
        ({"RetryAfter": "7.5"}, 7.5),
        ({}, 5),
    ],
)
async def test_a_limit_of_the_app_holds_up_everybody_for_as_long_as_it_says(
    tmp_path: Path, headers: dict[str, str], seconds: float
) -> None:
    async with rig(tmp_path, SHOP) as here:
        with_phones(here, "u1", "u2", "u3")
        fail(here, "send", {"status": 429, "headers": headers})
        await here.post(shipped("u1"))
        await here.still()
        await here.post(shipped("u2"))
        await here.post(identify("u3", tier="gold"))
        await here.settle()

        first, *others = (call.at_ms for call in sends(here))
        assert len(others) == 2
        assert min(others) - first >= seconds * 1000
        # Updates have a limit of their own.
        assert writes(here)[0].at_ms - first < seconds * 1000
        assert len(here.sandbox.pushes) == 2
        assert not await here.bridge.journal.dead_letters()


async def test_being_asked_to_wait_costs_no_attempt(tmp_path: Path) -> None:
    async with rig(tmp_path, SHOP) as here:
        with_phones(here)
        fail(here, "send", {"status": 429, "headers": {"Retry-After": "3600"}}, times=30)
        await here.post(shipped())
        await here.settle(within=200_000)
        assert ends(await here.outcomes()) == {PUSH: ("delivered", None)}


# Sends -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "answer",
    [
        {"status": 503},
        {"reset": True},
        {"reset": True, "applied": True},
        {"timeout": 60, "applied": True},
        {"status": 200, "body": "<html>"},
    ],
)
async def test_a_push_that_failed_is_sent_again_as_it_was_and_arrives_once(
    tmp_path: Path, answer: Any
) -> None:
    async with rig(tmp_path, SHOP) as here:
        with_phones(here)
        fail(here, "send", answer, times=3)
        await here.post(shipped())
        await here.settle()

        assert len(sends(here)) == 4
        assert len({call.idempotency_key for call in sends(here)}) == 1
        assert len({str(call.body) for call in sends(here)}) == 1
        assert len(here.sandbox.pushes) == 1
        assert ends(await here.outcomes()) == {PUSH: ("delivered", None)}
        assert not here.sandbox.complaints


async def test_a_push_that_waits_holds_up_its_own_user_only(tmp_path: Path) -> None:
    async with rig(tmp_path, SHOP) as here:
        with_phones(here, "u1", "u2")
        fail(here, "send", {"status": 503, "headers": {"Retry-After": "100"}})
        await here.post(shipped("u1"))
        await here.still()
        await here.post(identify("u1", tier="gold"))
        await here.post(shipped("u2"))
        await here.pass_time(90)
        assert [push.external_id for push in here.sandbox.pushes] == ["u2"]
        assert writes(here) == []
        await here.settle()
        assert [push.external_id for push in here.sandbox.pushes] == ["u2", "u1"]


async def test_a_push_that_is_refused_is_dead_and_its_user_goes_on(tmp_path: Path) -> None:
    async with rig(tmp_path, SHOP) as here:
        with_phones(here)
        fail(here, "send", {"status": 400, "body": {"errors": [{"title": "no template"}]}})
        await here.post(shipped())
        await here.post(identify("u1", tier="gold"))
        await here.settle()

        (dead,) = await here.bridge.journal.dead_letters()
        assert (dead.reason, dead.http, dead.uncertain) == ("http_400", 400, False)
        assert dead.answer == '{"errors":[{"title":"no template"}]}'
        assert b"A7 is on its way" in (dead.request or b"")
        assert len(writes(here)) == 1


@pytest.mark.parametrize("status", [401, 403])
async def test_a_refused_key_kills_nothing_and_everything_arrives_once_it_is_right(
    tmp_path: Path, status: int
) -> None:
    users = [f"u{n}" for n in range(20)]
    async with rig(tmp_path, SHOP) as here:
        with_phones(here, *users)
        for endpoint_class in ("send", "write"):
            fail(here, endpoint_class, {"status": status}, times="until_cleared")
        for user in users:
            await here.post(identify(user, tier="gold"))
            await here.post(shipped(user))
        await here.pass_time(600)
        asked = len(here.sandbox.calls)
        assert asked <= 20 + 11
        assert (await here.bridge.journal.counts()).dead == 0

        here.sandbox.faults.clear()
        await here.pass_time(90)
        assert len(here.sandbox.pushes) == 20
        assert (await here.bridge.journal.counts()).pending == 0
        assert (await here.bridge.journal.counts()).dead == 0
        assert not here.sandbox.complaints


async def test_while_onesignal_is_down_it_is_asked_less_and_less(tmp_path: Path) -> None:
    users = [f"u{n}" for n in range(60)]
    async with rig(tmp_path, SHOP) as here:
        with_phones(here, *users)
        fail(here, "send", {"status": 503}, times="until_cleared")
        await here.post([shipped(user) for user in users])
        await here.pass_time(30 * 60)
        assert here.means.destination.sends.closed == "http_503"
        late = [call for call in sends(here) if call.at_ms > sends(here)[0].at_ms + 120_000]
        assert len(late) <= 30

        here.sandbox.faults.clear()
        await here.settle()
        assert len(here.sandbox.pushes) == 60
        assert (await here.bridge.journal.counts()).dead == 0


# Too old ---------------------------------------------------------------------------------------


FLASH = "flash/send_notification"


async def test_a_push_that_comes_too_late_is_not_sent(tmp_path: Path) -> None:
    async with rig(tmp_path, SHOP) as here:
        with_phones(here)
        fail(here, "write", {"status": 503, "headers": {"Retry-After": "3000"}})
        await here.post(identify("u1", tier="gold"))
        await here.still()
        await here.post(track("Flash Sale"))
        await here.settle()
        assert ends(await here.outcomes())[FLASH] == ("skipped", "too_old")
        assert sends(here) == []


async def test_a_push_that_grows_too_old_at_the_gate_is_not_sent(tmp_path: Path) -> None:
    async with rig(tmp_path, SHOP) as here:
        with_phones(here)
        here.means.destination.sends.hold(3600)
        await here.post(track("Flash Sale"))
        await here.settle()
        assert ends(await here.outcomes())[FLASH] == ("skipped", "too_old")
        assert sends(here) == []


async def test_a_push_of_which_nobody_knows_is_not_sent_late_but_shown_to_a_person(
    tmp_path: Path,
) -> None:
    async with rig(tmp_path, SHOP) as here:
        with_phones(here)
        slow = {"status": 503, "headers": {"Retry-After": "3000"}}
        fail(here, "send", {"reset": True, "applied": True}, slow)
        await here.post(track("Flash Sale"))
        await here.settle()

        (dead,) = await here.bridge.journal.dead_letters()
        assert (dead.reason, bool(dead.uncertain)) == ("unknown_outcome", True)
        assert len(here.sandbox.pushes) == 1


class Cut(httpx.AsyncBaseTransport):
    """A way to OneSignal that is down: nothing can be sent."""

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("no route", request=request)


async def test_a_push_that_certainly_never_left_is_only_too_old(tmp_path: Path) -> None:
    async with rig(tmp_path, SHOP, transport=Cut()) as here:
        await here.post(track("Flash Sale"))
        await here.settle()
        assert ends(await here.outcomes()) == {FLASH: ("skipped", "too_old")}


async def test_an_operation_that_fails_for_more_than_a_day_is_given_up(tmp_path: Path) -> None:
    async with rig(tmp_path, SHOP) as here:
        with_phones(here)
        fail(here, "send", {"status": 500}, times="until_cleared")
        await here.post(shipped())
        await here.settle(within=3 * 86_400, step=60)
        (dead,) = await here.bridge.journal.dead_letters()
        assert (dead.reason, bool(dead.uncertain)) == ("exhausted", True)
        assert dead.attempt > 10
        assert dead.died_ms - sends(here)[0].at_ms > 86_400_000


# The mapping -----------------------------------------------------------------------------------


async def test_an_event_that_cannot_be_planned_is_dead_and_its_user_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with rig(tmp_path, SHOP) as here:
        with_phones(here)
        with monkeypatch.context() as patch:
            patch.setattr("bridge.deliver.chain.plan", explode)
            await here.post(shipped())
            await here.settle()
        await here.post(identify("u1", tier="gold"))
        await here.settle()

        (dead,) = await here.bridge.journal.dead_letters()
        assert (dead.reason, dead.rule, dead.answer) == ("plan_failed", "", "ZeroDivisionError")
        assert (2, "profile", "update_user", "delivered", None) in await here.outcomes()


def explode(*_: object, **__: object) -> None:
    raise ZeroDivisionError


async def test_an_event_that_breaks_us_again_and_again_is_dead_and_its_user_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with rig(tmp_path, SHOP) as here:
        journal = here.bridge.journal
        with monkeypatch.context() as patch:
            patch.setattr("bridge.deliver.together.update_of", explode)
            await here.post(identify("u1", "m1", tier="gold"))
            await here.settle()
        await here.post(identify("u1", "m2", tier="silver"))
        await here.settle()
        (dead,) = await journal.dead_letters()
        assert (dead.reason, dead.answer) == ("internal_error", "ZeroDivisionError")
        assert (2, "profile", "update_user", "delivered", None) in await here.outcomes()

        done, *_ = await replay(journal, dead.id, now_ms=here.clock.now_ms())
        assert done == "replayed"
        here.lanes.nudge((await journal.user_of(dead.seq) or ("", 0))[1])
        await here.settle()
        # What it says has been said again, by a later event.
        assert (1, "profile", "update_user", "skipped", "overtaken") in await here.outcomes()


async def test_an_event_whose_push_was_written_never_dies_around_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with rig(tmp_path, SHOP) as here:
        with_phones(here)
        with monkeypatch.context() as patch:
            patch.setattr("bridge.deliver.trouble.TROUBLES", 1)
            patch.setattr("bridge.deliver.sending.Sending", explode)
            await here.post(shipped())
            await here.still()
        await here.settle()

        assert not await here.bridge.journal.dead_letters()
        assert len(here.sandbox.pushes) == 1


@pytest.mark.parametrize(
    ("user", "reason"),
    [
        ("x" * 70_000, "external_id_too_long"),
        ("..", "blocked_external_id"),
        (".", "blocked_external_id"),
    ],
    ids=["very long", "two dots", "a dot"],
)
async def test_an_id_that_no_address_can_hold_is_skipped(
    tmp_path: Path, user: str, reason: str
) -> None:
    async with rig(tmp_path, SHOP) as here:
        await here.post(identify(user, "m1", tier="gold"))
        await here.settle()

        assert await here.outcomes() == [(1, "", "", "skipped", reason)]
        assert not here.sandbox.calls


async def test_a_slow_onesignal_reads_its_own_writes_late(tmp_path: Path) -> None:
    clock = ManualClock()
    app: Starlette = create_sandbox(clock=clock)
    app.state.sandbox.behaviour = Behaviour(update_delay_seconds=10)
    async with rig(tmp_path, SHOP, clock=clock, onesignal=app) as here:
        await here.post(identify("u1", "m1", tier="gold"))
        await here.post(identify("u1", "m2", tier="silver"))
        await here.settle()
        await here.pass_time(60)
        user = here.sandbox.user("u1", app_id=APP_ID)
        assert user is not None
        assert user.tags == {"tier": "silver"}
        assert not await here.bridge.journal.dead_letters()
