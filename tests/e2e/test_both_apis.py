"""The same events through OneSignal's two APIs: the same people are reached, once, with the same tags."""

from __future__ import annotations

import tempfile
from collections import Counter
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from bridge.clock import ManualClock
from bridge.sandbox import create_sandbox
from tests.harness import APP_ID, Rig, identify, iso, rig, track

SHOP = """
version: 1
push: {platforms: all}
rules:
  - name: profile
    when: type = "identify" and audience.class = null
    do: {update_user: {tags: {tier: "{{ traits.tier }}", shoe: "{{ traits.shoe }}"}}}
  - name: audiences
    when: audience.class = "audience"
    do: {update_user: {tags_from: {audience: {prefix: aud_}}}}
  - name: vip
    when: audience.key = "vip" and audience.entered = true
    group: 3s
    do: {send_notification: {contents: "Welcome to VIP"}}
  - name: shipped
    when: event = "Order Shipped"
    do:
      update_user: {tags: {last_order: "{{ properties.id }}"}}
      send_notification: {contents: "{{ properties.id }} is on its way", app_url: "shop://orders"}
  - name: seller
    when: event = "Order Shipped"
    do: {send_notification: {contents: "Sold", to: {external_id: "{{ properties.seller }}"}}}
"""
EVERYWHERE = ("android", "web", "ios")
DEVICES = {
    "u0": [("android", True), ("ios", True)],
    "u1": [("ios", True)],
    "u2": [("web-chrome", True), ("android", False)],
    "u3": [("android", False)],
    "é/1": [("android", True)],
}
"""Whoever has no device at all is created by the one API, and unknown to the other."""
NOBODY = "u9"
USERS = st.sampled_from([*DEVICES, NOBODY])


class Reached(NamedTuple):
    tags: dict[str, dict[str, str]]
    #: How often each device showed what.
    pushes: Counter[tuple[str | None, str, str, str | None]]


def at(seconds: int) -> str:
    return iso(ManualClock().now_ms() + seconds * 1000)


@st.composite
def happenings(draw: st.DrawFn) -> dict[str, Any]:
    """One event, with a messageId of its own unless it is sent again."""
    user, number = draw(USERS), draw(st.integers(0, 10**6))
    named = {"timestamp": at(draw(st.integers(-600, 0)))}
    match draw(st.sampled_from(["identify", "shipped", "audience"])):
        case "identify":
            traits = draw(
                st.fixed_dictionaries(
                    {},
                    optional={
                        "tier": st.sampled_from(["gold", "silver", None]),
                        "shoe": st.sampled_from(["42", "", 7]),
                    },
                )
            )
            return identify(user, f"i{number}", **traits) | named
        case "shipped":
            properties = {"id": f"A{number % 7}", "seller": draw(USERS)}
            return track("Order Shipped", user, f"s{number}", properties=properties, **named)
        case _:
            entered = draw(st.booleans())
            return track(
                "Audience Entered" if entered else "Audience Exited",
                user,
                f"a{number}",
                properties={"audience_key": "vip", "vip": entered},
                context={"personas": {"computation_class": "audience", "computation_key": "vip"}},
                **named,
            )


SAFE_FAULTS = st.lists(
    st.sampled_from(
        [
            {"timeout": 60, "applied": True},
            {"timeout": 60},
            {"reset": True, "applied": True},
            {"status": 503},
            {"status": 429, "headers": {"Retry-After": "2"}},
            {"ordinary": True},
        ]
    ),
    max_size=5,
)


async def play(
    folder: Path, batches: list[list[dict[str, Any]]], faults: list[dict[str, Any]], api: str
) -> Reached:
    clock = ManualClock()
    onesignal = create_sandbox(clock=clock)
    spoken: dict[str, Any] = {"onesignal_api": api, "onesignal_platforms": EVERYWHERE}
    async with rig(folder, SHOP, clock=clock, onesignal=onesignal, **spoken) as here:
        for user, devices in DEVICES.items():
            for platform, enabled in devices:
                here.sandbox.add_device(user, platform, app_id=APP_ID, enabled=enabled)
        # Whether somebody has left an audience before a push leaves must not be a matter of chance.
        here.means.roll = lambda: 0.5
        if faults:
            here.sandbox.faults.script({"answers": faults})
        for batch in batches:
            await here.post(batch)
            await here.pass_time(0.5)
        await here.settle(within=86_400)
        assert {call.is_legacy for call in here.sandbox.calls} <= {api == "legacy"}
        assert not {one.code for one in here.sandbox.complaints} - {"hurried-write"}
        return reached(here)


