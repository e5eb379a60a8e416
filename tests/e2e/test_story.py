"""One person's way through real processes: a browser, an Android phone, an iPhone that Segment pushes.

At every step OneSignal's users, their aliases and devices are right, and so is who is reached by a push;
the iPhone never is. What the apps do by themselves, through OneSignal's SDK, is asked of the sandbox directly.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.harness import APP_ID, SECRET, eventually, signed
from tests.processes import command

pytestmark = pytest.mark.slow

MAPPING = """
version: 1
identity: {anonymous: alias}
push: {platforms: {exclude: [ios]}, cap: {max: 7, per: 5s}}
rules:
  - name: seen
    when: type in ["page", "screen"]
    do: {update_user: {tags: {seen: "{{ name }}"}}}
  - name: profile
    when: type = "identify"
    do: {update_user: {tags: {tier: "{{ traits.tier }}"}}}
  - name: phone
    when: event = "Application Opened" and device.platform = "android" and context.device.token != null
    do: {add_subscription: {type: AndroidPush, token: "{{ context.device.token }}"}}
  - name: news
    when: event = "News"
    do: {send_notification: {contents: "{{ messageId }}"}}
"""
_SERVING = re.compile(r'"address":\s*"([^"]+)"')
_SANDBOX = re.compile(r"is at (http://\S+)")
KEY = {"Authorization": "Key os_v2_app_test"}


@dataclass(slots=True, kw_only=True)
class Way:
    """The person, Segment, and OneSignal."""

    bridge: httpx.AsyncClient
    onesignal: httpx.AsyncClient
    count: int = 0
    news: list[str] = field(default_factory=list)

    async def says(self, **event: Any) -> str:
        """Segment posts an event, and all that comes of it is done; its messageId."""
        self.count += 1
        body = {"messageId": f"m{self.count}", **event}
        raw, headers = signed(body)
        answer = await self.bridge.post("/v1/segment", content=raw, headers=headers)
        assert answer.status_code == 200, answer.text

        async def done() -> bool | None:
            metrics = (await self.bridge.get("/metrics")).text
            return True if "\nbridge_pending 0.0" in metrics else None

        await eventually(done, within=30)
        return str(body["messageId"])

    async def sdk(self, method: str, path: str, **body: Any) -> Any:
        """What OneSignal's SDK asks for in a page or an app."""
        answer = await self.onesignal.request(
            method, f"/apps/{APP_ID}/{path}", json=body or None, headers=KEY
        )
        assert answer.status_code < 300, answer.text
        return answer.json()

    async def users(self) -> dict[str, Any]:
        """Identity, tags and devices of everybody, by the external id or else the alias."""
        found = (await self.onesignal.get("/sandbox/users")).json()["users"]
        named = [(one["identity"].get("external_id"), one) for one in found]
        return {
            name or one["identity"].get("anonymous_id", "nobody"): {
                "aliases": {k: v for k, v in one["identity"].items() if k != "onesignal_id"},
                "tags": one["tags"],
                "devices": {device["token"] for device in one["devices"]},
            }
            for name, one in named
        }

    async def reached(self, **who: str) -> set[str]:
        """The devices that news for somebody reaches."""
        message = await self.says(type="track", event="News", **who)
        found = (await self.onesignal.get("/sandbox/pushes")).json()["pushes"]
        devices = (await self.onesignal.get("/sandbox/devices")).json()["devices"]
        tokens = {one["subscription_id"]: one["token"] for one in devices}
        return {tokens[one["subscription_id"]] for one in found if one["text"] == message}


async def test_from_the_browser_to_two_phones(tmp_path: Path) -> None:
    (tmp_path / "mapping.yaml").write_text(MAPPING)
    async with command(tmp_path, "sandbox", "--port", "0") as sandbox:
        onesignal = await sandbox.says(_SANDBOX)
        environment = {
            "BRIDGE_DATABASE_URL": f"sqlite:///{tmp_path}/bridge.db",
            "BRIDGE_MAPPINGS": str(tmp_path / "mapping.yaml"),
            "BRIDGE_SEGMENT_SECRETS": SECRET,
            "BRIDGE_ONESIGNAL_APP_ID": APP_ID,
            "BRIDGE_ONESIGNAL_API_KEY": "os_v2_app_test",
            "BRIDGE_ONESIGNAL_URL": onesignal,
            "BRIDGE_LOG_FORMAT": "json",
        }
        async with (
            command(tmp_path, "serve", "--port", "0", **environment) as serving,
            httpx.AsyncClient(base_url=onesignal) as there,
            httpx.AsyncClient(base_url=f"http://{await serving.says(_SERVING)}") as here,
        ):
            await walk(Way(bridge=here, onesignal=there))
            complaints = (await there.get("/sandbox/complaints")).json()
            assert complaints["complaints"] == []
            devices = (await there.get("/sandbox/devices")).json()["devices"]
            pushed = {one["token"]: one["pushes"] for one in devices}
            assert pushed["iphone"] == 0
            assert min(pushed["browser"], pushed["android"]) > 5


