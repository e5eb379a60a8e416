"""Everything that the journal knows of an event, for a person who asks what became of it.

Reading only, and beside the service as well as inside it. What has been forgotten meanwhile, by
`KEEP_*` or because a later event took its place, is not there: whoever tells the story says so.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, NamedTuple

from bridge.journal.hashing import dedupe_key, hash_of
from bridge.journal.queries import queries
from bridge.journal.records import End, GateRow, Merge
from bridge.journal.sqlite_chains import merges_of

CALLS_PER_EVENT = 30
"""The newest attempts that are told: an outage of a day makes dozens."""
LOOK_BACK = 50_000
"""Events that are looked through for a messageId that was never one of a source's."""
_ERASES = "delete"
"""The type of an event that asks to have its user erased."""


class Asked(NamedTuple):
    """About whom, or about which message."""

    user: str | None
    message_id: str | None
    apps: Sequence[str]
    sources: Sequence[str]
    limit: int
    #: The very one, by its number here.
    seq: int | None = None
    #: Labels under which the user may be known, if not by external id.
    labels: Sequence[str] = ()
    #: Also that the user is erased, or was.
    erasures: bool = True


class Event(NamedTuple):
    seq: int
    source: str
    app: str
    message_id: str
    type: str
    name: str | None
    user_hash: int
    received_ms: int
    event_ms: int
    payload: bytes | None


class Pending(NamedTuple):
    rank: int
    not_before_ms: int
    attempt: int
    last_error: str | None
    done: str
    only: str | None


class Ended(NamedTuple):
    end: End
    at_ms: int


class Sent(NamedTuple):
    """A send, with what its call has come to while it is there."""

    key: str
    rule: str
    operation: str
    label: str
    recipient: str
    person_hash: int
    generation: int
    revision: str
    state: str
    hold: str | None
    expires_ms: int | None
    once: int | None
    shares: bool
    call_key: str | None
    created_ms: int
    ended_ms: int | None
    attempt: int | None
    uncertain: bool | None
    not_before_ms: int | None
    last_error: str | None
    #: What it brings to a call that it shares.
    part: bytes | None


class Call(NamedTuple):
    """An attempt at OneSignal; `events` is how many it was made for."""

    id: int
    endpoint_class: str
    operation: str
    method: str
    path: str
    #: None: a repeat, with the bytes of the first of its key.
    body: bytes | None
    call_key: str | None
    status: int | None
    failure: str | None
    answer: str
    at_ms: int
    took_ms: int
    events: int


class Letter(NamedTuple):
    """A dead letter that still is one."""

    id: int
    rule: str
    operation: str
    reason: str
    http: int | None
    attempt: int
    answer: str | None
    uncertain: bool
    died_ms: int


class Place(NamedTuple):
    """That a rule has fired for the event's user and a key, and by which event."""

    rule: str
    once: int
    seq: int
    taken_ms: int
    #: It has not left yet.
    is_under_way: bool
    message_id: str | None


class Fired(NamedTuple):
    """That a rule has fired for the stay that is known now, and by which event."""

    audience: str
    rule: str
    seq: int
    message_id: str | None
    entered: bool
    since_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Trace:
    """One event, and all that is left of what was done for it."""

    event: Event
    pending: Pending | None
    ends: list[Ended]
    sends: list[Sent]
    #: Oldest first.
    calls: list[Call]
    dead: list[Letter]
    places: list[Place]
    fired: list[Fired]
    #: What is not done of making two users one because of it.
    merges: list[Merge]
    #: The hash of whom it is about by now, and the external id when there are several ids.
    person_hash: int
    external_id: str | None
    #: Of the mapping of its source when it was planned last; None: not known.
    revision: str | None


class Erased(NamedTuple):
    """That who is asked about was erased, or is being; kept for as long as late events are refused."""

    app: str
    at_ms: int
    under_way: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Traces:
    #: Newest first.
    found: list[Trace]
    erased: list[Erased]
    #: There are older ones.
    more: bool
    gates: list[GateRow]
    #: Of the keyed hashes.
    salt: bytes


def read_traces(connection: sqlite3.Connection, asked: Asked) -> Traces:
    """What there is to be told, newest first."""
    # One moment for all of it, though work goes on.
    connection.execute("BEGIN")
    try:
        return _read(connection, asked)
    finally:
        connection.execute("ROLLBACK")


def _read(connection: sqlite3.Connection, asked: Asked) -> Traces:
    (salt,) = connection.execute(queries()["meta_get"], {"key": "salt"}).fetchone()
    seqs = sorted(_seqs(connection, asked), reverse=True)
    traces = (one for seq in seqs if (one := _trace(connection, seq)) is not None)
    found = (one for one in traces if asked.erasures or one.event.type != _ERASES)
    return Traces(
        found=list(islice(found, asked.limit)),
        erased=_erased(connection, asked) if asked.erasures and asked.user is not None else [],
        more=len(seqs) > asked.limit,
        gates=[GateRow(*row) for row in connection.execute(queries()["gates"])],
        salt=salt,
    )


