"""`explain` tells the story of a person across ids, and how far two users have become one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from bridge.config import DEFAULT as APP
from bridge.explain.answer import answer_of, asked_of
from bridge.journal.devices import Device
from tests.harness import APP_ID, Rig, rig, track
from tests.visitors import ALIAS, POLICIES, alias, anonymously, say, signs_up, visitor, visits


async def told(here: Rig, user: str | None = None, message_id: str | None = None) -> Any:
    apps, sources = here.bridge.config.apps, here.bridge.config.sources
    mappings = here.bridge.mappings
    asked = asked_of(user, message_id, 20, apps=apps, sources=sources, mappings=mappings)
    traces = await here.bridge.journal.traces(asked)
    answer = answer_of(
        asked,
        traces,
        apps=apps,
        sources=sources,
        mappings=mappings,
        now_ms=here.clock.now_ms(),
    )
    return answer["events"]


def ids(events: Any) -> list[str]:
    return [event["message_id"] for event in events]


def operation(event: Any, name: str) -> Any:
    return next(one for one in event["operations"] if one["operation"] == name)


@POLICIES
async def test_the_events_of_all_ids_are_the_persons(tmp_path: Path, mapping: str) -> None:
    async with rig(tmp_path, mapping) as here:
        await say(
            here,
            visits("shoes", message_id="m1"),
            signs_up("u1", message_id="m2", tier="gold"),
            visits("hats", message_id="m3"),
            alias("u2", "u1", "m4"),
            track("Hello", "u2", "m5"),
        )
        whole = ["m5", "m4", "m3", "m2", "m1"]
        for user in ("u2", "u1", "a1"):
            assert ids(await told(here, user)) == whole
        events = {event["message_id"]: event for event in await told(here, "u2")}
        assert events["m3"]["remarks"] == [
            "It was heard of another id, which was found to be its user's."
        ]
        assert events["m5"]["remarks"] == []
        merged = operation(events["m2"], "merge_users")
        assert merged["words"] == "the two are one user at OneSignal now"
        assert [call["method"] for call in events["m2"]["calls"]] == ["PATCH", "PATCH"]


async def test_a_link_that_is_no_news_is_no_operation(tmp_path: Path) -> None:
    async with rig(tmp_path, ALIAS) as here:
        await say(
            here, signs_up("u1", message_id="m1"), signs_up("u1", message_id="m2", tier="gold")
        )
        again, first = await told(here, "u1")
        assert [one["operation"] for one in again["operations"]] == ["update_user"]
        assert operation(first, "merge_users")["words"].startswith("OneSignal knows nobody")


async def test_how_far_a_merge_has_come_is_told(tmp_path: Path) -> None:
    async with rig(tmp_path, ALIAS) as here:
        here.sandbox.add_device("u1", "android", app_id=APP_ID)
        here.means.roll = lambda: 1.0
        await say(here, visits("shoes"))
        before = visitor(here, ALIAS)
        assert before is not None
        for token in ("one", "two"):
            here.sandbox.world.app(APP_ID).subscribe(before, "ChromePush", token)
        steps = (
            ("identity", "OneSignal is to be asked: not yet: OneSignal answered 503"),
            ("users/by/anonymous_id", "one look a second for all of the app"),
            ("owner", "2 devices are to be moved yet"),
        )
        await here.post(signs_up("u1", message_id="m2", tier="gold"))
        for text, _ in steps:
            match = {"path": f"*{text}*"}
            here.sandbox.faults.script({"match": match, "answers": [{"status": 503}], "times": 1})
        seen = []
        for _ in range(400):
            await here.pass_time(0.25)
            (event,) = await told(here, message_id="m2")
            said = operation(event, "merge_users")
            if said["words"] not in seen:
                seen.append(said["words"])
            if event["state"] != "pending":
                break
        assert all(any(words in one for one in seen) for _, words in steps), seen
        assert seen[-1] == "the two are one user at OneSignal now; 2 devices moved"
        assert not here.sandbox.complaints


@POLICIES
async def test_why_a_rule_did_not_fire_is_told_across_ids(tmp_path: Path, mapping: str) -> None:
    async with rig(tmp_path, mapping) as here:
        await say(here, visits())
        before = visitor(here, mapping)
        assert before is not None
        here.sandbox.world.app(APP_ID).subscribe(before, "ChromePush", "browser")
        await say(
            here, anonymously("Once", message_id="m1"), signs_up(), track("Once", message_id="m2")
        )
        (event,) = await told(here, message_id="m2")
        words = operation(event, "send_notification")["words"]
        assert words.endswith("before (once_per 7d), by message m1")


@pytest.mark.parametrize("status", [400, 409])
async def test_what_onesignal_refuses_is_dead_and_can_be_replayed(
    tmp_path: Path, status: int
) -> None:
    async with rig(tmp_path, ALIAS) as here:
        here.sandbox.add_device("u1", "android", app_id=APP_ID)
        await say(here, visits("shoes"))
        before = visitor(here, ALIAS)
        assert before is not None
        device = here.sandbox.world.app(APP_ID).subscribe(before, "ChromePush", "one")
        match = {"path": "*identity" if status == 400 else "*owner"}
        here.sandbox.faults.script({"match": match, "answers": [{"status": status}], "times": 1})
        await say(here, signs_up("u1", message_id="m2", tier="gold"))
        (dead,) = await here.bridge.journal.dead_letters()
        assert dead.operation == "merge_users"
        assert dead.reason == ("http_400" if status == 400 else "subscription_limit")
        found = here.sandbox.user("u1", app_id=APP_ID)
        assert found is not None
        assert found.tags == {"seen": "shoes", "tier": "gold"}
        assert device.owner is before
        (event,) = await told(here, message_id="m2")
        assert event["state"] == "dead"
        await here.bridge.piles.replay(dead.id, replan=False, who="test")
        await here.settle()
        assert device.owner is found
        (event,) = await told(here, message_id="m2")
        assert event["state"] == "delivered"
        assert not here.sandbox.complaints


async def test_that_somebody_else_came_on_a_device_while_it_was_moved_is_told(
    tmp_path: Path,
) -> None:
    async with rig(tmp_path, ALIAS) as here:
        here.sandbox.add_device("u1", "android", app_id=APP_ID)
        await say(here, visits("shoes"))
        before = visitor(here, ALIAS)
        assert before is not None
        device = here.sandbox.world.app(APP_ID).subscribe(before, "ChromePush", "one")
        slow = {"match": {"path": "*owner"}, "answers": [{"delay": 5}]}
        here.sandbox.faults.script(slow)
        await here.post(signs_up("u1", message_id="m2", tier="gold"))
        while not any(call.path.endswith("owner") for call in here.sandbox.calls):
            await here.pass_time(0.25)
        journal = here.bridge.journal
        # Its app says so, and OneSignal's SDK has said so there.
        other = Device(APP, journal.user_hash(APP, "u2"), "web", device.id)
        await journal.devices.keep(other, of_another="move", now_ms=here.clock.now_ms())
        await here.settle()
        (event,) = await told(here, message_id="m2")
        words = operation(event, "merge_users")["words"]
        assert words.endswith("1 devices moved; somebody else logged in on 1 meanwhile")