async def walk(way: Way) -> None:
    await a_visitor_on_the_web(way)
    await installs_the_android_app(way)
    await signs_up(way)
    await logs_in_on_an_iphone(way)
    await logs_out(way)
    await another_person_logs_in_on_the_same_iphone(way)


async def a_visitor_on_the_web(way: Way) -> None:
    browser = {"type": "ChromePush", "token": "browser"}
    await way.sdk("POST", "users", identity={"anonymous_id": "w"}, subscriptions=[browser])
    await way.says(type="page", name="shoes", anonymousId="w")
    assert await way.users() == {
        "w": {"aliases": {"anonymous_id": "w"}, "tags": {"seen": "shoes"}, "devices": {"browser"}}
    }
    assert await way.reached(anonymousId="w") == {"browser"}


async def installs_the_android_app(way: Way) -> None:
    device = {"type": "android", "token": "android"}
    opened = {"type": "track", "event": "Application Opened", "context": {"device": device}}
    await way.says(**opened, anonymousId="p")
    users = await way.users()
    assert users["p"] == {
        "aliases": {"anonymous_id": "p"},
        "tags": {},
        "devices": {"android"},
    }
    assert await way.reached(anonymousId="p") == {"android"}


async def signs_up(way: Way) -> None:
    """On the web; then the phone logs in, too."""
    await way.says(type="identify", userId="u1", anonymousId="w", traits={"tier": "new"})
    users = await way.users()
    assert set(users) == {"u1", "p"}
    assert users["u1"] == {
        "aliases": {"external_id": "u1", "anonymous_id": "w"},
        "tags": {"seen": "shoes", "tier": "new"},
        "devices": {"browser"},
    }
    await way.says(type="identify", userId="u1", anonymousId="p", traits={"tier": "gold"})
    users = await way.users()
    assert users["u1"]["devices"] == {"browser", "android"}
    assert users["u1"]["tags"] == {"seen": "shoes", "tier": "gold"}
    assert users["p"]["devices"] == set()
    for who in ({"userId": "u1"}, {"anonymousId": "w"}, {"anonymousId": "p"}):
        assert await way.reached(**who) == {"browser", "android"}


async def logs_in_on_an_iphone(way: Way) -> None:
    """One that Segment pushes; OneSignal knows it all the same."""
    iphone = {"type": "iOSPush", "token": "iphone"}
    await way.sdk("POST", "users", identity={"anonymous_id": "i"}, subscriptions=[iphone])
    await way.says(type="screen", name="start", anonymousId="i")
    assert await way.reached(anonymousId="i") == set()
    await way.says(type="identify", userId="u1", anonymousId="i", traits={"tier": "gold"})
    users = await way.users()
    assert users["u1"]["devices"] == {"browser", "android", "iphone"}
    assert users["u1"]["tags"] == {"seen": "start", "tier": "gold"}
    assert await way.reached(userId="u1") == {"browser", "android"}


async def logs_out(way: Way) -> None:
    """The SDK gives the phone to a user without a name, and Segment's to another anonymous id."""
    iphone = {"type": "iOSPush", "token": "iphone"}
    await way.sdk("POST", "users", identity={"anonymous_id": "j"}, subscriptions=[iphone])
    await way.says(type="screen", name="sign in", anonymousId="j")
    users = await way.users()
    assert users["u1"]["devices"] == {"browser", "android"}
    assert users["u1"]["tags"]["seen"] == "start"
    assert users["j"] == {
        "aliases": {"anonymous_id": "j"},
        "tags": {"seen": "sign in"},
        "devices": {"iphone"},
    }
    assert await way.reached(userId="u1") == {"browser", "android"}


async def another_person_logs_in_on_the_same_iphone(way: Way) -> None:
    await way.says(type="identify", userId="u2", anonymousId="j", traits={"tier": "silver"})
    users = await way.users()
    assert users["u2"] == {
        "aliases": {"external_id": "u2", "anonymous_id": "j"},
        "tags": {"seen": "sign in", "tier": "silver"},
        "devices": {"iphone"},
    }
    assert users["u1"]["devices"] == {"browser", "android"}
    assert await way.reached(userId="u2") == set()
    assert await way.reached(userId="u1") == {"browser", "android"}