def _seqs(connection: sqlite3.Connection, asked: Asked) -> set[int]:
    if asked.seq is not None:
        return {asked.seq}
    if asked.user is not None:
        return _seqs_of_user(connection, asked)
    message_id = asked.message_id or ""
    keys = [dedupe_key(source, message_id) for source in asked.sources]
    found = {seq for key in keys for seq in _select(connection, "seqs_of_key", {"key": key})}
    return found or _looked_for(connection, message_id, asked.limit + 1)


def hashes_of(connection: sqlite3.Connection, asked: Asked) -> set[int]:
    """Of the user that is asked about, under every id that was found to be the same person's."""
    people = {_person(connection, one)[0] for one in _named(connection, asked)}
    return people.union(*(_ids(connection, person) for person in people))


def _named(connection: sqlite3.Connection, asked: Asked) -> set[int]:
    """Of everybody whom the id that is asked about may name."""
    (salt,) = connection.execute(queries()["meta_get"], {"key": "salt"}).fetchone()
    labels = ("external_id", *asked.labels)
    return {hash_of(salt, app, label, asked.user or "") for app in asked.apps for label in labels}


def _seqs_of_user(connection: sqlite3.Connection, asked: Asked) -> set[int]:
    ids = hashes_of(connection, asked)
    return {seq for one in ids for seq in _newest(connection, one, asked.limit + 1)}


def _erased(connection: sqlite3.Connection, asked: Asked) -> list[Erased]:
    """Of the id that is asked about, and of whom it was found to be; not of that person's other ids."""
    named = _named(connection, asked)
    users = named | {_person(connection, one)[0] for one in named}
    found = (connection.execute(queries()["erased_when"], {"user_hash": one}) for one in users)
    rows = {(app, at_ms, bool(under_way)) for some in found for app, at_ms, under_way in some}
    return [Erased(*row) for row in sorted(rows)]


def _person(connection: sqlite3.Connection, id_hash: int) -> tuple[int, str | None]:
    """Whom an id was found to be; itself when it was found to be nobody else."""
    row = connection.execute(queries()["person_of"], {"id_hash": id_hash}).fetchone()
    if row is not None:
        return row[0], row[1]
    named = connection.execute(queries()["person_named"], {"person_hash": id_hash}).fetchone()
    return id_hash, None if named is None else named[0]


def _ids(connection: sqlite3.Connection, person_hash: int) -> list[int]:
    return _select(connection, "hashes_of_person", {"person_hash": person_hash})


def _newest(connection: sqlite3.Connection, user: int, limit: int) -> list[int]:
    return _select(connection, "seqs_newest", {"user_hash": user, "limit": limit})


def _looked_for(connection: sqlite3.Connection, message_id: str, limit: int) -> set[int]:
    (last,) = connection.execute(queries()["last_seq"]).fetchone()
    values = {"after": last - LOOK_BACK, "message_id": message_id, "limit": limit}
    return set(_select(connection, "seqs_of_message", values))


def _select(connection: sqlite3.Connection, query: str, values: dict[str, Any]) -> list[int]:
    return [seq for (seq,) in connection.execute(queries()[query], values)]


def _trace(connection: sqlite3.Connection, seq: int) -> Trace | None:
    def rows(query: str, **values: Any) -> list[tuple[Any, ...]]:
        return connection.execute(queries()[query], {"seq": seq} | values).fetchall()

    event = next((Event(*row) for row in rows("event_of")), None)
    if event is None:
        return None
    person_hash, external_id = _person(connection, event.user_hash)
    whose = {"user_hash": person_hash, "app": event.app}
    ends = [Ended(End(*row[:7]), row[7]) for row in rows("trace_ends")]
    at_ms = max([one.at_ms for one in ends], default=2**62)
    in_force = rows("in_force", source=event.source, at_ms=at_ms)
    return Trace(
        event=event,
        pending=next((Pending(*row) for row in rows("trace_pending")), None),
        ends=ends,
        sends=[Sent(*row) for row in rows("trace_sends")],
        calls=[Call(*row) for row in reversed(rows("trace_calls", limit=CALLS_PER_EVENT))],
        dead=[Letter(*row) for row in rows("trace_dead")],
        places=[Place(*row) for row in rows("trace_places", **whose)],
        fired=[Fired(*row) for row in rows("trace_fired", **whose)],
        merges=merges_of(rows("merges_of_event")),
        person_hash=person_hash,
        external_id=external_id,
        revision=in_force[0][0] if in_force else None,
    )
