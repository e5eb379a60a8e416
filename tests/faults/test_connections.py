"""The way to OneSignal, on real sockets: not there, not the right one, cut, slow, endless, full of rubbish.

Whatever becomes of a call, what is asked again is asked with the same bytes and the same key, and a
push arrives once.
"""

from __future__ import annotations

import gzip
import socket
import ssl
import tracemalloc
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from bridge.clock import SystemClock
from bridge.onesignal.client import CONNECT_SECONDS, DEADLINE_SECONDS
from bridge.onesignal.pool import ANSWER_LIMIT, Pool
from tests.faults.canary import person
from tests.faults.story import SALE, order, ping
from tests.faults.wire import (
    PIECE,
    Behaviour,
    Exchange,
    Wire,
    http,
    ordinary,
    settled,
    wire_to,
)
from tests.faults.worlds import Inside
from tests.harness import Rig, eventually, track

CERTIFICATES = Path(__file__).parent / "certificates"


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


# 14: no connection -------------------------------------------------------------------------------


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """What the resolver knows; any other name of `.test` is unknown to it."""
    known: dict[str, str] = {}
    real = socket.getaddrinfo

    def look_up(host: Any, port: Any, *rest: Any, **more: Any) -> Any:
        name = host.decode() if isinstance(host, bytes) else host
        if isinstance(name, str) and name.endswith(".test"):
            if name not in known:
                raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
            host = known[name]
        return real(host, port, *rest, **more)

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    return known


def connector_of(here: Rig) -> Any:
    """What makes the connections, and keeps them."""
    pool: Any = here.means.destination.client._way
    return pool._session.connector


def free_port() -> int:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port: int = unused.getsockname()[1]
        return port


async def failed(here: Rig) -> None:
    """Until an attempt has failed."""

    async def look() -> bool | None:
        await here.still()
        sql = "SELECT sum(attempt) FROM pending"
        attempts = await here.bridge.journal._read(lambda db: db.execute(sql).fetchone()[0])
        return True if attempts else None

    await eventually(look, within=10, every=0.002)


async def test_where_nobody_listens_it_is_tried_again(inside: Inside) -> None:
    inside.people(1)
    expect_no_connection(inside)
    wire = Wire(inside.sandbox, port=free_port())
    async with wired(inside, wire) as here:
        await inside.post(order(0, "m1"))
        await failed(here)
        await wire.listen()
        await all_arrived_once(inside, here)
        assert wire.open <= 2
    wire.hang_up()


async def test_a_name_that_nobody_knows_is_looked_up_again(
    inside: Inside, names: dict[str, str]
) -> None:
    inside.people(1)
    expect_no_connection(inside)
    async with (
        wire_to(inside.sandbox) as wire,
        wired(inside, wire, f"http://onesignal.test:{wire.port}") as here,
    ):
        await inside.post(order(0, "m1"))
        await failed(here)
        names["onesignal.test"] = "127.0.0.1"
        await all_arrived_once(inside, here)


async def test_a_name_that_moves_is_followed(inside: Inside, names: dict[str, str]) -> None:
    """What was open stays where it was while it lives; then the name is looked up again."""
    inside.people(2)
    inside.told.expect_line("update.failed", reason="connection_lost")
    inside.told.expect_metric("bridge_calls_total", http="connection_lost")
    names["onesignal.test"] = "127.0.0.1"
    async with (
        wire_to(inside.sandbox) as old,
        wire_to(inside.sandbox, host="::1", port=old.port) as new,
        wired(inside, new, f"http://onesignal.test:{old.port}") as here,
    ):
        await inside.post(order(0, "m0"))
        await all_arrived_once(inside, here)
        assert (old.made > 0, new.made) == (True, 0)
        names["onesignal.test"] = "::1"
        old.plan("write", reset)
        await inside.post(order(1, "m1"))
        await failed(here)
        old.hang_up()
        # The client believes a name for ten seconds; here they are over.
        connector_of(here).clear_dns_cache()
        await all_arrived_once(inside, here, 2)
        assert new.made > 0


def speaking_tls(certificate: str) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(CERTIFICATES / f"{certificate}.pem")
    return context


