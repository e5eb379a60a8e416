"""Rows for the journal's tests: sensible defaults, override what the test is about."""

from __future__ import annotations

import asyncio
import sqlite3
from typing import Any

from bridge.journal import Journal
from bridge.journal.membership import Heard
from bridge.journal.records import LANES, SENDS_DECIDED, Dead, Death, End, Entry, NewSend, Waiting
from bridge.journal.sends import Bid, Decide, Guard, Reached, Ruling
from bridge.journal.sqlite import SqliteJournal

NOW = 1_800_000_000_000


def entry(message_id: str, **more: Any) -> Entry:
    """A live event of user 7 that is work to do; the key is the messageId's with the source."""
    source = more.get("source", "web")
    values: dict[str, Any] = {
        "source": source,
        "app": "default",
        "message_id": message_id,
        "dedupe_key": f"{source}|{message_id}".encode().rjust(16, b"-")[-16:],
        "type": "track",
        "name": "Order Completed",
        "user_hash": 7,
        "received_ms": NOW,
        "event_ms": NOW - 5,
        "payload": b'{"type":"track"}',
        "rank": 0,
    }
    return Entry(**(values | more))


def new_send(seq: int, key: str = "key-0", **more: Any) -> NewSend:
    values: dict[str, Any] = {
        "key": key,
        "seq": seq,
        "app": "default",
        "rule": "welcome",
        "operation": "send_notification",
        "user_hash": 7,
        "label": "external_id",
        "recipient": "u1",
        "generation": 0,
        "revision": "r1",
        "expires_ms": None,
        "method": "POST",
        "path": "/notifications",
        "body": f'{{"idempotency_key":"{key}"}}'.encode(),
        "created_ms": NOW,
        "person_hash": 7,
    }
    return NewSend(**(values | more))


def end(status: Any = "delivered", *, key: str | None = "key-0", **more: Any) -> End:
    """The end of the send that `new_send` makes."""
    reason = None if status in {"delivered", "no_recipients"} else "because"
    values = {"rule": "welcome", "operation": "send_notification", "reason": reason}
    return End(status=status, call_key=key, **(values | more))


def death(*, key: str | None = "key-0", **more: Any) -> Death:
    values: dict[str, Any] = {
        "rule": "welcome",
        "operation": "send_notification",
        "reason": "refused",
        "request": b"{}",
        "answer": "no",
        "http": 400,
        "attempt": 1,
        "uncertain": False,
        "send_key": key,
    }
    return Death(**(values | more))


def mark(one: NewSend | Death | End) -> str:
    return f"{one.rule}/{one.operation}"


GO = Ruling("go")


async def write(journal: Journal, send: NewSend, **more: Any) -> bool:
    """Write a send that is the first thing done of its event; whether it was not written before."""
    rulings = await bid(journal, send, **more)
    return rulings == [GO]


async def bid(
    journal: Journal,
    *sends: NewSend,
    guard: Guard | None = None,
    decide: Decide = lambda _, known: GO,
    heard: Heard | None = None,
    passing: bool = False,
    **more: Any,
) -> list[Ruling]:
    """Ask for sends of one event to be written; `ends`, `deaths`, `done` as they are reached."""
    reached = {"ends": [], "deaths": [], "done": []} | more
    now_ms, last = reached.pop("now_ms", NOW), reached.pop("last", False)
    done = await journal.sends.write(
        sends[0].seq,
        [Bid(send, guard or Guard()) for send in sends],
        decide=decide,
        heard=heard,
        contradicts=lambda _: passing,
        reached=Reached(reached["ends"], reached["deaths"], frozenset(reached["done"])),
        last=last,
        now_ms=now_ms,
    )
    return done.rulings


async def chain(journal: Journal, user: int = 7, *, limit: int = 100) -> list[Waiting]:
    """The user's pending events; `done` names operations, and not that sends were decided."""
    rows = (await journal.chains([user], limit=limit))[user].rows
    return [row._replace(done=row.done - {SENDS_DECIDED}) for row in rows]


async def seqs_of_all_lanes(journal: Journal, *, rank: int) -> set[int]:
    """Every pending seq that a lane would show, from its beginning."""
    found = await journal.heads(
        range(LANES), app="default", rank=rank, after=[0] * LANES, limit=100_000
    )
    return {head.seq for heads in found for head in heads}


async def the_dead(journal: Journal) -> Dead:
    """The only dead letter there is."""
    letters = await journal.dead_letters()
    assert len(letters) == 1
    return letters[0]


async def dead_send(journal: Journal, message_id: str = "m1", key: str = "key-0") -> int:
    """An event whose only operation, a send, is dead; its seq."""
    appended = await journal.append([entry(message_id)])
    seq = appended[0].seq
    assert await write(journal, new_send(seq, key))
    await journal.end_send(seq, key, end("dead", key=key), death=death(key=key), at_ms=NOW)
    await journal.finish(seq, [], deaths=[], at_ms=NOW)
    return seq


async def select(journal: SqliteJournal, sql: str, *values: Any) -> list[tuple[Any, ...]]:
    """Look into the file itself: what a protocol does not show."""

    def read(connection: sqlite3.Connection) -> list[tuple[Any, ...]]:
        return connection.execute(sql, values).fetchall()

    return await journal._read(read)


async def change(journal: SqliteJournal, sql: str, *values: Any) -> None:
    """Change the file itself, on the writer."""

    def write(connection: sqlite3.Connection) -> None:
        connection.execute(sql, values).fetchall()

    await journal._write(write)


async def outcomes(journal: SqliteJournal) -> list[tuple[Any, ...]]:
    sql = "SELECT seq, rule, operation, status, reason FROM outcome ORDER BY seq, rule, operation"
    return await select(journal, sql)


async def at_once(*waits: Any) -> list[Any]:
    """Ask for all of these before the first is answered; errors are values."""
    return await asyncio.gather(*waits, return_exceptions=True)
