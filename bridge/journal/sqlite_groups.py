"""Groups in a SQLite journal; see `bridge.journal.groups`."""

from __future__ import annotations

import sqlite3
from collections import defaultdict
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Any

import orjson

from bridge import failpoints
from bridge.journal import sqlite_rows as rows
from bridge.journal.groups import (
    Choose,
    EndedMember,
    EndedSome,
    EndOf,
    Make,
    Member,
    MemberEnd,
    OpenCall,
    OpenGroup,
    Sealed,
    Sealing,
    Sift,
)
from bridge.journal.queries import queries
from bridge.journal.records import SendGroup
from bridge.journal.sends import Hold
from bridge.journal.sqlite_sends import DAY_MS, Read

if TYPE_CHECKING:
    from bridge.journal.groups import Groups

ENDS_AT_ONCE = 250
"""Members that end in one transaction: more would hold the loop up."""


class SqliteGroups:
    """Transactions about groups, on the journal's writer."""

    def __init__(
        self,
        *,
        write: Callable[[Callable[[sqlite3.Connection], Any]], Awaitable[Any]],
        read: Read,
    ) -> None:
        self._write = write
        self._read = read

    async def waiting(self, app: str, *, limit: int) -> tuple[list[OpenGroup], list[OpenCall]]:
        def read(connection: sqlite3.Connection) -> tuple[list[OpenGroup], list[OpenCall]]:
            values = {"app": app, "limit": limit}
            groups = connection.execute(queries()["groups_waiting"], values)
            calls = connection.execute(queries()["calls_waiting"], values)
            return [OpenGroup(*row) for row in groups], [OpenCall(*row) for row in calls]

        return await self._read(read)

    async def seal(
        self, group: bytes, *, sift: Sift, choose: Choose, make: Make, limit: int, now_ms: int
    ) -> Sealing:
        def write(connection: sqlite3.Connection) -> Sealing:
            found = _group(connection, group)
            if found is None:
                return Sealing(None, 0, [])
            waiting = connection.execute(
                queries()["unsealed"], {"group_id": group, "limit": limit}
            ).fetchall()
            sifted = _sifted(found, [Member(*row[:6]) for row in waiting], sift)
            fresh = sifted.pop(None, [])
            stay = sum(map(len, sifted.values()))
            ended = _stay(connection, sifted, now_ms)
            if not fresh:
                _end_group(connection, group)
                return Sealing(None, stay, ended)
            chosen = choose(found, fresh)
            call = _write_call(connection, found, chosen, make, now_ms)
            return Sealing(call, stay + len(chosen), ended)

        result: Sealing = await self._write(write)
        failpoints.reached("group.sealed")
        return result

    async def all_may_leave(self, key: str, *, sift: Sift) -> bool:
        def read(connection: sqlite3.Connection) -> bool:
            call = _call(connection, key)
            group = None if call is None else _group(connection, call.group)
            if call is None or group is None:
                return True
            values = {"call_key": key, "limit": call.members}
            members = connection.execute(queries()["call_members"], values)
            return all(sift(group, Member(*row[:6])) is None for row in members)

        return await self._read(read)

    async def call(self, key: str) -> Sealed | None:
        return await self._read(lambda connection: _call(connection, key))

    async def unseal(self, key: str) -> None:
        def write(connection: sqlite3.Connection) -> None:
            connection.execute(queries()["leave_call"], {"call_key": key})
            connection.execute(queries()["drop_call"], {"key": key})

        await self._write(write)

    async def split(self, key: str, *, make: Make, now_ms: int) -> list[OpenCall]:
        def write(connection: sqlite3.Connection) -> list[OpenCall]:
            call = _call(connection, key)
            group = None if call is None else _group(connection, call.group)
            if call is None or group is None:
                return []
            found = connection.execute(
                queries()["call_members"], {"call_key": key, "limit": call.members}
            )
            members = sorted(Member(*row[:6]) for row in found)
            connection.execute(queries()["drop_call"], {"key": key})
            half = len(members) // 2
            made = [
                _write_call(connection, group, part, make, now_ms)
                for part in (members[:half], members[half:])
            ]
            return [OpenCall(one.key, one.endpoint, one.rank, 0) for one in made]

        result: list[OpenCall] = await self._write(write)
        return result

    async def end_some(self, key: str, *, end_of: EndOf, at_ms: int) -> EndedSome:
        def write(connection: sqlite3.Connection) -> EndedSome:
            values = {"call_key": key, "limit": ENDS_AT_ONCE}
            found = connection.execute(queries()["call_members"], values).fetchall()
            members = [Member(*row[:6]) for row in found]
            ended = [(one, row[6], end_of(one)) for one, row in zip(members, found, strict=True)]
            alike: dict[MemberEnd, list[Member]] = defaultdict(list)
            for member, seq, end in ended:
                alike[end._replace(death=None)].append(member)
                if end.death is not None:
                    rows.insert_ends(connection, seq, [], [end.death], at_ms)
            for end, same in alike.items():
                kept = end.status == "dead" and any(
                    one.death is not None and one.death.uncertain for _, _, one in ended
                )
                _end(connection, same, end, at_ms, kept=kept)
            more = len(found) == ENDS_AT_ONCE
            if not more:
                _end_call(connection, key)
            told = [
                EndedMember(member.rule, end, row[8])
                for (member, _, end), row in zip(ended, found, strict=True)
            ]
            return EndedSome(told, more)

        result: EndedSome = await self._write(write)
        failpoints.reached("group.ending")
        return result

    async def hold_unsealed(self, group: bytes, why: Hold) -> int:
        def write(connection: sqlite3.Connection) -> int:
            values = {"group_id": group, "hold": why, "limit": ENDS_AT_ONCE}
            return connection.execute(queries()["hold_unsealed"], values).rowcount

        return int(await self._write(write))


