"""Everything that can be seen from outside when all is done: the database, and OneSignal's side.

The database is read with SQL of its own, and OneSignal through what the sandbox says over HTTP, so
that a bridge in this process and one that was a process are looked at in the same way.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import httpx

_ALL = {"limit": 10_000_000}


class EventRow(NamedTuple):
    seq: int
    source: str
    message_id: str
    received_ms: int


class OutcomeRow(NamedTuple):
    seq: int
    rule: str
    operation: str
    status: str
    reason: str | None


class SendRow(NamedTuple):
    key: str
    seq: int
    rule: str
    recipient: str
    generation: int
    state: str
    call_key: str | None


class DeadRow(NamedTuple):
    seq: int
    rule: str
    operation: str
    reason: str
    state: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Resources:
    """What a process used, sampled while it ran."""

    rss_bytes: list[int]
    descriptors: list[int]


@dataclass(slots=True, kw_only=True)
class Sight:
    pending: int
    events: list[EventRow]
    outcomes: list[OutcomeRow]
    sends: list[SendRow]
    dead: list[DeadRow]
    #: As the sandbox lists them, in their order.
    calls: list[dict[str, Any]]
    pushes: list[dict[str, Any]]
    custom_events: list[dict[str, Any]]
    users: list[dict[str, Any]]
    complaints: list[dict[str, Any]]
    resources: list[Resources] = field(default_factory=list)


def rows(database: Path, sql: str) -> list[Any]:
    """Read from a database that another process may be writing."""
    with closing(sqlite3.connect(f"{database.as_uri()}?mode=ro", uri=True)) as connection:
        return connection.execute(sql).fetchall()


def waiting(database: Path) -> int:
    """Events with something left to do, and sends and merges that have not ended."""
    sql = (
        "SELECT (SELECT count(*) FROM pending)"
        " + (SELECT count(*) FROM send WHERE ended_ms IS NULL AND state <> 'held')"
        " + (SELECT count(*) FROM merge WHERE state <> 'refused')"
    )
    return int(rows(database, sql)[0][0])


async def look(database: Path, onesignal: httpx.AsyncClient) -> Sight:
    def table(made: Any, name: str) -> list[Any]:
        fields = ", ".join(made._fields)
        found = rows(database, f"SELECT {fields} FROM {name}")
        return [made(*row) for row in found]

    async def listed(name: str) -> list[dict[str, Any]]:
        answer = await onesignal.get(f"/sandbox/{name}", params=_ALL)
        found: list[dict[str, Any]] = answer.json()[name]
        return found

    return Sight(
        pending=waiting(database),
        events=table(EventRow, "event"),
        outcomes=table(OutcomeRow, "outcome"),
        sends=table(SendRow, "send"),
        dead=table(DeadRow, "dead"),
        calls=await listed("calls"),
        pushes=await listed("pushes"),
        custom_events=await listed("events"),
        users=await listed("users"),
        complaints=await listed("complaints"),
    )
