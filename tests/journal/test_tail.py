"""The newest events are found without their indexes, and are in them before there are too many."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from bridge.errors import JournalError
from bridge.journal.records import End
from bridge.journal.sqlite import SqliteJournal, open_sqlite
from tests.journal.making import NOW, at_once, chain, change, death, end, entry, select

MOST = 10
FULL = "SELECT RAISE(ABORT, 'full')"


@asynccontextmanager
async def opened(tmp_path: Path, *, most: int = MOST) -> AsyncIterator[SqliteJournal]:
    journal = open_sqlite(tmp_path / "bridge.db", tail_rows=most)
    yield journal
    await journal.close()


@pytest.fixture
async def short(tmp_path: Path) -> AsyncIterator[SqliteJournal]:
    """A journal whose tail is indexed after ten events."""
    async with opened(tmp_path) as journal:
        yield journal


async def in_tail(journal: SqliteJournal) -> list[int]:
    """What is in `tail`, once the disk has nothing left to do."""
    await journal._write(lambda _: None)
    return [seq for (seq,) in await select(journal, "SELECT seq FROM tail ORDER BY seq")]


async def in_dedupe(journal: SqliteJournal) -> list[int]:
    return [seq for (seq,) in await select(journal, "SELECT seq FROM dedupe ORDER BY seq")]


async def in_user_index(journal: SqliteJournal) -> list[int]:
    sql = "SELECT seq FROM pending INDEXED BY pending_user WHERE indexed = 1 ORDER BY seq"
    return [seq for (seq,) in await select(journal, sql)]


async def test_new_events_are_only_appended(short: SqliteJournal) -> None:
    await short.append([entry(f"m{n}") for n in range(MOST - 1)])
    assert await in_tail(short) == list(range(1, MOST))
    assert await in_dedupe(short) == await in_user_index(short) == []


async def test_a_full_tail_goes_into_the_indexes(short: SqliteJournal) -> None:
    await short.append([entry(f"m{n}") for n in range(MOST)])
    assert await in_tail(short) == []
    assert await in_dedupe(short) == await in_user_index(short) == list(range(1, MOST + 1))
    await short.append([entry("new")])
    assert await in_tail(short) == [MOST + 1]
    assert [row.seq for row in await chain(short)] == list(range(1, MOST + 2))


@pytest.mark.parametrize("count", [1024, 1025, 2100])
async def test_a_repeat_of_a_large_batch_is_known_when_it_is_in_the_indexes(
    short: SqliteJournal, count: int
) -> None:
    entries = [entry(f"m{n}") for n in range(count)]
    told = await short.append(entries)
    assert await in_tail(short) == []
    again = await short.append(entries)
    assert [(one.seq, one.duplicate) for one in again] == [(one.seq, True) for one in told]


async def test_nothing_is_remembered_of_what_is_in_the_indexes(short: SqliteJournal) -> None:
    await short.append([entry(f"m{n}") for n in range(MOST)])
    assert await in_tail(short) == []
    tail = short._tail
    assert (tail._heard, tail._users, tail.is_full) == ({}, {}, False)


@pytest.mark.parametrize("count", [1, 99, 100, 1500, 2100])
async def test_each_of_many_events_is_written_with_its_end(tmp_path: Path, count: int) -> None:
    """However they are written: one by one, or with few statements on the disk's thread."""
    skipped = {"rank": None, "payload": None, "ended": End("", "", "skipped", "no_rule")}
    nobodys = {**skipped, "user_hash": 0, "ended": End("", "", "dead", "not_an_object", "a number")}
    async with opened(tmp_path, most=100_000) as journal:
        for dead in (0, 1):
            entries = [entry(f"m{dead}-{n}", **(skipped if n % 3 else {})) for n in range(count)]
            entries += [entry(f"d{n}", **nobodys) for n in range(dead)]
            told = await journal.append(entries)
            assert len({one.seq for one in told}) == count + dead
            assert (await journal.append(entries))[-1].duplicate
        (events,) = await select(journal, "SELECT count(*), count(payload) FROM event")
        work = 2 * ((count + 2) // 3)
        assert events == (2 * count + 1, work)
        assert (await journal.counts()).pending == work
        assert await select(journal, "SELECT count(*) FROM outcome") == [(2 * count + 1 - work,)]
        assert await select(journal, "SELECT count(*) FROM history") == [(2 * count - work,)]
        assert [one.reason for one in await journal.dead_letters()] == ["not_an_object"]


async def test_who_was_erased_is_known_after_a_restart_and_in_the_same_moment(
    tmp_path: Path,
) -> None:
    late = {"event_ms": NOW - 50}
    async with opened(tmp_path) as journal:
        asking = entry("d", type="delete", erases_ms=NOW)
        await journal.append([asking, entry("m1", **late), entry("m2", user_hash=8, **late)])
        await journal.append([entry("m3", **late)])
    async with opened(tmp_path) as journal:
        await journal.append([entry("m4", **late), entry("m5", event_ms=NOW + 1)])
        erased = await select(journal, "SELECT seq FROM outcome WHERE reason = 'erased'")
        assert [seq for (seq,) in erased] == [2, 4, 5]
        assert [row.message_id for row in await chain(journal, 8)] == ["m2"]


async def test_an_event_that_ended_in_the_tail_is_spared_the_index_of_its_user(
    short: SqliteJournal,
) -> None:
    await short.append([entry("m1"), entry("m2")])
    await short.finish(1, [], deaths=[], at_ms=NOW)
    await short.append([entry(f"more{n}") for n in range(MOST)])
    assert await in_tail(short) == []
    assert await in_user_index(short) == list(range(2, MOST + 3))
    assert (await short.append([entry("m1")]))[0].duplicate


async def test_a_repeat_is_known_within_the_tail_and_beyond_it(short: SqliteJournal) -> None:
    first = await short.append([entry(f"m{n}") for n in range(MOST)])
    new = await short.append([entry("new"), entry("new")])
    assert [one.duplicate for one in new] == [False, True]
    again = await short.append([entry("m3"), entry("new")])
    assert [(one.seq, one.duplicate) for one in again] == [(first[3].seq, True), (new[0].seq, True)]


async def test_an_event_without_a_key_is_no_duplicate_in_the_tail_nor_beyond_it(
    short: SqliteJournal,
) -> None:
    for _ in range(3):
        kept = await short.append([entry("test", dedupe_key=None) for _ in range(6)])
        assert not any(one.duplicate for one in kept)
    assert await in_dedupe(short) == []
    assert len(await chain(short)) == 18


async def test_a_tail_is_read_back_as_it_was(tmp_path: Path) -> None:
    async with opened(tmp_path) as journal:
        ended = entry("ended", rank=None, ended=end("skipped", key=None))
        await journal.append([entry("m1"), entry("m2", user_hash=8), ended, entry("m3")])
        await journal.finish(1, [], deaths=[], at_ms=NOW)
    async with opened(tmp_path) as journal:
        assert await in_dedupe(journal) == []
        assert [row.seq for row in await chain(journal)] == [4]
        assert [row.seq for row in await chain(journal, 8)] == [2]
        again = await journal.append([entry(name) for name in ("m1", "m2", "ended", "m3", "new")])
        assert [(one.seq, one.duplicate) for one in again] == [
            (1, True), (2, True), (3, True), (4, True), (5, False)
        ]  # fmt: skip


async def test_a_tail_that_is_longer_than_it_may_be_now_is_indexed_with_the_next_event(
    tmp_path: Path,
) -> None:
    async with opened(tmp_path, most=1000) as journal:
        await journal.append([entry(f"m{n}") for n in range(50)])
    async with opened(tmp_path) as journal:
        await journal.append([entry("new")])
        assert await in_tail(journal) == []
        assert len(await in_dedupe(journal)) == 51


async def test_a_transaction_that_fails_forgets_nothing_that_was_kept(short: SqliteJournal) -> None:
    def failing(_: sqlite3.Connection) -> None:
        raise ZeroDivisionError

    await short.append([entry("m1")])
    with pytest.raises(ZeroDivisionError):
        await short._write(failing)
    assert (await short.append([entry("m1")]))[0].duplicate


async def test_what_was_refused_leaves_nothing_in_the_tail(short: SqliteJournal) -> None:
    with pytest.raises(JournalError):
        await short.append([entry("m1"), entry("wrong", rank=9)])
    assert await in_tail(short) == []
    assert await chain(short) == []
    assert not (await short.append([entry("m1")]))[0].duplicate


async def test_a_tail_that_cannot_be_indexed_is_kept_and_tried_again(short: SqliteJournal) -> None:
    await change(short, f"CREATE TEMP TRIGGER full BEFORE INSERT ON dedupe BEGIN {FULL}; END")
    await short.append([entry(f"m{n}") for n in range(MOST)])
    assert len(await in_tail(short)) == MOST
    assert len(await chain(short)) == MOST
    assert (await short.append([entry("m1")]))[0].duplicate
    await change(short, "DROP TRIGGER full")
    assert await in_tail(short) == []
    assert len(await in_dedupe(short)) == len(await chain(short)) == MOST
    assert not short.broken.done()


async def test_what_is_done_aside_does_not_wait_for_the_indexes(tmp_path: Path) -> None:
    """Under load a tail is full all the time, and what removes the old would never be its turn."""
    async with opened(tmp_path, most=1) as journal:
        kept = asyncio.ensure_future(journal.append([entry("m1")]))
        aside = journal._writer.aside(lambda db: db.execute("SELECT seq FROM tail").fetchall())
        await kept
        assert await aside == [(1,)]
        # Its turn comes after the next group.
        await journal.append([])
        assert await in_tail(journal) == []


async def test_a_replay_of_an_event_in_the_tail_is_there_once(short: SqliteJournal) -> None:
    await short.append([entry("m1"), entry("m2")])
    died = death(operation="update_user", key=None)
    ended = end("dead", key=None, operation="update_user")
    await short.finish(1, [ended], deaths=[died], at_ms=NOW)
    (letter,) = await short.dead_letters()
    assert await short.revive(letter.id, send=None, at_ms=NOW)
    assert [row.seq for row in await chain(short)] == [1, 2]
    await short.append([entry(f"more{n}") for n in range(MOST)])
    assert await in_tail(short) == []
    assert [row.seq for row in await chain(short)] == list(range(1, MOST + 3))


async def test_a_chain_is_cut_after_its_oldest_events(short: SqliteJournal) -> None:
    await short.append([entry(f"m{n}") for n in range(MOST)])
    await short.append([entry(f"new{n}") for n in range(5)])
    for limit in (3, 12, 15):
        assert [row.seq for row in await chain(short, limit=limit)] == list(range(1, limit + 1))


async def test_who_reads_while_events_come_and_are_indexed_misses_none_that_was_answered(
    short: SqliteJournal,
) -> None:
    kept: list[int] = []

    async def append(number: int) -> None:
        for one in range(20):
            ((seq, _),) = await short.append([entry(f"m{number}-{one}")])
            kept.append(seq)

    async def read() -> None:
        while len(kept) < 200:
            answered = set(kept)
            found = [row.seq for row in await chain(short, limit=1000)]
            assert answered <= set(found)
            assert found == sorted(set(found))
            await asyncio.sleep(0)  # noqa: TID251 — lets the others go on; no time passes

    answers = await at_once(read(), read(), *(append(number) for number in range(10)))
    assert answers == [None] * 12


async def test_an_event_that_a_lane_shows_is_in_its_users_chain(short: SqliteJournal) -> None:
    """Seen in a lane before its sender is answered, it would be passed over for good."""

    async def append(number: int) -> None:
        for one in range(20):
            await short.append([entry(f"m{number}-{one}")])

    async def look() -> None:
        seen = 0
        while seen < 200:
            (heads,) = await short.heads([7], app="default", rank=0, after=[0], limit=1000)
            rows = await chain(short, limit=1000)
            seen = len(heads)
            assert {head.seq for head in heads} <= {row.seq for row in rows}

    assert await at_once(look(), *(append(number) for number in range(10))) == [None] * 11
