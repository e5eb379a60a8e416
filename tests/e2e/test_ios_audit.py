"""The audit asks OneSignal whether iPhones were left out, and pulls the brake when they were not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given, strategies as st
from pydantic import SecretStr

from bridge.clock import ManualClock
from bridge.config import DEFAULT as APP
from bridge.deliver.audit import ios_deliveries
from bridge.journal.devices import Device
from bridge.onesignal.platforms import excludes_ios
from bridge.sandbox import Behaviour, create_sandbox
from bridge.sandbox.ledger import Call
from tests.harness import APP_ID, Rig, rig, track

SHOP = """
version: 1
push: {platforms: {exclude: [ios]}}
rules:
  - name: shipped
    when: event = "Order Shipped"
    max_age: 30d
    do: {send_notification: {contents: "{{ properties.id }} is on its way"}}
  - name: welcome
    when: event = "Signed Up"
    do: {send_notification: {contents: "Welcome"}}
  - name: together
    when: event = "Sale"
    group: 1s
    do: {send_notification: {contents: "Now!"}}
"""
BY_DEVICES = """
  - name: by-devices
    when: event = "By Devices"
    do:
      send_notification:
        platforms: {exclude: [ios], by: devices}
        contents: "Yours"
"""
EVERYWHERE = SHOP.replace("{exclude: [ios]}", "all")


def views(here: Rig) -> list[Call]:
    return [call for call in here.sandbox.calls if call.endpoint_class == "view"]


def with_phones(here: Rig, *users: str) -> None:
    for user in users or ("u1",):
        for platform in ("android", "ios"):
            here.sandbox.add_device(user, platform, app_id=APP_ID)


async def test_the_first_push_of_each_rule_is_looked_at_some_minutes_later(tmp_path: Path) -> None:
    async with rig(tmp_path, SHOP) as here:
        with_phones(here, "u1", "u2")
        for user in ("u1", "u2"):
            await here.post(
                [track("Order Shipped", user, properties={"id": "A7"}), track("Signed Up", user)]
            )
            await here.post(track("Sale", user))
        await here.settle()
        assert views(here) == []
        await here.pass_time(400)
        assert [call.status for call in views(here)] == [200, 200, 200]
        assert all(call.path.startswith("/notifications/") for call in views(here))
        assert here.bridge.brake.pauses == {}
        await here.pass_time(3600)
        assert len(views(here)) == 3


async def test_of_many_pushes_one_a_minute_is_looked_at_and_one_a_second_at_most(
    tmp_path: Path,
) -> None:
    users = [f"u{n}" for n in range(40)]
    async with rig(tmp_path, SHOP) as here:
        with_phones(here, *users)
        for user in users:
            await here.post(track("Signed Up", user))
            await here.pass_time(15)
        await here.pass_time(900)
        assert 9 <= len(views(here)) <= 12
        assert not here.sandbox.complaints


async def test_where_iphones_are_meant_nothing_is_looked_at(tmp_path: Path) -> None:
    async with rig(tmp_path, EVERYWHERE, onesignal_platforms=("android", "web", "ios")) as here:
        with_phones(here)
        await here.post(track("Signed Up"))
        await here.pass_time(3600)
        assert len(here.sandbox.pushes) == 2
        assert views(here) == []


async def test_an_iphone_that_was_reached_stops_all_pushes_until_a_person_resumes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    clock = ManualClock()
    onesignal = create_sandbox(clock=clock)
    async with rig(tmp_path, SHOP, clock=clock, onesignal=onesignal) as here:
        with_phones(here, "u1", "u2")
        here.sandbox.behaviour = Behaviour(ignore_flags=True)
        await here.post(track("Signed Up", "u1"))
        await here.settle()
        assert {push.platform for push in here.sandbox.pushes} == {"android", "ios"}
        await here.pass_time(400)
        (pause,) = here.bridge.brake.pauses.values()
        assert (pause.what, pause.reason) == ("pushes", "ios_reached")
        assert "ios_reached" in capsys.readouterr().out
        assert "bridge_ios_reached_total 1.0" in (await here.http.get("/metrics")).text
        await here.post(track("Order Shipped", "u2", properties={"id": "A7"}))
        await here.settle()
        assert len(here.sandbox.pushes) == 2
    async with rig(tmp_path, SHOP, clock=clock, onesignal=onesignal) as here:
        assert here.bridge.brake.paused("shipped")
        assert await here.bridge.journal.sends.held_counts() == [
            ("default", "shipped", "paused", 1)
        ]


async def test_what_trusted_in_the_flags_stays_held_when_a_person_resumes(tmp_path: Path) -> None:
    async with rig(tmp_path, SHOP + BY_DEVICES, admin_token=SecretStr("let-me-in")) as here:
        with_phones(here, "u1", "u2")
        journal = here.bridge.journal
        found = here.sandbox.user("u2", app_id=APP_ID)
        assert found is not None
        (android,) = [one.id for one in found.subscriptions.values() if one.type == "AndroidPush"]
        registered = Device(APP, journal.user_hash(APP, "u2"), "android", android)
        await journal.devices.keep(registered, of_another="move", now_ms=here.clock.now_ms())
        here.sandbox.behaviour = Behaviour(ignore_flags=True)
        await here.post(track("Signed Up", "u1"))
        await here.pass_time(400)
        before = len(here.sandbox.pushes)
        await here.post(track("Order Shipped", "u2", properties={"id": "A7"}))
        await here.post(track("By Devices", "u2", "m2"))
        await here.settle()
        assert sorted(await journal.sends.held_counts()) == [
            (APP, "by-devices", "paused", 1),
            (APP, "shipped", "paused", 1),
        ]
        token = {"authorization": "Bearer let-me-in"}
        resumed = await here.http.post("/api/v1/resume", json={"what": "pushes"}, headers=token)
        assert resumed.json()["released"] == 1
        await here.settle()
        assert [one.platform for one in list(here.sandbox.pushes)[before:]] == ["android"]
        assert await journal.sends.held_counts() == [(APP, "shipped", "ios_reached", 1)]
        # A person ends it, or lets it go for all that.
        choice = {"rule": "shipped", "reason": "ios_reached"}
        gone = await here.http.post("/api/v1/held/discard", json=choice, headers=token)
        assert gone.json() == {"discarded": 1}
        assert await journal.sends.held_counts() == []


async def test_what_is_to_be_looked_at_outlasts_a_restart(tmp_path: Path) -> None:
    clock = ManualClock()
    onesignal = create_sandbox(clock=clock)
    async with rig(tmp_path, SHOP, clock=clock, onesignal=onesignal) as here:
        with_phones(here)
        await here.post(track("Signed Up"))
        await here.settle()
    async with rig(tmp_path, SHOP, clock=clock, onesignal=onesignal) as here:
        await here.pass_time(400)
        assert len(views(here)) == 1


@pytest.mark.parametrize(
    "answer",
    [{"status": 503}, {"status": 429, "headers": {}}, {"reset": True}, {"status": 401}],
)
async def test_a_look_that_fails_is_tried_again_and_then_given_up(
    tmp_path: Path, answer: dict[str, Any]
) -> None:
    async with rig(tmp_path, SHOP) as here:
        with_phones(here)
        script = {"match": {"class": "view"}, "answers": [answer], "times": "until_cleared"}
        here.sandbox.faults.script(script)
        await here.post(track("Signed Up"))
        await here.pass_time(3600)
        assert len(views(here)) == 5
        assert here.bridge.brake.pauses == {}


@pytest.mark.parametrize(
    ("stats", "count"),
    [
        ({"ios": {"successful": 1, "failed": 0, "errored": 0}}, 1),
        ({"ios": {"successful": 0, "failed": 0, "errored": 3}}, 3),
        ({"iOS": {"received": 2}}, 2),
        ({"ios": {"successful": 0}}, 0),
        ({"android": {"successful": 9}}, 0),
        ({"ios": None}, 0),
        ({}, 0),
        (None, 0),
    ],
)
def test_any_try_to_reach_an_iphone_counts(stats: Any, count: int) -> None:
    assert ios_deliveries({"platform_delivery_stats": stats}) == count


@given(
    st.recursive(
        st.none() | st.integers() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    )
)
def test_whatever_is_answered_is_read(answer: Any) -> None:
    assert ios_deliveries(answer) >= 0
    assert ios_deliveries({"platform_delivery_stats": answer}) >= 0


@pytest.mark.parametrize(
    ("body", "excluded"),
    [
        ({"isIos": False, "isAndroid": True}, True),
        ({"isIos": True}, False),
        ({"data": {"isIos": False}, "isIos": True}, False),
        ({"contents": {"en": '"isIos":false'}}, False),
        ({}, False),
    ],
)
def test_only_the_flag_itself_excludes(body: Any, excluded: object) -> None:
    assert excludes_ios(orjson.dumps(body)) is excluded
