"""`console`: a million events stored, and people who look at them.

How long each page of the console takes, for how long the event loop is blocked meanwhile, and what
two pages a second cost those who post events: the rate and the p99 of accepting, with and without.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import sqlite3
import statistics
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import httpx
import orjson

from bridge.cli.demonstration import mapping_path
from bridge.clock import SystemClock
from bridge.journal.hashing import dedupe_key, user_hash
from bridge.journal.sqlite import open_sqlite
from tests.bench.events import SECRET
from tests.bench.load import Order
from tests.bench.people import now, wait
from tests.bench.processes import Load, Served, load, nobody, serving

EVENTS, PEOPLE = 1_000_000, 200_000
TOKEN = "the-token-of-the-bench"
_DEAD, _HELD, _RULES = 5_000, 20_000, 40
_HOURS = 30 * 24
PAGES = (
    "", "/overview", "/events", "/events?state=dead", "/events?name=Order+Shipped&state=skipped&reason=missing",
    "/events?name=Nothing", "/events?q=u7", "/events?q=m-{seq}", "/events/{seq}", "/people?user=u7", "/waiting",
    "/waiting/act?pile=held&act=release", "/waiting/act?pile=dead&act=replay&reason=http_400", "/try?event={seq}",
    "/mappings", "/audit",
)  # fmt: skip
_OPENED_EVERY = 0.5


def console(seconds: float, rounds: int, connections: int | None) -> dict[str, Any]:
    """1,000,000 events, unless a shorter round is asked for."""
    events = EVENTS if seconds >= 2.5 else 20_000
    figures: dict[str, Any] = {"events": events, "load_average_before": os.getloadavg()[0]}
    with tempfile.TemporaryDirectory(prefix="bridge-bench-") as name, nobody() as onesignal:
        folder = Path(name)
        began = now()
        fill(folder / "bridge.db", events)
        figures["filled_in_s"] = round(now() - began, 1)
        figures["database_mb"] = round((folder / "bridge.db").stat().st_size / 1e6)
        lag = folder / "lag"
        with served(folder / "bridge.db", onesignal, lag) as bridge, visitor(bridge) as http:
            pages = [page.replace("{seq}", str(events - 10)) for page in PAGES]
            figures |= _pages(http, pages, lag, rounds)
            with load() as generator:
                order = _order(bridge, seconds, connections or 32)
                figures |= _beside(generator, order, lambda: _opening(http, pages), lag, rounds)
    return figures | {"load_average_after": os.getloadavg()[0]}


# Opening pages -----------------------------------------------------------------------------------


@contextlib.contextmanager
def served(database: Path, onesignal: str, lag: Path) -> Iterator[Served]:
    with serving(
        "tests.bench.lagging",
        "serve",
        "--port",
        "0",
        BRIDGE_DATABASE_URL=f"sqlite:///{database}",
        BRIDGE_MAPPINGS=str(mapping_path()),
        BRIDGE_SEGMENT_SECRETS=SECRET.decode(),
        BRIDGE_ONESIGNAL_APP_ID="8a1b3c4d-0000-4000-8000-000000000001",
        BRIDGE_ONESIGNAL_API_KEY="os_v2_app_bench",
        BRIDGE_ONESIGNAL_URL=onesignal,
        BRIDGE_ADMIN_TOKEN=TOKEN,
        BRIDGE_LOG_FORMAT="json",
        BRIDGE_DRAIN="1",
        BENCH_LAG_FILE=str(lag),
    ) as bridge:
        yield bridge


@contextlib.contextmanager
def visitor(bridge: Served) -> Iterator[httpx.Client]:
    """Somebody who has signed in."""
    with httpx.Client(
        base_url=f"http://127.0.0.1:{bridge.port}", timeout=60, trust_env=False
    ) as http:
        csrf = re.search(r'name="csrf" value="([^"]+)"', http.get("/console/login").text)
        assert csrf is not None
        answer = http.post("/console/login", data={"csrf": csrf[1], "token": TOKEN})
        assert answer.status_code == 303, answer.text
        yield http


def _pages(http: httpx.Client, pages: list[str], lag: Path, rounds: int) -> dict[str, Any]:
    """The slowest and the usual time of each page, and for how long the loop was blocked."""
    wait(1.0)
    lag.write_text("")
    taken: dict[str, list[float]] = {page: [] for page in pages}
    for _ in range(max(3, rounds)):
        for page, times in taken.items():
            times.append(1000 * opened(http, page))
    wait(0.6)
    return {
        "page_ms": {f"/console{one}": round(statistics.median(t), 1) for one, t in taken.items()},
        "slowest_page_ms": round(max(max(times) for times in taken.values()), 1),
        "loop_blocked_ms": _longest(lag),
    }


def opened(http: httpx.Client, page: str) -> float:
    """Seconds until a page is there."""
    began = now()
    answer = http.get(f"/console{page}")
    if answer.status_code not in {200, 303}:
        raise SystemExit(f"the figures are worthless: {page} answered {answer.status_code}")
    return now() - began


def _longest(lag: Path) -> float:
    return max((float(line) for line in lag.read_text().split()), default=0.0)


# Accepting beside it -----------------------------------------------------------------------------


def _order(bridge: Served, seconds: float, connections: int) -> Order:
    return Order(
        port=bridge.port,
        connections=connections,
        seconds=seconds,
        batch=1,
        most=int(12_000 * seconds),
        unique=True,
        begins='{"accepted":1',
    )


def _beside(
    generator: Load,
    order: Order,
    opening: Callable[[], AbstractContextManager[None]],
    lag: Path,
    rounds: int,
) -> dict[str, Any]:
    """Rounds with and without somebody who opens pages take turns."""
    generator.perform(order)
    alone, beside = [], []
    lag.write_text("")
    for _ in range(rounds):
        alone.append(generator.perform(order))
        with opening():
            beside.append(generator.perform(order))
    rate = [
        two.requests_per_second / one.requests_per_second
        for one, two in zip(alone, beside, strict=True)
    ]
    p99 = [two.p99_ms / one.p99_ms for one, two in zip(alone, beside, strict=True)]
    return {
        "accept_per_second_alone": round(
            statistics.median(one.requests_per_second for one in alone)
        ),
        "accept_per_second_beside": round(
            statistics.median(one.requests_per_second for one in beside)
        ),
        "accept_rate_ratio": round(statistics.median(rate), 3),
        "accept_p99_ms_alone": round(statistics.median(one.p99_ms for one in alone), 2),
        "accept_p99_ms_beside": round(statistics.median(one.p99_ms for one in beside), 2),
        "accept_p99_ratio": round(statistics.median(p99), 2),
        "loop_blocked_ms_beside": _longest(lag),
    }


@contextlib.contextmanager
def _opening(http: httpx.Client, pages: list[str]) -> Iterator[None]:
    """Two pages a second, one after another, as long as the block lasts."""
    over = threading.Event()

    def opens() -> None:
        number = 0
        while not over.wait(_OPENED_EVERY):
            opened(http, pages[number % len(pages)])
            number += 1

    thread = threading.Thread(target=opens)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


# A million events --------------------------------------------------------------------------------


def fill(database: Path, events: int) -> None:
    """What a month leaves: most delivered, some skipped, some dead, held or waiting; and its counts."""
    asyncio.run(_create(database))
    with contextlib.closing(sqlite3.connect(database, isolation_level=None)) as connection:
        (salt,) = connection.execute("SELECT value FROM meta WHERE key = 'salt'").fetchone()
        for pragma in ("synchronous = OFF", "cache_size = -500000"):
            connection.execute(f"PRAGMA {pragma}")
        connection.execute("BEGIN")
        users = [user_hash(salt, "default", f"u{number}") for number in range(PEOPLE)]
        _events(connection, events, users)
        _tallies(connection)
        connection.execute("COMMIT")
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")


async def _create(database: Path) -> None:
    await open_sqlite(database).close()


def _events(connection: sqlite3.Connection, events: int, users: list[int]) -> None:
    start = SystemClock().now_ms() - events * 1000
    shapes = [_shape(number, events) for number in range(1, events + 1)]
    connection.executemany(
        "INSERT INTO event VALUES (?, 'default', 'default', ?, 'track', ?, ?, ?, ?, ?)",
        (
            (n, f"m-{n}", name, users[n % PEOPLE], start + n * 1000, start + n * 1000, _payload(n) if kept else None)
            for n, (name, kept, _, _) in enumerate(shapes, 1)
        ),
    )  # fmt: skip
    connection.executemany(
        "INSERT INTO dedupe VALUES (?, ?)",
        sorted((dedupe_key("default", f"m-{n}"), n) for n in range(1, events + 1)),
    )
    connection.executemany(
        "INSERT INTO outcome (seq, rule, operation, status, reason, at_ms) VALUES (?, ?, ?, ?, ?, ?)",
        (
            (n, "" if reason == "no_rule" else "order-shipped", "" if reason == "no_rule" else "send_notification", status, reason, start + n * 1000)
            for n, (_, _, status, reason) in enumerate(shapes, 1)
            if status != "held"
        ),
    )  # fmt: skip
    connection.executemany(
        "INSERT INTO history VALUES (?, ?)",
        sorted((users[n % PEOPLE], n) for n in range(1, events + 1)),
    )
    held = [n for n, one in enumerate(shapes, 1) if one[2] == "held"]
    columns = "key, seq, app, rule, operation, user_hash, person_hash, label, recipient, revision, state, hold, call_key, created_ms, key_ms"
    connection.executemany(
        f"INSERT INTO send ({columns}) VALUES (?, ?, 'default', 'order-shipped', 'send_notification', ?, ?, 'external_id', 'u', 'r', 'held', 'limit', ?, ?, ?)",
        ((f"k{n}", n, users[n % PEOPLE], users[n % PEOPLE], f"k{n}", start, start) for n in held),
    )
    dead = [n for n, one in enumerate(shapes, 1) if one[2] == "dead"]
    columns = "seq, rule, operation, source, app, message_id, name, user_hash, event_ms, reason, attempt, died_ms"
    connection.executemany(
        f"INSERT INTO dead ({columns}) VALUES (?, 'order-shipped', 'send_notification', 'default', 'default', ?, 'Order Shipped', ?, ?, 'http_400', 1, ?)",
        ((n, f"m-{n}", users[n % PEOPLE], start, start + n) for n in dead),
    )


def _shape(number: int, events: int) -> tuple[str, bool, str, str | None]:
    """Name, whether its content is kept, and what became of it."""
    if number % (events // _HELD or 1) == 0:
        return "Order Shipped", True, "held", None
    if number % (events // _DEAD or 1) == 1:
        return "Order Shipped", True, "dead", "http_400"
    match number % 10:
        case 0 | 1:
            return f"Page Seen {number % 60}", False, "skipped", "no_rule"
        case 2:
            return "Order Shipped", True, "skipped", "missing"
        case 3:
            return "Order Shipped", True, "no_recipients", "not_subscribed"
        case _:
            return "Order Shipped", True, "delivered", None


def _payload(number: int) -> bytes:
    """A kilobyte or so, as a shop's are."""
    return orjson.dumps(
        {
            "type": "track",
            "event": "Order Shipped",
            "messageId": f"m-{number}",
            "userId": f"u{number % PEOPLE}",
            "timestamp": "2027-01-15T08:00:00Z",
            "properties": {"order_id": f"A{number}", "carrier": "DHL", "products": [{"name": "Blue kettle", "sku": "K1"}] * 6},
            "context": {"library": {"name": "analytics.js"}, "page": {"url": "https://www.shop.example/" + "x" * 300}},
        }
    )  # fmt: skip


def _tallies(connection: sqlite3.Connection) -> None:
    hour = 3_600_000
    now_ms = SystemClock().now_ms() // hour * hour
    outcomes = (
        ("met", ""),
        ("delivered", ""),
        ("no_recipients", "not_subscribed"),
        ("skipped", "missing"),
    )
    connection.executemany(
        "INSERT INTO rule_tally VALUES (?, ?, 'send_notification', ?, ?, 5)",
        (
            (now_ms - back * hour, f"rule-{rule}", outcome, reason)
            for back in range(_HOURS)
            for rule in range(_RULES)
            for outcome, reason in outcomes
        ),
    )
    connection.executemany(
        "INSERT INTO traffic VALUES (?, ?, ?, 9)",
        (
            (now_ms - back * 60_000, what, label)
            for back in range(2880)
            for what, label in (("in", "default"), ("out", "send 200"), ("out", "write 202"), ("out", "send 500"), ("took", "2"), ("took", "3"), ("took", "5"))
        ),
    )  # fmt: skip
