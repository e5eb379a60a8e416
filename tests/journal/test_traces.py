"""What is told of somebody who was erased: once, and of nobody else."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator

import pytest

from bridge.journal import hashing
from bridge.journal.queries import schema
from bridge.journal.sqlite_erasures import ask
from bridge.journal.trace import Asked, Erased, read_traces
from tests.journal.making import NOW, entry

SALT = b"s" * 32
USER = hashing.user_hash(SALT, "default", "u1")
ASKED = Asked("u1", None, ["default"], ["web"], 20, labels=["anonymous_id"])


@pytest.fixture
def connection() -> Iterator[sqlite3.Connection]:
    """A journal in which two visitors were found to be one user."""
    one = sqlite3.connect(":memory:", isolation_level=None)
    one.executescript(schema())
    one.execute("INSERT INTO meta VALUES ('salt', ?)", (SALT,))
    for id_hash, name in ((11, "anon-1"), (12, "anon-2")):
        found = (id_hash, USER, "default", "anonymous_id", name, "u1", 1)
        one.execute("INSERT INTO identity VALUES (?, ?, ?, ?, ?, ?, ?)", found)
    yield one
    one.close()


def test_an_erasure_of_somebody_with_many_ids_is_told_once(connection: sqlite3.Connection) -> None:
    ask(connection, 5, entry("m5", user_hash=USER)._replace(erases_ms=NOW))
    assert read_traces(connection, ASKED).erased == [Erased("default", NOW, under_way=True)]


def test_who_only_has_an_id_that_was_erased_before_was_not(connection: sqlite3.Connection) -> None:
    connection.execute("INSERT INTO erased VALUES (11, 'default', 1, 'web', 5, 1000, 0, 2000)")
    assert read_traces(connection, ASKED).erased == []