def _sifted(
    group: SendGroup, members: Sequence[Member], sift: Sift
) -> dict[MemberEnd | Hold | None, list[Member]]:
    """Members by what becomes of them."""
    found: dict[MemberEnd | Hold | None, list[Member]] = defaultdict(list)
    for one in members:
        found[sift(group, one)].append(one)
    return found


def _stay(
    connection: sqlite3.Connection,
    sifted: dict[MemberEnd | Hold | None, list[Member]],
    now_ms: int,
) -> list[tuple[str, MemberEnd, int]]:
    """End or hold those that may not leave; the ends, by rule."""
    ended = []
    for what, members in sifted.items():
        if isinstance(what, MemberEnd):
            counts = _end(connection, members, what, now_ms)
            ended += [(rule, what, count) for rule, count in counts.items()]
        else:
            connection.execute(queries()["hold_members"], {"hold": what, "keys": _keys(members)})
    return ended


def _group(connection: sqlite3.Connection, group: bytes) -> SendGroup | None:
    row = connection.execute(queries()["group_one"], {"id": group}).fetchone()
    return None if row is None else SendGroup(*row)


def _call(connection: sqlite3.Connection, key: str) -> Sealed | None:
    row = connection.execute(queries()["group_call"], {"key": key}).fetchone()
    return None if row is None else Sealed(*row)


def _write_call(
    connection: sqlite3.Connection,
    group: SendGroup,
    members: Sequence[Member],
    make: Make,
    now_ms: int,
) -> Sealed:
    key, body = make(group, members)
    values = group._asdict() | {"key": key, "body": body, "now_ms": now_ms}
    connection.execute(queries()["write_group_call"], values)
    failpoints.reached("group.sealing")
    connection.execute(queries()["join_call"], {"call_key": key, "keys": _keys(members)})
    return Sealed(
        key=key,
        group=group.id,
        endpoint=group.endpoint,
        rank=group.rank,
        rule=members[0].rule,
        method=group.method,
        path=group.path,
        body=body,
        not_before_ms=0,
        attempt=0,
        created_ms=now_ms,
        uncertain=False,
        members=len(members),
        expires_ms=min(
            (one.expires_ms for one in members if one.expires_ms is not None), default=None
        ),
    )


def _keys(members: Sequence[Member]) -> str:
    return orjson.dumps([one.key for one in members]).decode()


def _end(
    connection: sqlite3.Connection,
    members: Sequence[Member],
    end: MemberEnd,
    at_ms: int,
    *,
    kept: bool = False,
) -> dict[str, int]:
    """End members alike; how many by rule."""
    counts: dict[str, int] = defaultdict(int)
    for one in members:
        counts[one.rule] += 1
    if not members:
        return counts
    kept = kept or end.status == "delivered"
    values = {
        "keys": _keys(members),
        "state": end.status,
        "reason": end.reason,
        "http": end.http,
        "at_ms": at_ms,
        "kept": kept,
    }
    connection.execute(queries()["end_members"], values)
    connection.execute(queries()["end_member_outcomes"], values)
    if end.status == "delivered":
        connection.execute(queries()["reach_members"], values | {"day": at_ms // DAY_MS})
    for (key,) in connection.execute(queries()["with_places"], values).fetchall():
        place = {"key": key, "at_ms": at_ms}
        if not kept:
            connection.execute(queries()["return_place"], place)
        connection.execute(queries()["keep_place"], place)
    return counts


def _end_call(connection: sqlite3.Connection, key: str) -> None:
    row = connection.execute(queries()["call_group"], {"key": key}).fetchone()
    connection.execute(queries()["end_group_call"], {"key": key})
    if row is not None:
        _end_group(connection, row[0])


def _end_group(connection: sqlite3.Connection, group: bytes) -> None:
    connection.execute(queries()["end_group"], {"id": group})


if TYPE_CHECKING:
    _: type[Groups] = SqliteGroups
