"""Whatever page is damaged, the rest of a journal can be saved; and a log cut short is only shorter."""

from __future__ import annotations

import random
import shutil
from pathlib import Path

import pytest

from bridge.errors import JournalBusyError, JournalDamagedError, JournalError
from bridge.journal.hashing import dedupe_key
from bridge.journal.records import Entry
from bridge.journal.salvage import salvage
from bridge.journal.sqlite import open_sqlite
from bridge.journal.sqlite_file import create, lock
from tests.journal.making import end, entry, new_send, select, write

PAGE = 4096
EVENTS = 300
PER_BATCH = 10
ENDED, SENDING = 100, 20
MOST_ON_A_PAGE = 60


def named(number: int) -> Entry:
    name = f"m{number:04}"
    user = number % 20 + 1
    key = dedupe_key("web", name)
    return entry(name, dedupe_key=key, user_hash=user, payload=b"{}" + b" " * 100)


def names(numbers: range) -> set[str]:
    return {f"m{number:04}" for number in numbers}


@pytest.fixture
async def whole(tmp_path: Path) -> Path:
    """A closed journal: a part of its events has ended, some have sends, the rest waits."""
    path = tmp_path / "bridge.db"
    journal = open_sqlite(path)
    seqs: list[int] = []
    for start in range(0, EVENTS, PER_BATCH):
        batch = [named(number) for number in range(start, start + PER_BATCH)]
        seqs += [one.seq for one in await journal.append(batch)]
    for seq in seqs[:ENDED]:
        await journal.finish(seq, [end(key=None)], deaths=[], at_ms=1)
    for seq in seqs[ENDED : ENDED + SENDING]:
        await write(journal, new_send(seq, key=f"key-{seq}"))
    await journal.close()
    return path


def pages(path: Path) -> int:
    return path.stat().st_size // PAGE


def damaged(path: Path, page: int) -> Path:
    """A copy of which this page is overwritten."""
    copy = path.with_name(f"damaged-{page}.db")
    content = bytearray(path.read_bytes())
    content[page * PAGE : (page + 1) * PAGE] = random.Random(page).randbytes(PAGE)
    copy.write_bytes(content)
    return copy


async def test_of_a_journal_that_is_whole_everything_is_saved(whole: Path, tmp_path: Path) -> None:
    before = open_sqlite(whole)
    tables = [name for (name,) in await select(before, TABLES)]
    rows = {table: await select(before, f"SELECT * FROM {table}") for table in tables}
    await before.close()
    saved = salvage(whole, tmp_path / "new.db")
    after = open_sqlite(tmp_path / "new.db")
    found = {table: await select(after, f"SELECT * FROM {table}") for table in tables}
    await after.close()
    assert saved.damaged == ()
    assert saved.rows["event"] == EVENTS
    # The tail is in the indexes now, and the run is counted.
    for table in ("tail", "pending", "dedupe", "meta"):
        rows.pop(table), found.pop(table)
    assert found == rows


TABLES = "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%'"


async def test_whatever_page_is_damaged_the_rest_is_saved_and_worked_on(
    whole: Path, tmp_path: Path
) -> None:
    events = names(range(EVENTS))
    for page in range(pages(whole)):
        target = tmp_path / f"new-{page}.db"
        salvage(damaged(whole, page), target)
        journal = open_sqlite(target)
        kept = {name for (name,) in await select(journal, "SELECT message_id FROM event")}
        working = "SELECT message_id FROM event JOIN pending USING (seq)"
        waiting = {name for (name,) in await select(journal, working)}
        again = await journal.append([named(number) for number in range(EVENTS)])
        await journal.close()
        assert kept <= events
        assert len(kept) >= EVENTS - MOST_ON_A_PAGE, page
        # Nothing that has not ended is forgotten, and what is there is known to have been heard.
        assert waiting >= kept & names(range(ENDED, EVENTS)), page
        assert {
            one.duplicate for one, name in zip(again, sorted(events), strict=True) if name in kept
        } == {True}
        target.unlink()


async def test_a_log_that_is_cut_anywhere_holds_whole_batches_up_to_there(tmp_path: Path) -> None:
    path = tmp_path / "bridge.db"
    journal = open_sqlite(path)
    for start in range(0, EVENTS, PER_BATCH):
        await journal.append([named(number) for number in range(start, start + PER_BATCH)])
    database, log = path.read_bytes(), path.with_name("bridge.db-wal").read_bytes()
    await journal.close()
    counts = []
    for cut in range(len(log), 0, -(len(log) // 25)):
        folder = tmp_path / str(cut)
        folder.mkdir()
        (folder / "bridge.db").write_bytes(database)
        (folder / "bridge.db-wal").write_bytes(log[:cut])
        journal = open_sqlite(folder / "bridge.db")
        found = {name for (name,) in await select(journal, "SELECT message_id FROM event")}
        await journal.close()
        assert found == names(range(len(found)))
        assert len(found) % PER_BATCH == 0
        counts.append(len(found))
        shutil.rmtree(folder)
    assert counts[0] == EVENTS
    assert counts == sorted(counts, reverse=True)
    assert counts[-1] < EVENTS // 10


async def test_nothing_is_written_over_and_nothing_read_that_is_in_use(
    whole: Path, tmp_path: Path
) -> None:
    target = tmp_path / "new.db"
    create(target)
    with pytest.raises(JournalError, match="is there already"):
        salvage(whole, target)
    with lock(whole), pytest.raises(JournalBusyError):
        salvage(whole, tmp_path / "another.db")
    with pytest.raises(JournalError, match="there is no database"):
        salvage(tmp_path / "nowhere.db", tmp_path / "another.db")


def left(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


async def test_of_what_was_never_a_journal_nothing_is_left(tmp_path: Path) -> None:
    path, target = tmp_path / "notes.db", tmp_path / "new.db"
    path.write_bytes(b"These are the notes of a meeting.\n" * 900)
    with pytest.raises(JournalDamagedError, match="nothing could be read"):
        salvage(path, target)
    assert left(tmp_path) == {"notes.db", "notes.db.lock"}


async def test_a_copy_from_before_the_last_run_is_refused(whole: Path, tmp_path: Path) -> None:
    shutil.copyfile(whole, tmp_path / "older")
    await open_sqlite(whole).close()
    shutil.copyfile(tmp_path / "older", whole)
    with pytest.raises(JournalError, match="older copy"):
        open_sqlite(whole)
    whole.with_name("bridge.db.lock").unlink()
    await open_sqlite(whole).close()
