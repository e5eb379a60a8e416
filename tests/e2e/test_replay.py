"""What a person does with a dead letter, and what comes of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from bridge.deliver.replay import replay as replay_one
from bridge.journal.records import Dead
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
    do:
      update_user: {tags: {last_order: "{{ properties.id }}"}}
      send_notification: {contents: "{{ properties.id }} is on its way"}
  - name: flash
    when: event = "Flash Sale"
    max_age: 30m
    do: {send_notification: {contents: "Now!"}}
"""
TOKEN = "let-me-in"


async def replay(here: Rig, dead_id: int) -> int:
    """Ask the API for a replay; the status of its answer."""
    answer = await here.http.post(
        f"/api/v1/dead/{dead_id}/replay", headers={"authorization": f"Bearer {TOKEN}"}
    )
    return answer.status_code


async def only_dead(here: Rig) -> Dead:
    (dead,) = await here.bridge.journal.dead_letters()
    return dead


def fail(here: Rig, endpoint_class: str, *answers: dict[str, Any], times: int = 1) -> None:
    here.sandbox.faults.script(
        {"match": {"class": endpoint_class}, "answers": answers, "times": times}
    )


def keys(here: Rig) -> list[str | None]:
    return [call.idempotency_key for call in here.sandbox.calls if call.endpoint_class == "send"]


def last_ends(outcomes: list[tuple[int, str, str, str, str | None]]) -> dict[str, str]:
    return {f"{rule}/{name}": status for _, rule, name, status, _ in outcomes}


def serving(folder: Path) -> Any:
    return rig(folder, SHOP, admin_token=SecretStr(TOKEN))


async def test_a_refused_push_is_sent_again_once_under_a_new_key(tmp_path: Path) -> None:
    async with serving(tmp_path) as here:
        here.sandbox.add_device("u1", "android", app_id=APP_ID)
        fail(here, "send", {"status": 400})
        await here.post(track("Order Shipped", properties={"id": "A7"}))
        await here.settle()
        dead = await only_dead(here)

        assert await replay(here, dead.id) == 200
        assert await replay(here, dead.id) == 404
        await here.settle()

        assert len(keys(here)) == len(set(keys(here))) == 2
        assert [push.text for push in here.sandbox.pushes] == ["A7 is on its way"]
        assert await here.bridge.journal.dead_letters() == []
        assert last_ends(await here.outcomes()) == {
            "shipped/send_notification": "delivered",
            "shipped/update_user": "delivered",
        }
        # The update had been done, and a replay is about one operation.
        assert len(here.sandbox.calls) == 3
        assert not here.sandbox.complaints


async def test_a_push_of_unknown_outcome_is_sent_again_under_its_own_key(tmp_path: Path) -> None:
    async with serving(tmp_path) as here:
        here.sandbox.add_device("u1", "android", app_id=APP_ID)
        slow = {"status": 503, "headers": {"Retry-After": "3000"}}
        fail(here, "send", {"reset": True, "applied": True}, slow)
        await here.post(track("Flash Sale"))
        await here.settle()
        dead = await only_dead(here)
        assert dead.reason == "unknown_outcome"

        assert await replay(here, dead.id) == 200
        await here.settle()
        assert len(keys(here)) == 3
        assert len(set(keys(here))) == 1
        assert len(here.sandbox.pushes) == 1
        assert last_ends(await here.outcomes()) == {"flash/send_notification": "delivered"}
        assert not here.sandbox.complaints


async def test_a_push_of_unknown_outcome_that_is_refused_when_it_is_sent_again_keeps_its_key(
    tmp_path: Path,
) -> None:
    async with serving(tmp_path) as here:
        here.sandbox.add_device("u1", "android", app_id=APP_ID)
        fail(here, "send", {"reset": True, "applied": True}, {"status": 400}, {"status": 400})
        await here.post(track("Flash Sale"))
        await here.settle()
        for _ in range(2):
            dead = await only_dead(here)
            assert (dead.reason, dead.uncertain) == ("http_400", True)
            assert await replay(here, dead.id) == 200
            await here.settle()
        assert len(keys(here)) == 4
        assert len(set(keys(here))) == 1
        assert len(here.sandbox.pushes) == 1
        assert last_ends(await here.outcomes()) == {"flash/send_notification": "delivered"}


