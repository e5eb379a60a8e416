"""So many requests a second, however long their answers take: an event each, or a batch.

A request is due at its time, and its answer is counted from then on: a bridge that is slow does not make
the load any smaller, nor the wait for a connection any shorter.
"""

from __future__ import annotations

import asyncio
import sys
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple, cast

import httpx

from bridge.clock import SystemClock
from tests.faults.canary import SECRET
from tests.faults.sender import Sent
from tests.faults.story import Event
from tests.harness import signed

STEP_SECONDS = 0.01
MOST_CONNECTIONS = 48
_GOOD = b'{"accepted":%d,"duplicates":0,"rejected":[]'


class Due(NamedTuple):
    events: list[Event]
    request: bytes
    at: float


@dataclass(slots=True, kw_only=True)
class Steady:
    """A sender with as many connections as it needs; `sent` remembers what was answered 200."""

    url: httpx.URL
    sent: Sent
    #: Seconds from when each was due to its answer.
    took: list[float] = field(default_factory=list)
    #: Answers that say anything but that all of it is taken.
    wrong: list[bytes] = field(default_factory=list)
    #: A connection was refused, or closed before the answer.
    is_lost: bool = False
    clock: SystemClock = field(default_factory=SystemClock)
    _waiting: deque[Due] = field(default_factory=deque)
    _idle: list[_Connection] = field(default_factory=list)
    _all: list[_Connection] = field(default_factory=list)

    async def post(
        self, bodies: Iterator[Event | list[Event]], *, per_second: int, most: int = sys.maxsize
    ) -> None:
        """So many, and until each is answered; or until nobody answers any more."""
        began, due, first = self.clock.monotonic(), 0, len(self.took)
        while len(self.took) - first < most and not self.is_lost:
            until = min(most, int((self.clock.monotonic() - began) * per_second))
            for number in range(due, until):
                self._waiting.append(self._due(next(bodies), began + number / per_second))
            due = max(due, until)
            await self._hand_out()
            await self.clock.sleep(STEP_SECONDS)

    def close(self) -> None:
        for connection in self._all:
            connection.close()
        self._all, self._idle = [], []

    def _due(self, body: Event | list[Event], at: float) -> Due:
        events = body if isinstance(body, list) else [body]
        self.sent.posted |= {("default", event["messageId"]): event for event in events}
        raw, headers = signed(body, SECRET)
        lines = [
            "POST /v1/segment/default HTTP/1.1",
            f"host: {self.url.host}",
            *(f"{name}: {value}" for name, value in headers.items()),
            f"content-length: {len(raw)}",
        ]
        return Due(events, "\r\n".join([*lines, "\r\n"]).encode() + raw, at)

    async def _hand_out(self) -> None:
        while self._waiting and not self.is_lost:
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
        try:
            _, connection = await loop.create_connection(made, self.url.host, port)
        except ConnectionError:
            self.is_lost = True
            return
        self._all.append(connection)
        self._idle.append(connection)

    def forget(self, connection: _Connection) -> None:
        """It was closed while nothing was asked."""
        for connections in (self._all, self._idle):
            if connection in connections:
                connections.remove(connection)

    def answered(self, connection: _Connection, due: Due, status: bytes, body: bytes) -> None:
        self.took.append(self.clock.monotonic() - due.at)
        if status == b"200" and body.startswith(_GOOD % len(due.events)):
            for event in due.events:
                self.sent.took("default", event)
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
        if self._due is None:
            self._steady.forget(self)
        else:
            self._steady.is_lost = True

    def close(self) -> None:
        self._transport.close()
