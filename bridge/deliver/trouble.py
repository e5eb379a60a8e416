"""What breaks us again and again dies, instead of holding its user up for ever.

Nothing here has a known way to fail; whatever it is, it is bounded: one event is tried a few times,
and what went wrong in company is tried again alone, to find the one that does it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from bridge.deliver.attempts import Wait
from bridge.deliver.gate import StoppingError
from bridge.deliver.left import unplanned
from bridge.deliver.means import Means
from bridge.deliver.work import Work, ack
from bridge.errors import BridgeError
from bridge.journal.records import End, Learnt
from bridge.telemetry import log

TROUBLES = 3
"""How often an event may break us before it is dead."""
TROUBLE_MS = 5_000
BOUNDED: Final = (StoppingError, BridgeError)
"""What is raised on purpose, and is no event's fault."""


async def troubled(
    means: Means,
    works: Sequence[Work],
    error: Exception,
    written: set[int],
    learnt: Sequence[Learnt] = (),
) -> Wait | None:
    """Try again later, or end the event that did it; `written`: events of which a send was written."""
    if len(works) > 1:
        means.alone.update(work.row.seq for work in works)
        return Wait(until_ms=means.clock.now_ms())
    (work,) = works
    row = work.row
    log().error("event.troubled", message_id=row.message_id, error=type(error).__name__)
    if row.attempt + 1 < TROUBLES or row.sends or row.seq in written:
        return await _try_later(means, work, learnt)
    # An event never dies around a push that was written: only that row decides about it.
    end = End("", "", "dead", "internal_error", type(error).__name__)
    death = unplanned(row, "internal_error", type(error).__name__)
    work.progress.ends, work.progress.deaths = [end], [death]
    work.progress.done = set(row.done)
    work.left, work.more = 0, False
    await ack(means, [work], learnt)
    return None


async def _try_later(means: Means, work: Work, learnt: Sequence[Learnt]) -> Wait:
    now = means.clock.now_ms()
    until = now + TROUBLE_MS
    await means.journal.postpone(
        work.row.seq,
        not_before_ms=until,
        attempt=work.row.attempt + 1,
        error="internal_error",
        now_ms=now,
        learnt=learnt,
    )
    return Wait(until_ms=until)
