"""Senders on real sockets: large, endless, slow, many, and in a hurry; and what others notice of them."""

from __future__ import annotations

import asyncio
import re
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from bridge.cli.connections import HEAD_BYTES, more_files
from bridge.clock import SystemClock
from tests.faults.canary import SECRET, person, trait
from tests.faults.impatient import SECONDS
from tests.faults.story import Event, profile
from tests.faults.worlds import Outside, Serving
from tests.harness import eventually, signature, signed, track

pytestmark = pytest.mark.slow

IMPATIENT = str(Path(__file__).with_name("impatient.py"))
MB = 1_000_000
UNTIL_CLOSED = 1000
_STATUS = re.compile(rb"HTTP/1\.1 (\d+) ")


class Peer:
    """A sender by hand."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self.sent = 0

    async def send(self, raw: bytes) -> bool:
        """Whether it could be sent."""
        try:
            self._writer.write(raw)
            await self._writer.drain()
        except ConnectionError:
            return False
        self.sent += len(raw)
        return True

    async def answers(self, count: int = 1) -> list[int]:
        """The statuses of so many answers, or of all until the other side closes."""
        heard = b""
        with suppress(ConnectionError):
            while len(_STATUS.findall(heard)) < count and (part := await self._read()):
                heard += part
        return [int(status) for status in _STATUS.findall(heard)]

    async def _read(self) -> bytes:
        return await self._reader.read(65_536)

    def close(self) -> None:
        self._writer.transport.abort()


@asynccontextmanager
async def peer(serving: Serving) -> AsyncIterator[Peer]:
    host, _, port = serving.url.removeprefix("http://").rpartition(":")
    made = Peer(*await asyncio.open_connection(host, int(port)))
    try:
        async with asyncio.timeout(20):
            yield made
    finally:
        made.close()


def request(headers: dict[str, str], body: bytes = b"") -> bytes:
    lines = ["POST /v1/segment HTTP/1.1", "Host: bridge"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode() + body


def whole(event: Event) -> bytes:
    raw, headers = signed(event, SECRET)
    return request(headers | {"Content-Length": str(len(raw))}, raw)


def unwanted(message_id: str, size: int) -> Event:
    """Somebody's event that no rule wants, of so many bytes or a little more."""
    properties = {"text": trait("x" * size)}
    return track("Looked", person(1), message_id, properties=properties)


def refused(outside: Outside, *reasons: str) -> None:
    for reason in reasons:
        outside.told.expect_line("request.refused", reason=reason)
        outside.told.expect_metric("bridge_refused_total", reason=reason)


async def test_what_is_large_is_taken_up_to_a_limit_that_counts_before_it_is_read(
    outside: Outside,
) -> None:
    refused(outside, "not-json", "body-too-large")
    await outside.people(2)
    async with outside.serving() as serving:
        sender = serving.sender
        empty = await sender.post_raw(b"", headers={"x-signature": signature(b"", SECRET)})
        assert empty is not None
        assert empty.status_code == 400
        for size in (32_000, 500_000):
            assert (await sender.must(unwanted(f"m{size}", size)))["accepted"] == 1
        batch = [unwanted(f"b{number}", 950) for number in range(4000)]
        assert len(signed(batch)[0]) > 4 * MB
        assert (await sender.must(batch))["accepted"] == 4000

        async with peer(serving) as announced:
            await announced.send(request({"Content-Length": "9000000"}))
            assert await announced.answers() == [413]
        large = await sender.post([unwanted(f"l{number}", 1000) for number in range(9000)])
        assert large is None or large.status_code == 413
        await sender.must(profile(1, "after"))
        await outside.settled()


def chunk(body: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(body), body)


async def test_chunks_are_a_body_and_without_an_end_they_are_not_read_for_ever(
    outside: Outside,
) -> None:
    refused(outside, "body-too-large")
    await outside.people(2)
    async with outside.serving() as serving:
        raw, headers = signed(profile(1, "m1"), SECRET)
        async with peer(serving) as sender:
            await sender.send(request(headers | {"Transfer-Encoding": "chunked"}))
            for start in range(0, len(raw), 20):
                await sender.send(chunk(raw[start : start + 20]))
            await sender.send(b"0\r\n\r\n")
            assert await sender.answers() == [200]
        async with peer(serving) as sender:
            await sender.send(request({"Transfer-Encoding": "chunked"}))
            answering = asyncio.ensure_future(sender.answers())
            while await sender.send(chunk(b" " * 65_536)):
                assert sender.sent < 100 * MB
            assert await answering == [413]
        await serving.sender.must(profile(1, "m2"))
        await outside.settled()


async def slow_head(sender: Peer) -> None:
    await drip(sender, request({"X-Text": "x" * 1000}))


async def slow_head_after_an_answer(sender: Peer) -> None:
    await sender.send(whole(profile(1, "kept")))
    await drip(sender, request({"X-Text": "x" * 1000}))


async def slow_lines(sender: Peer) -> None:
    """Empty lines before a request are none."""
    await drip(sender, b"\r\n" * 1000)


async def nothing(sender: Peer) -> None:
    """Not even a byte."""


async def slow_body(sender: Peer) -> None:
    await sender.send(request({"Content-Length": "1000"}))
    await drip(sender, b" " * 900)


