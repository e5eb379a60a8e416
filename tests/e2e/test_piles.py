"""What waits for a person: choosing some of it, and acting on it once."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr
from typer.testing import CliRunner

from bridge.cli import app
from bridge.cli.status import line as status_line
from bridge.clock import ManualClock, SystemClock
from bridge.console.naming import alike
from bridge.deliver.brake import PUSHES
from bridge.journal.sqlite import open_sqlite
from bridge.sandbox import create_sandbox
from tests.harness import APP_ID, Rig, iso, mapping_of, rig, track

SHOP = """
version: 1
push: {platforms: {exclude: [ios]}}
rules:
  - name: shipped
    when: event = "Order Shipped"
    do: {send_notification: {contents: "{{ properties.id }} is on its way"}}
  - name: flash
    when: event = "Flash Sale"
    max_age: 30m
    do: {send_notification: {contents: "Now!"}}
  - name: welcome
    when: event = "Signed Up"
    limit: {max: 1, per: 1h}
    do: {send_notification: {contents: "Hello"}}
"""
TOKEN = "let-me-in"
ADMIN = {"authorization": f"Bearer {TOKEN}"}
WITH_ADMIN: dict[str, Any] = {"admin_token": SecretStr(TOKEN)}
MINUTE = 60.0


async def ask(here: Rig, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
    """The answer of the API, which must be a good one."""
    method = "GET" if body is None else "POST"
    answer = await here.http.request(method, f"/api/v1/{path}", headers=ADMIN, json=body)
    assert answer.status_code == 200, answer.text
    told: dict[str, Any] = answer.json()
    return told


def phones(here: Rig, users: Iterable[str]) -> None:
    for user in users:
        here.sandbox.add_device(user, "android", app_id=APP_ID)


def refuse(here: Rig, times: int, **answer: Any) -> None:
    here.sandbox.faults.script(
        {"match": {"class": "send"}, "answers": [answer or {"status": 400}], "times": times}
    )


def texts(here: Rig) -> list[str]:
    return sorted(push.text for push in here.sandbox.pushes)


def keys(here: Rig) -> list[str | None]:
    return [call.idempotency_key for call in here.sandbox.calls if call.endpoint_class == "send"]


def shipped(user: str, number: object = "A7") -> dict[str, Any]:
    return track("Order Shipped", user, f"m-{user}-{number}", properties={"id": str(number)})


async def select(here: Rig, sql: str) -> list[Any]:
    return await here.bridge.journal._read(lambda connection: connection.execute(sql).fetchall())


async def with_dead(here: Rig, count: int) -> None:
    """So many refused pushes, of as many users."""
    users = [f"u{number}" for number in range(count)]
    phones(here, users)
    refuse(here, count)
    await here.post([shipped(user, user) for user in users])
    await here.settle()
    assert (await here.bridge.journal.counts()).dead == count


# Dead ------------------------------------------------------------------------------------------


async def test_two_who_replay_everything_at_once_replay_each_once(tmp_path: Path) -> None:
    async with rig(tmp_path, SHOP, **WITH_ADMIN) as here:
        await with_dead(here, 12)
        done = await asyncio.gather(*(ask(here, "dead/replay", {"rule": "shipped"}) for _ in "ab"))
        assert sum(one["replayed"] for one in done) == 12
        await here.settle()
        assert len(here.sandbox.pushes) == len({push.text for push in here.sandbox.pushes}) == 12
        assert len(keys(here)) == len(set(keys(here))) == 24
        assert not here.sandbox.complaints


async def test_a_dry_run_counts_shows_three_and_changes_nothing(tmp_path: Path) -> None:
    async with rig(tmp_path, SHOP, **WITH_ADMIN) as here:
        await with_dead(here, 5)
        looked = await ask(here, "dead/replay", {"dry_run": True})
        assert (looked["count"], len(looked["sample"])) == (5, 3)
        assert await ask(here, "dead/discard", {"dry_run": True}) == looked
        await here.settle()
        assert (await here.bridge.journal.counts()).dead == 5

        # What dies after the look is not what was counted.
        here.clock.advance(1)
        refuse(here, 1)
        phones(here, ["late"])
        await here.post(shipped("late"))
        await here.settle()
        assert await ask(here, "dead/discard", {"until_ms": looked["until_ms"]}) == {"discarded": 5}
        assert (await here.bridge.journal.counts()).dead == 1


async def test_dead_letters_are_chosen_by_user_reason_app_number_and_time(tmp_path: Path) -> None:
    async with rig(tmp_path, SHOP, **WITH_ADMIN) as here:
        await with_dead(here, 3)
        letters = (await ask(here, "dead"))["dead"]
        died = letters[0]["died_ms"]
        for query, count in (
            ("user=u1", 1),
            ("user=U1", 0),
            ("reason=http_400&app=default", 3),
            ("reason=http_403", 0),
            (f"since_ms={died}&until_ms={died}", 3),
            (f"since_ms={died + 1}", 0),
        ):
            assert len((await ask(here, f"dead?{query}"))["dead"]) == count, query
        chosen = {"ids": [letters[1]["id"], 999], "dry_run": True}
        assert (await ask(here, "dead/replay", chosen))["count"] == 1


@pytest.mark.parametrize(
    "body", [[], {"rules": "x"}, {"rule": 7}, {"since_ms": "2h"}, {"ids": "7"}, {"replan": "yes"}]
)
async def test_a_choice_that_is_not_clear_changes_nothing(tmp_path: Path, body: Any) -> None:
    async with rig(tmp_path, SHOP, **WITH_ADMIN) as here:
        await with_dead(here, 1)
        answer = await here.http.post("/api/v1/dead/replay", headers=ADMIN, json=body)
        assert (answer.status_code, answer.json()["code"]) == (400, "choice-invalid")
        assert (await here.bridge.journal.counts()).dead == 1


async def test_a_refused_push_can_be_planned_with_todays_mapping(tmp_path: Path) -> None:
    async with rig(tmp_path, SHOP, **WITH_ADMIN) as here:
        await with_dead(here, 2)
        edited = mapping_of(SHOP.replace("is on its way", "has left us"))
        here.bridge.bring_into_force(here.bridge.config, {"default": edited})
        assert (await ask(here, "dead/replay", {"replan": True}))["replayed"] == 2
        await here.settle()
        assert texts(here) == ["u0 has left us", "u1 has left us"]
        assert len(set(keys(here))) == 4
        assert not here.sandbox.complaints


async def test_what_was_planned_anew_and_refused_again_is_planned_anew_again(
    tmp_path: Path,
) -> None:
    async with rig(tmp_path, SHOP, **WITH_ADMIN) as here:
        await with_dead(here, 1)
        refuse(here, 2)
        for _ in range(3):
            assert (await ask(here, "dead/replay", {"replan": True}))["replayed"] == 1
            await here.settle()
        assert len(here.sandbox.pushes) == 1
        assert len(set(keys(here))) == 4


async def test_a_push_is_planned_anew_while_another_of_its_event_is_still_out(
    tmp_path: Path,
) -> None:
    both = SHOP.replace('event = "Flash Sale"', 'event = "Order Shipped"')
    async with rig(tmp_path, both, **WITH_ADMIN) as here:
        phones(here, ["u1"])
        answers = [{"status": 400}, {"status": 503, "headers": {"Retry-After": "300"}}]
        here.sandbox.faults.script({"match": {"class": "send"}, "answers": answers, "times": 1})
        await here.post(shipped("u1"))
        await here.still()
        assert (await here.bridge.journal.counts())[:2] == (1, 1)
        assert (await ask(here, "dead/replay", {"replan": True}))["replayed"] == 1
        await here.settle()
        assert texts(here) == ["A7 is on its way", "Now!"]
        assert len(set(keys(here))) == 3
        assert not here.sandbox.complaints


async def test_what_may_have_been_sent_keeps_its_key_and_bytes_also_when_planned_anew(
    tmp_path: Path,
) -> None:
    async with rig(tmp_path, SHOP, **WITH_ADMIN) as here:
        phones(here, ["u1"])
        slow = {"status": 503, "headers": {"Retry-After": "3000"}}
        answers = [{"reset": True, "applied": True}, slow]
        here.sandbox.faults.script({"match": {"class": "send"}, "answers": answers, "times": 1})
        await here.post(track("Flash Sale"))
        await here.settle()
        edited = mapping_of(SHOP.replace("Now!", "Later!"))
        here.bridge.bring_into_force(here.bridge.config, {"default": edited})
        assert (await ask(here, "dead/replay", {"replan": True}))["replayed"] == 1
        await here.settle()
        assert texts(here) == ["Now!"]
        assert len(set(keys(here))) == 1
        assert not here.sandbox.complaints


async def test_what_is_discarded_is_over(tmp_path: Path) -> None:
    async with rig(tmp_path, SHOP, **WITH_ADMIN) as here:
        await with_dead(here, 3)
        first, *_ = (await ask(here, "dead"))["dead"]
        assert await ask(here, "dead/discard", {"ids": [first["id"]]}) == {"discarded": 1}
        assert await ask(here, "dead/discard", {"ids": [first["id"]]}) == {"discarded": 0}
        assert (await ask(here, "dead/replay", {}))["replayed"] == 2
        await here.settle()
        assert len(here.sandbox.pushes) == 2
        ended = [status for _, _, _, status, _ in await here.outcomes()]
        assert sorted(ended) == ["delivered", "delivered", "discarded"]
        states = await select(here, "SELECT state, count(*) FROM send GROUP BY state")
        assert dict(states) == {"delivered": 2, "discarded": 1, "replayed": 2}


async def test_a_shared_call_that_is_discarded_leaves_nothing_behind(tmp_path: Path) -> None:
    grouped = SHOP.replace("max_age: 30m", "max_age: 30m\n    group: 1s")
    async with rig(tmp_path, grouped, **WITH_ADMIN) as here:
        phones(here, ["u1", "u2"])
        slow = {"status": 503, "headers": {"Retry-After": "3000"}}
        answers = [{"reset": True, "applied": True}, slow]
        here.sandbox.faults.script({"match": {"class": "send"}, "answers": answers, "times": 1})
        await here.post([track("Flash Sale", user) for user in ("u1", "u2")])
        await here.settle()
        assert await ask(here, "dead/discard", {}) == {"discarded": 2}
        left = "SELECT (SELECT count(*) FROM call), (SELECT count(*) FROM send_group)"
        assert await select(here, left) == [(0, 0)]


async def test_replaying_many_lets_others_in_between(tmp_path: Path) -> None:
    async with rig(tmp_path, SHOP, **WITH_ADMIN) as here:
        await with_dead(here, 450)
        order: list[str] = []

        async def others() -> None:
            for number in range(3):
                await here.post(track("Nobody Cares", "u1", f"other-{number}"))
                order.append("other")

        async def many() -> None:
            assert (await ask(here, "dead/replay", {}))["replayed"] == 450
            order.append("many")

        await asyncio.gather(many(), others())
        assert order == ["other", "other", "other", "many"]
        await here.settle()
        assert len(here.sandbox.pushes) == 450


@pytest.mark.parametrize("pile", ["dead", "held"])
async def test_what_a_person_lets_go_keeps_no_live_push_waiting(tmp_path: Path, pile: str) -> None:
    async with rig(tmp_path, SHOP, **WITH_ADMIN) as here:
        users = [f"u{number}" for number in range(600)]
        phones(here, [*users, *(f"live{number}" for number in range(4))])
        if pile == "dead":
            refuse(here, 600)
        else:
            await here.bridge.brake.pull(PUSHES)
        await here.post([shipped(user, user) for user in users[:300]])
        await here.post([shipped(user, user) for user in users[300:]])
        await here.settle()
        if pile == "dead":
            assert (await ask(here, "dead/replay", {}))["replayed"] == 600
        else:
            await ask(here, "resume", {"what": "pushes"})
        waits = []
        for number in range(4):
            await here.pass_time(0.5)
            began = here.clock.monotonic()
            await here.post(shipped(f"live{number}", f"live{number}"))
            while f"live{number} is on its way" not in texts(here):
                await here.pass_time(0.05)
            waits.append(here.clock.monotonic() - began)
        assert len(here.sandbox.pushes) < 500
        assert max(waits) <= 0.2
        await here.settle()
        assert len(here.sandbox.pushes) == 604


# Skipped ---------------------------------------------------------------------------------------


async def test_what_was_too_old_when_it_came_is_sent_when_a_person_says_so_once(
    tmp_path: Path,
) -> None:
    async with rig(tmp_path, SHOP, **WITH_ADMIN) as here:
        phones(here, ["u1", "u2"])
        then = iso(here.clock.now_ms() - 3_600_000)
        await here.post([track("Flash Sale", user, timestamp=then) for user in ("u1", "u2")])
        await here.settle()
        assert not here.sandbox.pushes
        assert (await ask(here, "skipped?rule=flash"))["counts"] == [
            {"app": "default", "rule": "flash", "reason": "too_old", "count": 2, "gone": 0}
        ]
        looked = await ask(here, "skipped/replay", {"rule": "flash", "dry_run": True})
        assert (looked["count"], looked["gone"]) == (2, 0)

        done = await asyncio.gather(*(ask(here, "skipped/replay", {"rule": "flash"}) for _ in "ab"))
        assert sum(one["replayed"] for one in done) == 2
        await here.settle()
        assert len(here.sandbox.pushes) == 2
        assert (await ask(here, "skipped/replay", {"rule": "flash"})) == {"replayed": 0}
        assert not here.sandbox.complaints


async def test_what_a_person_asks_for_does_not_wait_for_how_many_are_reached(
    tmp_path: Path,
) -> None:
    uncapped = SHOP.replace("max_age: 30m", "max_age: 30m\n    cap: off")
    async with rig(tmp_path, uncapped, **WITH_ADMIN) as here:
        phones(here, ["u1"])
        then = iso(here.clock.now_ms() - 3_600_000)
        await here.post([track("Flash Sale", "u1", f"m{n}", timestamp=then) for n in range(4)])
        await here.settle()
        assert await ask(here, "skipped/replay", {"rule": "flash"}) == {"replayed": 4}
        await here.pass_time(60)
        assert texts(here) == ["Now!"] * 4


PATIENT = """
  - name: patient
    when: event = "Flash Sale"
    max_age: 30d
    cap: off
    do: {send_notification: {contents: "Later"}}
