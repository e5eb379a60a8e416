"""OneSignal at the other end of a real socket, where all happens that servers, proxies and cables do.

A `Wire` does with each request what is planned for its class, and when nothing is, it answers as the
sandbox does. The bridge's clock is the test's; sockets keep the machine's, so `settled` waits for both.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
import struct
from collections import defaultdict, deque
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

from bridge.onesignal.client import CONNECT_SECONDS, DEADLINE_SECONDS
from bridge.onesignal.pool import Pool
from bridge.sandbox import Sandbox
from bridge.sandbox.routes import find_route
from tests.faults.worlds import Inside
from tests.harness import Rig, eventually

Behaviour = Callable[["Exchange"], Awaitable[None]]
PIECE = b"x" * 65_536


@dataclass(slots=True)
class Exchange:
    """One request of which the head has come, and the connection on which it came."""

    wire: Wire
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    method: str
    path: str
    headers: dict[str, str]
    body: bytes | None = None

    @property
    def endpoint_class(self) -> str:
        found = find_route(self.method, self.path)
        assert found is not None, self.path
        return found[0].endpoint_class.value

    async def read(self) -> bytes:
        """The rest of the request."""
        if self.body is None:
            self.body = await self.reader.readexactly(int(self.headers.get("content-length", "0")))
            self.wire.bodies[self.endpoint_class].append(self.body)
        return self.body

    async def perform(self) -> bytes:
        """Do what is asked for; the answer, which nobody has seen yet."""
        outcome = self.wire.sandbox.handle(
            method=self.method, raw_path=self.path, headers=self.headers, body=await self.read()
        )
        assert outcome.answer is not None, "the wire has faults of its own"
        body, content_type = outcome.answer.encoded()
        return http(str(outcome.answer.status), body, f"Content-Type: {content_type}")

    async def send(self, raw: bytes) -> None:
        self.writer.write(raw)
        await self.writer.drain()

    async def until_gone(self) -> None:
        await self.reader.read()

    def reset(self) -> None:
        reset(self.writer)

    def close(self) -> None:
        self.writer.close()


def reset(writer: asyncio.StreamWriter) -> None:
    """Close so that the other side sees a reset instead of an end."""
    found: socket.socket = writer.get_extra_info("socket")
    found.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


def http(status: str, body: bytes = b"", *headers: str) -> bytes:
    """An answer as it is sent."""
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers, "", ""]
    return "\r\n".join(lines).encode() + body


@dataclass(slots=True)
class Wire:
    sandbox: Sandbox
    #: What to do with the next requests of a class.
    planned: dict[str, deque[Behaviour]] = field(default_factory=lambda: defaultdict(deque))
    #: So many connections are reset before anything is read.
    slams: int = 0
    #: Connections that were ever made.
    made: int = 0
    #: Of all requests that came, by class.
    bodies: dict[str, list[bytes]] = field(default_factory=lambda: defaultdict(list))
    port: int = 0
    _open: set[asyncio.StreamWriter] = field(default_factory=set)
    _server: asyncio.Server | None = None

    def plan(self, endpoint_class: str, behaviour: Behaviour, times: int = 1) -> None:
        self.planned[endpoint_class].extend([behaviour] * times)

    @property
    def open(self) -> int:
        """Connections that nobody has closed."""
        return sum(not writer.is_closing() for writer in self._open)

    async def listen(
        self, host: str = "127.0.0.1", port: int = 0, tls: ssl.SSLContext | None = None
    ) -> None:
        self._server = await asyncio.start_server(self._serve, host, port or self.port, ssl=tls)
        self.port = self._server.sockets[0].getsockname()[1]

    def hang_up(self) -> None:
        """Let nobody in any more, and nobody stay."""
        if self._server is not None:
            self._server.close()
        for writer in self._open:
            writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.made += 1
        self._open.add(writer)
        try:
            with suppress(ConnectionError, asyncio.IncompleteReadError):
                await self._requests(reader, writer)
        finally:
            self._open.discard(writer)
            writer.close()

    async def _requests(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while not writer.is_closing():
            if self.slams:
                self.slams -= 1
                reset(writer)
                return
            head = await reader.readuntil(b"\r\n\r\n")
            exchange = Exchange(self, reader, writer, *_read_head(head.decode("latin-1")))
            planned = self.planned[exchange.endpoint_class]
            await (planned.popleft() if planned else ordinary)(exchange)


def _read_head(head: str) -> tuple[str, str, dict[str, str]]:
    first, *lines = head.removesuffix("\r\n\r\n").split("\r\n")
    method, path, _ = first.split(" ")
    fields = (line.partition(": ") for line in lines)
    return method, path, {name.lower(): value for name, _, value in fields}


def name_of(behaviour: Behaviour) -> str:
    return str(getattr(behaviour, "__name__", behaviour))


async def ordinary(exchange: Exchange) -> None:
    await exchange.send(await exchange.perform())


@asynccontextmanager
async def wire_to(sandbox: Sandbox, **more: Any) -> AsyncIterator[Wire]:
    """A wire that listens, until the end of the block."""
    wire = Wire(sandbox)
    await wire.listen(**more)
    try:
        yield wire
    finally:
        wire.hang_up()


async def settled(here: Rig, *, within: float = 4 * 3600.0) -> None:
    """Nothing is pending, and nothing is out; time moves when everybody waits for it alone."""
    gates = here.means.destination.gates
    deadline = here.clock.monotonic() + within

    async def nobody_is_out() -> bool | None:
        return None if any(gate._in_flight for gate in gates) else True

    while True:
        await here.still()
        if not await nobody_is_out():
            await eventually(nobody_is_out, within=20, every=0.002)
        elif (await here.bridge.journal.counts()).pending == 0:
            return
        else:
            wake = here.clock.next_wake
            assert wake is not None, f"pending, and nobody waits for anything: {here.bridge!r}"
            assert here.clock.monotonic() + wake <= deadline, f"still pending: {here.bridge!r}"
            here.clock.advance(wake)


@asynccontextmanager
async def wired(
    inside: Inside,
    wire: Wire,
    url: str = "",
    *,
    deadline: float = DEADLINE_SECONDS,
    **more: Any,
) -> AsyncIterator[Rig]:
    """A bridge with connections to OneSignal, as a real one has; `deadline` is of the machine's seconds."""
    url = url or f"http://127.0.0.1:{wire.port}"
    async with inside.bridge(onesignal_url=url, **more) as here:
        client = here.means.destination.client
        client._way = Pool(deadline=deadline, connect=CONNECT_SECONDS)
        yield here

    async def nothing_is_open() -> bool | None:
        return None if wire.open else True

    await eventually(nothing_is_open, within=10, every=0.002)


def expect(inside: Inside, reason: str) -> None:
    """Both kinds of calls fail so."""
    inside.told.expect_line("update.failed", reason=reason)
    inside.told.expect_line("send.failed", reason=reason)
    for endpoint_class in ("write", "send"):
        inside.told.expect_metric("bridge_calls_total", http=reason, **{"class": endpoint_class})


def expect_no_connection(inside: Inside) -> None:
    inside.told.expect_line("update.failed", reason="connect_failed")
    inside.told.expect_metric("bridge_calls_total", http="connect_failed")


async def all_arrived_once(inside: Inside, here: Rig, count: int = 1) -> None:
    await settled(here)
    assert {status for _, _, _, status, _ in await here.outcomes()} == {"delivered"}
    assert len(inside.sandbox.pushes) == count
    assert not [line for line in inside.told.lines if str(line.get("event")).endswith("troubled")]
