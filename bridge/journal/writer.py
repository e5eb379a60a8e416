"""One thread writes: natural group commit.

Whatever is waiting when a commit ends goes into the next one, together. There is no timer: the
running fsync is the window in which a group gathers. A group that fails is tried again one work at
a time, so that a bad one does not sink its neighbours; and once the disk has failed, nothing is
tried again, because what it then says cannot be believed.
"""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections import deque
from collections.abc import Callable
from typing import Any, NamedTuple

from bridge.errors import JournalError, JournalUnavailableError
from bridge.journal.records import Appended, Entry

MAX_ROWS = 1000
CHECKPOINT_IDLE_ROWS = 1000
CHECKPOINT_ROWS = 20_000

Transaction = Callable[[sqlite3.Connection], Any]
AppendMany = Callable[[sqlite3.Connection, list[Entry]], list[Appended]]
_Future = asyncio.Future[Any]
_Group = list[tuple[list[Entry] | Transaction, _Future]]
_FATAL = ("SQLITE_IOERR", "SQLITE_CORRUPT", "SQLITE_NOTADB", "SQLITE_READONLY")
_BUSY = ("SQLITE_BUSY", "SQLITE_LOCKED")


class Queued(NamedTuple):
    """What waits for a commit: transactions and entries, and the bytes of their payloads."""

    rows: int
    bytes: int


def fatal_name(error: Exception) -> str | None:
    """SQLite's name for an error after which the database cannot be trusted; None for others."""
    name: str = getattr(error, "sqlite_errorname", "")
    return name if name.startswith(_FATAL) else None


class Writer:
    """Runs transactions on the one writing connection, in the order they were asked for.

    `broken` is called once, from the thread, when the database cannot be trusted any more.
    """

    def __init__(
        self,
        connection: sqlite3.Connection,
        *,
        append_many: AppendMany,
        broken: Callable[[str], None],
    ) -> None:
        self._connection = connection
        self._append_many = append_many
        self._broken = broken
        self._works: deque[tuple[list[Entry] | Transaction, _Future]] = deque()
        self._queued_rows = self._queued_bytes = 0
        self._wake = threading.Condition()
        self._closing = False
        self._failed: str | None = None
        self._rows_since_checkpoint = 0
        self._loop = asyncio.get_running_loop()
        self._thread = threading.Thread(target=self._run, name="journal-writer", daemon=True)
        self._thread.start()

    @property
    def waiting(self) -> Queued:
        return Queued(self._queued_rows, self._queued_bytes)

    def submit(self, work: list[Entry] | Transaction) -> _Future:
        """Entries to append, or a transaction to run; the future ends after the commit."""
        future: _Future = self._loop.create_future()
        if self._failed is not None or self._closing:
            future.set_exception(JournalUnavailableError(self._failed or "the journal is closing"))
            return future
        rows, size = _size(work)
        with self._wake:
            self._works.append((work, future))
            self._queued_rows += rows
            self._queued_bytes += size
            self._wake.notify()
        return future

    async def close(self) -> None:
        """Finish what was asked, checkpoint, and end the thread."""
        with self._wake:
            self._closing = True
            self._wake.notify()
        await asyncio.to_thread(self._thread.join)

    def _run(self) -> None:
        while (group := self._next_group()) is not None:
            self._commit(group)
            self._checkpoint(idle=not self._works)
        if self._failed is None:
            self._rows_since_checkpoint = CHECKPOINT_ROWS
            self._checkpoint(idle=True)
        self._connection.close()

    def _next_group(self) -> _Group | None:
        with self._wake:
            while not self._works and not self._closing:
                self._wake.wait()
            if not self._works:
                return None
            group: _Group = []
            rows = size = 0
            while self._works and rows < MAX_ROWS:
                one = self._works.popleft()
                group.append(one)
                more = _size(one[0])
                rows, size = rows + more.rows, size + more.bytes
            self._queued_rows -= rows
            self._queued_bytes -= size
            self._rows_since_checkpoint += rows
            return group

    def _commit(self, group: _Group) -> None:
        if self._failed is not None:
            self._refuse(group, JournalUnavailableError(self._failed))
            return
        works = [work for work, _ in group]
        try:
            results = self._transact(works)
        except Exception as error:  # noqa: BLE001 — whatever it is, the caller hears it and the thread lives
            if self._is_fatal(error) or _is_busy(error) or len(group) == 1:
                self._refuse(group, error)
            else:
                for one in group:
                    self._commit([one])
            return
        self._resolve(
            [(future, result) for (_, future), result in zip(group, results, strict=True)]
        )

    def _transact(self, works: list[list[Entry] | Transaction]) -> list[Any]:
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            appended = self._append([work for work in works if isinstance(work, list)])
            results = [
                next(appended) if isinstance(work, list) else work(self._connection)
                for work in works
            ]
            self._connection.execute("COMMIT")
        except BaseException:
            # A full disk rolls back by itself, and then there is nothing left to roll back.
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
            raise
        return results

    def _append(self, batches: list[list[Entry]]) -> Any:
        if not batches:
            return iter(())
        rows = [entry for batch in batches for entry in batch]
        results = iter(self._append_many(self._connection, rows))
        return iter([[next(results) for _ in batch] for batch in batches])

    def _is_fatal(self, error: Exception) -> bool:
        name = fatal_name(error)
        if name is None:
            return False
        # After a failed fsync nobody knows what is on disk: only a restart reads it back.
        self._failed = f"the database failed ({name})"
        self._broken(self._failed)
        return True

    def _refuse(self, group: _Group, error: Exception) -> None:
        refusal = _refusal(error)
        self._resolve([(future, refusal) for _, future in group])

    def _resolve(self, results: list[tuple[_Future, Any]]) -> None:
        self._loop.call_soon_threadsafe(_settle, results)

    def _checkpoint(self, *, idle: bool) -> None:
        due = CHECKPOINT_IDLE_ROWS if idle else CHECKPOINT_ROWS
        if self._failed is not None or self._rows_since_checkpoint < due:
            return
        self._rows_since_checkpoint = 0
        try:
            self._connection.execute("PRAGMA wal_checkpoint(PASSIVE)")
        except sqlite3.Error as error:
            self._is_fatal(error)


def _size(work: list[Entry] | Transaction) -> Queued:
    if not isinstance(work, list):
        return Queued(1, 0)
    return Queued(len(work), sum(len(entry.payload or b"") for entry in work))


def _is_busy(error: Exception) -> bool:
    """Another program holds the database: true for the next in the group as well, after a wait."""
    name: str = getattr(error, "sqlite_errorname", "")
    return name.startswith(_BUSY)


def _refusal(error: Exception) -> Exception:
    """What a caller hears: SQLite's own errors do not leave the journal."""
    if isinstance(error, sqlite3.IntegrityError):
        return JournalError(f"the journal refused to write what contradicts it ({error})")
    if isinstance(error, sqlite3.DatabaseError):
        name = getattr(error, "sqlite_errorname", type(error).__name__)
        return JournalUnavailableError(f"the journal could not write ({name}: {error})")
    return error


def _settle(results: list[tuple[_Future, Any]]) -> None:
    for future, result in results:
        if future.done():
            continue
        if isinstance(result, Exception):
            future.set_exception(result)
        else:
            future.set_result(result)
