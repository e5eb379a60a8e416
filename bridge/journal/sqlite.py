"""The journal on SQLite: one process, one writer, no server.

Every method is one transaction of the writer's, or a read on a connection that cannot write;
`sqlite_rows` holds what they do, `sqlite_tail` how events are appended, `writer` when it is
committed, `sqlite_opened` who reads and writes the file, `sqlite_file` how it is opened, `pressure`
when the journal takes no more.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import orjson

from bridge.clock import Clock, SystemClock
from bridge.journal import (
    hashing,
    sqlite_calls as calls,
    sqlite_chains as chains,
    sqlite_devices as devices,
    sqlite_erasures as erasures,
    sqlite_groups as groups,
    sqlite_identities as identities,
    sqlite_piles as piles,
    sqlite_retention as retention,
    sqlite_revival as revival,
    sqlite_rows as rows,
    sqlite_sends as sends,
    sqlite_tallies as tallies,
)
from bridge.journal.devices import Device
from bridge.journal.erasures import Noted
from bridge.journal.piles import EVERYTHING, Choice, DeadCount
from bridge.journal.pressure import Pressure, free_bytes
from bridge.journal.queries import queries
from bridge.journal.records import (
    Acked,
    Appended,
    Audited,
    Called,
    Counts,
    Dead,
    Death,
    End,
    Entry,
    GateRow,
    Head,
    Learnt,
    Loaded,
    NewSend,
    Send,
)
from bridge.journal.sqlite_opened import Opened, open_file
from bridge.journal.sqlite_tail import TAIL_ROWS
from bridge.journal.trace import Asked, Traces, read_traces

if TYPE_CHECKING:
    from bridge.journal import Journal

AHEAD_ROWS = 100
"""Pending events of a user that are looked at for what contradicts an earlier one."""
_SET_BACK = (
    "pending",
    "calls",
    "merges",
    "gates",
    "sends",
    "keys",
    "places",
    "paces",
    "no_paces",
)
"""Whose times of day are moved along when the clock is set back."""


class SqliteJournal:
    """See `bridge.journal.Journal`; open it with `open_sqlite`."""

    def __init__(self, opened: Opened, pressure: Pressure) -> None:
        self.path = opened.path
        self.is_new = opened.is_new
        self.broken = opened.broken
        self.looks = opened.looks
        self._opened = opened
        self._pressure = pressure
        self._salt = opened.salt
        self._tail = tail = opened.tail
        self._writer, self._acks = opened.writer, opened.acks
        self._write, self._execute = opened.write, opened.execute
        self._read, self._rows, self._look = opened.read, opened.rows, opened.look

        self.sends = sends.SqliteSends(
            write=self._write,
            look=self._look,
            acks=self._acks,
            beside=lambda connection, user, seq: chains.beside(
                connection, user, tail.of(user), AHEAD_ROWS, seq=seq
            ),
        )
        self.piles = piles.SqlitePiles(write=self._write, read=self._read, look=self._look)
        self.groups = groups.SqliteGroups(write=self._write, read=self._read)
        self.devices = devices.SqliteDevices(
            write=self._write, read=self._read, hashed=self.user_hash
        )
        self.erasures = erasures.SqliteErasures(
            write=self._write, read=self._read, tail=tail.of, some=lambda: tail.erasures
        )
        self.tallies = tallies.SqliteTallies(write=self._write, look=self.looks.look)
        self.identities = identities.SqliteIdentities(
            write=self._write, read=self._read, linked=lambda: tail.linked
        )
        self.retention = retention.SqliteRetention(
            aside=self._writer.aside,
            read=self._read,
            scrub=self._writer.scrub,
            is_awaited=lambda: self._writer.waiting.rows > 0,
        )

    def __repr__(self) -> str:
        return f"<SqliteJournal {self.path}, {self._tail!r}>"

    def tell_commits(self, told: Callable[[int, float], None]) -> None:
        """Call `told` after every commit, with its rows and its seconds."""
        self._writer.told = told

    def user_hash(self, app: str, external_id: str) -> int:
        return hashing.user_hash(self._salt, app, external_id)

    def hash_of(self, app: str, label: str, id_: str) -> int:
        return hashing.hash_of(self._salt, app, label, id_)

    dedupe_key = staticmethod(hashing.dedupe_key)

    async def append(self, entries: Sequence[Entry]) -> list[Appended]:
        self._pressure.check(self._writer.waiting)
        result: list[Appended] = await self._writer.submit(list(entries))
        return result

    @property
    def unready(self) -> str | None:
        """Why events would not be kept now; None when they would."""
        if self.broken.done():
            return self.broken.result()
        return self._pressure.reason(self._writer.waiting)

    # Working --------------------------------------------------------------------------------------

    async def heads(
        self, lanes: Sequence[int], *, app: str, rank: int, after: Sequence[int], limit: int
    ) -> list[list[Head]]:
        return await self._read(
            lambda connection: chains.heads(
                connection, lanes, app=app, rank=rank, after=after, limit=limit
            )
        )

    async def chains(self, users: Sequence[int], *, limit: int) -> dict[int, Loaded]:
        erasures, linked = self._tail.erasures, self._tail.linked
        tails = {user: self._tail.of(user) for user in users}
        return await self._read(
            lambda connection: chains.chains(
                connection, tails, limit, erasures=erasures, linked=linked
            )
        )

    async def state(self, user_hash: int) -> bytes | None:
        return await self._read(lambda connection: rows.state(connection, user_hash))

    async def ack(
        self,
        acked: Sequence[Acked],
        *,
        learnt: Sequence[Learnt] = (),
        device: Device | None = None,
        at_ms: int,
    ) -> None:
        def write(connection: sqlite3.Connection) -> None:
            self._acks.ack(connection, acked, at_ms)
            self._acks.learn(learnt, at_ms)
            if device is not None:
                devices.keep(connection, device, of_another="move", now_ms=at_ms)

        await self._write(write)

    async def postpone(
        self,
        seq: int,
        *,
        not_before_ms: int,
        attempt: int,
        error: str,
        now_ms: int,
        learnt: Sequence[Learnt] = (),
    ) -> None:
        values = {
            "seq": seq,
            "not_before_ms": not_before_ms,
            "attempt": attempt,
            "last_error": error,
            "now_ms": now_ms,
        }

        def write(connection: sqlite3.Connection) -> None:
            connection.execute(queries()["postpone"], values)
            rows.learn(connection, learnt, now_ms)

        await self._write(write)

    async def last_heard_ms(self) -> int:
        found = await self._rows("last_heard", {"seq": self._tail.last_seq})
        return int(found[0][0]) if found else 0

    async def set_back(self, *, by_ms: int, now_ms: int) -> None:
        values = {"by_ms": by_ms, "now_ms": now_ms}

        def write(connection: sqlite3.Connection) -> None:
            for what in _SET_BACK:
                connection.execute(queries()[f"set_back_{what}"], values)

        await self._writer.aside(write)

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
        await self._execute("retry_call", values)

    async def end_send(
        self, seq: int, key: str, end: End, *, death: Death | None, at_ms: int
    ) -> None:
        def write(connection: sqlite3.Connection) -> None:
            sends.end(connection, seq, key, end, death, at_ms)

        await self._write(write)

    async def finish(
        self, seq: int, ends: Sequence[End], *, deaths: Sequence[Death], at_ms: int
    ) -> None:
        def write(connection: sqlite3.Connection) -> None:
            rows.insert_ends(connection, seq, ends, deaths, at_ms)
            rows.finish(connection, [seq])

        await self._write(write)

    async def drop_unused(self, *, after: int, before_ms: int, limit: int) -> int | None:
        last: int | None = await self._write(
            lambda connection: retention.drop_unused(connection, after, before_ms, limit)
        )
        return last

    # Dead letters ---------------------------------------------------------------------------------

    async def dead_letters(
        self, choice: Choice = EVERYTHING, *, after: int = 0, limit: int = 100
    ) -> list[Dead]:
        values = choice.values() | {"after": after, "limit": limit}
        return await self._look(
            lambda connection: [
                Dead(*row) for row in connection.execute(queries()["dead_page"], values)
            ]
        )

    async def dead_letter(self, dead_id: int) -> Dead | None:
        return await self._read(lambda connection: rows.dead_one(connection, dead_id))

    async def dead_counts(self, choice: Choice = EVERYTHING) -> list[DeadCount]:
        values = choice.values()
        return await self._look(
            lambda connection: [
                DeadCount(*row) for row in connection.execute(queries()["dead_count"], values)
            ]
        )

    async def user_of(self, seq: int) -> tuple[str, int] | None:
        found = await self._rows("user_of", {"seq": seq})
        return (found[0][0], found[0][1]) if found else None

    async def send(self, key: str) -> Send | None:
        return await self._read(lambda connection: rows.send_one(connection, key))

    async def revive(
        self, dead_id: int, *, send: NewSend | None, at_ms: int, replan: bool = False
    ) -> int:
        revived = await self._write(
            lambda connection: revival.revive(connection, dead_id, send, at_ms, replan=replan)
        )
        return int(revived)

    # Calls ----------------------------------------------------------------------------------------

    def log_call(self, called: Called) -> None:
        self._writer.log(called)

    async def drop_calls(self, *, before_ms: int, limit: int) -> int:
        dropped = await self._writer.aside(
            lambda connection: calls.drop(connection, before_ms, limit)
        )
        return int(dropped)

    async def traces(self, asked: Asked) -> Traces:
        return await self._opened.look_back(lambda connection: read_traces(connection, asked))

    def note_mapping(self, source: str, revision: str, *, rules: Sequence[str], at_ms: int) -> None:
        values = {
            "source": source,
            "revision": revision,
            "rules": orjson.dumps(rules).decode(),
            "at_ms": at_ms,
        }

        def write(connection: sqlite3.Connection) -> None:
            connection.execute(queries()["keep_in_force"], values)

        self._writer.submit(write).add_done_callback(lambda done: done.exception())

    async def forget_calls(self, user_hash: int) -> int:
        return int(await self._write(lambda connection: calls.forget(connection, user_hash)))

    # Beginnings and ends --------------------------------------------------------------------------

    async def begin_work(self) -> bool:
        return bool(await self._write(rows.begin_work))

    async def end_work(self) -> None:
        await self._execute("meta_keep", {"key": "clean", "value": b"1"})

    async def begin_alone(self, seq: int) -> int:
        return int(await self._write(lambda connection: rows.begin_alone(connection, seq)))

    async def suspects(self, app: str) -> list[int]:
        return [user for (user,) in await self._rows("suspects", {"app": app})]

    async def survived(self, seq: int) -> None:
        await self._execute("survived", {"seq": seq})

    async def note(self, noted: Noted) -> None:
        await self._execute("append_audit_trail", noted._asdict())

    # Gates ----------------------------------------------------------------------------------------

    async def gates(self) -> list[GateRow]:
        return [GateRow(*row) for row in await self._rows("gates", {})]

    async def set_gate(self, gate: GateRow) -> None:
        await self._execute("set_gate", gate._asdict())

    async def drop_gate(self, key: str) -> None:
        await self._execute("drop_gate", {"key": key})

    # The audit ------------------------------------------------------------------------------------

    async def audit(self, audited: Audited) -> None:
        await self._execute("keep_audit", audited._asdict())

    async def audit_next(self, app: str) -> Audited | None:
        found = await self._rows("audit_next", {"app": app})
        return Audited(*found[0]) if found else None

    async def audit_done(self, notification: str) -> None:
        await self._execute("audit_done", {"id": notification})

    # Looking --------------------------------------------------------------------------------------

    async def counts(self) -> Counts:
        return await self._look(
            lambda connection: Counts(*connection.execute(queries()["counts"]).fetchone())
        )

    async def pending_apps(self) -> dict[str, int]:
        return await self._look(
            lambda connection: dict(connection.execute(queries()["pending_apps"]).fetchall())
        )

    async def still_pending(self, seqs: Sequence[int]) -> list[int]:
        asked = {"seqs": orjson.dumps(list(seqs)).decode()}
        return [seq for (seq,) in await self._rows("still_pending", asked)]

    async def close(self) -> None:
        await self._opened.close()


def open_sqlite(
    path: Path,
    *,
    clock: Clock | None = None,
    free: Callable[[Path], int] = free_bytes,
    tail_rows: int = TAIL_ROWS,
) -> SqliteJournal:
    """Open the journal at `path`, making it when there is nothing there. Needs a running loop.

    `free` tells the bytes left beside a file; it is asked at most once a second of `clock`.
    `tail_rows` is how many events make a tail; see `sqlite_tail`.

    Raises:
        JournalError: with a message that says what to do; see `sqlite_file`.
    """
    pressure = Pressure(path, clock=clock or SystemClock(), free=free)
    return SqliteJournal(open_file(path, tail_rows=tail_rows), pressure)


if TYPE_CHECKING:
    _: type[Journal] = SqliteJournal
