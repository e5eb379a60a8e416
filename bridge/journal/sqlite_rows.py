"""The rows of a SQLite journal: what a transaction reads and writes, statement by statement.

These run inside a transaction of the writer's, or on the reader. What many keys are asked for, or deleted
by, is one statement, because what a statement costs before it does anything is more than a row does.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cache
from itertools import chain as chained
from typing import Any

import orjson

from bridge import failpoints
from bridge.journal.erasures import Gone
from bridge.journal.queries import queries
from bridge.journal.records import (
    Dead,
    Death,
    End,
    Entry,
    Learnt,
    NewSend,
    Send,
    lane_of,
)
from bridge.journal.sqlite_chains import states

Insert = Callable[[sqlite3.Connection, str, Iterable[tuple[Any, ...]]], None]
"""One of the two ways in which rows are inserted."""
Statement = tuple[str, list[Any]]
"""A statement with what stands in it, ready to be executed."""

_CHUNKS = (*range(1024, 64, -64), 64, 32, 16, 8, 4, 2, 1)
"""Rows a statement; a few sizes only, so that each stays prepared."""


def insert(connection: sqlite3.Connection, query: str, rows: Iterable[tuple[Any, ...]]) -> None:
    """Insert rows one by one: nothing is faster for the loop's thread, from which nobody takes the interpreter."""
    waiting = list(rows)
    if waiting:
        connection.executemany(_many(query, 1, len(waiting[0])), waiting)


def insert_beside(
    connection: sqlite3.Connection, query: str, rows: Iterable[tuple[Any, ...]]
) -> None:
    """Insert many rows with few statements, on a thread that has to wait for the interpreter after each."""
    waiting = list(rows)
    position = 0
    while left := len(waiting) - position:
        size = next(size for size in _CHUNKS if size <= left) if left > 1 else 1
        values = list(chained.from_iterable(waiting[position : position + size]))
        connection.execute(_many(query, size, len(waiting[0])), values)
        position += size


@cache
def _many(query: str, rows: int, columns: int) -> str:
    # The same text object each time: SQLite's module finds the prepared statement by its hash.
    row = f"({','.join('?' * columns)})"
    return f"{queries()[query]} {','.join([row] * rows)}"


def _statements(query: str, rows: list[tuple[Any, ...]]) -> Iterator[Statement]:
    """Few statements for many rows: what is missing to a size that stays prepared begins with NULL, and is no row."""
    for position in range(0, len(rows), _CHUNKS[0]):
        some = rows[position : position + _CHUNKS[0]]
        size = next(size for size in reversed(_CHUNKS) if size >= len(some))
        columns = len(some[0])
        values = list(chained.from_iterable(some))
        values += (None, *[0] * (columns - 1)) * (size - len(some))
        yield _filled(query, size, columns), values


def _blob(content: bytes | None) -> bytearray | None:
    """What is written as a blob: of `bytes` SQLite's module asks, each time, how they are to be adapted."""
    return None if content is None else bytearray(content)


@cache
def _filled(query: str, rows: int, columns: int) -> str:
    row = f"({','.join('?' * columns)})"
    into = queries()[query].removesuffix("VALUES")
    rows_of = f"SELECT * FROM (VALUES {','.join([row] * rows)}) WHERE column1 IS NOT NULL"  # noqa: S608 — question marks
    return f"{into} {rows_of}"


def heard(connection: sqlite3.Connection, keys: list[bytes]) -> dict[bytes, int]:
    return dict(among(connection, "heard", keys))


def erased(connection: sqlite3.Connection, users: list[int]) -> dict[int, Gone]:
    """Of these users those who were erased, or are to be."""
    found = among(connection, "erased_among", users)
    return {user: Gone(before_ms, bool(under_way)) for user, before_ms, under_way in found}


def among(
    connection: sqlite3.Connection, query: str, keys: Sequence[bytes | int]
) -> list[tuple[Any, ...]]:
    """The rows that a query finds of these keys."""
    found: list[tuple[Any, ...]] = []
    for some in _padded(keys):
        found += connection.execute(_many(query, 1, len(some)), some)
    return found


