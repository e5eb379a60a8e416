"""After an unclean end: which event was it? One at a time, each attempt written down before it.

Nothing is written when an event is taken up, so an event that ends the process leaves no trace: it
would be taken up again, with everybody's, for ever. So a bridge that did not end cleanly begins the
first events that it works on alone. Each is written down, begun, and crossed out when the loop is
seen to have survived it. What was written down twice and never crossed out has, with the time that
made us cautious, had three attempts without a result: it is dead, `poison`, and its user goes on.

Only what is ours can end us, and that comes before an event waits for its turn to call; from then on
the next may begin. Suspects of an earlier start begin first: who was only there when somebody ended
the process from outside is soon cleared. In normal operation all this costs nothing.
"""

from __future__ import annotations

import asyncio
from contextvars import ContextVar, copy_context
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from bridge.journal import Journal
from bridge.journal.records import Death, End, Loaded, OpenSend, Waiting
from bridge.telemetry import log

if TYPE_CHECKING:
    from bridge.deliver.attempts import Wait
    from bridge.deliver.chain import Chain

CAUTIOUS_ROWS = 500
ALONE_SECONDS = 0.1
"""Longer than it takes to get there, unless the machine is busy."""
BEGUN_BEFORE = 2
"""How often an event was begun alone and not heard of again, after which it is not begun any more."""
REASON = "poison"


_waits: ContextVar[asyncio.Event | None] = ContextVar("waits", default=None)


def out_of_hand() -> None:
    """What we do for this event, it waits for something outside now: it has not ended us."""
    waits = _waits.get()
    if waits is not None:
        waits.set()


@dataclass(slots=True)
class Caution:
    """How many events are still begun alone; none after a clean end."""

    journal: Journal
    rows: int = 0
    #: All apps share it: they share the process that an event can end.
    alone: asyncio.Lock = field(default_factory=asyncio.Lock)

    @property
    def is_on(self) -> bool:
        return self.rows > 0

    def relax(self) -> None:
        """Nothing is left of what was there at the start."""
        self.rows = 0

    async def run(self, chain: Chain, loaded: Loaded) -> Wait | None:
        """As `chain.run` does, but its one event begins alone."""
        (row,) = loaded.rows
        self.rows -= 1
        async with self.alone:
            chain.means.hand.message_id = row.message_id
            if await self.journal.begin_alone(row.seq) > BEGUN_BEFORE:
                await self._bury(chain, row)
                return None
            working = await _alone(chain, loaded)
            try:
                await self.journal.survived(row.seq)
            except BaseException:
                working.cancel()
                raise
        try:
            return await working
        finally:
            working.cancel()

    async def _bury(self, chain: Chain, row: Waiting) -> None:
        """It is dead as far as it had not ended; a send of it may have been performed."""
        log().error("event.poison", message_id=row.message_id)
        now = chain.means.clock.now_ms()
        for send in row.sends:
            end = End(send.rule, send.operation, "dead", REASON, call_key=send.call_key)
            death = _death(send)
            await self.journal.end_send(row.seq, send.key, end, death=death, at_ms=now)
        whole = End("", "", "dead", REASON)
        await self.journal.finish(row.seq, [whole], deaths=[_death()], at_ms=now)
        await self.journal.survived(row.seq)
        chain.means.metrics.dead.labels(REASON).inc()


async def _alone(chain: Chain, loaded: Loaded) -> asyncio.Task[Wait | None]:
    """The work on an event, when it has ended or waits for something outside."""
    loop, waits, context = asyncio.get_running_loop(), asyncio.Event(), copy_context()
    context.run(_waits.set, waits)
    working = loop.create_task(chain.run(loaded, whole=False), context=context)
    waiting = loop.create_task(waits.wait())
    try:
        await asyncio.wait(
            {working, waiting}, timeout=ALONE_SECONDS, return_when=asyncio.FIRST_COMPLETED
        )
    except BaseException:
        working.cancel()
        raise
    finally:
        waiting.cancel()
    return working


def _death(send: OpenSend | None = None) -> Death:
    return Death(
        rule=send.rule if send else "",
        operation=send.operation if send else "",
        reason=REASON,
        request=send.body if send else None,
        answer=None,
        http=None,
        attempt=BEGUN_BEFORE + 1,
        uncertain=send is not None,
        send_key=send.key if send else None,
    )
