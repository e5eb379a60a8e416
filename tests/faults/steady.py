"""So many events a second, however long their answers take: each on its own, as Segment posts them.

An event is due at its time, and its answer is counted from then on: a bridge that is slow does not make
the load any smaller, nor the wait for a connection any shorter.
"""

from __future__ import annotations

import asyncio
import hmac
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple, cast

import httpx
import orjson

from bridge.clock import SystemClock
from tests.faults.canary import SECRET
from tests.faults.sender import Sent
from tests.faults.story import Event

STEP_SECONDS = 0.01
MOST_CONNECTIONS = 256
_GOOD = b'{"accepted":1,"duplicates":0,"rejected":[]'


class Due(NamedTuple):
    event: Event
    request: bytes
    at: float


@dataclass(slots=True, kw_only=True)
class Steady:
    """A sender with as many connections as it needs; `sent` remembers what was answered 200."""

    url: httpx.URL
    sent: Sent
    #: Seconds from when each was due to its answer.
    took: list[float] = field(default_factory=list)
    #: Answers that are none to be had.
    wrong: list[bytes] = field(default_factory=list)
    clock: SystemClock = field(default_factory=SystemClock)
    _waiting: deque[Due] = field(default_factory=deque)
    _idle: list[_Connection] = field(default_factory=list)
    _all: list[_Connection] = field(default_factory=list)

    async def post(self, events: Iterator[Event], *, per_second: int, seconds: float) -> None:
        """All that is due in so many seconds; until all of it is answered."""
        began, due, whole = self.clock.monotonic(), 0, round(per_second * seconds)
        first = len(self.took)
        while len(self.took) - first < whole:
            until = min(whole, int((self.clock.monotonic() - began) * per_second))
            for number in range(due, until):
                event = next(events)
                at = began + number / per_second
                self._waiting.append(Due(event, self._request(event), at))
            due = max(due, until)
            await self._hand_out()
            await self.clock.sleep(STEP_SECONDS)

    def close(self) -> None:
        for connection in self._all:
            connection.close()

    def _request(self, event: Event) -> bytes:
        self.sent.posted[("default", event["messageId"])] = event
        body = orjson.dumps(event)
        head = (
            f"POST /v1/segment/default HTTP/1.1\r\nhost: {self.url.host}\r\nuser-agent: Segment.io/2.0\r\n"
            f"content-type: application/json\r\nx-signature: {hmac.digest(SECRET.encode(), body, 'sha1').hex()}\r\n"
            f"content-length: {len(body)}\r\n\r\n"
        )
        return head.encode() + body

    async def _hand_out(self) -> None:
        while self._waiting:
            if self._idle:
                self._idle.pop().send(self._waiting.popleft())
            elif len(self._all) == MOST_CONNECTIONS:
                return
            else:
                await self._connect()

    async def _connect(self) -> None:
        loop = asyncio.get_running_loop()
        made = lambda: _Connection(self)  # noqa: E731 — what the loop calls for a protocol
        port = self.url.port or 80
        _, connection = await loop.create_connection(made, self.url.host, port)
        self._all.append(connection)
        self._idle.append(connection)

    def answered(self, connection: _Connection, due: Due, status: bytes, body: bytes) -> None:
        self.took.append(self.clock.monotonic() - due.at)
        if status == b"200" and body.startswith(_GOOD):
            self.sent.took("default", due.event)
        else:
            self.wrong.append(status + b" " + body)
        if self._waiting:
            connection.send(self._waiting.popleft())
        else:
            self._idle.append(connection)


class _Connection(asyncio.Protocol):
    """One request at a time."""

    def __init__(self, steady: Steady) -> None:
        self._steady = steady
        self._due: Due | None = None
        self._part = b""
        self._transport: asyncio.WriteTransport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.WriteTransport", transport)

    def send(self, due: Due) -> None:
        self._due = due
        self._transport.write(due.request)

    def data_received(self, data: bytes) -> None:
        data = self._part + data
        head = data.find(b"\r\n\r\n")
        at = data.find(b"content-length: ", 0, head)
        if head < 0 or len(data) < head + 4 + int(data[at + 16 : data.index(b"\r", at)]):
            self._part = data
            return
        self._part, due, self._due = b"", self._due, None
        assert due is not None, "an answer that nobody asked for"
        self._steady.answered(self, due, data[9:12], data[head + 4 :])

    def connection_lost(self, exc: Exception | None) -> None:
        if self._due is not None:
            self._steady.answered(self, self._due, b"lost", repr(exc).encode())

    def close(self) -> None:
        self._transport.close()
