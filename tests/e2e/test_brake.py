"""The brake: pushes stop within a second and stay stopped, tags go on, and nothing is lost."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr
from typer.testing import CliRunner

from bridge.cli import app
from bridge.clock import ManualClock
from bridge.config import DEFAULT as APP
from bridge.deliver.brake import PUSHES
from bridge.deliver.held import release_resumed
from bridge.sandbox import create_sandbox
from tests.harness import APP_ID, Rig, identify, rig, track

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
  - name: welcome
    when: event = "Signed Up"
    do: {send_notification: {contents: "Welcome"}}
"""
TOKEN = "let-me-in"
ADMIN = {"authorization": f"Bearer {TOKEN}"}
WITH_ADMIN: dict[str, Any] = {"admin_token": SecretStr(TOKEN)}
ALL = {"what": "pushes"}


async def api(here: Rig, path: str, body: Any = None) -> tuple[int, dict[str, Any]]:
    """POST when there is a body, else GET."""
    method = "GET" if body is None else "POST"
    answer = await here.http.request(method, f"/api/v1/{path}", json=body, headers=ADMIN)
    return answer.status_code, answer.json()


def rule(name: str) -> dict[str, str]:
    return {"what": "rule", "rule": name}


# What is paused --------------------------------------------------------------------------------


async def test_what_is_paused_is_told_and_kept_over_a_restart(tmp_path: Path) -> None:
    async with rig(tmp_path, SHOP, **WITH_ADMIN) as here:
        assert await api(here, "pause") == (200, {"paused": []})
        status, told = await api(here, "pause", rule("shipped"))
        since = here.clock.now_ms()
        assert (status, told["paused"]) == (
            200,
            [{"what": "rule/shipped", "reason": "paused", "since_ms": since}],
        )
        assert here.bridge.brake.paused("shipped")
        assert not here.bridge.brake.paused("welcome")
    async with rig(tmp_path, SHOP, **WITH_ADMIN) as here:
        assert here.bridge.brake.paused("shipped")
        assert (await api(here, "pause"))[1] == told
        assert (await api(here, "resume", rule("shipped")))[0] == 200
    async with rig(tmp_path, SHOP, **WITH_ADMIN) as here:
        assert not here.bridge.brake.paused("shipped")


async def test_pausing_pushes_pauses_every_rule(tmp_path: Path) -> None:
    async with rig(tmp_path, SHOP, **WITH_ADMIN) as here:
        await api(here, "pause", ALL)
        assert here.bridge.brake.paused("shipped")
        assert here.bridge.brake.paused("welcome")
        await api(here, "resume", ALL)
        assert not here.bridge.brake.paused("shipped")


async def test_a_rule_that_does_not_exist_is_said_to_be_a_slip(tmp_path: Path) -> None:
    async with rig(tmp_path, SHOP, **WITH_ADMIN) as here:
        status, told = await api(here, "pause", rule("shiped"))
        assert (status, told["code"]) == (404, "unknown-rule")
        assert "did you mean shipped?" in told["message"]
        assert (await api(here, "pause"))[1] == {"paused": []}
        status, told = await api(here, "resume", rule("shiped"))
        assert (status, told["code"]) == (404, "unknown-rule")
        assert "no such rule is paused; did you mean shipped?" in told["message"]


async def test_a_rule_that_no_mapping_has_any_more_is_resumed(tmp_path: Path) -> None:
    async with rig(tmp_path, SHOP, **WITH_ADMIN) as here:
        await api(here, "pause", rule("shipped"))
    async with rig(tmp_path, SHOP.replace("name: shipped", "name: sent"), **WITH_ADMIN) as here:
        status, told = await api(here, "resume", rule("shiped"))
        assert (status, "did you mean shipped?" in told["message"]) == (404, True)
        assert (await api(here, "resume", rule("shipped")))[0] == 200


async def test_what_is_not_paused_cannot_be_resumed(tmp_path: Path) -> None:
    async with rig(tmp_path, SHOP, **WITH_ADMIN) as here:
        status, told = await api(here, "resume", ALL)
        assert (status, told["code"]) == (409, "not-paused")


