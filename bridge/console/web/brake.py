"""The brake, on every page: pausing acts at once, letting go says first what will leave."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from bridge.console.brake import PUSHES, RULE
from bridge.console.views.waiting import Waiting
from bridge.console.web.door import Door, inside
from bridge.console.web.said import NUMBERS
from bridge.console.web.shell import HEADERS, ROOT, Shell
from bridge.console.web.visit import Visit
from bridge.journal.piles import Choice

SAMPLE = 5


@dataclass(slots=True, kw_only=True)
class BrakePage:
    door: Door
    shell: Shell
    waiting: Waiting
    #: What, and who asks.
    pause: Callable[[str, str], Awaitable[object]]
    #: None: it was not paused.
    resume: Callable[[str, str], Awaitable[dict[str, Any] | None]]
    rules: Callable[[], Collection[str]]

    def routes(self) -> list[Route]:
        return [
            self.door.act(f"{ROOT}/pause", "operate", self._pause),
            self.door.page(f"{ROOT}/resume", "operate", self._look),
            self.door.act(f"{ROOT}/resume", "operate", self._resume),
        ]

    async def _pause(self, visit: Visit) -> Response:
        what = visit.form.get("what", "")
        if what != PUSHES and what.removeprefix(f"{RULE}/") not in self.rules():
            return self._unknown(visit)
        await self.pause(what, visit.person.name)
        return back(visit, said="paused")

    async def _look(self, visit: Visit) -> Response:
        """What would leave: counted, and a few of it."""
        what = visit.query.get("what", "")
        if not any(one["what"] == what for one in self.shell.paused()):
            return self._unknown(visit)
        rule = None if what == PUSHES else what.partition("/")[2]
        choice = Choice(rule=rule, reason="paused")
        counts = await self.waiting.counts(choice)
        preview = await self.waiting.held(choice, sample=SAMPLE)
        slowly = await self.waiting.leaving(choice)
        return self.shell.page(
            visit,
            "resume",
            active="",
            what=what,
            rule=rule,
            counts=[(one.rule, one.count) for one in counts],
            preview=preview,
            slowly=slowly,
            at_once=max(0, preview.count - slowly),
        )

    async def _resume(self, visit: Visit) -> Response:
        done = await self.resume(visit.form.get("what", ""), visit.person.name)
        count = 0 if done is None else int(done["released"])
        return back(visit, said="resumed", count=count)

    def _unknown(self, visit: Visit) -> Response:
        words = "No mapping in force has this rule, or it is not paused any more."
        return self.shell.page(
            visit, "problem", status=404, active="", title="Nothing to do", text=words
        )


def back(visit: Visit, **said: Any) -> Response:
    """To the page that the form was on, which says what was done."""
    path, _, query = inside(visit.form.get("back", "")).partition("?")
    kept = [
        part
        for part in query.split("&")
        if part and part.partition("=")[0] not in {"said", *NUMBERS}
    ]
    address = "&".join([*kept, urlencode(said)])
    return RedirectResponse(f"{path}?{address}", 303, HEADERS)
