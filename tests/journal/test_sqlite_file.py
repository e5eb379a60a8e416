"""A SQLite file is opened when it can be trusted, and otherwise left exactly as it is."""

from __future__ import annotations

import os
import shutil
import sqlite3
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from bridge.errors import JournalBusyError, JournalDamagedError, JournalError
from bridge.journal.sqlite import SqliteJournal, open_sqlite
from bridge.journal.sqlite_file import SCHEMA_VERSION
from tests.journal.making import entry


@pytest.fixture
async def whole(tmp_path: Path) -> Path:
    """A closed journal of many pages."""
    path = tmp_path / "bridge.db"
    journal = open_sqlite(path)
    await journal.append([entry(f"m{n}", payload=b"x" * 500) for n in range(500)])
    await journal.close()
    return path


async def pragma(journal: SqliteJournal, name: str) -> object:
    def read(connection: sqlite3.Connection) -> object:
        return connection.execute(f"PRAGMA {name}").fetchone()[0]

    return await journal._write(read)


def refused(path: Path) -> JournalError:
    """Why a file cannot be opened; that it was left as it was, and no other put in its place."""
    before = path.read_bytes()
    with pytest.raises(JournalError) as caught:
        open_sqlite(path)
    assert path.read_bytes() == before
    assert str(path) in caught.value.message
    assert caught.value.hint
    return caught.value


def overwrite(path: Path, offset: int, wrong: bytes) -> None:
    with path.open("r+b") as file:
        file.seek(offset)
        file.write(wrong)


def size(path: Path) -> int:
    return path.stat().st_size


def modes(folder: Path) -> dict[str, int]:
    return {one.name: stat.S_IMODE(one.stat().st_mode) for one in folder.iterdir()}


def make_read_only(folder: Path) -> None:
    folder.chmod(0o500)


@pytest.mark.parametrize(
    ("name", "value"),
    [("synchronous", 2), ("journal_mode", "wal"), ("wal_autocheckpoint", 0), ("trusted_schema", 0)],
)
async def test_the_writer_waits_for_the_disk(
    journal: SqliteJournal, name: str, value: object
) -> None:
    assert await pragma(journal, name) == value


async def test_the_reader_cannot_write(journal: SqliteJournal) -> None:
    with pytest.raises(sqlite3.OperationalError, match="readonly"):
        await journal._read(lambda connection: connection.execute("DELETE FROM event"))


async def test_a_file_in_use_is_refused_and_its_user_not_troubled(tmp_path: Path) -> None:
    path = tmp_path / "bridge.db"
    first = open_sqlite(path)
    with pytest.raises(JournalBusyError) as caught:
        open_sqlite(path)
    assert str(path) in caught.value.message
    assert caught.value.hint
    (kept,) = await first.append([entry("m1")])
    assert not kept.duplicate
    await first.close()
    await open_sqlite(path).close()


async def test_a_refused_file_is_not_held(whole: Path) -> None:
    overwrite(whole, 0, b"Something else 3")
    refused(whole)
    overwrite(whole, 0, b"SQLite format 3\0")
    await open_sqlite(whole).close()


async def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "bridge.db"
    path.write_bytes(b"These are the notes of a meeting.\n" * 200)
    assert isinstance(refused(path), JournalDamagedError)


async def test_an_empty_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "bridge.db"
    path.touch()
    error = refused(path)
    assert isinstance(error, JournalDamagedError)
    assert size(path) == 0


async def test_the_database_of_another_program_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "bridge.db"
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE note (text)")
    connection.close()
    error = refused(path)
    assert isinstance(error, JournalDamagedError)
    assert "not a journal" in error.message


@pytest.mark.parametrize("offset", [0, 16, 100])
async def test_an_overwritten_header_is_damage(whole: Path, offset: int) -> None:
    overwrite(whole, offset, b"\xa5" * 32)
    error = refused(whole)
    assert isinstance(error, JournalDamagedError)


