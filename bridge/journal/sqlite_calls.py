"""The log of calls in a SQLite journal: what was asked of OneSignal, and what it answered.

An attempt is no work of its own: it waits in memory for the next transaction, and whatever says what
became of it is asked for after it, so that both are on disk together. Nobody waits for the log, and
it stands in nobody's way: what could not be written twice is dropped.
"""

from __future__ import annotations

import sqlite3

import orjson

from bridge.journal import sqlite_rows as rows
from bridge.journal.queries import queries
from bridge.journal.records import Called

WAITING_BYTES = 1_000_000
"""Of what waits for a transaction; above this it gets one of its own."""
_ROW_BYTES = 500


class Calls:
    """Attempts that are not on disk yet."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._last: int = connection.execute(queries()["last_call"]).fetchone()[0]
        self._waiting: list[Called] = []
        self._written: list[Called] = []
        self._bytes = 0
        self._failed = False

    def __repr__(self) -> str:
        return f"<Calls: {len(self._waiting)} wait, {self._last} logged>"

    @property
    def are_many(self) -> bool:
        return self._bytes > WAITING_BYTES

    def add(self, called: Called) -> None:
        self._waiting.append(called)
        self._bytes += _ROW_BYTES + len(called.body or b"")

    def write(self, connection: sqlite3.Connection) -> None:
        """Part of a group's transaction, before all else: nothing in it has ended yet."""
        if not self._waiting:
            return
        self._written, self._waiting, self._bytes = self._waiting, [], 0
        first = self._last + 1
        self._last += len(self._written)
        _insert(connection, first, self._written)

    def keep(self) -> None:
        """The group was committed."""
        self._written.clear()
        self._failed = False

    def undo(self) -> None:
        """It was not: what it wrote is written once more, with the next."""
        if not self._failed:
            self._waiting[:0] = self._written
        self._written = []
        self._failed = True


def _insert(connection: sqlite3.Connection, first: int, calls: list[Called]) -> None:
    numbered, sends = [], []
    keys: set[str] = set()
    for id_, one in enumerate(calls, first):
        key = one.call_key
        if key is None:
            numbered.append((id_, one))
        elif key in keys or _was_called(connection, key):
            numbered.append((id_, one._replace(body=None)))
        else:
            keys.add(key)
            sends.append({"id": id_, "call_key": key})
            numbered.append((id_, one))
    rows.insert(connection, "append_call", ((id_, *one[:12]) for id_, one in numbered))
    members = ((seq, id_, one.other_hash) for id_, one in numbered for seq in one.seqs)
    rows.insert(connection, "append_call_member", members)
    for send in sends:
        connection.execute(queries()["append_members"], send)


def _was_called(connection: sqlite3.Connection, key: str) -> bool:
    found = connection.execute(queries()["was_called"], {"call_key": key})
    return found.fetchone() is not None


def drop(connection: sqlite3.Connection, before_ms: int, limit: int) -> int:
    """Forget calls that were made before, oldest first; how many rows, 0 when none is left."""
    values = {"before_ms": before_ms, "limit": limit}
    (last,) = connection.execute(queries()["calls_before"], values).fetchone()
    if last is None:
        return 0
    values["last"] = last
    members = connection.execute(queries()["forget_members_before"], values).rowcount
    return members + connection.execute(queries()["forget_calls_before"], values).rowcount


def seqs_of(connection: sqlite3.Connection, user_hash: int) -> list[int]:
    """Every event of a user that there is, in their order."""
    found = connection.execute(queries()["seqs_of_user"], {"user_hash": user_hash})
    return sorted(seq for (seq,) in found)


def forget(connection: sqlite3.Connection, user_hash: int) -> int:
    """Forget every call that a user's events made, or that was about the user; how many.

    While the events are there: by them the calls are found.
    """
    seqs = orjson.dumps(seqs_of(connection, user_hash)).decode()
    found = connection.execute(
        queries()["calls_of_user"], {"seqs": seqs, "user_hash": user_hash}
    ).fetchall()
    values = {"calls": orjson.dumps([call for (call,) in found]).decode()}
    connection.execute(queries()["forget_members"], values)
    return connection.execute(queries()["forget_calls"], values).rowcount
