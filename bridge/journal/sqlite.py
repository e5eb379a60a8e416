"""The journal on SQLite: one process, one writer, no server.

Every method is one transaction on the writer's thread, or a read on a connection that cannot write.
Accepting an event is a handful of statements for a whole group of them: many rows a statement,
because each statement hands the interpreter from one thread to the other.
"""

from __future__ import annotations

import asyncio
import hashlib
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, TypeVar

import orjson

from bridge.journal.queries import queries
from bridge.journal.records import (
    Appended,
    Counts,
    Dead,
    Death,
    End,
    Entry,
    Head,
    NewSend,
    OpenSend,
    Send,
    Waiting,
    lane_of,
    operation_name,
)
from bridge.journal.sqlite_file import create, lock, open_reader, open_writer
from bridge.journal.writer import Transaction, Writer

if TYPE_CHECKING:
    from bridge.journal import Journal

T = TypeVar("T")

_CHUNKS = (128, 32, 8, 1)
"""Rows a statement; a few sizes only, so that each stays prepared."""


class SqliteJournal:
    """See `bridge.journal.Journal`; open it with `open_sqlite`."""

    def __init__(
        self, path: Path, held: IO[bytes], connection: sqlite3.Connection, *, is_new: bool
    ) -> None:
        self.is_new = is_new
        self.path = path
        self.broken: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._held = held
        self._salt = connection.execute(queries()["meta_get"], {"key": "salt"}).fetchone()[0]
        self._last_seq: int = connection.execute(queries()["last_seq"]).fetchone()[0]
        self._reader = open_reader(path)
        self._reading = ThreadPoolExecutor(1, thread_name_prefix="journal-reader")
        self._loop = asyncio.get_running_loop()
        self._writer = Writer(
            connection,
            append_many=self._append_many,
            broken=self._break_from_thread,
        )

    def __repr__(self) -> str:
        return f"<SqliteJournal {self.path}, last seq {self._last_seq}>"

    def _break_from_thread(self, why: str) -> None:
        self._loop.call_soon_threadsafe(self._break, why)

    def _break(self, why: str) -> None:
        if not self.broken.done():
            self.broken.set_result(why)

    def user_hash(self, app: str, external_id: str) -> int:
        name = f"{app}|{external_id}".encode("utf-8", "surrogatepass")
        digest = hashlib.blake2b(name, digest_size=8, key=self._salt).digest()
        return int.from_bytes(digest) >> 1 or 1

    def dedupe_key(self, source: str, message_id: str) -> bytes:
        name = f"{source}|{message_id}".encode("utf-8", "surrogatepass")
        return hashlib.blake2b(name, digest_size=16).digest()

    async def append(self, entries: Sequence[Entry]) -> list[Appended]:
        result: list[Appended] = await self._writer.submit(list(entries))
        return result

    async def _write(self, transaction: Transaction) -> Any:
        return await self._writer.submit(transaction)

    async def _read(self, query: Callable[[sqlite3.Connection], T]) -> T:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._reading, query, self._reader)

    # Accepting ------------------------------------------------------------------------------------

    def _append_many(self, connection: sqlite3.Connection, entries: list[Entry]) -> list[Appended]:
        heard = _heard(connection, [e.dedupe_key for e in entries if e.dedupe_key is not None])
        appended: list[Appended] = []
        fresh: list[tuple[int, Entry]] = []
        seq = self._last_seq
        for entry in entries:
            before = heard.get(entry.dedupe_key) if entry.dedupe_key is not None else None
            if before is not None:
                appended.append(Appended(before, duplicate=True))
                continue
            seq += 1
            if entry.dedupe_key is not None:
                heard[entry.dedupe_key] = seq
            fresh.append((seq, entry))
            appended.append(Appended(seq, duplicate=False))
        _insert_events(connection, fresh)
        self._last_seq = seq
        return appended

    # Working --------------------------------------------------------------------------------------

    async def heads(
        self, lanes: Sequence[int], *, rank: int, after: Sequence[int], limit: int
    ) -> list[list[Head]]:
        def read(connection: sqlite3.Connection) -> list[list[Head]]:
            sql = queries()["lane_heads"]
            found = []
            for lane, cursor in zip(lanes, after, strict=True):
                values = {"lane": lane, "rank": rank, "after": cursor, "limit": limit}
                found.append([Head(*row) for row in connection.execute(sql, values)])
            return found

        return await self._read(read)

    async def chains(self, users: Sequence[int], *, limit: int) -> dict[int, list[Waiting]]:
        def read(connection: sqlite3.Connection) -> dict[int, list[Waiting]]:
            return {user: _chain(connection, user, limit) for user in users}

        return await self._read(read)

    async def write_send(
        self, send: NewSend, *, ends: Sequence[End], deaths: Sequence[Death], done: Sequence[str]
    ) -> bool:
        def write(connection: sqlite3.Connection) -> bool:
            if not _insert_send(connection, send):
                return False
            _insert_ends(connection, send.seq, ends, deaths, send.created_ms)
            values = {"seq": send.seq, "done": orjson.dumps(list(done)).decode()}
            connection.execute(queries()["mark_done"], values)
            return True

        return bool(await self._write(write))

    async def postpone(
        self, seq: int, *, not_before_ms: int, attempt: int, error: str, now_ms: int
    ) -> None:
        values = {
            "seq": seq,
            "not_before_ms": not_before_ms,
            "attempt": attempt,
            "last_error": error,
            "now_ms": now_ms,
        }
        await self._write(lambda connection: connection.execute(queries()["postpone"], values))

    async def retry_call(
        self, key: str, *, not_before_ms: int, attempt: int, uncertain: bool, error: str
    ) -> None:
        values = {
            "key": key,
            "not_before_ms": not_before_ms,
            "attempt": attempt,
            "uncertain": uncertain,
            "last_error": error,
        }
        await self._write(lambda connection: connection.execute(queries()["retry_call"], values))

    async def end_send(
        self, seq: int, key: str, end: End, *, death: Death | None, at_ms: int
    ) -> None:
        def write(connection: sqlite3.Connection) -> None:
            values = {"key": key, "state": end.status, "at_ms": at_ms}
            connection.execute(queries()["end_send"], values)
            connection.execute(queries()["end_call"], {"key": end.call_key})
            _insert_ends(connection, seq, [end], [death] if death else [], at_ms)

        await self._write(write)

    async def finish(
        self, seq: int, ends: Sequence[End], *, deaths: Sequence[Death], at_ms: int
    ) -> None:
        def write(connection: sqlite3.Connection) -> None:
            _insert_ends(connection, seq, ends, deaths, at_ms)
            connection.execute(queries()["finish_event"], {"seq": seq})

        await self._write(write)

    # Dead letters ---------------------------------------------------------------------------------

    async def dead_letters(
        self,
        *,
        after: int = 0,
        limit: int = 100,
        reason: str | None = None,
        rule: str | None = None,
    ) -> list[Dead]:
        values = {"after": after, "limit": limit, "reason": reason, "rule": rule}
        return await self._read(
            lambda connection: [
                Dead(*row) for row in connection.execute(queries()["dead_page"], values)
            ]
        )

    async def dead_letter(self, dead_id: int) -> Dead | None:
        return await self._read(lambda connection: _dead(connection, dead_id))

    async def dead_counts(self) -> list[tuple[str, str, int]]:
        return await self._read(
            lambda connection: connection.execute(queries()["dead_count"]).fetchall()
        )

    async def user_of(self, seq: int) -> int | None:
        row = await self._read(
            lambda connection: connection.execute(queries()["user_of"], {"seq": seq}).fetchone()
        )
        return None if row is None else int(row[0])

    async def send(self, key: str) -> Send | None:
        return await self._read(lambda connection: _send(connection, key))

    async def revive(self, dead_id: int, *, send: NewSend | None, at_ms: int) -> bool:
        return bool(await self._write(lambda connection: _revive(connection, dead_id, send, at_ms)))

    # Looking --------------------------------------------------------------------------------------

    async def counts(self) -> Counts:
        return await self._read(
            lambda connection: Counts(*connection.execute(queries()["counts"]).fetchone())
        )

    async def close(self) -> None:
        await self._writer.close()
        self._reading.shutdown()
        self._reader.close()
        self._held.close()


