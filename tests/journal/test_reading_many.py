"""What is read of many users at once is what was written of each, byte for byte, whatever it is."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given, strategies as st

from bridge.journal import sqlite_chains, sqlite_rows
from bridge.journal.queries import schema
from bridge.journal.records import Entry, Loaded, lane_of
from tests.journal.making import NOW, entry

texts = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=40)
users = st.integers(1, 2**63 - 1)


def opened() -> sqlite3.Connection:
    connection = sqlite3.connect(":memory:", isolation_level=None)
    connection.executescript(schema())
    return connection


@pytest.fixture
def connection() -> Iterator[sqlite3.Connection]:
    one = opened()
    yield one
    one.close()


def append(connection: sqlite3.Connection, *entries: Entry) -> None:
    sqlite_rows.execute(connection, sqlite_rows.event_statements(list(enumerate(entries, 1))))


def chains(
    connection: sqlite3.Connection, tails: dict[int, list[int]], limit: int = 50
) -> dict[int, Loaded]:
    return sqlite_chains.chains(connection, tails, limit, erasures=False, linked=False)


@given(message_id=texts, source=texts, payload=st.binary(max_size=99), user=users)
def test_an_event_is_read_as_it_was_heard(
    message_id: str, source: str, payload: bytes, user: int
) -> None:
    connection = opened()
    heard = entry(message_id, source=source, payload=payload, user_hash=user)
    append(connection, heard)
    (row,) = chains(connection, {user: [1]})[user].rows
    read = (row.message_id, row.source, row.payload, row.user_hash, row.event_ms)
    assert read == (message_id, source, payload, user, heard.event_ms)
    lane = lane_of(user)
    (found,) = sqlite_chains.heads(connection, [lane], app="default", rank=0, after=[0], limit=9)
    assert [(head.seq, head.user_hash) for head in found] == [(1, user)]
    connection.close()


@given(st.dictionaries(users, st.binary(max_size=99), max_size=9), users)
def test_what_is_known_of_users_is_read_as_it_was_written(
    facts: dict[int, bytes], stranger: int
) -> None:
    connection = opened()
    for user, blob in facts.items():
        sqlite_rows.keep_state(connection, user, blob, NOW)
    assert sqlite_chains.states(connection, [*facts, stranger]) == facts
    connection.close()


def test_each_user_has_its_own_events_and_not_more_than_asked_for(
    connection: sqlite3.Connection,
) -> None:
    append(connection, *(entry(f"m{n}", user_hash=n % 3) for n in range(1, 31)))
    # In the tail are events that are another's by now, and some that are no more.
    loaded = chains(connection, {0: [3, 6, 4], 5: [7], 2: [2, 5, 8, 11, 99]}, limit=3)
    assert {user: [row.seq for row in one.rows] for user, one in loaded.items()} == {
        0: [3, 6],
        5: [],
        2: [2, 5, 8],
    }


def test_each_lane_has_its_own_events_behind_its_own_cursor(
    connection: sqlite3.Connection,
) -> None:
    append(connection, *(entry(f"m{n}", user_hash=n % 2) for n in range(1, 11)))
    lanes = [lane_of(1), lane_of(0), 17]
    found = sqlite_chains.heads(connection, lanes, app="default", rank=0, after=[4, 0, 0], limit=2)
    assert [[head.seq for head in heads] for heads in found] == [[5, 7], [2, 4], []]


def test_a_large_payload_is_read_as_it_is_too(connection: sqlite3.Connection) -> None:
    sizes = [sqlite_chains.LARGE, sqlite_chains.LARGE + 1, 500_000, 0]
    append(connection, *(entry(f"m{n}", user_hash=n, payload=b"\xff" * n) for n in sizes))
    tails = {size: [seq] for seq, size in enumerate(sizes, 1)}
    loaded = chains(connection, tails)
    payloads = [row.payload for one in loaded.values() for row in one.rows]
    assert payloads == [b"\xff" * size for size in sizes]


def test_more_users_than_one_statement_is_asked_for_are_read_in_their_order(
    connection: sqlite3.Connection,
) -> None:
    users = range(1, 3 * sqlite_chains.AT_ONCE)
    append(connection, *(entry(f"m{user}", user_hash=user) for user in users))
    for user in users:
        sqlite_rows.keep_state(connection, user, str(user).encode(), NOW)
    loaded = chains(connection, {user: [user] for user in reversed(users)})
    assert [one.rows[0].seq for one in loaded.values()] == list(reversed(users))
    assert all(one.state == str(user).encode() for user, one in loaded.items())


def test_what_is_erased_while_it_is_read_is_read_as_it_was(tmp_path: Path) -> None:
    file = tmp_path / "bridge.db"
    with (
        closing(sqlite3.connect(file, isolation_level=None)) as writing,
        closing(sqlite3.connect(file, isolation_level=None)) as reading,
    ):
        writing.execute("PRAGMA journal_mode = WAL")
        writing.executescript(schema())
        payload = b"x" * (sqlite_chains.LARGE + 1)
        append(writing, entry("m1", user_hash=1, payload=payload))

        def erase(statement: str) -> None:
            if statement.startswith("SELECT payload"):
                writing.execute("DELETE FROM pending")
                writing.execute("DELETE FROM event")

        reading.set_trace_callback(erase)
        assert chains(reading, {1: [1]})[1].rows[0].payload == payload
        assert chains(reading, {1: [1]})[1].rows == []
