"""Every statement finds its rows by its index, and costs the same, however much there is.

`tests/journal/test_query_plans.py` says which index each statement is to use, and looks with nothing and
with ten thousand events; here every table has a million rows.
"""

from __future__ import annotations

import sqlite3
from collections import defaultdict
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from bridge.clock import SystemClock
from bridge.journal.queries import queries
from bridge.journal.sqlite import SqliteJournal, open_sqlite
from tests.faults.filled import NOW, fill
from tests.journal.test_query_plans import COUNTS, PLANS, unindexed

pytestmark = pytest.mark.unchecked("nothing is delivered")

FEW, MANY = 10_000, 1_000_000
PAGE_SECONDS = 1.0
"""For whoever looks at what waits."""
_GROWS_BY = 1.5
"""Trees are a little deeper."""


def values_at(seq: int) -> dict[str, Any]:
    """What statements are asked with: about the event of this number, its user and its send."""
    found: defaultdict[str, Any] = defaultdict(int)
    found |= {
        "seq": seq, "id": seq, "user_hash": seq, "person_hash": seq, "app": "default", "rule": "rule0",
        "operation": "send_notification", "key": f"key{seq}", "call_key": f"key{seq}", "send_key": f"key{seq}",
        "audience": "vip", "once": 1, "lane": seq % 256, "rank": seq % 2, "after": seq, "last": seq + 100,
        "limit": 50, "tail": "[]", "seqs": f"[{seq}]", "keys": f'["key{seq}"]', "ids": None, "user": None,
        "reason": "limit", "since_ms": NOW + seq, "until_ms": NOW + seq + 100, "now_ms": NOW, "hold": "limit",
        "group_id": b"3", "day": 20_000, "source": "web", "at_ms": NOW, "before_ms": NOW,
    }  # fmt: skip
    return found


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("full") / "bridge.db"
    fill(path, MANY)
    return path


@pytest.fixture
async def journal(full: Path) -> AsyncIterator[SqliteJournal]:
    opened = open_sqlite(full)
    yield opened
    await opened.close()


async def steps(journal: SqliteJournal, name: str, seq: int) -> int:
    """Of SQLite's machine, for one statement that reads."""
    count = 0

    def step() -> int:
        nonlocal count
        count += 1
        return 0

    def read(connection: Any) -> None:
        connection.set_progress_handler(step, 1)
        try:
            connection.execute(queries()[name], values_at(seq)).fetchall()
        finally:
            connection.set_progress_handler(None, 1)

    await journal._read(read)
    return count


PAGES = {"dead_page", "held_some"}
"""By their index, and then past all that is not chosen: only a person asks so."""


def rows(name: str, values: dict[str, Any], connection: sqlite3.Connection) -> list[Any]:
    return connection.execute(queries()[name], values).fetchall()


def reads(name: str) -> bool:
    return queries()[name].lstrip().startswith(("SELECT", "WITH"))


@pytest.mark.slow
async def test_the_rows_of_the_test_are_such_that_statements_find_something(tmp_path: Path) -> None:
    fill(tmp_path / "bridge.db", 100)
    opened = open_sqlite(tmp_path / "bridge.db")
    counts = await opened.counts()
    await opened.close()
    assert (counts.pending, counts.dead, counts.held) == (125, 100, 25)


@pytest.mark.long
async def test_each_statement_uses_its_index_among_a_million_rows(journal: SqliteJournal) -> None:
    assert await unindexed(journal) == {}
    await journal._write(lambda connection: connection.execute("ANALYZE").fetchall())
    assert await unindexed(journal) == {}


@pytest.mark.long
async def test_a_statement_costs_the_same_among_a_million_rows(
    journal: SqliteJournal, tmp_path: Path
) -> None:
    fill(tmp_path / "few.db", FEW)
    small = open_sqlite(tmp_path / "few.db")
    try:
        dear = {}
        for name in filter(reads, PLANS.keys() - PAGES):
            few, many = await steps(small, name, FEW // 2), await steps(journal, name, MANY // 2)
            if many > max(few * _GROWS_BY, few + 100):
                dear[name] = few, many
        assert dear == {}
    finally:
        await small.close()


@pytest.mark.long
async def test_who_looks_at_a_million_that_wait_is_answered_within_a_second(
    journal: SqliteJournal,
) -> None:
    clock, slow = SystemClock(), dict[str, float]()
    everything = dict.fromkeys(("app", "rule", "reason", "since_ms", "until_ms"))
    values = values_at(MANY // 2) | everything | {"after": 0}
    for name in sorted(PAGES.union(COUNTS)):
        began = clock.monotonic()
        await journal._read(partial(rows, name, values))
        if (took := clock.monotonic() - began) > PAGE_SECONDS:
            slow[name] = round(took, 2)
    assert slow == {}
