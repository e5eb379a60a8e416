"""What waits for a person: the dead, the held, and what was skipped because it was too old.

A person chooses some of a pile, sees how many there are, and acts on them a few at a time. Whatever
is done to one takes it off its pile in the same transaction, so that it is done once, however many
ask for it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

import orjson

TOO_OLD = "too_old"
"""The one reason of a skip that a person may overrule: all others protect somebody."""


class Choice(NamedTuple):
    """Which of a pile; what is None is not asked."""

    app: str | None = None
    rule: str | None = None
    reason: str | None = None
    #: Whom the event is about: an external id, of which the journal knows a hash.
    user: str | None = None
    #: When it died, was written or was skipped; both included.
    since_ms: int | None = None
    until_ms: int | None = None
    #: Only these: numbers of dead letters, keys of held sends.
    ids: tuple[int | str, ...] | None = None

    def values(self) -> dict[str, Any]:
        """What a statement is asked with."""
        ids = None if self.ids is None else orjson.dumps(self.ids).decode()
        return self._asdict() | {"ids": ids}


EVERYTHING = Choice()


class DeadCount(NamedTuple):
    """Dead letters of one reason and rule; "" of whole events."""

    reason: str
    rule: str
    many: int
    #: The number of the newest.
    newest: int


class Skipped(NamedTuple):
    """An operation that was skipped because it was too old."""

    seq: int
    app: str
    rule: str
    operation: str
    source: str
    message_id: str
    name: str | None
    event_ms: int
    at_ms: int
    user_hash: int


class SkippedCount(NamedTuple):
    app: str
    rule: str
    kept: int
    #: Of how many more the payload is no longer kept: they cannot be planned again.
    gone: int
    newest_ms: int


class HeldOne(NamedTuple):
    """A held send with all that is known of it."""

    key: str
    app: str
    rule: str
    operation: str
    hold: str
    message_id: str
    name: str | None
    created_ms: int
    payload: bytes | None
    method: str | None
    path: str | None
    #: Of its call, or of the group that it waits in.
    body: bytes | None
    #: Its own part of a call that it shares.
    part: bytes | None
    recipient: str


class Releasing(NamedTuple):
    """Held sends that are let go little by little."""

    app: str
    rule: str
    hold: str
    per_minute: int
    #: Those that were written in this time.
    since_ms: int | None
    until_ms: int
    #: What was due by then has left.
    paid_ms: int
    #: How many are left, when they were counted.
    left: int = 0

    def others(self) -> list[Choice]:
        """What is held alike, and is not meant."""
        alike = Choice(app=self.app, rule=self.rule, reason=self.hold)
        later = alike._replace(since_ms=self.until_ms + 1)
        since = self.since_ms
        return [later] if since is None else [later, alike._replace(until_ms=since - 1)]


class Volume(NamedTuple):
    """When what goes now counts, and for how long."""

    now_ms: int
    per_ms: int


class Let(NamedTuple):
    """Some of them went."""

    sends: int
    users: frozenset[int]
    #: None is left to go.
    over: bool


class AlertRow(NamedTuple):
    """A cause for alarm that somebody was told of; `key` names it."""

    key: str
    words: str
    since_ms: int
    #: When somebody was last told, and of how many; 0: it cannot be counted.
    told_ms: int
    told_of: int


class Piles(Protocol):
    """The part of a journal that is for people."""

    async def last_dead(self) -> int:
        """The number of the newest dead letter: what dies later is not what was asked about."""

    async def newest_dead(self, choice: Choice) -> int | None:
        """When the last of them died."""

    async def newest_held(self, choice: Choice) -> int | None:
        """When the last of them was written."""

    async def dead_ids(self, choice: Choice, *, after: int, last: int, limit: int) -> list[int]:
        """Numbers of dead letters, in their order."""

    async def discard_dead(self, ids: Sequence[int], *, at_ms: int) -> int:
        """End these for good; how many of them were dead still."""

    async def held_one(self, key: str) -> HeldOne | None: ...

    async def skipped(self, choice: Choice, *, limit: int) -> list[Skipped]:
        """What was too old and can still be planned, oldest skip first."""

    async def skipped_counts(self, choice: Choice) -> list[SkippedCount]:
        """How many by app and rule."""

    async def revive_skipped(self, choice: Choice, *, limit: int) -> list[Skipped]:
        """Put some of them back to work; these are they."""

    async def releases(self, *, counted: bool = False) -> list[Releasing]:
        """What is let go little by little; `counted`: with how many are left."""

    async def release_slowly(self, ones: Sequence[Releasing]) -> None:
        """Keep that these are let go; what was kept of the same rule and reason is replaced."""

    async def hold_on(self, choice: Choice) -> int:
        """Let no more of these go little by little; how many releases that ends."""

    async def let_go(
        self, one: Releasing, *, due: int, paid_ms: int, volume: Volume | None = None
    ) -> Let:
        """Let so many of them go, oldest first, unless somebody has ended it meanwhile."""

    async def alerts(self) -> list[AlertRow]:
        """What somebody was told of, and was not told to be over."""

    async def keep_alert(self, alert: AlertRow) -> None:
        """Keep this instead of what was kept under its key."""

    async def drop_alert(self, key: str) -> None: ...
