"""The flags of a notification against every kind of device, with an independent truth table."""

from __future__ import annotations

from uuid import uuid4

import httpx
import pytest
from hypothesis import given, strategies as st

from bridge.clock import ManualClock
from bridge.sandbox import Behaviour, Sandbox
from bridge.sandbox.platforms import Platform, platform_of, platforms_reached

APP = "0f9a1c5e-8a35-4f0e-9c1c-3a6f5a3e7d11"

#: Which device a flag means, as OneSignal's documentation lists it.
MEANS = {
    "isIos": {"ios"},
    "isAndroid": {"android"},
    "isHuawei": {"huawei"},
    "isAdm": {"amazon"},
    "isAnyWeb": {"web-chrome", "web-firefox", "web-safari", "ios-web"},
    "isChromeWeb": {"web-chrome"},
    "isFirefox": {"web-firefox"},
    "isSafari": {"web-safari"},
    "isWP_WNS": {"windows"},
    "isChrome": set[str](),
}
EVERY_DEVICE = {each.value for each in Platform}

flag_sets = st.dictionaries(st.sampled_from(sorted(MEANS)), st.booleans())


def expected(flags: dict[str, bool]) -> set[str]:
    """Nothing true: everywhere. Else what is named, and the web group less what is denied."""
    if True not in flags.values():
        return EVERY_DEVICE
    single = {name: on for name, on in flags.items() if name != "isAnyWeb"}
    named = set().union(*(MEANS[name] for name, on in single.items() if on))
    denied = set().union(*(MEANS[name] for name, on in single.items() if not on))
    group = MEANS["isAnyWeb"] - denied if flags.get("isAnyWeb") else set()
    return named | group


@given(flag_sets)
def test_every_combination_of_flags_reaches_what_the_truth_table_says(
    flags: dict[str, bool],
) -> None:
    assert {each.value for each in platforms_reached(flags)} == expected(flags)


@given(flag_sets, st.sets(st.sampled_from(sorted(EVERY_DEVICE))))
def test_a_notification_reaches_those_devices_of_a_user_that_the_flags_leave_in(
    flags: dict[str, bool], owned: set[str]
) -> None:
    sandbox = Sandbox(clock=ManualClock())
    sandbox.world.app(APP)
    for platform in sorted(owned):
        sandbox.add_device("ada", platform, app_id=APP)
    body = {
        "app_id": APP,
        "include_aliases": {"external_id": ["ada"]},
        "target_channel": "push",
        "contents": {"en": "Hello"},
        **flags,
    }

    answer = post(sandbox, body)

    assert {push.platform.value for push in sandbox.pushes} == owned & expected(flags)
    assert len(sandbox.pushes) == len(owned & expected(flags))
    assert bool(answer["id"]) == bool(owned & expected(flags))


@given(flag_sets)
def test_an_allow_list_without_ios_never_reaches_an_iphone_app(flags: dict[str, bool]) -> None:
    allow_list = {**flags, "isAndroid": True, "isIos": False}

    assert Platform.IOS not in platforms_reached(allow_list)


@pytest.mark.parametrize(
    ("flags", "reached"),
    [
        ({}, EVERY_DEVICE),
        ({"isIos": False}, EVERY_DEVICE),
        ({"isIos": False, "isAndroid": False}, EVERY_DEVICE),
        ({"isIos": True}, {"ios"}),
        ({"isAndroid": True}, {"android"}),
        ({"isAndroid": True, "isIos": False}, {"android"}),
        ({"isAnyWeb": True}, {"web-chrome", "web-firefox", "web-safari", "ios-web"}),
        ({"isAnyWeb": True, "isFirefox": False}, {"web-chrome", "web-safari", "ios-web"}),
        ({"isAnyWeb": True, "isSafari": False}, {"web-chrome", "web-firefox", "ios-web"}),
        ({"isSafari": True}, {"web-safari"}),
        ({"isChromeWeb": True, "isAnyWeb": False}, {"web-chrome"}),
        ({"isWP_WNS": True}, {"windows"}),
        ({"isChrome": True}, set()),
    ],
)
def test_the_documented_cases(flags: dict[str, bool], reached: set[str]) -> None:
    assert {each.value for each in platforms_reached(flags)} == reached
    assert expected(flags) == reached


