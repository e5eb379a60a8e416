"""What the journal knows of users of whom nothing was heard for long is dropped, a few at a time."""

from __future__ import annotations

from bridge.clock import Clock
from bridge.errors import JournalError, JournalUnavailableError
from bridge.journal import Journal
from bridge.telemetry import log

KEPT_MS = 400 * 86_400_000
STEP_SECONDS = 3600.0
USERS_PER_STEP = 5000
"""A few milliseconds of the writer's time; a million users are seen in eight days."""


async def drop_unused(journal: Journal, clock: Clock) -> None:
    """Walk over all users, round and round, until cancelled; a step is one short transaction."""
    after: int | None = 0
    while True:
        await clock.sleep(STEP_SECONDS)
        before_ms = clock.now_ms() - KEPT_MS
        try:
            after = await journal.drop_unused(
                after=after or 0, before_ms=before_ms, limit=USERS_PER_STEP
            )
        except (JournalError, JournalUnavailableError) as error:
            # Whatever the disk's trouble is, others tell it; there is no hurry here.
            log().warning("upkeep.failed", error=type(error).__name__)
