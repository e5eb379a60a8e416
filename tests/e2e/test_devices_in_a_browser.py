"""What a browser sends to the device registry: the snippets of docs/clients.md, as they are, in Chromium.

The shop's page and the bridge are two origins on one host, so that every call of the page is preflighted
and carries the host's cookies. OneSignal's SDK, Median's bridge and jQuery are as small here as the
snippets need them.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson
import pytest
from playwright.async_api import Page
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse
from starlette.routing import Route

from bridge.config import DEFAULT as APP
from bridge.journal.devices import Device
from tests.browsing import chromium, needs_chromium, serving
from tests.e2e.test_devices import INFO, PHONE, Website, proof, registry, token
from tests.harness import Rig

pytestmark = [needs_chromium]

CLIENTS = (Path(__file__).parents[2] / "docs" / "clients.md").read_text(encoding="utf-8")
BROWSER = "0b7a3c1e-0000-4000-8000-0000000000bb"
SDK = """
window.calls = [];
const listeners = [];
const push = {
  id: "%s", token: "https://push.example/abc", optedIn: true,
  addEventListener: (_, heard) => listeners.push(heard),
};
const OneSignal = {
  init: async () => calls.push("init"),
  login: async (user) => calls.push("login " + user),
  logout: async () => calls.push("logout"),
  User: { PushSubscription: push },
};
const waiting = window.OneSignalDeferred || [];
window.OneSignalDeferred = { push: (then) => then(OneSignal) };
waiting.forEach((then) => then(OneSignal));
function changed(values) { Object.assign(push, values); listeners.forEach((heard) => heard()); }
const median = { onesignal: {
  login: (user) => calls.push("login " + user),
  logout: () => calls.push("logout"),
} };
const $ = {
  extend: Object.assign,
  param: (values) => new URLSearchParams(values).toString(),
  ajax: ({ url, type, contentType, xhrFields, data }) => {
    const asked = new XMLHttpRequest();
    asked.open(type, url);
    Object.assign(asked, xhrFields);
    asked.setRequestHeader("content-type", contentType);
    asked.send(data);
  },
};
"""
ASKED = """async ([url, options]) => {
  try {
    const answer = await fetch(url, options);
    return { status: answer.status, body: await answer.text() };
  } catch (error) {
    return { status: 0, body: String(error) };
  }
}"""


def snippet(name: str) -> str:
    found = re.search(rf"^```js {name}\n(.*?)^```$", CLIENTS, re.MULTILINE | re.DOTALL)
    assert found is not None, name
    return found[1]


@dataclass
class Visit:
    """A page of the shop's in a browser, and the bridge that it talks to."""

    here: Rig
    page: Page
    shop: str
    bridge: str
    website: Website
    pages: dict[str, str] = field(default_factory=dict)

    async def run(
        self, *snippets: str, shown: dict[str, Any] | None = None, path: str = ""
    ) -> Page:
        """Open a page with these snippets, for somebody who is logged in."""
        shop = {"userId": "u1", "userHash": proof("u1")} if shown is None else shown
        scripts = [
            snippet(name).replace("https://bridge.shop.example", self.bridge) for name in snippets
        ]
        written = "".join(f"<script>{one}</script>" for one in scripts)
        known = f"<script>const SHOP = {orjson.dumps(shop).decode()};</script>"
        self.pages[path] = (
            f"<html><body>{known}<script>{SDK % BROWSER}</script>{written}</body></html>"
        )
        await self.page.goto(f"{self.shop}/{path}")
        return self.page

    async def answered(self, doing: Awaitable[Any]) -> int:
        """The status of what the registry says to what is done."""
        async with self.page.expect_response(self.bridge + "/v1/devices**") as answer:
            await doing
        return (await answer.value).status

    async def ask(self, options: dict[str, Any], path: str = "/v1/devices") -> tuple[int, Any]:
        """What the page is told when it asks; 0: the browser keeps it from the page."""
        answer = await self.page.evaluate(ASKED, [self.bridge + path, options])
        return answer["status"], answer["body"]

    async def devices(self, user: str = "u1") -> list[Device]:
        journal = self.here.bridge.journal
        return await journal.devices.of(APP, journal.user_hash(APP, user), since_ms=0)