def reached(here: Rig) -> Reached:
    users = {name: here.sandbox.user(name) for name in DEVICES}
    return Reached(
        {name: user.tags for name, user in users.items() if user is not None},
        Counter(
            (push.external_id, push.platform.value, push.text, push.url)
            for push in here.sandbox.pushes
        ),
    )


@pytest.mark.slow
@given(
    sent=st.lists(
        happenings(), min_size=1, max_size=14, unique_by=lambda event: event["messageId"]
    ),
    again=st.lists(st.integers(0, 13), max_size=4),
    faults=SAFE_FAULTS,
    size=st.integers(1, 5),
)
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
async def test_the_same_people_are_reached_once(
    sent: list[dict[str, Any]], again: list[int], faults: list[dict[str, Any]], size: int
) -> None:
    events = [*sent, *(sent[number % len(sent)] for number in again)]
    batches = [events[begin : begin + size] for begin in range(0, len(events), size)]
    with tempfile.TemporaryDirectory() as one, tempfile.TemporaryDirectory() as other:
        modern = await play(Path(one), batches, faults, "user-model")
        legacy = await play(Path(other), batches, faults, "legacy")
    assert legacy == modern
    # Once: of one event a rule sends one push at most, whatever went wrong on the way.
    orders = Counter(
        (event["userId"], event["properties"]["id"])
        for event in sent
        if event.get("event") == "Order Shipped"
    )
    for (person, platform, text, _), count in legacy.pushes.items():
        if text.endswith("on its way"):
            assert count <= orders[person or "", text.split(" ", maxsplit=1)[0]], platform


async def test_a_day_of_a_shop_is_the_same_day(tmp_path: Path) -> None:
    """One fixed sequence in which everything happens, so that the comparison is known to compare."""
    entered: dict[str, Any] = {
        "properties": {"audience_key": "vip", "vip": True},
        "context": {"personas": {"computation_class": "audience", "computation_key": "vip"}},
    }
    day = [
        [identify("u0", tier="gold", shoe="42"), identify("é/1", tier="silver")],
        [track("Order Shipped", "u0", properties={"id": "A1", "seller": "é/1"})],
        [track("Audience Entered", user, **entered) for user in DEVICES],
        [track("Order Shipped", "u2", properties={"id": "A2", "seller": "u1"})],
    ]
    faults: list[dict[str, Any]] = [
        {"ordinary": True},
        {"timeout": 60, "applied": True},
        {"status": 503},
    ]
    (tmp_path / "legacy").mkdir()

    modern = await play(tmp_path, [*day, day[1]], faults, "user-model")
    legacy = await play(tmp_path / "legacy", [*day, day[1]], faults, "legacy")

    assert legacy == modern
    assert legacy.tags["u0"] == {
        "tier": "gold", "shoe": "42", "last_order": "A1", "aud_vip": "true",
    }  # fmt: skip
    assert legacy.pushes == {
        ("u0", "android", "A1 is on its way", "shop://orders"): 1,
        ("u0", "ios", "A1 is on its way", "shop://orders"): 1,
        ("é/1", "android", "Sold", None): 1,
        ("u0", "android", "Welcome to VIP", None): 1,
        ("u0", "ios", "Welcome to VIP", None): 1,
        ("u1", "ios", "Welcome to VIP", None): 1,
        ("u2", "web-chrome", "Welcome to VIP", None): 1,
        ("é/1", "android", "Welcome to VIP", None): 1,
        ("u2", "web-chrome", "A2 is on its way", None): 1,
        ("u1", "ios", "Sold", None): 1,
    }
