"""All pages of the console together, over what a running bridge offers them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass, field
from typing import Any

from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from bridge.clock import Clock
from bridge.config import Config
from bridge.config.access import access_of
from bridge.config.mappings import Mappings
from bridge.console.web.audit import AuditPage
from bridge.console.web.brake import BrakePage
from bridge.console.web.door import Door
from bridge.console.web.event import EventPage
from bridge.console.web.events import EventsPage
from bridge.console.web.sessions import Sessions
from bridge.console.web.shell import HEADERS, ROOT, Shell
from bridge.console.web.visit import Visit
from bridge.journal import Journal


@dataclass(slots=True, kw_only=True)
class Console:
    journal: Journal
    clock: Clock
    config: Callable[[], Config]
    mappings: Callable[[], Mappings]
    paused: Callable[[], list[dict[str, Any]]]
    #: What, and who asks.
    pause: Callable[[str, str], Awaitable[object]]
    resume: Callable[[str, str], Awaitable[dict[str, Any] | None]]
    shell: Shell = field(init=False)
    door: Door = field(init=False)

    def __post_init__(self) -> None:
        self.shell = Shell(paused=self.paused, dry_run=lambda: self.config().restraint.dry_run)
        self.door = Door(
            access=lambda: access_of(self.config().settings),
            sessions=Sessions(self.journal.derive("console")),
            clock=self.clock,
            shell=self.shell,
        )

    def routes(self) -> list[Route]:
        return [
            *self.shell.routes(),
            *self.door.routes(),
            *self._brake(),
            *self._events(),
            *self._audit(),
        ]

    def _rules(self) -> Collection[str]:
        return {rule.name for one in self.mappings().values() for rule in one.rules}

    def _brake(self) -> list[Route]:
        return BrakePage(
            door=self.door,
            shell=self.shell,
            journal=self.journal,
            pause=self.pause,
            resume=self.resume,
            rules=self._rules,
        ).routes()

    def _events(self) -> list[Route]:
        events = EventsPage(
            door=self.door, shell=self.shell, journal=self.journal, config=self.config
        )
        event = EventPage(
            door=self.door,
            shell=self.shell,
            journal=self.journal,
            clock=self.clock,
            config=self.config,
            mappings=self.mappings,
        )
        return [*events.routes(), *event.routes()]

    def _audit(self) -> list[Route]:
        return AuditPage(door=self.door, shell=self.shell, journal=self.journal).routes()


async def _to_events(_: Visit) -> Response:
    return RedirectResponse(f"{ROOT}/events", 303, HEADERS)
