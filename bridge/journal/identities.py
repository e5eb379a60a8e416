"""What the journal knows of ids that are one person's, and of merges that are not done yet.

::

    an event links A to P (appended)      A's pending events, and what was fired for A, are P's from then on
    P's chain asks OneSignal              what was written for A joins what was written for P
    devices move one by one               when OneSignal knew both

Which ids an event links is said with it (`Entry.links`), and stands from the transaction that appends it.
An id is linked once: who was found to be P is P, and nobody else's by a later word. A chain of
links is followed when it is written, so that one look finds the person.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, Protocol

from bridge.journal.records import Death, End, Learnt, Merge

MERGED = "/merge_users"
"""In `done`: the event's merge is not its chain's any more."""
MERGE_USERS = "merge_users"


class Person(NamedTuple):
    """Whom an id was found to be."""

    user_hash: int
    external_id: str


class Named(NamedTuple):
    """An id of a person's."""

    id_hash: int
    label: str
    id: str


Join = Callable[[bytes | None, bytes | None], bytes | None]
"""Of what was written for the person and for the other: what was written for both."""


class Identities(Protocol):
    """The part of a journal that is about ids of one person."""

    @property
    def any(self) -> bool:
        """Somebody was linked, so that it has to be asked who."""

    async def person(self, id_hash: int) -> Person | None:
        """Whom an id was found to be."""

    async def ids(self, person_hash: int) -> list[Named]:
        """By which other ids a person was heard of."""

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
        """OneSignal was asked: what was written for the two is one from now on."""

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
        """What the person's user lacked is written; `moves`: the devices come next, else it is done."""

    async def moving(self, app: str, *, limit: int) -> list[Merge]:
        """Merges whose devices are to be moved, those that may be worked on first."""

    async def found(self, merge: Merge, subscriptions: Sequence[str], *, moved: int) -> bool:
        """These are to be moved yet; False: the merge is not to be done any more."""

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
        """A step is tried again later; `doubted`: it may have been done, so it has to be looked again."""

    async def ended(self, merge: Merge, end: End, *, death: Death | None, at_ms: int) -> None:
        """All devices are moved, or they cannot be: then a person decides."""