@asynccontextmanager
async def visiting(folder: Path, **settings: Any) -> AsyncIterator[Visit]:
    pages: dict[str, str] = {}

    async def shown(request: Request) -> HTMLResponse:
        return HTMLResponse(pages.get(request.path_params["path"], ""))

    app, website = Starlette(routes=[Route("/{path:path}", shown)]), Website()
    async with (
        serving(app) as shop,
        registry(folder, website, **({"devices_origins": (shop,)} | settings)) as here,
        serving(here.bridge.app) as bridge,
        chromium() as browser,
    ):
        context = await browser.new_context()
        page = await context.new_page()
        yield Visit(here, page, shop, bridge, website, pages)
        await context.close()


def json_of(**body: Any) -> dict[str, Any]:
    return {
        "method": "POST",
        "credentials": "include",
        "headers": {"content-type": "application/json"},
        "body": orjson.dumps(body).decode(),
    }


# The snippets ----------------------------------------------------------------------------------------


async def test_a_page_says_who_it_is_and_posts_its_browser(tmp_path: Path) -> None:
    async with visiting(tmp_path) as visit:
        page = visit.page
        assert await visit.answered(visit.run("login", "register")) == 200
        assert await page.evaluate("calls") == ["init", "login u1"]
        (one,) = await visit.devices()
        assert (one.platform, one.subscription_id, one.subscribed) == ("web", BROWSER, True)

        assert await visit.answered(page.evaluate("changed({optedIn: false})")) == 200
        (one,) = await visit.devices()
        assert not one.subscribed


@pytest.mark.parametrize(
    ("agent", "touches", "platform"),
    [
        ("Mozilla/5.0 (iPhone; CPU iPhone OS 17_0 like Mac OS X)", 5, "ios_web"),
        ("Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) Version/17.0 Safari", 5, "ios_web"),
        ("Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) Version/17.0 Safari", 0, "web"),
    ],
    ids=["an iPhone", "an iPad", "a Mac"],
)
async def test_a_web_app_on_an_iphone_or_ipad_counts_as_ios(
    tmp_path: Path, agent: str, touches: int, platform: str
) -> None:
    async with visiting(tmp_path) as visit:
        shown = {"userAgent": agent, "maxTouchPoints": touches}
        await visit.page.add_init_script(
            f"for (const [name, value] of Object.entries({orjson.dumps(shown).decode()}))"
            " Object.defineProperty(navigator, name, {get: () => value})"
        )
        assert await visit.answered(visit.run("login", "register")) == 200
        (one,) = await visit.devices()
        assert one.platform == platform


async def test_at_log_out_the_browser_is_forgotten_and_detached(tmp_path: Path) -> None:
    async with visiting(tmp_path) as visit:
        page = visit.page
        assert await visit.answered(visit.run("login", "register", "logout")) == 200
        assert len(await visit.devices()) == 1
        await page.evaluate("forgetDevice(OneSignal)")
        assert await visit.devices() == []
        assert (await page.evaluate("calls"))[-1] == "logout"


@pytest.mark.parametrize("name", ["median", "jquery"])
async def test_associate_by_page_javascript(tmp_path: Path, name: str) -> None:
    """Median calls a function of the page with what it knows of the device."""
    async with visiting(tmp_path) as visit:
        page = await visit.run(name, "median-logout")
        told = page.evaluate("info => { median_onesignal_info(info); }", INFO)
        assert await visit.answered(told) == 200
        (one,) = await visit.devices()
        assert (one.platform, one.subscription_id) == ("android", PHONE)
        details = orjson.loads(one.details)
        assert details["model"] == "Pixel 8"

        await page.evaluate("id => forgetMedianDevice(id)", PHONE)
        assert await visit.devices() == []


# What a browser does besides -------------------------------------------------------------------------


async def test_a_token_in_a_cookie_goes_along_with_credentials_alone(tmp_path: Path) -> None:
    async with visiting(tmp_path) as visit:
        await visit.run("login")
        cookie = {
            "name": "session",
            "value": token(visit.here),
            "url": visit.shop,
            "httpOnly": True,
        }
        await visit.page.context.add_cookies([cookie])  # type: ignore[list-item]  # a dict, to Playwright
        body = {"platform": "web", "oneSignalUserId": BROWSER}
        assert (await visit.ask(json_of(**body) | {"credentials": "omit"}))[0] == 401
        assert await visit.devices() == []
        assert (await visit.ask(json_of(**body)))[0] == 200
        assert len(await visit.devices()) == 1


