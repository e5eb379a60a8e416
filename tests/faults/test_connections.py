"""The way to OneSignal, on real sockets: not there, not the right one, and cut.

Whatever becomes of a call, what is asked again is asked with the same bytes and the same key, and a
push arrives once.
"""

from __future__ import annotations

import socket
import ssl
from pathlib import Path
from typing import Any

import pytest

from tests.faults.story import order
from tests.faults.wire import (
    Behaviour,
    Exchange,
    Wire,
    all_arrived_once,
    expect,
    expect_no_connection,
    name_of,
    ordinary,
    settled,
    wire_to,
    wired,
)
from tests.faults.worlds import Inside
from tests.harness import Rig, eventually

CERTIFICATES = Path(__file__).parent / "certificates"


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