async def test_a_push_that_is_refused_again_is_dead_again(tmp_path: Path) -> None:
    async with serving(tmp_path) as here:
        here.sandbox.add_device("u1", "android", app_id=APP_ID)
        fail(here, "send", {"status": 400}, times=2)
        await here.post(track("Order Shipped", properties={"id": "A7"}))
        await here.settle()
        first = await only_dead(here)
        assert await replay(here, first.id) == 200
        await here.settle()
        second = await only_dead(here)
        assert second.id != first.id
        assert await replay(here, first.id) == 404
        assert await replay(here, second.id) == 200
        await here.settle()
        assert len(here.sandbox.pushes) == 1


async def test_an_update_is_planned_anew_and_nothing_else_of_its_event_is(tmp_path: Path) -> None:
    async with serving(tmp_path) as here:
        here.sandbox.add_device("u1", "android", app_id=APP_ID)
        fail(here, "write", {"status": 400})
        await here.post(track("Order Shipped", properties={"id": "A7"}))
        await here.settle()
        assert len(here.sandbox.pushes) == 1

        dead = await only_dead(here)
        assert (dead.rule, dead.operation) == ("shipped", "update_user")
        assert await replay(here, dead.id) == 200
        await here.settle()
        user = here.sandbox.user("u1", app_id=APP_ID)
        assert user is not None
        assert user.tags == {"last_order": "A7"}
        assert len(here.sandbox.pushes) == 1


async def test_of_two_rules_whose_update_was_refused_the_one_that_is_replayed_ends_anew(
    tmp_path: Path,
) -> None:
    both = SHOP.replace(
        "  - name: shipped",
        """  - name: joined
    when: type = "identify"
    do: {update_user: {tags: {joined: "yes"}}}
  - name: shipped""",
    )
    async with rig(tmp_path, both, admin_token=SecretStr(TOKEN)) as here:
        fail(here, "write", {"status": 400})
        await here.post(identify("u1", tier="gold"))
        await here.settle()
        dead = {one.rule: one.id for one in await here.bridge.journal.dead_letters()}
        assert dead.keys() == {"profile", "joined"}
        assert await replay(here, dead["joined"]) == 200
        await here.settle()
        assert (await only_dead(here)).rule == "profile"
        assert last_ends(await here.outcomes()) == {
            "joined/update_user": "delivered",
            "profile/update_user": "dead",
        }


async def test_an_update_that_is_replayed_while_the_push_of_its_event_is_out_is_not_lost(
    tmp_path: Path,
) -> None:
    async with serving(tmp_path) as here:
        here.sandbox.add_device("u1", "android", app_id=APP_ID)
        fail(here, "write", {"status": 400})
        fail(here, "send", {"delay": 100})
        await here.post(track("Order Shipped", properties={"id": "A7"}))
        await here.pass_time(10)
        dead = await only_dead(here)
        assert await replay(here, dead.id) == 200
        await here.settle()
        user = here.sandbox.user("u1", app_id=APP_ID)
        assert user is not None
        assert user.tags == {"last_order": "A7"}
        assert len(here.sandbox.pushes) == 1
        assert set(last_ends(await here.outcomes()).values()) == {"delivered"}


def explode(*_: object) -> None:
    raise ZeroDivisionError


