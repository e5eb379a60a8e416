"""Held sends in a SQLite journal: finding them, letting them go, ending them."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from typing import Any

from bridge.journal import sqlite_revival as revival, sqlite_rows as rows
from bridge.journal.piles import Choice, Volume
from bridge.journal.queries import queries
from bridge.journal.records import End
from bridge.journal.sends import HeldSend, Released
from bridge.journal.sqlite_pace import UNCAPPED, keep_pace

PUSH = "send_notification"


def page(connection: sqlite3.Connection, choice: Choice, limit: int) -> list[HeldSend]:
    values = choice.values() | {"limit": limit}
    return [HeldSend(*row) for row in connection.execute(queries()["held_page"], values)]


def counts(connection: sqlite3.Connection, choice: Choice) -> list[tuple[str, str, str, int]]:
    if choice == Choice(app=choice.app, rule=choice.rule, reason=choice.reason):
        query = "held_tallies"
    else:
        # Whose they are is not in the index that all other questions are answered by.
        query = "held_counts" if choice.user is None else "held_counts_of_user"
    return connection.execute(queries()[query], choice.values()).fetchall()


def release(
    connection: sqlite3.Connection,
    choice: Choice,
    limit: int,
    volume: Volume | None = None,
    *,
    only_events: bool = False,
) -> Released:
    """Let some of what is held by one app go; the choice names the app."""
    found = _some(connection, choice, limit, only_events=only_events)
    for one in found:
        _release(connection, one, None if volume is None else volume.now_ms)
        if volume is not None and one["operation"] == PUSH and not one["counted"]:
            keep_pace(connection, one["app"], UNCAPPED, volume.per_ms, volume.now_ms)
    _rearm(connection, choice.app, found)
    return Released(
        sends=len(found),
        users=frozenset(one["user_hash"] for one in found if one["group_id"] is None),
        groups=frozenset(one["group_id"] for one in found if one["group_id"] is not None),
    )


def discard(connection: sqlite3.Connection, choice: Choice, limit: int, at_ms: int) -> int:
    """End some of what is held by one app; the choice names the app."""
    found = _some(connection, choice, limit)
    for one in found:
        _discard(connection, one, at_ms)
    _rearm(connection, choice.app, found)
    return len(found)


def _some(
    connection: sqlite3.Connection, choice: Choice, limit: int, *, only_events: bool = False
) -> list[dict[str, Any]]:
    # The most common question, of which there may be a million answers, is asked of the index.
    indexed = choice.rule and choice.reason and choice.ids is None
    query = "held_of_rule" if indexed else "held_some"
    if only_events:
        query = "held_events_of_rule"
    found = connection.execute(queries()[query], choice.values() | {"limit": limit})
    names = [column[0] for column in found.description]
    return [dict(zip(names, row, strict=True)) for row in found]


def _release(connection: sqlite3.Connection, one: dict[str, Any], now_ms: int | None) -> None:
    connection.execute(queries()["release_send"], one | {"now_ms": now_ms})
    if one["group_id"] is None:
        connection.execute(queries()["release_call"], one | {"now_ms": now_ms})
        revival.back_to_work(connection, one["seq"], one["rule"], one["operation"])


def _discard(connection: sqlite3.Connection, one: dict[str, Any], at_ms: int) -> None:
    connection.execute(queries()["discard_send"], one | {"at_ms": at_ms})
    connection.execute(queries()["return_place"], one)
    connection.execute(queries()["keep_place"], one | {"at_ms": at_ms})
    connection.execute(queries()["end_call"], {"key": one["call_key"]})
    connection.execute(queries()["end_group"], {"id": one["group_id"]})
    ended = End(one["rule"], one["operation"], "discarded", "by_person")
    rows.insert_ends(connection, one["seq"], [ended], [], at_ms)


def _rearm(connection: sqlite3.Connection, app: str | None, left: Iterable[dict[str, Any]]) -> None:
    """A rule of whose sends its limit holds none any more begins to count anew."""
    # Who only waited for the end of a pause says nothing of a limit.
    for rule in {one["rule"] for one in left if one["hold"] == "limit"}:
        values = {"app": app, "rule": rule}
        if connection.execute(queries()["rule_held"], values).fetchone() is None:
            # Of any time: it has one limit at once.
            connection.execute(queries()["forget_pace"], values | {"since_ms": 2**62})
