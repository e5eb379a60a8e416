"""The sandbox itself: a request comes in, and what happens to it is decided here, in this order.

::

    path ─> key ─> JSON ─> app id ─> limits ─> scripted fault ─> handler ─> ledger

Everything is synchronous and does no I/O; `app` carries the decision out. A limit or a wrong key
is answered before a fault: a script waits for a request that OneSignal would have worked on.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qsl
from uuid import uuid4

import orjson

from bridge.sandbox import subject
from bridge.sandbox.faults import Fault, Faults
from bridge.sandbox.ledger import Call, Complaint, CustomEvent, Ledger, Push
from bridge.sandbox.legacy import KEY_REFUSED, in_its_words
from bridge.sandbox.limits import Limiter, Limits
from bridge.sandbox.notifications import release_due
from bridge.sandbox.platforms import MAKES, Platform
from bridge.sandbox.routes import Route, find_route, is_legacy, without_prefix
from bridge.sandbox.subscriptions import MAX_SUBSCRIPTIONS
from bridge.sandbox.users import BLOCKED_EXTERNAL_IDS
from bridge.sandbox.wire import Answer, EndpointClass, Request, coded, is_uuid, refused
from bridge.sandbox.world import (
    DEFAULT_APP_ID,
    EXTERNAL_ID,
    App,
    Behaviour,
    Subscription,
    User,
    World,
)

if TYPE_CHECKING:
    from bridge.clock import Clock

_ACCESS_DENIED: Final = (
    "Access denied.  Please include an 'Authorization: ...' header with a valid API key "
    "(https://documentation.onesignal.com/docs/accounts-and-keys)."
)
#: The ids that only paths of users and subscriptions have.
_USERS_API_IDS: Final = frozenset({"label", "subscription_id", "token", "external_user_id"})
_LEGACY_KEY: Final = re.compile(r"[A-Za-z0-9+/=]{48}")
_SCHEMES: Final = frozenset({"key", "basic"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What the client gets: `answer` after `delay` seconds, or the line goes dead for None."""

    answer: Answer | None
    delay: float = 0.0


