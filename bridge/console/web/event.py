"""One event: when it was heard, what became of it, what did not happen and why, every call."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from starlette.responses import Response
from starlette.routing import Route

from bridge.clock import Clock
from bridge.config import Config
from bridge.config.mappings import Mappings
from bridge.console.api import number
from bridge.console.web import words
from bridge.console.web.door import Door
from bridge.console.web.drawing import PUSH, Drawn, drawn
from bridge.console.web.shell import ROOT, Shell
from bridge.console.web.visit import Visit
from bridge.explain.answer import answer_of
from bridge.explain.words import ago
from bridge.journal import Journal
from bridge.journal.trace import Asked


@dataclass(slots=True, kw_only=True)
class EventPage:
    door: Door
    shell: Shell
    journal: Journal
    clock: Clock
    config: Callable[[], Config]
    mappings: Callable[[], Mappings]

    def routes(self) -> list[Route]:
        return [self.door.page(f"{ROOT}/events/{{seq}}", "view", self._show)]

    async def _show(self, visit: Visit) -> Response:
        seq = number(visit.request.path_params["seq"])
        story = None if seq is None else await self.story(seq, hides=visit.hides)
        if story is None:
            return self.shell.page(
                visit, "problem", status=404, active="events", title="No such event", text=_GONE
            )
        push = push_of(story)
        return self.shell.page(
            visit,
            "event",
            active="events",
            story=story,
            kind=words.kind(story["type"], story["event"]),
            late=_late(story),
            push=None if push is None or visit.hides else push,
            others=[one["rule"] for one in story["rules_not_met"] if one["other_event"]],
        )

    async def story(self, seq: int, *, hides: bool) -> dict[str, Any] | None:
        """All that is known of it, as `explain` tells it."""
        config = self.config()
        asked = Asked(None, None, list(config.apps), list(config.sources), 1, seq=seq)
        traces = await self.journal.traces(asked)
        told = await asyncio.to_thread(
            answer_of,
            asked,
            traces,
            apps=config.apps,
            sources=config.sources,
            mappings=self.mappings(),
            now_ms=self.clock.now_ms(),
            hides=hides,
        )
        return next(iter(told["events"]), None)


_GONE = "Nothing is kept under this number. Events are kept for a while, and then they are gone."


def push_of(story: dict[str, Any]) -> Drawn | None:
    """The push that left for the event, else the one that would."""
    bodies = [one["body"] for one in story["calls"] if one["operation"] == PUSH and one["body"]]
    bodies += [
        one["planned"]["body"]
        for one in story["operations"]
        if one["operation"] == PUSH and one["planned"]
    ]
    body = next((one for one in bodies if isinstance(one, dict)), None)
    return None if body is None else drawn(body)


def _late(story: dict[str, Any]) -> str | None:
    late = story["received_ms"] - story["event_ms"]
    return ago(late) if late >= 1000 else None