def open_sqlite(path: Path) -> SqliteJournal:
    """Open the journal at `path`, making it when there is nothing there. Needs a running loop.

    Raises:
        JournalError: with a message that says what to do; see `sqlite_file`.
    """
    held = lock(path)
    try:
        is_new = not path.exists()
        if is_new:
            create(path)
        return SqliteJournal(path, held, open_writer(path), is_new=is_new)
    except BaseException:
        held.close()
        raise


if TYPE_CHECKING:
    _: type[Journal] = SqliteJournal


def _insert(connection: sqlite3.Connection, query: str, rows: Iterable[tuple[Any, ...]]) -> None:
    """Insert many rows with few statements."""
    waiting = list(rows)
    position = 0
    for size in _CHUNKS:
        while len(waiting) - position >= size:
            chunk = waiting[position : position + size]
            row = f"({','.join('?' * len(chunk[0]))})"
            values = [value for one in chunk for value in one]
            connection.execute(f"{queries()[query]} {','.join([row] * size)}", values)
            position += size


def _heard(connection: sqlite3.Connection, keys: list[bytes]) -> dict[bytes, int]:
    found: dict[bytes, int] = {}
    sql = queries()["heard"]
    position = 0
    for size in _CHUNKS:
        marks = f"({','.join('?' * size)})"
        while len(keys) - position >= size:
            found.update(connection.execute(f"{sql} {marks}", keys[position : position + size]))
            position += size
    return found


def _insert_events(connection: sqlite3.Connection, fresh: list[tuple[int, Entry]]) -> None:
    _insert(
        connection,
        "append_event",
        (
            (
                seq,
                e.source,
                e.message_id,
                e.type,
                e.name,
                e.user_hash,
                e.received_ms,
                e.event_ms,
                e.payload,
            )
            for seq, e in fresh
        ),
    )
    _insert(
        connection,
        "append_dedupe",
        ((e.dedupe_key, seq) for seq, e in fresh if e.dedupe_key is not None),
    )
    _insert(
        connection,
        "append_pending",
        (
            (seq, lane_of(e.user_hash), e.rank, e.user_hash, e.event_ms)
            for seq, e in fresh
            if e.rank is not None
        ),
    )
    for seq, entry in fresh:
        if entry.ended is not None:
            _insert_end(connection, seq, entry, entry.ended)


