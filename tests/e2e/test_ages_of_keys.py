"""A push that may have arrived is sent again under its key only, and not at all once OneSignal has forgotten that."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from bridge.config import DEFAULT as APP
from bridge.deliver.brake import PUSHES
from bridge.deliver.held import release_resumed
from bridge.deliver.replay import replay, replay_all
from bridge.journal.piles import Choice
from bridge.journal.records import Dead, Replayed
from bridge.onesignal.operations import KEYS_KEPT_MS
from bridge.sandbox import create_sandbox
from tests.harness import APP_ID, Rig, SetClock, ends, rig, track

GROUPED = """
version: 1
push: {platforms: {exclude: [ios]}}
rules:
  - name: offer
    when: event = "Sale"
    max_age: 90d
    group: 3s
    do: {send_notification: {contents: "Shoes for it"}}
"""
ALONE = GROUPED.replace("    group: 3s\n", "")
both_ways = pytest.mark.parametrize("mapping", [ALONE, GROUPED], ids=["alone", "in a group"])
ARRIVED = {"reset": True, "applied": True}
"""An answer that was lost, of a push that was not."""
SLOW = {"status": 503, "headers": {"Retry-After": "3000"}}
DELIVERED = {"offer/send_notification": ("delivered", None)}
UNKNOWN = {"offer/send_notification": ("dead", "unknown_outcome")}
DAY = 86_400
KEPT = KEYS_KEPT_MS / 1000


def fail(here: Rig, *answers: dict[str, Any]) -> None:
    here.sandbox.faults.clear()
    here.sandbox.faults.script({"match": {"class": "send"}, "answers": answers, "times": 1})


async def arrived(here: Rig) -> Dead:
    """The letter of a push that is on a phone, of which OneSignal then says that it is refused."""
    here.sandbox.add_device("u1", "android", app_id=APP_ID)
    fail(here, ARRIVED, {"status": 400})
    await here.post(track("Sale"))
    await here.settle()
    here.sandbox.faults.clear()
    (dead,) = await here.bridge.journal.dead_letters()
    assert dead.uncertain
    return dead


async def again(here: Rig, dead: Dead) -> Replayed:
    done = await replay(here.bridge.journal, dead.id, now_ms=here.clock.now_ms())
    here.bridge.nudge(APP, frozenset({dead.user_hash}))
    return done.done


async def resume(here: Rig) -> None:
    await here.bridge.brake.let_go(PUSHES)
    await release_resumed(here.bridge.journal, here.bridge.brake, nudge=here.bridge.nudge)


@both_ways
async def test_what_may_have_arrived_is_not_sent_again_once_its_key_is_forgotten(
    tmp_path: Path, mapping: str
) -> None:
    async with rig(tmp_path, mapping) as here:
        dead = await arrived(here)
        here.clock.advance(KEPT + 60)
        assert await again(here, dead) == "key-forgotten"
        journal, now = here.bridge.journal, here.clock.now_ms
        all_of_it = await replay_all(
            journal, Choice(), replan=True, now=now, nudge=here.bridge.nudge
        )
        assert (all_of_it.replayed, all_of_it.forgotten) == (0, 1)
        await here.settle()
        assert len(here.sandbox.pushes) == 1


@both_ways
async def test_what_may_have_arrived_is_not_held_when_it_is_replayed_during_a_pause(
    tmp_path: Path, mapping: str
) -> None:
    async with rig(tmp_path, mapping) as here:
        dead = await arrived(here)
        await here.bridge.brake.pull(PUSHES)
        assert await again(here, dead) == "replayed"
        await here.pass_time(60)
        # A person could discard it, and it may be on a phone.
        assert (await here.bridge.journal.counts()).held == 0
        await here.bridge.brake.let_go(PUSHES)
        await here.settle()
        assert ends(await here.outcomes()) == DELIVERED
        assert len(here.sandbox.pushes) == 1


@both_ways
async def test_nor_by_itself_however_long_it_was_paused(tmp_path: Path, mapping: str) -> None:
    async with rig(tmp_path, mapping) as here:
        here.sandbox.add_device("u1", "android", app_id=APP_ID)
        fail(here, ARRIVED, SLOW)
        await here.post(track("Sale"))
        await here.pass_time(30)
        await here.bridge.brake.pull(PUSHES)
        here.clock.advance(KEPT)
        await here.bridge.brake.let_go(PUSHES)
        await here.settle()
        assert ends(await here.outcomes()) == UNKNOWN
        assert len(here.sandbox.pushes) == 1


@both_ways
async def test_what_was_held_for_longer_than_that_was_never_sent_and_leaves(
    tmp_path: Path, mapping: str
) -> None:
    clock = SetClock()
    app = create_sandbox(clock=clock)
    app.state.sandbox.add_device("u1", "android", app_id=APP_ID)
    async with rig(tmp_path, mapping, clock=clock, onesignal=app) as here:
        await here.bridge.brake.pull(PUSHES)
        await here.post(track("Sale"))
        await here.settle()
    clock.advance(KEPT)
    async with rig(tmp_path, mapping, clock=clock, onesignal=app) as here:
        await resume(here)
        fail(here, {"reset": True})
        await here.settle()
        assert ends(await here.outcomes()) == DELIVERED
        assert len(here.sandbox.pushes) == 1


@both_ways
async def test_a_key_does_not_grow_younger_because_a_person_tries_again(
    tmp_path: Path, mapping: str
) -> None:
    async with rig(tmp_path, mapping) as here:
        dead = await arrived(here)
        here.clock.advance(KEPT - 8 * 3600)
        fail(here, *[SLOW] * 20)
        assert await again(here, dead) == "replayed"
        await here.pass_time(60)
        await here.bridge.brake.pull(PUSHES)
        here.sandbox.faults.clear()
        here.clock.advance(9 * 3600)
        await here.bridge.brake.let_go(PUSHES)
        await here.settle()
        assert ends(await here.outcomes()) == UNKNOWN
        assert len(here.sandbox.pushes) == 1


async def test_the_key_of_a_call_is_as_old_as_the_call_however_long_its_members_waited_for_it(
    tmp_path: Path,
) -> None:
    async with rig(tmp_path, GROUPED) as here:
        here.means.destination.sends.hold(21 * DAY)
        here.sandbox.add_device("u1", "android", app_id=APP_ID)
        fail(here, ARRIVED, {"status": 400})
        await here.post(track("Sale"))
        await here.settle(within=22 * DAY)
        (dead,) = await here.bridge.journal.dead_letters()
        assert dead.uncertain
        here.sandbox.faults.clear()
        here.clock.advance(20 * DAY)
        assert await again(here, dead) == "replayed"
        await here.settle()
        assert ends(await here.outcomes()) == DELIVERED
        assert len(here.sandbox.pushes) == 1


@both_ways
async def test_the_key_of_what_was_held_for_weeks_is_as_old_as_its_first_call(
    tmp_path: Path, mapping: str
) -> None:
    async with rig(tmp_path, mapping) as here:
        here.sandbox.add_device("u1", "android", app_id=APP_ID)
        await here.bridge.brake.pull(PUSHES)
        await here.post(track("Sale"))
        await here.settle()
        here.clock.advance(21 * DAY)
        fail(here, ARRIVED, {"status": 400})
        await resume(here)
        await here.settle()
        (dead,) = await here.bridge.journal.dead_letters()
        assert dead.uncertain
        here.sandbox.faults.clear()
        here.clock.advance(20 * DAY)
        assert await again(here, dead) == "replayed"
        await here.settle()
        assert ends(await here.outcomes()) == DELIVERED
        assert len(here.sandbox.pushes) == 1


@both_ways
async def test_nor_does_it_because_the_clock_was_set_back(tmp_path: Path, mapping: str) -> None:
    clock = SetClock()
    async with rig(tmp_path, mapping, clock=clock) as here:
        dead = await arrived(here)
        clock.advance(KEPT - 2 * DAY)
        clock.set_by(-20 * DAY)
        await here.post(track("Anything else", "u2"))
        await here.settle()
        fail(here, *[SLOW] * 20)
        assert await again(here, dead) == "replayed"
        await here.pass_time(60)
        await here.bridge.brake.pull(PUSHES)
        here.sandbox.faults.clear()
        clock.advance(3 * DAY)
        await here.bridge.brake.let_go(PUSHES)
        await here.settle()
        assert ends((await here.outcomes())[:1]) == UNKNOWN
        (dead,) = await here.bridge.journal.dead_letters()
        assert await again(here, dead) == "key-forgotten"
        assert len(here.sandbox.pushes) == 1
