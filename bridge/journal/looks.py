"""What people look at: the newest events, a user's, what was written for somebody, who did what.

Reading only, on a thread and a connection of its own: delivery does not wait for who looks, and whoever
looks waits for others who do. Everything is bounded: a list looks at the newest `AMONG` events, or at
those of one user.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from bridge.journal.erasures import Noted
from bridge.journal.trace import Asked, Event

AMONG = 10_000
"""The newest events among which a list looks for what it is asked for."""
PAGE = 50


class Wanted(NamedTuple):
    """Which events; what is None is not asked."""

    #: Hashes of the user, one for each app; empty: anybody's.
    users: tuple[int, ...] = ()
    name: str | None = None
    type: str | None = None
    source: str | None = None
    state: str | None = None
    #: A reason of one of its ends.
    reason: str | None = None
    rule: str | None = None
    since_ms: int | None = None
    until_ms: int | None = None
    #: Older than this one.
    before: int | None = None
    #: Requests to erase somebody, too.
    erasures: bool = True


class Ending(NamedTuple):
    rule: str
    operation: str
    status: str
    reason: str | None


class Seen(NamedTuple):
    """An event as a list shows it."""

    seq: int
    source: str
    app: str
    message_id: str
    type: str
    name: str | None
    received_ms: int
    payload: bytes | None
    state: str
    ends: list[Ending]


class Revision(NamedTuple):
    """That a source had a mapping from that time on."""

    source: str
    since_ms: int
    revision: str


class Listed(NamedTuple):
    #: Newest first.
    events: list[Seen]
    #: There are older ones of what is wanted.
    more: bool
    #: Since when the list looks; None: since ever.
    since_ms: int | None


class Looks(Protocol):
    """The part of a journal that is for people who look."""

    async def listed(self, wanted: Wanted) -> Listed:
        """Newest first, a page of them."""

    async def of_message(self, message_id: str, sources: Sequence[str]) -> list[int]:
        """The events of a messageId: of these sources, else among the newest."""

    async def hashes(self, asked: Asked) -> tuple[int, ...]:
        """Of the user that is asked about, under every id of the same person."""

    async def events(self, seqs: Sequence[int]) -> list[Event]:
        """These, as far as they are kept."""

    async def names(self) -> list[str]:
        """Names of events that were heard, for a form."""

    async def revisions(self, limit: int) -> list[Revision]:
        """Which mapping each source had, the newest first."""

    async def apps(self) -> set[str]:
        """Where the newest events went."""

    async def rules(self) -> set[str]:
        """The rules of the mapping that each source had last, whether it is in force by now or not."""

    async def trail(self, *, before: int | None, limit: int) -> list[tuple[int, Noted]]:
        """Lines of the audit trail with their numbers, newest first."""
