"""The console as people use it: in a browser, by mouse and by keys, at a desk and on a phone."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.browsing import Window, chromium, needs_chromium, serving, window
from tests.console.visiting import SETTINGS, SHOP, TOKENS
from tests.harness import APP_ID, Rig, identify, rig, track

pytestmark = [needs_chromium, pytest.mark.slow]

PAGES = {
    "rules": "/console", "overview": "/console/overview", "events": "/console/events", "event": "/console/events/1",
    "skipped": "/console/events/4", "people": "/console/people", "person": "/console/people?user=u1",
    "waiting": "/console/waiting", "release": "/console/waiting/act?pile=held&act=release&rule=welcome",
    "try": "/console/try", "draft": "/console/try?edit=0", "mappings": "/console/mappings", "audit": "/console/audit",
}  # fmt: skip
REFUSES: dict[str, Any] = {"match": {"class": "send"}, "answers": [{"status": 400}], "times": 1}


async def a_day(here: Rig) -> None:
    """A push that left, one skipped, one dead, three held, and somebody's tags."""
    for number in range(1, 8):
        here.sandbox.add_device(f"u{number}", "android", app_id=APP_ID)
    await here.post(track("Order Shipped", "u1", "m-1", properties={"id": "A7"}))
    await here.post(identify("u1", "m-2", tier="gold"))
    for number in (3, 4):
        body = {"sku": "KETTLE", "price": 9}
        await here.post(track("Price Dropped", "u1", f"m-{number}", properties=body))
    await here.settle()
    here.sandbox.faults.script(REFUSES)
    await here.post(track("Order Shipped", "u2", "m-5", properties={"id": "B1"}))
    await here.settle()
    for number in range(3, 7):
        await here.post(track("Signed Up", f"u{number}"))
    await here.settle()


@asynccontextmanager
async def looking(
    folder: Path, role: str = "admin", **more: Any
) -> AsyncIterator[tuple[Rig, Window]]:
    """A bridge with a day behind it, and a window in which somebody has signed in."""
    (folder / "shop.yaml").write_text(SHOP)
    mapping = folder / "shop.yaml"
    async with (
        rig(folder, mapping, **(SETTINGS | {"mappings": mapping})) as here,
        serving(here.bridge.app) as address,
        chromium() as browser,
        window(browser, address, **more) as opened,
    ):
        await a_day(here)
        await opened.open("/console/login")
        await opened.page.wait_for_selector("#token:focus")
        await opened.page.keyboard.type(TOKENS[role])
        await opened.page.keyboard.press("Enter")
        await opened.page.wait_for_selector("nav")
        yield here, opened


async def read(opened: Window) -> str:
    return " ".join((await opened.page.inner_text("main")).split())


async def test_somebody_finds_a_person_and_reads_why_a_push_was_skipped(tmp_path: Path) -> None:
    async with looking(tmp_path) as (_, opened):
        page = opened.page
        await page.click("nav >> text=People")
        await page.wait_for_selector("#user")
        await page.keyboard.press("/")
        await page.wait_for_selector("#user:focus")
        await page.keyboard.type("u1")
        await page.keyboard.press("Enter")
        await page.wait_for_selector("text=Not done, and why")
        assert "tier gold" in await read(opened)
        await page.click("text=Price Dropped")
        await page.wait_for_selector("text=What became of it")
        assert "Got cheap for 'KETTLE'" in await read(opened)


async def test_somebody_pauses_a_rule_and_lets_it_push_again(tmp_path: Path) -> None:
    async with looking(tmp_path) as (here, opened):
        page = opened.page
        await page.click("[aria-label='Pause cheap']")
        await page.wait_for_selector("text=Pushes are paused.")
        assert list(here.bridge.brake.pauses) == ["rule/cheap"]
        await page.click("text=Paused. Let it push again")
        await page.click("main button.primary")
        await page.wait_for_selector("text=Pushes leave again.")
        assert here.bridge.brake.pauses == {}


