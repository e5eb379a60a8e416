"""A whole bridge in one process, beside a sandbox, with time under the test's control.

`Rig` posts webhooks as Segment does and lets the bridge work until nothing more happens without
time passing; then it moves the clock to the next moment that anybody waits for. Nothing sleeps.
"""

from __future__ import annotations

import asyncio
import hmac
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import httpx
import orjson
from pydantic import SecretStr
from starlette.applications import Starlette

from bridge.app import Bridge, running
from bridge.clock import ManualClock, SystemClock
from bridge.config import DEFAULT as APP, App, Config, of_settings
from bridge.deliver.groups import Groups
from bridge.deliver.lanes import Lanes
from bridge.deliver.means import Means
from bridge.mapping.load import Source, compile_mapping, load_mapping
from bridge.mapping.rules import Mapping
from bridge.onesignal.api import USER_MODEL, Spoken
from bridge.sandbox import Limits, Sandbox, create_sandbox
from bridge.settings import Settings

T = TypeVar("T")

SECRET = "abc123"
APP_ID = "8a1b3c4d-0000-4000-8000-000000000001"


def mapping_of(
    text: str,
    serves: tuple[str, ...] = ("android", "web"),
    tag_cap: int | None = None,
    spoken: Spoken = USER_MODEL,
) -> Mapping:
    """The mapping that a YAML text is."""
    source = Source(name="test.yaml", text=text)
    return compile_mapping([source], serves=serves, tag_cap=tag_cap, spoken=spoken)[0]


def settings_of(database: Path, **more: Any) -> Settings:
    values: dict[str, Any] = {
        "database_url": f"sqlite:///{database}",
        "segment_secrets": (SecretStr(SECRET),),
        "onesignal_app_id": APP_ID,
        "onesignal_api_key": (SecretStr("os_v2_app_test"),),
        "onesignal_url": "http://onesignal.test",
    }
    return Settings(**(values | more))


def with_sources(config: Config, names: Iterable[str]) -> Config:
    """As many sources as names, each like the only one of `config`."""
    (only,) = config.sources.values()
    return replace(config, sources={name: replace(only, name=name) for name in names})


def signature(raw: bytes, secret: str = SECRET) -> str:
    return hmac.digest(secret.encode(), raw, "sha1").hex()


def signed(body: Any, secret: str = SECRET) -> tuple[bytes, dict[str, str]]:
    """A webhook's body and headers; of a batch Segment signs the first event only."""
    raw = orjson.dumps(body)
    covered = orjson.dumps(body[0]) if isinstance(body, list) and body else raw
    return raw, {"x-signature": signature(covered, secret), "content-type": "application/json"}


class SetClock(ManualClock):
    """Somebody sets it: what it says of the time of day changes, and time itself does not."""

    def set_by(self, seconds: float) -> None:
        self._start_ms += round(seconds * 1000)


class Rig:
    """A running bridge and everything around it."""

    def __init__(self, bridge: Bridge, sandbox: Sandbox, clock: ManualClock) -> None:
        self.bridge = bridge
        self.sandbox = sandbox
        self.clock = clock
        self.http = httpx.AsyncClient(
            transport=httpx.ASGITransport(bridge.app), base_url="http://bridge.test"
        )

    async def post(self, body: Any, path: str = "/v1/segment/default") -> dict[str, Any]:
        """Post a signed webhook; the answer, which must be 200."""
        raw, headers = signed(body)
        answer = await self.http.post(path, content=raw, headers=headers)
        assert answer.status_code == 200, answer.text
        result: dict[str, Any] = answer.json()
        return result

    @property
    def means(self) -> Means:
        """The means of the app that the environment alone makes."""
        return self.bridge.means[APP]

    @property
    def lanes(self) -> Lanes:
        """Its lanes."""
        return self.bridge.lanes[APP]

    @property
    def groups(self) -> Groups:
        """Of the default app."""
        return self.bridge.groups[APP]

    async def still(self) -> None:
        """Let everything happen that happens without time passing."""
        quiet = 0
        before: object = None
        while quiet < 8:
            # Each of these goes through a thread and the loop, as all work does.
            await self.bridge.journal.user_of(0)
            await self.bridge.journal.looks.look(lambda _: None)
            await self.bridge.journal.append([])
            working = f"{self.bridge.lanes} {self.bridge.groups} {self.bridge.moving}"
            after = (working, repr(self.clock), len(self.sandbox.calls))
            quiet, before = (quiet + 1, after) if after == before else (0, after)

    async def settle(self, *, within: float = 3600.0, step: float = 0.0) -> None:
        """Let work go on until nothing is pending, moving time whenever everybody waits for it.

        Time moves to the next moment that anybody waits for, by at least `step` seconds.

        Raises:
            AssertionError: something is still pending after so many seconds of the clock.
        """
        deadline = self.clock.monotonic() + within
        while True:
            await self.still()
            if await self._is_done():
                return
            wake = self.clock.next_wake
            assert wake is not None, f"pending, and nobody waits for anything: {self.bridge!r}"
            assert self.clock.monotonic() + wake <= deadline, f"still pending: {self.bridge!r}"
            self.clock.advance(max(wake, step))

    async def _is_done(self) -> bool:
        """Whether nothing is pending; to count what is, when that is much, costs more than the work."""
        journal, sql = self.bridge.journal, "SELECT EXISTS (SELECT 1 FROM pending)"
        if await journal._read(lambda connection: connection.execute(sql).fetchone()[0]):
            return False
        return (await journal.counts()).pending == 0

    async def pass_time(self, seconds: float) -> None:
        """Let so much time pass, and everything happen in it in its order."""
        end = self.clock.monotonic() + seconds
        await self.still()
        while (left := end - self.clock.monotonic()) > 0:
            wake = self.clock.next_wake
            self.clock.advance(left if wake is None else min(wake, left))
            await self.still()

    async def outcomes(self) -> list[tuple[int, str, str, str, str | None]]:
        """Every end there is: seq, rule, operation, status, reason."""
        sql = (
            "SELECT seq, rule, operation, status, reason FROM outcome ORDER BY seq, rule, operation"
        )
        return await self.bridge.journal._read(
            lambda connection: connection.execute(sql).fetchall()
        )


