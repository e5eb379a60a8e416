"""One connection writes: natural group commit.

Whatever was asked for while a commit was under way goes into the next one, together. There is no
timer: the running fsync is the window in which a group gathers.

::

    submit ──> a group ──> BEGIN, changes ──> COMMIT ──> the callers hear of it
                           on the loop        on the disk's thread

Changes are made on the loop's own thread, where SQLite only touches memory: a second thread would
wait for the interpreter at every statement, and the loop for it. Only the commit, which writes and
syncs, is another thread's, and with it the rows of a batch of events and the ends of many: a few
statements, however many. A group that fails is tried again one work at a time, so that a bad one does
not sink its neighbours; and once the disk has failed, nothing is tried again, because what it then
says cannot be believed.
"""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from typing import Any

from bridge import failpoints
from bridge.errors import JournalError, JournalUnavailableError
from bridge.journal.records import Called, Entry
from bridge.journal.sqlite_acks import Acks
from bridge.journal.sqlite_calls import Calls
from bridge.journal.sqlite_tail import Tail
from bridge.telemetry import log

MAX_ROWS = 500
CHECKPOINT_IDLE_ROWS = 1000
CHECKPOINT_ROWS = 5000
"""However many wait: the log is emptied in parts of 10 MB, because nobody is answered meanwhile.

Rows of a transaction that is run aside are not counted; it is reckoned with `MAX_ROWS`."""

Transaction = Callable[[sqlite3.Connection], Any]
_Future = asyncio.Future[Any]
_Asked = tuple[list[Entry] | Transaction, _Future]
_Group = list[_Asked]
_FATAL = ("SQLITE_IOERR", "SQLITE_CORRUPT", "SQLITE_NOTADB", "SQLITE_READONLY")
_BUSY = ("SQLITE_BUSY", "SQLITE_LOCKED")


@dataclass(slots=True)
class Queued:
    """What waits for a commit: transactions and entries, and the bytes of their payloads."""

    rows: int = 0
    bytes: int = 0


def fatal_name(error: BaseException) -> str | None:
    """SQLite's name for an error after which the database cannot be trusted; None for others."""
    name: str = getattr(error, "sqlite_errorname", "")
    return name if name.startswith(_FATAL) else None