@pytest.mark.parametrize(
    "body", [[], 7, {}, {"what": "rule"}, {"what": "rule", "rule": ""}, {"what": "tags"}]
)
async def test_a_target_that_is_none_changes_nothing(tmp_path: Path, body: Any) -> None:
    async with rig(tmp_path, SHOP, **WITH_ADMIN) as here:
        status, told = await api(here, "pause", body)
        assert (status, told["code"]) == (400, "target-invalid")
        assert (await api(here, "pause"))[1] == {"paused": []}


# What it does ----------------------------------------------------------------------------------


def shipped(user: str = "u1", number: int = 1) -> dict[str, Any]:
    return track("Order Shipped", user, f"m-{user}-{number}", properties={"id": f"{user}-{number}"})


def with_phones(here: Rig, *users: str) -> None:
    for user in users or ("u1",):
        here.sandbox.add_device(user, "android", app_id=APP_ID)


def texts(here: Rig) -> list[str]:
    return [push.text.removesuffix(" is on its way") for push in here.sandbox.pushes]


async def counts(here: Rig) -> dict[tuple[str, str], int]:
    found = (await api(here, "held"))[1]["counts"]
    return {(one["rule"], one["reason"]): one["count"] for one in found}


async def test_pushes_are_held_and_tags_go_on(tmp_path: Path) -> None:
    async with rig(tmp_path, SHOP, **WITH_ADMIN) as here:
        with_phones(here)
        await api(here, "pause", ALL)
        await here.post([shipped(), identify("u1", tier="gold")])
        await here.settle()
        assert texts(here) == []
        assert await counts(here) == {("shipped", "paused"): 1}
        user = here.sandbox.user("u1", app_id=APP_ID)
        assert user is not None
        assert user.tags == {"tier": "gold"}


async def test_another_rule_is_not_touched(tmp_path: Path) -> None:
    async with rig(tmp_path, SHOP, **WITH_ADMIN) as here:
        with_phones(here)
        await api(here, "pause", rule("shipped"))
        await here.post([shipped(), track("Signed Up")])
        await here.settle()
        assert texts(here) == ["Welcome"]


async def test_resuming_releases_in_the_order_of_the_events_and_however_old(tmp_path: Path) -> None:
    async with rig(tmp_path, SHOP, **WITH_ADMIN) as here:
        with_phones(here)
        await api(here, "pause", ALL)
        for number in (1, 2, 3):
            await here.post(track("Signed Up", "u1", f"w{number}"))
            await here.post(shipped(number=number))
        await here.settle()
        await here.pass_time(40 * 86_400)
        status, told = await api(here, "resume", ALL)
        assert (status, told["released"]) == (200, 6)
        await here.settle()
        assert texts(here) == ["Welcome", "u1-1", "Welcome", "u1-2", "Welcome", "u1-3"]
        assert await counts(here) == {}
        assert {status for _, _, _, status, _ in await here.outcomes()} == {"delivered"}


async def test_resuming_releases_only_what_the_pause_held(tmp_path: Path) -> None:
    limited = SHOP.replace("max_age: 30d", "max_age: 30d\n    limit: {max: 1, per: 10m}")
    async with rig(tmp_path, limited, **WITH_ADMIN) as here:
        with_phones(here, "u1", "u2", "u3")
        await here.post([shipped("u1"), shipped("u2")])
        await here.settle()
        await api(here, "pause", ALL)
        await here.post(shipped("u3"))
        await here.post(track("Signed Up", "u3"))
        await here.settle()
        before = await counts(here)
        assert sum(before.values()) == 3
        await api(here, "resume", ALL)
        await here.settle()
        assert (await counts(here))[("shipped", "limit")] >= 1
        assert "Welcome" in texts(here)


async def test_what_is_paused_twice_goes_when_both_are_over(tmp_path: Path) -> None:
    async with rig(tmp_path, SHOP, **WITH_ADMIN) as here:
        with_phones(here)
        await api(here, "pause", ALL)
        await api(here, "pause", rule("shipped"))
        await here.post([shipped(), track("Signed Up")])
        await here.settle()
        assert (await api(here, "resume", ALL))[1]["released"] == 1
        await here.settle()
        assert texts(here) == ["Welcome"]
        await api(here, "resume", rule("shipped"))
        await here.settle()
        assert texts(here) == ["Welcome", "u1-1"]