def _compiled(mapping: str | Path, app: App) -> Mapping:
    if isinstance(mapping, str):
        return mapping_of(mapping, app.platforms, app.tag_cap, app.spoken)
    return load_mapping(mapping, serves=app.platforms, tag_cap=app.tag_cap, spoken=app.spoken)[0]


@asynccontextmanager
async def rig(
    folder: Path,
    mapping: str | Path,
    *,
    clock: ManualClock | None = None,
    onesignal: Starlette | None = None,
    limits: Limits | None = None,
    transport: httpx.AsyncBaseTransport | None = None,
    alerts: httpx.AsyncBaseTransport | None = None,
    website: httpx.AsyncBaseTransport | None = None,
    sources: Iterable[str] = (APP,),
    **settings: Any,
) -> AsyncIterator[Rig]:
    """A bridge on `folder`/bridge.db with this mapping, before an app of `create_sandbox`'s (a new one, or yours).

    The mapping is a text, or a file or folder. `transport` stands between the two instead of a plain one,
    `alerts` leads to the chat of `alert_url`, `website` to the session endpoint; all `sources` share the mapping and the app.
    """
    clock = clock or ManualClock()
    app = onesignal or create_sandbox(clock=clock, limits=limits or Limits())
    configured = settings_of(folder / "bridge.db", **settings)
    way = transport or httpx.ASGITransport(app)
    config = with_sources(of_settings(configured), sources)
    compiled = _compiled(mapping, config.apps[APP])
    mappings = dict.fromkeys(config.sources, compiled)
    async with running(
        config, mappings, clock=clock, transport=way, alerts=alerts, website=website
    ) as bridge:
        made = Rig(bridge, app.state.sandbox, clock)
        yield made
        await made.http.aclose()
    await asyncio.sleep(0)  # noqa: TID251 — lets the transports' last callbacks run, without waiting


def ends(outcomes: Iterable[tuple[int, str, str, str, str | None]]) -> dict[str, Any]:
    """Status and reason by `rule/operation`, of outcomes of a single event."""
    return {f"{rule}/{name}": (status, reason) for _, rule, name, status, reason in outcomes}


def iso(now_ms: int) -> str:
    """A moment as Segment writes it."""
    return datetime.fromtimestamp(now_ms / 1000, UTC).isoformat(timespec="milliseconds")


def track(
    event: str, user: str = "u1", message_id: str | None = None, **more: Any
) -> dict[str, Any]:
    """A track call; `properties` and everything else as keywords."""
    return {
        "type": "track",
        "event": event,
        "userId": user,
        "messageId": message_id or f"m-{event}-{user}",
        **more,
    }


def identify(user: str = "u1", message_id: str | None = None, **traits: Any) -> dict[str, Any]:
    return {
        "type": "identify",
        "userId": user,
        "messageId": message_id or f"m-identify-{user}",
        "traits": traits,
    }


async def eventually(
    probe: Callable[[], Awaitable[T | None]], *, within: float, every: float = 0.05
) -> T:
    """Ask again and again, by the machine's own clock, until there is an answer; for real processes.

    Raises:
        AssertionError: there was none within so many seconds.
    """
    clock = SystemClock()
    deadline = clock.monotonic() + within
    while True:
        found = await probe()
        if found is not None:
            return found
        assert clock.monotonic() < deadline, f"nothing within {within} seconds"
        await clock.sleep(every)
