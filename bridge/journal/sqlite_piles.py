"""What waits for a person, in a SQLite journal: see `bridge.journal.piles`."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import orjson

from bridge.journal import sqlite_held as held
from bridge.journal.piles import (
    AlertRow,
    Choice,
    HeldOne,
    Let,
    Releasing,
    Skipped,
    SkippedCount,
    Volume,
)
from bridge.journal.queries import queries
from bridge.journal.records import lane_of, operation_name
from bridge.journal.sqlite_sends import Read

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from bridge.journal.piles import Piles


class SqlitePiles:
    """Transactions that people ask for, on the journal's writer."""

    def __init__(
        self,
        *,
        write: Callable[[Callable[[sqlite3.Connection], Any]], Awaitable[Any]],
        read: Read,
        look: Read,
    ) -> None:
        """`look` is for people: work does not wait for it."""
        self._write = write
        self._read = read
        self._look = look

    # Dead -----------------------------------------------------------------------------------------

    async def last_dead(self) -> int:
        return await self._look(
            lambda connection: int(connection.execute(queries()["last_dead"]).fetchone()[0])
        )

    async def newest_dead(self, choice: Choice) -> int | None:
        return await self._newest("newest_dead", choice)

    async def newest_held(self, choice: Choice) -> int | None:
        return await self._newest("newest_held", choice)

    async def _newest(self, query: str, choice: Choice) -> int | None:
        def read(connection: sqlite3.Connection) -> int | None:
            found: int | None = connection.execute(queries()[query], choice.values()).fetchone()[0]
            return found

        return await self._look(read)

    async def dead_ids(self, choice: Choice, *, after: int, last: int, limit: int) -> list[int]:
        values = choice.values() | {"after": after, "last": last, "limit": limit}
        return await self._look(
            lambda connection: [
                number for (number,) in connection.execute(queries()["dead_ids"], values)
            ]
        )

    async def discard_dead(self, ids: Sequence[int], *, at_ms: int) -> int:
        def write(connection: sqlite3.Connection) -> int:
            return sum(_discard(connection, number, at_ms) for number in ids)

        return int(await self._write(write))

    # Held -----------------------------------------------------------------------------------------

    async def held_one(self, key: str) -> HeldOne | None:
        row = await self._look(
            lambda connection: connection.execute(queries()["held_one"], {"key": key}).fetchone()
        )
        return None if row is None else HeldOne(*row)

    async def releases(self, *, counted: bool = False) -> list[Releasing]:
        query, ask = ("releases_counted", self._look) if counted else ("releases", self._read)
        return await ask(
            lambda connection: [Releasing(*row) for row in connection.execute(queries()[query])]
        )

    async def release_slowly(self, ones: Sequence[Releasing]) -> None:
        def write(connection: sqlite3.Connection) -> None:
            for one in ones:
                connection.execute(queries()["release_slowly"], one._asdict())

        await self._write(write)

    async def hold_on(self, choice: Choice) -> int:
        def write(connection: sqlite3.Connection) -> int:
            return connection.execute(queries()["hold_on"], choice.values()).rowcount

        return int(await self._write(write))

    async def let_go(
        self, one: Releasing, *, due: int, paid_ms: int, volume: Volume | None = None
    ) -> Let:
        def write(connection: sqlite3.Connection) -> Let:
            paid = connection.execute(
                queries()["pay_release"],
                one._asdict() | {"was_ms": one.paid_ms, "paid_ms": paid_ms},
            )
            if paid.rowcount == 0:
                return Let(0, frozenset(), over=False)
            chosen = Choice(
                app=one.app,
                rule=one.rule,
                reason=one.hold,
                since_ms=one.since_ms,
                until_ms=one.until_ms,
            )
            released = held.release(connection, chosen, due, volume)
            over = released.sends < due
            if over:
                connection.execute(queries()["end_release"], one._asdict())
            return Let(released.sends, released.users, over)

        result: Let = await self._write(write)
        return result

    # Skipped --------------------------------------------------------------------------------------

    async def skipped(self, choice: Choice, *, limit: int) -> list[Skipped]:
        return await self._look(lambda connection: _skipped(connection, choice, limit))

    async def skipped_counts(self, choice: Choice) -> list[SkippedCount]:
        return await self._look(
            lambda connection: [
                SkippedCount(*row)
                for row in connection.execute(queries()["too_old_counts"], choice.values())
            ]
        )

    async def revive_skipped(self, choice: Choice, *, limit: int) -> list[Skipped]:
        def write(connection: sqlite3.Connection) -> list[Skipped]:
            found = _skipped(connection, choice, limit)
            for one in found:
                _revive(connection, one)
            return found

        result: list[Skipped] = await self._write(write)
        return result

    # Alerts ---------------------------------------------------------------------------------------

    async def alerts(self) -> list[AlertRow]:
        return await self._look(
            lambda connection: [AlertRow(*row) for row in connection.execute(queries()["alerts"])]
        )

    async def keep_alert(self, alert: AlertRow) -> None:
        await self._write(
            lambda connection: connection.execute(queries()["keep_alert"], alert._asdict())
        )

    async def drop_alert(self, key: str) -> None:
        await self._write(
            lambda connection: connection.execute(queries()["drop_alert"], {"key": key})
        )


def _discard(connection: sqlite3.Connection, number: int, at_ms: int) -> int:
    """A dead letter, and the send that it is about, end for good; 0 when it was not dead any more."""
    left = {"id": number, "state": "discarded", "at_ms": at_ms}
    if connection.execute(queries()["leave_dead"], left).rowcount == 0:
        return 0
    connection.execute(queries()["discard_dead_outcome"], left)
    seqs = connection.execute(queries()["letters_of_merges"], {"ids": f"[{number}]"}).fetchall()
    for (seq,) in seqs:
        connection.execute(queries()["drop_refused_merges"], {"seqs": f"[{seq}]"})
    send = connection.execute(queries()["dead_send_of"], left).fetchone()
    if send is not None:
        key, call_key, group_id = send
        connection.execute(queries()["discard_dead_send"], {"key": key})
        connection.execute(queries()["end_group_call"], {"key": call_key})
        connection.execute(queries()["end_group"], {"id": group_id})
    return 1


def _skipped(connection: sqlite3.Connection, choice: Choice, limit: int) -> list[Skipped]:
    values = choice.values() | {"limit": limit}
    return [Skipped(*row) for row in connection.execute(queries()["too_old"], values)]


def _revive(connection: sqlite3.Connection, one: Skipped) -> None:
    whose = one._asdict()
    connection.execute(queries()["replace_skipped_send"], whose)
    connection.execute(queries()["forget_outcome"], whose)
    mark = orjson.dumps([operation_name(one.rule, one.operation)]).decode()
    again = {"lane": lane_of(one.user_hash), "only": mark, "done": "[]"}
    connection.execute(queries()["revive"], whose | again)


if TYPE_CHECKING:
    _: type[Piles] = SqlitePiles
