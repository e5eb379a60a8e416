"""`backlog`: a million events wait, and OneSignal does not answer.

What it takes in memory, whether accepting slows down, how soon it is ready after a kill -9, how long the
pages of the console take, and how long a claim takes: a look at every lane, and the chains of the users
that were found. `tests.faults` holds these figures against what they may be.
"""

from __future__ import annotations

import asyncio
import os
import statistics
import tempfile
from pathlib import Path
from typing import Any

import httpx

from bridge.config import DEFAULT
from bridge.journal.records import LANES, LIVE
from bridge.journal.sqlite import open_sqlite
from tests.bench.console import PAGES, TOKEN, opened, visitor
from tests.bench.drain import UPDATES, entered, written
from tests.bench.people import batches, client, now, pending, post, resident_mb, wait
from tests.bench.processes import Served, bridge, nobody

EVENTS, PROBE = 1_000_000, 40_000
_CLAIMS, _USERS_A_CLAIM = 200, 40
_CALM_EVENTS = 200_000
"""So many for every second until what it does by itself, once it has started, is over."""


def backlog(seconds: float, rounds: int, connections: int | None) -> dict[str, Any]:
    """1,000,000 events, unless a shorter round is asked for."""
    del rounds, connections
    return measured(EVENTS, PROBE) if seconds >= 2.5 else measured(4_000, 1_000)


def measured(events: int, probe: int) -> dict[str, Any]:
    """So many events; accepting is measured over the first and the last `probe` of them."""
    figures: dict[str, Any] = {"events": events, "load_average_before": os.getloadavg()[0]}
    with tempfile.TemporaryDirectory(prefix="bridge-bench-") as folder, nobody() as onesignal:
        mapping, database = written(folder, UPDATES), Path(folder) / "bridge.db"
        with bridge(database, mapping, onesignal) as served:
            figures |= _fill(served, events, probe)
            figures["database_mb"] = round(database.stat().st_size / 1e6)
            served.kill()
        began = now()
        with (
            bridge(database, mapping, onesignal, BRIDGE_ADMIN_TOKEN=TOKEN) as served,
            client(served) as http,
        ):
            figures["ready_after_kill_s"] = round(_ready(http, began), 2)
            figures["pending_after_kill"] = pending(http)
            figures |= _pages(served, events)
            wait(events / _CALM_EVENTS)
            figures["rss_mb_after_restart"] = round(resident_mb(served.pid), 1)
        figures |= asyncio.run(_claims(database))
    return figures | {"load_average_after": os.getloadavg()[0]}


def _fill(served: Served, events: int, probe: int) -> dict[str, Any]:
    """Post them all; rates at the beginning and at the end, and memory when all are in."""
    marks = {0: now()}
    with client(served) as http:
        for count, some in enumerate(batches(entered(events)), 1):
            post(http, some)
            marks[count * len(some)] = now()
        wait(min(2.0, events / _CALM_EVENTS))
        memory = resident_mb(served.pid)
        left = pending(http)
    first, last = _rate(marks, 0, probe), _rate(marks, events - probe, events)
    return {
        "pending": left,
        "rss_mb": round(memory, 1),
        "accepted_per_second_when_empty": round(first),
        "accepted_per_second_when_full": round(last),
        "accept_ratio": round(last / first, 3),
    }


def _rate(marks: dict[int, float], start: int, end: int) -> float:
    return (end - start) / (marks[end] - marks[start])


def _ready(http: httpx.Client, began: float) -> float:
    while http.get("/readyz").status_code != 200:
        wait(0.02)
    return now() - began


def _pages(served: Served, events: int) -> dict[str, Any]:
    """Every page of the console, once each: whoever opens one has not opened it before."""
    with visitor(served) as http:
        taken = {
            page: 1000 * opened(http, page.replace("{seq}", str(events - 10))) for page in PAGES
        }
    slowest = max(taken, key=lambda page: taken[page])
    return {"slowest_page": f"/console{slowest}", "slowest_page_ms": round(taken[slowest], 1)}


async def _claims(database: Path) -> dict[str, Any]:
    """How long the journal takes to find work in all lanes, and to load it."""
    journal = open_sqlite(database)
    taken = []
    cursors = [0] * LANES
    try:
        for _ in range(_CLAIMS):
            began = now()
            heads = await journal.heads(
                range(LANES), app=DEFAULT, rank=LIVE, after=cursors, limit=1
            )
            found = [lane[0] for lane in heads if lane][:_USERS_A_CLAIM]
            await journal.chains([head.user_hash for head in found], limit=4)
            taken.append(1000 * (now() - began))
            cursors = [
                lane[0].seq if lane else cursor for lane, cursor in zip(heads, cursors, strict=True)
            ]
    finally:
        await journal.close()
    ordered = sorted(taken)
    return {
        "claim_p50_ms": round(statistics.median(ordered), 2),
        "claim_p99_ms": round(ordered[len(ordered) * 99 // 100], 2),
    }