@pytest.mark.parametrize("certificate", ["expired", "another", "untrusted"])
async def test_a_server_that_cannot_prove_who_it_is_hears_nothing(
    inside: Inside, certificate: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    inside.people(1)
    expect_no_connection(inside)
    if certificate != "untrusted":
        monkeypatch.setenv("SSL_CERT_FILE", str(CERTIFICATES / "trusted.pem"))
    wire = Wire(inside.sandbox)
    tls = speaking_tls(certificate.replace("untrusted", "right"))
    await wire.listen(tls=tls)
    async with wired(inside, wire, f"https://127.0.0.1:{wire.port}") as here:
        await inside.post(order(0, "m1"))
        await failed(here)
        assert not wire.bodies
        if certificate == "untrusted":
            connector_of(here)._ssl.load_verify_locations(CERTIFICATES / "trusted.pem")
        tls.load_cert_chain(CERTIFICATES / "right.pem")
        await all_arrived_once(inside, here)
    wire.hang_up()


# 14: connections that break ----------------------------------------------------------------------


async def reset(exchange: Exchange) -> None:
    exchange.reset()


async def reset_when_read(exchange: Exchange) -> None:
    await exchange.read()
    exchange.reset()


async def reset_when_done(exchange: Exchange) -> None:
    await exchange.perform()
    exchange.reset()


async def reset_after_headers(exchange: Exchange) -> None:
    head, _, _ = (await exchange.perform()).partition(b"\r\n\r\n")
    await exchange.send(head + b"\r\n\r\n")
    exchange.reset()


async def reset_within_headers(exchange: Exchange) -> None:
    await exchange.send((await exchange.perform())[:25])
    exchange.reset()


async def close(exchange: Exchange) -> None:
    exchange.close()


async def close_when_done(exchange: Exchange) -> None:
    await exchange.perform()
    exchange.close()


async def close_within_body(exchange: Exchange) -> None:
    await exchange.send((await exchange.perform())[:-1])
    exchange.close()


async def close_after_the_answer(exchange: Exchange) -> None:
    """What keeps a connection open may close it at any time."""
    await exchange.send(await exchange.perform())
    exchange.close()


BREAKS: list[Behaviour] = [
    reset,
    reset_when_read,
    reset_when_done,
    reset_after_headers,
    reset_within_headers,
    close,
    close_when_done,
    close_within_body,
]


def name_of(behaviour: Any) -> str:
    return str(getattr(behaviour, "__name__", behaviour))


@pytest.mark.parametrize("behaviour", BREAKS, ids=name_of)
async def test_what_a_connection_breaks_under_is_asked_again_with_the_same_key(
    inside: Inside, behaviour: Behaviour
) -> None:
    inside.people(1)
    expect(inside, "connection_lost")
    async with wire_to(inside.sandbox) as wire, wired(inside, wire) as here:
        for endpoint_class in ("write", "send"):
            wire.plan(endpoint_class, behaviour, times=3)
        await inside.post(order(0, "m1"))
        await all_arrived_once(inside, here)
        assert wire.open <= 2
    for bodies in wire.bodies.values():
        assert len(set(bodies)) == 1


async def test_what_is_reset_before_it_is_read_is_asked_again(inside: Inside) -> None:
    inside.people(1)
    inside.told.expect_line("update.failed", reason="connection_lost")
    inside.told.expect_metric("bridge_calls_total", http="connection_lost")
    async with wire_to(inside.sandbox) as wire, wired(inside, wire) as here:
        wire.slams = 3
        await inside.post(order(0, "m1"))
        await all_arrived_once(inside, here)
        assert wire.made >= 4


async def test_a_connection_that_is_closed_after_each_answer_costs_no_attempt(
    inside: Inside,
) -> None:
    inside.people(3)
    inside.told.expect_nothing("nothing goes wrong: the next call makes a new connection")
    async with wire_to(inside.sandbox) as wire, wired(inside, wire) as here:
        for endpoint_class in ("write", "send"):
            wire.plan(endpoint_class, close_after_the_answer, times=6)
        for number in range(6):
            await inside.post(order(number % 3, f"m{number}"))
            await settled(here)
        await all_arrived_once(inside, here, 6)
    assert [len(bodies) for bodies in wire.bodies.values()] == [6, 6]


async def test_however_connections_end_there_are_not_more_and_more_of_them(inside: Inside) -> None:
    count, ways = 150, [*BREAKS, close_after_the_answer]
    inside.people(count)
    expect(inside, "connection_lost")
    async with wire_to(inside.sandbox) as wire, wired(inside, wire) as here:
        for number in range(2 * count):
            # Less than half of the calls, or they would not be made.
            behaviour = ways[number // 3 % len(ways)] if number % 3 == 0 else ordinary
            for endpoint_class in ("write", "send"):
                wire.plan(endpoint_class, behaviour)
        for start in range(0, count, 30):
            events = [order(number, f"m{number}") for number in range(start, start + 30)]
            await inside.post(events)
            await settled(here)
            assert wire.open <= 60
        await all_arrived_once(inside, here, count)


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
