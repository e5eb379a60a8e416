"""The composition root: settings in, running bridge out; the only file that knows everyone."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx
from starlette.applications import Starlette
from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp, Receive, Scope, Send

from bridge.clock import Clock
from bridge.console.api import Api
from bridge.deliver.gate import Gate
from bridge.deliver.lanes import Lanes
from bridge.deliver.means import SPACING_SECONDS, Destination, Means, Spacing
from bridge.deliver.replay import replay
from bridge.errors import Finding
from bridge.journal.sqlite import SqliteJournal, open_sqlite
from bridge.mapping.load import load_mapping, starter
from bridge.mapping.rules import Mapping
from bridge.onesignal.client import OneSignal
from bridge.receive.accept import SourceRoute
from bridge.receive.body import Budget
from bridge.receive.health import Health
from bridge.receive.sender import Proof
from bridge.receive.webhook import METHODS, Intake, Webhook
from bridge.settings import Settings
from bridge.telemetry import Metrics, log

SOURCE = APP = "default"
WRITES_PER_SECOND = 1000
"""Users and subscriptions, for each app (reference/rate-limits)."""
BODIES_IN_MEMORY = 64_000_000
WEBHOOK_PATHS = ("", "/", "/{source}", "/{source}/", "/{source}/{token}", "/{source}/{token}/")


@dataclass(slots=True, kw_only=True)
class Bridge:
    """A running bridge; `app` is what an HTTP server serves."""

    settings: Settings
    clock: Clock
    mapping: Mapping
    journal: SqliteJournal
    lanes: Lanes
    means: Means
    metrics: Metrics
    app: ASGIApp
    draining: bool = False
    _work: asyncio.Task[None] | None = field(default=None)

    def __repr__(self) -> str:
        return f"<Bridge {self.journal!r} {self.lanes!r}>"

    def drain(self) -> None:
        """Say that it is time to send new events elsewhere; what comes is still taken."""
        self.draining = True

    def start(self) -> None:
        self._work = asyncio.get_running_loop().create_task(self.lanes.run())

    async def stop(self, seconds: float) -> None:
        """Finish the calls that are out, for so long; the rest stays pending."""
        await self.lanes.stop(seconds)
        if self._work is not None:
            self._work.cancel()
            await asyncio.gather(self._work, return_exceptions=True)


def load(settings: Settings) -> tuple[Mapping, list[Finding]]:
    """The mapping that the settings name, and warnings about it.

    Raises:
        ConfigurationError: with everything that is wrong with it.
    """
    return load_mapping(
        settings.mappings or starter(),
        serves=settings.onesignal_platforms,
        tag_cap=settings.tag_cap,
    )


@asynccontextmanager
async def running(
    settings: Settings,
    mapping: Mapping,
    *,
    clock: Clock,
    transport: httpx.AsyncBaseTransport | None = None,
) -> AsyncIterator[Bridge]:
    """A bridge that accepts and delivers, until the end of the block.

    Raises:
        JournalError: the database cannot be used as it is.
    """
    journal = open_sqlite(settings.database_path)
    try:
        api_key = settings.onesignal_api_key[0].get_secret_value()
        async with OneSignal(
            url=settings.onesignal_url, api_key=api_key, transport=transport
        ) as client:
            bridge = _compose(settings, mapping, journal, client, clock)
            bridge.start()
            try:
                yield bridge
            finally:
                await bridge.stop(settings.drain)
    finally:
        await journal.close()
        log().info("bridge.stopped")


def _compose(
    settings: Settings, mapping: Mapping, journal: SqliteJournal, client: OneSignal, clock: Clock
) -> Bridge:
    metrics = Metrics()
    means = _means(settings, mapping, journal, client, clock, metrics)
    lanes = Lanes(means)
    bridge = Bridge(
        settings=settings,
        clock=clock,
        mapping=mapping,
        journal=journal,
        lanes=lanes,
        means=means,
        metrics=metrics,
        app=Starlette(),
    )
    webhook = Webhook({SOURCE: _intake(bridge)})
    bridge.app = Front(webhook, Starlette(routes=_routes(bridge, webhook)))
    return bridge


def _means(
    settings: Settings,
    mapping: Mapping,
    journal: SqliteJournal,
    client: OneSignal,
    clock: Clock,
    metrics: Metrics,
) -> Means:
    destination = Destination(
        name=APP,
        app_id=settings.onesignal_app_id,
        client=client,
        writes=Gate("write", per_second=WRITES_PER_SECOND, clock=clock),
        sends=Gate("send", per_second=settings.sends_per_second, clock=clock),
        post_first=settings.onesignal_upsert == "post-first",
    )
    # What a process before this one wrote in its last second is not known.
    first_write = 0.0 if journal.is_new else clock.monotonic() + SPACING_SECONDS
    return Means(
        journal=journal,
        destination=destination,
        mapping=lambda: mapping,
        clock=clock,
        spacing=Spacing(clock=clock, not_before=first_write),
        metrics=metrics,
        roll=random.random,
    )


class Front:
    """Webhooks at the addresses that Segment is told go straight to their door; the rest is routed.

    Routing and its middleware cost a sixth of what accepting an event does.
    """

    def __init__(self, webhook: Webhook, rest: Starlette) -> None:
        self._webhook = webhook
        self._rest = rest
        self._doors = {"/v1/segment": {}, f"/v1/segment/{SOURCE}": {"source": SOURCE}}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["method"] in METHODS:
            parameters = self._doors.get(scope["path"])
            if parameters is not None:
                scope["path_params"] = parameters
                await self._webhook(scope, receive, send)
                return
        await self._rest(scope, receive, send)


def _routes(bridge: Bridge, webhook: Webhook) -> list[BaseRoute]:
    methods = list(METHODS)
    return [
        # A slash at the end is forgiven, not redirected: classic webhooks follow no redirect.
        *(Route(f"/v1/segment{rest}", webhook, methods=methods) for rest in WEBHOOK_PATHS),
        *_health(bridge).routes(),
        *_api(bridge).routes(),
    ]


def _intake(bridge: Bridge) -> Intake:
    settings = bridge.settings
    token = settings.segment_token
    return Intake(
        source=SourceRoute(name=SOURCE, app=APP, keep_unmatched=settings.keep_unmatched > 0),
        proof=Proof(
            secrets=tuple(s.get_secret_value().encode() for s in settings.segment_secrets),
            token=token.get_secret_value().encode() if token else None,
            batches=settings.segment_batches == "accept",
        ),
        journal=bridge.journal,
        mapping=lambda: bridge.mapping,
        clock=bridge.clock,
        metrics=bridge.metrics,
        budget=Budget(max(BODIES_IN_MEMORY, settings.max_body)),
        max_body=settings.max_body,
        appended=bridge.lanes.dirty,
    )


def _health(bridge: Bridge) -> Health:
    settings = bridge.settings
    token = settings.metrics_token

    def unready() -> str | None:
        return "draining" if bridge.draining else bridge.journal.unready

    def gates() -> dict[str, float]:
        destination = bridge.means.destination
        return {gate.name: gate.held_seconds for gate in (destination.writes, destination.sends)}

    return Health(
        journal=bridge.journal,
        clock=bridge.clock,
        metrics=bridge.metrics,
        folder=Path(settings.database_path).absolute().parent,
        metrics_token=token.get_secret_value().encode() if token else None,
        unready=unready,
        gates=gates,
    )


def _api(bridge: Bridge) -> Api:
    token = bridge.settings.admin_token
    return Api(
        journal=bridge.journal,
        replay=lambda dead_id: replay(bridge.journal, dead_id, now_ms=bridge.clock.now_ms()),
        token=token.get_secret_value().encode() if token else None,
        revived=bridge.lanes.nudge,
    )