async def test_pushes_that_wait_for_their_turn_are_held_too(tmp_path: Path) -> None:
    users = [f"u{n}" for n in range(30)]
    async with rig(tmp_path, SHOP, **WITH_ADMIN) as here:
        with_phones(here, *users)
        here.means.destination.sends.hold(1.5)
        await here.post([shipped(user) for user in users])
        await here.still()
        await api(here, "pause", ALL)
        await here.settle()
        assert texts(here) == []
        assert await counts(here) == {("shipped", "paused"): 30}
        await api(here, "resume", ALL)
        await here.settle()
        assert sorted(texts(here)) == sorted(f"{user}-1" for user in users)


async def test_a_push_that_may_have_been_sent_waits_with_its_key(tmp_path: Path) -> None:
    async with rig(tmp_path, SHOP, **WITH_ADMIN) as here:
        with_phones(here)
        here.sandbox.faults.script(
            {"match": {"class": "send"}, "answers": [{"reset": True, "applied": True}]}
        )
        await here.post(shipped())
        await here.still()
        await api(here, "pause", ALL)
        await here.pass_time(3600)
        assert len([one for one in here.sandbox.calls if one.endpoint_class == "send"]) == 1
        assert await counts(here) == {}
        assert (await here.bridge.journal.counts()).pending == 1
        await api(here, "resume", ALL)
        await here.settle()
        sent = [one for one in here.sandbox.calls if one.endpoint_class == "send"]
        assert len({one.idempotency_key for one in sent}) == 1
        assert texts(here) == ["u1-1"]
        assert not here.sandbox.complaints


async def test_what_was_held_is_released_after_a_restart_and_a_resume_that_was_cut_short_goes_on(
    tmp_path: Path,
) -> None:
    clock = ManualClock()
    onesignal = create_sandbox(clock=clock)
    async with rig(tmp_path, SHOP, clock=clock, onesignal=onesignal, **WITH_ADMIN) as here:
        with_phones(here)
        await api(here, "pause", ALL)
        await here.post(shipped())
        await here.settle()
    with closing(sqlite3.connect(tmp_path / "bridge.db")) as connection, connection:
        connection.execute("DELETE FROM gate")
    async with rig(tmp_path, SHOP, clock=clock, onesignal=onesignal, **WITH_ADMIN) as here:
        await here.settle()
        assert texts(here) == ["u1-1"]


# What is held ----------------------------------------------------------------------------------


async def test_tags_do_not_wait_behind_a_push_that_may_have_been_sent(tmp_path: Path) -> None:
    async with rig(tmp_path, SHOP, **WITH_ADMIN) as here:
        with_phones(here)
        here.sandbox.faults.script(
            {"match": {"class": "send"}, "answers": [{"reset": True, "applied": True}]}
        )
        await here.post(shipped())
        await here.still()
        await api(here, "pause", ALL)
        await here.post(identify("u1", tier="gold"))
        await here.pass_time(60)
        written = [one for one in here.sandbox.calls if one.endpoint_class == "write"]
        assert len(written) == 1
        assert (await here.bridge.journal.counts()).pending == 1
        await api(here, "resume", ALL)
        await here.settle()
        assert texts(here) == ["u1-1"]


async def test_what_is_being_written_while_somebody_resumes_is_not_left_held(
    tmp_path: Path,
) -> None:
    users = [f"u{n}" for n in range(200)]
    async with rig(tmp_path, SHOP, **WITH_ADMIN) as here:
        with_phones(here, *users)
        await api(here, "pause", ALL)
        await here.post([shipped(user) for user in users])
        while not await counts(here):
            pass
        await here.bridge.brake.let_go(PUSHES)
        await release_resumed(here.bridge.journal, here.bridge.brake, nudge=here.bridge.nudge)
        await here.settle()
        assert await counts(here) == {}
        assert len(texts(here)) == 200


async def test_what_is_held_is_listed_without_whom_it_is_for(tmp_path: Path) -> None:
    async with rig(tmp_path, SHOP, **WITH_ADMIN) as here:
        with_phones(here)
        await api(here, "pause", ALL)
        await here.post([shipped(number=1), shipped(number=2), track("Signed Up")])
        await here.settle()
        status, told = await api(here, "held?rule=shipped&limit=1")
        assert status == 200
        assert told["counts"] == [{"app": APP, "rule": "shipped", "reason": "paused", "count": 2}]
        (one,) = told["held"]
        assert one["message_id"] == "m-u1-1"
        assert "u1" not in {str(value) for value in one.values()}


