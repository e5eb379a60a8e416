"""Retention in a SQLite journal; see `bridge.journal.retention`."""

from __future__ import annotations

import sqlite3
from collections.abc import Awaitable, Callable, Iterable
from typing import TYPE_CHECKING, Any

import orjson

from bridge.journal.queries import queries
from bridge.journal.sqlite_sends import Read

if TYPE_CHECKING:
    from bridge.journal.retention import Retention

#: How far the walks have come, in `meta`.
PAYLOADS, UNWANTED, EVENTS = "walk.payloads", "walk.unwanted", "walk.events"


class SqliteRetention:
    """Transactions that remove, each on the disk's thread between two groups of the writer's."""

    def __init__(
        self,
        *,
        aside: Callable[[Callable[[sqlite3.Connection], Any]], Awaitable[Any]],
        read: Read,
        scrub: Callable[[], Awaitable[bool]],
        is_awaited: Callable[[], bool],
    ) -> None:
        self._aside = aside
        self._read = read
        self._scrub = scrub
        self._is_awaited = is_awaited

    @property
    def is_awaited(self) -> bool:
        return self._is_awaited()

    async def payloads(self, *, before_ms: int, unwanted: bool, limit: int) -> bool:
        def write(connection: sqlite3.Connection) -> bool:
            name = UNWANTED if unwanted else PAYLOADS
            seqs, more = _walk(connection, name, before_ms, limit)
            kind = set(_those(connection, "unwanted", seqs))
            chosen = [seq for seq in seqs if (seq in kind) is unwanted]
            _strip(connection, chosen, before_ms)
            return more

        return bool(await self._aside(write))

    async def events(self, *, before_ms: int, limit: int) -> bool:
        def write(connection: sqlite3.Connection) -> bool:
            seqs, more = _walk(connection, EVENTS, before_ms, limit)
            needed = _those(connection, "needed", seqs, before_ms)
            _put_by(connection, needed)
            _drop(connection, set(seqs).difference(needed))
            return more

        return bool(await self._aside(write))

    async def overdue(
        self, *, after: int, payloads_ms: int, events_ms: int, limit: int
    ) -> int | None:
        def write(connection: sqlite3.Connection) -> int | None:
            page = {"after": after, "limit": limit}
            found = connection.execute(queries()["overdue_page"], page).fetchall()
            old = [seq for seq, received_ms in found if received_ms < events_ms]
            gone = set(old).difference(_those(connection, "needed", old, events_ms))
            _drop(connection, gone)
            young = [seq for seq, received_ms in found if received_ms < payloads_ms]
            spare = set(young).difference(_those(connection, "needed", young, payloads_ms), gone)
            _run(connection, "strip", spare)
            # The walk that removes events has passed the old ones: they stay in sight.
            done = gone | spare.difference(old)
            _run(connection, "overdue_no_more", done)
            return found[-1][0] if len(found) == limit else None

        result: int | None = await self._aside(write)
        return result

    async def dead(self, *, after: int, dead_ms: int, left_ms: int, limit: int) -> int | None:
        values = {"after": after, "dead_ms": dead_ms, "left_ms": left_ms, "limit": limit}

        def write(connection: sqlite3.Connection) -> int | None:
            found = connection.execute(queries()["dead_old"], values).fetchall()
            old = [one for one in found if one[1]]
            drop_letters(connection, [one[0] for one in old])
            for group, call in {one[3:] for one in old if one[2] == "dead" and one[4] is not None}:
                query = "end_call" if group is None else "end_group_call"
                connection.execute(queries()[query], {"key": call})
            return found[-1][0] if len(found) == limit else None

        result: int | None = await self._aside(write)
        return result

    async def dedupe(self, *, after: bytes, seq: int, limit: int) -> bytes | None:
        values = {"after": after, "seq": seq, "limit": limit}
        result: bytes | None = await self._page("dedupe_page", "drop_dedupe", values)
        return result

    async def seq_at(self, at_ms: int) -> int:
        return await self._read(lambda connection: _seq_at(connection, at_ms))

    async def places(self, *, before_ms: int, limit: int) -> bool:
        return await self._some("drop_places", {"before_ms": before_ms}, limit)

    async def reached(self, *, after: int, day: int, limit: int) -> int | None:
        values = {"after": after, "day": day, "limit": limit}
        found: int | None = await self._page("reached_page", "drop_reached", values)
        if found is None:
            await self._some("drop_reached_days", {"day": day}, limit)
        return found

    async def devices(self, *, before_ms: int, limit: int) -> bool:
        return await self._some("drop_unseen_devices", {"before_ms": before_ms}, limit)

    async def ids(self, *, after: int, before_ms: int, limit: int) -> int | None:
        values = {"after": after, "before_ms": before_ms, "limit": limit}
        found: int | None = await self._page("ids_page", "drop_ids", values)
        return found

    async def erased(self, *, before_ms: int, limit: int) -> bool:
        return await self._some("drop_erased", {"before_ms": before_ms}, limit)

    async def scrub(self) -> bool:
        return await self._scrub()

    async def _some(self, query: str, old: dict[str, int], limit: int) -> bool:
        values = old | {"limit": limit}
        removed = await self._aside(lambda c: c.execute(queries()[query], values).rowcount)
        return bool(removed == limit)

    async def _page(self, page: str, query: str, values: dict[str, Any]) -> Any:
        """Walk over one page of a table; its last key, None when there is no more."""

        def write(connection: sqlite3.Connection) -> Any:
            (last,) = connection.execute(queries()[page], values).fetchone()
            if last is not None:
                connection.execute(queries()[query], values | {"last": last})
            return last

        return await self._aside(write)


