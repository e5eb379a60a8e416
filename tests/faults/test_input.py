"""What a request may hold: bombs, rubbish, and what no parser expects."""

from __future__ import annotations

import gzip
import json
import random
import zlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, Self

import orjson
import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from bridge.clock import SystemClock
from tests.e2e.test_webhook_at_random import CODES, MAPPING as ODD, elements
from tests.faults.canary import person
from tests.faults.story import SHOP, order, profile
from tests.faults.worlds import Inside, Outside, Worlds
from tests.harness import track

MB = 1 << 20
UNSIGNED: dict[str, Any] = {"segment_secrets": (), "segment_unsigned": "allow"}
ANY = replace(SHOP, owes=None, tags=None)
"""Of events that nobody can foresee only what holds for all."""


def refused(world: Inside | Outside, *reasons: str) -> None:
    for reason in reasons:
        world.told.expect_line("request.refused", reason=reason)
        world.told.expect_metric("bridge_refused_total", reason=reason)


# 26: packed --------------------------------------------------------------------------------------


def bomb(size: int) -> bytes:
    """So many bytes of gzip, or a little more, that unpack to a thousand times as many."""
    packer = zlib.compressobj(9, wbits=31)
    first = packer.compress(bytes(MB)) + packer.flush(zlib.Z_FULL_FLUSH)
    again = packer.compress(bytes(MB)) + packer.flush(zlib.Z_FULL_FLUSH)
    return first + again * (size // len(again))


class Gauge:
    """What a process uses for what happens within the block."""

    def __init__(self, pid: int) -> None:
        self._folder = Path(f"/proc/{pid}")
        self.cpu_ms = 0.0
        self.memory = 0

    def __enter__(self) -> Self:
        # The peak is forgotten.
        (self._folder / "clear_refs").write_text("5")
        self._before = self._cpu(), self._peak()
        return self

    def __exit__(self, *_: object) -> None:
        self.cpu_ms = self._cpu() - self._before[0]
        self.memory = self._peak() - self._before[1]

    def _cpu(self) -> float:
        tasks = (self._folder / "task").iterdir()
        return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks) / 1e6

    def _peak(self) -> int:
        lines = (self._folder / "status").read_text().splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM"))


@pytest.mark.slow
async def test_a_bomb_is_refused_for_little_time_and_memory(outside: Outside) -> None:
    """Eight gigabytes in eight megabytes, and ten in ten; nobody has signed them."""
    refused(outside, "body-too-large")
    await outside.people(1)
    packed, more = bomb(7_900_000), bomb(10_000_000)
    assert len(packed) < 8_000_000
    headers = {"content-encoding": "gzip"}
    async with outside.serving() as serving:
        # Whatever a process does for the first time.
        await serving.sender.must(profile(0, "m1"))
        await serving.sender.post_raw(bomb(1_000_000), headers=headers)
        for raw in (packed, more):
            with Gauge(serving.pid) as used:
                answer = await serving.sender.post_raw(raw, headers=headers)
            assert answer is not None
            assert answer.status_code == 413
            assert used.cpu_ms < 100
            assert used.memory < 20_000_000
        await outside.settled()


EVENT = orjson.dumps(profile(0, "m1"))


@pytest.mark.parametrize(
    ("body", "encoding", "status", "reason"),
    [
        (gzip.compress(gzip.compress(EVENT)), "gzip", 400, "not-json"),
        (gzip.compress(gzip.compress(EVENT)), "gzip, gzip", 415, "encoding-unsupported"),
        (gzip.compress(bomb(100_000)), "gzip", 400, "not-json"),
        (EVENT, "gzip", 400, "not-gzip"),
        (gzip.compress(EVENT), "", 400, "not-json"),
        (gzip.compress(EVENT)[:-5], "gzip", 400, "not-gzip"),
        (EVENT, "br", 415, "encoding-unsupported"),
        (gzip.compress(EVENT), "x" * 1000, 415, "encoding-unsupported"),
    ],
    ids=[
        "twice", "twice and said so", "a bomb in it", "not at all", "not said", "half", "other",
        "long name",
    ],
)  # fmt: skip
async def test_what_is_not_packed_as_it_says_is_refused(
    inside: Inside, body: bytes, encoding: str, status: int, reason: str
) -> None:
    refused(inside, reason)
    async with inside.bridge(ANY, **UNSIGNED):
        answer = await inside.sender.post_raw(body, headers={"content-encoding": encoding})
        assert answer is not None
        assert answer.status_code == status
        await inside.post(profile(1, "m2"))


