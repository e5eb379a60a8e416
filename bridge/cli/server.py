"""The HTTP server around a bridge, and the way it stops.

On SIGTERM: `/readyz` fails at once and no further call to OneSignal begins; requests go on being
accepted for two seconds, while the load balancer looks elsewhere; calls that are out get what is
left of `BRIDGE_DRAIN`. A second signal ends everything at once; nothing accepted is lost by it. SIGHUP reads
mappings and secrets again.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import signal
import socket
from collections.abc import Callable, Iterator
from functools import partial
from types import FrameType
from typing import Any

import uvicorn
from starlette.types import ASGIApp

from bridge.app import Bridge
from bridge.cli.connections import Connection, Room, more_files, most_connections
from bridge.errors import ConfigurationError, Finding
from bridge.telemetry import log

ACCEPT_SECONDS = 2.0
BROKEN_SECONDS = 0.3
_BACKLOG = 2048


def listen(host: str, port: int, *, variable: str = "BRIDGE_PORT") -> socket.socket:
    """A listening socket, or a message that says why not and which `variable` to change.

    Raises:
        ConfigurationError: the port is in use, or the address is not this machine's.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((host, port))
        listening.listen(_BACKLOG)
    except (OSError, OverflowError) as error:
        listening.close()
        raise ConfigurationError([_cannot_listen(host, port, variable, error)]) from None
    listening.setblocking(False)
    return listening


def _cannot_listen(host: str, port: int, variable: str, error: Exception) -> Finding:
    if isinstance(error, OSError) and error.errno == errno.EADDRINUSE:
        return Finding(
            code="port-in-use",
            message=f"something else is listening on {host}:{port}",
            hint=f"stop it, or choose another port: {variable}={port + 1 if port < 65_535 else 8080}",
        )
    return Finding(
        code="cannot-listen",
        message=f"cannot listen on {host}:{port}: {error}",
        hint="BRIDGE_HOST is an address of this machine: 127.0.0.1, or 0.0.0.0 for all of them",
    )


def configuration(app: ASGIApp, refused: Callable[[str], None] = lambda _: None) -> uvicorn.Config:
    """How `app` is served; `refused` is told why a connection is that has not brought a request."""
    room = Room(refused=refused, most=most_connections())
    http: Any = partial(Connection, room)
    return uvicorn.Config(
        app,
        http=http,
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,  # nothing here depends on who the sender's proxy says it is
        timeout_keep_alive=65,
        timeout_graceful_shutdown=3,
    )


class QuietServer(uvicorn.Server):
    """uvicorn without hands on the process's signals."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class Server:
    """Serves a bridge until it is told to stop: to everybody, and, on a port of its own, to who looks after it."""

    def __init__(self, bridge: Bridge) -> None:
        self._bridge = bridge
        more_files()
        apps = [bridge.app] if bridge.admin is None else [bridge.app, bridge.admin]
        self._http = [QuietServer(configuration(one, self._refused)) for one in apps]
        self._stop = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        # From here on, and so before anybody is told that it serves: a signal is not an accident.
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._signalled)
        signal.signal(signal.SIGHUP, self._hung_up)

    async def until_stopped(self, *listening: socket.socket) -> str | None:
        """Serve, `bridge.app` on the first and `bridge.admin` on the second; why it ended, when nobody asked for it."""
        serving = asyncio.gather(
            *(http.serve(sockets=[one]) for http, one in zip(self._http, listening, strict=True))
        )
        stop = self._loop.create_task(self._stop.wait())
        broken = self._bridge.journal.broken
        ended: set[asyncio.Future[Any]] = {serving, stop, broken}
        await asyncio.wait(ended, return_when=asyncio.FIRST_COMPLETED)
        if broken.done():
            log().critical(
                "journal.broken",
                reason=broken.result(),
                hint="start it again; if it refuses the database, segment-bridge salvage",
            )
            # Nothing is kept any more: who is in the middle of a request comes back to the next process.
            self._loop.call_later(BROKEN_SECONDS, self._hang_up)
        elif not serving.done():
            await self._drain()
        self._take_no_more()
        stop.cancel()
        await serving
        return broken.result() if broken.done() else None

    def _take_no_more(self) -> None:
        for http in self._http:
            http.should_exit = True

    def _hang_up(self) -> None:
        for http in self._http:
            http.force_exit = True

    def _refused(self, code: str) -> None:
        self._bridge.metrics.refused.labels("", code).inc()
        log().warning("connection.refused", reason=code)

    def _signalled(self, _number: int, _frame: FrameType | None) -> None:
        if self._stop.is_set():
            # At once means at once: nothing is cleaned up, and nothing needs to be.
            os._exit(1)
        # A handler of signal.signal runs between two bytecodes, anywhere; the loop wakes up for it.
        self._loop.call_soon_threadsafe(self._stop.set)

    def _hung_up(self, _number: int, _frame: FrameType | None) -> None:
        self._loop.call_soon_threadsafe(self._bridge.reloader.ask)

    async def _drain(self) -> None:
        bridge = self._bridge
        log().info("bridge.draining", seconds=bridge.settings.drain)
        bridge.drain()
        accept = min(ACCEPT_SECONDS, bridge.settings.drain / 2)
        calls = asyncio.get_running_loop().create_task(
            bridge.stop(max(0.0, bridge.settings.drain - accept))
        )
        await bridge.clock.sleep(accept)
        self._take_no_more()
        await calls
