"""Removing what has been kept for long enough, a little at a time.

::

    event with payload ──KEEP_PAYLOADS──> without ──KEEP_OUTCOMES──> gone, with its outcomes and sends
         │                                                              ^
         └── still pending, held, dead, or ended lately ──> overdue ────┘  looked at again every round

What something still refers to is never removed, however old it is; it is put by in `overdue`, so that
the walk over all events goes over each only once. Every method is one short transaction on the disk's
own thread: the loop does not wait for it, and an event that comes waits for no more than one.
"""

from __future__ import annotations

from typing import Protocol


class Retention(Protocol):
    """The part of a journal that is about keeping no more than it should."""

    @property
    def is_awaited(self) -> bool:
        """Somebody waits for the disk, so there is something better to do."""

    async def payloads(self, *, before_ms: int, unwanted: bool, limit: int) -> bool:
        """Strip events that were heard before that time; whether there may be more.

        `unwanted`: those that nothing could use, else all others.
        """

    async def events(self, *, before_ms: int, limit: int) -> bool:
        """Remove events with all that is known of them; whether there may be more."""

    async def overdue(
        self, *, after: int, payloads_ms: int, events_ms: int, limit: int
    ) -> int | None:
        """What had to be put by, once more, from a seq on; after which to go on, None at the end."""

    async def dead(self, *, after: int, dead_ms: int, left_ms: int, limit: int) -> int | None:
        """Remove dead letters that died, or were left, before; after which to go on."""

    async def dedupe(self, *, after: bytes, seq: int, limit: int) -> bytes | None:
        """Forget messageIds of events before a seq, by key; after which to go on."""

    async def seq_at(self, at_ms: int) -> int:
        """The first event that was heard at that time or later, or the one that will be next."""

    async def places(self, *, before_ms: int, limit: int) -> bool:
        """Remove places of `once_per` that are over."""

    async def reached(self, *, after: int, day: int, limit: int) -> int | None:
        """Remove people who were last reached before a day, by hash; after which to go on."""

    async def devices(self, *, before_ms: int, limit: int) -> bool:
        """Forget devices that were last seen before; whether there may be more."""

    async def ids(self, *, after: int, before_ms: int, limit: int) -> int | None:
        """Forget whose an id was found to be, before that time, of whom nothing was written since.

        A walk by hash; after which to go on.
        """

    async def erased(self, *, before_ms: int, limit: int) -> bool:
        """Forget who was erased before."""

    async def scrub(self) -> bool:
        """Empty the write-ahead log, in which removed rows stand until then; False: it is in use."""