# 27: rubbish -------------------------------------------------------------------------------------


def said(**more: Any) -> bytes:
    """An event with these fields instead of its own."""
    return json.dumps(profile(0, "m-odd") | more).encode()


def put(value: bytes) -> bytes:
    """An event with this text as a trait's value."""
    return said(traits={"tier": 0}).replace(b'"tier": 0', b'"tier": ' + value)


UNPARSABLE = {
    "nothing": b"",
    "half": b'{"type":',
    "more": EVENT + EVENT,
    "a comma": b"[" + EVENT + b",]",
    "single quotes": b"{'type':'track'}",
    "a NUL": b"\0",
    "a NUL in a string": put(b'"\0"'),
    "not UTF-8": put(b'"\xff"'),
    "UTF-16": EVENT.decode().encode("utf-16"),
    "deep and open": b"[" * 10_000,
    "a number": b"1",
    "a string": b'"track"',
    "null": b"null",
}
ODDITIES = {
    "NaN": put(b"NaN"),
    "infinite": put(b"-Infinity"),
    "1e999": put(b"1e999"),
    "a huge integer": put(b"9" * 5000),
    "a huge integer as an id": said(userId=10**400),
    "the same key twice": put(b'"a","tier":"b"'),
    "lone surrogates": put(rb'"\ud800 \udfff"'),
    "an escaped NUL": put(rb'"a\u0000b"'),
    "as an id": said(userId="a\0b"),
    "10,000 deep": put(b"[" * 10_000 + b"]" * 10_000),
    "objects 10,000 deep": put(b'{"a":' * 10_000 + b"1" + b"}" * 10_000),
    "100,000 keys": said(traits={f"key{number}": number for number in range(100_000)}),
    "100,000 elements": said(traits={"tier": list(range(100_000))}),
    "a key of 100,000 letters": said(traits={"k" * 100_000: 1}),
    "a list for a type": said(type=["identify"]),
    "a number for a type": said(type=5),
    "a type that nobody knows": said(type="teleport"),
    "an object for an id": said(userId={"id": 1}),
    "true for an id": said(userId=True),
    "a list for traits": said(traits=[1, 2]),
    "a string for context": said(context="web"),
    "a list for a timestamp": said(timestamp=[2026]),
    "a timestamp of another age": said(timestamp="0001-01-01T00:00:00Z"),
    "a timestamp of no calendar": said(timestamp="2026-13-45T99:99:99Z"),
    "an object for a messageId": said(messageId={"a": 1}),
    "a number for a messageId": said(messageId=7),
    "no messageId": said(messageId=None),
    "a messageId of 10,000 letters": said(messageId="m" * 10_000),
    "no ids": said(userId=None, anonymousId=None),
    "an empty object": b"{}",
    "an empty list": b"[]",
    "lists in a list": b"[[],[[]]]",
    "a name of 100,000 letters": said(type="track", event="e" * 100_000),
}


@pytest.mark.parametrize("name", UNPARSABLE)
async def test_what_no_parser_reads_is_a_400(inside: Inside, name: str) -> None:
    inside.told.expect_line("request.refused")
    inside.told.expect_metric("bridge_accept_total", result="400")
    async with inside.bridge(ANY, **UNSIGNED):
        answer = await inside.sender.post_raw(UNPARSABLE[name], headers={})
        assert answer is not None
        assert answer.status_code == 400
        await inside.post(order(1, "m-good"))


async def _taken(inside: Inside, raw: bytes) -> dict[str, Any]:
    answer = await inside.sender.post_raw(raw, headers={})
    assert answer is not None
    assert answer.status_code == 200, answer.text
    result: dict[str, Any] = answer.json()
    return result


@pytest.mark.parametrize("name", ODDITIES)
async def test_what_a_parser_reads_is_kept_and_ends_somewhere(inside: Inside, name: str) -> None:
    inside.people(2)
    inside.told.expect_nothing("it is skipped, dead or delivered, which is told of each event")
    async with inside.bridge(ANY, **UNSIGNED) as here:
        await _taken(inside, ODDITIES[name])
        await inside.post(order(1, "m-good"))
        await here.settle()
        kept = await here.bridge.journal._read(
            lambda db: db.execute("SELECT count(*) FROM event").fetchone()[0]
        )
        assert kept == {"an empty list": 1, "lists in a list": 3}.get(name, 2)
    assert [push.text for push in inside.sandbox.pushes] == ["m-good"]


