"""Erasing users in a SQLite journal; see `bridge.journal.erasures`.

`secure_delete` is on for the file (see `sqlite_file`), so that what is removed is overwritten; the
write-ahead log is emptied by `scrub`, see `retention`.
"""

from __future__ import annotations

import sqlite3
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable, Collection, Iterable, Sequence
from typing import TYPE_CHECKING, Any

import orjson

from bridge import failpoints
from bridge.journal import sqlite_calls as calls, sqlite_rows as rows
from bridge.journal.erasures import Blank, Erased, Gone, Noted, Swept, Without
from bridge.journal.queries import queries
from bridge.journal.records import Entry
from bridge.journal.sqlite_sends import Read

if TYPE_CHECKING:
    from bridge.journal.erasures import Erasures

_OF_A_PERSON = (
    "forget_state",
    "forget_memberships",
    "forget_firings",
    "forget_person_places",
    "forget_reached",
    "forget_devices",
)


class SqliteErasures:
    """Transactions about erasures, on the journal's writer."""

    def __init__(
        self,
        *,
        write: Callable[[Callable[[sqlite3.Connection], Any]], Awaitable[Any]],
        read: Read,
        tail: Callable[[int], Sequence[int]],
        some: Callable[[], bool],
    ) -> None:
        """`tail` tells a user's events in the tail of the journal, `some` whether anybody was erased."""
        self._some = some
        self._write = write
        self._read = read
        self._tail = tail

    @property
    def any(self) -> bool:
        return self._some()

    async def gone(self, users: Collection[int]) -> dict[int, Gone]:
        return await self._read(lambda connection: rows.erased(connection, list(users)))

    async def sweep(
        self,
        user_hash: int,
        *,
        others: Sequence[int] = (),
        given_up: Sequence[int] = (),
        limit: int,
        at_ms: int,
        without: Without,
        blank: Blank | None = None,
    ) -> Swept:
        def write(connection: sqlite3.Connection) -> Swept:
            ids = _ids(connection, user_hash)
            # An id's events that were pending when it was found to be the user's are the user's there.
            tail = _json({seq for one in (user_hash, *ids) for seq in self._tail(one)})
            kept = None if blank is None else blank(rows.state(connection, user_hash))
            swept = _sweep(connection, user_hash, ids, others, tail, limit, at_ms, without)
            if not swept.more:
                _forget_states(connection, given_up)
                if kept is not None:
                    rows.keep_state(connection, user_hash, kept, at_ms)
            return swept

        result: Swept = await self._write(write)
        failpoints.reached("user.swept")
        return result

    async def finish(self, seq: int, user_hash: int, *, at_ms: int) -> Erased | None:
        def write(connection: sqlite3.Connection) -> Erased | None:
            return _finish(connection, seq, user_hash, at_ms)

        result: Erased | None = await self._write(write)
        return result

    async def trail(self, *, after: int = 0, limit: int = 100) -> list[Noted]:
        values = {"after": after, "limit": limit}
        return await self._read(
            lambda connection: [
                Noted(*row) for row in connection.execute(queries()["audit_trail"], values)
            ]
        )


def ask(connection: sqlite3.Connection, seq: int, entry: Entry) -> None:
    """An event asks for its user to be erased; part of the transaction that appends it."""
    for one in (entry.user_hash, *_ids(connection, entry.user_hash)):
        values = entry._asdict() | {"seq": seq, "user_hash": one}
        connection.execute(queries()["erase"], values)


def _ids(connection: sqlite3.Connection, user_hash: int) -> list[int]:
    """By which other ids the user was heard of."""
    found = connection.execute(queries()["ids_of_person"], {"person_hash": user_hash})
    return [row[0] for row in found]


def _sweep(
    connection: sqlite3.Connection,
    user_hash: int,
    ids: Sequence[int],
    others: Sequence[int],
    tail: str,
    limit: int,
    at_ms: int,
    without: Without,
) -> Swept:
    erasure = connection.execute(queries()["erasure"], {"user_hash": user_hash}).fetchone()
    if erasure is None:
        return Swept(0, {}, more=False, under_way=0)
    persons = [user_hash, *ids, *others]
    whose = {"person_hash": user_hash, "before_ms": erasure[3], "tail": tail, "limit": limit}
    connection.execute(queries()["forget_merges"], whose)
    found = {one: _to_erase(connection, one, whose) for one in (user_hash, *ids)}
    _forget_calls(connection, persons)
    discarded: Counter[str] = Counter()
    for one, some in found.items():
        discarded.update(_forget_events(connection, one, some, at_ms, without))
    seqs = [seq for some in found.values() for seq in some]
    sends = [
        one
        for person in persons
        for one in connection.execute(
            queries()["sends_to_person"], {"person_hash": person, "limit": limit}
        ).fetchall()
    ]
    _forget_sends(connection, sends, at_ms, without)
    more = any(len(some) == limit for some in found.values()) or len(sends) >= limit
    if not more:
        # Last, because the names that a user goes by are found in the state.
        for person in persons:
            _forget_person(connection, person)
    counted = {"events": len(seqs), "user_hash": user_hash}
    connection.execute(queries()["count_erased"], counted)
    under_way = 0 if more else _under_way(connection, whose, list(found), persons)
    return Swept(len(seqs), dict(discarded), more, under_way)


