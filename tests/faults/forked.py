"""Bridges that begin at once: each is a fork of a process that has loaded everything already.

Loading takes most of what a start costs, and most of these tests begin a bridge only to see it end. What
a fork has is its own from then on, so it is killed, stopped and broken like any process. A test that is
about starting, or about what stands between a process and its files, starts a real one.

::

    the test ── argv, environment, folder ──> the nursery ── fork ──> a bridge
             <── its pid ────────────────────            <── exit ──
                  its status, in a file <────────────────
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.harness import eventually
from tests.processes import Command, output_in, surrounding

SCRIPT = Path(__file__).with_name("nursery.py")
ROOT = Path(__file__).parents[2]


@dataclass(slots=True)
class Forked:
    """A bridge that was forked; as `asyncio.subprocess.Process`, as far as tests go."""

    pid: int
    status: Path

    @property
    def returncode(self) -> int | None:
        with contextlib.suppress(FileNotFoundError):
            return int(self.status.read_text())
        return None

    def send_signal(self, number: int) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, number)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    async def wait(self) -> int:
        async def ended() -> int | None:
            return self.returncode

        return await eventually(ended, within=60, every=0.01)


class Nursery:
    """The process that forks; started when the first bridge is asked for."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None

    def fork(
        self, folder: Path, arguments: list[str], output: Path, environment: dict[str, str]
    ) -> Forked:
        if self._process is None:
            self._process = subprocess.Popen(
                [sys.executable, str(SCRIPT)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                env={"PYTHONPATH": str(ROOT)},
            )
        status = output.with_name(f"{output.name}.status")
        asked = [str(folder), arguments, str(output), environment, str(status)]
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(asked).encode() + b"\n")
        self._process.stdin.flush()
        return Forked(int(self._process.stdout.readline()), status)

    def close(self) -> None:
        if self._process is not None:
            self._process.communicate()


@asynccontextmanager
async def forked(
    nursery: Nursery, folder: Path, arguments: list[str], environment: dict[str, str]
) -> AsyncIterator[Command]:
    """`segment-bridge` with these arguments, in this folder; killed at the end of the block."""
    output = output_in(folder)
    output.touch()
    process = nursery.fork(folder, arguments, output, surrounding(environment))
    try:
        yield Command(process, output)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