def over(connection: sqlite3.Connection, query: str, keys: Sequence[int]) -> int:
    """Do something with the rows of these keys; with how many it was done."""
    done = 0
    for some in _padded(keys):
        done += connection.execute(_many(query, 1, len(some)), some).rowcount
    return done


def _padded(keys: Sequence[Any]) -> Iterator[list[Any]]:
    """Naming a key twice changes nothing, and keeps to a few prepared statements."""
    for position in range(0, len(keys), _CHUNKS[0]):
        some = [
            bytearray(key) if type(key) is bytes else key
            for key in keys[position : position + _CHUNKS[0]]
        ]
        size = next(size for size in reversed(_CHUNKS) if size >= len(some))
        yield some + some[:1] * (size - len(some))


def event_statements(fresh: list[tuple[int, Entry]]) -> list[Statement]:
    """What writes these events, with their ends where they have any, but no dead letter."""
    return [one for query, some in _event_rows(fresh) if some for one in _statements(query, some)]


def execute(connection: sqlite3.Connection, statements: list[Statement]) -> None:
    for text, values in statements:
        connection.execute(text, values)
    if statements:
        failpoints.reached("accept.writing")


def insert_events(connection: sqlite3.Connection, fresh: list[tuple[int, Entry]]) -> None:
    """The same, on the loop's thread."""
    for query, some in _event_rows(fresh):
        insert(connection, query, some)
    if fresh:
        failpoints.reached("accept.writing")


def _event_rows(fresh: list[tuple[int, Entry]]) -> Iterator[tuple[str, list[tuple[Any, ...]]]]:
    """By statement what it writes."""
    yield "append_event", [(seq, *e[:8], _blob(e.payload)) for seq, e in fresh]
    yield "append_tail", [(seq, _blob(e.dedupe_key)) for seq, e in fresh]
    yield (
        "append_pending",
        [
            (seq, e.app, lane_of(e.user_hash), e.rank, e.user_hash, e.event_ms)
            for seq, e in fresh
            if e.rank is not None
        ],
    )
    ended = [(seq, e, e.ended) for seq, e in fresh if e.ended is not None]
    yield "append_outcome", [(seq, *end, e.received_ms) for seq, e, end in ended]
    yield "append_history", [(e.user_hash, seq) for seq, e, _ in ended if e.user_hash]


def insert_dead(connection: sqlite3.Connection, fresh: list[tuple[int, Entry]]) -> None:
    """The dead letters of events that ended so when they were accepted."""
    for seq, entry in fresh:
        if entry.is_dead and entry.ended is not None:
            _insert_dead(connection, seq, _death_of(entry.ended), entry.received_ms)


def _death_of(end: End) -> Death:
    return Death(
        rule=end.rule,
        operation=end.operation,
        reason=end.reason or "",
        request=None,
        answer=end.detail,
        http=None,
        attempt=0,
        uncertain=False,
        send_key=None,
    )


def insert_ends(
    connection: sqlite3.Connection,
    seq: int,
    ends: Sequence[End],
    deaths: Sequence[Death],
    at_ms: int,
) -> None:
    insert(connection, "append_outcome", ((seq, *end, at_ms) for end in ends))
    insert_deaths(connection, seq, deaths, at_ms)


def insert_deaths(
    connection: sqlite3.Connection, seq: int, deaths: Sequence[Death], at_ms: int
) -> None:
    for death in deaths:
        _insert_dead(connection, seq, death, at_ms)
        if not death.operation:
            # Nothing of the event is done any more.
            connection.execute(queries()["refuse_merges"], {"seq": seq})


def _insert_dead(connection: sqlite3.Connection, seq: int, death: Death, at_ms: int) -> None:
    event = connection.execute(queries()["event_of"], {"seq": seq}).fetchone()
    _, source, app, message_id, _, name, user_hash, _, event_ms, payload = event
    whose = {"user_hash": user_hash, "seq": seq, "send_key": death.send_key}
    uncertain = death.uncertain or connection.execute(queries()["was_uncertain"], whose).fetchone()
    row = (
        seq, death.rule, death.operation, source, app, message_id, name, user_hash, event_ms, payload,
        death.request, death.answer, death.reason, death.http, death.attempt, bool(uncertain),
        death.send_key, at_ms,
    )  # fmt: skip
    insert(connection, "append_dead", [row])
    failpoints.reached("operation.dying")


