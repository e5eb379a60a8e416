"""One event: when it was heard, what became of it, what did not happen and why, every call."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from starlette.responses import Response
from starlette.routing import Route

from bridge.console.api import number
from bridge.console.views import words
from bridge.console.views.events import Events, push_of
from bridge.console.web.door import Door
from bridge.console.web.shell import ROOT, Shell
from bridge.console.web.visit import Visit
from bridge.explain.words import ago


@dataclass(slots=True, kw_only=True)
class EventPage:
    door: Door
    shell: Shell
    events: Events

    def routes(self) -> list[Route]:
        return [self.door.page(f"{ROOT}/events/{{seq}}", "view", self._show)]

    async def _show(self, visit: Visit) -> Response:
        seq = number(visit.request.path_params["seq"])
        story = None if seq is None else await self.events.story(seq, hides=visit.hides)
        if story is None:
            return self.shell.page(
                visit, "problem", status=404, active="events", title="No such event", text=_GONE
            )
        return self.shell.page(
            visit,
            "event",
            active="events",
            story=story,
            kind=words.kind(story["type"], story["event"]),
            late=_late(story),
            push=push_of(story, hides=visit.hides),
            others=[one["rule"] for one in story["rules_not_met"] if one["other_event"]],
        )


_GONE = "Nothing is kept under this number. Events are kept for a while, and then they are gone."


def _late(story: dict[str, Any]) -> str | None:
    late = story["received_ms"] - story["event_ms"]
    return ago(late) if late >= 1000 else None
