"""The processes of a benchmark: servers on free loopback ports, and the load; all end with it."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import queue
import re
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import orjson

from tests.bench.events import SECRET
from tests.bench.load import Order, Round

ROOT = Path(__file__).parents[2]
_START_SECONDS = 30.0
_STOP_SECONDS = 15.0
_ADDRESS = re.compile(rb"127\.0\.0\.1:(\d+)")


class Served:
    """A server in a process of its own."""

    def __init__(self, process: subprocess.Popen[bytes], port: int) -> None:
        self._process = process
        self.port = port

    @property
    def pid(self) -> int:
        return self._process.pid

    def kill(self) -> None:
        """As a power cut does; the process is gone when this returns."""
        self._process.kill()
        self._process.wait()

    def cpu_seconds(self) -> tuple[float, float]:
        """Processor time so far: of the first thread (the event loop's), and of all others (Linux)."""
        main = other = 0
        for task in Path(f"/proc/{self._process.pid}/task").iterdir():
            try:
                spent = int((task / "schedstat").read_text().split()[0])
            except OSError:
                continue  # A thread that has ended meanwhile; what it spent is lost.
            if task.name == str(self._process.pid):
                main += spent
            else:
                other += spent
        return main / 1e9, other / 1e9


@contextlib.contextmanager
def serving(*command: str, **environment: str) -> Iterator[Served]:
    """`python -m` something that says, in what it prints or logs, at which address it serves."""
    process = subprocess.Popen(
        [sys.executable, "-m", *command],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        cwd=ROOT,
        env=_environment() | environment,
    )
    assert process.stdout is not None
    found: queue.Queue[int] = queue.Queue()
    reader = threading.Thread(target=_listen, args=(process.stdout, found), daemon=True)
    reader.start()
    try:
        yield Served(process, found.get(timeout=_START_SECONDS))
    finally:
        process.terminate()
        try:
            process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        reader.join(_STOP_SECONDS)
        process.stdout.close()


def _environment() -> dict[str, str]:
    """Ours, without settings of a bridge that somebody happens to work with."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("BRIDGE_")}
    return kept | {"PYTHONPATH": str(ROOT)}


def _listen(log: IO[bytes], found: queue.Queue[int]) -> None:
    """Read a server's log to its end, so that it never waits for us."""
    for line in log:
        if address := _ADDRESS.search(line):
            found.put(int(address[1]))
        elif b"critical" in line or b"rror" in line:
            sys.stderr.buffer.write(line)


def bridge(
    database: Path, mapping: Path, onesignal: str, *, module: str = "bridge", **more: str
) -> contextlib.AbstractContextManager[Served]:
    """`segment-bridge serve`, as it comes, with this mapping; `module` may stand for it, `more` are settings."""
    settings = {
        "BRIDGE_DATABASE_URL": f"sqlite:///{database}",
        "BRIDGE_MAPPINGS": str(mapping),
        "BRIDGE_SEGMENT_SECRETS": SECRET.decode(),
        "BRIDGE_ONESIGNAL_APP_ID": "8a1b3c4d-0000-4000-8000-000000000001",
        "BRIDGE_ONESIGNAL_API_KEY": "os_v2_app_bench",
        "BRIDGE_ONESIGNAL_URL": onesignal,
        "BRIDGE_LOG_FORMAT": "json",
        "BRIDGE_DRAIN": "1",
    }
    return serving(module, "serve", "--port", "0", **settings | more)


@contextlib.contextmanager
def sandbox() -> Iterator[str]:
    with serving("bridge", "sandbox", "--port", "0") as onesignal:
        yield f"http://127.0.0.1:{onesignal.port}"


@contextlib.contextmanager
def receiver(writes_per_second: int = 0) -> Iterator[str]:
    """What only counts what arrives; 0 is no limit."""
    with serving("tests.bench.receiver", str(writes_per_second)) as onesignal:
        yield f"http://127.0.0.1:{onesignal.port}"


@contextlib.contextmanager
def nobody() -> Iterator[str]:
    """An address where nothing answers, and nothing will: its port is taken, and not listened on."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{taken.getsockname()[1]}"


class Load:
    """The load's process; `perform` waits for the end of a round."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process

    def perform(self, order: Order) -> Round:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(orjson.dumps(dataclasses.asdict(order)) + b"\n")
        self._process.stdin.flush()
        return Round(**orjson.loads(self._process.stdout.readline()))


@contextlib.contextmanager
def load() -> Iterator[Load]:
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.bench.load"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=ROOT,
        env=_environment(),
    )
    with process:
        try:
            yield Load(process)
        finally:
            process.terminate()
