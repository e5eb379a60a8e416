"""The log of calls: on disk with what became of them, found by user, and gone when it is time."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

import pytest

from bridge.journal.records import Acked, Called, End
from bridge.journal.sqlite import SqliteJournal, open_sqlite
from bridge.journal.sqlite_calls import WAITING_BYTES
from bridge.journal.trace import Asked
from tests.journal.making import NOW, bid, change, entry, new_send, select, write

LOGGED = "SELECT id, path, status, failure FROM call_log ORDER BY id"
MEMBERS = "SELECT call, seq, other_hash FROM call_member ORDER BY call, seq"


def called(*seqs: int, **more: Any) -> Called:
    values: dict[str, Any] = {
        "app": "default",
        "endpoint_class": "write",
        "operation": "update_user",
        "method": "PATCH",
        "path": "/apps/a/users/by/external_id/u1",
        "body": b'{"properties":{"tags":{"a":"1"}}}',
        "call_key": None,
        "status": 202,
        "failure": None,
        "answer": "{}",
        "at_ms": NOW,
        "took_ms": 40,
        "seqs": seqs,
    }
    return Called(**(values | more))


async def finish(journal: SqliteJournal, seq: int) -> None:
    await journal.ack([Acked(seq, [End("tags", "update_user", "delivered")])], at_ms=NOW)


async def test_an_attempt_is_on_disk_with_what_became_of_it(journal: SqliteJournal) -> None:
    first, second = await journal.append([entry("m1"), entry("m2")])
    journal.log_call(called(first.seq, second.seq))
    assert await select(journal, LOGGED) == []
    await finish(journal, first.seq)
    assert await select(journal, LOGGED) == [(1, "/apps/a/users/by/external_id/u1", 202, None)]
    assert await select(journal, MEMBERS) == [(1, first.seq, None), (1, second.seq, None)]


async def test_an_attempt_that_is_on_disk_is_not_written_again_after_a_failure(
    journal: SqliteJournal,
) -> None:
    def failing(_: sqlite3.Connection) -> None:
        raise ZeroDivisionError

    journal.log_call(called(1))
    await journal.append([entry("m1")])
    with pytest.raises(ZeroDivisionError):
        await journal._write(failing)
    await journal.append([entry("m2")])
    assert len(await select(journal, LOGGED)) == 1


async def test_attempts_keep_their_order_over_a_restart(tmp_path: Path) -> None:
    first = open_sqlite(tmp_path / "bridge.db")
    first.log_call(called(1, path="/1"))
    # Nothing is written after it, and closing writes it.
    await first.close()
    second = open_sqlite(tmp_path / "bridge.db")
    try:
        second.log_call(called(1, path="/2", status=None, failure="timeout", answer=""))
        await second.append([entry("m1")])
        assert await select(second, LOGGED) == [(1, "/1", 202, None), (2, "/2", None, "timeout")]
    finally:
        await second.close()


async def test_many_attempts_do_not_wait_for_a_transaction(journal: SqliteJournal) -> None:
    for number in range(3):
        journal.log_call(called(number, body=b"x" * (WAITING_BYTES // 2)))
    await journal.append([])
    assert len(await select(journal, LOGGED)) == 3


async def test_a_call_of_a_send_belongs_to_the_events_of_its_members(
    journal: SqliteJournal,
) -> None:
    (event,) = await journal.append([entry("m1")])
    send = new_send(event.seq, person_hash=9)
    assert await write(journal, send)
    journal.log_call(called(call_key=send.key, endpoint_class="send", path="/notifications"))
    await journal.end_send(
        event.seq,
        send.key,
        End("welcome", "send_notification", "delivered", call_key=send.key),
        death=None,
        at_ms=NOW,
    )
    # For somebody who is not the event's user.
    assert await select(journal, MEMBERS) == [(1, event.seq, 9)]


async def test_a_repeat_of_a_sends_call_keeps_neither_bytes_nor_members_again(
    journal: SqliteJournal,
) -> None:
    (event,) = await journal.append([entry("m1")])
    send = new_send(event.seq)
    assert await write(journal, send)
    for number in range(4):
        journal.log_call(called(call_key=send.key, at_ms=NOW + number))
        if number != 1:
            await journal.append([])
    bodies = await select(journal, "SELECT body IS NULL FROM call_log ORDER BY id")
    assert bodies == [(0,), (1,), (1,), (1,)]
    assert len(await select(journal, MEMBERS)) == 1
    asked = Asked(None, "m1", ["default"], ["web"], 9)
    (trace,) = (await journal.traces(asked)).found
    assert [one.at_ms - NOW for one in trace.calls] == [0, 1, 2, 3]
    # When the first is forgotten, the next is kept whole again.
    await journal.drop_calls(before_ms=NOW + 4, limit=100)
    assert await select(journal, MEMBERS) == []
    journal.log_call(called(call_key=send.key))
    journal.log_call(called(call_key=send.key))
    await journal.append([])
    assert len(await select(journal, MEMBERS)) == 1
    assert await journal.forget_calls(7) == 2


async def test_a_transaction_that_fails_takes_no_attempt_along(journal: SqliteJournal) -> None:
    journal.log_call(called(1))
    with pytest.raises(Exception, match="refused"):
        await journal.ack([Acked(1, [End("", "", "skipped")])], at_ms=NOW)
    await journal.append([entry("m1")])
    assert len(await select(journal, LOGGED)) == 1


async def test_an_attempt_that_cannot_be_written_stops_nobody(journal: SqliteJournal) -> None:
    journal.log_call(called(1, status=None, failure=None))
    with pytest.raises(Exception, match="refused"):
        await journal.append([entry("m1")])
    with pytest.raises(Exception, match="refused"):
        await journal.append([entry("m1")])
    assert len(await journal.append([entry("m1")])) == 1
    assert await select(journal, LOGGED) == []


# Forgetting ---------------------------------------------------------------------------------------


async def test_old_calls_go_a_few_at_a_time(journal: SqliteJournal) -> None:
    for number in range(10):
        journal.log_call(called(number, number + 100, at_ms=NOW + number))
    await journal.append([])
    dropped = []
    while count := await journal.drop_calls(before_ms=NOW + 6, limit=4):
        dropped.append(count)
    assert all(count <= 8 for count in dropped)
    assert sum(dropped) == 6 * 3
    assert [one[0] for one in await select(journal, LOGGED)] == [7, 8, 9, 10]
    assert {one[0] for one in await select(journal, MEMBERS)} == {7, 8, 9, 10}
    assert await journal.drop_calls(before_ms=NOW + 6, limit=4) == 0


async def test_a_user_is_forgotten_with_every_call(journal: SqliteJournal) -> None:
    ended, waits, another, about = await journal.append(
        [entry("m1"), entry("m2"), entry("m3", user_hash=8), entry("m4", user_hash=8)]
    )
    journal.log_call(called(ended.seq, path="/ended"))
    journal.log_call(called(waits.seq, path="/waits"))
    journal.log_call(called(another.seq, path="/another"))
    journal.log_call(called(about.seq, path="/about", other_hash=7))
    await finish(journal, ended.seq)
    assert await journal.forget_calls(7) == 3
    assert [one[1] for one in await select(journal, LOGGED)] == ["/another"]
    assert [one[1] for one in await select(journal, MEMBERS)] == [another.seq]


async def test_a_user_is_found_when_the_events_are_indexed(journal: SqliteJournal) -> None:
    (event,) = await journal.append([entry("m1")])
    journal.log_call(called(event.seq))
    await change(journal, "UPDATE pending SET indexed = 1")
    await change(journal, "DELETE FROM tail")
    assert await journal.forget_calls(7) == 1


async def test_a_shared_call_goes_with_the_first_who_is_forgotten(journal: SqliteJournal) -> None:
    one, two = await journal.append([entry("m1"), entry("m2", user_hash=8)])
    sends = [
        new_send(one.seq, "key-1"),
        new_send(two.seq, "key-2", user_hash=8, person_hash=8),
    ]
    for send in sends:
        await bid(journal, send)
    await change(journal, "UPDATE send SET call_key = 'shared'")
    journal.log_call(called(call_key="shared"))
    await journal.append([])
    assert len(await select(journal, MEMBERS)) == 2
    assert await journal.forget_calls(7) == 1
    assert await select(journal, LOGGED) == []
    assert await select(journal, MEMBERS) == []
