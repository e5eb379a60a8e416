"""The ways by which a website that is an app, too, brings its people to OneSignal, from the post to the phone.

Each test is one of them, with the shipped mapping `median-app`. By page JavaScript: `test_devices_in_a_browser`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from bridge.mapping.load import preset
from bridge.sandbox.ledger import Push
from tests.e2e.test_devices import EVERY_WAY, INFO, Website, proof
from tests.harness import APP_ID, Rig, ends, identify, rig, track

VIP = {"personas": {"computation_class": "audience", "computation_key": "vip"}}


@asynccontextmanager
async def shop(folder: Path, website: Website | None = None) -> AsyncIterator[Rig]:
    way = website or Website()
    async with rig(folder, preset("median-app"), website=way, **EVERY_WAY) as here:
        yield here


async def phone(here: Rig, platform: str = "android", user: str = "u1") -> dict[str, Any]:
    """A phone that OneSignal knows, and what the app on it says of it."""
    device = here.sandbox.add_device(user, platform, app_id=APP_ID)
    kind = "ios" if platform == "ios" else platform.partition("-")[0]
    return INFO | {
        "oneSignalUserId": device.id,
        "platform": kind,
        "installationId": device.id,
        "oneSignalPushToken": device.token,
        "model": "iPhone 15" if kind == "ios" else "Pixel 8",
        "os": "iOS" if kind == "ios" else "Android",
    }


async def posted(here: Rig, info: dict[str, Any], **headers: str) -> int:
    return (await here.http.post("/v1/devices", json=info, headers=headers)).status_code


async def happen(here: Rig, *events: dict[str, Any]) -> list[Push]:
    for event in events:
        await here.post(event)
        await here.settle()
    await here.pass_time(5)
    return list(here.sandbox.pushes)


async def test_associate_by_native_post_with_session_cookies(tmp_path: Path) -> None:
    website = Website()
    website.users["PHPSESSID=4711"] = "u1"
    async with shop(tmp_path, website) as here:
        info = await phone(here)
        assert await posted(here, info, cookie="PHPSESSID=somebody") == 401
        assert await posted(here, info, cookie="PHPSESSID=4711") == 200
        (push,) = await happen(here, track("Order Shipped", properties={"order_id": "A-7"}))
        assert (push.subscription_id, push.text) == (
            info["oneSignalUserId"],
            "Your order A-7 has been shipped.",
        )


async def test_external_user_id_set_and_removed(tmp_path: Path) -> None:
    """A device that says who its user is gets tags and flags; one that says it no more gets nothing."""
    mapping = preset("ecommerce")
    async with rig(tmp_path, mapping) as here:
        here.sandbox.add_device("u1", "android", app_id=APP_ID)
        shipped = {"order_id": "A-7", "products": []}
        before = await happen(here, track("Order Shipped", "u1", "m1", properties=shipped))
        assert [push.external_id for push in before] == ["u1"]

        world = here.sandbox.world.app(APP_ID)
        found = here.sandbox.user("u1", app_id=APP_ID)
        assert found is not None
        world.unlink(found, "external_id")
        after = await happen(here, track("Order Shipped", "u1", "m2", properties=shipped))
        assert after == before


async def test_tag_a_user_who_spent_money(tmp_path: Path) -> None:
    async with shop(tmp_path) as here:
        await phone(here)
        await happen(here, track("Order Completed", properties={"order_id": "A-7", "total": 20}))
        user = here.sandbox.user("u1", app_id=APP_ID)
        assert user is not None
        assert user.expected_tags()["purchases"] == "20"


async def test_push_on_entering_an_audience(tmp_path: Path) -> None:
    async with shop(tmp_path) as here:
        android, iphone = await phone(here), await phone(here, "ios")
        for info in (android, iphone):
            said = info | {"userId": "u1", "userHash": proof("u1")}
            assert await posted(here, said) == 200
        entered = track("Audience Entered", properties={"audience_key": "vip", "vip": True})
        said_again = identify("u1", "m2", vip=True) | {"context": VIP}
        (push,) = await happen(here, entered | {"context": VIP}, said_again)
        assert (push.subscription_id, push.title) == (
            android["oneSignalUserId"],
            "Welcome to the club",
        )
        outcomes = await here.outcomes()
        assert ends(one for one in outcomes if one[0] == 2)["vip-entered/send_notification"] == (
            "skipped",
            "same_membership",
        )


async def test_push_with_chrome_web_image(tmp_path: Path) -> None:
    async with shop(tmp_path) as here:
        info = await phone(here, "web-chrome")
        assert await posted(here, info | {"userId": "u1", "userHash": proof("u1")}) == 200
        entered = track("Audience Entered", properties={"audience_key": "vip", "vip": True})
        (push,) = await happen(here, entered | {"context": VIP})
        assert (push.platform, push.image, push.url) == (
            "web-chrome",
            "https://www.example.com/club.png",
            "https://www.example.com/club",
        )
