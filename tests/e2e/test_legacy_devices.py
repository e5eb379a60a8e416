"""Where flags may do nothing (the legacy API), only named devices leave iPhones out (I7), whatever is posted."""

from __future__ import annotations

import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from bridge.clock import ManualClock
from bridge.config import DEFAULT as APP
from bridge.journal.devices import Device
from bridge.sandbox import Behaviour, create_sandbox
from bridge.sandbox.ledger import Call
from tests.harness import APP_ID, Rig, ends, rig, track

SHOP = """
version: 1
push: {platforms: {exclude: [ios], by: devices}, cap: {max: 7, per: 1s}}
rules:
  - name: shipped
    when: event = "Order Shipped"
    max_age: 30d
    do: {send_notification: {contents: "{{ properties.id }} is on its way"}}
  - name: sale
    when: event = "Sale"
    max_age: 30d
    group: 1s
    do: {send_notification: {contents: "Now!"}}
  - name: seller
    when: event = "Sold"
    max_age: 30d
    do: {send_notification: {to: {devices: "{{ properties.seller }}"}, contents: "Sold"}}
"""
EVERYWHERE = ("android", "web", "ios", "huawei")
LEGACY: dict[str, Any] = {"onesignal_api": "legacy", "onesignal_platforms": EVERYWHERE}
MODERN: dict[str, Any] = {"onesignal_platforms": EVERYWHERE}
REGISTERED = {
    "ios": "ios", "android": "android", "web-chrome": "web", "ios-web": "ios_web", "huawei": "huawei",
}  # fmt: skip
IPHONES = {"ios", "ios-web"}


async def with_phones(here: Rig, user: str, *platforms: str) -> None:
    """At OneSignal, and registered as what they are."""
    journal = here.bridge.journal
    for number, platform in enumerate(platforms):
        phone = here.sandbox.add_device(user, platform, app_id=APP_ID)
        device = Device(
            APP,
            journal.user_hash(APP, user),
            REGISTERED[platform],
            phone.id,
            journal.devices.name(APP, "installation", f"{user} {number}"),
            at_ms=here.clock.now_ms(),
        )
        await journal.devices.keep(device, of_another="share", now_ms=here.clock.now_ms())


def sends(here: Rig) -> list[Call]:
    return [call for call in here.sandbox.calls if call.endpoint_class == "send"]


def reached(here: Rig) -> Counter[tuple[str | None, str]]:
    return Counter((push.external_id, push.platform.value) for push in here.sandbox.pushes)


async def test_a_push_names_the_players_that_are_no_iphones(tmp_path: Path) -> None:
    async with rig(tmp_path, SHOP, **LEGACY) as here:
        await with_phones(here, "u1", "ios", "android", "web-chrome", "ios-web")
        await here.post(track("Order Shipped", "u1", properties={"id": "A7"}))
        await here.settle()
        (call,) = sends(here)
        assert call.is_legacy
        assert len(call.body["include_player_ids"]) == 2
        assert not {name for name in call.body if name.startswith("is")}
        assert reached(here) == {("u1", "android"): 1, ("u1", "web-chrome"): 1}
        assert not here.sandbox.complaints


async def test_who_has_iphones_alone_or_nothing_is_no_call(tmp_path: Path) -> None:
    async with rig(tmp_path, SHOP, **LEGACY) as here:
        await with_phones(here, "u1", "ios", "ios-web")
        await here.post(track("Order Shipped", "u1", properties={"id": "A7"}))
        await here.settle()
        assert ends(await here.outcomes()) == {"shipped/send_notification": ("skipped", "only_ios")}
        assert sends(here) == []


async def test_people_share_a_call_of_players_and_end_each_on_its_own(tmp_path: Path) -> None:
    async with rig(tmp_path, SHOP, **LEGACY) as here:
        for user in ("u1", "u2"):
            await with_phones(here, user, "ios", "android")
        await with_phones(here, "u3", "android")
        for phone in here.sandbox.subscriptions:
            phone.enabled &= phone.owner.external_id != "u3"
        await here.post([track("Sale", user) for user in ("u1", "u2", "u3")])
        await here.settle()
        (call,) = sends(here)
        assert len(call.body["include_player_ids"]) == 3
        assert Counter(status for _, _, _, status, _ in await here.outcomes()) == {
            "delivered": 2,
            "no_recipients": 1,
        }
        assert reached(here) == {("u1", "android"): 1, ("u2", "android"): 1}


async def test_the_audit_looks_after_players_too(tmp_path: Path) -> None:
    """A registry that is wrong: what it has for an Android phone is an iPhone."""
    async with rig(tmp_path, SHOP, **LEGACY) as here:
        await with_phones(here, "u1", "android")
        here.sandbox.subscriptions[0].type = "iOSPush"
        await here.post(track("Order Shipped", "u1", properties={"id": "A7"}))
        await here.settle()
        await here.pass_time(400)
        (pause,) = here.bridge.brake.pauses.values()
        assert pause.reason == "ios_reached"
        assert [call.is_legacy for call in here.sandbox.calls] == [True, True]


users = st.sampled_from(["u1", "u2", "u3"])
phones = st.dictionaries(users, st.lists(st.sampled_from([*REGISTERED]), max_size=4))
happenings = st.tuples(st.sampled_from(["Order Shipped", "Sale", "Sold"]), users, users)
faults = st.lists(
    st.sampled_from(
        [
            {"timeout": 60, "applied": True},
            {"timeout": 60},
            {"reset": True, "applied": True},
            {"status": 503},
            {"status": 400, "body": {"errors": ["No"]}},
            {"ordinary": True},
        ]
    ),
    max_size=6,
)


@pytest.mark.slow
@given(
    owned=phones,
    sent=st.lists(happenings, min_size=1, max_size=10),
    failing=faults,
    spoken=st.lists(st.booleans(), min_size=1, max_size=3),
)
@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow])
async def test_no_iphone_is_reached_and_nobody_twice_whatever_happens_and_however_often_the_api_is_switched(
    owned: dict[str, list[str]],
    sent: list[tuple[str, str, str]],
    failing: list[dict[str, Any]],
    spoken: list[bool],
) -> None:
    clock = ManualClock()
    onesignal = create_sandbox(clock=clock)
    pushes = onesignal.state.sandbox.pushes
    with tempfile.TemporaryDirectory() as folder:
        for number, is_legacy in enumerate([*spoken, spoken[0]]):
            is_last = number == len(spoken)
            said = LEGACY if is_legacy else MODERN
            async with rig(
                Path(folder), SHOP, clock=clock, onesignal=onesignal, drain=0, **said
            ) as here:
                here.sandbox.behaviour = Behaviour(ignore_flags=True)
                if number == 0:
                    for user, platforms in owned.items():
                        await with_phones(here, user, *platforms)
                    if failing:
                        here.sandbox.faults.script({"match": {"class": "send"}, "answers": failing})
                # Everything again, each time: what was heard before is heard of no second time.
                for at, (event, user, seller) in enumerate(sent):
                    properties = {"id": f"A{at}", "seller": seller}
                    await here.post(track(event, user, f"m{at}", properties=properties))
                if is_last:
                    await here.settle(within=200_000)
                else:
                    await here.pass_time(2)
    assert not {push.platform.value for push in pushes} & IPHONES
    shown = Counter((push.subscription_id, push.notification_id) for push in pushes)
    assert set(shown.values()) <= {1}
    wanted = Counter(seller if event == "Sold" else user for event, user, seller in sent)
    for (person, _), count in Counter(
        (push.external_id, push.subscription_id) for push in pushes
    ).items():
        assert count <= wanted[person]