async def test_a_person_discards_or_releases_by_rule(tmp_path: Path) -> None:
    limited = SHOP.replace("max_age: 30d", "max_age: 30d\n    limit: {max: 1, per: 10m}")
    async with rig(tmp_path, limited, **WITH_ADMIN) as here:
        with_phones(here, "u1", "u2", "u3", "u4")
        await here.post([shipped(f"u{n}") for n in (1, 2, 3)])
        await here.settle()
        assert await counts(here) == {("shipped", "limit"): 2}
        assert await api(here, "held/release", {"rule": "shipped"}) == (200, {"released": 2})
        await here.settle()
        assert len(texts(here)) == 3

        await here.post([shipped("u4", n) for n in (1, 2, 3)])
        await here.settle()
        held = sum((await counts(here)).values())
        assert held >= 1
        assert (await api(here, "held/discard", {"rule": "shipped"}))[1] == {"discarded": held}
        await here.settle()
        assert await counts(here) == {}
        ended = [status for _, _, _, status, _ in await here.outcomes()]
        assert ended.count("discarded") == held


@pytest.mark.parametrize("body", [[], {"rules": "x"}, {"rule": 7}, {"reason": "because"}])
async def test_a_choice_that_is_not_clear_changes_nothing(tmp_path: Path, body: Any) -> None:
    async with rig(tmp_path, SHOP, **WITH_ADMIN) as here:
        for path in ("held/release", "held/discard"):
            status, told = await api(here, path, body)
            assert (status, told["code"]) == (400, "choice-invalid")


# Commands --------------------------------------------------------------------------------------


def run(folder: Path, *arguments: str) -> tuple[int, str]:
    env = {"BRIDGE_DATABASE_URL": f"sqlite:///{folder}/bridge.db", "BRIDGE_PORT": "9"}
    result = CliRunner().invoke(app, list(arguments), env=env)
    return result.exit_code, result.output + str(result.exception or "")


async def test_when_nothing_runs_the_commands_change_the_database(tmp_path: Path) -> None:
    async with rig(tmp_path, SHOP):
        pass
    code, said = await asyncio.to_thread(run, tmp_path, "pause", "rule", "shipped")
    assert code == 0, said
    assert "segment-bridge resume rule shipped" in said
    async with rig(tmp_path, SHOP) as here:
        assert here.bridge.brake.paused("shipped")
    code, said = await asyncio.to_thread(run, tmp_path, "resume", "rule", "shipped")
    assert (code, said) == (0, "Resumed: pushes of the rule shipped. 0 released.\n")
    code, said = await asyncio.to_thread(run, tmp_path, "resume", "pushes")
    assert code == 1
    assert "pushes is not paused" in said


@pytest.mark.parametrize("arguments", [["pushes", "x"], ["rule"], ["tags"]])
def test_a_target_that_is_none_is_a_usage_error(tmp_path: Path, arguments: list[str]) -> None:
    assert run(tmp_path, "pause", *arguments)[0] == 2


async def test_when_nothing_runs_held_pushes_are_released_and_discarded_in_the_database(
    tmp_path: Path,
) -> None:
    async with rig(tmp_path, SHOP, **WITH_ADMIN) as here:
        with_phones(here)
        await api(here, "pause", ALL)
        await here.post([shipped(), track("Signed Up")])
        await here.settle()
    code, said = await asyncio.to_thread(run, tmp_path, "held", "list")
    assert code == 0, said
    assert "2 held." in said
    code, said = await asyncio.to_thread(
        run, tmp_path, "held", "discard", "--rule", "welcome", "--yes"
    )
    assert code == 0, said
    assert said.splitlines()[0] == "1 chosen, among them:"
    assert said.splitlines()[-1] == "1 discarded."
    code, said = await asyncio.to_thread(run, tmp_path, "resume", "pushes")
    assert (code, said) == (0, "Resumed: all pushes. 1 released.\n")


def test_releasing_needs_a_choice(tmp_path: Path) -> None:
    assert run(tmp_path, "held", "release")[0] == 2
