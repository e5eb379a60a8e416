"""How much of a request is taken, held and unpacked: to the byte."""

from __future__ import annotations

import asyncio
import gzip
import os
import zlib

import pytest
from starlette.types import Message

from bridge.clock import ManualClock
from bridge.receive.body import (
    TOO_MUCH,
    Budget,
    Disconnected,
    Rejected,
    Share,
    declared_length,
    read,
    unpack,
)

BODY = b'{"a":1}'


def code(found: bytes | Rejected) -> str:
    return "taken" if isinstance(found, bytes) else found.code


@pytest.mark.parametrize(
    ("said", "length"),
    [
        (b"7", 7), (b"0", 0), (b"", None), (b"-1", None), (b"+1", None), (b"1.0", None), (b"7, 7", None),
        (b"\xb2", None), (b"9" * 15, 999_999_999_999_999), (b"9" * 16, None), (b"9" * 5000, None),
    ],
)  # fmt: skip
def test_a_length_is_a_number_or_nothing(said: bytes, length: int | None) -> None:
    assert declared_length({b"content-length": said}) == length
    assert declared_length({}) is None


@pytest.mark.parametrize("encoding", ["gzip", " GZIP ", "x-gzip", "deflate", "gzip,"])
def test_what_is_packed_is_unpacked_up_to_the_limit(encoding: str) -> None:
    pack = zlib.compress if encoding == "deflate" else gzip.compress
    for size, said in ((99, "taken"), (100, "taken"), (101, "body-too-large")):
        assert code(unpack(pack(b"x" * size), encoding, limit=100)) == said


@pytest.mark.parametrize("size", [10, 200_000])
def test_only_zeros_may_follow_what_is_packed(size: int) -> None:
    """A few bytes are one piece with what is packed; many are read in pieces of their own."""
    packed = gzip.compress(os.urandom(size))
    assert code(unpack(packed, "gzip", limit=1_000_000)) == "taken"
    for zeros in (1, 100_000):
        assert code(unpack(packed + b"\0" * zeros, "gzip", limit=1_000_000)) == "taken"
    for more in (b"x", b"\0" * 100_000 + b"x", gzip.compress(BODY)):
        assert code(unpack(packed + more, "gzip", limit=1_000_000)) == "not-gzip"
    assert code(unpack(packed[:-1], "gzip", limit=1_000_000)) == "not-gzip"


def test_what_many_requests_hold_is_what_there_is() -> None:
    budget = Budget(10)
    one, other = Share(budget), Share(budget)
    assert one.hold(4)
    assert one.hold(6)
    assert budget.left == 4
    assert not other.hold(5)
    assert other.hold(4)
    assert budget.left == 0
    assert not one.hold(7)
    assert one.hold(0)
    assert (budget.left, other.hold(10), budget.left) == (6, True, 0)


async def taken(*parts: bytes, limit: int = 10, room: int = 1000) -> bytes | Rejected:
    messages: list[Message] = [
        {"type": "http.request", "body": part, "more_body": True} for part in parts[:-1]
    ]
    messages.append({"type": "http.request", "body": parts[-1]})
    waiting = iter(messages)

    async def receive() -> Message:
        return next(waiting)

    return await read(receive, Share(Budget(room)), limit=limit, clock=ManualClock())


@pytest.mark.parametrize(
    "parts", [(b"0123456789",), (b"01234", b"56789"), (b"", b"0123456789", b"")]
)
async def test_a_body_may_have_as_many_bytes_as_are_allowed(parts: tuple[bytes, ...]) -> None:
    assert await taken(*parts) == b"0123456789"
    assert code(await taken(*parts, limit=9)) == "body-too-large"
    assert await taken(*parts, room=10) == b"0123456789"
    assert await taken(*parts, room=9) is TOO_MUCH


async def test_a_body_that_breaks_off_is_no_body() -> None:
    messages: list[Message] = [
        {"type": "http.request", "body": BODY, "more_body": True},
        {"type": "http.disconnect"},
    ]
    waiting = iter(messages)

    async def receive() -> Message:
        return next(waiting)

    with pytest.raises(Disconnected):
        await read(receive, Share(Budget(1000)), limit=100, clock=ManualClock())


async def test_who_is_too_slow_is_not_listened_to_any_more() -> None:
    left = asyncio.Event()
    clock = ManualClock()
    budget = Budget(1000)
    begun = iter([{"type": "http.request", "body": BODY, "more_body": True}])

    async def receive() -> Message:
        if (message := next(begun, None)) is not None:
            return message
        try:
            await asyncio.Event().wait()
        finally:
            left.set()
        raise AssertionError("nobody sets it")

    reading = asyncio.ensure_future(read(receive, Share(budget), limit=100, clock=clock))
    for _ in range(3):
        await asyncio.sleep(0)  # noqa: TID251 — lets it begin; no time passes
    clock.advance(29.9)
    assert not reading.done()
    clock.advance(0.2)
    assert code(await asyncio.wait_for(reading, 5)) == "body-too-slow"
    await asyncio.wait_for(left.wait(), 5)
