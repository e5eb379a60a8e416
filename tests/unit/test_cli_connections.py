"""What a connection may cost before there is a request; served here, in this very loop."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from bridge.cli import connections
from bridge.cli.connections import Connection, Room
from bridge.cli.server import QuietServer, configuration, listen

REQUEST = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nhi"


async def _read_it(request: Request) -> Response:
    try:
        return Response(await request.body())
    except ClientDisconnect:
        return Response()


async def _do_not_read_it(request: Request) -> Response:
    return Response(status_code=413)


@dataclass
class Here:
    port: int
    room: Room
    refused: list[str] = field(default_factory=list)

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection("127.0.0.1", self.port)


@asynccontextmanager
async def serving() -> AsyncIterator[Here]:
    app = Starlette(
        routes=[
            Route("/", _read_it, methods=["POST"]),
            Route("/full", _do_not_read_it, methods=["POST"]),
        ]
    )
    listening = listen("127.0.0.1", 0)
    refused: list[str] = []
    here = Here(listening.getsockname()[1], Room(refused=refused.append), refused)
    http: Any = partial(Connection, here.room)
    config: uvicorn.Config = configuration(app)
    config.http = http
    server = QuietServer(config)
    task = asyncio.ensure_future(server.serve(sockets=[listening]))
    try:
        async with asyncio.timeout(10):
            yield here
    finally:
        server.should_exit = True
        await task


async def answer(reader: asyncio.StreamReader) -> bytes:
    head = await reader.readuntil(b"\r\n\r\n")
    length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
    return head.split(b" ")[1] + b" " + await reader.readexactly(length)


async def sent_until_closed(writer: asyncio.StreamWriter) -> int:
    sent = 0
    with suppress(ConnectionError):
        while True:
            writer.write(b"x" * 65_536)
            await writer.drain()
            sent += 65_536
    writer.close()
    return sent


async def test_the_idlest_of_too_many_makes_room_and_nobody_who_asks() -> None:
    async with serving() as here:
        here.room.most = 3
        asking, *others = [await here.connect() for _ in range(3)]
        # One is within a request, so that it is not idle.
        asking[1].write(REQUEST[:-1])
        others[0][1].write(REQUEST)
        assert await answer(others[0][0]) == b"200 hi"
        late = await here.connect()
        # Of the two that are idle, this one has been so for longer.
        assert await others[1][0].read() == b""
        asking[1].write(REQUEST[-1:])
        for reader, writer in (asking, others[0], late):
            if reader is not asking[0]:
                writer.write(REQUEST)
            assert await answer(reader) == b"200 hi"
            writer.close()
        others[1][1].close()
    assert here.refused == []


async def test_many_requests_on_one_connection_are_no_large_head() -> None:
    async with serving() as here:
        reader, writer = await here.connect()
        # Cut anywhere, in pieces that hold an end and a beginning.
        stream = REQUEST * 20
        for _ in range(75):
            for start in range(0, len(stream), 77):
                writer.write(stream[start : start + 77])
                await writer.drain()
            for _ in range(20):
                assert await answer(reader) == b"200 hi"
        writer.close()
    assert here.refused == []


async def test_a_body_that_has_its_answer_is_read_for_a_while_and_then_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(connections, "REST_BYTES", 1_000_000)
    head = b"POST /full HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n"
    async with serving() as here:
        reader, writer = await here.connect()
        writer.write(head % 900_000)
        assert await answer(reader) == b"413 "
        writer.write(b"x" * 900_000 + REQUEST)
        assert await answer(reader) == b"200 hi", "it is still good for another request"
        writer.write(head % 100_000_000)
        assert await answer(reader) == b"413 "
        assert await sent_until_closed(writer) < 20_000_000


async def test_the_rest_of_a_body_that_has_its_answer_is_not_waited_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(connections, "HEAD_SECONDS", 0.05)
    async with serving() as here:
        reader, writer = await here.connect()
        writer.write(b"POST /full HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n")
        assert await answer(reader) == b"413 "
        assert await reader.read() == b""
        writer.close()
    assert here.refused == []


async def test_a_head_that_begins_behind_another_request_has_no_more_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(connections, "HEAD_SECONDS", 0.05)
    async with serving() as here:
        reader, writer = await here.connect()
        writer.write(REQUEST + REQUEST[:10])
        assert await answer(reader) == b"200 hi"
        writer.write(REQUEST[10:20])
        assert (await answer(reader)).startswith(b'408 {"code":"head-too-slow"')
        assert await reader.read() == b""
        writer.close()
    assert here.refused == ["head-too-slow"]


@pytest.mark.parametrize(
    "form", [b"Content-Length: 1000\r\n\r\nhi", b"Transfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n"]
)
async def test_a_body_that_stops_coming_is_not_waited_for_whoever_reads_it(
    monkeypatch: pytest.MonkeyPatch, form: bytes
) -> None:
    monkeypatch.setattr(connections, "BODY_SECONDS", 0.05)
    async with serving() as here:
        reader, writer = await here.connect()
        writer.write(b"POST / HTTP/1.1\r\nHost: x\r\n" + form)
        assert await reader.read() == b""
        writer.close()
    assert here.refused == ["body-too-slow"]


async def test_a_body_that_trickles_has_no_more_time_than_one_that_stops(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(connections, "BODY_SECONDS", 0.05)
    async with serving() as here:
        _, writer = await here.connect()
        writer.write(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100000000000\r\n\r\n")
        await sent_until_closed(writer)
    assert here.refused == ["body-too-slow"]
