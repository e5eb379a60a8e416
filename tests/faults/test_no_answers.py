"""Answers that are none, on real sockets: silence, and whatever else than an answer may come; and odd ones.

What is asked again is asked with the same bytes and the same key, and a push arrives once.
"""

from __future__ import annotations

import gzip
import tracemalloc

import pytest

from bridge.clock import SystemClock
from bridge.onesignal.client import DEADLINE_SECONDS
from bridge.onesignal.pool import ANSWER_LIMIT
from tests.faults.canary import person
from tests.faults.story import SALE, order, ping
from tests.faults.wire import (
    PIECE,
    Behaviour,
    Exchange,
    all_arrived_once,
    expect,
    http,
    name_of,
    settled,
    wire_to,
    wired,
)
from tests.faults.worlds import Inside
from tests.harness import track

# 16: nobody says what became of it ---------------------------------------------------------------


async def silence_when_done(exchange: Exchange) -> None:
    await exchange.perform()
    await exchange.until_gone()


async def test_what_was_done_without_an_answer_is_asked_again_and_done_once(
    inside: Inside,
) -> None:
    inside.people(3)
    expect(inside, "timeout")
    async with wire_to(inside.sandbox) as wire, wired(inside, wire, deadline=0.15) as here:
        for endpoint_class in ("write", "send"):
            wire.plan(endpoint_class, silence_when_done, times=6)
        await inside.post([order(number, f"m{number}") for number in range(3)])
        await all_arrived_once(inside, here, 3)
    assert len(wire.bodies["send"]) == 9
    assert len(set(wire.bodies["send"])) == 3
    assert len({push.notification_id for push in inside.sandbox.pushes}) == 3


async def test_a_shared_call_without_an_answer_is_made_again_as_it_was(inside: Inside) -> None:
    count = 20
    inside.people(count)
    inside.told.expect_line("send.failed", reason="timeout", members=count)
    inside.told.expect_metric("bridge_calls_total", http="timeout")
    async with (
        wire_to(inside.sandbox) as wire,
        wired(inside, wire, deadline=0.15, story=SALE) as here,
    ):
        wire.plan("send", silence_when_done, times=2)
        await inside.post([track("Sale", person(n), f"m{n}") for n in range(count)])
        await all_arrived_once(inside, here, count)
    assert len(wire.bodies["send"]) == 3
    assert len(set(wire.bodies["send"])) == 1


# 15: answers that are none -----------------------------------------------------------------------


async def drip(exchange: Exchange) -> None:
    """A byte at a time, each well within any time that one waits for a byte."""
    await exchange.read()
    clock = SystemClock()
    for byte in http("200 OK", b'{"id":"%s"}' % (b"1" * 500)):
        await exchange.send(bytes([byte]))
        await clock.sleep(0.01)


async def endless(exchange: Exchange) -> None:
    await exchange.read()
    await exchange.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    while True:
        await exchange.send(b"10000\r\n" + PIECE + b"\r\n")


async def a_hundred_megabytes(exchange: Exchange) -> None:
    await exchange.read()
    await exchange.send(b"HTTP/1.1 200 OK\r\nContent-Length: 104857600\r\n\r\n")
    for _ in range(1600):
        await exchange.send(PIECE)


async def endless_headers(exchange: Exchange) -> None:
    await exchange.read()
    await exchange.send(b"HTTP/1.1 200 OK\r\n")
    while True:
        await exchange.send(b"X-More: " + PIECE[:4000] + b"\r\n")


def saying(raw: bytes, name: str) -> Behaviour:
    async def say(exchange: Exchange) -> None:
        await exchange.read()
        await exchange.send(raw)

    say.__name__ = name
    return say


