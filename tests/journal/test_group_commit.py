"""The one writer: many callers share a commit, and one's trouble is not another's."""

from __future__ import annotations

import asyncio
import resource
import sqlite3
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import pytest

from bridge.errors import JournalError, JournalUnavailableError
from bridge.journal.records import End
from bridge.journal.sqlite import SqliteJournal, open_sqlite
from bridge.journal.sqlite_tail import BESIDE_ROWS
from bridge.journal.writer import MAX_ROWS
from tests.journal.making import at_once, chain, entry, select


@asynccontextmanager
async def a_slow_disk(journal: SqliteJournal) -> AsyncIterator[None]:
    """Nothing is committed in here: a first commit waits for the disk, and all others for it."""
    go = threading.Event()
    disk = asyncio.wrap_future(journal._writer._disk.submit(go.wait))
    held = asyncio.ensure_future(journal._write(lambda _: None))
    for _ in range(3):
        await asyncio.sleep(0)  # noqa: TID251 — lets the first one begin; no time passes
    assert journal._writer._connection.in_transaction
    try:
        yield
    finally:
        go.set()
        await asyncio.gather(disk, held)


@asynccontextmanager
async def at_most_pages(journal: SqliteJournal, more: int) -> AsyncIterator[None]:
    """A disk with room for so many more pages."""

    def limit(pages: int) -> Callable[[sqlite3.Connection], None]:
        def work(connection: sqlite3.Connection) -> None:
            (now,) = connection.execute("PRAGMA page_count").fetchone()
            connection.execute(f"PRAGMA max_page_count = {now + pages}").fetchone()

        return work

    await journal._write(limit(more))
    yield
    await journal._write(limit(1_000_000))


@contextmanager
def files_of_at_most(size: int) -> Iterator[None]:
    """A disk on which no file can be written beyond so many bytes: an I/O error, not a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def commits(statements: list[str]) -> int:
    return statements.count("COMMIT")


async def trace(journal: SqliteJournal) -> list[str]:
    """Every statement from here on."""
    statements: list[str] = []
    await journal._write(lambda connection: connection.set_trace_callback(statements.append))
    statements.clear()
    return statements


async def failing(journal: SqliteJournal) -> None:
    def work(connection: sqlite3.Connection) -> None:
        connection.execute("INSERT INTO meta (key, value) VALUES ('half', x'00')")
        raise ZeroDivisionError

    await journal._write(work)


# Groups -------------------------------------------------------------------------------------------


async def test_many_at_once_share_a_few_commits(journal: SqliteJournal) -> None:
    statements = await trace(journal)
    await at_once(*(journal.append([entry(f"m{n}")]) for n in range(500)))
    assert (await journal.counts()).pending == 500
    assert commits(statements) <= 25


async def test_all_that_waited_for_a_commit_goes_into_the_next(journal: SqliteJournal) -> None:
    statements = await trace(journal)
    async with a_slow_disk(journal):
        waits = [asyncio.ensure_future(journal.append([entry(f"m{n}")])) for n in range(500)]
        await asyncio.sleep(0)  # noqa: TID251 — lets the tasks ask; no time passes
        statements.clear()
    await asyncio.gather(*waits)
    assert commits(statements) <= 2
    inserts = [text for text in statements if text.startswith("INSERT INTO event")]
    assert len(inserts) < 20


async def test_transactions_of_a_group_are_run_in_the_order_in_which_they_were_asked_for(
    journal: SqliteJournal,
) -> None:
    order: list[int] = []

    def noting(number: int) -> Callable[[sqlite3.Connection], None]:
        return lambda _: order.append(number)

    async with a_slow_disk(journal):
        waits = [asyncio.ensure_future(journal._write(noting(n))) for n in range(5)]
        await asyncio.sleep(0)  # noqa: TID251 — lets the tasks ask; no time passes
    await asyncio.gather(*waits)
    assert order == list(range(5))


async def test_what_a_group_that_failed_left_for_the_disk_is_not_written_beside_its_repeat(
    journal: SqliteJournal,
) -> None:
    """Together they are many, and are left to the disk's thread; alone, after the failure, each is few."""
    few = BESIDE_ROWS // 2
    parts = [[entry(f"m{part}-{n}") for n in range(few)] for part in range(4)]
    async with a_slow_disk(journal):
        waits = [asyncio.ensure_future(journal.append(part)) for part in parts]
        failure = asyncio.ensure_future(failing(journal))
        await asyncio.sleep(0)  # noqa: TID251 — lets the tasks ask; no time passes
    with pytest.raises(ZeroDivisionError):
        await failure
    kept = [one.seq for told in await asyncio.gather(*waits) for one in told]
    seqs = await select(journal, "SELECT seq FROM event ORDER BY seq")
    assert [seq for (seq,) in seqs] == sorted(kept)
    assert (await journal.counts()).pending == 4 * few


