"""Somebody at the console: signs in, opens pages, fills in forms, as a browser does."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from html import unescape
from pathlib import Path
from typing import Any

import httpx
from pydantic import SecretStr

from tests.harness import Rig, rig

TOKENS = {
    "view": "the-token-of-who-looks",
    "operate": "the-token-of-who-operates",
    "admin": "the-token-of-who-may-all",
}
PEOPLE = {"view": "vera", "operate": "otto", "admin": "ada"}
SETTINGS: dict[str, Any] = {
    "admin_tokens": tuple(
        SecretStr(f"{PEOPLE[role]} {role} {token}") for role, token in TOKENS.items()
    )
}
SHOP = """
version: 1
push: {platforms: {exclude: [ios]}}
rules:
  - name: profile
    when: type = "identify"
    do: {update_user: {tags: {tier: "{{ traits.tier }}"}}}
  - name: shipped
    when: event = "Order Shipped"
    do: {send_notification: {contents: "{{ properties.id }} is on its way"}}
  - name: cheap
    when: event = "Price Dropped" and properties.price < 20
    once_per: {time: 7d, key: "{{ properties.sku }}"}
    do: {send_notification: {contents: "{{ properties.sku }} costs {{ properties.price }}"}}
  - name: welcome
    when: event = "Signed Up"
    limit: {max: 1, per: 1h}
    do: {send_notification: {contents: "Hello {{ traits.name | default: 'you' }}"}}
"""


@dataclass
class Visitor:
    """A browser of somebody's."""

    http: httpx.AsyncClient

    async def get(self, path: str, *, status: int = 200) -> str:
        answer = await self.http.get(path)
        assert answer.status_code == status, (answer.status_code, answer.text[:2000])
        return answer.text

    async def post(self, path: str, *, on: str, status: int = 303, **fields: str) -> httpx.Response:
        """Send the form of the page `on` that goes to `path`, with these fields."""
        form = form_of(await self.get(on), path)
        answer = await self.http.post(path, data=form | fields)
        assert answer.status_code == status, (answer.status_code, answer.text[:2000])
        return answer

    async def sign_in(self, token: str, *, status: int = 303) -> httpx.Response:
        return await self.post("/console/login", on="/console/login", status=status, token=token)


def form_of(page: str, action: str) -> dict[str, str]:
    """The hidden fields of the first form that goes to `action`."""
    for form in re.findall(r"<form[^>]*>.*?</form>", page, re.DOTALL):
        if f'action="{action}"' in unescape(form):
            fields = re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)"', form)
            return {name: unescape(value) for name, value in fields}
    raise AssertionError(f"no form goes to {action}")


def text_of(page: str) -> str:
    """What is read, without marks and in one line."""
    inner = page[page.index("<main") :]
    read = unescape(re.sub(r"<[^>]+>", " ", inner)).replace("\N{RIGHT SINGLE QUOTATION MARK}", "'")
    return " ".join(read.split())


def browser(here: Rig, **more: Any) -> Visitor:
    transport = httpx.ASGITransport(here.bridge.app, client=more.pop("client", ("127.0.0.1", 4711)))
    return Visitor(
        httpx.AsyncClient(transport=transport, **({"base_url": "http://bridge.test"} | more))
    )


@asynccontextmanager
async def visiting(
    folder: Path, role: str = "operate", mapping: str | Path = SHOP, **settings: Any
) -> AsyncIterator[tuple[Rig, Visitor]]:
    """A bridge, and somebody of that role who has signed in."""
    async with rig(folder, mapping, **(SETTINGS | settings)) as here:
        visitor = browser(here)
        await visitor.sign_in(TOKENS[role])
        yield here, visitor
        await visitor.http.aclose()
