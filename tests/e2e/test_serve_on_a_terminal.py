"""`serve` on a terminal: a quiet line at its bottom, and logs that it does not break."""

from __future__ import annotations

import asyncio
import os
import pty
import re
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import orjson
import pytest

from tests.e2e.test_process import settings
from tests.harness import eventually, signed, track
from tests.processes import surrounding

pytestmark = pytest.mark.slow
CLEAR = "\r\x1b[2K"


class Terminal:
    """A terminal with a process in it."""

    def __init__(self, process: asyncio.subprocess.Process, ours: int) -> None:
        self.process = process
        self._ours = ours
        self._read = b""

    @property
    def text(self) -> str:
        """All that was written to it."""
        while True:
            try:
                part = os.read(self._ours, 65_536)
            except OSError:  # nothing more now, or nobody writes any more
                return self._read.decode()
            if not part:
                return self._read.decode()
            self._read += part

    @property
    def lines(self) -> list[str]:
        """What somebody sees; the last is where the cursor stands."""
        return [one.rpartition(CLEAR)[2] for one in self.text.replace("\r\n", "\n").split("\n")]

    async def showed(self, pattern: re.Pattern[str]) -> None:
        """Now or before."""

        async def look() -> bool | None:
            return True if pattern.search(self.text) else None

        await eventually(look, within=20)

    async def shows(self, text: str) -> None:
        async def look() -> bool | None:
            assert self.process.returncode is None, self.text
            return True if text in self.lines[-1] else None

        await eventually(look, within=20)


@asynccontextmanager
async def terminal(folder: Path, **environment: str) -> AsyncIterator[Terminal]:
    ours, theirs = pty.openpty()
    os.set_blocking(ours, False)
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "bridge", "serve", "--port", "0",
        cwd=folder, stdout=theirs, stderr=theirs,
        env=surrounding(settings(folder) | {"TERM": "xterm"} | environment),
    )  # fmt: skip
    os.close(theirs)
    try:
        yield Terminal(process, ours)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
        os.close(ours)


async def test_a_quiet_line_says_how_it_goes_and_breaks_no_log_line(tmp_path: Path) -> None:
    async with terminal(tmp_path) as seen:
        await seen.shows("events/s in")
        address = next(orjson.loads(one)["address"] for one in seen.lines if '"address"' in one)
        raw, headers = signed([track("Order Shipped", f"u{n}") for n in range(50)])
        async with httpx.AsyncClient(trust_env=False) as http:
            url = f"http://{address}/v1/segment/default"
            assert (await http.post(url, content=raw, headers=headers)).status_code == 200
            # A log line while the line stands.
            assert (
                await http.post(url, content=b"{}", headers={"x-signature": "00"})
            ).status_code == 401
        await seen.showed(re.compile(r"[1-9][0-9.]* events/s in"))
        seen.process.send_signal(signal.SIGINT)
        async with asyncio.timeout(15):
            assert await seen.process.wait() == 0
        *logged, last = seen.lines
        assert last == ""
        assert [orjson.loads(one)["event"] for one in logged][-1] == "bridge.stopped"


async def test_in_a_container_there_is_no_such_line(tmp_path: Path) -> None:
    async with terminal(tmp_path, BRIDGE_EPHEMERAL="yes") as seen:

        async def serves() -> bool | None:
            return True if "bridge.serving" in seen.text else None

        await eventually(serves, within=20)
        seen.process.send_signal(signal.SIGINT)
        async with asyncio.timeout(15):
            await seen.process.wait()
        assert CLEAR not in seen.text
