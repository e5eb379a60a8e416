"""Looks again and again at what is wrong, and tells of it.

What was told is remembered in the journal, so that a restart repeats nothing. A message is
remembered when it was taken: one that was not is tried again at the next look, of which there are
fewer while nobody answers. A crash between the two repeats a message; none is lost.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field

from bridge.alerts.causes import Seen, causes
from bridge.alerts.messages import Message, messages
from bridge.alerts.sender import Sender
from bridge.clock import Clock
from bridge.errors import BridgeError
from bridge.journal import Journal
from bridge.journal.piles import AlertRow
from bridge.telemetry import log

LOOK_SECONDS = 15.0
LAST_SECONDS = 3.0
MOST_SECONDS = 300.0
"""Between two looks while messages are not taken."""


@dataclass(slots=True, kw_only=True)
class Watch:
    journal: Journal
    clock: Clock
    sender: Sender
    #: Looks at the bridge.
    see: Callable[[], Awaitable[Seen]]
    #: By key; None: not read yet.
    _told: dict[str, AlertRow] | None = None
    _failures: int = field(default=0)

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            try:
                await self._look()
            except Exception as error:  # noqa: BLE001 — whatever it is, the next look may see more
                log().error("alert.troubled", error=type(error).__name__)
            await self.clock.sleep(min(MOST_SECONDS, LOOK_SECONDS * 2**self._failures))

    async def last_words(self, why: str) -> None:
        """It ends, because its database has failed: whoever starts it again may hear no more of it."""
        with suppress(TimeoutError):
            async with asyncio.timeout(LAST_SECONDS):
                await self.sender.post(
                    f"The bridge has stopped: {why}. Start it again; if it refuses the database,"
                    " segment-bridge salvage. Segment tries again for four hours."
                )

    async def _look(self) -> None:
        told = self._told
        if told is None:
            told = self._told = {row.key: row for row in await self.journal.piles.alerts()}
        seen = await self.see()
        for message in list(messages(causes(seen, told), told, seen.now_ms)):
            if message.text is not None and not await self.sender.post(message.text):
                # The exponent is bounded with the wait.
                self._failures = min(self._failures + 1, 5)
                return
            await self._remember(message, told)
        self._failures = 0

    async def _remember(self, message: Message, told: dict[str, AlertRow]) -> None:
        try:
            if message.becomes is None:
                told.pop(message.key, None)
                await self.journal.piles.drop_alert(message.key)
            else:
                told[message.key] = message.becomes
                await self.journal.piles.keep_alert(message.becomes)
        except BridgeError as error:
            # It is remembered here, until a restart: a journal that cannot write is told of, too.
            log().warning("alert.not_kept", error=error.code)
