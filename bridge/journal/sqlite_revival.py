"""Back to work, in a SQLite journal: what was dead or held, with all that can only be done with it."""

from __future__ import annotations

import sqlite3
from typing import Any

import orjson

from bridge import failpoints
from bridge.journal.queries import queries
from bridge.journal.records import Dead, NewSend, lane_of, operation_name
from bridge.journal.sqlite_rows import dead_one, insert_send, write_call


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
    if not dead.rule:
        connection.execute(queries()["ask_again"], {"seq": dead.seq})
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
    app, user_hash, event_ms = whose(connection, dead.seq)
    values = {
        "seq": dead.seq,
        "app": app,
        "lane": lane_of(user_hash),
        "user_hash": user_hash,
        "event_ms": event_ms,
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
        write_call(connection, send)
        connection.execute(queries()["reopen_call"], {"key": send.key})
    else:
        _give_up(connection, dead.send_key or "", at_ms)
        insert_send(connection, send._replace(person_hash=_person(connection, send.person_hash)))
    connection.execute(queries()["retake_place"], {"key": send.key, "now_ms": at_ms})


def _person(connection: sqlite3.Connection, id_hash: int) -> int:
    """Who gets what was written for this one: since then it may have been found to be somebody else."""
    found = connection.execute(queries()["person_of"], {"id_hash": id_hash}).fetchone()
    return id_hash if found is None else int(found[0])


def whose(connection: sqlite3.Connection, seq: int) -> tuple[str, int, int]:
    """The app of an event, the user whose chain it belongs to, and when it happened."""
    app, user_hash, event_ms = connection.execute(queries()["whose_event"], {"seq": seq}).fetchone()
    return app, user_hash, event_ms


def back_to_work(connection: sqlite3.Connection, seq: int, rule: str, operation: str) -> None:
    """A send that the journal holds is its chain's to do again."""
    app, user_hash, event_ms = whose(connection, seq)
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
