"""A SQLite journal that is open: its lock, the one who writes and those who read, until all are let go.

::

    lock ──> writer    every transaction, in groups that share a commit; see `writer`
             reader    what work waits for, on a connection that cannot write
             looks     what people ask for, who may want a million rows: work does not wait for it

A file that cannot be read any more is not written to, either: whoever reads tells the writer.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import IO, Any, TypeVar

from bridge.errors import JournalUnavailableError
from bridge.journal import hashing
from bridge.journal.queries import queries
from bridge.journal.sqlite_acks import Acks
from bridge.journal.sqlite_file import begin_run, create, lock, note_run, open_reader, open_writer
from bridge.journal.sqlite_looks import SqliteLooks
from bridge.journal.sqlite_tail import Tail
from bridge.journal.writer import Transaction, Writer, fatal_name

T = TypeVar("T")


class Opened:
    """What is asked of an open file, by whoever says what."""

    def __init__(
        self,
        path: Path,
        held: IO[bytes],
        connection: sqlite3.Connection,
        tail: Tail,
        *,
        is_new: bool,
    ) -> None:
        self.path = path
        self.is_new = is_new
        self.tail = tail
        self.acks = Acks()
        self.broken: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._held = held
        self._closed = False
        begin_run(path, held, connection)
        self.salt: bytes = connection.execute(queries()["meta_get"], {"key": "salt"}).fetchone()[0]
        self._reader = open_reader(path)
        self._reading = ThreadPoolExecutor(1, thread_name_prefix="journal-reader")
        self._loop = asyncio.get_running_loop()
        self.writer = Writer(connection, tail=tail, acks=self.acks, broken=self._break)
        hashed = partial(hashing.user_hash, self.salt)
        self.looks = SqliteLooks(path, hashed=hashed, flush=self.flush)
        for one in (connection, self._reader):
            one.create_function("hash_of", 2, hashed, deterministic=True)

    def __repr__(self) -> str:
        return f"<Opened {self.path}, {self.tail!r}>"

    def _break(self, why: str) -> None:
        if not self.broken.done():
            self.broken.set_result(why)

    async def write(self, transaction: Transaction) -> Any:
        return await self.writer.submit(transaction)

    async def execute(self, query: str, values: dict[str, Any]) -> None:
        """A transaction of one statement."""

        def write(connection: sqlite3.Connection) -> None:
            connection.execute(queries()[query], values)

        await self.write(write)

    async def read(self, query: Callable[[sqlite3.Connection], T]) -> T:
        if self._closed:
            raise JournalUnavailableError("the journal is closed")
        with self._fails_with_the_file():
            return await self._loop.run_in_executor(self._reading, query, self._reader)

    async def rows(self, query: str, values: dict[str, Any]) -> list[Any]:
        """What one statement finds: a few rows."""
        return await self.read(
            lambda connection: connection.execute(queries()[query], values).fetchall()
        )

    async def look(self, query: Callable[[sqlite3.Connection], T]) -> T:
        """For people, who may ask for a million rows: delivery does not wait for it."""
        with self._fails_with_the_file():
            return await self.looks.look(query)

    async def look_back(self, query: Callable[[sqlite3.Connection], T]) -> T:
        """At all that was heard before, on a connection of its own: nobody waits for who looks back."""
        await self.flush()
        return await asyncio.to_thread(self._look_back, query)

    def _look_back(self, query: Callable[[sqlite3.Connection], T]) -> T:
        with closing(open_reader(self.path)) as connection:
            return query(connection)

    @contextmanager
    def _fails_with_the_file(self) -> Iterator[None]:
        """What cannot be read any more is not written to, either."""
        try:
            yield
        except sqlite3.Error as error:
            if (name := fatal_name(error)) is not None:
                self.writer.fail(f"the database failed ({name})")
            raise

    async def flush(self) -> None:
        """What was heard or called last is on disk; a journal that writes no more can be asked, too."""
        with suppress(JournalUnavailableError):
            await self.write(lambda _: None)

    async def _end_run(self) -> None:
        """Also an end is counted, so that a copy made before it is known to be one."""

        def write(connection: sqlite3.Connection) -> int:
            connection.execute(queries()["next_run"])
            return int(connection.execute(queries()["run"]).fetchone()[0])

        with suppress(JournalUnavailableError):
            note_run(self._held, await self.write(write))

    async def close(self) -> None:
        if not self._closed:
            await self._end_run()
        self._closed = True
        await asyncio.to_thread(self._reading.shutdown)
        await asyncio.to_thread(self.looks.close)
        if not self.broken.done():
            # The last connection to go folds the log into the file; after a failure it must not.
            self._reader.close()
        await self.writer.close()
        self._reader.close()
        self._held.close()


def open_file(path: Path, *, tail_rows: int) -> Opened:
    """Open the journal at `path`, making it when there is nothing there. Needs a running loop.

    Raises:
        JournalError: with a message that says what to do; see `sqlite_file`.
    """
    held = lock(path)
    try:
        is_new = not path.exists()
        if is_new:
            create(path)
        writer = open_writer(path)
        return Opened(path, held, writer, Tail(writer, most=tail_rows), is_new=is_new)
    except BaseException:
        held.close()
        raise
