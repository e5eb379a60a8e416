"""What every test may ask for: a clock, a journal on a temporary file, a bridge with its sandbox."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from hypothesis import settings

from bridge.clock import ManualClock
from bridge.journal.sqlite import SqliteJournal, open_sqlite

# A single example's time says how busy the machine is; what has to be quick has a test that says so.
settings.register_profile("bridge", deadline=None)
settings.load_profile("bridge")


def pytest_report_header() -> str:
    return f"SQLite {sqlite3.sqlite_version}"


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
async def journal(tmp_path: Path) -> AsyncIterator[SqliteJournal]:
    opened = open_sqlite(tmp_path / "bridge.db")
    yield opened
    await opened.close()