async def test_the_session_of_the_website_names_the_user(tmp_path: Path) -> None:
    async with visiting(tmp_path, devices_cookie="") as visit:
        visit.website.users["sid=abc"] = "u7"
        await visit.run("login")
        cookie = {"name": "sid", "value": "abc", "url": visit.shop}
        await visit.page.context.add_cookies([cookie])  # type: ignore[list-item]  # as above
        answer = await visit.ask(json_of(platform="web", oneSignalUserId=BROWSER))
        assert answer[0] == 200
        assert len(await visit.devices("u7")) == 1


async def test_a_form_is_taken_as_a_browser_posts_it(tmp_path: Path) -> None:
    fields = {
        "userId": "u1",
        "userHash": proof("u1"),
        "platform": "web",
        "oneSignalUserId": BROWSER,
    }
    inputs = "".join(f'<input name="{name}" value="{value}">' for name, value in fields.items())
    async with visiting(tmp_path) as visit:
        visit.pages["form"] = (
            f'<form method="post" action="{visit.bridge}/v1/devices">{inputs}<button>ok</button></form>'
        )
        await visit.page.goto(f"{visit.shop}/form")
        async with visit.page.expect_navigation():
            await visit.page.click("button")
        assert "registered" in await visit.page.inner_text("body")
        assert len(await visit.devices()) == 1


# Other pages -----------------------------------------------------------------------------------------


async def test_a_page_that_is_not_listed_can_do_nothing_with_its_visitors_cookies(
    tmp_path: Path,
) -> None:
    async with visiting(tmp_path, devices_origins=("https://www.shop.example",)) as visit:
        await visit.run("login")
        cookie = {"name": "session", "value": token(visit.here), "url": visit.shop}
        await visit.page.context.add_cookies([cookie])  # type: ignore[list-item]  # as above
        wanted = {"platform": "web", "oneSignalUserId": BROWSER}
        # What is preflighted never leaves; what is not is refused, and the page is not told how.
        assert (await visit.ask(json_of(**wanted)))[0] == 0
        plain = json_of(**wanted) | {"headers": {"content-type": "text/plain"}}
        assert (await visit.ask(plain))[0] == 0
        assert (await visit.ask(plain | {"mode": "no-cors"}))[0] == 0
        assert (
            await visit.ask(
                {"method": "DELETE", "credentials": "include"}, f"/v1/devices/{BROWSER}"
            )
        )[0] == 0
        assert await visit.devices() == []


async def test_a_form_of_another_page_is_refused_though_it_carries_the_cookies(
    tmp_path: Path,
) -> None:
    async with visiting(tmp_path, devices_origins=("https://www.shop.example",)) as visit:
        visit.pages["form"] = (
            f'<form method="post" action="{visit.bridge}/v1/devices"><input name="platform" value="web">'
            f'<input name="oneSignalUserId" value="{BROWSER}"><button>win</button></form>'
        )
        cookie = {"name": "session", "value": token(visit.here), "url": visit.shop}
        await visit.page.context.add_cookies([cookie])  # type: ignore[list-item]  # as above
        await visit.page.goto(f"{visit.shop}/form")
        async with visit.page.expect_navigation():
            await visit.page.click("button")
        assert "origin-not-allowed" in await visit.page.inner_text("body")
        assert await visit.devices() == []


async def test_a_frame_without_an_origin_is_refused(tmp_path: Path) -> None:
    async with visiting(tmp_path) as visit:
        visit.pages["inner"] = (
            f'<script>fetch("{visit.bridge}/v1/devices", {{method: "POST", mode: "no-cors", credentials: "include",'
            f' body: JSON.stringify({{platform: "web", oneSignalUserId: "{BROWSER}"}})}})</script>'
        )
        visit.pages["outer"] = f'<iframe sandbox="allow-scripts" src="{visit.shop}/inner"></iframe>'
        cookie = {"name": "session", "value": token(visit.here), "url": visit.shop}
        await visit.page.context.add_cookies([cookie])  # type: ignore[list-item]  # as above
        async with visit.page.expect_response("**/v1/devices") as answered:
            await visit.page.goto(f"{visit.shop}/outer")
        assert (await answered.value).status == 403
        assert await visit.devices() == []
