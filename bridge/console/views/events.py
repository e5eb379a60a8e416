"""Events: the newest, those of a user, and the whole story of one."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

from bridge.clock import Clock
from bridge.config import Config
from bridge.config.mappings import Mappings
from bridge.console.views.drawing import PUSH, Drawn, drawn
from bridge.explain.answer import answer_of, asked_of
from bridge.explain.hiding import HIDDEN
from bridge.journal import Journal
from bridge.journal.looks import Listed, Seen, Wanted
from bridge.journal.sqlite_looks import payload_of
from bridge.journal.trace import Asked

_LONGEST_ID = 500


class Row(NamedTuple):
    """An event as a list shows it."""

    seen: Seen
    who: str | None


class Found(NamedTuple):
    """What somebody looked for may be both."""

    #: Of a message of that id, the newest first.
    seqs: list[int]
    #: Hashes of a user of that name, under every id of the same person; empty: nothing was heard.
    users: tuple[int, ...]


NOTHING = Listed([], more=False, since_ms=None)


@dataclass(slots=True, kw_only=True)
class Events:
    journal: Journal
    clock: Clock
    config: Callable[[], Config]
    mappings: Callable[[], Mappings]

    async def look_for(self, text: str, *, hides: bool) -> Found:
        """A messageId or a user."""
        asked = self._asked(text, None, 1, hides=hides)
        seqs = await self.journal.looks.of_message(text[:_LONGEST_ID], asked.sources)
        return Found(seqs, () if seqs else await self._users(asked))

    async def users(self, user: str, *, hides: bool) -> tuple[int, ...]:
        """By what somebody of this id is kept; empty: nothing was heard of anybody of it."""
        return await self._users(self._asked(user, None, 1, hides=hides))

    async def _users(self, asked: Asked) -> tuple[int, ...]:
        users = await self.journal.looks.hashes(asked)
        found = await self.journal.looks.listed(Wanted(users=users, erasures=asked.erasures))
        return users if found.events else ()

    async def listed(self, wanted: Wanted, *, hides: bool) -> Listed:
        """Of a user who is being erased, what does not say so, for who may not know."""
        erasures = not (hides and wanted.users)
        return await self.journal.looks.listed(wanted._replace(erasures=erasures))

    async def story(self, seq: int, *, hides: bool) -> dict[str, Any] | None:
        """All that is known of one, as `explain` tells it; None: nothing is kept of it."""
        config = self.config()
        asked = Asked(None, None, list(config.apps), list(config.sources), 1, seq=seq)
        told = await self._told(asked, hides=hides)
        return next(iter(told["events"]), None)

    async def told(
        self, user: str | None, message_id: str | None, limit: int, *, hides: bool
    ) -> dict[str, Any]:
        """The stories of a user's newest events, or of a message, as `bridge.explain.answer` has them."""
        asked = self._asked(user, message_id, limit, hides=hides)
        return await self._told(asked, hides=hides)

    def _asked(self, user: str | None, message_id: str | None, limit: int, *, hides: bool) -> Asked:
        config = self.config()
        return asked_of(
            user,
            message_id,
            limit,
            apps=config.apps,
            sources=config.sources,
            mappings=self.mappings(),
            hides=hides,
        )

    async def _told(self, asked: Asked, *, hides: bool) -> dict[str, Any]:
        config, mappings = self.config(), self.mappings()
        traces = await self.journal.traces(asked)
        # Planning hundreds of events again takes longer than anybody else should wait.
        return await asyncio.to_thread(
            answer_of,
            asked,
            traces,
            apps=config.apps,
            sources=config.sources,
            mappings=mappings,
            now_ms=self.clock.now_ms(),
            hides=hides,
        )


def row_of(seen: Seen, *, hides: bool) -> Row:
    payload = payload_of(seen)
    who = _who(payload) if isinstance(payload, dict) else None
    return Row(seen, HIDDEN if who and hides else who)


def _who(payload: dict[str, Any]) -> str | None:
    for name in ("userId", "anonymousId"):
        found = payload.get(name)
        if isinstance(found, str | int) and found != "":
            return str(found)[:200]
    return None


def push_of(story: dict[str, Any], *, hides: bool) -> Drawn | None:
    """The push that left for the event, else the one that would; none for who sees no values."""
    if hides:
        return None
    bodies = [one["body"] for one in story["calls"] if one["operation"] == PUSH and one["body"]]
    bodies += [
        one["planned"]["body"]
        for one in story["operations"]
        if one["operation"] == PUSH and one["planned"]
    ]
    body = next((one for one in bodies if isinstance(one, dict)), None)
    return None if body is None else drawn(body)
