"""A bridge that lives and dies as often as a schedule says, between a Segment and a OneSignal that stay.

A crash is what a kill -9 leaves behind: at that very moment the database is copied as it is, what is
asked of OneSignal from then on does not arrive, and what the dying process answers is not heard.
The next life begins with the copy.
"""

from __future__ import annotations

import random
import shutil
import sqlite3
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import httpx
import orjson
from pydantic import SecretStr

from bridge.app import Bridge, running
from bridge.config import DEFAULT, Config, of_settings
from bridge.journal.sqlite_file import create
from bridge.mapping.rules import Mapping
from bridge.sandbox import Sandbox, create_sandbox
from tests.faults.orders.asgi import Answered, ask
from tests.faults.orders.loop import Loop, LoopClock
from tests.harness import settings_of, signed, with_sources

TOKEN = "let-me-in"
SOURCES = (DEFAULT, "other")
_LATENCIES = (0.0, 0.0, 0.005, 0.05, 0.3, 2.0)
_SALT = bytes(range(32))


def template(folder: Path) -> Path:
    """An empty journal in which the same user is the same hash every time."""
    path = folder / "empty.db"
    create(path)
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE meta SET value = ? WHERE key = 'salt'", (_SALT,))
    connection.close()
    return path


class Wire(httpx.AsyncBaseTransport):
    """The way to OneSignal: it takes its time, and ends with the process that uses it."""

    def __init__(self, world: World, number: int) -> None:
        self._world = world
        self._number = number

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        await self._pass(request)
        path, headers = request.url.raw_path.decode(), lowered(request.headers.raw)
        try:
            answer = await ask(
                self._world.onesignal, request.method, path, headers, await request.aread()
            )
        except ConnectionResetError as error:
            raise httpx.ReadError(str(error), request=request) from error
        finally:
            await self._pass(request)
        return httpx.Response(
            answer.status, headers=answer.headers, stream=httpx.ByteStream(answer.body)
        )

    async def _pass(self, request: httpx.Request) -> None:
        self._world.step()
        await self._world.clock.sleep(self._world.draw.choice(_LATENCIES))
        if self._world.life != self._number:
            raise httpx.ConnectError("nobody is there any more", request=request)
        self._world.step()


def lowered(headers: list[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    return [(name.lower(), value) for name, value in headers]


class World:
    """What there is beside the bridge, and the bridge that lives now."""

    def __init__(
        self, loop: Loop, draw: random.Random, folder: Path, empty: Path, mapping: Mapping
    ) -> None:
        self.clock = LoopClock(loop)
        self.draw = draw
        self.onesignal = create_sandbox(clock=self.clock)
        self.sandbox: Sandbox = self.onesignal.state.sandbox
        self.mapping = mapping
        #: Counts the processes; a number that is not the current one is a dead process's.
        self.life = 0
        self.crashes = self.lives = 0
        self.database = folder / "0.db"
        self.bridge: Bridge
        self._folder = folder
        self._steps_left: int | None = None
        self._over: AbstractAsyncContextManager[Bridge] | None = None
        shutil.copyfile(empty, self.database)
        loop.step = self.step

    # Lives -----------------------------------------------------------------------------------------

    async def start(self) -> None:
        self.lives += 1
        config = self._config()
        mappings = dict.fromkeys(config.sources, self.mapping)
        self._over = running(config, mappings, clock=self.clock, transport=Wire(self, self.life))
        self.bridge = await self._over.__aenter__()
        self.bridge.means[DEFAULT].roll = self.draw.random

    def _config(self) -> Config:
        settings = settings_of(self.database, admin_token=SecretStr(TOKEN))
        return with_sources(of_settings(settings), SOURCES)

    async def stop(self) -> None:
        assert self._over is not None
        await self._over.__aexit__(None, None, None)

    async def restart(self) -> None:
        """Ended in an orderly way, or by a crash that has happened already."""
        self.spare()
        await self.stop()
        await self.start()

    def crash_after(self, steps: int) -> None:
        """Let the process end after so many more pieces of work of the journal's, or calls."""
        self._steps_left = steps

    def spare(self) -> None:
        """Let it live."""
        self._steps_left = None

    def step(self) -> None:
        if self._steps_left is None:
            return
        self._steps_left -= 1
        if self._steps_left <= 0:
            self.crash()

    def crash(self) -> None:
        """Now."""
        self.spare()
        self.life += 1
        self.crashes += 1
        copy = self._folder / f"{self.life}.db"
        for suffix in ("", "-wal"):
            kept = self.database.with_name(self.database.name + suffix)
            if kept.exists():
                shutil.copyfile(kept, copy.with_name(copy.name + suffix))
        self.database = copy

    @property
    def is_dead(self) -> bool:
        """The process has crashed, and none has followed it."""
        return self.bridge.journal.path != self.database

    # Segment, and people -----------------------------------------------------------------------------

    async def post(self, source: str, body: Any) -> bool:
        """Whether somebody answered 200."""
        raw, headers = signed(body)
        answer = await self._asked(f"/v1/segment/{source}", headers, raw)
        return answer is not None and answer.status == 200

    async def ask(self, path: str, body: Any) -> Any:
        """What the API says; None when nobody is there to say it."""
        headers = {"authorization": f"Bearer {TOKEN}"}
        answer = await self._asked(f"/api/v1/{path}", headers, orjson.dumps(body))
        return None if answer is None else orjson.loads(answer.body)

    async def _asked(self, path: str, headers: dict[str, str], body: bytes) -> Answered | None:
        life = self.life
        if self.is_dead:
            return None
        raw = [(name.encode(), value.encode()) for name, value in headers.items()]
        answer = await ask(self.bridge.app, "POST", path, raw, body)
        return answer if life == self.life else None

    async def rows(self, sql: str) -> list[Any]:
        def read(connection: Any) -> list[Any]:
            found: list[Any] = connection.execute(sql).fetchall()
            return found

        return await self.bridge.journal._read(read)
