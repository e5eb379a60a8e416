"""What has been kept for long enough is removed, a little at a time, round and round.

A round begins every hour and once a day looks at what changes slowly, too. Each step is one short
transaction; between two the journal's own work goes first, but never for long, so that a service
that is always busy does not keep everything.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

from bridge.clock import Clock
from bridge.errors import JournalError, JournalUnavailableError
from bridge.journal import Journal
from bridge.telemetry import log

DAY_MS = 86_400_000
DEDUPE_MS = 7 * DAY_MS
"""Segment repeats for hours; a repeat that is older was asked for. [reliability 3.12]"""
STATE_MS = 400 * DAY_MS
ERASED_MS = 30 * DAY_MS
REACHED_DAYS = 31
ROUND_SECONDS = 3600.0
STEP_EVENTS = 500
"""With their outcomes, sends and history not more than 2,000 rows: 12 ms of the disk."""
STEP_ROWS = 2000
USERS_PER_ROUND = 5000
"""Of whom it is looked whether they are used still: a million are seen in eight days."""
PAUSE_SECONDS = 0.02
PATIENCE_SECONDS = 0.25
"""Four steps a second are twice what comes in on the busiest of days."""
SCRUB_SECONDS = 10.0
"""After an erasure, for others to share it."""

What = Literal[
    "unmatched", "payloads", "events", "overdue", "dead", "calls", "places", "state", "devices", "dedupe", "reached", "erased", "ids"
]  # fmt: skip


class Keep(NamedTuple):
    """For how long things are kept, milliseconds."""

    payloads: int
    outcomes: int
    dead: int
    calls: int
    #: Payloads of events that nothing could use; 0: they were never written.
    unmatched: int
    #: Since a device was last seen.
    devices: int


class Due(NamedTuple):
    """What goes now: all of it from before that time, milliseconds since 1970."""

    what: What
    before_ms: int


def due(keep: Keep, now_ms: int, *, daily: bool) -> list[Due]:
    """What a round does, in its order: that first which makes most room. Pure."""
    hourly = [
        Due("payloads", now_ms - keep.payloads),
        Due("dead", now_ms - keep.dead),
        Due("calls", now_ms - keep.calls),
        Due("events", now_ms - keep.outcomes),
        Due("overdue", now_ms - keep.payloads),
        Due("places", now_ms),
        Due("state", now_ms - STATE_MS),
        Due("devices", now_ms - keep.devices),
    ]
    if keep.unmatched:
        hourly.insert(0, Due("unmatched", now_ms - keep.unmatched))
    slow = [
        Due("dedupe", now_ms - DEDUPE_MS),
        Due("reached", now_ms - REACHED_DAYS * DAY_MS),
        Due("erased", now_ms - ERASED_MS),
        Due("ids", now_ms - STATE_MS),
    ]
    return [*hourly, *slow] if daily else hourly


Step = Callable[[Any], Awaitable[Any]]
"""One transaction: from where on, and where to go on; None or False when there is no more."""


@dataclass(slots=True)
class Upkeep:
    journal: Journal
    clock: Clock
    keep: Callable[[], Keep]
    _next_daily_ms: int = 0
    _state_after: int = 0
    _erased: asyncio.Event = field(default_factory=asyncio.Event)

    def erased(self) -> None:
        """A user was erased: the log of the database is to be emptied soon."""
        self._erased.set()

    async def run(self) -> None:
        """Round after round, until cancelled."""
        await asyncio.gather(self._rounds(), self._scrubs())

    async def _rounds(self) -> None:
        while True:
            await self.clock.sleep(ROUND_SECONDS)
            try:
                await self.round()
            except (JournalError, JournalUnavailableError) as error:
                # Whatever the disk's trouble is, others tell it; the next round goes on where this was.
                log().warning("upkeep.failed", error=type(error).__name__)

    async def _scrubs(self) -> None:
        while True:
            await self._erased.wait()
            await self.clock.sleep(SCRUB_SECONDS)
            try:
                if await self.journal.retention.scrub():
                    self._erased.clear()
            except (JournalError, JournalUnavailableError) as error:
                log().warning("upkeep.failed", error=type(error).__name__)

    async def round(self) -> None:
        """Remove all that is due now."""
        now_ms = self.clock.now_ms()
        daily = now_ms >= self._next_daily_ms
        for one in due(self.keep(), now_ms, daily=daily):
            await self._all(one)
        if daily:
            self._next_daily_ms = now_ms + DAY_MS

    async def _all(self, one: Due) -> None:
        step = await self._step(one)
        after: Any = b"" if one.what == "dedupe" else 0
        while True:
            after = await step(after)
            if after is None or after is False:
                return
            await self._give_way()

    async def _give_way(self) -> None:
        waited = 0.0
        while waited == 0 or (self.journal.retention.is_awaited and waited < PATIENCE_SECONDS):
            await self.clock.sleep(PAUSE_SECONDS)
            waited += PAUSE_SECONDS

    async def _step(self, one: Due) -> Step:
        retention, keep, before_ms = self.journal.retention, self.keep(), one.before_ms
        match one.what:
            case "unmatched" | "payloads":
                unwanted = one.what == "unmatched"
                # Without a time of their own they have no payload, unless they had one before.
                return lambda _: retention.payloads(
                    before_ms=before_ms, unwanted=unwanted, limit=STEP_EVENTS
                )
            case "events":
                return lambda _: retention.events(before_ms=before_ms, limit=STEP_EVENTS)
            case "overdue":
                events_ms = before_ms + keep.payloads - keep.outcomes
                return lambda after: retention.overdue(
                    after=after, payloads_ms=before_ms, events_ms=events_ms, limit=STEP_EVENTS
                )
            case "dead":
                # What has left the dead letters is a payload like others.
                left_ms = before_ms + keep.dead - keep.payloads
                return lambda after: retention.dead(
                    after=after, dead_ms=before_ms, left_ms=left_ms, limit=STEP_EVENTS
                )
            case "devices":
                return lambda _: retention.devices(before_ms=before_ms, limit=STEP_ROWS)
            case _:
                return await self._slow_step(one)

    async def _slow_step(self, one: Due) -> Step:
        retention, before_ms = self.journal.retention, one.before_ms
        match one.what:
            case "calls":
                return lambda _: self._calls(before_ms)
            case "places":
                return lambda _: retention.places(before_ms=before_ms, limit=STEP_ROWS)
            case "dedupe" | "reached" | "erased" | "ids":
                return await self._daily_step(one)
            case _:
                return lambda _: self._unused(before_ms)

    async def _daily_step(self, one: Due) -> Step:
        retention, before_ms = self.journal.retention, one.before_ms
        match one.what:
            case "dedupe":
                seq = await retention.seq_at(before_ms)
                return lambda after: retention.dedupe(after=after, seq=seq, limit=STEP_ROWS)
            case "reached":
                day = before_ms // DAY_MS
                return lambda after: retention.reached(after=after, day=day, limit=STEP_ROWS)
            case "erased":
                return lambda _: retention.erased(before_ms=before_ms, limit=STEP_ROWS)
            case _:
                return lambda after: retention.ids(
                    after=after, before_ms=before_ms, limit=STEP_ROWS
                )

    async def _calls(self, before_ms: int) -> bool:
        return await self.journal.drop_calls(before_ms=before_ms, limit=STEP_EVENTS) > 0

    async def _unused(self, before_ms: int) -> None:
        """A walk over all users, a little of it each round."""
        after = await self.journal.drop_unused(
            after=self._state_after, before_ms=before_ms, limit=USERS_PER_ROUND
        )
        self._state_after = after or 0
