"""`/livez`, `/readyz`, `/metrics`: is it alive, can it accept, what has it done.

OneSignal being down is not unready: events are kept, and that is what being ready means here.
"""

from __future__ import annotations

import hmac
import shutil
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from prometheus_client import generate_latest
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from bridge.clock import Clock
from bridge.journal import Journal
from bridge.journal.records import LANES, Counts
from bridge.telemetry import Metrics

MANY = 10_000
COUNT_SECONDS = 5.0


@dataclass(slots=True, kw_only=True)
class Health:
    journal: Journal
    clock: Clock
    metrics: Metrics
    database: Path
    metrics_token: bytes | None
    #: Why the bridge takes nothing new; None while it does.
    unready: Callable[[], str | None]
    #: Seconds that each gate is certainly held for, by its app and class.
    gates: Callable[[], dict[tuple[str, str], tuple[float, int]]]
    #: When each source was last heard of, in milliseconds since 1970; None: not since the start.
    sources: Callable[[], dict[str, int | None]]
    #: Users with work, by app and by what they wait for.
    users: Callable[[], dict[tuple[str, str], int]]
    #: When it was last counted what waits.
    _last: tuple[float, Counts | None] = (0.0, None)

    def probes(self) -> list[Route]:
        """For whoever sends requests here or elsewhere; they say nothing of anybody."""
        return [Route("/livez", self._livez), Route("/readyz", self._readyz)]

    def figures(self) -> list[Route]:
        return [Route("/metrics", self._metrics)]

    async def _livez(self, _: Request) -> Response:
        return PlainTextResponse("ok\n")

    async def _readyz(self, _: Request) -> Response:
        reason = self.unready()
        if reason is not None:
            return PlainTextResponse(f"{reason}\n", status_code=503)
        return PlainTextResponse("ok\n")

    async def _metrics(self, request: Request) -> Response:
        if self.metrics_token is not None:
            offered = request.headers.get("authorization", "").removeprefix("Bearer ").strip()
            if not hmac.compare_digest(offered.encode("latin-1", "replace"), self.metrics_token):
                return PlainTextResponse("the metrics token is missing or wrong\n", status_code=401)
        await self._look()
        return Response(generate_latest(self.metrics.registry), media_type="text/plain")

    async def _counted(self) -> Counts:
        """What waits; when that is much, as of some seconds ago: to count it takes as long as there is of it."""
        at, counts = self._last
        now = self.clock.monotonic()
        if counts is None or counts.pending < MANY or now - at >= COUNT_SECONDS:
            counts = await self.journal.counts()
            self._last = now, counts
        return counts

    async def _look(self) -> None:
        counts = await self._counted()
        metrics = self.metrics
        metrics.pending.set(counts.pending)
        age = 0 if counts.oldest_ms is None else self.clock.now_ms() - counts.oldest_ms
        metrics.oldest_pending.set(max(0, age) / 1000)
        metrics.disk_free.set(shutil.disk_usage(self.database.parent).free)
        for file, size in sizes(self.database).items():
            metrics.journal_bytes.labels(file).set(size)
        for labels, (seconds, state) in self.gates().items():
            metrics.gate_blocked.labels(*labels).set(seconds)
            metrics.gate_state.labels(*labels).set(state)
        metrics.lanes_owned.set(LANES)
        for source, last_ms in self.sources().items():
            if last_ms is not None:
                age_ms = max(0, self.clock.now_ms() - last_ms)
                metrics.last_event.labels(source).set(age_ms / 1000)
        await self._look_at_held()
        for labels, count in self.users().items():
            metrics.lanes_users.labels(*labels).set(count)

    async def _look_at_held(self) -> None:
        """A rule of which nothing is held any more has no figure."""
        held: Counter[str] = Counter()
        for _, rule, _, count in await self.journal.sends.held_counts():
            held[rule] += count
        self.metrics.held.clear()
        for rule, count in held.items():
            self.metrics.held.labels(rule).set(count)


def sizes(database: Path) -> dict[str, int]:
    """Bytes of the database, and of its log, which grows while nothing can be copied from it."""
    files = {"database": database, "log": database.with_name(database.name + "-wal")}
    return {name: path.stat().st_size for name, path in files.items() if path.exists()}
