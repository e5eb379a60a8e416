"""Where a running bridge is reached: which route is whose, and what each may touch of it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import BaseRoute, Route

from bridge.app.bridge import Bridge
from bridge.app.seeing import see
from bridge.app.views import views_of
from bridge.config.access import Access, access_of
from bridge.console.api import problem
from bridge.console.audit import AuditApi
from bridge.console.brake import BrakeApi
from bridge.console.events import EventsApi
from bridge.console.explain import ExplainApi
from bridge.console.importing import ImportApi, Imported, Refusal
from bridge.console.openapi import OpenApi
from bridge.console.overview import OverviewApi
from bridge.console.rules import RulesApi
from bridge.console.status import StatusApi
from bridge.console.trying import TryApi
from bridge.console.users import UsersApi
from bridge.console.views import Views
from bridge.console.web.console import Console
from bridge.deliver.erasing import forget
from bridge.deliver.held import keep_back, release_resumed
from bridge.journal.erasures import noted
from bridge.receive.devices import PATHS as DEVICE_PATHS, DeviceDoor
from bridge.receive.health import Health
from bridge.receive.webhook import METHODS, Webhook, looked_at
from bridge.telemetry import log

WEBHOOK_PATHS = ("", "/", "/{source}", "/{source}/", "/{source}/{token}", "/{source}/{token}/")


def public_routes(webhook: Webhook, devices: DeviceDoor) -> list[BaseRoute]:
    """What Segment and the customer's own apps post to."""
    methods = list(METHODS)
    return [
        # A slash at the end is forgiven, not redirected: classic webhooks follow no redirect.
        *(Route(f"/v1/segment{rest}", webhook, methods=methods) for rest in WEBHOOK_PATHS),
        *(Route(f"/v1/segment{rest}", looked_at, methods=["GET"]) for rest in WEBHOOK_PATHS),
        *(Route(f"/v1/devices{rest}", devices) for rest in DEVICE_PATHS),
    ]


def admin_routes(bridge: Bridge) -> list[BaseRoute]:
    """What the people who look after the bridge open, and their programs."""
    views = views_of(bridge)
    access = partial(_access, bridge)
    return [
        *health_of(bridge).figures(),
        *_brake_api(bridge).routes(),
        *bridge.piles.routes(access),
        *_status_api(bridge).routes(),
        *RulesApi(access=access, clock=bridge.clock, rules=views.rules).routes(),
        *OverviewApi(access=access, clock=bridge.clock, overview=views.overview).routes(),
        *EventsApi(access=access, events=views.events, naming=bridge.piles.naming).routes(),
        *ExplainApi(access=access, events=views.events).routes(),
        *_users_api(bridge, views).routes(),
        *TryApi(access=access, trying=views.trying).routes(),
        *AuditApi(access=access, journal=bridge.journal).routes(),
        *_import_api(bridge).routes(),
        *OpenApi(access=access).routes(),
        *console_of(bridge, views).routes(),
    ]


def health_of(bridge: Bridge) -> Health:
    settings = bridge.settings
    token = settings.metrics_token

    def gates() -> dict[tuple[str, str], tuple[float, int]]:
        return {
            (app, gate.name): (gate.held_seconds, gate.state)
            for app, means in bridge.means.items()
            for gate in means.destination.gates
        }

    def users() -> dict[tuple[str, str], int]:
        return {
            (app, state): count
            for app, lanes in bridge.lanes.items()
            for state, count in lanes.users.items()
        }

    return Health(
        journal=bridge.journal,
        clock=bridge.clock,
        metrics=bridge.metrics,
        database=Path(settings.database_path).absolute(),
        metrics_token=token.get_secret_value().encode() if token else None,
        unready=bridge.unready,
        gates=gates,
        sources=lambda: {name: one.pulse.last_ms for name, one in bridge.intakes.items()},
        users=users,
    )


