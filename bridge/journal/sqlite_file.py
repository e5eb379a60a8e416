"""Opening a SQLite file so that it can be trusted, or saying why it cannot.

One process holds a file (an exclusive lock beside it). A new one is built under another name and
renamed, so a file that exists is always whole, and one that is empty or foreign is never used.
`synchronous=FULL` is set and read back: with less, a power cut takes the last commits along.
"""

from __future__ import annotations

import fcntl
import os
import secrets
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from bridge.errors import JournalBusyError, JournalDamagedError, JournalError
from bridge.journal.queries import queries, schema
from bridge.journal.records import Counts

APPLICATION_ID = 0x5E601516
SCHEMA_VERSION = 10
QUICK_CHECK_BYTES = 2_000_000_000
ITS_OWNERS = 0o600
"""Events are people's: nobody else on the machine reads them. SQLite makes the log like the file beside it."""
_FULL = 2
_NOT_THE_FILE = ("SQLITE_CANTOPEN", "SQLITE_READONLY", "SQLITE_PERM", "SQLITE_BUSY", "SQLITE_FULL")


def lock(path: Path) -> IO[bytes]:
    """Hold the database for this process; the lock goes with the process.

    Raises:
        JournalBusyError: another process holds it.
        JournalError: the folder is missing or cannot be written.
    """
    try:
        # Not emptied: it says which run of the database was the last.
        opened = os.open(path.with_name(path.name + ".lock"), os.O_RDWR | os.O_CREAT, ITS_OWNERS)
    except OSError as error:
        raise JournalError(
            f"cannot write beside the database {path}: {error.strerror}",
            hint="create the folder, and let the user that the bridge runs as write there",
        ) from None
    handle = os.fdopen(opened, "r+b", buffering=0)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        handle.close()
        raise JournalBusyError(
            f"another process is using the database {path}",
            hint="stop it first; one process owns a SQLite journal",
        ) from None
    except OSError as error:
        handle.close()
        raise JournalError(
            f"cannot lock the database {path}: {error.strerror}",
            hint="put the database on a local disk; network file systems cannot keep the promise",
        ) from None
    return handle


def begin_run(path: Path, held: IO[bytes], connection: sqlite3.Connection) -> None:
    """Count a run of the database, in it and beside it.

    Raises:
        JournalError: there was a later one, so this is not the file that it was: a copy from before.
    """
    (run,) = connection.execute(queries()["run"]).fetchone()
    if run < (last := _last_run(held)):
        raise JournalError(
            f"{path} is an older copy: what was accepted since it was made is not in it (run {run} of {last})",
            hint=f"bring the newer file back; to go on from this one all the same, remove {path}.lock",
        )
    connection.execute(queries()["next_run"])
    note_run(held, run + 1)


def _last_run(held: IO[bytes]) -> int:
    held.seek(0)
    text = held.read(20).strip()
    return int(text) if text.isdigit() else 0


def note_run(held: IO[bytes], run: int) -> None:
    held.seek(0)
    # As many bytes each time, so that there is never a part of two numbers. A disk that is full loses only this check.
    with suppress(OSError):
        held.write(b"%019d\n" % run)


def create(path: Path) -> None:
    """Build an empty journal at `path`, which appears whole or not at all."""
    orphan = path.with_name(path.name + "-wal")
    if orphan.exists():
        raise JournalDamagedError(
            f"{orphan} is there, but {path} is not",
            hint="bring the database back from where it was moved, or move the -wal file away too",
        )
    draft = path.with_name(path.name + ".new")
    draft.unlink(missing_ok=True)
    draft.touch(ITS_OWNERS)
    connection = sqlite3.connect(draft, isolation_level=None)
    try:
        connection.executescript(f"PRAGMA synchronous = FULL;\nBEGIN;\n{schema()}\nCOMMIT;")
        connection.execute(queries()["meta_set"], {"key": "salt", "value": secrets.token_bytes(32)})
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
    finally:
        connection.close()
    draft.rename(path)
    _sync_folder(path.parent)


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def open_writer(path: Path) -> sqlite3.Connection:
    """The one connection that writes.

    Raises:
        JournalDamagedError: the file is not a journal that can be trusted.
        JournalError: it is a journal of a newer version, or cannot be made durable.
    """
    try:
        # Used by the loop's thread and the disk's, never by both at once.
        connection = sqlite3.connect(
            path,
            timeout=1,
            isolation_level=None,
            check_same_thread=False,
            # Of every statement there is, in each of the sizes that it comes in.
            cached_statements=1000,
        )
    except sqlite3.DatabaseError as error:
        raise _unusable(path, error) from None
    try:
        _identify(connection, path)
        _prepare(connection, path)
        _check(connection, path)
    except sqlite3.DatabaseError as error:
        connection.close()
        raise _unusable(path, error) from None
    except BaseException:
        connection.close()
        raise
    return connection