class Sandbox:
    """A OneSignal of one's own. Tests read it directly; everybody else asks `/sandbox/…`."""

    def __init__(
        self, *, clock: Clock, api_keys: Collection[str] | None = None, limits: Limits | None = None
    ) -> None:
        """`api_keys` None accepts every key, as long as there is one."""
        self.clock = clock
        self.api_keys = None if api_keys is None else frozenset(api_keys)
        self.limits = limits or Limits()
        self.faults = Faults()
        self.world = World(clock)
        self._limiter = Limiter(self.limits)

    def __repr__(self) -> str:
        return (
            f"<Sandbox {self.world!r}, {len(self.calls)} calls, {len(self.complaints)} complaints>"
        )

    @property
    def behaviour(self) -> Behaviour:
        return self.world.behaviour

    @behaviour.setter
    def behaviour(self, behaviour: Behaviour) -> None:
        self.world.behaviour = behaviour

    @property
    def ledger(self) -> Ledger:
        release_due(self.world)
        return self.world.ledger

    @property
    def calls(self) -> deque[Call]:
        return self.ledger.calls

    @property
    def pushes(self) -> deque[Push]:
        return self.ledger.pushes

    @property
    def events(self) -> deque[CustomEvent]:
        return self.ledger.events

    @property
    def complaints(self) -> deque[Complaint]:
        return self.ledger.complaints

    @property
    def users(self) -> list[User]:
        return list(self.world.users())

    @property
    def subscriptions(self) -> list[Subscription]:
        return [each for app in self.world.apps.values() for each in app.subscriptions.values()]

    def app(self, app_id: str | None = None) -> App:
        """The app of that id; without one, the only app, or the default app."""
        if app_id is None:
            app_id = next(iter(self.world.apps)) if len(self.world.apps) == 1 else DEFAULT_APP_ID
        return self.world.app(app_id)

    def user(self, external_id: str, app_id: str | None = None) -> User | None:
        return self.world.find(self.app(app_id).id, EXTERNAL_ID, external_id)

    def add_device(
        self,
        external_id: str | None,
        platform: Platform | str,
        *,
        enabled: bool = True,
        app_id: str | None = None,
    ) -> Subscription:
        """A new device of a user, who is created when unknown; None is an anonymous user.

        Raises:
            ValueError: unknown platform, malformed app id, blocked external id, or a 21st device.
        """
        make, app = MAKES[Platform(platform)], self.app(_checked_app_id(app_id))
        user = self._user_for_device(app, external_id)
        if len(user.subscriptions) >= MAX_SUBSCRIPTIONS:
            raise ValueError(f"{external_id} has {MAX_SUBSCRIPTIONS} devices, which is the limit")
        subscription = app.subscribe(user, make.type, f"{platform}-{uuid4().hex}")
        subscription.details.update(device_os=make.device_os, device_model=make.device_model)
        subscription.enabled = enabled
        subscription.notification_types = 1 if enabled else -31
        return subscription

    def reset(self) -> None:
        """Forget everything: users, devices, notifications, limits in use, faults, the record."""
        self.faults.clear()
        self.world = World(self.clock)
        self._limiter = Limiter(self.limits)

    def handle(
        self,
        *,
        method: str,
        raw_path: str,
        query: str = "",
        headers: Mapping[str, str],
        body: bytes = b"",
    ) -> Outcome:
        """Decide one request. `raw_path` is still URL-encoded; header names are in lower case."""
        release_due(self.world)
        request = Request(
            method=method,
            path=without_prefix(raw_path),
            at_ms=self.clock.now_ms(),
            raw_body=body,
            query=dict(parse_qsl(query)) if query else {},
            headers=headers,
            is_legacy=is_legacy(raw_path),
        )
        found = find_route(method, request.path, is_legacy=request.is_legacy)
        if found is None:
            return self._unknown_path(request)
        route, request.params = found
        request.endpoint_class = route.endpoint_class
        refusal = self._unreadable(request) or self._unaddressed(request)
        if refusal:
            return self._record(request, Outcome(answer=refusal), name=None, applied=False)
        return self._decide(route, request)

    def _decide(self, route: Route, request: Request) -> Outcome:
        app = self.world.app(request.app_id)
        name = subject.name_of(app, request)
        refusal = self._too_fast(app, request, name)
        if refusal:
            return self._record(request, Outcome(answer=refusal), name=name, applied=False)
        fault = self.faults.take(request)
        is_performed = fault is None or fault.is_performed
        answer = route.handler(self.world, request) if is_performed else None
        outcome = _outcome(fault, answer)
        return self._record(request, outcome, name=name, applied=is_performed, fault=fault)

    def _too_fast(self, app: App, request: Request, name: subject.Name | None) -> Answer | None:
        is_write = request.endpoint_class is EndpointClass.WRITE
        key = subject.user_key(app, name) if is_write else None
        now = self.clock.monotonic()
        admission = self._limiter.admit(app.id, request.endpoint_class, key, now)
        if admission.hurried:
            text = "A write to one user within 1 second of the one before"
            self.world.ledger.complain(request, "hurried-write", text)
        return admission.refusal

    def _unknown_path(self, request: Request) -> Outcome:
        text = f"OneSignal has no {request.method} {request.path}, or the sandbox does not play it"
        self.world.ledger.complain(request, "unknown-path", text)
        answer = refused("Not found", status=404)
        return self._record(request, Outcome(answer=answer), name=None, applied=False)

    def _unreadable(self, request: Request) -> Answer | None:
        """The answer to a missing or wrong key, or to a body that is not a JSON object."""
        refusal = self._unauthorised(request)
        if refusal or request.method not in {"POST", "PATCH", "PUT"}:
            return refusal
        try:
            request.body = orjson.loads(request.raw_body or b"null")
        except orjson.JSONDecodeError:
            return refused("The body is not JSON")
        return None if isinstance(request.body, dict) else refused("The body must be a JSON object")

    def _unauthorised(self, request: Request) -> Answer | None:
        scheme, _, key = request.headers.get("authorization", "").partition(" ")
        is_right = scheme.lower() in _SCHEMES and bool(key) and _is_shown_so(key, scheme.lower())
        if is_right and (self.api_keys is None or key in self.api_keys):
            return None
        if request.is_legacy:
            return refused(KEY_REFUSED)
        if not scheme and request.endpoint_class is EndpointClass.EVENT:
            return Answer(status=401)
        if not scheme and _is_users_api(request):
            title = "This operation requires 'Authorization' in the HTTP header"
            return coded(401, "auth-1", title)
        return refused(_ACCESS_DENIED, status=403)

    def _unaddressed(self, request: Request) -> Answer | None:
        app_id = request.app_id
        if app_id in self.world.apps or is_uuid(app_id):
            return None
        if "app_id" in request.params:
            return coded(400, "request-1", "Invalid UUID", {"app_id": app_id})
        return refused("app_id is missing or malformed (not a valid UUID)")

    def _record(
        self,
        request: Request,
        outcome: Outcome,
        *,
        name: subject.Name | None,
        applied: bool,
        fault: Fault | None = None,
    ) -> Outcome:
        body: Any = request.body
        if request.is_legacy and outcome.answer is not None and fault is None:
            outcome = replace(outcome, answer=in_its_words(outcome.answer))
        self.world.ledger.record(
            Call(
                at_ms=request.at_ms,
                method=request.method,
                path=request.path,
                status=outcome.answer.status if outcome.answer else 0,
                body=body,
                idempotency_key=body.get("idempotency_key") if isinstance(body, dict) else None,
                user=name[1] if name else None,
                app_id=request.app_id,
                endpoint_class=request.endpoint_class,
                fault=fault.name if fault else None,
                applied=applied,
                is_legacy=request.is_legacy,
            )
        )
        return outcome

    def _user_for_device(self, app: App, external_id: str | None) -> User:
        if external_id is None:
            return app.add_user(self.clock.now_ms())
        if external_id in BLOCKED_EXTERNAL_IDS:
            raise ValueError(f"External ID is blocked: {external_id!r}")
        user = app.find(EXTERNAL_ID, external_id)
        if user is None:
            user = app.add_user(self.clock.now_ms())
            app.link(user, {EXTERNAL_ID: external_id})
        return user


def _is_shown_so(key: str, scheme: str) -> bool:
    """Keys of today are shown as `Key`, the 48 characters of legacy ones as `Basic`."""
    if key.startswith("os_v2_"):
        return scheme == "key"
    return scheme == "basic" or _LEGACY_KEY.fullmatch(key) is None


def _is_users_api(request: Request) -> bool:
    return not request.params.keys().isdisjoint(_USERS_API_IDS) or request.path.endswith("/users")


def _outcome(fault: Fault | None, answer: Answer | None) -> Outcome:
    if fault is None:
        return Outcome(answer=answer)
    if fault.is_silent:
        return Outcome(answer=None, delay=fault.timeout or 0.0)
    if fault.status is not None:
        answer = Answer(status=fault.status, body=fault.body, headers=fault.headers)
    return Outcome(answer=answer, delay=fault.delay)


def _checked_app_id(app_id: str | None) -> str | None:
    if app_id is not None and not is_uuid(app_id):
        raise ValueError(f"app_id must be a UUID: {app_id!r}")
    return app_id
