"""What is kept for long enough goes, in small steps; what something still refers to stays."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any

import pytest

from bridge.clock import ManualClock
from bridge.errors import JournalUnavailableError
from bridge.journal.erasures import ERASED
from bridge.journal.piles import Choice
from bridge.journal.records import Acked, Changed, End
from bridge.journal.sqlite import SqliteJournal, open_sqlite
from tests.journal.making import NOW, death, end, entry, new_send, select, write

DAY = 86_400_000
OLD = NOW - 10 * DAY
DONE = End("profile", "update_user", "delivered")


async def ended(journal: SqliteJournal, name: str, *, at_ms: int = OLD, **more: Any) -> int:
    """An event that was heard and ended then."""
    ((seq, _),) = await journal.append([entry(name, received_ms=at_ms, event_ms=at_ms, **more)])
    await journal.ack([Acked(seq, [DONE])], at_ms=at_ms)
    return seq


async def strip(journal: SqliteJournal, before_ms: int = NOW - 3 * DAY) -> None:
    while await journal.retention.payloads(before_ms=before_ms, unwanted=False, limit=2):
        pass


async def remove(journal: SqliteJournal, before_ms: int = NOW - 8 * DAY) -> None:
    while await journal.retention.events(before_ms=before_ms, limit=2):
        pass


async def look_again(journal: SqliteJournal, events_ms: int = NOW - 8 * DAY) -> None:
    after: int | None = 0
    while after is not None:
        after = await journal.retention.overdue(
            after=after, payloads_ms=NOW - 3 * DAY, events_ms=events_ms, limit=2
        )


async def with_payload(journal: SqliteJournal) -> list[int]:
    return [seq for (seq,) in await select(journal, "SELECT seq FROM event WHERE payload NOTNULL")]


async def seqs(journal: SqliteJournal) -> list[int]:
    return [seq for (seq,) in await select(journal, "SELECT seq FROM event")]


async def test_old_payloads_go_and_young_ones_stay(journal: SqliteJournal) -> None:
    for number in range(5):
        await ended(journal, f"old-{number}")
    young = await ended(journal, "young", at_ms=NOW)
    await strip(journal)
    assert await with_payload(journal) == [young]
    assert len(await seqs(journal)) == 6


async def test_what_is_pending_held_or_dead_keeps_its_payload_however_old(
    journal: SqliteJournal,
) -> None:
    old = {"received_ms": OLD, "event_ms": OLD}
    (pending, held, dead) = [
        seq for seq, _ in await journal.append([entry(name, **old) for name in ("p", "h", "d")])
    ]
    await write(journal, new_send(held, "held"))
    await journal.sends.hold("held", "limit")
    await journal.finish(held, [], deaths=[], at_ms=OLD)
    await write(journal, new_send(dead, "dead"))
    await journal.end_send(
        dead, "dead", end("dead", key="dead", reason="http_400"), death=death(key="dead"), at_ms=OLD
    )
    await journal.finish(dead, [], deaths=[], at_ms=OLD)
    gone = await ended(journal, "gone")
    await strip(journal)
    await remove(journal)
    await look_again(journal)
    assert await with_payload(journal) == [pending, held, dead]
    assert gone not in await seqs(journal)
    await journal.sends.discard(Choice(app="default"), limit=9, at_ms=OLD)
    await journal.ack([Acked(pending, [DONE])], at_ms=OLD)
    await look_again(journal)
    assert await seqs(journal) == [dead]


async def test_what_ended_lately_is_kept_as_if_it_were_young(journal: SqliteJournal) -> None:
    ((seq, _),) = await journal.append([entry("late", received_ms=OLD, event_ms=OLD)])
    await strip(journal)
    await journal.ack([Acked(seq, [DONE])], at_ms=NOW - DAY)
    await look_again(journal)
    assert await with_payload(journal) == [seq]
    after = await journal.retention.overdue(
        after=0, payloads_ms=NOW, events_ms=NOW - 30 * DAY, limit=9
    )
    assert (after, await with_payload(journal)) == (None, [])
    assert await select(journal, "SELECT * FROM overdue") == []


async def test_an_event_goes_with_all_that_is_known_of_it(journal: SqliteJournal) -> None:
    ((seq, _),) = await journal.append([entry("m", received_ms=OLD, event_ms=OLD)])
    await write(journal, new_send(seq, "k"))
    await journal.end_send(seq, "k", end(key="k"), death=None, at_ms=OLD)
    await journal.finish(seq, [], deaths=[], at_ms=OLD)
    await remove(journal)
    for table in ("event", "outcome", "send", "call", "history", "overdue"):
        assert await select(journal, f"SELECT * FROM {table}") == [], table


async def test_events_that_nothing_wanted_have_a_time_of_their_own(journal: SqliteJournal) -> None:
    no_rule = End("", "", "skipped", "no_rule")
    old = {"received_ms": OLD, "event_ms": OLD}
    await journal.append([entry("unwanted", rank=None, ended=no_rule, **old)])
    wanted = await ended(journal, "wanted")
    await strip(journal)
    assert await with_payload(journal) == [1]
    await journal.retention.payloads(before_ms=NOW - 11 * DAY, unwanted=True, limit=9)
    assert await with_payload(journal) == [1]
    await journal.retention.payloads(before_ms=NOW - 9 * DAY, unwanted=True, limit=9)
    assert (await with_payload(journal), wanted) == ([], 2)


async def test_dead_letters_go_when_nobody_came_for_them_and_those_that_were_left_sooner(
    journal: SqliteJournal,
) -> None:
    for number, died in enumerate((OLD, OLD, NOW)):
        ((seq, _),) = await journal.append([entry(f"m{number}")])
        await write(journal, new_send(seq, f"k{number}"))
        await journal.end_send(
            seq,
            f"k{number}",
            end("dead", key=f"k{number}", reason="http_400"),
            death=death(key=f"k{number}"),
            at_ms=died,
        )
    await journal.revive(1, send=None, at_ms=OLD)
    ids = "SELECT id FROM dead ORDER BY id"
    sooner = {"after": 0, "dead_ms": NOW - 30 * DAY, "left_ms": NOW - 3 * DAY, "limit": 9}
    assert await journal.retention.dead(**sooner) is None
    assert await select(journal, ids) == [(2,), (3,)]
    assert await journal.retention.dead(**sooner | {"dead_ms": NOW - DAY, "limit": 1}) == 2
    assert await select(journal, ids) == [(3,)]


async def test_a_repeat_is_known_for_as_long_as_its_messageid(journal: SqliteJournal) -> None:
    for number in range(5):
        await journal.append([entry(f"old-{number}", received_ms=OLD)])
    await journal.append([entry("young", received_ms=NOW)])
    journal._writer._tail._most = 0
    await journal.append([entry("younger", received_ms=NOW)])
    await journal.append([])
    assert await journal.retention.seq_at(NOW - 7 * DAY) == 6
    assert await journal.retention.seq_at(NOW + 1) == 8
    assert await journal.retention.seq_at(0) == 0
    after: bytes | None = b""
    while after is not None:
        after = await journal.retention.dedupe(after=after, seq=6, limit=2)
    again = await journal.append([entry("old-1"), entry("young"), entry("younger")])
    assert [one.duplicate for one in again] == [False, True, True]


async def test_places_and_people_of_long_ago_are_forgotten(journal: SqliteJournal) -> None:
    def fill(connection: Any) -> None:
        for number in range(5):
            connection.execute(
                "INSERT INTO place VALUES (?, 'default', 'r', 1, 1, 1, ?)", (number, number * 10)
            )
            connection.execute("INSERT INTO reached VALUES (?, 'default', ?)", (number, number))

    await journal._write(fill)
    while await journal.retention.places(before_ms=20, limit=2):
        pass
    after: int | None = -1
    while after is not None:
        after = await journal.retention.reached(after=after, day=3, limit=2)
    assert await select(journal, "SELECT person_hash FROM place") == [(3,), (4,)]
    assert await select(journal, "SELECT person_hash FROM reached") == [(3,), (4,)]
    assert await select(journal, "SELECT day, people FROM reached_day") == [(3, 1), (4, 1)]


async def test_who_was_erased_is_forgotten_when_it_is_done_and_long_ago(
    journal: SqliteJournal,
) -> None:
    asking = entry("e", type="delete", erases_ms=OLD, received_ms=OLD, event_ms=OLD)
    ((seq, _),) = await journal.append([asking])
    assert not await journal.retention.erased(before_ms=NOW, limit=9)
    assert len(await select(journal, "SELECT * FROM erased")) == 1
    await journal.ack(
        [Acked(seq, [End("", "delete_user", "delivered")], done=["/delete_user"])], at_ms=OLD
    )
    assert await journal.erasures.finish(seq, 7, at_ms=OLD) is not None
    assert not await journal.retention.erased(before_ms=NOW, limit=9)
    assert await select(journal, "SELECT * FROM erased") == []
    assert len(await journal.erasures.trail()) == 1


async def test_the_log_of_the_database_is_emptied(journal: SqliteJournal) -> None:
    await journal.append([entry("m")])
    log = journal.path.with_name(journal.path.name + "-wal")
    assert log.stat().st_size > 0
    assert await journal.retention.scrub()
    assert log.stat().st_size == 0


@pytest.mark.slow
async def test_an_event_that_comes_never_waits_long_for_what_is_removed(
    journal: SqliteJournal,
) -> None:
    for batch in range(100):
        old = {"received_ms": OLD, "event_ms": OLD, "payload": b"x" * 1200}
        appended = await journal.append(
            [entry(f"m{batch}-{n}", user_hash=n + 1, **old) for n in range(1000)]
        )
        await journal.ack([Acked(seq, [DONE]) for seq, _ in appended], at_ms=OLD)
    waits: list[float] = []
    removing = asyncio.ensure_future(remove_all(journal))
    while not removing.done():
        began = time.perf_counter()
        await journal.append([entry(f"new-{len(waits)}")])
        waits.append(time.perf_counter() - began)
    steps = await removing
    assert steps == 402
    assert await select(journal, "SELECT count(*) FROM event WHERE received_ms = 1") == [(0,)]
    waits.sort()
    # One transaction of all of them would take a second; a slow disk alone may take a tenth.
    assert waits[len(waits) // 2] < 0.2


async def remove_all(journal: SqliteJournal) -> int:
    steps, more = 0, True
    while more:
        more = await journal.retention.payloads(before_ms=NOW - DAY, unwanted=False, limit=500)
        steps += 1
    more = True
    while more:
        more = await journal.retention.events(before_ms=NOW - DAY, limit=500)
        steps += 1
    return steps


# Erasing ------------------------------------------------------------------------------------------


async def test_an_event_of_somebody_who_was_erased_is_kept_without_anything_of_it(
    journal: SqliteJournal,
) -> None:
    asking = entry("e", type="delete", erases_ms=NOW)
    appended = await journal.append(
        [entry("before"), asking, entry("late", event_ms=NOW), entry("new", event_ms=NOW + 1)]
    )
    assert [isinstance(one, Changed) for one in appended] == [False, False, True, False]
    kept = "SELECT seq, user_hash, payload NOTNULL FROM event ORDER BY seq"
    assert await select(journal, kept) == [(1, 7, 1), (2, 7, 1), (3, 0, 0), (4, 7, 1)]
    assert await select(journal, "SELECT seq FROM pending") == [(1,), (2,), (4,)]
    ((_, reason),) = await select(journal, "SELECT status, reason FROM outcome")
    assert reason == ERASED.reason
    loaded = (await journal.chains([7], limit=9))[7]
    assert (len(loaded.rows), loaded.erased_ms) == (3, NOW)


async def test_a_sweep_goes_a_few_events_at_a_time_and_leaves_what_came_after(
    journal: SqliteJournal,
) -> None:
    for number in range(5):
        await ended(journal, f"old-{number}")
    await journal.append([entry("waits"), entry("bob", user_hash=8)])
    await journal.append([entry("e", type="delete", erases_ms=NOW), entry("new", event_ms=NOW + 1)])
    sweeps = []
    more = True
    while more:
        swept = await journal.erasures.sweep(7, limit=2, at_ms=NOW, without=lambda body, _: body)
        sweeps.append((swept.events, swept.discarded))
        more = swept.more
    assert sweeps == [(2, {}), (2, {}), (2, {"": 1}), (0, {})]
    assert await with_payload(journal) == [7, 8, 9]
    assert await select(journal, "SELECT * FROM history WHERE user_hash = 7") == []
    assert await select(journal, "SELECT seq FROM pending") == [(7,), (8,), (9,)]


async def test_what_is_old_goes_when_the_disk_is_too_full_for_anything_new(tmp_path: Path) -> None:
    room = [10**12]
    clock = ManualClock()
    journal = open_sqlite(tmp_path / "bridge.db", clock=clock, free=lambda _: room[0])
    try:
        await ended(journal, "old")
        room[0] = 0
        clock.advance(2)
        with pytest.raises(JournalUnavailableError):
            await journal.append([entry("new")])
        await strip(journal)
        await remove(journal)
        assert await seqs(journal) == []
    finally:
        await journal.close()
