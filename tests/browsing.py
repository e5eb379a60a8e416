"""A browser before pages of ours: headless Chromium, driven by Playwright, on a loopback port.

The browser is Debian's (`apt-get install chromium`); where there is none, these tests are skipped with
one line that says so. Whatever a page complains of in its console fails the test that opened it.
"""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Browser, ConsoleMessage, Page, async_playwright
from starlette.types import ASGIApp

from bridge.cli.server import QuietServer, configuration, listen

CHROMIUM = shutil.which("chromium")
needs_chromium = pytest.mark.skipif(
    CHROMIUM is None, reason="there is no chromium here: apt-get install chromium"
)
_FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
DESK, PHONE = {"width": 1280, "height": 860}, {"width": 390, "height": 844}
PICTURES = os.environ.get("BROWSER_PICTURES")
"""A folder for pictures of what the tests have seen; without it they are taken and thrown away."""
_RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]


@dataclass
class Window:
    """A window of a browser's, and what its pages complained of."""

    page: Page
    address: str
    complaints: list[str] = field(default_factory=list)

    async def open(self, path: str) -> int:
        """Go there; the status of the answer."""
        answer = await self.page.goto(self.address + path)
        assert answer is not None
        return answer.status

    async def picture(self, name: str, *, whole: bool = False, small: bool = False) -> bytes:
        """`small`: a point of the page is one of the picture, however fine the screen is."""
        path = Path(PICTURES) / f"{name}.png" if PICTURES else None
        return await self.page.screenshot(
            path=path, full_page=whole, scale="css" if small else "device"
        )

    async def violations(self) -> list[str]:
        """What axe-core finds wrong with the page for people who see, hear or move otherwise."""
        source = files("axe_playwright_python").joinpath("axe.min.js").read_text(encoding="utf-8")
        await self.page.evaluate(source)
        found = await self.page.evaluate(
            "rules => axe.run(document, {runOnly: {type: 'tag', values: rules}})", _RULES
        )
        return [
            f"{one['impact']}: {one['id']}: {node['html'][:200]}"
            for one in found["violations"]
            for node in one["nodes"]
        ]

    async def overflows(self) -> list[str]:
        """What is wider than the window, so that the page has to be moved sideways."""
        found: list[str] = await self.page.evaluate(_OVERFLOWS)
        return found


_OVERFLOWS = """() => document.documentElement.scrollWidth <= innerWidth ? [] :
  [...document.querySelectorAll("body *")].filter((one) => one.getBoundingClientRect().right > innerWidth + 1)
    .map((one) => one.outerHTML.slice(0, 120))"""


@asynccontextmanager
async def serving(app: ASGIApp) -> AsyncIterator[str]:
    """The address at which `app` answers, on this very loop."""
    listening = listen("127.0.0.1", 0)
    server = QuietServer(configuration(app))
    task = asyncio.create_task(server.serve(sockets=[listening]))
    try:
        yield "http://{}:{}".format(*listening.getsockname()[:2])
    finally:
        server.should_exit = server.force_exit = True
        await task


@asynccontextmanager
async def chromium() -> AsyncIterator[Browser]:
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=_FLAGS)
        yield browser
        await browser.close()


@asynccontextmanager
async def window(
    browser: Browser, address: str, *, phone: bool = False, dark: bool = False, **more: Any
) -> AsyncIterator[Window]:
    """A new window without cookies; at its end nothing may have been complained of."""
    context = await browser.new_context(
        viewport=PHONE if phone else DESK,  # type: ignore[arg-type]  # a literal, to Playwright
        device_scale_factor=2 if phone else 1,
        color_scheme="dark" if dark else "light",
        reduced_motion="reduce",
        **({"timezone_id": "Europe/Vienna", "locale": "en-GB"} | more),
    )
    page = await context.new_page()
    opened = Window(page, address)

    def heard(message: ConsoleMessage) -> None:
        if message.type in {"error", "warning"}:
            opened.complaints.append(f"{page.url}: {message.text}")

    page.on("console", heard)
    page.on("pageerror", lambda error: opened.complaints.append(f"{page.url}: {error}"))
    yield opened
    await context.close()
    assert opened.complaints == []
