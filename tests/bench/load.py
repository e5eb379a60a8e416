"""The load, in a process of its own: requests on N connections, each sent when the one before is answered.

Started once by a benchmark. Every line on standard input is an order (`Order`, as JSON); the answer
is a line with a `Round`. Requests are made and signed before the clock of a round starts, and what
answers is only looked at as far as needed: status, length, and the first letters of the body.
"""

from __future__ import annotations

import asyncio
import dataclasses
import gc
import itertools
import resource
import sys
import time
from collections.abc import Iterator
from typing import cast

import orjson
import uvloop

from tests.bench.events import requests

_GRACE_SECONDS = 15.0


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """One round: so many connections for so many seconds, at most `most` requests of `batch` events.

    `begins` is how the body of a good answer begins. Without `unique`, requests are used again when
    they have all been sent.
    """

    port: int
    connections: int
    seconds: float
    batch: int
    most: int
    unique: bool
    begins: str


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Round:
    """What came of an order; `answered` includes those that came after the end of the round."""

    requests_per_second: float
    p50_ms: float
    p99_ms: float
    slowest_ms: float
    answered: int
    wrong: int
    load_cpu: float
    """Of one core, while the round ran."""


class _Run:
    """What the connections of one round share."""

    def __init__(self, order: Order, waiting: Iterator[bytes]) -> None:
        self.order = order
        self.waiting = waiting
        self.begins = order.begins.encode()
        self.latencies: list[float] = []
        self.in_time = self.wrong = self.open = 0
        self.began = self.ends = time.perf_counter()
        self.over = asyncio.get_running_loop().create_future()

    def start(self, connections: list[_Connection]) -> None:
        self.open = len(connections)
        self.began = time.perf_counter()
        self.ends = self.began + self.order.seconds
        for connection in connections:
            connection.send()

    def closed(self) -> None:
        self.open -= 1
        if self.open == 0 and not self.over.done():
            self.over.set_result(None)


class _Connection(asyncio.Protocol):
    def __init__(self, run: _Run) -> None:
        self._run = run
        self._sent = 0.0
        self._part = b""
        self._transport: asyncio.WriteTransport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.WriteTransport", transport)

    def send(self) -> None:
        request = next(self._run.waiting, None)
        if request is None:
            self._run.ends = min(self._run.ends, time.perf_counter())
            self._run.closed()
            return
        self._sent = time.perf_counter()
        self._transport.write(request)

    def data_received(self, data: bytes) -> None:
        if self._part:
            data = self._part + data
        head = data.find(b"\r\n\r\n")
        at = data.find(b"content-length: ", 0, head)
        if head < 0 or len(data) < head + 4 + int(data[at + 16 : data.index(b"\r", at)]):
            self._part = data
            return
        self._part = b""
        self._answered(data, head + 4)

    def _answered(self, data: bytes, body: int) -> None:
        run, now = self._run, time.perf_counter()
        run.latencies.append(now - self._sent)
        if data[9:12] != b"200" or not data.startswith(run.begins, body):
            run.wrong += 1
        if now < run.ends:
            run.in_time += 1
            self.send()
        else:
            run.closed()

    def connection_lost(self, exc: Exception | None) -> None:
        if not self._run.over.done():
            self._run.over.set_exception(exc or ConnectionError("the server hung up"))

    def close(self) -> None:
        self._transport.close()


async def _perform(order: Order, waiting: Iterator[bytes]) -> Round:
    loop = asyncio.get_running_loop()
    run = _Run(order, waiting)
    connections = [
        (await loop.create_connection(lambda: _Connection(run), "127.0.0.1", order.port))[1]
        for _ in range(order.connections)
    ]
    cpu = _cpu_seconds()
    run.start(connections)
    await asyncio.wait_for(run.over, order.seconds + _GRACE_SECONDS)
    spent = (_cpu_seconds() - cpu) / (time.perf_counter() - run.began)
    for connection in connections:
        connection.close()
    return _summed(run, spent)


def _summed(run: _Run, load_cpu: float) -> Round:
    ordered = sorted(run.latencies)
    return Round(
        requests_per_second=run.in_time / (run.ends - run.began),
        p50_ms=1000 * ordered[len(ordered) // 2],
        p99_ms=1000 * ordered[len(ordered) * 99 // 100],
        slowest_ms=1000 * ordered[-1],
        answered=len(ordered),
        wrong=run.wrong,
        load_cpu=load_cpu,
    )


def _cpu_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def main() -> None:
    """Take orders until standard input ends."""
    gc.disable()
    first = 0
    for line in sys.stdin.buffer:
        order = Order(**orjson.loads(line))
        made = list(requests(first=first, count=order.most, batch=order.batch))
        first += order.most * order.batch
        waiting = iter(made) if order.unique else itertools.cycle(made)
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            result = runner.run(_perform(order, waiting))
        sys.stdout.buffer.write(orjson.dumps(dataclasses.asdict(result)) + b"\n")
        sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()
