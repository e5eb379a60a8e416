"""Pushes to registered devices: no trust in flags, no call where there is nobody, and one push each."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given, strategies as st

from bridge.clock import ManualClock
from bridge.config import DEFAULT as APP
from bridge.deliver.devices import choose
from bridge.deliver.held import release_resumed
from bridge.journal.devices import Device
from bridge.onesignal.operations import ByDevices
from bridge.onesignal.platforms import IOS, PLATFORMS
from bridge.sandbox import Behaviour
from bridge.sandbox.ledger import Call
from bridge.sandbox.world import Subscription
from tests.harness import APP_ID, Rig, ends, rig, track

SHOP = """
version: 1
push: {platforms: {exclude: [ios], by: devices}}
rules:
  - name: shipped
    when: event = "Order Shipped"
    do: {send_notification: {contents: "{{ properties.id }} is on its way"}}
  - name: together
    when: event = "Sale"
    group: 1s
    do: {send_notification: {contents: "Now!"}}
  - name: seller
    when: event = "Order Completed"
    do: {send_notification: {to: {devices: "{{ properties.seller }}"}, contents: "Sold"}}
  - name: everywhere
    when: event = "Chat"
    do: {send_notification: {to: {devices: "{{ userId }}"}, platforms: all, contents: "Hello"}}
  - name: fallback
    when: event = "News"
    do: {send_notification: {platforms: {exclude: [ios], by: devices, unknown_devices: flags}, contents: "News"}}
  - name: by-flags
    when: event = "Flags"
    do: {send_notification: {platforms: {exclude: [ios]}, contents: "By flags"}}