class Writer:
    """Runs transactions on the one writing connection, in the order they were asked for.

    `broken` is called once when the database cannot be trusted any more.
    """

    def __init__(
        self,
        connection: sqlite3.Connection,
        *,
        tail: Tail,
        acks: Acks,
        broken: Callable[[str], None],
    ) -> None:
        self._connection = connection
        self._tail = tail
        self._acks = acks
        self._calls = Calls(connection)
        self._broken = broken
        #: With the rows and the bytes of each.
        self._works: deque[tuple[_Asked, int, int]] = deque()
        self._alone: deque[_Group] = deque()
        #: What is done on the disk's thread between two groups, one at a time.
        self._beside: deque[Callable[[], None]] = deque()
        #: What is asked for and not committed yet.
        self.waiting = Queued()
        #: Of the group that was taken last.
        self._group_rows = 0
        self._busy = False
        self._closing = False
        self._failed: str | None = None
        self._rows_since_checkpoint = 0
        #: Told of every group that is on disk: its rows, and how long the commit took.
        self.told: Callable[[int, float], None] = lambda _rows, _seconds: None
        self._loop = asyncio.get_running_loop()
        self._disk = ThreadPoolExecutor(1, thread_name_prefix="journal-disk")
        self._idle = asyncio.Event()
        self._idle.set()

    def submit(self, work: list[Entry] | Transaction) -> _Future:
        """Entries to append, or a transaction to run; the future ends after the commit."""
        future: _Future = self._loop.create_future()
        if self._failed is not None or self._closing:
            future.set_exception(JournalUnavailableError(self._failed or "the journal is closing"))
            return future
        rows, size = _size(work)
        self.waiting.rows += rows
        self.waiting.bytes += size
        self._works.append(((work, future), rows, size))
        self._begin_soon()
        return future

    def log(self, called: Called) -> None:
        """Keep an attempt with the next transaction."""
        if self._failed is not None or self._closing:
            return
        self._calls.add(called)
        if self._calls.are_many:
            self._write_calls()

    def _write_calls(self) -> None:
        """Begin a transaction for them alone; nobody waits for it."""
        self.submit(lambda _: None).add_done_callback(lambda done: done.exception())

    def aside(self, work: Transaction) -> _Future:
        """A transaction that is in no hurry, without the loop: it is run between two groups."""

        def change() -> Any:
            self._connection.execute("BEGIN IMMEDIATE")
            result = work(self._connection)
            self._connection.execute("COMMIT")
            self._rows_since_checkpoint += MAX_ROWS
            if self._rows_since_checkpoint >= CHECKPOINT_ROWS:
                self._checkpoint()
            return result

        return self._put_aside(change)

    def scrub(self) -> _Future:
        """Empty the log of the database into it; False when a reader was in the way."""

        def checkpoint() -> bool:
            row = self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
            return bool(row[0] == 0)

        return self._put_aside(checkpoint)

    def _put_aside(self, work: Callable[[], Any]) -> _Future:
        future: _Future = self._loop.create_future()
        if self._failed is not None or self._closing:
            future.set_exception(JournalUnavailableError(self._failed or "the journal is closing"))
            return future

        def run() -> None:
            try:
                result = work()
            except Exception as error:  # noqa: BLE001 — whatever it is, who asked hears it
                self._loop.call_soon_threadsafe(self._failed_aside, future, error)
            else:
                self._loop.call_soon_threadsafe(_settle, [(future, result)])

        self._beside.append(run)
        self._begin_soon()
        return future

    def _failed_aside(self, future: _Future, error: Exception) -> None:
        self._undo_aside()
        self._is_fatal(error)
        _settle([(future, _refusal(error))])

    async def close(self) -> None:
        """Finish what was asked, checkpoint, and let go of the connection."""
        if self._closing:
            return
        self._write_calls()
        self._closing = True
        await self._idle.wait()
        if self._failed is None:
            self._rows_since_checkpoint = CHECKPOINT_ROWS
            await self._loop.run_in_executor(self._disk, self._checkpoint)
        self._disk.shutdown()
        self._connection.close()

    def _begin_soon(self) -> None:
        if not self._busy:
            # At the end of this turn of the loop, so that all that it brings shares a commit.
            self._busy = True
            self._idle.clear()
            self._loop.call_soon(self._begin)

    def _begin(self) -> None:
        """Make the next group's changes, and hand them to the disk."""
        group = self._next_group()
        if not group and self._beside:
            self._keep_up(self._beside.popleft())
            return
        if not group:
            self._busy = False
            self._idle.set()
            return
        if self._failed is not None:
            self._refuse(group, JournalUnavailableError(self._failed))
            self._loop.call_soon(self._begin)
            return
        try:
            results = self._change([work for work, _ in group])
        except Exception as error:  # noqa: BLE001 — whatever it is, the caller hears it and the next group goes on
            self._undo()
            self._trouble(group, error)
            return
        began, rows = self._loop.time(), self._group_rows
        committing = self._loop.run_in_executor(self._disk, self._commit)
        committing.add_done_callback(lambda done: self._committed(group, results, done))
        committing.add_done_callback(lambda _: self.told(rows, self._loop.time() - began))

    def _next_group(self) -> _Group:
        if self._alone:
            return self._alone.popleft()
        group: _Group = []
        rows = size = 0
        while self._works and rows < MAX_ROWS:
            one, more_rows, more_bytes = self._works.popleft()
            group.append(one)
            rows, size = rows + more_rows, size + more_bytes
        self.waiting.rows -= rows
        self.waiting.bytes -= size
        self._rows_since_checkpoint += rows
        self._group_rows = rows
        return group

    def _change(self, works: list[list[Entry] | Transaction]) -> list[Any]:
        self._connection.execute("BEGIN IMMEDIATE")
        self._calls.write(self._connection)
        appended = self._append([work for work in works if isinstance(work, list)])
        results = [
            next(appended) if isinstance(work, list) else work(self._connection) for work in works
        ]
        if not self._acks.are_many:
            self._acks.flush(self._connection)
        return results

    def _append(self, batches: list[list[Entry]]) -> Any:
        if not batches:
            return iter(())
        rows = [entry for batch in batches for entry in batch]
        results = iter(self._tail.append(self._connection, rows))
        return iter([list(islice(results, len(batch))) for batch in batches])

    def _commit(self) -> None:
        """On the disk's thread: the interpreter is free while SQLite writes and syncs."""
        self._tail.flush(self._connection)
        self._acks.flush(self._connection)
        self._connection.execute("COMMIT")

    def _committed(self, group: _Group, results: list[Any], done: asyncio.Future[None]) -> None:
        error = done.exception()
        if error is not None:
            self._undo()
            self._trouble(group, error)
            return
        self._tail.keep()
        self._calls.keep()
        _settle([(future, result) for (_, future), result in zip(group, results, strict=True)])
        if (upkeep := self._upkeep()) is not None:
            self._keep_up(upkeep)
            return
        # After the callers have heard of it: what they ask for next goes into the next group.
        self._loop.call_soon(self._begin)

    def _keep_up(self, upkeep: Callable[[], None]) -> None:
        """On the disk's thread, and then go on."""
        keeping = self._loop.run_in_executor(self._disk, upkeep)
        keeping.add_done_callback(lambda _: self._begin())

    def _upkeep(self) -> Callable[[], None] | None:
        """What the disk has to do before the next group: one thing at a time, because callers wait."""
        if self._beside:
            # First, because who asked for it waits: a tail is full again and again while events come.
            return self._beside.popleft()
        if self._tail.is_full:
            return self._index
        due = CHECKPOINT_ROWS if self._works else CHECKPOINT_IDLE_ROWS
        return self._checkpoint if self._rows_since_checkpoint >= due else None

    def _undo(self) -> None:
        self._tail.undo()
        self._acks.undo()
        self._calls.undo()
        self._undo_aside()

    def _undo_aside(self) -> None:
        # A full disk rolls back by itself, and then there is nothing left to roll back.
        if self._connection.in_transaction:
            with contextlib.suppress(sqlite3.Error):
                self._connection.execute("ROLLBACK")

    def _trouble(self, group: _Group, error: BaseException) -> None:
        if self._is_fatal(error) or _is_busy(error) or len(group) == 1:
            self._refuse(group, error)
        else:
            self._alone.extend([one] for one in group)
        self._loop.call_soon(self._begin)

    def _is_fatal(self, error: BaseException) -> bool:
        name = fatal_name(error)
        if name is not None:
            # After a failed fsync nobody knows what is on disk: only a restart reads it back.
            self.fail(f"the database failed ({name})")
        return name is not None

    def fail(self, why: str) -> None:
        """Write nothing more; what is asked for from now on is refused."""
        self._failed = why
        self._broken(why)

    def _refuse(self, group: _Group, error: BaseException) -> None:
        refusal = _refusal(error)
        _settle([(future, refusal) for _, future in group])

    def _index(self) -> None:
        """On the disk's thread. A tail that could not be indexed only grows, and is tried again."""
        try:
            self._tail.index(self._connection)
        except sqlite3.Error as error:
            self._loop.call_soon_threadsafe(self._undo)
            self._loop.call_soon_threadsafe(self._failed_upkeep, "index", error)
        else:
            self._loop.call_soon_threadsafe(self._tail.forget)

    def _checkpoint(self) -> None:
        """On the disk's thread."""
        self._rows_since_checkpoint = 0
        failpoints.reached("log.emptying")
        try:
            self._connection.execute("PRAGMA wal_checkpoint(PASSIVE)")
            failpoints.reached("log.emptied")
        except sqlite3.Error as error:
            self._loop.call_soon_threadsafe(self._failed_upkeep, "checkpoint", error)

    def _failed_upkeep(self, what: str, error: sqlite3.Error) -> None:
        """Nobody waits for it and nothing is lost by it, but the log of the database only grows."""
        if not self._is_fatal(error):
            name = getattr(error, "sqlite_errorname", type(error).__name__)
            log().warning("journal.upkeep_failed", what=what, reason=name)


def _size(work: list[Entry] | Transaction) -> tuple[int, int]:
    if not isinstance(work, list):
        return 1, 0
    return len(work), sum([len(entry.payload) for entry in work if entry.payload])


def _is_busy(error: BaseException) -> bool:
    """Another program holds the database: true for the next in the group as well, after a wait."""
    name: str = getattr(error, "sqlite_errorname", "")
    return name.startswith(_BUSY)


def _refusal(error: BaseException) -> BaseException:
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
        if isinstance(result, BaseException):
            future.set_exception(result)
        else:
            future.set_result(result)
