"""A user's External ID comes and goes with who is logged in: pushes follow it, and tags stay with the user."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
import pytest

from bridge.clock import ManualClock
from bridge.sandbox import create_sandbox
from tests.harness import APP_ID, Rig, identify, rig, track

MAPPING = """
version: 1
identity: {anonymous: %s}
push: {platforms: {exclude: [ios]}}
rules:
  - name: profile
    when: type = "identify"
    do: {update_user: {tags: {tier: "{{ traits.tier }}"}}}
  - name: hello
    when: event = "Hello"
    do: {send_notification: {contents: "{{ messageId }}"}}
"""
KEY = {"Authorization": "Key os_v2_app_test"}


async def sdk(here: Rig, onesignal: Any, method: str, path: str, **body: Any) -> dict[str, Any]:
    """What OneSignal's SDK asks for by itself."""
    await here.pass_time(2)
    transport = httpx.ASGITransport(onesignal)
    async with httpx.AsyncClient(transport=transport, base_url="http://onesignal.test") as http:
        answer = await http.request(method, f"/apps/{APP_ID}/{path}", json=body, headers=KEY)
    assert answer.status_code < 300, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def reached(here: Rig, user: str, message_id: str) -> list[str]:
    await here.post(track("Hello", user, message_id))
    await here.settle()
    return [push.subscription_id for push in here.sandbox.pushes if push.text == message_id]


@pytest.mark.parametrize("policy", ["skip", "external_id", "alias"])
async def test_external_user_id_set_and_removed(tmp_path: Path, policy: str) -> None:
    clock = ManualClock()
    onesignal = create_sandbox(clock=clock)
    async with rig(tmp_path, MAPPING % policy, clock=clock, onesignal=onesignal) as here:
        phone = here.sandbox.add_device(None, "android", app_id=APP_ID)
        assert await reached(here, "u1", "before") == []
        # externalUserId.set, login: the phone's user gets the id.
        await sdk(
            here,
            onesignal,
            "PATCH",
            f"subscriptions/{phone.id}/user/identity",
            identity={"external_id": "u1"},
        )
        await here.post(identify("u1", "m1", tier="gold"))
        await here.settle()
        assert await reached(here, "u1", "set") == [phone.id]
        # externalUserId.remove, logout: the phone goes to a user without a name.
        nobody = {"type": "AndroidPush", "token": phone.token}
        await sdk(here, onesignal, "POST", "users", subscriptions=[nobody])
        assert await reached(here, "u1", "removed") == []
        found = here.sandbox.user("u1", app_id=APP_ID)
        assert found is not None
        assert found.tags == {"tier": "gold"}
        # Somebody else logs in on it, and the first one again.
        for user, other in (("u2", "u1"), ("u1", "u2")):
            if here.sandbox.user(user, app_id=APP_ID) is None:
                await sdk(here, onesignal, "POST", "users", identity={"external_id": user})
            await sdk(
                here,
                onesignal,
                "PATCH",
                f"subscriptions/{phone.id}/owner",
                identity={"external_id": user},
            )
            assert await reached(here, user, f"{user} is here") == [phone.id]
            assert await reached(here, other, f"{other} is not") == []
        assert not here.sandbox.complaints