"""


def phone(here: Rig, user: str, platform: str, *, enabled: bool = True) -> Subscription:
    return here.sandbox.add_device(user, platform, enabled=enabled, app_id=APP_ID)


async def register(
    here: Rig, user: str, platform: str, subscription_id: str | None, **more: Any
) -> None:
    journal = here.bridge.journal
    number = journal.devices.name(APP, "installation", f"{user} {platform} {subscription_id}")
    device = Device(APP, journal.user_hash(APP, user), platform, subscription_id, number, **more)
    now_ms = here.clock.now_ms()
    await journal.devices.keep(device._replace(at_ms=now_ms), of_another="share", now_ms=now_ms)


async def phones(here: Rig, user: str, *platforms: str) -> list[Subscription]:
    """Devices that are at OneSignal and registered."""
    found = [phone(here, user, platform) for platform in platforms]
    for one, platform in zip(found, platforms, strict=True):
        await register(here, user, platform.partition("-")[0], one.id)
    return found


def sends(here: Rig) -> list[Call]:
    return [call for call in here.sandbox.calls if call.endpoint_class == "send"]


def bodies(here: Rig) -> list[dict[str, Any]]:
    return [
        orjson.loads(call.body) if isinstance(call.body, bytes) else call.body
        for call in sends(here)
    ]


async def outcome(here: Rig) -> dict[str, Any]:
    return ends(await here.outcomes())


async def test_a_push_names_the_devices_that_are_no_iphones(tmp_path: Path) -> None:
    async with rig(tmp_path, SHOP) as here:
        android, iphone, chrome = await phones(here, "u1", "android", "ios", "web-chrome")
        await here.post(track("Order Shipped", properties={"id": "A7"}))
        await here.settle()
        (body,) = bodies(here)
        assert set(body["include_subscription_ids"]) == {android.id, chrome.id}
        assert not [name for name in body if name.startswith(("is", "include_aliases"))]
        assert {push.subscription_id for push in here.sandbox.pushes} == {android.id, chrome.id}
        assert iphone.id not in str(here.sandbox.calls)
        assert await outcome(here) == {"shipped/send_notification": ("delivered", None)}
        assert not here.sandbox.complaints


@pytest.mark.parametrize(
    ("registered", "reason"),
    [
        ([("ios", True)], "only_ios"),
        ([("ios", True), ("ios", True), ("ios_web", True)], "only_ios"),
        ([("ios", False)], "only_ios"),
        ([], "no_devices"),
        ([("android", False)], "devices_off"),
        ([("android", False), ("ios", True)], "devices_off"),
        ([("huawei", True)], "no_platform"),
        ([("huawei", True), ("ios", True)], "no_platform"),
    ],
)
async def test_where_nobody_is_left_there_is_no_call_and_a_reason(
    tmp_path: Path, registered: list[tuple[str, bool]], reason: str
) -> None:
    async with rig(tmp_path, SHOP) as here:
        for number, (platform, subscribed) in enumerate(registered):
            known = f"0b7a3c1e-0000-4000-8000-00000000000{number}"
            await register(here, "u1", platform, known, subscribed=subscribed)
        await here.post(track("Order Shipped", properties={"id": "A7"}))
        await here.settle()
        assert sends(here) == []
        assert await outcome(here) == {"shipped/send_notification": ("skipped", reason)}


async def test_a_device_of_which_onesignals_id_is_not_known_gets_none(tmp_path: Path) -> None:
    async with rig(tmp_path, SHOP) as here:
        await register(here, "u1", "android", None)
        await here.post(track("Order Shipped", properties={"id": "A7"}))
        await here.settle()
        assert await outcome(here) == {"shipped/send_notification": ("skipped", "devices_off")}


async def test_a_device_that_was_not_seen_for_long_gets_none(tmp_path: Path) -> None:
    async with rig(tmp_path, SHOP) as here:
        await phones(here, "u1", "android")
        here.clock.advance(181 * 86_400)
        await here.post(track("Order Shipped", properties={"id": "A7"}))
        await here.settle()
        assert await outcome(here) == {"shipped/send_notification": ("skipped", "no_devices")}


async def test_somebody_of_whom_nothing_is_registered_is_pushed_by_flags_where_the_rule_says_so(
    tmp_path: Path,
) -> None:
    async with rig(tmp_path, SHOP) as here:
        phone(here, "u1", "android")
        phone(here, "u1", "ios")
        await here.post(track("News"))
        await here.settle()
        (body,) = bodies(here)
        assert body["include_aliases"] == {"external_id": ["u1"]}
        assert (body["isIos"], body["isAndroid"]) == (False, True)
        assert [push.platform for push in here.sandbox.pushes] == ["android"]


async def test_somebody_of_whom_only_iphones_are_registered_is_not_pushed_by_flags_either(
    tmp_path: Path,
) -> None:
    async with rig(tmp_path, SHOP) as here:
        await phones(here, "u1", "ios")
        await here.post(track("News"))
        await here.settle()
        assert sends(here) == []
        assert await outcome(here) == {"fallback/send_notification": ("skipped", "only_ios")}


async def test_a_push_to_the_devices_of_somebody_else(tmp_path: Path) -> None:
    async with rig(tmp_path, SHOP) as here:
        android, _ = await phones(here, "s1", "android", "ios")
        await here.post(track("Order Completed", "u1", properties={"seller": "s1"}))
        await here.settle()
        assert [push.subscription_id for push in here.sandbox.pushes] == [android.id]


async def test_all_of_a_persons_devices_where_iphones_are_meant(tmp_path: Path) -> None:
    platforms = ("android", "web", "ios")
    async with rig(tmp_path, SHOP, onesignal_platforms=platforms) as here:
        mine = await phones(here, "u1", "android", "ios")
        await here.post(track("Chat"))
        await here.settle()
        assert {push.subscription_id for push in here.sandbox.pushes} == {one.id for one in mine}


async def test_pushes_to_registered_devices_share_calls(tmp_path: Path) -> None:
    async with rig(tmp_path, SHOP) as here:
        wanted: set[str] = set()
        for number in range(5):
            android, _, chrome = await phones(here, f"u{number}", "android", "ios", "web-chrome")
            wanted |= {android.id, chrome.id}
        await here.post([track("Sale", f"u{number}") for number in range(5)])
        await here.settle()
        (body,) = bodies(here)
        assert set(body["include_subscription_ids"]) == wanted
        assert {push.subscription_id for push in here.sandbox.pushes} == wanted
        assert len(await here.outcomes()) == 5


async def test_a_call_holds_no_more_devices_than_it_may(tmp_path: Path) -> None:
    async with rig(tmp_path, SHOP, onesignal_alias_chunk=4) as here:
        for number in range(6):
            await phones(here, f"u{number}", "android", "web-chrome")
        await here.post([track("Sale", f"u{number}") for number in range(6)])
        await here.settle()
        assert [len(body["include_subscription_ids"]) for body in bodies(here)] == [4, 4, 4]
        assert len(here.sandbox.pushes) == 12


async def test_who_of_a_call_has_unsubscribed_at_onesignal_reached_nobody(tmp_path: Path) -> None:
    async with rig(tmp_path, SHOP) as here:
        for user, enabled in (("u1", True), ("u2", False)):
            one = phone(here, user, "android", enabled=enabled)
            await register(here, user, "android", one.id)
        await here.post([track("Sale", "u1"), track("Sale", "u2")])
        await here.settle()
        assert {(status, reason) for *_, status, reason in await here.outcomes()} == {
            ("delivered", None),
            ("no_recipients", "not_subscribed"),
        }


async def test_a_refused_call_is_halved_until_the_culprit_is_alone(tmp_path: Path) -> None:
    async with rig(tmp_path, SHOP) as here:
        for number in range(4):
            await phones(here, f"u{number}", "android", "web-chrome")
        await register(here, "u2", "android", "no-uuid")
        await here.post([track("Sale", f"u{number}") for number in range(4)])
        await here.settle()
        counted = sorted(status for *_, status, _ in await here.outcomes())
        assert counted == ["dead", "delivered", "delivered", "delivered"]
        (dead,) = await here.bridge.journal.dead_letters()
        assert "no-uuid" in orjson.loads(dead.request or b"{}")["include_subscription_ids"]


async def test_where_flags_do_nothing_no_registered_iphone_is_reached_and_the_audit_tells_of_the_flags(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async with rig(tmp_path, SHOP) as here:
        await phones(here, "u1", "android", "ios", "web-chrome")
        here.sandbox.behaviour = Behaviour(ignore_flags=True)
        await here.post(track("Order Shipped", properties={"id": "A7"}))
        await here.settle()
        await here.pass_time(400)
        reached = [push.platform for push in here.sandbox.pushes]
        assert sorted(reached) == ["android", "web-chrome"]
        # The audit has looked at it, and found nothing.
        assert [call.status for call in here.sandbox.calls if call.endpoint_class == "view"] == [
            200
        ]
        assert here.bridge.brake.pauses == {}
        await here.post(track("Flags"))
        await here.settle()
        assert "ios" in [push.platform for push in here.sandbox.pushes]
        await here.pass_time(400)
        (pause,) = here.bridge.brake.pauses.values()
        assert (pause.what, pause.reason) == ("pushes", "ios_reached")
    assert "ios_reached" in capsys.readouterr().out


async def test_an_iphone_that_was_registered_as_something_else_is_found_by_the_audit(
    tmp_path: Path,
) -> None:
    async with rig(tmp_path, SHOP) as here:
        iphone = phone(here, "u1", "ios")
        await register(here, "u1", "android", iphone.id)
        await here.post(track("Order Shipped", properties={"id": "A7"}))
        await here.settle()
        await here.pass_time(400)
        assert here.bridge.brake.paused("shipped")


async def test_what_is_named_by_its_own_id_is_not_audited(tmp_path: Path) -> None:
    mapping = """
