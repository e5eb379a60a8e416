"""`POST /v1/devices`, `DELETE /v1/devices/{id}`: whose devices are whose, as their apps say.

::

    from a listed page, or none ──> small enough ──> understood ──> who asks ──> about whom ──> kept

Every no is said, with a code, before anything is kept. Nothing that was sent is logged: not the user,
not the device, not what was to prove them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import orjson
from starlette.types import Receive, Scope, Send

from bridge.clock import Clock
from bridge.config.registry import Registry
from bridge.errors import JournalUnavailableError
from bridge.journal import Journal
from bridge.journal.devices import Device
from bridge.receive.body import (
    Budget,
    Disconnected,
    Headers,
    Rejected,
    Share,
    declared_length,
    header,
    read,
    unpack,
)
from bridge.receive.caller import USER_MISSING, headers_of, user_of
from bridge.receive.origins import METHODS, check_origin, preflight, shared_with
from bridge.receive.posted import Posted, read_posted
from bridge.receive.session import Sessions
from bridge.receive.throttle import Throttle
from bridge.telemetry import Metrics, log

PATHS = ("", "/", "/{id}", "/{id}/")
MAX_BODY = 65_536
BODIES_IN_MEMORY = 16_000_000
SEEN_AGAIN_MS = 3_600_000
"""A device that says nothing new is written as often as this."""
ID_LENGTH = 200

NO_REGISTRY = Rejected(
    status=404,
    code="devices-unconfigured",
    message="There is no device registry here (BRIDGE_DEVICES_…).",
)
NO_METHOD = Rejected(
    status=405, code="method-not-allowed", message=f"The device registry takes {METHODS}."
)
NO_DEVICE = Rejected(
    status=400,
    code="device-missing",
    message="Nothing says which device it is: send platform with oneSignalUserId, installationId or oneSignalPushToken.",
)
UNKNOWN = Rejected(status=404, code="device-unknown", message="This user has no device of this id.")
OF_ANOTHER = Rejected(
    status=409,
    code="device-of-another",
    message="The device is another user's, who has to log out of it first (BRIDGE_DEVICES_OF_ANOTHER).",
)
ERASED = Rejected(
    status=409, code="user-erased", message="This user was erased a moment ago; nothing was kept."
)
TOO_OFTEN = Rejected(
    status=429,
    code="too-many-devices",
    message="This user has said something else of its devices too often: nothing was kept.",
    retry_after=600,
)
TOO_LARGE = Rejected(
    status=413,
    code="body-too-large",
    message=f"What is said of a device fits into {MAX_BODY} bytes.",
)

Answer = dict[str, object]


@dataclass(slots=True, kw_only=True)
class DeviceDoor:
    """The endpoint; an ASGI application."""

    #: None: there is no registry.
    registry: Callable[[], Registry | None]
    journal: Journal
    clock: Clock
    metrics: Metrics
    sessions: Sessions
    _budget: Budget = field(default_factory=lambda: Budget(BODIES_IN_MEMORY))
    _throttle: Throttle = field(init=False)

    def __post_init__(self) -> None:
        self._throttle = Throttle(self.clock)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        registry = self.registry()
        if registry is None:
            await _answer(send, NO_REGISTRY.status, _problem(NO_REGISTRY), [])
            return
        headers = headers_of(scope["headers"])
        if isinstance(headers, Rejected):
            await self._refuse(send, headers, [])
            return
        if (refused := check_origin(headers, registry.origins)) is not None:
            await self._refuse(send, refused, [])
            return
        if scope["method"] == "OPTIONS":
            await _answer(send, 204, None, preflight(headers))
            return
        try:
            result = await self._take(registry, scope, headers, receive)
        except Disconnected:
            return
        shared = shared_with(headers)
        if isinstance(result, Rejected):
            await self._refuse(send, result, shared)
        else:
            await _answer(send, 200, result, shared)

    async def _refuse(
        self, send: Send, refused: Rejected, shared: list[tuple[bytes, bytes]]
    ) -> None:
        self.metrics.devices.labels(refused.code).inc()
        level = log().error if refused.status == 503 else log().warning
        level("device.refused", reason=refused.code)
        await _answer(send, refused.status, _problem(refused), shared, refused.retry_after)

    async def _take(
        self, registry: Registry, scope: Scope, headers: Headers, receive: Receive
    ) -> Answer | Rejected:
        named = scope.get("path_params", {}).get("id")
        wanted = "POST" if named is None else "DELETE"
        if scope["method"] != wanted:
            return NO_METHOD
        posted = await self._read(headers, receive)
        if isinstance(posted, Rejected):
            return posted
        user = await user_of(
            registry,
            headers,
            posted,
            lambda asked: self.sessions.user_of(registry.session_url or "", asked),
            now_ms=self.clock.now_ms(),
        )
        if isinstance(user, Rejected):
            return user
        try:
            if named is not None:
                return await self._remove(registry, headers, named, user)
            return USER_MISSING if user is None else await self._keep(registry, posted, user)
        except JournalUnavailableError as error:
            return _unavailable(error.message)

    async def _read(self, headers: Headers, receive: Receive) -> Posted | Rejected:
        length = declared_length(headers)
        if length is not None and length > MAX_BODY:
            return TOO_LARGE
        share = Share(self._budget)
        try:
            body = await read(receive, share, limit=MAX_BODY, clock=self.clock)
            if isinstance(body, bytes):
                body = unpack(body, header(headers, b"content-encoding"), limit=MAX_BODY)
            if isinstance(body, Rejected):
                return TOO_LARGE if body.status == 413 else body
            return read_posted(body)
        finally:
            share.hold(0)

    # Keeping --------------------------------------------------------------------------------------

    async def _keep(self, registry: Registry, posted: Posted, user: str) -> Answer | Rejected:
        device = self._device(registry, posted, await self._person(registry.app, user))
        if device is None:
            return NO_DEVICE
        if await self._is_known(registry, device):
            return self._kept(changed=False)
        if not self._throttle.lets(device.user_hash):
            return TOO_OFTEN
        now_ms = self.clock.now_ms()
        match await self.journal.devices.keep(
            device, of_another=registry.of_another, now_ms=now_ms
        ):
            case "written":
                return self._kept(changed=True)
            case "of-another":
                return OF_ANOTHER
            case "erased":
                return ERASED

    async def _person(self, app: str, user: str) -> int:
        """Whom the user was found to be, who may have had another id before."""
        journal = self.journal
        user_hash = journal.user_hash(app, user)
        person = await journal.identities.person(user_hash) if journal.identities.any else None
        return user_hash if person is None else person.user_hash

    def _device(self, registry: Registry, posted: Posted, user_hash: int) -> Device | None:
        """None when nothing says which device it is, or of which platform."""
        devices, app = self.journal.devices, registry.app
        if posted.platform is None:
            return None
        names = (posted.subscription_id, posted.installation, posted.token)
        if names == (None, None, None):
            return None
        return Device(
            app=app,
            user_hash=user_hash,
            platform=posted.platform,
            subscription_id=posted.subscription_id,
            installation=devices.name(app, "installation", posted.installation)
            if posted.installation
            else None,
            token=devices.name(app, "token", posted.token) if posted.token else None,
            subscribed=posted.subscribed,
            details=posted.details,
            at_ms=self.clock.now_ms(),
        )

    async def _is_known(self, registry: Registry, device: Device) -> bool:
        since_ms = self.clock.now_ms() - SEEN_AGAIN_MS
        lately = await self.journal.devices.of(registry.app, device.user_hash, since_ms=since_ms)
        return any(one.says(device) for one in lately)

    def _kept(self, *, changed: bool) -> Answer:
        self.metrics.devices.labels("written" if changed else "unchanged").inc()
        return {"registered": True, "changed": changed}

    # Removing -------------------------------------------------------------------------------------

    async def _remove(
        self, registry: Registry, headers: Headers, named: str, user: str | None
    ) -> Answer | Rejected:
        """A user's own device; a server that names no user takes it from everybody."""
        if len(named) > ID_LENGTH:
            return UNKNOWN
        app = registry.app
        gone = await self.journal.devices.forget(
            app,
            subscription_id=named.lower(),
            installation=self.journal.devices.name(app, "installation", named),
            user_hash=None if user is None else await self._person(app, user),
        )
        # The session that was known ends with this, as a rule.
        self.sessions.forget(registry.session_url or "", headers)
        if not gone:
            return UNKNOWN
        self.metrics.devices.labels("removed").inc()
        return {"removed": gone}


def _unavailable(message: str) -> Rejected:
    return Rejected(
        status=503,
        code="not-durable",
        message=f"Nothing was kept; send it again: {message}.",
        retry_after=10,
    )


def _problem(refused: Rejected) -> Answer:
    return {"code": refused.code, "message": refused.message}


async def _answer(
    send: Send,
    status: int,
    said: Answer | None,
    shared: list[tuple[bytes, bytes]],
    retry_after: int | None = None,
) -> None:
    body = b"" if said is None else orjson.dumps(said)
    headers = [(b"vary", b"Origin"), (b"cache-control", b"no-store"), *shared]
    if said is not None:
        headers.append((b"content-type", b"application/json"))
    if status == 405:
        headers.append((b"allow", METHODS.encode()))
    if retry_after is not None:
        headers.append((b"retry-after", str(retry_after).encode()))
    headers.append((b"content-length", str(len(body)).encode()))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