@dataclass(slots=True)
class Braking:
    """The brake in a person's hands: it says who pulled it, and releases what it held."""

    bridge: Bridge

    def paused(self) -> list[dict[str, Any]]:
        return [pause._asdict() for pause in self.bridge.brake.pauses.values()]

    async def pause(self, what: str, who: str) -> None:
        # First of all it stops.
        pulled = await self.bridge.brake.pull(what)
        log().warning("brake.pulled", what=what, reason=pulled.reason)
        await self._note(who, "brake.pulled", what)

    async def resume(self, what: str, who: str) -> dict[str, Any] | None:
        bridge, brake = self.bridge, self.bridge.brake
        if what not in brake.pauses:
            return None
        await self._note(who, "brake.released", what)
        pause = brake.pauses[what]
        await keep_back(bridge.journal, pause)
        if not await brake.let_go(what):
            return None
        # What came to be held in this moment.
        await keep_back(bridge.journal, pause)
        released = await release_resumed(bridge.journal, brake, nudge=bridge.nudge)
        log().warning("brake.released", what=what, released=released)
        return {"released": released}

    async def _note(self, who: str, what: str, target: str) -> None:
        now_ms = self.bridge.clock.now_ms()
        await self.bridge.journal.note(noted(now_ms, who, what, target=target))


def _brake_api(bridge: Bridge) -> BrakeApi:
    braking = Braking(bridge)
    return BrakeApi(
        access=lambda: _access(bridge),
        paused=braking.paused,
        pause=braking.pause,
        resume=braking.resume,
        rules=bridge.rules,
    )


def console_of(bridge: Bridge, views: Views) -> Console:
    braking = Braking(bridge)
    return Console(
        journal=bridge.journal,
        clock=bridge.clock,
        config=lambda: bridge.config,
        mappings=lambda: bridge.mappings,
        reloader=bridge.reloader,
        views=views,
        paused=braking.paused,
        acts=bridge.piles,
        naming=bridge.piles.naming,
        erase=partial(_erase, bridge),
        draining=lambda: bridge.draining,
        pause=braking.pause,
        resume=braking.resume,
    )


async def _erase(bridge: Bridge, app: str, external_id: str, who: str) -> None:
    now_ms = bridge.clock.now_ms()
    whose = f"{bridge.journal.user_hash(app, external_id):016x}"
    await bridge.journal.note(noted(now_ms, who, "user.erasure_asked", app=app, user_hash=whose))
    user_hash = await forget(bridge.journal, app, external_id, now_ms=now_ms)
    bridge.lanes[app].nudge(user_hash)


def _users_api(bridge: Bridge, views: Views) -> UsersApi:
    return UsersApi(
        access=lambda: _access(bridge),
        apps=lambda: list(bridge.config.apps),
        people=views.people,
        erase=partial(_erase, bridge),
    )


def _import_api(bridge: Bridge) -> ImportApi:
    async def take(body: bytes) -> Imported:
        if bridge.importing is None:
            return _NO_IMPORTS
        taken = await bridge.importing.take(body)
        if isinstance(taken, dict):
            return taken
        return Refusal(taken.status, taken.code, taken.message, taken.retry_after)

    return ImportApi(access=lambda: _access(bridge), take=take)


_NO_IMPORTS = Refusal(
    409,
    "import-undecided",
    "There are several sources: add `import: {app: …, mappings: …}` to `sources` of bridge.yaml.",
)


def _access(bridge: Bridge) -> Access:
    """Who may do what now; without a token the API answers nobody."""
    return access_of(bridge.settings)


def _status_api(bridge: Bridge) -> StatusApi:
    return StatusApi(
        access=lambda: _access(bridge),
        see=lambda: see(bridge),
        reloader=bridge.reloader,
        journal=bridge.journal,
    )


async def no_page(_: Request, error: Exception) -> Response:
    """What answers where nothing is, in plain words."""
    if not isinstance(error, HTTPException):
        raise error
    return PlainTextResponse(error.detail, error.status_code, error.headers)


async def no_route(request: Request, error: Exception) -> Response:
    """The same beside the API, which has one shape for all errors."""
    if not isinstance(error, HTTPException) or not request.url.path.startswith("/api/"):
        return await no_page(request, error)
    code = "method-not-allowed" if error.status_code == 405 else "no-such-route"
    refused = problem(error.status_code, code, f"{error.detail}: see /api/v1/openapi.json.")
    refused.headers.update(error.headers or {})
    return refused
