"""Asks the customer's own session endpoint whose session a request belongs to.

Median's app posts a device natively, with nothing but the cookies of the website that it shows. The
endpoint gets those cookies, answers `200 {"userId": …}`, and is asked again a minute later at the
earliest. What it was asked with is a secret: it is never logged, and known here by a hash that the
process forgets.
"""

from __future__ import annotations

import asyncio
import hashlib
import secrets
from collections import OrderedDict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from http.cookiejar import CookieJar, DefaultCookiePolicy

import httpx
import orjson

from bridge.clock import Clock
from bridge.receive.body import Headers, Rejected
from bridge.segment.ids import id_text
from bridge.telemetry import log

DEADLINE_SECONDS = 2.0
CACHED_SECONDS = 60.0
REFUSED_SECONDS = 5.0
"""A visitor who has just logged in may have the cookies that were refused a moment before."""
KNOWN_SESSIONS = 10_000
AT_ONCE = 50
ANSWER_LIMIT = 65_536
Shown = dict[bytes, bytes]
"""The headers that the endpoint is shown."""
_NAMES = ("userId", "user_id", "external_id")

REFUSED = Rejected(
    status=401,
    code="session-refused",
    message="The session endpoint knows no user of this session.",
)
UNAVAILABLE = Rejected(
    status=503,
    code="session-unavailable",
    message="Nothing was kept; send it again: the session endpoint does not answer as it should.",
    retry_after=10,
)


@dataclass(slots=True)
class Sessions:
    """Whose sessions are whose, as the endpoint said lately."""

    clock: Clock
    http: httpx.AsyncClient
    _known: OrderedDict[bytes, tuple[float, str | Rejected]] = field(default_factory=OrderedDict)
    _asking: dict[bytes, asyncio.Task[str | Rejected]] = field(default_factory=dict)
    #: Requests to the endpoint that are out.
    _count: int = 0
    _salt: bytes = field(default_factory=lambda: secrets.token_bytes(32))

    def __repr__(self) -> str:
        return f"<Sessions: {len(self._known)} known>"

    async def user_of(self, url: str, headers: Headers) -> str | Rejected:
        """The user of the session whose `Cookie` and `Authorization` these are."""
        # Byte by byte: cookies need not be ASCII.
        names: tuple[bytes, ...] = (b"cookie", b"authorization")
        shown = {name: headers[name] for name in names if name in headers}
        name = self._name(url, headers)
        until, answer = self._known.get(name, (0.0, REFUSED))
        if until > self.clock.monotonic():
            return answer
        return await self._ask_once(name, url, shown)

    def forget(self, url: str, headers: Headers) -> None:
        """Somebody has logged out: ask again, whatever is being answered at this moment."""
        name = self._name(url, headers)
        self._known.pop(name, None)
        self._asking.pop(name, None)

    def _name(self, url: str, headers: Headers) -> bytes:
        parts = (url.encode(), headers.get(b"cookie", b""), headers.get(b"authorization", b""))
        return hashlib.blake2b(b"\n".join(parts), digest_size=32, key=self._salt).digest()

    async def _ask_once(self, name: bytes, url: str, shown: Shown) -> str | Rejected:
        """Who asks for a session that is being asked for hears the same answer."""
        asking = self._asking.get(name)
        if asking is None:
            if self._count >= AT_ONCE:
                return UNAVAILABLE
            asking = asyncio.ensure_future(self._ask(url, shown))
            self._count += 1
            self._asking[name] = asking
            asking.add_done_callback(lambda done: self._answered(name, done))
        return await asyncio.shield(asking)

    def _answered(self, name: bytes, asked: asyncio.Task[str | Rejected]) -> None:
        self._count -= 1
        # Who has logged out meanwhile is asked about again, and this answer is of before.
        if self._asking.get(name) is asked:
            del self._asking[name]
            if not asked.cancelled() and asked.exception() is None:
                self._keep(name, asked.result())

    def _keep(self, name: bytes, answer: str | Rejected) -> None:
        if answer is UNAVAILABLE:
            return
        seconds = REFUSED_SECONDS if isinstance(answer, Rejected) else CACHED_SECONDS
        self._known[name] = self.clock.monotonic() + seconds, answer
        self._known.move_to_end(name)
        while len(self._known) > KNOWN_SESSIONS:
            self._known.popitem(last=False)

    async def _ask(self, url: str, shown: Shown) -> str | Rejected:
        asked = asyncio.ensure_future(self._exchange(url, shown))
        timer = asyncio.ensure_future(self.clock.sleep(DEADLINE_SECONDS))
        try:
            await asyncio.wait((asked, timer), return_when=asyncio.FIRST_COMPLETED)
            if asked.done():
                return asked.result()
            log().error("session.unavailable", error="timeout")
            return UNAVAILABLE
        except httpx.HTTPError as error:
            log().error("session.unavailable", error=type(error).__name__)
            return UNAVAILABLE
        finally:
            timer.cancel()
            asked.cancel()

    async def _exchange(self, url: str, shown: Shown) -> str | Rejected:
        headers = shown | {b"accept": b"application/json", b"accept-encoding": b"identity"}
        async with self.http.stream("GET", url, headers=headers) as answer:
            body = bytearray()
            async for chunk in answer.aiter_raw():
                body += chunk
                if len(body) > ANSWER_LIMIT:
                    break
        return _read(answer.status_code, bytes(body))


def _read(status: int, body: bytes) -> str | Rejected:
    """Redirects (to a login page, say) and everything but a user are a no; a failure is none."""
    if status >= 500 or status in {408, 429}:
        log().error("session.unavailable", error=f"http_{status}")
        return UNAVAILABLE
    if status != 200:
        return REFUSED
    try:
        said = orjson.loads(body)
    except orjson.JSONDecodeError:
        log().error("session.unavailable", error="not_json")
        return UNAVAILABLE
    if not isinstance(said, dict):
        return REFUSED
    return next((text for name in _NAMES if (text := id_text(said.get(name)))), REFUSED)


@asynccontextmanager
async def sessions(
    clock: Clock, transport: httpx.AsyncBaseTransport | None = None
) -> AsyncIterator[Sessions]:
    """Ready to ask; `transport` is the way to the endpoint when it is not the network."""
    # Its own timeout is a second line: the clock's comes first. Nothing is followed.
    async with httpx.AsyncClient(
        timeout=2 * DEADLINE_SECONDS,
        transport=transport,
        follow_redirects=False,
        trust_env=False,
        # What the endpoint sets for one visitor is never shown to it as another's.
        cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),
    ) as http:
        yield Sessions(clock, http)
