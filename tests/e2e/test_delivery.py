"""From a webhook to OneSignal: the whole way, in one process, with time under control."""

from __future__ import annotations

from pathlib import Path

from tests.harness import APP_ID, identify, rig, track

SHOP = """
version: 1
push: {platforms: {exclude: [ios]}}
rules:
  - name: profile
    when: type = "identify"
    do: {update_user: {tags: {tier: "{{ traits.tier }}"}}}
  - name: shipped
    when: event = "Order Shipped"
    do:
      update_user: {tags: {last_order: "{{ properties.id }}"}}
      send_notification: {contents: "{{ properties.id }} is on its way"}
"""


async def test_an_identify_becomes_tags_of_a_new_user(tmp_path: Path) -> None:
    async with rig(tmp_path, SHOP) as here:
        await here.post(identify("u1", tier="gold"))
        await here.settle()

        user = here.sandbox.user("u1", app_id=APP_ID)
        assert user is not None
        assert user.tags == {"tier": "gold"}
        assert await here.outcomes() == [(1, "profile", "update_user", "delivered", None)]
        assert not here.sandbox.complaints


async def test_a_push_reaches_the_android_phone_and_never_the_iphone(tmp_path: Path) -> None:
    async with rig(tmp_path, SHOP) as here:
        here.sandbox.add_device("u1", "ios", app_id=APP_ID)
        here.sandbox.add_device("u1", "android", app_id=APP_ID)
        await here.post(track("Order Shipped", properties={"id": "A7"}))
        await here.settle()

        assert [(push.platform, push.text) for push in here.sandbox.pushes] == [
            ("android", "A7 is on its way")
        ]
        assert not here.sandbox.complaints