def _to_erase(connection: sqlite3.Connection, id_hash: int, whose: dict[str, Any]) -> list[int]:
    """Some events of one of a person's ids."""
    values = whose | {"user_hash": id_hash}
    return [seq for (seq,) in connection.execute(queries()["events_to_erase"], values)]


def _forget_calls(connection: sqlite3.Connection, persons: Sequence[int]) -> None:
    """First of all, because they are found by the events."""
    for person in persons:
        calls.forget(connection, person)


def _forget_events(
    connection: sqlite3.Connection, user_hash: int, seqs: list[int], at_ms: int, without: Without
) -> dict[str, int]:
    if not seqs:
        return {}
    values = {"seqs": _json(seqs), "user_hash": user_hash, "at_ms": at_ms}
    connection.execute(queries()["discard_events"], values)
    sends = connection.execute(queries()["sends_of_events"], values)
    _forget_sends(connection, sends, at_ms, without)
    for name in (
        "forget_pending",
        "forget_suspects",
        "forget_letters",
        "discard_dead",
        "forget_details",
        "forget_history",
        "forget_events",
    ):
        connection.execute(queries()[name], values)
    return dict(connection.execute(queries()["erased_ends"], values).fetchall())


def _forget_sends(
    connection: sqlite3.Connection, sends: Iterable[tuple[Any, ...]], at_ms: int, without: Without
) -> None:
    """Sends of which nothing is out, with their calls and the groups that nobody is left in.

    A call that others may be sent again keeps its key, by which OneSignal tells a repeat whoever is in it.
    """
    found = list(sends)
    if not found:
        return
    values = {"keys": _json([one[0] for one in found]), "at_ms": at_ms}
    connection.execute(queries()["discard_sends"], values)
    connection.execute(queries()["forget_dead"], values)
    connection.execute(queries()["keep_places"], values)
    connection.execute(queries()["forget_sends"], values)
    for group, call in {(one[5], one[6]) for one in found}:
        query = "end_call" if group is None else "end_group_call"
        connection.execute(queries()[query], {"key": call})
        if group is not None:
            connection.execute(queries()["end_group"], {"id": group})
    for call, names in _named(found).items():
        left = connection.execute(queries()["call_left"], {"key": call}).fetchone()
        if left is not None:
            body = {"key": call, "body": without(left[0], names)}
            connection.execute(queries()["leave_out_of_call"], body)


def _named(sends: Iterable[tuple[Any, ...]]) -> dict[str, set[str]]:
    """By what each shared call names those whose sends these are."""
    names: dict[str, set[str]] = defaultdict(set)
    for key, _, _, _, _, group, call, recipient, part in sends:
        if group is not None and call is not None:
            names[call] |= {key, recipient, *_devices(part)}
    return names


def _devices(part: bytes | None) -> list[str]:
    """Of a push to devices, those; of a custom event, none."""
    found = [] if part is None else orjson.loads(part)
    return found if isinstance(found, list) else []


def _forget_person(connection: sqlite3.Connection, person_hash: int) -> None:
    for name in _OF_A_PERSON:
        connection.execute(queries()[name], {"person_hash": person_hash})


def _forget_states(connection: sqlite3.Connection, hashes: Sequence[int]) -> None:
    for one in hashes:
        connection.execute(queries()["forget_state"], {"person_hash": one})


def _under_way(
    connection: sqlite3.Connection,
    whose: dict[str, Any],
    ids: Sequence[int],
    persons: Sequence[int],
) -> int:
    asked = [("events_under_way", whose | {"user_hash": one}) for one in ids]
    asked += [("sends_under_way", {"person_hash": one}) for one in persons]
    return sum(connection.execute(queries()[name], values).fetchone()[0] for name, values in asked)


def _finish(connection: sqlite3.Connection, seq: int, user_hash: int, at_ms: int) -> Erased | None:
    status, reason, http = connection.execute(queries()["how_erased"], {"seq": seq}).fetchone()
    if status == "dead":
        rows.finish(connection, [seq])
        return None
    ids = (user_hash, *_ids(connection, user_hash))
    for one in ids:
        _forget_person(connection, one)
        _forget_calls(connection, [one])
    connection.execute(queries()["forget_identity"], {"person_hash": user_hash})
    seqs = {"seqs": _json([seq]), "user_hash": user_hash}
    connection.execute(queries()["forget_letters"], seqs)
    connection.execute(queries()["forget_events"], seqs)
    failpoints.reached("user.erasing")
    rows.finish(connection, [seq])
    values = {"user_hash": user_hash, "seq": seq, "at_ms": at_ms}
    done = [
        connection.execute(queries()["erasure_done"], values | {"user_hash": one}).rowcount
        for one in ids
    ]
    if not done[0]:
        return None
    _, _, who, _, asked_ms, events = connection.execute(queries()["erasure"], values).fetchone()
    erased = Erased(who, user_hash, events, status if reason is None else reason, http)
    detail = erased.detail | {"asked_ms": asked_ms}
    noted = Noted(at_ms, who, "user.erased", orjson.dumps(detail).decode())
    connection.execute(queries()["append_audit_trail"], noted._asdict())
    return erased


def _json(values: Iterable[object]) -> str:
    return orjson.dumps(list(values)).decode()


if TYPE_CHECKING:
    _: type[Erasures] = SqliteErasures
