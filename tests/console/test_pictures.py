"""The pictures in README and docs/: a shop's day at the console, as a browser shows it, in both themes.

To renew them::

    BROWSER_PICTURES=docs/pictures .venv/bin/python -m pytest tests/console/test_pictures.py
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from bridge.console.views.cards import HOURS
from tests.browsing import Window, chromium, needs_chromium, serving, window
from tests.console.visiting import SETTINGS, TOKENS
from tests.harness import APP_ID, Rig, identify, rig, track

pytestmark = [needs_chromium, pytest.mark.slow]

LARGEST = 120_000
"""Bytes of a picture: whoever reads a page waits for it."""
SHOP = """
version: 1
identity: {external_id: "{{ userId }}"}
push:
  platforms: {exclude: [ios]}
  links: ["shop://"]
rules:
  - name: order-shipped
    when: type = "track" and event = "Order Shipped"
    transactional: true
    do:
      send_notification:
        headings: On its way
        contents: "{{ properties.product }} has left our house with {{ properties.carrier }}."
        app_url: "shop://orders/{{ properties.order_id }}"
  - name: price-drop
    when: type = "track" and event = "Price Dropped" and properties.percent >= 20
    once_per: {time: 7d, key: "{{ properties.sku }}"}
    do:
      send_notification:
        headings: "{{ properties.percent }} % off"
        contents: "{{ properties.product }} is on your list, and costs €{{ properties.price }} now."
  - name: welcome
    when: type = "track" and event = "Signed Up"
    limit: {max: 40, per: 1d}
    do: {send_notification: {contents: "Hello {{ properties.name }}! Your first order travels free."}}
  - name: profile
    when: type = "identify"
    do: {update_user: {tags: {tier: "{{ traits.tier }}", orders: "{{ traits.orders }}", city: "{{ traits.city }}"}}}
"""
PRODUCTS = ("The blue kettle", "A pair of boots", "The garden chair", "The reading lamp")
CARRIERS = ("Royal Mail", "DPD", "our own bike")
REFUSES: dict[str, Any] = {"match": {"class": "send"}, "answers": [{"status": 400}], "times": 2}
SHARES = (2, 1, 1, 1, 1, 2, 3, 5, 8, 9, 10, 9, 11, 10, 8, 9, 10, 12, 13, 11, 9, 7, 5, 4)
"""Of a day's orders, hour by hour."""
PAGES = {
    "rules": "/console", "overview": "/console/overview", "event": "/console/events/{seq}",
    "person": "/console/people?user=ana",
}  # fmt: skip


async def a_day(here: Rig) -> int:
    """Everything that a shop's day brings; the number of the event that is shown."""
    for number in range(60):
        here.sandbox.add_device(f"customer-{number}", "android", app_id=APP_ID)
    here.sandbox.add_device("ana", "android", app_id=APP_ID)
    here.sandbox.add_device("ana", "web-chrome", app_id=APP_ID)
    for hour in range(HOURS):
        await here.post(list(_of_an_hour(hour)))
        await here.settle()
        await here.bridge.counting.flush()
        here.clock.advance(3600)
    here.sandbox.faults.script(REFUSES)
    await here.post([_shipped("customer-1", 991), _shipped("customer-2", 992)])
    await here.settle()
    return await _ana(here)


def _of_an_hour(hour: int) -> Any:
    for number in range(SHARES[hour]):
        yield _shipped(f"customer-{(7 * hour + number) % 70}", 100 * hour + number)
        user = f"customer-{(11 * hour + number) % 60}"
        traits = {"tier": "gold" if number % 3 else "silver", "orders": number, "city": "Graz"}
        yield identify(user, f"profile-{hour}-{number}", **traits)
        if number % 3 == 0:
            yield _dropped(user, hour)
        if number % 2 == 0:
            yield track(
                "Signed Up",
                f"customer-{hour + number}",
                f"signup-{hour}-{number}",
                properties={"name": "Ida"},
            )


def _shipped(user: str, number: int) -> dict[str, Any]:
    properties = {
        "order_id": f"A{number}", "product": PRODUCTS[number % 4], "carrier": CARRIERS[number % 3]
    }  # fmt: skip
    return track("Order Shipped", user, f"shipped-{number}", properties=properties)


def _dropped(user: str, number: int) -> dict[str, Any]:
    properties = {
        "sku": f"K{number % 5}", "product": PRODUCTS[number % 4], "price": 39, "percent": 20 + number
    }  # fmt: skip
    return track("Price Dropped", user, f"drop-{user}-{number}", properties=properties)


async def _ana(here: Rig) -> int:
    await here.post(identify("ana", "ana-1", tier="gold", orders=12, city="Vienna"))
    await here.settle()
    here.clock.advance(5)
    await here.post(_dropped("ana", 10))
    await here.settle()
    here.clock.advance(1200)
    await here.post(_dropped("ana", 15))
    await here.settle()
    here.clock.advance(300)
    await here.post(_shipped("ana", 4))
    await here.settle()
    here.clock.advance(70)
    seqs = await here.bridge.journal.looks.of_message("drop-ana-15", ["default"])
    return seqs[0]


@asynccontextmanager
async def looking(folder: Path) -> AsyncIterator[tuple[Rig, int, Window, Window]]:
    """A bridge, the event that is shown; a window at a desk and one on a phone, both signed in."""
    (folder / "shop.yaml").write_text(SHOP)
    settings = SETTINGS | {"mappings": folder / "shop.yaml"}
    async with (
        rig(folder, folder / "shop.yaml", **settings) as here,
        serving(here.bridge.app) as address,
        chromium() as browser,
        window(browser, address) as desk,
        window(browser, address, phone=True) as phone,
    ):
        seq = await a_day(here)
        for one in (desk, phone):
            await one.open("/console/login")
            await one.page.wait_for_selector("#token:focus")
            await one.page.keyboard.type(TOKENS["operate"])
            await one.page.keyboard.press("Enter")
            await one.page.wait_for_selector("nav")
        yield here, seq, desk, phone


async def _look(here: Rig, desk: Window, name: str) -> None:
    """As much of a page as says what it is for."""
    tall = 900 if name == "overview" else 660
    await desk.page.set_viewport_size({"width": 1040, "height": tall})
    if name == "person":
        here.clock.advance(2)  # one look-up a second
        await desk.page.click("text=Ask OneSignal")
        await desk.page.wait_for_selector("text=As OneSignal says now")


async def test_a_day_of_a_shop_is_good_to_look_at(tmp_path: Path) -> None:
    async with looking(tmp_path) as (here, seq, desk, phone):
        for theme in ("light", "dark"):
            await desk.page.emulate_media(color_scheme=theme)
            for name, path in PAGES.items():
                assert await desk.open(path.format(seq=seq)) == 200
                await _look(here, desk, name)
                assert await desk.overflows() == []
                assert len(await desk.picture(f"{name}-{theme}")) < LARGEST
        for name in ("rules", "person"):
            assert await phone.open(PAGES[name]) == 200
            assert await phone.overflows() == []
            assert len(await phone.picture(f"{name}-phone", small=True)) < LARGEST
