"""A key that OneSignal refuses: everything waits, nothing dies, and the next key is tried."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from bridge.clock import ManualClock
from bridge.sandbox import create_sandbox
from bridge.sandbox.ledger import Call
from tests.harness import APP_ID, Rig, identify, rig, track

SHOP = """
version: 1
push: {platforms: {exclude: [ios]}}
rules:
  - name: profile
    when: type = "identify"
    do: {update_user: {tags: {tier: "{{ traits.tier }}"}}}
  - name: welcome
    when: event = "Signed Up"
    max_age: 30d
    do: {send_notification: {contents: "Welcome"}}
"""
USERS = [f"u{n}" for n in range(60)]


def keys(*names: str) -> dict[str, Any]:
    return {"onesignal_api_key": tuple(SecretStr(f"os_v2_app_{name}") for name in names)}


def only(clock: ManualClock, name: str) -> Any:
    """A OneSignal that takes this key alone."""
    return create_sandbox(clock=clock, api_keys=[f"os_v2_app_{name}"])


def allow(here: Rig, *names: str) -> None:
    here.sandbox.api_keys = frozenset(f"os_v2_app_{name}" for name in names)


def with_phones(here: Rig, *users: str) -> None:
    for user in users:
        here.sandbox.add_device(user, "android", app_id=APP_ID)


def refused(here: Rig) -> list[Call]:
    return [call for call in here.sandbox.calls if call.status in {401, 403}]


def traffic(users: list[str]) -> list[dict[str, Any]]:
    return [identify(user, tier="gold") for user in users] + [
        track("Signed Up", user) for user in users
    ]


async def all_is_delivered(here: Rig, users: list[str]) -> None:
    await here.settle()
    assert {status for _, _, _, status, _ in await here.outcomes()} == {"delivered"}
    assert sorted(push.external_id or "" for push in here.sandbox.pushes) == sorted(users)
    assert (await here.bridge.journal.counts()).dead == 0
    assert not here.sandbox.complaints


async def test_a_key_that_is_refused_for_ten_minutes_loses_nothing_and_is_one_alert(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    clock = ManualClock()
    async with rig(
        tmp_path, SHOP, clock=clock, onesignal=only(clock, "new"), **keys("old")
    ) as here:
        with_phones(here, *USERS)
        await here.post(traffic(USERS[:30]))
        await here.pass_time(300)
        await here.post(traffic(USERS[30:]))
        await here.pass_time(300)
        assert len(here.sandbox.pushes) == 0
        # What was out when the first was refused, and then a probe a minute for each class.
        assert len(refused(here)) <= 60 + 2 * 10
        assert capsys.readouterr().out.count("gates.closed") == 1

        allow(here, "old")
        fixed = clock.monotonic()
        before = len(here.sandbox.calls)
        while len(here.sandbox.calls) < before + 10:
            await here.pass_time(1)
        assert clock.monotonic() - fixed < 90
        await all_is_delivered(here, USERS)


async def test_the_next_key_of_a_rotation_is_asked_with_at_once_and_kept(tmp_path: Path) -> None:
    clock = ManualClock()
    async with rig(
        tmp_path, SHOP, clock=clock, onesignal=only(clock, "new"), **keys("old", "new")
    ) as here:
        with_phones(here, *USERS)
        await here.post(traffic(USERS[:30]))
        await here.pass_time(3)
        assert len(here.sandbox.pushes) == 30
        wrong = len(refused(here))
        assert 0 < wrong <= 60
        await here.post(traffic(USERS[30:]))
        await all_is_delivered(here, USERS)
        assert len(refused(here)) == wrong


async def test_when_the_rotation_is_over_in_the_middle_the_other_key_takes_over(
    tmp_path: Path,
) -> None:
    clock = ManualClock()
    async with rig(
        tmp_path, SHOP, clock=clock, onesignal=only(clock, "new"), **keys("new", "old")
    ) as here:
        with_phones(here, *USERS)
        await here.post(traffic(USERS[:30]))
        await here.settle()
        assert refused(here) == []
        allow(here, "old")
        await here.post(traffic(USERS[30:]))
        await here.pass_time(3)
        await all_is_delivered(here, USERS)


async def test_when_no_key_is_right_all_are_tried_once_a_minute(tmp_path: Path) -> None:
    clock = ManualClock()
    async with rig(
        tmp_path, SHOP, clock=clock, onesignal=only(clock, "third"), **keys("one", "two")
    ) as here:
        with_phones(here, "u1")
        await here.post(identify("u1", tier="gold"))
        await here.pass_time(605)
        # Two writes to one user are a second apart, and the next round begins after the second.
        assert len(refused(here)) == 2 * 10
        allow(here, "two")
        await here.settle()
        assert {status for _, _, _, status, _ in await here.outcomes()} == {"delivered"}


async def test_a_refused_key_is_not_asked_with_again_right_after_a_restart(tmp_path: Path) -> None:
    clock = ManualClock()
    onesignal = only(clock, "new")
    async with rig(tmp_path, SHOP, clock=clock, onesignal=onesignal, **keys("old")) as here:
        await here.post(identify("u1", tier="gold"))
        await here.pass_time(5)
        assert len(refused(here)) == 1
    async with rig(tmp_path, SHOP, clock=clock, onesignal=onesignal, **keys("old")) as here:
        await here.pass_time(30)
        assert len(refused(here)) == 1
        allow(here, "old")
        await here.settle()


async def test_an_app_that_may_not_send_still_takes_tags(tmp_path: Path) -> None:
    async with rig(tmp_path, SHOP) as here:
        with_phones(here, *USERS)
        here.sandbox.faults.script(
            {"match": {"class": "send"}, "answers": [{"status": 403}], "times": "until_cleared"}
        )
        await here.post([track("Signed Up", user) for user in USERS])
        await here.pass_time(300)
        others = [f"x{n}" for n in range(40)]
        await here.post([identify(user, tier="gold") for user in others])
        await here.pass_time(5)
        tagged = [user for user in here.sandbox.users if user.tags == {"tier": "gold"}]
        assert len(tagged) == 40
        assert len([call for call in here.sandbox.calls if call.endpoint_class == "send"]) <= 60 + 8
        here.sandbox.faults.clear()
        await all_is_delivered(here, USERS)