ELEMENTS = {
    "half": 400,
    "not UTF-8": 400,
    "null": 200,
    "NaN": 200,
    "a huge integer": 200,
    "lone surrogates": 200,
    "10,000 deep": 200,
    "100,000 keys": 200,
    "a list for a type": 200,
    "an empty object": 200,
}


@pytest.mark.parametrize("name", ELEMENTS)
async def test_one_bad_element_does_not_sink_the_other_999(inside: Inside, name: str) -> None:
    """Unless the whole cannot be read: then nothing is kept, so that all of it can come again."""
    bad, status = {**UNPARSABLE, **ODDITIES}[name], ELEMENTS[name]
    good = [orjson.dumps(track("Looked", person(n % 9), f"m{n}")) for n in range(999)]
    inside.told.expect_nothing("it is told of that element, or of the request")
    async with inside.bridge(ANY, **UNSIGNED) as here:
        raw = b"[" + b",".join([*good[:500], bad, *good[500:]]) + b"]"
        answer = await inside.sender.post_raw(raw, headers={})
        assert answer is not None
        assert answer.status_code == status
        sql = "SELECT count(*) FROM event"
        kept = await here.bridge.journal._read(lambda db: db.execute(sql).fetchone()[0])
        assert kept == (1000 if status == 200 else 0)
        await inside.post(order(1, "m-good"))


bodies = st.binary(max_size=60) | (elements | st.lists(elements, max_size=5)).map(
    lambda value: json.dumps(value).encode()
)


@pytest.mark.slow
@given(posted=st.lists(bodies, min_size=1, max_size=25))
@settings(
    max_examples=20,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
async def test_whatever_is_posted_is_refused_or_ends_somewhere(
    worlds: Worlds, posted: list[bytes]
) -> None:
    await _survives(worlds, posted)


@pytest.mark.long
@given(posted=st.lists(bodies, min_size=1, max_size=50))
@settings(
    max_examples=1000,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
async def test_a_thousand_times_whatever_is_posted(worlds: Worlds, posted: list[bytes]) -> None:
    await _survives(worlds, posted)


async def _survives(worlds: Worlds, posted: list[bytes]) -> None:
    async with worlds.inside(f"n{worlds.opened}") as world:
        world.told.expect_nothing("whatever it is, it is told of each")
        async with world.bridge(replace(ANY, mapping=ODD), **UNSIGNED) as here:
            for raw in posted:
                answer = await world.sender.post_raw(raw, headers={})
                assert answer is not None
                assert answer.status_code in CODES, answer.text
            await world.post(profile(1, "m-good"))
            await here.settle()


MUTATED_SECONDS = 600


def mutations(draw: random.Random) -> Iterator[bytes]:
    """Real events with bytes changed, cut out, doubled and moved, without end."""
    batch = orjson.dumps([profile(1, "m2"), track("Looked", person(2), "m3")])
    corpus = [EVENT, batch, *(one for one in ODDITIES.values() if len(one) < 1000)]
    while True:
        raw = bytearray(draw.choice(corpus))
        for _ in range(draw.randrange(1, 6)):
            at, size = draw.randrange(len(raw) + 1), draw.randrange(9)
            part = bytes(raw[at : at + size])
            raw[at : at + size] = draw.choice(
                [b"", part * 2, draw.randbytes(size), b'"', b"{", b"]", b"\\u0000", b"1e400"]
            )
        yield bytes(raw)


@pytest.mark.long
async def test_ten_minutes_of_mutated_events(inside: Inside) -> None:
    """The seed of a failure is in its message."""
    seed = random.randrange(2**32)
    clock, made = SystemClock(), mutations(random.Random(seed))
    inside.people(3)
    inside.told.expect_nothing("whatever it is, it is told of each")
    until = clock.monotonic() + MUTATED_SECONDS
    async with inside.bridge(ANY, **UNSIGNED) as here:
        while clock.monotonic() < until:
            for _ in range(500):
                raw = next(made)
                answer = await inside.sender.post_raw(raw, headers={})
                assert answer is not None
                assert answer.status_code in CODES, (seed, raw, answer.text)
            await here.settle(within=12 * 3600)
        await inside.post(profile(1, "m-good"))
        await here.settle()