async def test_somebody_releases_held_pushes_and_replays_a_dead_one(tmp_path: Path) -> None:
    async with looking(tmp_path) as (here, opened):
        page = opened.page
        await opened.open("/console/waiting")
        await page.click("#held a.primary")
        await page.wait_for_selector("text=Let held pushes go?")
        assert "3 of rule welcome" in await read(opened)
        await page.click("text=Let them go: 3")
        await page.wait_for_selector("text=3 pushes are on their way.")
        await page.click("#dead a.primary")
        await page.wait_for_selector("text=Replay what is dead?")
        await page.click("text=Replay: 1")
        await page.wait_for_selector("text=One is tried again.")
        await here.settle()
        texts = [push.text for push in here.sandbox.pushes]
        assert (texts.count("Hello you"), texts.count("B1 is on its way")) == (4, 1)


async def test_somebody_tries_a_draft(tmp_path: Path) -> None:
    async with looking(tmp_path) as (_, opened):
        page = opened.page
        await opened.open("/console/try")
        await page.click("text=Edit shop.yaml first")
        await page.wait_for_selector("#draft")
        event = '{"type": "track", "event": "Order Shipped", "userId": "u1", "messageId": "t", "properties": {"id": "Z"}}'
        await page.fill("#event", event)
        await page.fill("#draft", SHOP.replace("limit:", "limitt:"))
        await page.click("button.primary")
        await page.wait_for_selector("text=The draft cannot run yet")
        assert "limitt: {max: 1, per: 1h}" in await read(opened)
        await page.fill("#draft", SHOP.replace("is on its way", "comes soon"))
        await page.click("button.primary")
        await page.wait_for_selector("text=With the draft")
        assert "Z comes soon" in await read(opened)
        await opened.picture("try-draft", whole=True)


async def test_what_is_live_changes_without_being_opened_again(tmp_path: Path) -> None:
    async with looking(tmp_path) as (here, opened):
        async with opened.page.expect_response("**/overview/live"):
            await opened.open("/console/overview")
        here.bridge.brake.pauses.clear()
        await here.post(identify("u9", tier="silver"))
        await here.pass_time(9)
        for _ in range(30):
            if "10 in the last day" in await read(opened):
                return
            await here.pass_time(2)
            await opened.page.wait_for_timeout(50)
        raise AssertionError(await read(opened))


async def test_the_colours_are_the_persons_choice(tmp_path: Path) -> None:
    async with looking(tmp_path) as (_, opened):

        async def ground() -> str:
            colour: str = await opened.page.evaluate(
                "getComputedStyle(document.body).backgroundColor"
            )
            return colour

        light = await ground()
        await opened.page.emulate_media(color_scheme="dark")
        dark = await ground()
        assert light != dark
        for colour in (light, dark, dark):
            await opened.page.click("button[aria-label^='Colours']")
            await opened.page.wait_for_load_state()
            assert await ground() == colour


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("phone", [False, True], ids=["desk", "phone"])
async def test_every_page_is_for_everybody(tmp_path: Path, *, phone: bool, dark: bool) -> None:
    async with looking(tmp_path, phone=phone, dark=dark) as (_, opened):
        wrong = []
        for name, path in PAGES.items():
            assert await opened.open(path) == 200, path
            wrong += [f"{path}: {one}" for one in await opened.violations()]
            wrong += [f"{path}: too wide: {one}" for one in await opened.overflows()]
            await opened.picture(
                f"{name}-{'phone' if phone else 'desk'}-{'dark' if dark else 'light'}", whole=True
            )
        assert wrong == []


async def test_a_script_that_a_customer_is_called_does_not_run(tmp_path: Path) -> None:
    async with looking(tmp_path) as (here, opened):
        script = '<img src=x onerror="window.pwned = 1"><script>window.pwned = 1</script>'
        await here.post(track("Order Shipped", script, "m-x", properties={"id": script}))
        await here.settle()
        for path in ("/console", "/console/events", "/console/overview"):
            await opened.open(path)
            assert await opened.page.evaluate("window.pwned") is None
        await opened.page.goto(opened.address + "/console/events?q=m-x")
        assert script in await opened.page.inner_text("main")
        assert await opened.page.evaluate("window.pwned") is None