async def test_a_page_overwritten_in_the_middle_is_damage_with_a_way_out(whole: Path) -> None:
    overwrite(whole, size(whole) // 2 // 4096 * 4096, b"\xa5" * 4 * 4096)
    error = refused(whole)
    assert isinstance(error, JournalDamagedError)
    assert "damaged" in error.message
    assert "segment-bridge salvage" in (error.hint or "")


async def test_a_file_cut_short_is_damage(whole: Path) -> None:
    with whole.open("r+b") as file:
        file.truncate(size(whole) // 2)
    assert isinstance(refused(whole), JournalDamagedError)


async def test_a_newer_schema_is_refused_but_is_no_damage(whole: Path) -> None:
    connection = sqlite3.connect(whole)
    connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION + 1}")
    connection.close()
    error = refused(whole)
    assert not isinstance(error, JournalDamagedError)
    assert f"schema {SCHEMA_VERSION + 1}" in error.message


async def test_a_database_that_another_program_writes_to_is_not_called_damaged(whole: Path) -> None:
    other = sqlite3.connect(whole, isolation_level=None)
    other.execute("PRAGMA locking_mode = EXCLUSIVE")
    other.execute("BEGIN EXCLUSIVE")
    with pytest.raises(JournalError, match="locked") as caught:
        open_sqlite(whole)
    assert not isinstance(caught.value, JournalDamagedError)
    other.close()


async def test_a_wal_without_its_database_is_refused_and_kept(tmp_path: Path) -> None:
    orphan = tmp_path / "bridge.db-wal"
    orphan.write_bytes(b"the last events of a database that was moved")
    with pytest.raises(JournalDamagedError) as caught:
        open_sqlite(tmp_path / "bridge.db")
    assert str(orphan) in caught.value.message
    assert orphan.read_bytes() == b"the last events of a database that was moved"
    assert not (tmp_path / "bridge.db").exists()


async def test_a_missing_folder_is_told_and_not_made(tmp_path: Path) -> None:
    with pytest.raises(JournalError, match="cannot write beside") as caught:
        open_sqlite(tmp_path / "data" / "bridge.db")
    assert "create the folder" in (caught.value.hint or "")
    assert not (tmp_path / "data").exists()


async def test_a_file_in_place_of_the_folder_is_told(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("no folder")
    with pytest.raises(JournalError, match="cannot write beside"):
        open_sqlite(tmp_path / "data" / "bridge.db")


@contextmanager
def not_as_root() -> Iterator[None]:
    """Root may write everywhere, so a test that is run by root is somebody else for a moment."""
    was = os.geteuid()
    if was == 0:
        os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(was)


async def test_a_folder_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    make_read_only(tmp_path)
    with not_as_root(), pytest.raises(JournalError, match="cannot write beside"):
        open_sqlite(tmp_path / "bridge.db")


async def test_a_folder_in_place_of_the_file_is_no_damaged_database(tmp_path: Path) -> None:
    (tmp_path / "bridge.db").mkdir()
    with pytest.raises(JournalError, match="cannot use the database") as caught:
        open_sqlite(tmp_path / "bridge.db")
    assert not isinstance(caught.value, JournalDamagedError)


async def test_a_crash_while_the_file_was_made_is_made_good(tmp_path: Path) -> None:
    path = tmp_path / "bridge.db"
    (tmp_path / "bridge.db.new").write_bytes(b"half a database")
    (tmp_path / "bridge.db.new-journal").write_bytes(b"half a journal")
    journal = open_sqlite(path)
    assert journal.is_new
    await journal.append([entry("m1")])
    await journal.close()
    assert not (tmp_path / "bridge.db.new").exists()
    assert path.exists()


async def test_after_a_clean_end_the_file_is_all_there_is(whole: Path, tmp_path: Path) -> None:
    assert not whole.with_name("bridge.db-wal").exists()
    moved = tmp_path / "moved.db"
    shutil.copy(whole, moved)
    journal = open_sqlite(moved)
    assert (await journal.counts()).pending == 500
    await journal.close()


async def test_nobody_else_on_the_machine_reads_what_is_stored(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        journal = open_sqlite(tmp_path / "bridge.db")
        await journal.append([entry("m1")])
        found = modes(tmp_path)
        await journal.close()
    finally:
        os.umask(before)
    assert found.keys() > {"bridge.db", "bridge.db-wal", "bridge.db-shm"}
    assert set(found.values()) == {0o600}
