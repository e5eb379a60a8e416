"""One sender's connection, and what it may cost before there is a request that could be refused.

uvicorn waits for the end of a request's head for ever, holds all of it, and reads whatever follows an
answer; each of these has an end here. And where connections are many, one that does nothing makes room.
"""

from __future__ import annotations

import asyncio
import resource
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import orjson
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

HEAD_BYTES = 65_536
HEAD_SECONDS = 30.0
"""From the connection, or the first byte of a later request, to the end of its head; from there to the
first byte of its body; and from an answer to the end of the body that it did not wait for."""
BODY_SECONDS = 60.0
"""From the first part of a body to its end; who reads it may say less."""
REST_BYTES = 32_000_000
"""Of a body that has its answer already: a sender that reads it stops sooner."""
MOST = 10_000
_FILES = 65_536


class Refusal(NamedTuple):
    """What a connection is told before it is closed."""

    status: int
    code: str
    message: str


_TOO_LARGE = Refusal(
    status=431, code="head-too-large", message=f"The request's head is over {HEAD_BYTES} bytes."
)
_TOO_SLOW = Refusal(
    status=408,
    code="head-too-slow",
    message=f"The request's head took over {HEAD_SECONDS:.0f} seconds.",
)


@dataclass(slots=True)
class Room:
    """What the connections of one server share."""

    #: Told why a connection was refused, by its code.
    refused: Callable[[str], None] = lambda _: None
    most: int = MOST
    #: Those that do nothing, the one that has done so for longest first.
    idle: dict[Connection, None] = field(default_factory=dict)

    def make(self, taken: int) -> None:
        """One more has come, and so many are there; the idlest of too many goes."""
        if taken > self.most and self.idle:
            first = next(iter(self.idle))
            del self.idle[first]
            first.transport.close()


class Connection(HttpToolsProtocol):
    """uvicorn's, with bounds; made by `functools.partial(Connection, room)`."""

    def __init__(self, room: Room, *args: Any, **more: Any) -> None:
        super().__init__(*args, **more)
        self._room = room
        self._timer: asyncio.TimerHandle | None = None
        #: Between requests, or within the head of one.
        self._awaits_head = True
        #: A head has come, and nothing of its body.
        self._awaits_body = False
        self._head = 0
        self._rest = 0
        self._ended_one = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # TCP's is a Transport
        super().connection_made(transport)
        self._room.idle[self] = None
        self._room.make(len(self.connections))
        self._start(HEAD_SECONDS)

    def connection_lost(self, exc: Exception | None) -> None:
        self._room.idle.pop(self, None)
        self._stop()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        self._room.idle.pop(self, None)
        self._ended_one = False
        super().data_received(data)
        if self.transport.is_closing():
            return
        if not self._awaits_head:
            self._read_on(len(data))
            if self._timer is None:
                self._start(HEAD_SECONDS if self._awaits_body else BODY_SECONDS)
        elif not self._ended_one:
            # What follows the end of a request within the same data is not counted.
            self._head_grows(len(data))

    def on_headers_complete(self) -> None:
        self._awaits_head = False
        self._awaits_body = True
        self._stop()
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        if self._awaits_body:
            self._awaits_body = False
            if self._is_asked:
                self._stop()
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._awaits_head = self._ended_one = True
        self._awaits_body = False
        self._head = self._rest = 0
        self._stop()
        super().on_message_complete()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if self.transport.is_closing() or self.pipeline:
            return
        if self._awaits_head:
            self._room.idle[self] = None
        else:
            # The rest of a body that nobody reads any more may come, but not for ever.
            self._start(HEAD_SECONDS)

    @property
    def _is_asked(self) -> bool:
        """Whether there is a request that has not been answered."""
        cycle: Any = self.cycle
        return cycle is not None and not cycle.response_complete

    def _read_on(self, size: int) -> None:
        if not self._is_asked:
            self._rest += size
            if self._rest > REST_BYTES:
                self.transport.close()

    def _head_grows(self, size: int) -> None:
        self._head += size
        if self._head > HEAD_BYTES:
            self._refuse(*_TOO_LARGE)
        elif self._timer is None:
            self._start(HEAD_SECONDS)

    # Time -----------------------------------------------------------------------------------------

    def _start(self, seconds: float) -> None:
        self._stop()
        self._timer = self.loop.call_later(seconds, self._is_late)

    def _stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _is_late(self) -> None:
        self._timer = None
        if self._is_asked and not self._awaits_head:
            self._room.refused("body-too-slow")
            self.transport.close()
        elif self._head:
            self._refuse(*_TOO_SLOW)
        else:
            # Nobody has asked for anything.
            self.transport.close()

    def _refuse(self, status: int, code: str, message: str) -> None:
        self._room.refused(code)
        if not self._is_asked:
            self.transport.write(_answer(status, code, message))
        self.transport.close()


def _answer(status: int, code: str, message: str) -> bytes:
    body = orjson.dumps({"code": code, "message": message})
    head = (
        b"content-type: application/json\r\nconnection: close\r\n",
        b"content-length: %d\r\n\r\n" % len(body),
    )
    return b"".join([STATUS_LINE[status], *head, body])


def more_files() -> None:
    """Each connection is an open file, and what a process may open is often far less than it could."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _FILES if hard == resource.RLIM_INFINITY else min(hard, _FILES)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def most_connections() -> int:
    """Half of the files that may be open are enough for those who ask."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return MOST if soft == resource.RLIM_INFINITY else min(MOST, soft // 2)
