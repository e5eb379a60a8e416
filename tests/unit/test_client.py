"""The client against a server that does everything a server, a proxy or a cable can do."""

from __future__ import annotations

import asyncio
import gzip
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

import pytest

from bridge.onesignal.client import ONESIGNAL, OneSignal, address, authorization
from bridge.onesignal.pool import ANSWER_LIMIT
from bridge.onesignal.verdict import Answer, NoAnswer

PATH = "/apps/a/users/by/external_id/u1"
Behaviour = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@dataclass
class Server:
    """Reads requests off the wire, and then behaves as the test says."""

    behave: Behaviour
    requests: list[tuple[str, dict[str, str], bytes]] = field(default_factory=list)
    port: int = 0
    _writers: list[asyncio.StreamWriter] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.append(writer)
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            while line := (await reader.readline()).decode().strip():
                headers: dict[str, str] = {}
                while header := (await reader.readline()).decode().strip():
                    name, _, value = header.partition(": ")
                    headers[name.lower()] = value
                body = await reader.readexactly(int(headers.get("content-length", "0")))
                self.requests.append((line, headers, body))
                await self.behave(reader, writer)
                if writer.is_closing():
                    return

    def close(self) -> None:
        for writer in self._writers:
            writer.close()


@asynccontextmanager
async def asked(
    behave: Behaviour, *, deadline: float = 5.0, connect: float = 5.0
) -> AsyncIterator[tuple[OneSignal, Server]]:
    """A client, and the server that it asks."""
    server = Server(behave)
    listening = await asyncio.start_server(server.serve, "127.0.0.1", 0)
    server.port = listening.sockets[0].getsockname()[1]
    try:
        async with OneSignal(
            url=server.url, api_keys=["os_v2_app_x"], deadline=deadline, connect=connect
        ) as client:
            yield client, server
    finally:
        listening.close()
        server.close()


def answering(raw: bytes, *, then_close: bool = False) -> Behaviour:
    async def behave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(raw)
        await writer.drain()
        if then_close:
            writer.close()

    return behave


def http(status: str, body: bytes = b"", *headers: str) -> bytes:
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers, "", ""]
    return "\r\n".join(lines).encode() + body


