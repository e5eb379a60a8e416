"""Ids of one person in a SQLite journal; see `bridge.journal.identities`."""

from __future__ import annotations

import sqlite3
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import orjson

from bridge import failpoints
from bridge.journal import sqlite_rows as rows
from bridge.journal.identities import MERGED, Join, Named, Person
from bridge.journal.membership import joined
from bridge.journal.queries import queries
from bridge.journal.records import Death, End, Entry, Learnt, Link, Merge, lane_of
from bridge.journal.sqlite_chains import merges_of
from bridge.journal.sqlite_sends import Read, membership, membership_of

if TYPE_CHECKING:
    from bridge.journal.identities import Identities


class SqliteIdentities:
    """Transactions about merges, on the journal's writer."""

    def __init__(
        self,
        *,
        write: Callable[[Callable[[sqlite3.Connection], Any]], Awaitable[Any]],
        read: Read,
        linked: Callable[[], bool],
    ) -> None:
        """`linked` says whether anybody was."""
        self._write = write
        self._read = read
        self._linked = linked

    @property
    def any(self) -> bool:
        return self._linked()

    async def person(self, id_hash: int) -> Person | None:
        values = {"id_hash": id_hash}
        row = await self._read(
            lambda connection: connection.execute(queries()["person_of"], values).fetchone()
        )
        return None if row is None else Person(*row)

    async def ids(self, person_hash: int) -> list[Named]:
        return await self._read(lambda connection: ids_of(connection, person_hash))

    async def answered(
        self,
        merge: Merge,
        *,
        http: int | None,
        owed: dict[str, list[Any]],
        join: Join,
        death: Death | None,
        end: End | None,
        at_ms: int,
    ) -> None:
        values = {"id_hash": merge.id_hash, "http": http, "owed": orjson.dumps(owed).decode()}

        def write(connection: sqlite3.Connection) -> None:
            if connection.execute(queries()["merge_answered"], values).rowcount == 0:
                return
            _join_states(connection, merge, join, at_ms)
            connection.execute(queries()["mark_merged"], {"seq": merge.seq, "name": MERGED})
            _tell(connection, merge.seq, end, death, at_ms)
            failpoints.reached("merge.joining")

        await self._write(write)
        failpoints.reached("merge.joined")

    async def paid(
        self,
        merge: Merge,
        *,
        moves: bool,
        detail: str | None,
        end: End | None,
        learnt: Sequence[Learnt],
        at_ms: int,
    ) -> None:
        def write(connection: sqlite3.Connection) -> None:
            rows.learn(connection, learnt, at_ms)
            if moves:
                _go_on(connection, merge, "moving", detail)
            elif merge.http is None:
                _go_on(connection, merge, "refused", detail)
            else:
                connection.execute(queries()["end_merge"], {"id_hash": merge.id_hash})
            _tell(connection, merge.seq, end, None, at_ms)

        await self._write(write)
        failpoints.reached("merge.paid")

    async def moving(self, app: str, *, limit: int) -> list[Merge]:
        values = {"app": app, "limit": limit}
        return await self._read(
            lambda connection: merges_of(connection.execute(queries()["merges_moving"], values))
        )

    async def found(self, merge: Merge, subscriptions: Sequence[str], *, moved: int) -> bool:
        values = {
            "id_hash": merge.id_hash,
            "subscriptions": _json(subscriptions),
            "moved": moved,
        }

        def write(connection: sqlite3.Connection) -> bool:
            return connection.execute(queries()["merge_found"], values).rowcount > 0

        found = bool(await self._write(write))
        failpoints.reached("merge.found")
        return found

    async def put_off(
        self,
        merge: Merge,
        *,
        not_before_ms: int,
        attempt: int,
        error: str,
        doubted: bool,
        now_ms: int,
    ) -> None:
        values = {
            "id_hash": merge.id_hash,
            "not_before_ms": not_before_ms,
            "attempt": attempt,
            "error": error,
            "doubted": doubted,
            "now_ms": now_ms,
        }
        await self._write(lambda connection: connection.execute(queries()["put_off_merge"], values))

    async def ended(self, merge: Merge, end: End, *, death: Death | None, at_ms: int) -> None:
        def write(connection: sqlite3.Connection) -> None:
            if _one(connection, merge.id_hash) is None:
                return  # the person was erased meanwhile
            if death is None:
                connection.execute(queries()["end_merge"], {"id_hash": merge.id_hash})
            else:
                _go_on(connection, merge, "refused", merge.detail)
            _tell(connection, merge.seq, end, death, at_ms)
            failpoints.reached("merge.ending")

        await self._write(write)


# Reading ------------------------------------------------------------------------------------------


def _one(connection: sqlite3.Connection, id_hash: int) -> Merge | None:
    found = connection.execute(queries()["merge_of"], {"id_hash": id_hash})
    return next(iter(merges_of(found)), None)


