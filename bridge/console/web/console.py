"""All pages of the console together, over what a running bridge offers them."""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable, Collection, Iterator
from dataclasses import dataclass, field
from typing import Any, Protocol

from starlette.responses import Response
from starlette.routing import Route

from bridge.clock import Clock
from bridge.config import Config
from bridge.config.access import access_of
from bridge.config.mappings import Mappings
from bridge.config.reload import Reloader
from bridge.console.naming import Naming
from bridge.console.views import Views
from bridge.console.web.audit import AuditPage
from bridge.console.web.brake import BrakePage
from bridge.console.web.door import Door
from bridge.console.web.event import EventPage
from bridge.console.web.events import EventsPage
from bridge.console.web.mappings import MappingsPage
from bridge.console.web.overview import OverviewPage
from bridge.console.web.people import PeoplePage
from bridge.console.web.rules import RulesPage
from bridge.console.web.sessions import Sessions
from bridge.console.web.shell import ROOT, Shell
from bridge.console.web.tryit import TryPage
from bridge.console.web.visit import Visit
from bridge.console.web.waiting import Acts, WaitingPage
from bridge.journal import Journal


class Page(Protocol):
    def routes(self) -> list[Route]: ...


@dataclass(slots=True, kw_only=True)
class Console:
    journal: Journal
    clock: Clock
    config: Callable[[], Config]
    mappings: Callable[[], Mappings]
    reloader: Reloader
    views: Views
    paused: Callable[[], list[dict[str, Any]]]
    acts: Acts
    naming: Naming
    erase: Callable[[str, str, str], Awaitable[None]]
    draining: Callable[[], bool]
    #: What, and who asks.
    pause: Callable[[str, str], Awaitable[object]]
    resume: Callable[[str, str], Awaitable[dict[str, Any] | None]]
    shell: Shell = field(init=False)
    door: Door = field(init=False)

    def __post_init__(self) -> None:
        self.shell = Shell(paused=self.paused, dry_run=lambda: self.config().restraint.dry_run)
        self.door = Door(
            access=lambda: access_of(self.config().settings),
            sessions=Sessions(secrets.token_bytes(32)),
            clock=self.clock,
            shell=self.shell,
        )

    def routes(self) -> list[Route]:
        return [
            *self.shell.routes(),
            *self.door.routes(),
            *(route for page in self._pages() for route in page.routes()),
            self.door.page(f"{ROOT}/{{path:path}}", "view", self._unknown),
        ]

    async def _unknown(self, visit: Visit) -> Response:
        text = (
            "The console has nothing under this address; it is mistyped, or from another version."
        )
        return self.shell.page(
            visit, "problem", status=404, active="", title="No such page", text=text
        )

    def _pages(self) -> Iterator[Page]:
        views, journal = self.views, self.journal
        every: dict[str, Any] = {"door": self.door, "shell": self.shell}
        yield RulesPage(**every, rules=views.rules)
        yield OverviewPage(
            **every, overview=views.overview, clock=self.clock, draining=self.draining
        )
        yield EventsPage(**every, events=views.events, naming=self.naming)
        yield EventPage(**every, events=views.events)
        yield BrakePage(
            **every, waiting=views.waiting, pause=self.pause, resume=self.resume, rules=self._rules
        )
        yield PeoplePage(**every, people=views.people, erase=self.erase)
        yield WaitingPage(
            **every, journal=journal, waiting=views.waiting, naming=self.naming, acts=self.acts
        )
        yield TryPage(**every, journal=journal, trying=views.trying)
        yield MappingsPage(**every, journal=journal, config=self.config, reloader=self.reloader)
        yield AuditPage(**every, journal=journal)

    def _rules(self) -> Collection[str]:
        return {rule.name for one in self.mappings().values() for rule in one.rules}
