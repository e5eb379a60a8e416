"""The rows of a SQLite journal: what a transaction reads and writes, statement by statement.

These run inside a transaction of the writer's, or on the reader. Many rows go into one statement,
because what a statement costs before it does anything is more than a row does.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from itertools import chain as chained
from typing import Any, TypeVar

import orjson

from bridge import failpoints
from bridge.journal.queries import queries
from bridge.journal.records import (
    Acked,
    Dead,
    Death,
    End,
    Entry,
    Learnt,
    Loaded,
    NewSend,
    OpenSend,
    Send,
    Waiting,
    lane_of,
    operation_name,
)

K = TypeVar("K", bytes, int)
Statement = tuple[str, list[Any]]
"""A statement with what stands in it, ready to be executed."""

_CHUNKS = (1024, 512, 256, 128, 64, 32, 16, 8, 4, 2, 1)
"""Rows a statement; a few sizes only, so that each stays prepared."""


def insert(connection: sqlite3.Connection, query: str, rows: Iterable[tuple[Any, ...]]) -> None:
    """Insert many rows with few statements."""
    waiting = list(rows)
    position = 0
    for size in _CHUNKS:
        while len(waiting) - position >= size:
            values = list(chained.from_iterable(waiting[position : position + size]))
            connection.execute(_many(query, size, len(waiting[0])), values)
            position += size


@cache
def _many(query: str, rows: int, columns: int) -> str:
    # The same text object each time: SQLite's module finds the prepared statement by its hash.
    row = f"({','.join('?' * columns)})"
    return f"{queries()[query]} {','.join([row] * rows)}"


def _statements(query: str, rows: list[tuple[Any, ...]]) -> Iterator[Statement]:
    """Few statements for many rows: what is missing to a size that stays prepared is NULL, and no row."""
    for position in range(0, len(rows), _CHUNKS[0]):
        some = rows[position : position + _CHUNKS[0]]
        size = next(size for size in reversed(_CHUNKS) if size >= len(some))
        columns = len(some[0])
        values = list(chained.from_iterable(some))
        values += [None] * ((size - len(some)) * columns)
        yield _filled(query, size, columns), values


@cache
def _filled(query: str, rows: int, columns: int) -> str:
    row = f"({','.join('?' * columns)})"
    into = queries()[query].removesuffix("VALUES")
    rows_of = f"SELECT * FROM (VALUES {','.join([row] * rows)}) WHERE column1 IS NOT NULL"  # noqa: S608 — question marks
    return f"{into} {rows_of}"


def heard(connection: sqlite3.Connection, keys: list[bytes]) -> dict[bytes, int]:
    return _among(connection, "heard", keys)


def erased(connection: sqlite3.Connection, users: list[int]) -> dict[int, int]:
    """Of these users those who were erased, and up to when."""
    return _among(connection, "erased_among", users)


def _among(connection: sqlite3.Connection, query: str, keys: list[K]) -> dict[K, int]:
    found: dict[K, int] = {}
    for position in range(0, len(keys), _CHUNKS[0]):
        some = keys[position : position + _CHUNKS[0]]
        size = next(size for size in reversed(_CHUNKS) if size >= len(some))
        # Asking twice for one key changes nothing, and keeps to a few prepared statements.
        some += some[:1] * (size - len(some))
        found.update(connection.execute(_many(query, 1, size), some))
    return found


def event_statements(fresh: list[tuple[int, Entry]]) -> list[Statement]:
    """What writes these events, with their ends where they have any, but no dead letter."""
    ended = [(seq, e, e.ended) for seq, e in fresh if e.ended is not None]
    tables: dict[str, list[tuple[Any, ...]]] = {
        "append_event": [
            (
                seq, e.source, e.app, e.message_id, e.type, e.name,
                e.user_hash, e.received_ms, e.event_ms, e.payload,
            )
            for seq, e in fresh
        ],
        "append_tail": [(seq, e.dedupe_key) for seq, e in fresh],
        "append_pending": [
            (seq, e.app, lane_of(e.user_hash), e.rank, e.user_hash, e.event_ms)
            for seq, e in fresh
            if e.rank is not None
        ],
        "append_outcome": [(seq, *end, e.received_ms) for seq, e, end in ended],
        "append_history": [(e.user_hash, seq) for seq, e, _ in ended if e.user_hash],
    }  # fmt: skip
    return [one for query, some in tables.items() for one in _statements(query, some)]


def execute(connection: sqlite3.Connection, statements: list[Statement]) -> None:
    for text, values in statements:
        connection.execute(text, values)
    if statements:
        failpoints.reached("accept.writing")


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
    for death in deaths:
        _insert_dead(connection, seq, death, at_ms)


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
    values = send._asdict() | {
        "state": "pending" if hold is None else "held",
        "hold": hold,
        "group_id": None if send.group is None else send.group.id,
        "call_key": send.key if send.group is None else None,
        "lane": lane_of(send.user_hash),
    }
    connection.execute(queries()["write_send"], values)
    if send.group is None:
        connection.execute(queries()["write_call"], values)
    else:
        connection.execute(queries()["write_group"], send.group._asdict())


def finish(connection: sqlite3.Connection, seq: int) -> None:
    """Nothing is left of an event, unless it was joined by a replay since it was loaded."""
    failpoints.reached("event.finishing")
    connection.execute(queries()["remember"], {"seq": seq})
    if connection.execute(queries()["finish_event"], {"seq": seq}).rowcount == 0:
        connection.execute(queries()["keep_revived"], {"seq": seq})
        connection.execute(queries()["finish_revived"], {"seq": seq})


def ack(connection: sqlite3.Connection, acked: Sequence[Acked], at_ms: int) -> None:
    insert(connection, "append_outcome", ((one.seq, *e, at_ms) for one in acked for e in one.ends))
    for one in acked:
        for death in one.deaths:
            _insert_dead(connection, one.seq, death, at_ms)
        if one.done is None:
            finish(connection, one.seq)
        else:
            mark_done(connection, one.seq, one.done)
    failpoints.reached("event.acking")


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


def waiting(
    connection: sqlite3.Connection, user: int, tail: Sequence[int], limit: int
) -> list[Waiting]:
    """A user's pending events; `tail` are the seqs of those in it."""
    values = {"user_hash": user, "tail": orjson.dumps(tail).decode(), "limit": limit}
    rows = connection.execute(queries()["chain"], values)
    return list(_waiting(connection, rows.fetchall()))


