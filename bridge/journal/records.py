"""The rows that cross the journal's border.

Tuples with names, because accepting an event makes several and a frozen dataclass costs four times
as much. Times are milliseconds since 1970; `user_hash` is `Journal.user_hash`'s.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal, NamedTuple

LIVE, BULK = 0, 1
LANES = 256
GROUP_LANES = range(LANES, LANES + 16)
"""Lanes in which sends of many people form groups."""

SENDS_DECIDED = "/sends"
"""In `done`: which sends the event has is decided, whatever its rules are called by now."""
SEND_WAITS = "/waits/"
"""In `done`, before its name: this send is not decided yet, though others of the event are."""

Replayed = Literal["replayed", "not-dead", "not-an-event", "key-forgotten"]
"""What came of asking for a replay."""

Status = Literal["delivered", "no_recipients", "skipped", "dead", "discarded"]


def lane_of(user_hash: int) -> int:
    """The lane of a user: the low byte of the hash."""
    return user_hash & (LANES - 1)


made = tuple.__new__
"""`made(Entry, (...))`, of all its fields, is an entry in a third of the time that `Entry(...)` takes."""


class Entry(NamedTuple):
    """An event to be kept. With a `rank` it becomes work; otherwise `ended` says how it ends now."""

    # As the columns of `event`, which are written from it.
    source: str
    app: str
    message_id: str
    type: str
    name: str | None
    user_hash: int
    received_ms: int
    event_ms: int
    payload: bytes | None
    dedupe_key: bytes | None
    rank: int | None
    ended: End | None = None
    #: It asks to erase its user: of events up to this time nothing is left, and none is taken.
    erases_ms: int | None = None
    #: Who is its user, too.
    links: Sequence[Link] = ()
    #: What is kept of it when that is no news, and there is nothing else to do.
    unlinked: Entry | None = None

    @property
    def is_dead(self) -> bool:
        """It ended as it was accepted, and a person may want to see it."""
        return self.ended is not None and self.ended.status == "dead"


class Link(NamedTuple):
    """Somebody who is the event's user, too, by what the event says."""

    id_hash: int
    label: str
    id: str
    #: The event's user.
    external_id: str


class End(NamedTuple):
    """How one operation of an event ended; rule and operation are "" for the event as a whole."""

    rule: str
    operation: str
    status: Status
    reason: str | None = None
    detail: str | None = None
    http: int | None = None
    call_key: str | None = None


class Appended(NamedTuple):
    seq: int
    duplicate: bool


class Changed(Appended):
    """One that was not kept as it came: its user was erased, or is another, or others are its user."""

    kept: Entry
    #: Those others.
    linked: Sequence[int] = ()


class Head(NamedTuple):
    """That a user has work, seen from a lane."""

    seq: int
    user_hash: int
    not_before_ms: int


class OpenSend(NamedTuple):
    """A send that was written and has not ended, with the call that carries it."""

    key: str
    rule: str
    operation: str
    expires_ms: int | None
    call_key: str
    method: str
    path: str
    body: bytes
    not_before_ms: int
    attempt: int
    created_ms: int
    #: OneSignal has not seen its key before.
    key_ms: int
    label: str
    recipient: str
    #: An attempt may have been performed.
    uncertain: bool


class Waiting(NamedTuple):
    """A pending event, with what has already been done of it."""

    seq: int
    lane: int
    rank: int
    user_hash: int
    event_ms: int
    not_before_ms: int
    attempt: int
    first_try_ms: int | None
    done: frozenset[str]
    only: frozenset[str] | None
    #: Operations that a person has asked for since the event was pending.
    revived: frozenset[str]
    source: str
    app: str
    message_id: str
    received_ms: int
    payload: bytes
    type: str
    sends: tuple[OpenSend, ...]
    #: Of operations whose send was given up for another: the number of the next.
    generations: dict[str, int]


class SendGroup(NamedTuple):
    """What sends have in common that may share a call; `id` is a hash of all the rest."""

    id: bytes
    app: str
    endpoint: Literal["send", "event"]
    lane: int
    rank: int
    label: str
    method: str
    path: str
    body: bytes


