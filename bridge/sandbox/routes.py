"""Every endpoint that the sandbox plays, as a table, and how a path finds its row.

Paths are matched segment by segment *before* they are decoded, so that `%2F` inside an id stays
part of the id. `/api/v1` in front is the legacy API, which has its own rows and shares some.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import unquote

from bridge.sandbox import apps, custom_events, legacy, notifications, subscriptions, users
from bridge.sandbox.wire import Answer, EndpointClass, Request
from bridge.sandbox.world import World

LEGACY_PREFIX: Final = "/api/v1"
USER_MODEL, LEGACY = frozenset({False}), frozenset({True})
BOTH = USER_MODEL | LEGACY
"""Which APIs have a row: as `Request.is_legacy` says it."""

Handler = Callable[[World, Request], Answer]


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    method: str
    segments: tuple[str, ...]
    endpoint_class: EndpointClass
    handler: Handler
    apis: frozenset[bool] = USER_MODEL


def _route(
    line: str,
    endpoint_class: EndpointClass,
    handler: Handler,
    apis: frozenset[bool] = USER_MODEL,
) -> Route:
    method, path = line.split()
    return Route(
        method=method,
        segments=tuple(path.strip("/").split("/")),
        endpoint_class=endpoint_class,
        handler=handler,
        apis=apis,
    )


_SEND, _WRITE, _VIEW, _EVENT = (
    EndpointClass.SEND,
    EndpointClass.WRITE,
    EndpointClass.VIEW,
    EndpointClass.EVENT,
)
_USER: Final = "/apps/{app_id}/users/by/{label}/{id}"
_SUBSCRIPTION: Final = "/apps/{app_id}/subscriptions/{subscription_id}"

ROUTES: Final = (
    _route("POST /notifications", _SEND, notifications.create, BOTH),
    _route("GET /notifications/{notification_id}", _VIEW, notifications.read, BOTH),
    _route("DELETE /notifications/{notification_id}", _SEND, notifications.cancel, BOTH),
    _route("GET /apps/{app_id}", _VIEW, apps.read, BOTH),
    _route("GET /templates/{template_id}", _VIEW, apps.read_template, BOTH),
    _route("POST /apps/{app_id}/users", _WRITE, users.create),
    _route(f"GET {_USER}", _VIEW, users.read),
    _route(f"PATCH {_USER}", _WRITE, users.update),
    _route(f"DELETE {_USER}", _WRITE, users.delete),
    _route(f"GET {_USER}/identity", _VIEW, users.read_identity),
    _route(f"PATCH {_USER}/identity", _WRITE, users.update_identity),
    _route(f"DELETE {_USER}/identity/{{alias_label}}", _WRITE, users.delete_alias),
    _route(f"POST {_USER}/subscriptions", _WRITE, subscriptions.create),
    _route(f"PATCH {_SUBSCRIPTION}", _WRITE, subscriptions.update),
    _route(f"DELETE {_SUBSCRIPTION}", _WRITE, subscriptions.delete),
    _route(f"PATCH {_SUBSCRIPTION}/owner", _WRITE, subscriptions.change_owner),
    _route(f"GET {_SUBSCRIPTION}/user/identity", _VIEW, users.read_identity_of_owner),
    _route(f"PATCH {_SUBSCRIPTION}/user/identity", _WRITE, users.update_identity_of_owner),
    _route(
        "PATCH /apps/{app_id}/subscriptions_by_token/{token_type}/{token}",
        _WRITE,
        subscriptions.update_by_token,
    ),
    _route("POST /apps/{app_id}/custom_events", _EVENT, custom_events.create),
    _route("POST /apps/{app_id}/integrations/custom_events", _EVENT, custom_events.create),
    _route("PUT /apps/{app_id}/users/{external_user_id}", _WRITE, legacy.edit_tags, LEGACY),
    _route("GET /players", _VIEW, legacy.list_players, LEGACY),
    _route("GET /players/{player_id}", _VIEW, legacy.read_player, LEGACY),
)

_BY_SHAPE: Final[Mapping[tuple[str, int], tuple[Route, ...]]] = {
    shape: tuple(each for each in ROUTES if (each.method, len(each.segments)) == shape)
    for shape in {(each.method, len(each.segments)) for each in ROUTES}
}


def is_legacy(raw_path: str) -> bool:
    return raw_path.startswith(f"{LEGACY_PREFIX}/")


def without_prefix(raw_path: str) -> str:
    return raw_path.removeprefix(LEGACY_PREFIX) if is_legacy(raw_path) else raw_path


def find_route(
    method: str, path: str, *, is_legacy: bool = False
) -> tuple[Route, dict[str, str]] | None:
    """The row for an undecoded path without prefix, with the decoded ids of the path."""
    segments = path[1:].split("/")
    for route in _BY_SHAPE.get((method, len(segments)), ()):
        params = _match(route.segments, segments) if is_legacy in route.apis else None
        if params is not None:
            return route, params
    return None


def _match(pattern: tuple[str, ...], segments: list[str]) -> dict[str, str] | None:
    params: dict[str, str] = {}
    for wanted, segment in zip(pattern, segments, strict=True):
        if wanted[0] != "{":
            if wanted != segment:
                return None
        elif segment:
            params[wanted[1:-1]] = unquote(segment) if "%" in segment else segment
        else:
            return None
    return params
