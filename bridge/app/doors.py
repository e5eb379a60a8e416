"""Where a running bridge is reached: which route is whose, and what each may touch of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from starlette.routing import BaseRoute, Route

from bridge.app.bridge import Bridge
from bridge.app.seeing import see
from bridge.console.brake import BrakeApi
from bridge.console.explain import ExplainApi
from bridge.console.status import StatusApi
from bridge.console.users import UsersApi
from bridge.deliver.erasing import forget
from bridge.deliver.held import release_resumed
from bridge.receive.health import Health
from bridge.receive.webhook import METHODS, Webhook
from bridge.telemetry import log

WEBHOOK_PATHS = ("", "/", "/{source}", "/{source}/", "/{source}/{token}", "/{source}/{token}/")


def routes(bridge: Bridge, webhook: Webhook) -> list[BaseRoute]:
    methods = list(METHODS)
    return [
        # A slash at the end is forgiven, not redirected: classic webhooks follow no redirect.
        *(Route(f"/v1/segment{rest}", webhook, methods=methods) for rest in WEBHOOK_PATHS),
        *_health(bridge).routes(),
        *_brake_api(bridge).routes(),
        *bridge.piles.routes(_token(bridge)),
        *_status_api(bridge).routes(),
        *_explain_api(bridge).routes(),
        *_users_api(bridge).routes(),
    ]


def _health(bridge: Bridge) -> Health:
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
        folder=Path(settings.database_path).absolute().parent,
        metrics_token=token.get_secret_value().encode() if token else None,
        unready=bridge.unready,
        gates=gates,
        users=users,
    )


def _brake_api(bridge: Bridge) -> BrakeApi:
    brake = bridge.brake

    async def pause(what: str) -> None:
        pulled = await brake.pull(what)
        log().warning("brake.pulled", what=what, reason=pulled.reason)

    async def resume(what: str) -> dict[str, Any] | None:
        if not await brake.let_go(what):
            return None
        released = await release_resumed(bridge.journal, brake, nudge=bridge.nudge)
        log().warning("brake.released", what=what, released=released)
        return {"released": released}

    return BrakeApi(
        token=_token(bridge),
        paused=lambda: [pause._asdict() for pause in brake.pauses.values()],
        pause=pause,
        resume=resume,
        rules=lambda: {rule.name for one in bridge.mappings.values() for rule in one.rules},
    )


def _users_api(bridge: Bridge) -> UsersApi:
    async def erase(app: str, external_id: str) -> None:
        user_hash = await forget(bridge.journal, app, external_id, now_ms=bridge.clock.now_ms())
        bridge.nudge(app, frozenset({user_hash}))

    return UsersApi(token=_token(bridge), apps=lambda: list(bridge.config.apps), erase=erase)


def _token(bridge: Bridge) -> bytes | None:
    """The admin token; without one the API answers nobody."""
    token = bridge.settings.admin_token
    return token.get_secret_value().encode() if token else None


def _status_api(bridge: Bridge) -> StatusApi:
    return StatusApi(token=_token(bridge), see=lambda: see(bridge), reloader=bridge.reloader)


def _explain_api(bridge: Bridge) -> ExplainApi:
    return ExplainApi(
        token=_token(bridge),
        journal=bridge.journal,
        clock=bridge.clock,
        config=lambda: bridge.config,
        mappings=lambda: bridge.mappings,
    )