version: 1
push: {platforms: all}
rules:
  - {name: one, when: event = "Ping", do: {send_notification: {to: {subscription_id: "{{ properties.s }}"}, contents: "Hi"}}}
"""
    async with rig(tmp_path, mapping) as here:
        iphone = phone(here, "u1", "ios")
        await here.post(track("Ping", properties={"s": iphone.id}))
        await here.settle()
        await here.pass_time(400)
        assert [call for call in here.sandbox.calls if call.endpoint_class == "view"] == []
        assert here.bridge.brake.pauses == {}


async def test_a_device_that_is_registered_meanwhile_changes_nothing_of_what_is_written(
    tmp_path: Path,
) -> None:
    clock = ManualClock()
    async with rig(tmp_path, SHOP, clock=clock) as here:
        (android,) = await phones(here, "u1", "android")
        await here.bridge.brake.pull("pushes")
        await here.post(track("Order Shipped", properties={"id": "A7"}))
        await here.settle()
        tablet = phone(here, "u1", "android")
        await register(here, "u1", "android", tablet.id)
        journal = here.bridge.journal
        await journal.devices.forget(
            APP, subscription_id=android.id, installation=0, user_hash=None
        )
        assert await here.bridge.brake.let_go("pushes")
        await release_resumed(journal, here.bridge.brake, nudge=here.bridge.nudge)
        await here.settle()
        assert [push.subscription_id for push in here.sandbox.pushes] == [android.id]


async def test_explain_says_why_and_of_which_devices(tmp_path: Path) -> None:
    async with rig(tmp_path, SHOP, admin_token="t") as here:
        await phones(here, "u1", "ios")
        await here.post(track("Order Shipped", message_id="m1", properties={"id": "A7"}))
        await here.settle()
        answer = await here.http.get(
            "/api/v1/explain?message_id=m1", headers={"authorization": "Bearer t"}
        )
        told = answer.text
        assert "all devices that are registered as this person's are iPhones" in told
        assert "(ios)" in told


async def test_explain_shows_of_a_shared_call_a_persons_own_devices(tmp_path: Path) -> None:
    async with rig(tmp_path, SHOP, admin_token="t") as here:
        (mine,) = await phones(here, "u1", "android")
        (other,) = await phones(here, "u2", "android")
        await here.post([track("Sale", "u1"), track("Sale", "u2")])
        await here.settle()
        answer = await here.http.get(
            "/api/v1/explain?user=u1", headers={"authorization": "Bearer t"}
        )
        assert mine.id in answer.text
        assert other.id not in answer.text
        assert "and 1 others" in answer.text


# Every policy against every set of devices ----------------------------------------------------------

device = st.builds(
    Device,
    st.just(APP),
    st.just(1),
    st.sampled_from([*PLATFORMS, "macos"]),
    st.none() | st.sampled_from(["s1", "s2", "s3", "s4"]),
    subscribed=st.booleans(),
)
by = st.builds(ByDevices, st.frozensets(st.sampled_from(PLATFORMS)))


@given(st.lists(device, max_size=6, unique_by=lambda one: one.subscription_id), by)
def test_no_device_of_another_platform_is_ever_chosen(
    registered: list[Device], by: ByDevices
) -> None:
    chosen = choose(registered, by)
    if isinstance(chosen, str):
        meant = [one for one in registered if one.platform in by.platforms and one.is_reachable]
        assert meant == []
        assert (chosen == "only_ios") == bool(
            registered
            and {one.platform for one in registered} <= IOS
            and not [one for one in registered if one.platform in by.platforms]
        )
        return
    platforms = {one.subscription_id: one.platform for one in registered}
    assert chosen
    assert all(platforms[id_] in by.platforms for id_ in chosen)


async def test_a_tag_is_said_once_though_the_push_beside_it_has_nobody_to_go_to(
    tmp_path: Path,
) -> None:
    text = """
version: 1
rules:
  - name: sale
    when: event = "Sale"
    do:
      update_user: {tags: {sale: "yes"}}
      send_notification: {contents: "Now!", platforms: {exclude: [ios], by: devices}}
"""
    async with rig(tmp_path, text) as here:
        here.sandbox.add_device("u1", "android", app_id=APP_ID)
        for number in range(2):
            await here.post(track("Sale", "u1", f"m{number}"))
            await here.settle()
            await here.pass_time(5)
        assert [call.endpoint_class for call in here.sandbox.calls] == ["write"]