def chain(
    connection: sqlite3.Connection, user: int, tail: Sequence[int], limit: int, *, erasures: bool
) -> Loaded:
    """What a user's chain works with; `erasures`: somebody was erased, so it is asked who."""
    rows = waiting(connection, user, tail, limit)
    # Of nobody who has nothing to do it is asked what was done before.
    if not rows:
        return Loaded(rows)
    erasing = _erasing(connection, user) if erasures else None
    return Loaded(rows, state(connection, user), erasing)


def _erasing(connection: sqlite3.Connection, user: int) -> int | None:
    row = connection.execute(queries()["erasing"], {"user_hash": user}).fetchone()
    return None if row is None else row[0]


def _waiting(connection: sqlite3.Connection, rows: list[tuple[Any, ...]]) -> Iterator[Waiting]:
    for row in rows:
        done, only, revived = row[8:11]
        started = done != "[]" or only is not None or revived != "[]"
        yield Waiting._make(
            (
                *row[:8],
                frozenset(orjson.loads(done)) if started else frozenset(),
                None if only is None else frozenset(orjson.loads(only)),
                frozenset(orjson.loads(revived)) if started else frozenset(),
                *row[11:],
                _open_sends(connection, row[0]) if started else (),
                _generations(connection, row[0]) if started else {},
            )
        )


def _open_sends(connection: sqlite3.Connection, seq: int) -> tuple[OpenSend, ...]:
    rows = connection.execute(queries()["open_sends"], {"seq": seq})
    return tuple(OpenSend(*row) for row in rows)


def _generations(connection: sqlite3.Connection, seq: int) -> dict[str, int]:
    return dict(connection.execute(queries()["generations"], {"seq": seq}).fetchall())


def dead_one(connection: sqlite3.Connection, dead_id: int) -> Dead | None:
    row = connection.execute(queries()["dead_one"], {"id": dead_id}).fetchone()
    return None if row is None else Dead(*row)


def send_one(connection: sqlite3.Connection, key: str) -> Send | None:
    row = connection.execute(queries()["send_one"], {"key": key}).fetchone()
    return None if row is None else Send(*row)


def revive(
    connection: sqlite3.Connection,
    dead_id: int,
    send: NewSend | None,
    at_ms: int,
    *,
    replan: bool = False,
) -> int:
    """Put a dead operation back to work, and all that can only be done with it; how many."""
    dead = dead_one(connection, dead_id)
    left = {"id": dead_id, "state": "replayed", "at_ms": at_ms}
    if dead is None or connection.execute(queries()["leave_dead"], left).rowcount == 0:
        return 0
    failpoints.reached("dead.replaying")
    if dead.send_key is not None and replan:
        _give_up(connection, dead.send_key, at_ms)
    elif dead.send_key is not None and (count := _revive_shared(connection, dead, at_ms)):
        return count
    connection.execute(queries()["restore_event"], {"id": dead_id})
    if send is not None:
        _revive_send(connection, dead, send, at_ms)
    connection.execute(queries()["revive"], _revived(connection, dead, again=send is not None))
    ended = {"seq": dead.seq, "rule": dead.rule, "operation": dead.operation}
    connection.execute(queries()["forget_outcome"], ended)
    return 1