@pytest.mark.parametrize(
    ("subscription_type", "device_os", "device_model", "platform"),
    [
        ("SafariPush", "17", "MacIntel", "web-safari"),
        ("SafariPush", "iOS 17.4", "", "ios-web"),
        ("SafariPush", "", "iPad", "ios-web"),
        ("SafariLegacyPush", "", "", "web-safari"),
        ("iOSPush", "17.4", "iPhone", "ios"),
        ("FireOSPush", "", "", "amazon"),
        ("macOSPush", "", "", "macos"),
        ("Email", "", "", None),
        ("ChromeExtensionPush", "", "", None),
    ],
)
def test_a_subscription_is_of_the_platform_that_its_type_and_device_say(
    subscription_type: str, device_os: str, device_model: str, platform: str | None
) -> None:
    assert platform_of(subscription_type, device_os, device_model) == platform


@pytest.mark.parametrize("method", ["include_subscription_ids", "include_player_ids"])
async def test_flags_do_nothing_when_devices_are_named(
    method: str, client: httpx.AsyncClient, sandbox: Sandbox
) -> None:
    iphone = sandbox.add_device("ada", "ios", app_id=APP)
    body = {"app_id": APP, method: [iphone.id], "contents": {"en": "Hi"}, "isAndroid": True}

    await client.post("/notifications", json=body)

    assert [push.platform for push in sandbox.pushes] == [Platform.IOS]
    assert sandbox.ledger.complained["flags-ignored"] == 1


@pytest.mark.parametrize(
    ("behaviour", "reached"),
    [
        (Behaviour(external_user_ids_ignore_flags=False), {"android"}),
        (Behaviour(external_user_ids_ignore_flags=True), {"ios", "android"}),
    ],
)
async def test_flags_and_legacy_external_user_ids_can_be_read_either_way(
    behaviour: Behaviour, reached: set[str], client: httpx.AsyncClient, sandbox: Sandbox
) -> None:
    sandbox.behaviour = behaviour
    for platform in ("ios", "android"):
        sandbox.add_device("ada", platform, app_id=APP)
    body = {
        "app_id": APP,
        "include_external_user_ids": ["ada"],
        "channel_for_external_user_ids": "push",
        "contents": {"en": "Hi"},
        "isAndroid": True,
    }

    await client.post("/api/v1/notifications", json=body)

    assert {push.platform.value for push in sandbox.pushes} == reached


async def test_a_false_flag_alone_is_complained_about(
    client: httpx.AsyncClient, sandbox: Sandbox
) -> None:
    sandbox.add_device("ada", "ios", app_id=APP)
    body = {
        "app_id": APP,
        "include_aliases": {"external_id": ["ada"]},
        "target_channel": "push",
        "contents": {"en": "Hi"},
        "isIos": False,
    }

    answer = await client.post("/notifications", json=body)

    assert answer.json()["id"]
    assert [push.platform for push in sandbox.pushes] == [Platform.IOS]
    assert sandbox.ledger.complained["false-flag-alone"] == 1


async def test_a_flag_that_is_no_boolean_is_complained_about_and_not_heard(
    client: httpx.AsyncClient, sandbox: Sandbox
) -> None:
    sandbox.add_device("ada", "ios", app_id=APP)
    body = {
        "app_id": APP,
        "include_aliases": {"external_id": ["ada"]},
        "target_channel": "push",
        "contents": {"en": "Hi"},
        "isAndroid": "true",
    }

    await client.post("/notifications", json=body)

    assert len(sandbox.pushes) == 1
    assert sandbox.ledger.complained["flag-not-boolean"] == 1


def post(sandbox: Sandbox, body: dict[str, object]) -> dict[str, object]:
    """A send without the wire, for the many that hypothesis asks for."""
    outcome = sandbox.handle(
        method="POST",
        raw_path="/notifications",
        headers={"authorization": "Key x"},
        body=httpx.Request(
            "POST", "http://x", json={**body, "idempotency_key": str(uuid4())}
        ).read(),
    )
    assert outcome.answer is not None
    answer: dict[str, object] = outcome.answer.body
    return answer
