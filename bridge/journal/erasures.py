"""What the journal does so that nothing of a user is left in it.

::

    asked for ──> swept ──> deleted at OneSignal ──> swept again ──> done
    (appended)    a few events at a time                             the event that asked, too

An erasure is asked for by an event with `erases_ms`, and stands from the transaction that appends
it: no older event of the user is taken any more, and the user's chain is told. Everything happens in
that chain, so that nothing of the user is under way meanwhile but what shares a call with others, or is
another's event; that is left until its call has ended. A keyed hash stays, and a line in the audit trail.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import NamedTuple, Protocol

import orjson

from bridge.journal.records import End, Entry

Blank = Callable[[bytes | None], bytes | None]
"""What is left of a state; None: nothing."""
Without = Callable[[bytes, Collection[str]], bytes]
"""What is left of a call without the sends and recipients of these names."""
ERASED = End("", "", "skipped", "erased")


def late(entry: Entry) -> Entry:
    """What is kept of an event that comes after its user was erased: that it came."""
    return entry._replace(user_hash=0, payload=None, rank=None, ended=ERASED)


class Gone(NamedTuple):
    """Somebody who was erased, or is to be."""

    before_ms: int
    under_way: bool

    def is_late(self, entry: Entry) -> bool:
        """Whether it happened before, or as good as."""
        return entry.event_ms <= self.before_ms


NOT_GONE = Gone(-1, under_way=False)


class Swept(NamedTuple):
    """What a sweep has done."""

    #: Events of which something was removed.
    events: int
    #: Operations that were ended by it, by rule; "" of events that were not begun.
    discarded: dict[str, int]
    #: There is more that can be removed now.
    more: bool
    #: What is in calls that are out, and has to be swept later.
    under_way: int


class Erased(NamedTuple):
    """An erasure that is done: what its line in the audit trail says."""

    who: str
    user_hash: int
    events: int
    #: What became of the user at OneSignal: a status, and the reason or the HTTP status.
    onesignal: str
    http: int | None

    @property
    def detail(self) -> dict[str, str | int | None]:
        """As it is told; nothing of it says who it was."""
        return self._asdict() | {"user_hash": f"{self.user_hash:016x}"}


class Noted(NamedTuple):
    """A line of the audit trail; `detail` is a JSON object."""

    at_ms: int
    who: str
    what: str
    detail: str


def noted(at_ms: int, who: str, what: str, **detail: object) -> Noted:
    """A line; of the detail what there is. Nothing of it says whom it was about."""
    said = {name: one for name, one in detail.items() if one is not None}
    return Noted(at_ms, who, what, orjson.dumps(said).decode())


class Erasures(Protocol):
    """The part of a journal that is about erasing users."""

    @property
    def any(self) -> bool:
        """Somebody was erased, so that it has to be asked who."""

    async def gone(self, users: Collection[int]) -> dict[int, Gone]:
        """Of these users those who were erased, or are to be."""

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
        """Remove what is known of a user, of not more than about `limit` events at once.

        `others` are hashes under which the user is known beside this one: those of aliases; `given_up`
        those of ids that are the user's no more, of which a state says just that. What `blank` leaves of
        the user's state stays until `finish`.
        """

    async def finish(self, seq: int, user_hash: int, *, at_ms: int) -> Erased | None:
        """End the event that asked for it, and forget whom it was about.

        None when that was not the end of it: OneSignal refused, so that its dead letter has to be
        replayed, or the erasure was asked for again meanwhile.
        """

    async def trail(self, *, after: int = 0, limit: int = 100) -> list[Noted]:
        """Lines of the audit trail, oldest first."""