def _give_up(connection: sqlite3.Connection, key: str, at_ms: int) -> None:
    """A send that was certainly refused makes room for another of the next generation."""
    left = {"key": key, "state": "replayed", "at_ms": at_ms, "kept": False}
    connection.execute(queries()["end_send"], left)


def _revive_shared(connection: sqlite3.Connection, dead: Dead, at_ms: int) -> int:
    """Put back to work what must not have a call of its own, and say how many; 0 when it may.

    A custom event joins its group again, and leaves its call to those who are still dead in it. A push
    of unknown outcome takes all who share its call with it: only that call's own bytes may be sent again.
    """
    shared = connection.execute(queries()["shared"], {"key": dead.send_key}).fetchone()
    _, call_key, endpoint = (None, None, None) if shared is None else shared
    if endpoint == "event":
        connection.execute(queries()["reopen_member"], {"key": dead.send_key})
        _forget_death(
            connection, (dead.send_key, dead.seq, dead.rule, dead.operation, dead.id), at_ms
        )
        connection.execute(queries()["end_group_call"], {"key": call_key})
        return 1
    if endpoint is None or call_key is None or not dead.uncertain:
        return 0
    others = connection.execute(queries()["dead_members"], {"call_key": call_key}).fetchall()
    own = (dead.send_key, dead.seq, dead.rule, dead.operation, dead.id)
    connection.execute(queries()["reopen_members"], {"call_key": call_key})
    connection.execute(queries()["reopen_call"], {"key": call_key})
    for member in (own, *others):
        connection.execute(
            queries()["leave_dead"], {"id": member[4], "state": "replayed", "at_ms": at_ms}
        )
        _forget_death(connection, member, at_ms)
    return 1 + len(others)


def _forget_death(connection: sqlite3.Connection, member: tuple[Any, ...], at_ms: int) -> None:
    key, seq, rule, operation, dead_id = member
    connection.execute(queries()["restore_event"], {"id": dead_id})
    connection.execute(
        queries()["forget_outcome"], {"seq": seq, "rule": rule, "operation": operation}
    )
    connection.execute(queries()["retake_place"], {"key": key, "now_ms": at_ms})


def _revived(connection: sqlite3.Connection, dead: Dead, *, again: bool) -> dict[str, Any]:
    """The pending row of a replay; `again` when the send is written already."""
    event = connection.execute(queries()["event_of"], {"seq": dead.seq}).fetchone()
    values = {
        "seq": dead.seq,
        "app": event[2],
        "lane": lane_of(event[6]),
        "user_hash": event[6],
        "event_ms": event[8],
    }
    if not dead.rule:
        # The event could not be planned: it is about all of it but what ended before.
        ended = connection.execute(queries()["ended"], {"seq": dead.seq}).fetchone()[0]
        return values | {"only": None, "done": ended}
    mark = orjson.dumps([operation_name(dead.rule, dead.operation)]).decode()
    return values | {"only": mark, "done": mark if again else "[]"}


def _revive_send(connection: sqlite3.Connection, dead: Dead, send: NewSend, at_ms: int) -> None:
    if send.key == dead.send_key:
        connection.execute(queries()["reopen_send"], {"key": send.key})
        connection.execute(
            queries()["write_call"],
            send._asdict() | {"call_key": send.key, "lane": lane_of(send.user_hash)},
        )
        connection.execute(queries()["reopen_call"], {"key": send.key})
    else:
        _give_up(connection, dead.send_key or "", at_ms)
        insert_send(connection, send)
    connection.execute(queries()["retake_place"], {"key": send.key, "now_ms": at_ms})


def back_to_work(connection: sqlite3.Connection, seq: int, rule: str, operation: str) -> None:
    """A send that the journal holds is its chain's to do again."""
    app, user_hash, event_ms = connection.execute(queries()["whose_event"], {"seq": seq}).fetchone()
    mark = orjson.dumps([operation_name(rule, operation)]).decode()
    values = {
        "seq": seq,
        "app": app,
        "lane": lane_of(user_hash),
        "user_hash": user_hash,
        "event_ms": event_ms,
        "only": mark,
        "done": mark,
    }
    connection.execute(queries()["revive"], values)
