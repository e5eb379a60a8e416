"""What lanes and chains read of a SQLite journal: who has work, and all that the work of a user needs.

They read on a thread of their own, so that no page that is not in memory stops the loop. For every row
that a statement gives, that thread has to wait for the interpreter, and the loop for the thread; so what
is read with every event is read of many users at once, and comes as one row: a text of JSON, in which
blobs are hexadecimal. A large payload is read by itself: it would stand there twice as long, and be read twice.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import orjson

from bridge.journal.queries import queries
from bridge.journal.records import Head, Loaded, Merge, OpenSend, Waiting

_NOTHING: frozenset[str] = frozenset()
_SEQ, _PAYLOAD = 0, 15
AT_ONCE = 64
"""Users that one statement is asked for: with more its answer would only be longer."""
LARGE = 4096
"""Bytes of a payload; with this the answer for 64 users of 50 events each is 30 MB at the most."""


def text_of(connection: sqlite3.Connection, query: str, values: Mapping[str, Any]) -> Any:
    """The answer of a query that is one text of JSON."""
    return orjson.loads(connection.execute(queries()[query], values).fetchone()[0])


def heads(
    connection: sqlite3.Connection,
    lanes: Sequence[int],
    *,
    app: str,
    rank: int,
    after: Sequence[int],
    limit: int,
) -> list[list[Head]]:
    """Of each lane the next pending events behind the cursor that goes with it."""
    asked = orjson.dumps(list(zip(lanes, after, strict=True))).decode()
    values = {"lanes": asked, "app": app, "rank": rank, "limit": limit}
    return [list(map(Head._make, some)) for some in text_of(connection, "lane_heads", values)]


def states(connection: sqlite3.Connection, users: Sequence[int]) -> dict[int, bytes]:
    """What was written for each of these users, where anything was."""
    return {
        user: bytes.fromhex(facts)
        for some in _parts(users)
        for user, facts in text_of(connection, "states", {"users": orjson.dumps(some).decode()})
    }


def chains(
    connection: sqlite3.Connection,
    tails: Mapping[int, Sequence[int]],
    limit: int,
    *,
    erasures: bool,
    linked: bool,
) -> dict[int, Loaded]:
    """What the chains of these users work with.

    Of each user `tails` has the seqs of the events in the tail. `erasures`, `linked`: somebody was, so it
    is asked who.
    """
    # One moment for all of it: an event that is erased meanwhile has its payload yet.
    connection.execute("BEGIN")
    try:
        rows = waiting(connection, tails, limit)
        # Of nobody who has nothing to do it is asked what was done before.
        known = states(connection, [user for user, some in rows.items() if some])
        loaded = {user: Loaded(some, known.get(user)) for user, some in rows.items()}
        if erasures or linked:
            for user, one in loaded.items():
                loaded[user] = _with_others(connection, user, one, erasures=erasures, linked=linked)
        return loaded
    finally:
        # A file that cannot be read has ended it, and that is what is to be heard.
        if connection.in_transaction:
            connection.execute("ROLLBACK")


def waiting(
    connection: sqlite3.Connection, tails: Mapping[int, Sequence[int]], limit: int
) -> dict[int, list[Waiting]]:
    """The pending events of these users, oldest seq first, of each at most so many."""
    found = (_found(connection, part, limit) for part in _parts(list(tails.items())))
    rows = (some for part in found for some in part)
    return {
        user: [_waiting(connection, row) for row in some]
        for user, some in zip(tails, rows, strict=True)
    }


def _parts(asked: Sequence[Any]) -> list[Sequence[Any]]:
    return [asked[start : start + AT_ONCE] for start in range(0, len(asked), AT_ONCE)]


def _found(
    connection: sqlite3.Connection, asked: Sequence[tuple[int, Sequence[int]]], limit: int
) -> list[list[list[Any]]]:
    values = {"users": orjson.dumps(asked).decode(), "limit": limit, "large": LARGE}
    found: list[list[list[Any]]] = text_of(connection, "chains", values)
    for row in (row for some in found for row in some):
        row[_PAYLOAD] = _payload(connection, row[_SEQ], row[_PAYLOAD])
    return found


def _payload(connection: sqlite3.Connection, seq: int, text: str | None) -> Any:
    if text is not None:
        return bytes.fromhex(text)
    return connection.execute(queries()["large_payload"], {"seq": seq}).fetchone()[0]


def beside(
    connection: sqlite3.Connection, user: int, tail: Sequence[int], limit: int, *, seq: int
) -> list[Waiting]:
    """A user's pending events, if there is any other than `seq`; mostly there is none."""
    if all(one == seq for one in tail):
        whose = {"user_hash": user, "seq": seq}
        if connection.execute(queries()["others"], whose).fetchone() is None:
            return []
    return waiting(connection, {user: tail}, limit)[user]


def _with_others(
    connection: sqlite3.Connection, user: int, loaded: Loaded, *, erasures: bool, linked: bool
) -> Loaded:
    """With what is left to do before all else: an erasure, and those who were found to be this user."""
    if not loaded.rows:
        return loaded
    if erasures:
        row = connection.execute(queries()["erasing"], {"user_hash": user}).fetchone()
        loaded = loaded._replace(erased_ms=None if row is None else row[0])
    values = {"person_hash": user}
    named = connection.execute(queries()["person_named"], values).fetchone() if linked else None
    if named is None:
        return loaded
    merges = merges_of(connection.execute(queries()["merges_of"], values))
    seqs = orjson.dumps([one.seq for one in merges if one.state != "moving"]).decode()
    found = connection.execute(queries()["chain_rows"], {"seqs": seqs, "user_hash": user})
    linking = [_waiting(connection, row) for row in found.fetchall()]
    return loaded._replace(merges=merges, linking=linking, external_id=named[0])


def merges_of(found: Iterable[tuple[Any, ...]]) -> list[Merge]:
    return [_merge(row) for row in found]


def _merge(row: tuple[Any, ...]) -> Merge:
    owed, detail, subscriptions = row[9:12]
    left = None if subscriptions is None else orjson.loads(subscriptions)
    return Merge._make((*row[:9], orjson.loads(owed), detail, left, *row[12:]))


def _waiting(connection: sqlite3.Connection, row: Sequence[Any]) -> Waiting:
    done, only, revived = row[8:11]
    if done == "[]" and only is None and revived == "[]":
        return Waiting._make((*row[:8], _NOTHING, None, _NOTHING, *row[11:], (), {}))
    return Waiting._make(
        (
            *row[:8],
            frozenset(orjson.loads(done)),
            None if only is None else frozenset(orjson.loads(only)),
            frozenset(orjson.loads(revived)),
            *row[11:],
            tuple(_open_sends(connection, row[0])),
            _generations(connection, row[0]),
        )
    )


def _open_sends(connection: sqlite3.Connection, seq: int) -> Iterator[OpenSend]:
    return map(OpenSend._make, connection.execute(queries()["open_sends"], {"seq": seq}))


def _generations(connection: sqlite3.Connection, seq: int) -> dict[str, int]:
    return dict(connection.execute(queries()["generations"], {"seq": seq}).fetchall())
