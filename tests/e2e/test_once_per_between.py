"""`once_per`, when something comes between: nobody gets one for another's place, and nobody loses one for good."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from bridge.clock import ManualClock
from bridge.config import DEFAULT as APP
from bridge.deliver.brake import PUSHES
from bridge.deliver.held import discard, holdings, release_resumed
from bridge.deliver.replay import replay
from bridge.sandbox import create_sandbox
from tests.harness import APP_ID, Rig, ends, identify, rig, track

MAPPING = """
version: 1
push: {platforms: {exclude: [ios]}}
rules:
  - name: offer
    when: event = "Sale"
    max_age: 30d
    group: 1s
    once_per: {time: 1h}
    do: {send_notification: {contents: "{{ messageId }}"}}
"""
ALONE = MAPPING.replace("    group: 1s\n", "")
MAPPINGS = {"alone": ALONE, "in a group": MAPPING}
both_ways = pytest.mark.parametrize("way", sorted(MAPPINGS))


def fail(here: Rig, *answers: dict[str, Any], kind: str = "send") -> None:
    here.sandbox.faults.script({"match": {"class": kind}, "answers": answers, "times": 1})


def shown(here: Rig) -> list[str]:
    return sorted(push.text for push in here.sandbox.pushes)


async def sale(here: Rig, name: str, user: str = "u1") -> None:
    await here.post(track("Sale", user, name))
    await here.settle(within=6 * 3600)


async def again(here: Rig) -> None:
    """Ask once more for the only dead letter."""
    (dead,) = await here.bridge.journal.dead_letters()
    await replay(here.bridge.journal, dead.id, now_ms=here.clock.now_ms())
    here.bridge.nudge(APP, frozenset({dead.user_hash}))
    await here.settle()


@both_ways
async def test_what_is_refused_again_gives_back_no_place_but_its_own(
    tmp_path: Path, way: str
) -> None:
    async with rig(tmp_path, MAPPINGS[way]) as here:
        here.sandbox.add_device("u1", "android", app_id=APP_ID)
        fail(here, {"status": 400}, {"ordinary": True}, {"status": 400})
        await sale(here, "refused")
        await sale(here, "taken")
        await again(here)
        assert (await here.bridge.journal.counts()).dead == 1
        await sale(here, "late")
        assert shown(here) == ["taken"]


async def test_what_may_have_arrived_keeps_the_place_whatever_becomes_of_the_rest_of_its_rule(
    tmp_path: Path,
) -> None:
    mapping = ALONE.replace('Id }}"}}', 'Id }}"}, track_custom_event: {name: offered}}')
    async with rig(tmp_path, mapping) as here:
        here.sandbox.add_device("u1", "android", app_id=APP_ID)
        fail(here, {"reset": True, "applied": True}, {"status": 400})
        fail(here, {"status": 400}, kind="event")
        here.means.destination.events.hold(60)
        await sale(here, "first")
        assert {one.uncertain for one in await here.bridge.journal.dead_letters()} == {True, False}
        await sale(here, "late")
        assert shown(here) == ["first"]


async def test_of_two_who_are_found_to_be_one_each_place_counts_for_itself(tmp_path: Path) -> None:
    mapping = ALONE.replace("version: 1", "version: 1\nidentity: {anonymous: external_id}")
    async with rig(tmp_path, mapping) as here:
        for user in ("u1", "visitor"):
            here.sandbox.add_device(user, "android", app_id=APP_ID)
        await sale(here, "known")
        await here.pass_time(60)
        here.means.destination.sends.hold(120)
        visit = track("Sale", "", "visit") | {"anonymousId": "visitor"}
        await here.post({name: value for name, value in visit.items() if name != "userId"})
        await here.still()
        await here.post(identify("u1") | {"anonymousId": "visitor"})
        fail(here, {"status": 400})
        await here.settle()
        assert (await here.bridge.journal.counts()).dead == 1
        await sale(here, "late")
        assert shown(here) == ["known"]


@both_ways
async def test_what_is_under_way_keeps_its_place_however_long_that_takes(
    tmp_path: Path, way: str
) -> None:
    async with rig(tmp_path, MAPPINGS[way]) as here:
        here.sandbox.add_device("u1", "android", app_id=APP_ID)
        here.means.destination.sends.hold(3 * 3600)
        await here.post(track("Sale", "u1", "first"))
        await here.pass_time(2 * 3600)
        # Nothing of the same rule for somebody else takes it, either.
        await here.post(track("Sale", "u2", "other"))
        await here.post(track("Sale", "u1", "meanwhile"))
        await here.settle(within=6 * 3600)
        await here.pass_time(50 * 60)
        await sale(here, "soon after")
        assert shown(here) == ["first"]
        await here.pass_time(10 * 60)
        await sale(here, "later")
        assert shown(here) == ["first", "later"]


@both_ways
async def test_so_does_what_is_held_until_it_has_left_or_is_discarded(
    tmp_path: Path, way: str
) -> None:
    clock = ManualClock()
    app = create_sandbox(clock=clock)
    for user in ("u1", "u2"):
        app.state.sandbox.add_device(user, "android", app_id=APP_ID)
    async with rig(tmp_path, MAPPINGS[way], clock=clock, onesignal=app) as here:
        await here.bridge.brake.pull(PUSHES)
        await sale(here, "first")
    clock.advance(5 * 3600)
    async with rig(tmp_path, MAPPINGS[way], clock=clock, onesignal=app) as here:
        await sale(here, "meanwhile")
        await here.bridge.brake.let_go(PUSHES)
        await release_resumed(here.bridge.journal, here.bridge.brake, nudge=here.bridge.nudge)
        await here.settle()
        await sale(here, "soon after")
        assert shown(here) == ["first"]
        await here.bridge.brake.pull(PUSHES)
        await sale(here, "unwanted", "u2")
        await discard(
            here.bridge.journal, await holdings(here.bridge.journal), now_ms=clock.now_ms()
        )
        await here.bridge.brake.let_go(PUSHES)
        await sale(here, "wanted", "u2")
        assert shown(here) == ["first", "wanted"]


async def test_who_sends_to_another_and_is_erased_holds_no_place_for_ever(tmp_path: Path) -> None:
    mapping = ALONE.replace('Id }}"}}', 'Id }}", to: {external_id: "{{ properties.to }}"}}}')
    async with rig(tmp_path, mapping) as here:
        here.sandbox.add_device("u2", "android", app_id=APP_ID)
        await here.bridge.brake.pull(PUSHES)
        await here.post(track("Sale", "u1", "from u1", properties={"to": "u2"}))
        await here.settle()
        await here.post({"type": "delete", "userId": "u1", "messageId": "d"})
        await here.settle()
        assert (await here.bridge.journal.counts()).held == 0
        await here.bridge.brake.let_go(PUSHES)
        await here.pass_time(3600)
        await here.post(track("Sale", "u3", "from u3", properties={"to": "u2"}))
        await here.settle()
        assert shown(here) == ["from u3"]
        assert ends((await here.outcomes())[-1:]) == {
            "offer/send_notification": ("delivered", None)
        }