BOMB = gzip.compress(bytes(100_000_000))
HTML = b"<html><body>Welcome to the hotel's network</body></html>"
RUBBISH: list[tuple[Behaviour, str]] = [
    (drip, "timeout"),
    (endless, "not_json"),
    (a_hundred_megabytes, "not_json"),
    (endless_headers, "bad_answer"),
    (saying(http("200 OK", BOMB, "Content-Encoding: gzip"), "bomb"), "not_json"),
    (saying(http("200 OK", b'{"id": "5f6c', "Content-Type: application/json"), "half"), "not_json"),
    (saying(http("200 OK", HTML, "Content-Type: text/html"), "hotel"), "not_json"),
    (saying(b"220 mail.example ready\r\n\r\n", "mail"), "bad_answer"),
    *(
        (
            saying(http(f"{status} Moved", b"", "Location: /elsewhere"), str(status)),
            f"http_{status}",
        )
        for status in (301, 302, 303, 307, 308)
    ),
]


@pytest.mark.parametrize(
    ("behaviour", "reason"), RUBBISH, ids=[name_of(behaviour) for behaviour, _ in RUBBISH]
)
async def test_an_answer_that_is_none_is_bounded_and_asked_for_again(
    inside: Inside, behaviour: Behaviour, reason: str
) -> None:
    inside.people(1)
    inside.told.expect_line("update.failed", reason=reason)
    inside.told.expect_line("send.failed", reason=reason)
    counted = {"not_json": "200"}.get(reason, reason.removeprefix("http_"))
    inside.told.expect_metric("bridge_calls_total", http=counted)
    async with wire_to(inside.sandbox) as wire, wired(inside, wire, deadline=0.3) as here:
        for endpoint_class in ("write", "send"):
            wire.plan(endpoint_class, behaviour)
        await inside.post(order(0, "m1"))
        tracemalloc.start()
        try:
            await all_arrived_once(inside, here)
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    # Both ends of the wire are in this process.
    assert peak < 20 * ANSWER_LIMIT
    assert [len(bodies) for bodies in wire.bodies.values()] == [2, 2]
    assert len(set(wire.bodies["send"])) == 1


@pytest.mark.unchecked("it reads a constant")
def test_the_whole_of_an_answer_has_a_hundred_seconds_and_a_megabyte() -> None:
    assert (DEADLINE_SECONDS, ANSWER_LIMIT) == (100.0, 1_000_000)


NOBODY = b'{"id":"","errors":["All included players are not subscribed"]}'
PART = b'{"id":"5f6c3a52-3d0b-4f57-9d5e-1f0a6f5f7c11","errors":{"invalid_aliases":{"external_id":["%s"]}}}'
ALL = b'{"id":"5f6c3a52-3d0b-4f57-9d5e-1f0a6f5f7c11"}'


@pytest.mark.parametrize(
    ("body", "kind", "end"),
    [
        (NOBODY, "application/json", ("no_recipients", "not_subscribed")),
        (b'{"id":""}', "application/json", ("no_recipients", "not_subscribed")),
        (PART % person(0).encode(), "application/json", ("no_recipients", "not_subscribed")),
        (PART % b"somebody", "application/json", ("delivered", None)),
        (ALL, "text/plain", ("delivered", None)),
    ],
    ids=["errors", "empty id", "this member", "another member", "wrong content type"],
)
async def test_a_push_ends_as_the_answer_says(
    inside: Inside, body: bytes, kind: str, end: tuple[str, str | None]
) -> None:
    """JSON is JSON, whatever it is called; and who is not there is no failure."""
    inside.told.expect_nothing("an end like any other")
    async with wire_to(inside.sandbox) as wire, wired(inside, wire) as here:

        async def say(exchange: Exchange) -> None:
            await exchange.perform()
            await exchange.send(http("200 OK", body, f"Content-Type: {kind}"))

        wire.plan("send", say)
        await inside.post(ping(0, "m1"))
        await settled(here)
        assert [(status, why) for _, _, _, status, why in await here.outcomes()] == [end]
    assert len(wire.bodies["send"]) == 1