async def test_a_group_has_an_end(journal: SqliteJournal) -> None:
    statements = await trace(journal)
    async with a_slow_disk(journal):
        batches = [[entry(f"m{a}-{b}") for b in range(100)] for a in range(25)]
        waits = [asyncio.ensure_future(journal.append(batch)) for batch in batches]
        await asyncio.sleep(0)  # noqa: TID251 — lets the tasks ask; no time passes
        statements.clear()
    await asyncio.gather(*waits)
    assert commits(statements) == 1 + -(-2500 // MAX_ROWS)


async def test_a_bad_one_in_a_group_sinks_nobody_else(journal: SqliteJournal) -> None:
    async with a_slow_disk(journal):
        waits = [
            asyncio.ensure_future(work)
            for work in (
                journal.append([entry("before")]),
                failing(journal),
                journal.append([entry("wrong"), entry("wrong too", rank=9)]),
                journal.append([entry("after")]),
            )
        ]
        await asyncio.sleep(0)  # noqa: TID251 — lets the tasks ask; no time passes
    before, failed, wrong, after = await at_once(*waits)
    assert isinstance(failed, ZeroDivisionError)
    assert isinstance(wrong, JournalError)
    assert before[0].seq < after[0].seq
    assert [row.message_id for row in await chain(journal)] == ["before", "after"]
    assert await select(journal, "SELECT key FROM meta WHERE key = 'half'") == []


async def test_an_event_is_not_a_duplicate_of_one_that_was_refused(journal: SqliteJournal) -> None:
    with pytest.raises(JournalError):
        await journal.append([entry("m1"), entry("wrong", rank=9)])
    ((seq, duplicate),) = await journal.append([entry("m1")])
    assert not duplicate
    assert [row.seq for row in await chain(journal)] == [seq]


async def test_who_does_not_wait_any_more_is_kept_and_troubles_nobody(
    journal: SqliteJournal,
) -> None:
    async with a_slow_disk(journal):
        gone = asyncio.ensure_future(journal.append([entry("gone")]))
        stays = asyncio.ensure_future(journal.append([entry("stays")]))
        await asyncio.sleep(0)  # noqa: TID251 — lets the tasks ask; no time passes
        gone.cancel()
    await stays
    assert gone.cancelled()
    assert [row.message_id for row in await chain(journal)] == ["gone", "stays"]
    assert (await journal.append([entry("gone")]))[0].duplicate


# The end ------------------------------------------------------------------------------------------


async def test_closing_finishes_what_was_asked_and_takes_no_more(tmp_path: Path) -> None:
    journal = open_sqlite(tmp_path / "bridge.db")
    waits = [asyncio.ensure_future(journal.append([entry(f"m{n}")])) for n in range(300)]
    await asyncio.sleep(0)  # noqa: TID251 — lets the tasks ask; no time passes
    await journal.close()
    answers = await asyncio.gather(*waits)
    with pytest.raises(JournalUnavailableError):
        await journal.append([entry("late")])
    again = open_sqlite(tmp_path / "bridge.db")
    assert {row.seq for row in await chain(again, limit=1000)} == {one.seq for (one,) in answers}
    await again.close()


async def test_a_large_batch_sinks_none_of_its_neighbours_and_can_be_sent_again(
    journal: SqliteJournal,
) -> None:
    fine = [entry(f"m{n}") for n in range(2 * BESIDE_ROWS)]
    bad = [*(entry(f"b{n}") for n in range(BESIDE_ROWS)), entry("wrong", rank=9)]
    async with a_slow_disk(journal):
        asked = (journal.append(fine), journal.append(bad), journal.append([entry("after")]))
        waits = [asyncio.ensure_future(work) for work in asked]
        await asyncio.sleep(0)  # noqa: TID251 — lets the tasks ask; no time passes
    kept, refused, after = await at_once(*waits)
    assert isinstance(refused, JournalError)
    assert [one.duplicate for one in kept] == [False] * len(fine)
    again = await journal.append(bad[:-1])
    assert [one.duplicate for one in (*again, *after)] == [False] * (BESIDE_ROWS + 1)
    assert (await journal.counts()).pending == len(fine) + len(bad)


async def test_of_a_large_batch_what_has_ended_ends_with_it(journal: SqliteJournal) -> None:
    skipped, dead = (End("", "", status, "no_rule") for status in ("skipped", "dead"))
    ended = [entry(f"s{n}", rank=None, ended=skipped) for n in range(BESIDE_ROWS)]
    await journal.append([*ended, entry("work")])
    await journal.append(
        [*(entry(f"m{n}") for n in range(BESIDE_ROWS)), entry("d", rank=None, ended=dead)]
    )
    counts = await journal.counts()
    assert (counts.pending, counts.dead) == (BESIDE_ROWS + 1, 1)
    (row,) = await select(journal, "SELECT count(*) FROM outcome WHERE status = 'skipped'")
    assert row == (BESIDE_ROWS,)


# A disk that is full, or fails --------------------------------------------------------------------


async def test_a_full_disk_is_told_and_work_goes_on_when_there_is_room(
    journal: SqliteJournal,
) -> None:
    await journal.append([entry("first")])
    big = [entry(f"m{n}", payload=b"x" * 4000) for n in range(50)]
    async with at_most_pages(journal, 10):
        answers = await at_once(*(journal.append([one]) for one in big), journal.append(big))
        refused = [one for one in answers if isinstance(one, Exception)]
        assert refused
        assert all(isinstance(one, JournalUnavailableError) for one in refused)
        assert "SQLITE_FULL" in str(refused[0])
        kept = [one[0].seq for one in answers if not isinstance(one, Exception)]
        rows = await chain(journal)
        assert [row.seq for row in rows[1:]] == kept
    appended = await journal.append(big)
    assert [one.duplicate for one in appended].count(True) == len(kept)
    assert (await journal.counts()).pending == 51
    assert not journal.broken.done()


async def test_a_disk_that_fails_ends_the_journal_and_loses_no_promise(tmp_path: Path) -> None:
    journal = open_sqlite(tmp_path / "bridge.db")
    await journal.append([entry("kept")])
    with files_of_at_most(1_000_000):
        with pytest.raises(JournalUnavailableError, match="SQLITE_IOERR"):
            await journal.append([entry("lost", payload=b"x" * 4_000_000)])
        assert "SQLITE_IOERR" in await journal.broken
    with pytest.raises(JournalUnavailableError, match="the database failed"):
        await journal.append([entry("late")])
    await journal.close()
    again = open_sqlite(tmp_path / "bridge.db")
    assert [row.message_id for row in await chain(again)] == ["kept"]
    await again.close()


async def test_what_waits_when_the_disk_fails_is_refused_and_not_tried(
    tmp_path: Path,
) -> None:
    journal = open_sqlite(tmp_path / "bridge.db")
    with files_of_at_most(1_000_000):
        async with a_slow_disk(journal):
            big = [entry(f"big{n}", payload=b"x" * 2_000) for n in range(MAX_ROWS)]
            first = asyncio.ensure_future(journal.append(big))
            second = asyncio.ensure_future(journal.append([entry("small")]))
            await asyncio.sleep(0)  # noqa: TID251 — lets the tasks ask; no time passes
        answers = await at_once(first, second)
    assert [type(one) for one in answers] == [JournalUnavailableError, JournalUnavailableError]
    assert await chain(journal) == []
    await journal.close()


async def test_a_database_that_another_program_holds_is_tried_once_a_group(
    journal: SqliteJournal, tmp_path: Path
) -> None:
    journal._writer._connection.execute("PRAGMA busy_timeout = 1")
    statements = await trace(journal)
    other = sqlite3.connect(tmp_path / "bridge.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    answers = await at_once(*(journal.append([entry(f"m{n}")]) for n in range(200)))
    other.execute("ROLLBACK")
    other.close()
    assert all(isinstance(one, JournalUnavailableError) for one in answers)
    assert statements.count("BEGIN IMMEDIATE") <= 25
    assert not (await journal.append([entry("m1")]))[0].duplicate
    assert not journal.broken.done()


async def test_after_a_reader_met_a_broken_database_nothing_is_kept_any_more(
    journal: SqliteJournal,
) -> None:
    def corrupt(_: sqlite3.Connection) -> None:
        error = sqlite3.DatabaseError("database disk image is malformed")
        error.sqlite_errorname = "SQLITE_CORRUPT"
        raise error

    with pytest.raises(sqlite3.DatabaseError):
        await journal._read(corrupt)

    assert "SQLITE_CORRUPT" in await journal.broken
    assert journal.unready is not None
    with pytest.raises(JournalUnavailableError):
        await journal.append([entry("m1")])


class BrokenDiskError(sqlite3.OperationalError):
    sqlite_errorname = "SQLITE_IOERR_FSYNC"


@pytest.mark.parametrize("error", [ZeroDivisionError, sqlite3.OperationalError, BrokenDiskError])
async def test_what_fails_aside_leaves_nothing_behind_and_after_a_broken_disk_nothing_is_taken(
    journal: SqliteJournal, error: type[Exception]
) -> None:
    def work(connection: sqlite3.Connection) -> None:
        connection.execute("INSERT INTO meta (key, value) VALUES ('half', x'00')")
        raise error

    with pytest.raises((ZeroDivisionError, JournalUnavailableError)):
        await journal._writer.aside(work)
    if error is BrokenDiskError:
        with pytest.raises(JournalUnavailableError):
            await journal.append([entry("m1")])
    else:
        await journal.append([entry("m1")])
        assert await select(journal, "SELECT key FROM meta WHERE key = 'half'") == []
        assert (await journal.counts()).pending == 1
