"""Releasing what is held little by little: so many a minute, until what there was is gone.

A person says how many; it is kept in the journal with the moment up to which it is paid, so that a
restart goes on where it was and a long absence is not made up for at once. What comes to be held
meanwhile is not what was asked about, and stays.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from bridge.clock import Clock
from bridge.deliver.brake import Brake
from bridge.deliver.held import AT_ONCE, Holding, Nudge, holdings
from bridge.deliver.standing import VOLUME_MS
from bridge.errors import JournalError, JournalUnavailableError
from bridge.journal import Journal
from bridge.journal.piles import Choice, Releasing, Volume
from bridge.telemetry import log

STEP_SECONDS = 1.0
MOST_LATE_MS = 5_000
"""What a release is behind by more is not made up for."""
MINUTE_MS = 60_000


def due_of(one: Releasing, now_ms: int) -> tuple[int, int]:
    """How many may go now, and the moment up to which it is paid when they have."""
    late_ms = max(MOST_LATE_MS, MINUTE_MS // one.per_minute + 1)
    # The clock may have been set back meanwhile.
    paid_ms = min(now_ms, max(one.paid_ms, now_ms - late_ms))
    due = min((now_ms - paid_ms) * one.per_minute // MINUTE_MS, AT_ONCE)
    # Rounded up, so that a rate is kept and never exceeded.
    return due, paid_ms - (-due * MINUTE_MS // one.per_minute)


@dataclass(slots=True, kw_only=True)
class Releases:
    """Carries out the releases that the journal holds."""

    journal: Journal
    clock: Clock
    brake: Brake
    nudge: Nudge
    _wake: asyncio.Event = field(default_factory=asyncio.Event)

    async def begin(self, choice: Choice, *, per_minute: int) -> list[Holding]:
        """Let what is held of a choice go at this rate; what that is."""
        chosen = await begin(
            self.journal, choice, per_minute=per_minute, now_ms=self.clock.now_ms()
        )
        self._wake.set()
        return chosen

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            self._wake.clear()
            try:
                left = await self._step()
            except (JournalError, JournalUnavailableError) as error:
                log().warning("release.troubled", error=error.code)
                left = True
            if left:
                await self.clock.sleep(STEP_SECONDS)
            else:
                await self._wake.wait()

    async def _step(self) -> bool:
        """Let go what is due; whether anything is left to let go."""
        ones = await self.journal.piles.releases()
        for one in ones:
            # What is released while it is paused would only be held again.
            if not self.brake.paused(one.rule):
                await self._some(one)
        return bool(ones)

    async def _some(self, one: Releasing) -> None:
        now_ms = self.clock.now_ms()
        due, paid_ms = due_of(one, now_ms)
        if due == 0 and paid_ms >= one.paid_ms:
            return
        done = await self.journal.piles.let_go(
            one, due=due, paid_ms=paid_ms, volume=Volume(now_ms, VOLUME_MS)
        )
        if done.sends:
            self.nudge(one.app, done.users)
        if done.over:
            log().warning("held.release_ended", rule=one.rule, app=one.app, reason=one.hold)


async def begin(journal: Journal, choice: Choice, *, per_minute: int, now_ms: int) -> list[Holding]:
    """Keep in the journal that what is held of a choice goes at this rate."""
    # What comes to be held meanwhile is not what was asked about.
    until_ms = await journal.piles.newest_held(choice) or now_ms
    chosen = await holdings(journal, choice._replace(until_ms=until_ms))
    await journal.piles.release_slowly(
        [
            Releasing(
                app=one.app,
                rule=one.rule,
                hold=one.why,
                per_minute=per_minute,
                since_ms=choice.since_ms,
                until_ms=until_ms,
                paid_ms=now_ms,
            )
            for one in chosen
        ]
    )
    return chosen