async def test_an_event_that_could_not_be_planned_is_done_whole_when_it_can(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with serving(tmp_path) as here:
        here.sandbox.add_device("u1", "android", app_id=APP_ID)
        with monkeypatch.context() as patch:
            patch.setattr("bridge.deliver.chain.plan", explode)
            await here.post(track("Order Shipped", properties={"id": "A7"}))
            await here.settle()
            first = await only_dead(here)
            assert await replay(here, first.id) == 200
            await here.settle()
        dead = await only_dead(here)
        assert dead.reason == "plan_failed"
        assert await replay(here, dead.id) == 200
        await here.settle()

        assert last_ends(await here.outcomes()) == {
            "shipped/send_notification": "delivered",
            "shipped/update_user": "delivered",
        }
        assert len(here.sandbox.pushes) == 1


async def test_a_replay_that_cannot_be_planned_is_still_about_its_operation_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with serving(tmp_path) as here:
        here.sandbox.add_device("u1", "android", app_id=APP_ID)
        fail(here, "write", {"status": 400})
        await here.post(track("Order Shipped", properties={"id": "A7"}))
        await here.settle()
        with monkeypatch.context() as patch:
            patch.setattr("bridge.deliver.chain.plan", explode)
            assert await replay(here, (await only_dead(here)).id) == 200
            await here.settle()
        dead = await only_dead(here)
        assert (dead.rule, dead.operation, dead.reason) == ("shipped", "update_user", "plan_failed")
        assert last_ends(await here.outcomes()) == {
            "shipped/send_notification": "delivered",
            "shipped/update_user": "dead",
        }


async def test_a_replay_whose_rule_is_gone_ends_as_that(tmp_path: Path) -> None:
    async with serving(tmp_path) as here:
        fail(here, "write", {"status": 400})
        await here.post(identify("u1", tier="gold"))
        await here.settle()
        dead = await only_dead(here)
    without = SHOP.replace('type = "identify"', 'type = "group"')
    async with rig(tmp_path, without, admin_token=SecretStr(TOKEN)) as here:
        assert await replay(here, dead.id) == 200
        await here.settle()
        assert await here.outcomes() == [(1, "profile", "update_user", "skipped", "rule_gone")]


async def test_of_two_that_are_replayed_the_one_whose_rule_is_gone_ends_though_the_other_is_in_a_group(
    tmp_path: Path,
) -> None:
    both = """
version: 1
push: {platforms: {exclude: [ios]}}
rules:
  - name: sale
    when: event = "Sale"
    group: 3s
    do: {send_notification: {contents: "Now!"}}
  - name: seen
    when: event = "Sale"
    do: {update_user: {tags: {seen: "yes"}}}
"""
    async with rig(tmp_path, both) as here:
        fail(here, "write", {"status": 400})
        fail(here, "send", {"status": 400})
        await here.post(track("Sale"))
        await here.settle()
    async with rig(tmp_path, both.replace("name: seen", "name: other")) as here:
        here.sandbox.add_device("u1", "android", app_id=APP_ID)
        for dead in await here.bridge.journal.dead_letters():
            await replay_one(here.bridge.journal, dead.id, now_ms=here.clock.now_ms(), replan=True)
            here.lanes.nudge(dead.user_hash)
        await here.settle()
        assert last_ends(await here.outcomes()) == {
            "sale/send_notification": "delivered",
            "seen/update_user": "skipped",
        }


async def test_a_replay_of_a_user_that_waits_is_looked_at_at_once(tmp_path: Path) -> None:
    async with serving(tmp_path) as here:
        here.sandbox.add_device("u1", "android", app_id=APP_ID)
        fail(here, "write", {"status": 400})
        await here.post(identify("u1", tier="gold"))
        await here.settle()
        slow = {"status": 503, "headers": {"Retry-After": "3000"}}
        fail(here, "send", slow)
        await here.post(track("Flash Sale"))
        await here.still()

        assert await replay(here, (await only_dead(here)).id) == 200
        await here.pass_time(5)
        user = here.sandbox.user("u1", app_id=APP_ID)
        assert user is not None
        assert user.tags == {"tier": "gold"}
