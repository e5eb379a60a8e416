"""What people and tests ask the sandbox itself: `/sandbox` and below, JSON but for the page.

::

    GET    /sandbox                   the page: every phone and what it shows
    GET    /sandbox/devices           POST adds one: {external_id, platform, enabled?, app_id?}
    GET    /sandbox/users             ?app_id=
    GET    /sandbox/pushes            ?limit=
    GET    /sandbox/events            ?limit=
    GET    /sandbox/calls             ?limit=
    GET    /sandbox/complaints        ?limit=
    GET    /sandbox/counts            requests per class and status, busiest second, complaints
    GET    /sandbox/apps              PATCH /sandbox/apps/{app_id}: {tag_cap?, disabled?}
    GET    /sandbox/behaviour         PATCH changes single fields
    GET    /sandbox/faults            POST adds a script, DELETE clears all
    POST   /sandbox/reset

A body that does not fit is 400, `{"errors": ["where: what"]}`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import asdict, replace
from itertools import islice
from typing import Annotated, Any, Final, TypeVar

import orjson
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from bridge.sandbox.faults import Running, Script
from bridge.sandbox.notifications import recent_volume
from bridge.sandbox.page import page
from bridge.sandbox.platforms import Platform
from bridge.sandbox.simulator import Sandbox
from bridge.sandbox.wire import EndpointClass, JsonObject
from bridge.sandbox.world import App, Subscription, User

_STRICT = ConfigDict(extra="forbid", frozen=True)
_DEFAULT_LIMIT: Final = 1_000
_OF_MAPPINGS: Final = {"web": Platform.WEB_CHROME, "ios_web": Platform.IOS_WEB}
_Model = TypeVar("_Model", bound=BaseModel)


def _as_mappings_say(platform: object) -> object:
    """What mappings call a platform is taken, too: one word of theirs is several browsers here."""
    return _OF_MAPPINGS.get(platform, platform) if isinstance(platform, str) else platform


class DeviceIn(BaseModel):
    model_config = _STRICT

    platform: Annotated[Platform, BeforeValidator(_as_mappings_say)]
    external_id: str | None = None
    enabled: bool = True
    app_id: str | None = None


class AppIn(BaseModel):
    model_config = _STRICT

    tag_cap: Annotated[int, Field(ge=0)] | None = None
    disabled: bool = False


class BehaviourIn(BaseModel):
    model_config = _STRICT

    update_delay_seconds: Annotated[float, Field(ge=0)] = 0.0
    max_recipients: Annotated[int, Field(ge=1)] = 20_000
    disable_over_volume: bool = False
    external_user_ids_ignore_flags: bool = True
    ignore_flags: bool = False


async def show_page(request: Request) -> Response:
    html, policy = page(_sandbox(request))
    return HTMLResponse(html, headers={"content-security-policy": policy})


async def list_devices(request: Request) -> Response:
    sandbox = _sandbox(request)
    return _json({"devices": [_device(sandbox, each) for each in sandbox.subscriptions]})


async def add_device(request: Request) -> Response:
    device, sandbox = await _body(request, DeviceIn), _sandbox(request)
    subscription = sandbox.add_device(
        device.external_id, device.platform, enabled=device.enabled, app_id=device.app_id
    )
    return _json(_device(sandbox, subscription), status=201)


async def list_users(request: Request) -> Response:
    sandbox, wanted = _sandbox(request), request.query_params.get("app_id")
    shown = [app for app in sandbox.world.apps.values() if wanted in {None, app.id}]
    users = [(app, user) for app in shown for user in sandbox.world.users([app.id])]
    return _json({"users": [_user(sandbox, app, user) for app, user in users]})


def _listing(name: str) -> Callable[[Request], Any]:
    async def listing(request: Request) -> Response:
        entries = getattr(_sandbox(request).ledger, name)
        return _json({"total": len(entries), name: _newest(entries, request)})

    return listing


async def show_counts(request: Request) -> Response:
    ledger = _sandbox(request).ledger
    statuses: dict[str, dict[str, int]] = {each: {} for each in EndpointClass}
    for (endpoint_class, status), count in ledger.statuses.items():
        statuses[endpoint_class][str(status)] = count
    return _json(
        {
            "pushes": ledger.pushed,
            "events": len(ledger.events),
            "statuses": statuses,
            "busiest_second": {each: ledger.peak(each) for each in EndpointClass},
            "complaints": dict(ledger.complained),
        }
    )


async def list_apps(request: Request) -> Response:
    sandbox = _sandbox(request)
    return _json({"apps": [_app(sandbox, each) for each in sandbox.world.apps.values()]})


async def change_app(request: Request) -> Response:
    """Only what the body names changes."""
    change, sandbox = await _body(request, AppIn), _sandbox(request)
    app = sandbox.app(request.path_params["app_id"])
    for name in change.model_fields_set:
        setattr(app, name, getattr(change, name))
    if change.model_fields_set >= {"disabled"} and not app.disabled:
        app.volume.clear()  # or the next message would disable it again
    return _json(_app(sandbox, app))


async def show_behaviour(request: Request) -> Response:
    return _json(asdict(_sandbox(request).behaviour))


async def change_behaviour(request: Request) -> Response:
    change, sandbox = await _body(request, BehaviourIn), _sandbox(request)
    sandbox.behaviour = replace(sandbox.behaviour, **change.model_dump(exclude_unset=True))
    return _json(asdict(sandbox.behaviour))


async def list_faults(request: Request) -> Response:
    return _json({"faults": [_running(each) for each in _sandbox(request).faults.running]})


async def add_fault(request: Request) -> Response:
    script = await _body(request, Script)
    return _json(_running(_sandbox(request).faults.script(script)), status=201)


async def clear_faults(request: Request) -> Response:
    _sandbox(request).faults.clear()
    return _json({})


async def reset(request: Request) -> Response:
    _sandbox(request).reset()
    return _json({})


def _forgiving(endpoint: Callable[[Request], Any]) -> Callable[[Request], Any]:
    """What is wrong with a request becomes a 400 that says it."""

    async def answered(request: Request) -> Response:
        try:
            response: Response = await endpoint(request)
        except ValidationError as error:
            return _json({"errors": [_where(each) for each in error.errors()]}, status=400)
        except ValueError as error:
            return _json({"errors": [str(error)]}, status=400)
        return response

    return answered


def _where(error: Any) -> str:
    place = ".".join(map(str, error["loc"]))
    return f"{place}: {error['msg']}" if place else str(error["msg"])


def _sandbox(request: Request) -> Sandbox:
    sandbox: Sandbox = request.app.state.sandbox
    return sandbox


async def _body(request: Request, model: type[_Model]) -> _Model:
    return model.model_validate_json(await request.body() or b"{}")


def _json(content: Any, *, status: int = 200) -> Response:
    encoded = orjson.dumps(content, option=orjson.OPT_NON_STR_KEYS | orjson.OPT_INDENT_2)
    return Response(encoded + b"\n", status_code=status, media_type="application/json")


def _newest(entries: Iterable[Any], request: Request) -> list[Any]:
    """The newest entries, oldest of them first; `limit` says how many."""
    limit = int(request.query_params.get("limit", _DEFAULT_LIMIT))
    return list(islice(reversed(list(entries)), max(0, limit)))[::-1]


def _device(sandbox: Sandbox, subscription: Subscription) -> JsonObject:
    owner = subscription.owner
    return {
        "subscription_id": subscription.id,
        "onesignal_id": owner.onesignal_id,
        "external_id": owner.external_id,
        "platform": subscription.platform,
        "type": subscription.type,
        "token": subscription.token,
        "enabled": subscription.is_reachable,
        "pushes": sandbox.world.ledger.pushed_to[subscription.id],
    }


def _user(sandbox: Sandbox, app: App, user: User) -> JsonObject:
    return {
        "app_id": app.id,
        "identity": user.identity,
        "properties": user.properties,
        "tags": user.tags,
        "devices": [_device(sandbox, each) for each in user.subscriptions.values()],
    }


def _app(sandbox: Sandbox, app: App) -> JsonObject:
    return {
        "app_id": app.id,
        "users": len(app.users),
        "subscriptions": len(app.subscriptions),
        "subscribed": app.subscribed(),
        "tag_cap": app.tag_cap,
        "disabled": app.disabled,
        "pushes_in_15_minutes": recent_volume(app, sandbox.clock.monotonic()),
    }


def _running(running: Running) -> JsonObject:
    script = running.script.model_dump(mode="json", by_alias=True, exclude_defaults=True)
    return {**script, "used": running.used, "left": running.left}


def _route(line: str, endpoint: Callable[[Request], Any]) -> Route:
    method, path = line.split()
    return Route(f"/sandbox{path.rstrip('/')}", _forgiving(endpoint), methods=[method])


ROUTES: Final = [
    _route("GET /", show_page),
    _route("GET /devices", list_devices),
    _route("POST /devices", add_device),
    _route("GET /users", list_users),
    _route("GET /pushes", _listing("pushes")),
    _route("GET /events", _listing("events")),
    _route("GET /calls", _listing("calls")),
    _route("GET /complaints", _listing("complaints")),
    _route("GET /counts", show_counts),
    _route("GET /apps", list_apps),
    _route("PATCH /apps/{app_id}", change_app),
    _route("GET /behaviour", show_behaviour),
    _route("PATCH /behaviour", change_behaviour),
    _route("GET /faults", list_faults),
    _route("POST /faults", add_fault),
    _route("DELETE /faults", clear_faults),
    _route("POST /reset", reset),
]
