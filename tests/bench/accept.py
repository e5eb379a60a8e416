"""`accept` and `accept-batch`: webhooks answered when they are on disk, beside a bare endpoint.

Rounds of the bridge and of the control take turns, so that a machine which is now faster, now slower,
favours neither; every figure is the median over rounds. Afterwards the database is asked whether all
that was acknowledged is there, as work to do.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import sqlite3
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from bridge.cli.demonstration import mapping_path
from tests.bench.control import ANSWER_OF_BATCH, ANSWER_OF_ONE
from tests.bench.events import Template, now, order_shipped, requests
from tests.bench.load import Order, Round
from tests.bench.processes import Load, Served, bridge, load, nobody, sandbox, serving

_UP_TO_REQUESTS = 12_000
"""Requests a second that are made ready, of one event; of batches `_UP_TO_EVENTS` in all."""
_UP_TO_EVENTS = 50_000
_FSYNCS = 100
_WARMING_EVENTS, _WARMING_SECONDS = 6000, 5.0


class Shape(NamedTuple):
    """How the events come."""

    batch: int
    connections: int
    rounds: int
    seconds: float

    @property
    def answer(self) -> str:
        return ANSWER_OF_ONE if self.batch == 1 else ANSWER_OF_BATCH.format(self.batch)

    def order(self, port: int, *, unique: bool, begins: str) -> Order:
        up_to = _UP_TO_REQUESTS if self.batch == 1 else _UP_TO_EVENTS / self.batch
        return Order(
            port=port,
            connections=self.connections,
            seconds=self.seconds,
            batch=self.batch,
            most=max(self.connections * 2, int(up_to * self.seconds)),
            unique=unique,
            begins=begins,
        )


@dataclasses.dataclass(slots=True)
class Side:
    """The rounds against one server, and the processor time that its threads took in them."""

    rounds: list[Round] = dataclasses.field(default_factory=list)
    loop_us: list[float] = dataclasses.field(default_factory=list)
    other_us: list[float] = dataclasses.field(default_factory=list)

    def take(self, perform: Callable[[Order], Round], served: Served, order: Order) -> None:
        before = served.cpu_seconds()
        result = perform(order)
        after = served.cpu_seconds()
        self.rounds.append(result)
        self.loop_us.append(1e6 * (after[0] - before[0]) / result.answered)
        self.other_us.append(1e6 * (after[1] - before[1]) / result.answered)

    def median(self, name: str) -> float:
        return float(statistics.median(getattr(one, name) for one in self.rounds))

    def figures(self) -> dict[str, Any]:
        """Rates and latencies as medians over rounds; CPU in microseconds a request."""
        return {
            "requests_per_second": round(self.median("requests_per_second"), 1),
            "p50_ms": round(self.median("p50_ms"), 2),
            "p99_ms": round(self.median("p99_ms"), 2),
            "slowest_ms": round(max(one.slowest_ms for one in self.rounds), 2),
            "load_cpu": round(self.median("load_cpu"), 2),
            "event_loop_us": round(statistics.median(self.loop_us), 1),
            "other_threads_us": round(statistics.median(self.other_us), 1),
        }


def accept(seconds: float, rounds: int, connections: int | None) -> dict[str, Any]:
    """Single events: `ratio` to the control, without and with a OneSignal that answers."""
    shape = Shape(1, connections or 64, rounds, seconds)
    with tempfile.TemporaryDirectory(prefix="bridge-bench-") as folder, load() as generator:
        figures = _start(shape, Path(folder))
        with nobody() as onesignal:
            figures |= _compared(shape, Path(folder) / "alone.db", onesignal, generator)
        figures["load_ceiling_per_second"] = _ceiling(shape, generator)
        with sandbox() as onesignal:
            fewer = shape._replace(rounds=max(1, rounds // 2))
            delivering = _compared(fewer, Path(folder) / "delivering.db", onesignal, generator)
        figures["while_delivering"] = {
            name: delivering[name] for name in ("ratio", "bridge", "control", "pending")
        }
    return figures | {"load_average_after": os.getloadavg()[0]}


def accept_batch(seconds: float, rounds: int, connections: int | None) -> dict[str, Any]:
    """Batches of a hundred: `events_per_second`."""
    shape = Shape(100, connections or 8, rounds, seconds)
    with tempfile.TemporaryDirectory(prefix="bridge-bench-") as folder, load() as generator:
        figures = _start(shape, Path(folder))
        with nobody() as onesignal:
            figures |= _compared(shape, Path(folder) / "alone.db", onesignal, generator)
        figures["load_ceiling_per_second"] = _ceiling(shape, generator)
    per_second = figures["bridge"]["requests_per_second"] * shape.batch
    return figures | {
        "events_per_second": round(per_second),
        "event_loop_us_per_event": round(figures["bridge"]["event_loop_us"] / shape.batch, 2),
        "other_threads_us_per_event": round(figures["bridge"]["other_threads_us"] / shape.batch, 2),
        "load_average_after": os.getloadavg()[0],
    }


def _start(shape: Shape, folder: Path) -> dict[str, Any]:
    return {
        "event_bytes": Template(order_shipped(now())).size,
        **shape._asdict(),
        "cores": os.cpu_count(),
        "load_average_before": os.getloadavg()[0],
        "fsync_ms": round(_fsync_ms(folder), 3),
    }


def _fsync_ms(folder: Path) -> float:
    """What one small append costs on this disk until it is there; the median of a hundred."""
    taken = []
    with (folder / "fsync").open("wb", buffering=0) as file:
        for _ in range(_FSYNCS):
            file.write(b"x" * 4096)
            began = time.perf_counter()
            os.fdatasync(file.fileno())
            taken.append(time.perf_counter() - began)
    return 1000 * statistics.median(taken)


def _compared(shape: Shape, database: Path, onesignal: str, generator: Load) -> dict[str, Any]:
    here, there = Side(), Side()
    with (
        bridge(database, mapping_path(), onesignal) as ours,
        serving("tests.bench.control", "endpoint", shape.answer, "0") as control,
    ):
        begins = shape.answer[: shape.answer.index(",")]
        mine = shape.order(ours.port, unique=True, begins=begins)
        theirs = shape.order(control.port, unique=False, begins=begins)
        warm = generator.perform(_warming(mine)).answered
        generator.perform(_warming(theirs))
        for _ in range(shape.rounds):
            there.take(generator.perform, control, theirs)
            here.take(generator.perform, ours, mine)
    events = shape.batch * (warm + sum(one.answered for one in here.rounds))
    pending = _check(database, here, there, events)
    ratio = statistics.median(
        one.requests_per_second / other.requests_per_second
        for one, other in zip(here.rounds, there.rounds, strict=True)
    )
    return {
        "ratio": round(ratio, 3),
        "bridge": here.figures(),
        "control": there.figures(),
        "events": events,
        "pending": pending,
    }


def _warming(order: Order) -> Order:
    """So many events that delivery holds in memory what it can, and from then on only waits."""
    most = max(order.connections * 2, _WARMING_EVENTS // order.batch)
    return dataclasses.replace(order, seconds=_WARMING_SECONDS, most=most, unique=True)


def _check(database: Path, here: Side, there: Side, events: int) -> int:
    """How many events are left to do.

    Raises:
        SystemExit: an answer was not what it should be, or an acknowledged event is not there.
    """
    wrong = sum(one.wrong for one in (*here.rounds, *there.rounds))
    with contextlib.closing(sqlite3.connect(f"{database.as_uri()}?mode=ro", uri=True)) as journal:
        kept: int = journal.execute("SELECT count(*) FROM event").fetchone()[0]
        pending: int = journal.execute("SELECT count(*) FROM pending").fetchone()[0]
        done: int = journal.execute("SELECT count(DISTINCT seq) FROM outcome").fetchone()[0]
    if wrong or kept != events or not events <= pending + done:
        raise SystemExit(
            f"the figures are worthless: {wrong} wrong answers, {events} events acknowledged,"
            f" {kept} kept, {pending} pending, {done} with an outcome"
        )
    return pending


def _ceiling(shape: Shape, generator: Load) -> float:
    """Requests a second that the load reaches when answers cost next to nothing."""
    one = next(requests(first=0, count=1, batch=shape.batch))
    with serving("tests.bench.control", "echo", shape.answer, str(len(one))) as echo:
        begins = shape.answer[: shape.answer.index(",")]
        result = generator.perform(shape.order(echo.port, unique=False, begins=begins))
    if result.wrong:
        raise SystemExit(f"the ceiling is worthless: {result.wrong} wrong answers")
    return round(result.requests_per_second)