"""


@pytest.mark.parametrize("way", ["it is out", "it waits for its turn"])
async def test_what_was_too_old_is_sent_though_another_push_of_its_event_is_not_over(
    tmp_path: Path, way: str
) -> None:
    async with rig(tmp_path, SHOP + PATIENT, **WITH_ADMIN) as here:
        phones(here, ["u1"])
        then, events = iso(here.clock.now_ms() - 3_600_000), 1
        if way == "it is out":
            refuse(here, 1, status=503, headers={"Retry-After": "600"})
        else:
            # More than twice the people who are reached: the last one has to wait.
            events = 3
        for number in range(events):
            await here.post(track("Flash Sale", "u1", f"m{number}", timestamp=then))
            await here.pass_time(1)
        assert await ask(here, "skipped/replay", {"rule": "flash"}) == {"replayed": events}
        await here.settle()
        assert texts(here) == ["Later"] * events + ["Now!"] * events


@pytest.mark.parametrize("group", ["", "\n    group: 1s"])
async def test_what_grew_too_old_after_it_was_written_is_sent_when_a_person_says_so(
    tmp_path: Path, group: str
) -> None:
    mapping = SHOP.replace("max_age: 30m", f"max_age: 30m{group}")
    async with rig(tmp_path, mapping, **WITH_ADMIN) as here:
        phones(here, ["u1", "u2"])
        refuse(here, 1, status=429, headers={"Retry-After": "3000"})
        await here.post(shipped("u2"))
        await here.still()
        await here.post(track("Flash Sale"))
        await here.settle()
        assert ("skipped", "too_old") in [end[3:] for end in await here.outcomes()]
        assert await ask(here, "skipped/replay", {"rule": "flash"}) == {"replayed": 1}
        await here.settle()
        assert texts(here) == ["A7 is on its way", "Now!"]
        assert {end[3:] for end in await here.outcomes()} == {("delivered", None)}
        assert not here.sandbox.complaints


async def test_a_skip_that_protects_somebody_is_not_overruled(tmp_path: Path) -> None:
    async with rig(tmp_path, SHOP, **WITH_ADMIN) as here:
        for body, code in (
            ({"rule": "flash", "reason": "once_per"}, "choice-invalid"),
            ({"reason": "too_old"}, "rule-missing"),
        ):
            answer = await here.http.post("/api/v1/skipped/replay", headers=ADMIN, json=body)
            assert (answer.status_code, answer.json()["code"]) == (400, code)


# Held ------------------------------------------------------------------------------------------


async def with_held(here: Rig, count: int) -> None:
    """So many pushes that a limit holds, after one that it let through."""
    first, *others = [f"w{number}" for number in range(count + 1)]
    phones(here, [first, *others])
    for users in ([first], others):
        await here.post([track("Signed Up", user) for user in users])
        await here.settle()
    assert texts(here) == ["Hello"]
    assert (await here.bridge.journal.counts()).held == count


async def test_a_bridge_is_well_while_what_was_held_leaves_little_by_little(tmp_path: Path) -> None:
    async with rig(tmp_path, SHOP, **WITH_ADMIN) as here:
        await with_held(here, 4)
        assert not (await ask(here, "status"))["well"]
        choice = {"rule": "welcome", "per_minute": 1}
        await ask(here, "held/release", choice)
        found = await ask(here, "status")
        assert (found["well"], found["held"], found["leaving"]) == (True, 4, 4)
        assert "| 4 held (4 leaving little by little), 0 dead |" in status_line(found)
        # What comes meanwhile is nobody's wish.
        await here.pass_time(1)
        phones(here, ["late"])
        await here.post(track("Signed Up", "late"))
        await here.still()
        found = await ask(here, "status")
        assert found["problems"] == ["1 held of rule welcome of app default (limit)"]
        assert (found["held"], found["leaving"]) == (5, 4)
        # While it is paused none of them leaves.
        await ask(here, "pause", {"what": "pushes"})
        found = await ask(here, "status")
        assert found["problems"] == [
            "paused: pushes",
            "5 held of rule welcome of app default (limit)",
        ]


async def test_of_what_is_released_since_some_time_alone_the_rest_stays(tmp_path: Path) -> None:
    async with rig(tmp_path, SHOP, **WITH_ADMIN) as here:
        await with_held(here, 2)
        await here.pass_time(60)
        since = here.clock.now_ms()
        phones(here, ["late"])
        await here.post(track("Signed Up", "late"))
        await here.still()
        await ask(here, "held/release", {"since_ms": since, "per_minute": 1})
        found = await ask(here, "status")
        assert found["problems"] == ["2 held of rule welcome of app default (limit)"]
        assert found["leaving"] == 1


async def test_held_pushes_leave_at_the_rate_that_was_asked_for(tmp_path: Path) -> None:
    async with rig(tmp_path, SHOP, **WITH_ADMIN) as here:
        await with_held(here, 30)
        asked = {"rule": "welcome", "per_minute": 10}
        answer = await ask(here, "held/release", asked)
        assert answer == {"releasing": 30, "per_minute": 10, "paused": 0}
        assert (await ask(here, "held"))["releases"] == [
            {
                "app": "default",
                "rule": "welcome",
                "reason": "limit",
                "per_minute": 10,
                "left": 30,
                "paused": False,
            }
        ]
        for minute in (1, 2, 3):
            await here.pass_time(MINUTE)
            sent = len(here.sandbox.pushes) - 1
            assert minute * 10 - 1 <= sent <= minute * 10
        await here.pass_time(MINUTE)
        assert len(here.sandbox.pushes) == 31
        assert (await ask(here, "held"))["releases"] == []
        assert not here.sandbox.complaints


async def test_a_release_goes_on_after_a_restart_and_does_not_make_up_for_it(
    tmp_path: Path,
) -> None:
    clock = ManualClock()
    onesignal = create_sandbox(clock=clock)
    async with rig(tmp_path, SHOP, clock=clock, onesignal=onesignal, **WITH_ADMIN) as here:
        await with_held(here, 30)
        await ask(here, "held/release", {"rule": "welcome", "per_minute": 6})
        await here.pass_time(MINUTE)
    before = len(onesignal.state.sandbox.pushes)
    clock.advance(MINUTE * 60)
    async with rig(tmp_path, SHOP, clock=clock, onesignal=onesignal, **WITH_ADMIN) as here:
        await here.pass_time(MINUTE)
        assert 5 <= len(here.sandbox.pushes) - before <= 8


async def test_a_release_is_stopped_and_what_comes_meanwhile_stays(tmp_path: Path) -> None:
    async with rig(tmp_path, SHOP, **WITH_ADMIN) as here:
        await with_held(here, 20)
        began_ms = here.clock.now_ms()
        await ask(here, "held/release", {"rule": "welcome", "per_minute": 6})
        await here.pass_time(MINUTE)
        phones(here, ["late"])
        await here.post(track("Signed Up", "late"))
        await here.still()
        assert await ask(here, "held/hold", {"rule": "welcome"}) == {"stopped": 1}
        sent = len(here.sandbox.pushes)
        await here.pass_time(5 * MINUTE)
        assert len(here.sandbox.pushes) == sent

        await ask(
            here,
            "held/release",
            {"rule": "welcome", "per_minute": 600, "until_ms": began_ms},
        )
        await here.pass_time(MINUTE)
        assert len(here.sandbox.pushes) == 21
        assert (await here.bridge.journal.counts()).held == 1


async def test_who_resumes_is_not_told_that_what_is_on_its_way_stays_held(tmp_path: Path) -> None:
    async with rig(tmp_path, SHOP, **WITH_ADMIN) as here:
        await with_held(here, 20)
        await ask(here, "held/release", {"rule": "welcome", "per_minute": 6})
    for what, stay in (("rule", 0), ("pushes", 0)):
        name = ["welcome"] if what == "rule" else []
        assert (await asyncio.to_thread(run, tmp_path, "pause", what, *name))[0] == 0
        code, said = await asyncio.to_thread(run, tmp_path, "resume", what, *name)
        assert code == 0, said
        assert ("stay held" in said) == bool(stay), said


async def test_a_release_goes_on_when_the_clock_was_set_back(tmp_path: Path) -> None:
    clock = ManualClock()
    onesignal = create_sandbox(clock=clock)
    async with rig(tmp_path, SHOP, clock=clock, onesignal=onesignal, **WITH_ADMIN) as here:
        await with_held(here, 20)
        await ask(here, "held/release", {"rule": "welcome", "per_minute": 6})
        await here.pass_time(MINUTE)
        sent = len(here.sandbox.pushes)
        clock._start_ms -= 86_400_000
        await here.pass_time(MINUTE)
        assert 5 <= len(here.sandbox.pushes) - sent <= 6


async def test_a_release_waits_while_its_rule_is_paused(tmp_path: Path) -> None:
    async with rig(tmp_path, SHOP, **WITH_ADMIN) as here:
        await with_held(here, 3)
        await ask(here, "held/release", {"rule": "welcome", "per_minute": 60})
        await ask(here, "pause", {"what": "rule", "rule": "welcome"})
        await here.pass_time(MINUTE)
        assert len(here.sandbox.pushes) == 1
        await ask(here, "resume", {"what": "rule", "rule": "welcome"})
        await here.pass_time(MINUTE)
        assert len(here.sandbox.pushes) == 4


async def paused(here: Rig, count: int) -> None:
    """So many pushes that the brake holds."""
    users = [f"p{number}" for number in range(count)]
    phones(here, users)
    await ask(here, "pause", {"what": "pushes"})
    await here.post([shipped(user) for user in users])
    await here.settle()
    assert (await here.bridge.journal.counts()).held == count


async def test_what_is_paused_is_not_said_to_be_released(tmp_path: Path) -> None:
    async with rig(tmp_path, SHOP, **WITH_ADMIN) as here:
        await paused(here, 2)
        for body in ({}, {"dry_run": True}, {"rule": "shipped"}):
            answer = await here.http.post("/api/v1/held/release", headers=ADMIN, json=body)
            assert (answer.status_code, answer.json()["code"]) == (409, "still-paused")
        assert [what for (what,) in await select(here, "SELECT what FROM audit_trail")] == [
            "brake.pulled"
        ]
        # Of two rules one of which is paused, the other's are released, and counted alone.
        await ask(here, "resume", {"what": "pushes"})
        await here.settle()
        await ask(here, "pause", {"what": "rule", "rule": "shipped"})
        await here.post(shipped("p0", "B8"))
        phones(here, ["w0", "w1", "w2"])
        for users in (["w0"], ["w1", "w2"]):
            await here.post([track("Signed Up", user) for user in users])
            await here.settle()
        assert (await ask(here, "held/release", {"dry_run": True}))["count"] == 2
        assert await ask(here, "held/release", {}) == {"released": 2}
        await here.settle()
        assert (await here.bridge.journal.counts()).held == 1


async def test_what_is_to_leave_little_by_little_is_left_to_its_rate_by_a_resume(
    tmp_path: Path,
) -> None:
    async with rig(tmp_path, SHOP, **WITH_ADMIN) as here:
        await paused(here, 4)
        answer = await ask(here, "held/release", {"rule": "shipped", "per_minute": 2})
        assert answer == {"releasing": 4, "per_minute": 2, "paused": 4}
        await here.pass_time(1)
        phones(here, ["late"])
        await here.post(shipped("late"))
        await here.still()
        assert (await ask(here, "resume", {"what": "pushes"}))["released"] == 1
        await here.still()
        assert len(here.sandbox.pushes) == 1
        found = await ask(here, "status")
        assert (found["well"], found["held"], found["leaving"]) == (True, 4, 4)
        for minute in (1, 2):
            await here.pass_time(MINUTE)
            assert minute * 2 - 1 <= len(here.sandbox.pushes) - 1 <= minute * 2
        await here.pass_time(MINUTE)
        assert len(here.sandbox.pushes) == 5
        assert len(set(keys(here))) == 5


async def test_held_pushes_are_chosen_by_user_and_key_and_shown_with_what_would_be_sent(
    tmp_path: Path,
) -> None:
    async with rig(tmp_path, SHOP, **WITH_ADMIN) as here:
        await with_held(here, 3)
        (one,) = (await ask(here, "held?user=w2"))["held"]
        shown = await ask(here, f"held/{one['key']}")
        assert shown["payload"]["userId"] == "w2"
        assert shown["request"]["body"]["contents"] == {"en": "Hello"}
        assert await ask(here, "held/release", {"user": "w2"}) == {"released": 1}
        other = (await ask(here, "held"))["held"][0]
        assert await ask(here, "held/discard", {"ids": [other["key"]]}) == {"discarded": 1}
        await here.settle()
        assert len(here.sandbox.pushes) == 2
        assert (await here.bridge.journal.counts()).held == 1


@pytest.mark.parametrize("rate", [0, -5, 30_001, "fast", 1.5])
async def test_a_rate_that_is_none_releases_nothing(tmp_path: Path, rate: Any) -> None:
    async with rig(tmp_path, SHOP, **WITH_ADMIN) as here:
        body = {"rule": "welcome", "per_minute": rate}
        answer = await here.http.post("/api/v1/held/release", headers=ADMIN, json=body)
        assert (answer.status_code, answer.json()["code"]) == (400, "rate-invalid")


# Rules that there are not ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("dead?rule=welcom", None),
        ("dead/replay", {"dry_run": True}),
        ("dead/discard", {}),
        ("held?rule=welcom", None),
        ("held/release", {"dry_run": True}),
        ("held/release", {"per_minute": 10}),
        ("held/hold", {}),
        ("held/discard", {}),
        ("skipped?rule=welcom", None),
        ("skipped/replay", {}),
    ],
)
async def test_who_misspells_a_rule_is_told_so_and_what_may_be_meant(
    tmp_path: Path, path: str, body: dict[str, Any] | None
) -> None:
    async with rig(tmp_path, SHOP, **WITH_ADMIN) as here:
        method = "GET" if body is None else "POST"
        named = None if body is None else body | {"rule": "welcom"}
        answer = await here.http.request(method, f"/api/v1/{path}", headers=ADMIN, json=named)
        assert answer.status_code == 404
        assert answer.json() == {
            "code": "unknown-rule",
            "message": "There is no rule welcom: no mapping in force has it, and nothing of it is"
            " dead, held or too old; did you mean welcome?",
        }
        assert not await select(here, "SELECT 1 FROM audit_trail")


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("dead?app=defalt", None),
        ("held?app=defalt&rule=welcome", None),
        ("skipped?app=defalt", None),
        ("dead/replay", {}),
        ("dead/discard", {"rule": "shipped"}),
        ("held/release", {}),
        ("held/hold", {}),
        ("held/discard", {"dry_run": True}),
        ("skipped/replay", {"rule": "flash"}),
        ("users/u1?app=defalt", None),
    ],
)
async def test_who_misspells_an_app_is_told_so_and_what_may_be_meant(
    tmp_path: Path, path: str, body: dict[str, Any] | None
) -> None:
    async with rig(tmp_path, SHOP, **WITH_ADMIN) as here:
        method = "GET" if body is None else "POST"
        named = None if body is None else body | {"app": "defalt"}
        answer = await here.http.request(method, f"/api/v1/{path}", headers=ADMIN, json=named)
        assert (answer.status_code, answer.json()["code"]) == (404, "unknown-app")
        said = answer.json()["message"]
        assert said.startswith("There is no app defalt: no setting names it")
        assert said.endswith("did you mean default?")
        assert not await select(here, "SELECT 1 FROM audit_trail")


@pytest.mark.parametrize("waits", ["dead", "held", "skipped", "pending"])
async def test_an_app_that_is_configured_no_more_is_one_as_long_as_something_of_it_is_here(
    tmp_path: Path, waits: str
) -> None:
    async with rig(tmp_path, SHOP, **WITH_ADMIN) as here:
        if waits == "dead":
            await with_dead(here, 1)
        elif waits == "held":
            await with_held(here, 1)
        elif waits == "skipped":
            then = iso(here.clock.now_ms() - 3_600_000)
            await here.post(track("Flash Sale", "old", timestamp=then))
        else:
            here.means.destination.writes.hold(3600)
            here.means.destination.sends.hold(3600)
            await here.post(shipped("u1"))
        await here.still()
        here.bridge.config = replace(
            here.bridge.config, apps={"shop": here.bridge.config.apps["default"]}
        )
        assert "dead" in await ask(here, "dead?app=default")
        nobody = await here.http.get("/api/v1/dead?app=others", headers=ADMIN)
        assert nobody.json()["code"] == "unknown-app"


@pytest.mark.parametrize(
    ("path", "reasons"),
    [("held?reason=limits", "limit or paused or ios_reached"), ("skipped?reason=old", "too_old")],
)
async def test_who_misspells_a_reason_is_told_which_there_are(
    tmp_path: Path, path: str, reasons: str
) -> None:
    async with rig(tmp_path, SHOP, **WITH_ADMIN) as here:
        answer = await here.http.get(f"/api/v1/{path}", headers=ADMIN)
        assert answer.status_code == 400
        assert answer.json()["message"].startswith(f"`reason` is {reasons} here, not ")


async def test_a_rule_that_no_mapping_has_any_more_is_one_while_something_of_it_waits(
    tmp_path: Path,
) -> None:
    async with rig(tmp_path, SHOP, **WITH_ADMIN) as here:
        await with_dead(here, 2)
    async with rig(tmp_path, SHOP.replace("name: shipped", "name: sent"), **WITH_ADMIN) as here:
        assert (await ask(here, "dead/discard", {"rule": "shipped", "dry_run": True}))["count"] == 2
        # Whatever the pile: it is no slip to look for more of it.
        assert (await ask(here, "held/release", {"rule": "shipped"})) == {"released": 0}
        assert (await ask(here, "dead/discard", {"rule": "shipped"})) == {"discarded": 2}
        answer = await here.http.post(
            "/api/v1/dead/discard", headers=ADMIN, json={"rule": "shipped"}
        )
        assert (answer.status_code, answer.json()["code"]) == (404, "unknown-rule")


@pytest.mark.parametrize(
    ("said", "near"),
    [
        ("welcom", ["welcome", "vip-welcome"]),
        ("VIP-Welcome", ["vip-welcome", "welcome", "vip-sale"]),
        ("vip", ["vip-flash", "vip-sale", "vip-welcome"]),
        ("", []),
        ("x" * 1_000_000, []),
    ],
)
def test_the_names_that_are_most_like_one(said: str, near: list[str]) -> None:
    known = ["welcome", "vip-welcome", "vip-flash", "vip-sale", "order-shipped"]
    assert alike(said, known) == near


# Commands --------------------------------------------------------------------------------------


def run(folder: Path, *arguments: str, **more: str) -> tuple[int, str]:
    env = {"BRIDGE_DATABASE_URL": f"sqlite:///{folder}/bridge.db", "BRIDGE_PORT": "9"} | more
    result = CliRunner().invoke(app, list(arguments), env=env)
    return result.exit_code, result.output + str(result.exception or "")


async def test_when_nothing_runs_the_commands_do_the_same_to_the_database(tmp_path: Path) -> None:
    # The commands go by the machine's own clock.
    clock = ManualClock(SystemClock().now_ms())
    onesignal = create_sandbox(clock=clock)
    async with rig(tmp_path, SHOP, clock=clock, onesignal=onesignal) as here:
        await with_dead(here, 3)
        phones(here, ["old"])
        then = iso(clock.now_ms() - 3_600_000)
        await here.post(track("Flash Sale", "old", timestamp=then))
        await with_held(here, 4)
    for arguments, last in (
        ("dead list --user u0", "1 dead. segment-bridge dead show ID shows one."),
        ("dead discard --user u0 --yes", "1 discarded."),
        ("dead replay --rule shipped --replan --yes", "2 replayed."),
        ("dead replay --rule shipped --yes", "0 chosen."),
        ("held release --rule welcome --rate 2/m --yes", "4 are released, 2 a minute."),
        (
            "held hold --rule welcome --yes",
            "1 release stopped: what has not left yet is held until it is released again.",
        ),
        ("held release --rule welcome --yes", "4 released."),
        ("replay --reason too_old --rule flash --yes", "1 replayed."),
        ("replay --reason too_old --rule flash --since 2020-01-01 --yes", "0 chosen."),
    ):
        code, said = await asyncio.to_thread(run, tmp_path, *arguments.split())
        assert (code, said.splitlines()[-1:]) == (0, [last]), (arguments, said)
    async with rig(tmp_path, SHOP, clock=clock, onesignal=onesignal) as here:
        await here.settle()
        # One that the limit let through, two that were dead, four that were held, one that was too old.
        assert len({push.idempotency_key for push in here.sandbox.pushes}) == 1 + 2 + 4 + 1


@pytest.mark.parametrize(
    "line",
    [
        "held release --rule shiped --yes",
        "dead list --rule shiped",
        "replay --reason too_old --rule shiped",
        "pause rule shiped",
        "resume rule shiped",
    ],
)
async def test_when_nothing_runs_a_misspelt_rule_is_told_by_the_mapping_that_is_named_or_served_last(
    tmp_path: Path, line: str
) -> None:
    async with rig(tmp_path, SHOP):
        pass
    mapping = tmp_path / "shop.yaml"
    mapping.write_text(SHOP)
    named = {"BRIDGE_MAPPINGS": str(mapping)}
    for at, variables in enumerate((named, {}, named)):
        if at == 2:
            mapping.write_text("rules: [")
        code, said = await asyncio.to_thread(run, tmp_path, *line.split(), **variables)
        assert code == 1
        assert "There is no rule shiped: no mapping" in said
        assert said.rstrip().endswith("did you mean shipped?")


@pytest.mark.parametrize(
    "line",
    [
        "dead list --app shopp",
        "held list --app shopp",
        "held release --rule shipped --app shopp --yes",
        "replay --reason too_old --rule shipped --app shopp",
        "forget u1 --app shopp --yes",
    ],
)
async def test_when_nothing_runs_a_misspelt_app_is_told_by_the_settings(
    tmp_path: Path, line: str
) -> None:
    async with rig(tmp_path, SHOP):
        pass
    config = tmp_path / "bridge.yaml"
    config.write_text(f"apps: {{shop: {{app_id: {APP_ID}, api_key: k}}}}\n")
    code, said = await asyncio.to_thread(run, tmp_path, *line.split(), BRIDGE_CONFIG=str(config))
    assert code == 1
    assert "There is no app shopp: no setting names it" in said
    assert said.rstrip().endswith("did you mean shop?")


async def test_when_nothing_runs_and_no_app_is_named_here_those_of_the_newest_events_count(
    tmp_path: Path,
) -> None:
    async with rig(tmp_path, SHOP) as here:
        await here.post(shipped("u1"))
        await here.settle()
    assert (await asyncio.to_thread(run, tmp_path, "dead", "list", "--app", "default"))[0] == 0
    code, said = await asyncio.to_thread(run, tmp_path, "dead", "list", "--app", "defalt")
    assert (code, "did you mean default?" in said) == (1, True)


@pytest.mark.parametrize(
    "line", ["held list --rule shiped", "pause rule shiped", "dead list --app shopp"]
)
async def test_where_nothing_ever_served_nobody_can_say_what_there_is(
    tmp_path: Path, line: str
) -> None:
    await open_sqlite(tmp_path / "bridge.db").close()
    code, said = await asyncio.to_thread(run, tmp_path, *line.split())
    assert code == 0, said


async def test_commands_say_what_lets_go_what_is_paused(tmp_path: Path) -> None:
    async with rig(tmp_path, SHOP, **WITH_ADMIN) as here:
        await paused(here, 2)
    code, said = await asyncio.to_thread(run, tmp_path, "held", "list")
    assert (
        said.splitlines()[-1] == "2 held. segment-bridge resume pushes, or rule NAME, lets them go."
    )
    code, said = await asyncio.to_thread(run, tmp_path, "held", "release", "--all", "--yes")
    assert (code, "They are paused, and would be held again at once" in said) == (1, True)
    line = "held release --rule shipped --rate 2/m --yes"
    code, said = await asyncio.to_thread(run, tmp_path, *line.split())
    assert said.splitlines()[-1] == "2 are released, 2 a minute, as soon as they are resumed."
    code, said = await asyncio.to_thread(run, tmp_path, "held", "list")
    assert "2 a minute, 2 left, for 1 min, as soon as it is resumed" in said
    assert (
        said.splitlines()[-1] == "2 held. segment-bridge resume pushes, or rule NAME, lets them go."
    )
    code, said = await asyncio.to_thread(run, tmp_path, "resume", "pushes")
    assert said.splitlines() == [
        "Resumed: all pushes. 0 released.",
        "2 leave little by little, as was said: segment-bridge held list",
    ]
    await asyncio.to_thread(run, tmp_path, "held", "discard", "--all", "--yes")
    code, said = await asyncio.to_thread(run, tmp_path, "held", "list")
    assert "0 held." in said.splitlines()[-1]
    assert "release" not in said.splitlines()[-1]


async def test_who_resumes_hears_of_what_stays_held(tmp_path: Path) -> None:
    async with rig(tmp_path, SHOP) as here:
        await with_held(here, 4)
    said = []
    for what in (["pushes"], ["rule", "flash"]):
        assert (await asyncio.to_thread(run, tmp_path, "pause", *what))[0] == 0
        code, output = await asyncio.to_thread(run, tmp_path, "resume", *what)
        assert code == 0, output
        said.append(output.splitlines())
    stays = "4 stay held for another reason: segment-bridge held list"
    assert said[0] == ["Resumed: all pushes. 0 released.", stays]
    assert said[1] == ["Resumed: pushes of the rule flash. 0 released."]


@pytest.mark.parametrize(
    "arguments",
    [
        "dead replay",
        "dead discard",
        "held discard",
        "dead replay --since yesterday --yes",
        "held release --rule welcome --rate fast",
        "held release --rule welcome --rate 30/h0",
        "replay --reason once_per --rule flash",
        "replay --reason too_old",
    ],
)
def test_what_is_not_clear_is_a_usage_error(tmp_path: Path, arguments: str) -> None:
    assert run(tmp_path, *arguments.split())[0] == 2
