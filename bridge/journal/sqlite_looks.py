"""What people look at, in a SQLite journal; see `bridge.journal.looks`."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Awaitable, Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import orjson

from bridge.errors import JournalUnavailableError
from bridge.journal.erasures import Noted
from bridge.journal.hashing import dedupe_key
from bridge.journal.looks import AMONG, PAGE, Ending, Listed, Revision, Seen, Wanted
from bridge.journal.queries import queries
from bridge.journal.sqlite_file import open_reader
from bridge.journal.trace import Asked, Event, hashes_of

if TYPE_CHECKING:
    from bridge.journal.looks import Looks

T = TypeVar("T")

_EVER = 2**62
_OF_A_USER = 10_000
_NAMES_AMONG = 5_000


class SqliteLooks:
    """Looks on a thread of its own, at what is on disk by then."""

    def __init__(
        self,
        path: Path,
        *,
        hashed: Callable[[str, str], int],
        flush: Callable[[], Awaitable[object]],
    ) -> None:
        """`hashed` is of an app and an id; `flush` returns when what was heard last is on disk."""
        self._path = path
        self._hashed = hashed
        self._flush = flush
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="journal-looks")
        self._connection: sqlite3.Connection | None = None
        self._closed = False

    async def look(self, query: Callable[[sqlite3.Connection], T]) -> T:
        """At one moment, whatever goes on."""
        if self._closed:
            raise JournalUnavailableError("the journal is closed")
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._look, query)

    def _look(self, query: Callable[[sqlite3.Connection], T]) -> T:
        if self._connection is None:
            self._connection = open_reader(self._path)
            self._connection.create_function("hash_of", 2, self._hashed, deterministic=True)
        self._connection.execute("BEGIN")
        try:
            return query(self._connection)
        finally:
            self._connection.execute("ROLLBACK")

    def close(self) -> None:
        self._closed = True
        self._thread.shutdown()
        if self._connection is not None:
            self._connection.close()

    async def listed(self, wanted: Wanted) -> Listed:
        await self._flush()
        return await self.look(lambda connection: _listed(connection, wanted))

    async def of_message(self, message_id: str, sources: Sequence[str]) -> list[int]:
        keys = [dedupe_key(source, message_id) for source in sources]
        await self._flush()
        return await self.look(lambda connection: _of_message(connection, message_id, keys))

    async def hashes(self, asked: Asked) -> tuple[int, ...]:
        return await self.look(lambda connection: tuple(sorted(hashes_of(connection, asked))))

    async def events(self, seqs: Sequence[int]) -> list[Event]:
        def read(connection: sqlite3.Connection) -> list[Event]:
            rows = (
                connection.execute(queries()["event_of"], {"seq": seq}).fetchone() for seq in seqs
            )
            return [Event(*row) for row in rows if row is not None]

        return await self.look(read)

    async def names(self) -> list[str]:
        def read(connection: sqlite3.Connection) -> list[str]:
            values = {"floor": _floor(connection, _NAMES_AMONG), "limit": _NAMES_AMONG}
            return [name for (name,) in connection.execute(queries()["look_names"], values)]

        return await self.look(read)

    async def revisions(self, limit: int) -> list[Revision]:
        def read(connection: sqlite3.Connection) -> list[Revision]:
            rows = connection.execute(queries()["look_revisions"], {"limit": limit})
            return [Revision(*row) for row in rows]

        return await self.look(read)

    async def apps(self) -> set[str]:
        def read(connection: sqlite3.Connection) -> set[str]:
            values = {"floor": _floor(connection, AMONG)}
            return {app for (app,) in connection.execute(queries()["look_apps"], values)}

        return await self.look(read)

    async def rules(self) -> set[str]:
        def read(connection: sqlite3.Connection) -> set[str]:
            return {rule for (rule,) in connection.execute(queries()["look_rules"])}

        return await self.look(read)

    async def trail(self, *, before: int | None, limit: int) -> list[tuple[int, Noted]]:
        values = {"before": before or _EVER, "limit": limit}

        def read(connection: sqlite3.Connection) -> list[tuple[int, Noted]]:
            rows = connection.execute(queries()["look_trail"], values)
            return [(number, Noted(*row)) for number, *row in rows]

        return await self.look(read)


def _listed(connection: sqlite3.Connection, wanted: Wanted) -> Listed:
    if wanted.users:
        return _of_user(connection, wanted)
    floor = _floor(connection, AMONG)
    bounds = {"floor": floor, "before": wanted.before or _EVER}
    found = list(_found(connection, wanted, bounds, PAGE + 1))
    return Listed(found[:PAGE], len(found) > PAGE, _heard_ms(connection, floor))


def _floor(connection: sqlite3.Connection, among: int) -> int:
    """The number after which the newest so many events are; numbers are given out one by one."""
    (last,) = connection.execute(queries()["last_seq"]).fetchone()
    return int(last) - among


def _heard_ms(connection: sqlite3.Connection, floor: int) -> int | None:
    """Since when there are events above it; None: there are none below."""
    if floor <= 0:
        return None
    row = connection.execute(queries()["event_at"], {"seq": floor + 1}).fetchone()
    return None if row is None else int(row[1])


def _of_message(connection: sqlite3.Connection, message_id: str, keys: list[bytes]) -> list[int]:
    found = [
        seq for key in keys for (seq,) in connection.execute(queries()["seqs_of_key"], {"key": key})
    ]
    if not found:
        floor = _floor(connection, AMONG)
        values = {"floor": floor, "message_id": message_id, "limit": PAGE}
        found = [seq for (seq,) in connection.execute(queries()["look_message"], values)]
    return sorted(set(found), reverse=True)


def _of_user(connection: sqlite3.Connection, wanted: Wanted) -> Listed:
    """One after another, because they stand far apart."""
    found: list[Seen] = []
    for seq in _seqs(connection, wanted):
        found += _found(connection, wanted, {"floor": seq - 1, "before": seq + 1}, 1)
        if len(found) > PAGE:
            break
    return Listed(found[:PAGE], len(found) > PAGE, None)


def _seqs(connection: sqlite3.Connection, wanted: Wanted) -> list[int]:
    values = {"before": wanted.before or _EVER, "limit": _OF_A_USER}
    found = {
        seq
        for user in wanted.users
        for (seq,) in connection.execute(queries()["look_user"], values | {"user_hash": user})
    }
    return sorted(found, reverse=True)


def _found(
    connection: sqlite3.Connection, wanted: Wanted, bounds: dict[str, int], limit: int
) -> Iterator[Seen]:
    asked: dict[str, Any] = wanted._asdict() | bounds | {"limit": limit}
    del asked["users"]
    for row in connection.execute(queries()["look_newest"], asked).fetchall():
        ends = connection.execute(queries()["look_ends"], {"seq": row[0]})
        yield Seen._make((*row, [Ending(*end) for end in ends]))


def payload_of(seen: Seen) -> Any:
    """What was sent, as JSON; None when it is not kept, or never was JSON."""
    try:
        return None if seen.payload is None else orjson.loads(seen.payload)
    except orjson.JSONDecodeError:
        return None


if TYPE_CHECKING:
    _: type[Looks] = SqliteLooks