async def no_body(sender: Peer) -> None:
    """All that announces it, and then nothing."""
    await sender.send(request({"Content-Length": "1000"}))


async def drip(sender: Peer, raw: bytes) -> None:
    clock = SystemClock()
    for byte in raw:
        if not await sender.send(bytes([byte])):
            return
        await clock.sleep(0.02)


async def test_whoever_is_slow_is_not_waited_for(outside: Outside) -> None:
    outside.told.expect_line("connection.refused", reason="head-too-slow")
    outside.told.expect_metric("bridge_refused_total", reason="head-too-slow")
    refused(outside, "body-too-slow")
    await outside.people(2)
    ways: dict[Callable[[Peer], Any], list[int]] = {
        slow_head: [408],
        slow_head_after_an_answer: [200, 408],
        slow_lines: [408],
        nothing: [],
        slow_body: [503],
        no_body: [],
    }
    async with outside.serving(IMPATIENT) as serving:
        answered = await asyncio.gather(*(_heard(serving, way) for way in ways))
        assert dict(zip(ways, answered, strict=True)) == ways
        await serving.sender.must(profile(1, "m1"))
        await outside.settled()


async def _heard(serving: Serving, way: Callable[[Peer], Any]) -> list[int]:
    """The statuses until it was closed, which has to be soon."""
    async with peer(serving) as sender, asyncio.timeout(6 * SECONDS):
        going = asyncio.ensure_future(way(sender))
        heard = await sender.answers(UNTIL_CLOSED)
        going.cancel()
        return heard


def one_endless_header() -> bytes:
    return b"x" * 4096


def endless_headers() -> bytes:
    return b"".join(b"X-Header: %d\r\n" % number for number in range(300))


@pytest.mark.parametrize("more", [one_endless_header, endless_headers])
async def test_headers_have_an_end(outside: Outside, more: Callable[[], bytes]) -> None:
    outside.told.expect_line("connection.refused", reason="head-too-large")
    outside.told.expect_metric("bridge_refused_total", reason="head-too-large")
    await outside.people(2)
    async with outside.serving() as serving:
        async with peer(serving) as sender:
            answering = asyncio.ensure_future(sender.answers())
            await sender.send(b"POST /v1/segment HTTP/1.1\r\nX-Bomb: ")
            while await sender.send(more()):
                assert sender.sent < 100 * HEAD_BYTES
            assert await answering in ([431], [])
        # Many that fit are no bomb.
        raw, headers = signed(profile(1, "m1"), SECRET)
        headers |= {f"X-Header-{number}": "x" * 50 for number in range(500)}
        answer = await serving.sender.post_raw(raw, headers=headers)
        assert answer is not None
        assert answer.status_code == 200
        await outside.settled()


async def test_requests_that_do_not_wait_for_answers_are_answered_in_their_order(
    outside: Outside,
) -> None:
    outside.told.expect_nothing("HTTP allows it")
    await outside.people(1)
    count = 200
    async with outside.serving() as serving, peer(serving) as sender:
        bad = request({"Content-Length": "2"}, b"{}")
        requests = [
            bad if number % 10 == 9 else whole(unwanted(f"m{number}", 10))
            for number in range(count)
        ]
        await sender.send(b"".join(requests))
        expected = [401 if number % 10 == 9 else 200 for number in range(count)]
        assert await sender.answers(count) == expected
        await serving.sender.must(profile(0, "m-last"))
        await outside.settled()


async def _took(serving: Serving, name: str, count: int) -> list[float]:
    """Seconds for each of so many posts, sorted."""
    clock, took = SystemClock(), []
    for number in range(count):
        started = clock.monotonic()
        await serving.sender.must(unwanted(f"{name}{number}", 500))
        took.append(clock.monotonic() - started)
    return sorted(took)


async def _others_do_not_notice(outside: Outside, count: int) -> None:
    """So many connections that do nothing, half of them within a head."""
    more_files()
    outside.told.expect_nothing("connections may be idle")
    await outside.people(2)
    async with outside.serving() as serving:
        host, _, port = serving.url.removeprefix("http://").rpartition(":")
        await _took(serving, "w", 50)
        before = await _took(serving, "b", 200)
        used = outside.used[-1].descriptors
        first = used[-1]
        # Outside the loop, which would be slower itself with so many to watch.
        peers = [socket.create_connection((host, int(port))) for _ in range(count)]
        for one in peers[::2]:
            one.sendall(b"POST /v1/segment HTTP/1.1\r\nHost: bridge\r\nX-Header: ")
        after = await _took(serving, "a", 200)
        for one in peers:
            one.close()

        async def are_closed() -> bool | None:
            return True if used[-1] <= first + 10 else None

        await eventually(are_closed, within=10)
        assert max(used) >= count, "they were there"
        # They are meant to be there, and gone by now.
        used[:] = [used[-1]]
    p99, median = round(len(before) * 0.99) - 1, len(before) // 2
    assert after[median] <= 2 * before[median]
    # What one scheduling of this machine takes is nobody's fault.
    assert after[p99] <= 2 * max(before[p99], 0.01)


async def test_others_do_not_notice_a_thousand_idle_connections(outside: Outside) -> None:
    await _others_do_not_notice(outside, 1000)


@pytest.mark.long
async def test_others_do_not_notice_ten_thousand_idle_connections(outside: Outside) -> None:
    await _others_do_not_notice(outside, 9800)