def ids_of(connection: sqlite3.Connection, person_hash: int) -> list[Named]:
    found = connection.execute(queries()["ids_of_person"], {"person_hash": person_hash})
    return [Named(*row) for row in found]


def persons(connection: sqlite3.Connection, ids: list[int]) -> dict[int, Person]:
    """Of these ids those that were found to be another's, and whose."""
    found = rows.among(connection, "linked_among", ids)
    return {id_hash: Person(*person) for id_hash, *person in found}


# Linking ------------------------------------------------------------------------------------------


class Linked(NamedTuple):
    """A link that is news, and the event that says so."""

    seq: int
    entry: Entry
    link: Link
    person: Person


def news(entry: Entry, known: dict[int, Person]) -> list[tuple[Link, Person]]:
    """The links of an entry that are news; `known` learns of them.

    The entry's user is whom its id was found to be. An id that is somebody's already stays that
    person's, and so links that cross, or lead in a circle, end at the first.
    """
    found: list[tuple[Link, Person]] = []
    for link in entry.links:
        if link.id_hash in known or link.id_hash == entry.user_hash:
            continue
        person = next(
            (one for one in known.values() if one.user_hash == entry.user_hash),
            Person(entry.user_hash, link.external_id),
        )
        for id_hash, one in known.items():
            if one.user_hash == link.id_hash:
                known[id_hash] = person
        known[link.id_hash] = person
        found.append((link, person))
    return found


def link(connection: sqlite3.Connection, one: Linked, tail: Sequence[int]) -> None:
    """Whatever was the id's is the person's; part of the transaction that appends the event.

    `tail` are the seqs of the id's events in the tail of the journal.
    """
    values = {
        **one.link._asdict(),
        "external_id": one.person.external_id,
        "person_hash": one.person.user_hash,
        "lane": lane_of(one.person.user_hash),
        "app": one.entry.app,
        "seq": one.seq,
        "at_ms": one.entry.received_ms,
        "tail": _json(tail),
    }
    for name in (
        "relink",
        "link",
        "hand_over_merges",
        "ask_merge",
        "hand_over_pending",
        "hand_over_devices",
        "forget_devices_of_id",
        "hand_over_counted",
        "join_places",
        "join_reached",
    ):
        connection.execute(queries()[name], values)
    _join_memberships(connection, one.link.id_hash, one.person.user_hash)
    for name in ("forget_person_places", "forget_reached"):
        connection.execute(queries()[name], {"person_hash": one.link.id_hash})
    failpoints.reached("ids.linking")


def _join_memberships(connection: sqlite3.Connection, id_hash: int, person_hash: int) -> None:
    own = connection.execute(queries()["memberships_of"], {"user_hash": id_hash}).fetchall()
    for app, audience, *row in own:
        other = membership_of(row)
        whose = {
            "app": app,
            "audience": audience,
            "id_hash": id_hash,
            "person_hash": person_hash,
        }
        person = membership(connection, whose | {"user_hash": person_hash})
        both, person_fired, other_fired = joined(person, other)
        values = whose | both._asdict() | {"user_hash": person_hash}
        connection.execute(queries()["keep_membership"], values)
        if not person_fired:
            connection.execute(queries()["forget_fired"], values)
        if other_fired:
            connection.execute(queries()["hand_over_fired"], values)
        gone = whose | {"user_hash": id_hash}
        connection.execute(queries()["forget_fired"], gone)
        connection.execute(queries()["drop_membership"], gone)


# Merging ------------------------------------------------------------------------------------------


def _join_states(connection: sqlite3.Connection, merge: Merge, join: Join, at_ms: int) -> None:
    both = join(rows.state(connection, merge.person_hash), rows.state(connection, merge.id_hash))
    if both is not None:
        values = {"user_hash": merge.person_hash, "facts": both, "used_ms": at_ms}
        connection.execute(queries()["learn"], values)
    connection.execute(queries()["forget_state"], {"person_hash": merge.id_hash})


def _tell(
    connection: sqlite3.Connection, seq: int, end: End | None, death: Death | None, at_ms: int
) -> None:
    """How a merge ended, of an event that may have several; one letter has all of them asked again."""
    if end is not None:
        values = {"seq": seq, **end._asdict(), "at_ms": at_ms}
        connection.execute(queries()["end_merges_of_event"], values)
    if (
        death is not None
        and connection.execute(queries()["is_dead"], {"seq": seq}).fetchone() is None
    ):
        rows.insert_ends(connection, seq, [], [death], at_ms)


def _go_on(connection: sqlite3.Connection, merge: Merge, state: str, detail: str | None) -> None:
    values = {"id_hash": merge.id_hash, "state": state, "detail": detail}
    connection.execute(queries()["merge_goes_on"], values)


def _json(values: Iterable[object]) -> str:
    return orjson.dumps(list(values)).decode()


if TYPE_CHECKING:
    _: type[Identities] = SqliteIdentities