def open_reader(path: Path) -> sqlite3.Connection:
    """A connection that cannot write, for beside the writer or another process."""
    connection = sqlite3.connect(
        f"{path.absolute().as_uri()}?mode=ro",
        uri=True,
        check_same_thread=False,
        isolation_level=None,
    )
    connection.execute("PRAGMA query_only = ON")
    connection.execute("PRAGMA busy_timeout = 5000")
    return connection


@contextmanager
def reading(path: Path) -> Iterator[sqlite3.Connection]:
    """The journal at `path` for a command that only looks, beside the service or without one.

    Raises:
        JournalError: there is none, or it is none that this version reads.
    """
    if not path.exists():
        raise JournalError(
            f"there is no database {path}", hint="BRIDGE_DATABASE_URL names the service's"
        )
    try:
        connection = open_reader(path)
    except sqlite3.DatabaseError as error:
        raise _unusable(path, error) from None
    try:
        _identify(connection, path)
        yield connection
    except sqlite3.DatabaseError as error:
        raise _unusable(path, error) from None
    finally:
        connection.close()


def read_counts(path: Path) -> Counts:
    """What waits in the journal at `path`, which is not locked for it, and not changed.

    Raises:
        JournalError: it is no journal of this version.
    """
    with reading(path) as connection:
        return Counts(*connection.execute(queries()["counts"]).fetchone())


def _identify(connection: sqlite3.Connection, path: Path) -> None:
    application = connection.execute("PRAGMA application_id").fetchone()[0]
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    if application != APPLICATION_ID:
        raise JournalDamagedError(
            f"{path} exists, and is not a journal of the bridge",
            hint="correct BRIDGE_DATABASE_URL, or move it away to begin a new one; if it was a journal once: segment-bridge salvage",
        )
    if version < SCHEMA_VERSION:
        raise JournalError(
            f"{path} was written before the first release of the bridge (schema {version})",
            hint="let the version that wrote it deliver what waits, then move the file away",
        )
    if version > SCHEMA_VERSION:
        raise JournalError(
            f"{path} was written by a newer version of the bridge (schema {version})",
            hint="run that version, or restore the copy made before the upgrade",
        )


def _prepare(connection: sqlite3.Connection, path: Path) -> None:
    for pragma in (
        "journal_mode = WAL",
        "synchronous = FULL",
        # The loop would wait with it; who is refused comes again.
        "busy_timeout = 100",
        "cache_size = -65536",
        "journal_size_limit = 67108864",
        # What is removed is overwritten: an erased user is not to be found in free pages.
        "secure_delete = ON",
        # The writer checkpoints when nobody is waiting for it, not inside somebody's commit.
        "wal_autocheckpoint = 0",
        "trusted_schema = OFF",
    ):
        connection.execute(f"PRAGMA {pragma}")
    mode = connection.execute("PRAGMA journal_mode").fetchone()[0]
    synchronous = connection.execute("PRAGMA synchronous").fetchone()[0]
    if mode != "wal" or synchronous != _FULL:
        raise JournalError(
            f"{path} cannot be made durable (journal_mode={mode}, synchronous={synchronous})",
            hint="put the database on a local disk; network file systems cannot keep the promise",
        )


def _check(connection: sqlite3.Connection, path: Path) -> None:
    if path.stat().st_size > QUICK_CHECK_BYTES:
        return
    found = connection.execute("PRAGMA quick_check(3)").fetchall()
    if found != [("ok",)]:
        raise _damaged(path, "; ".join(str(row[0]) for row in found))


def _unusable(path: Path, error: sqlite3.DatabaseError) -> JournalError:
    """The file could not be read as a journal: is it the file, or the way to it?"""
    if not error.sqlite_errorname.startswith(_NOT_THE_FILE):
        return _damaged(path, str(error))
    return JournalError(
        f"cannot use the database {path}: {error}",
        hint="let the user that the bridge runs as read and write it, and close other programs on it",
    )


def _damaged(path: Path, detail: str) -> JournalDamagedError:
    return JournalDamagedError(
        f"the database {path} is damaged: {detail}",
        hint="save what can be read of it in a new one: segment-bridge salvage",
    )