async def silence(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read()


def reset(writer: asyncio.StreamWriter) -> None:
    """Close so that the other side sees a reset instead of an end."""
    found: socket.socket = writer.get_extra_info("socket")
    found.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


# Answers ---------------------------------------------------------------------------------------


async def test_an_answer_comes_back_as_it_was_sent() -> None:
    raw = http("201 Created", b'{"id":"x"}', "Retry-After: 7", "Idempotent-Replayed: true")
    async with asked(answering(raw)) as (client, server):
        answer = await client.perform("PATCH", PATH, b'{"properties":{}}')

    assert isinstance(answer, Answer)
    assert (answer.status, answer.body) == (201, b'{"id":"x"}')
    assert answer.headers.get("retry-after") == "7"
    assert answer.headers.get("idempotent-replayed") == "true"
    line, headers, body = server.requests[0]
    assert line == f"PATCH {PATH} HTTP/1.1"
    assert body == b'{"properties":{}}'
    assert headers["authorization"] == "Key os_v2_app_x"
    assert headers["content-type"] == "application/json; charset=utf-8"
    assert headers["accept-encoding"] == "identity"


@pytest.mark.parametrize(
    "id_", ["a%2Fb", "a%20b", "a%3Fb%23c", "%E2%82%AC", "a%25b", "a+b", "a%2Bb"]
)
async def test_an_id_reaches_the_server_as_it_was_quoted(id_: str) -> None:
    path = f"/apps/a/users/by/external_id/{id_}"
    async with asked(answering(http("200 OK", b"{}"))) as (client, server):
        await client.perform("PATCH", path, b"{}")
    assert server.requests[0][0] == f"PATCH {path} HTTP/1.1"


@pytest.mark.parametrize("path", ["/a b", "/a\r\nx-more: 1", "/\u20ac", "a", ""])
async def test_what_is_no_path_is_never_sent(path: str) -> None:
    async with asked(answering(http("200 OK", b"{}"))) as (client, server):
        answer = await client.perform("PATCH", path, b"{}")
    assert answer == NoAnswer(reason="address_invalid", sent=False)
    assert server.requests == []


async def test_a_cookie_is_not_kept() -> None:
    raw = http("200 OK", b"{}", "Set-Cookie: seen=1; Path=/")
    async with asked(answering(raw)) as (client, server):
        for _ in range(2):
            await client.perform("PATCH", PATH, b"{}")
    assert ["cookie" in headers for _, headers, _ in server.requests] == [False, False]


async def test_a_redirect_is_not_followed() -> None:
    raw = http("307 Temporary Redirect", b"", "Location: http://127.0.0.1:1/elsewhere")
    async with asked(answering(raw)) as (client, server):
        answer = await client.perform("POST", "/notifications", b"{}")
    assert isinstance(answer, Answer)
    assert answer.status == 307
    assert len(server.requests) == 1


async def test_what_is_compressed_against_our_wish_is_left_as_it_is() -> None:
    packed = gzip.compress(b"0" * 50_000_000)
    raw = http("200 OK", packed, "Content-Encoding: gzip")
    async with asked(answering(raw)) as (client, _):
        answer = await client.perform("POST", "/notifications", b"{}")
    assert isinstance(answer, Answer)
    assert answer.body == packed


async def test_a_broken_compression_is_not_our_trouble() -> None:
    raw = http("200 OK", b"not gzip", "Content-Encoding: gzip")
    async with asked(answering(raw)) as (client, _):
        assert isinstance(await client.perform("POST", "/notifications", b"{}"), Answer)


async def test_an_endless_answer_is_cut() -> None:
    written = 0

    async def behave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal written
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\n")
        for _ in range(100):
            writer.write(b"x" * 1_000_000)
            written += 1_000_000
            await writer.drain()

    async with asked(behave) as (client, _):
        answer = await client.perform("POST", "/notifications", b"{}")
        assert isinstance(answer, Answer)
        assert ANSWER_LIMIT < len(answer.body) < 2 * ANSWER_LIMIT
        assert written < 50_000_000


# No answer -------------------------------------------------------------------------------------


async def test_silence_is_a_timeout() -> None:
    async with asked(silence, deadline=0.1) as (client, _):
        answer = await client.perform("POST", "/notifications", b"{}")
    assert answer == NoAnswer(reason="timeout")


async def test_an_answer_that_drips_is_a_timeout_in_the_end() -> None:
    async def behave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n{")
        await reader.read()

    async with asked(behave, deadline=0.2) as (client, _):
        answer = await client.perform("POST", "/notifications", b"{}")
    assert answer == NoAnswer(reason="timeout")


async def test_a_refused_connection_was_certainly_not_sent() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
    async with OneSignal(url=f"http://127.0.0.1:{port}", api_keys=["k"]) as client:
        answer = await client.perform("POST", "/notifications", b"{}")
    assert answer == NoAnswer(reason="connect_failed", sent=False)


async def test_a_connection_that_never_comes_about_was_certainly_not_sent() -> None:
    with socket.socket() as full, socket.socket() as first, socket.socket() as second:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        for waiting in (first, second):
            waiting.settimeout(0)
            waiting.connect_ex(full.getsockname())
        port = full.getsockname()[1]
        async with OneSignal(url=f"http://127.0.0.1:{port}", api_keys=["k"], connect=0.1) as client:
            answer = await client.perform("POST", "/notifications", b"{}")
    assert answer == NoAnswer(reason="connect_failed", sent=False)


async def test_a_name_that_is_not_known_was_certainly_not_sent() -> None:
    async with OneSignal(url="http://onesignal.invalid", api_keys=["k"]) as client:
        answer = await client.perform("POST", "/notifications", b"{}")
    assert answer == NoAnswer(reason="connect_failed", sent=False)


async def test_a_reset_before_the_answer_may_have_been_sent() -> None:
    async def behave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        reset(writer)

    async with asked(behave) as (client, _):
        answer = await client.perform("POST", "/notifications", b"{}")
    assert answer == NoAnswer(reason="connection_lost")


async def test_an_end_before_the_answer_may_have_been_sent() -> None:
    async with asked(answering(b"", then_close=True)) as (client, _):
        answer = await client.perform("POST", "/notifications", b"{}")
    assert answer == NoAnswer(reason="connection_lost")


@pytest.mark.parametrize("by", [reset, asyncio.StreamWriter.close])
async def test_an_answer_that_breaks_off_is_none(
    by: Callable[[asyncio.StreamWriter], None],
) -> None:
    async def behave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b'HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n{"id":')
        await writer.drain()
        by(writer)

    async with asked(behave) as (client, _):
        answer = await client.perform("POST", "/notifications", b"{}")
    assert answer == NoAnswer(reason="connection_lost")


async def test_what_is_not_http_is_no_answer() -> None:
    async with asked(answering(b"220 mail.example ready\r\n\r\n", then_close=True)) as (client, _):
        answer = await client.perform("POST", "/notifications", b"{}")
    assert answer == NoAnswer(reason="bad_answer")


async def test_a_kept_connection_that_closed_early_is_not_tried_twice_behind_our_back() -> None:
    """The request may have arrived on it; whether to send it again is for `verdict` to say."""
    served = 0

    async def behave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal served
        served += 1
        if served == 1:
            writer.write(http("200 OK", b"{}"))
        else:
            writer.close()

    async with asked(behave) as (client, server):
        assert isinstance(await client.perform("POST", "/notifications", b"1"), Answer)
        assert await client.perform("POST", "/notifications", b"2") == NoAnswer(
            reason="connection_lost"
        )
        assert [body for _, _, body in server.requests] == [b"1", b"2"]


async def test_a_connection_is_used_again() -> None:
    peers: set[object] = set()

    async def behave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        peers.add(writer.get_extra_info("peername"))
        writer.write(http("200 OK", b"{}"))

    async with asked(behave) as (client, _):
        for _ in range(5):
            await client.perform("PATCH", PATH, b"{}")
    assert len(peers) == 1


# The key ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("api_key", "value"),
    [
        ("os_v2_app_abc", "Key os_v2_app_abc"),
        ("A" * 48, "Basic " + "A" * 48),
        ("YWJj" * 12, "Basic " + "YWJj" * 12),
        ("os_v2_org_" + "a" * 38, "Key os_v2_org_" + "a" * 38),
    ],
)
def test_old_keys_are_sent_the_old_way(api_key: str, value: str) -> None:
    assert authorization(api_key) == value


@pytest.mark.parametrize(
    ("url", "path", "asked_at"),
    [
        (ONESIGNAL, "/notifications", "https://api.onesignal.com/notifications"),
        (ONESIGNAL, "/api/v1/notifications", "https://onesignal.com/api/v1/notifications"),
        (ONESIGNAL, "/api/v10", "https://api.onesignal.com/api/v10"),
        (f"{ONESIGNAL}/", "/api/v1/x", "https://onesignal.com/api/v1/x"),
        ("https://onesignal.com", "/api/v1/x", "https://onesignal.com/api/v1/x"),
        ("https://onesignal.com/", "/notifications", "https://api.onesignal.com/notifications"),
        ("http://127.0.0.1:9/proxy/", "/api/v1/x", "http://127.0.0.1:9/proxy/api/v1/x"),
        ("http://127.0.0.1:9", "/api/v1/notifications", "http://127.0.0.1:9/api/v1/notifications"),
    ],
)
def test_onesignal_answers_its_legacy_api_at_another_address(
    url: str, path: str, asked_at: str
) -> None:
    assert address(url, path) == asked_at