def _insert_end(connection: sqlite3.Connection, seq: int, entry: Entry, end: End) -> None:
    _insert(connection, "append_outcome", [(seq, *end, entry.received_ms)])
    if end.status == "dead":
        death = Death(
            rule=end.rule,
            operation=end.operation,
            reason=end.reason or "",
            request=None,
            answer=end.detail,
            http=None,
            attempt=0,
            uncertain=False,
            send_key=None,
        )
        _insert_dead(connection, seq, death, entry.received_ms)


def _insert_ends(
    connection: sqlite3.Connection,
    seq: int,
    ends: Sequence[End],
    deaths: Sequence[Death],
    at_ms: int,
) -> None:
    _insert(connection, "append_outcome", ((seq, *end, at_ms) for end in ends))
    for death in deaths:
        _insert_dead(connection, seq, death, at_ms)


def _insert_dead(connection: sqlite3.Connection, seq: int, death: Death, at_ms: int) -> None:
    event = connection.execute(queries()["event_of"], {"seq": seq}).fetchone()
    _, source, message_id, _, name, user_hash, _, event_ms, payload = event
    row = (
        seq, death.rule, death.operation, source, message_id, name, user_hash, event_ms, payload,
        death.request, death.answer, death.reason, death.http, death.attempt, death.uncertain,
        death.send_key, at_ms,
    )  # fmt: skip
    _insert(connection, "append_dead", [row])


def _insert_send(connection: sqlite3.Connection, send: NewSend) -> bool:
    values = send._asdict() | {"call_key": send.key, "lane": lane_of(send.user_hash)}
    if connection.execute(queries()["write_send"], values).rowcount == 0:
        return False
    connection.execute(queries()["write_call"], values)
    return True


def _chain(connection: sqlite3.Connection, user: int, limit: int) -> list[Waiting]:
    rows = connection.execute(queries()["chain"], {"user_hash": user, "limit": limit})
    return list(_waiting(connection, rows.fetchall()))


def _waiting(connection: sqlite3.Connection, rows: list[tuple[Any, ...]]) -> Iterator[Waiting]:
    for row in rows:
        done, only = row[8], row[9]
        started = done != "[]" or only is not None
        yield Waiting._make(
            (
                *row[:8],
                frozenset(orjson.loads(done)) if started else frozenset(),
                None if only is None else frozenset(orjson.loads(only)),
                *row[10:],
                _open_sends(connection, row[0]) if started else (),
            )
        )


def _open_sends(connection: sqlite3.Connection, seq: int) -> tuple[OpenSend, ...]:
    rows = connection.execute(queries()["open_sends"], {"seq": seq})
    return tuple(OpenSend(*row) for row in rows)


def _dead(connection: sqlite3.Connection, dead_id: int) -> Dead | None:
    row = connection.execute(queries()["dead_one"], {"id": dead_id}).fetchone()
    return None if row is None else Dead(*row)


def _send(connection: sqlite3.Connection, key: str) -> Send | None:
    row = connection.execute(queries()["send_one"], {"key": key}).fetchone()
    return None if row is None else Send(*row)


def _revive(connection: sqlite3.Connection, dead_id: int, send: NewSend | None, at_ms: int) -> bool:
    dead = _dead(connection, dead_id)
    left = {"id": dead_id, "state": "replayed", "at_ms": at_ms}
    if dead is None or connection.execute(queries()["leave_dead"], left).rowcount == 0:
        return False
    connection.execute(queries()["restore_event"], {"id": dead_id})
    if send is not None:
        _revive_send(connection, dead, send, at_ms)
    event = connection.execute(queries()["event_of"], {"seq": dead.seq}).fetchone()
    mark = operation_name(dead.rule, dead.operation)
    values = {
        "seq": dead.seq,
        "lane": lane_of(event[5]),
        "user_hash": event[5],
        "event_ms": event[7],
        "only": orjson.dumps([mark]).decode(),
        "done": orjson.dumps([mark] if send is not None else []).decode(),
    }
    connection.execute(queries()["revive"], values)
    ended = {"seq": dead.seq, "rule": dead.rule, "operation": dead.operation}
    connection.execute(queries()["forget_outcome"], ended)
    return True


def _revive_send(connection: sqlite3.Connection, dead: Dead, send: NewSend, at_ms: int) -> None:
    if send.key == dead.send_key:
        connection.execute(queries()["reopen_send"], {"key": send.key})
        connection.execute(
            queries()["write_call"],
            send._asdict() | {"call_key": send.key, "lane": lane_of(send.user_hash)},
        )
        return
    left = {"key": dead.send_key, "state": "replayed", "at_ms": at_ms}
    connection.execute(queries()["end_send"], left)
    _insert_send(connection, send)