class Merge(NamedTuple):
    """What has to be done at OneSignal because of a link."""

    id_hash: int
    person_hash: int
    app: str
    seq: int
    state: Literal["asked", "owing", "moving", "refused"]
    #: What OneSignal answered: 409, it knows both; None: it was not asked yet, or refused.
    http: int | None
    label: str
    id: str
    external_id: str
    #: What the person's user lacks, in the words of who joined the two.
    owed: dict[str, list[Any]]
    detail: str | None
    #: Those that are to be moved; None: they have to be looked for.
    subscriptions: list[str] | None
    moved: int
    attempt: int
    first_try_ms: int | None
    not_before_ms: int


class Loaded(NamedTuple):
    """One user's pending events, oldest seq first, and what was written for the user before."""

    rows: list[Waiting]
    state: bytes | None = None
    #: The user is being erased: events up to this time are not to be worked on.
    erased_ms: int | None = None
    #: What has to be done before anything else: others who are this user, too.
    merges: Sequence[Merge] = ()
    #: The events of merges, that may be among the rows or not.
    linking: Sequence[Waiting] = ()
    #: The user's external id; None: nobody else was found to be this user.
    external_id: str | None = None


class Acked(NamedTuple):
    """What has ended of one event."""

    seq: int
    ends: Sequence[End]
    deaths: Sequence[Death] = ()
    #: Every operation of the event that has ended or has a send; None: nothing of it is left to do.
    done: Sequence[str] | None = None


class Learnt(NamedTuple):
    """What there is to know of a user from now on, given what is known on disk."""

    user_hash: int
    join: Callable[[bytes | None], bytes]


class Called(NamedTuple):
    """One attempt at OneSignal, for which events it was made, and what came back."""

    app: str
    endpoint_class: str
    operation: str
    method: str
    path: str
    #: None: it was asked before, with the same bytes; the journal sees to that.
    body: bytes | None
    #: Of a send's call, whose members the journal knows; None: `seqs` are its events.
    call_key: str | None
    #: None: there was no answer, and `failure` says why.
    status: int | None
    failure: str | None
    answer: str
    at_ms: int
    took_ms: int
    seqs: Sequence[int] = ()
    #: Whom it is about, when that is not the user of its events.
    other_hash: int | None = None


class NewSend(NamedTuple):
    """A send to be written, with the one call that carries it, before its first attempt.

    One that has a group shares a call that is not made yet, and brings no body but its `part`.
    """

    key: str
    seq: int
    app: str
    rule: str
    operation: str
    user_hash: int
    label: str
    recipient: str
    generation: int
    revision: str
    expires_ms: int | None
    method: str
    path: str
    body: bytes
    created_ms: int
    #: Who gets it; `user_hash` is whom the event is about.
    person_hash: int
    #: It takes one of the person's places under `push.cap`.
    counted: bool = False
    #: The place of `once_per` that it takes, and for how long.
    once: int | None = None
    once_ms: int | None = None
    group: SendGroup | None = None
    part: bytes | None = None


class Death(NamedTuple):
    """What a person needs to decide about an operation that could not be done."""

    rule: str
    operation: str
    reason: str
    request: bytes | None
    answer: str | None
    http: int | None
    attempt: int
    uncertain: bool
    send_key: str | None


class Dead(NamedTuple):
    """A dead letter, as it is shown."""

    id: int
    seq: int
    rule: str
    operation: str
    source: str
    message_id: str
    name: str | None
    reason: str
    http: int | None
    attempt: int
    died_ms: int
    answer: str | None
    request: bytes | None
    payload: bytes | None
    uncertain: bool
    send_key: str | None
    app: str
    user_hash: int


class Send(NamedTuple):
    """Who a send was for, and by which rule."""

    key: str
    seq: int
    app: str
    rule: str
    operation: str
    user_hash: int
    label: str
    recipient: str
    generation: int
    revision: str
    state: str
    person_hash: int
    once: int | None
    once_ms: int | None
    #: OneSignal has not seen the key of its call before.
    key_ms: int


class GateRow(NamedTuple):
    """What holds calls back and must outlast a restart; `key` names it."""

    key: str
    state: Literal["open", "closed", "paused"]
    reason: str | None
    #: Nothing leaves before this; 0: no such time.
    blocked_until_ms: int
    changed_ms: int


class Audited(NamedTuple):
    """A notification that is to be looked at; `looks` says how often it was."""

    id: str
    app: str
    rule: str
    due_ms: int
    looks: int


class Counts(NamedTuple):
    pending: int
    dead: int
    held: int
    oldest_ms: int | None


def operation_name(rule: str, operation: str) -> str:
    """How an operation of an event is named in `done` and `only`."""
    return f"{rule}/{operation}"