def drop_unused(
    connection: sqlite3.Connection, after: int, before_ms: int, limit: int
) -> int | None:
    """The state of some users, where it was not used; the last of them, None when there is no more."""
    values = {"after": after, "before_ms": before_ms, "limit": limit}
    (last,) = connection.execute(queries()["state_page"], values).fetchone()
    connection.execute(queries()["drop_unused"], values | {"last": last})
    return None if last is None else int(last)


def drop_letters(connection: sqlite3.Connection, ids: list[int]) -> None:
    """Dead letters, with the refused merges that they were about."""
    letters = {"ids": _json(ids)}
    seqs = connection.execute(queries()["letters_of_merges"], letters).fetchall()
    connection.execute(queries()["drop_dead"], letters)
    if seqs:
        merges = {"seqs": _json(seq for (seq,) in seqs)}
        connection.execute(queries()["drop_refused_merges"], merges)


def _walk(
    connection: sqlite3.Connection, name: str, before_ms: int, limit: int
) -> tuple[list[int], bool]:
    """The next events of a walk that are old enough, and whether there may be more of them."""
    row = connection.execute(queries()["meta_get"], {"key": name}).fetchone()
    values = {"after": 0 if row is None else row[0], "limit": limit}
    found = connection.execute(queries()["events_after"], values).fetchall()
    seqs: list[int] = []
    for seq, received_ms in found:
        if received_ms >= before_ms:
            break
        seqs.append(seq)
    if seqs:
        connection.execute(queries()["meta_keep"], {"key": name, "value": seqs[-1]})
    return seqs, len(seqs) == limit


def _those(
    connection: sqlite3.Connection, query: str, seqs: list[int], before_ms: int = 0
) -> list[int]:
    if not seqs:
        return []
    values = {"seqs": _json(seqs), "before_ms": before_ms}
    return [seq for (seq,) in connection.execute(queries()[query], values)]


def _strip(connection: sqlite3.Connection, seqs: list[int], before_ms: int) -> None:
    needed = _those(connection, "needed", seqs, before_ms)
    _put_by(connection, needed)
    _run(connection, "strip", set(seqs).difference(needed))


def _put_by(connection: sqlite3.Connection, seqs: Iterable[int]) -> None:
    _run(connection, "put_by", seqs)


def _drop(connection: sqlite3.Connection, seqs: Iterable[int]) -> None:
    """The event's own row last: by it the others are found."""
    for query in ("drop_history", "drop_outcomes", "drop_sends", "drop_events"):
        _run(connection, query, seqs)


def _run(connection: sqlite3.Connection, query: str, seqs: Iterable[int]) -> None:
    chosen = sorted(seqs)
    if chosen:
        connection.execute(queries()[query], {"seqs": _json(chosen)})


def _seq_at(connection: sqlite3.Connection, at_ms: int) -> int:
    """Found by halving: events are heard in the order of their seqs."""
    low = 0
    high = int(connection.execute(queries()["last_seq"]).fetchone()[0]) + 1
    while low < high:
        middle = (low + high) // 2
        row = connection.execute(queries()["event_at"], {"seq": middle}).fetchone()
        if row is None or row[0] >= high or row[1] >= at_ms:
            high = middle
        else:
            low = row[0] + 1
    return low


def _json(values: Iterable[object]) -> str:
    return orjson.dumps(list(values)).decode()


if TYPE_CHECKING:
    _: type[Retention] = SqliteRetention