def insert_send(connection: sqlite3.Connection, send: NewSend, *, hold: str | None = None) -> None:
    """A send that was not written before, with its call unless it shares one."""
    group = send.group
    state = "pending" if hold is None else "held"
    group_id, call_key = (None, send.key) if group is None else (group.id, None)
    row = (
        send.key, send.seq, send.app, send.rule, send.operation, send.user_hash, send.person_hash,
        send.label, send.recipient, send.generation, send.revision, send.expires_ms, state, hold,
        send.counted, send.once, send.once_ms, group_id, send.part, call_key, send.created_ms,
        send.created_ms,
    )  # fmt: skip
    insert(connection, "append_send", [row])
    if group is None:
        write_call(connection, send)
    else:
        connection.execute(queries()["write_group"], group._asdict())


def write_call(connection: sqlite3.Connection, send: NewSend) -> None:
    """The call of a send that shares none."""
    values = send._asdict() | {"lane": lane_of(send.user_hash)}
    connection.execute(queries()["write_call"], values)


def finish(connection: sqlite3.Connection, seqs: Sequence[int]) -> None:
    """Nothing is left of these events, unless one was joined by a replay since it was loaded."""
    failpoints.reached("event.finishing")
    over(connection, "remember", seqs)
    if over(connection, "finish_events", seqs) < len(seqs):
        for (seq,) in among(connection, "pending_among", seqs):
            connection.execute(queries()["keep_revived"], {"seq": seq})
            connection.execute(queries()["finish_revived"], {"seq": seq})


def mark_done(connection: sqlite3.Connection, seq: int, done: Sequence[str]) -> None:
    values = {"seq": seq, "done": orjson.dumps(list(done)).decode()}
    connection.execute(queries()["mark_done"], values)


def state(connection: sqlite3.Connection, user: int) -> bytes | None:
    row = connection.execute(queries()["state"], {"user_hash": user}).fetchone()
    return None if row is None else row[0]


def keep_state(connection: sqlite3.Connection, user: int, facts: bytes, at_ms: int) -> None:
    values = {"user_hash": user, "facts": facts, "used_ms": at_ms}
    connection.execute(queries()["learn"], values)


def learn(connection: sqlite3.Connection, learnt: Sequence[Learnt], at_ms: int) -> None:
    for one in learnt:
        facts = one.join(state(connection, one.user_hash))
        keep_state(connection, one.user_hash, facts, at_ms)


def learn_all(
    connection: sqlite3.Connection, learnt: Sequence[tuple[Learnt, int]], *, put: Insert
) -> None:
    """The same of many users, each with its time."""
    known = states(connection, [one.user_hash for one, _ in learnt])
    used: dict[int, int] = {}
    for one, at_ms in learnt:
        known[one.user_hash] = one.join(known.get(one.user_hash))
        used[one.user_hash] = at_ms
    put(connection, "learn_many", [(user, known[user], at_ms) for user, at_ms in used.items()])


def begin_work(connection: sqlite3.Connection) -> bool:
    ended = connection.execute(queries()["meta_get"], {"key": "clean"}).fetchone()
    connection.execute(queries()["meta_keep"], {"key": "clean", "value": b"0"})
    connection.execute(queries()["works"])
    connection.execute(queries()["take_calls"])
    return ended is None or ended[0] == b"1"


def begin_alone(connection: sqlite3.Connection, seq: int) -> int:
    (begun,) = connection.execute(queries()["begin_alone"], {"seq": seq}).fetchone()
    return int(begun)


def dead_one(connection: sqlite3.Connection, dead_id: int) -> Dead | None:
    row = connection.execute(queries()["dead_one"], {"id": dead_id}).fetchone()
    return None if row is None else Dead(*row)


def send_one(connection: sqlite3.Connection, key: str) -> Send | None:
    row = connection.execute(queries()["send_one"], {"key": key}).fetchone()
    return None if row is None else Send(*row)
