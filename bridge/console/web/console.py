"""All pages of the console together, over what a running bridge offers them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from starlette.routing import Route

from bridge.alerts.causes import Seen
from bridge.clock import Clock
from bridge.config import Config
from bridge.config.access import access_of
from bridge.config.mappings import Mappings
from bridge.config.reload import Reloader
from bridge.console.held import Counted as Held
from bridge.console.web.audit import AuditPage
from bridge.console.web.brake import BrakePage
from bridge.console.web.door import Door
from bridge.console.web.event import EventPage
from bridge.console.web.events import EventsPage
from bridge.console.web.mappings import MappingsPage
from bridge.console.web.overview import OverviewPage
from bridge.console.web.people import PeoplePage
from bridge.console.web.person import There, Written
from bridge.console.web.rules import RulesPage
from bridge.console.web.sessions import Sessions
from bridge.console.web.shell import Shell
from bridge.console.web.tryit import TryPage
from bridge.console.web.waiting import Acts, WaitingPage
from bridge.journal import Journal
from bridge.journal.devices import Device
from bridge.journal.piles import Choice
from bridge.journal.tallies import Counted


class Page(Protocol):
    def routes(self) -> list[Route]: ...


@dataclass(slots=True, kw_only=True)
class Console:
    journal: Journal
    clock: Clock
    config: Callable[[], Config]
    mappings: Callable[[], Mappings]
    reloader: Reloader
    paused: Callable[[], list[dict[str, Any]]]
    acts: Acts
    held: Callable[[Choice], Awaitable[Sequence[Held]]]
    written: Callable[[str, str], Awaitable[list[Written]]]
    devices: Callable[[str, str], Awaitable[list[Device]]]
    ask: Callable[[str, str], Awaitable[list[There] | str]]
    erase: Callable[[str, str, str], Awaitable[None]]
    see: Callable[[], Awaitable[Seen]]
    draining: Callable[[], bool]
    #: What was counted, and is not on disk yet.
    fresh: Callable[[], Counted]
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
            *(route for page in self._pages() for route in page.routes()),
        ]

    def _pages(self) -> Iterator[Page]:
        every: dict[str, Any] = {"door": self.door, "shell": self.shell, "journal": self.journal}
        yield RulesPage(**every, mappings=self.mappings, fresh=self.fresh)
        yield OverviewPage(
            **every, clock=self.clock, see=self.see, fresh=self.fresh, draining=self.draining
        )
        yield EventsPage(**every, config=self.config, mappings=self.mappings)
        yield EventPage(**every, clock=self.clock, config=self.config, mappings=self.mappings)
        yield BrakePage(**every, pause=self.pause, resume=self.resume, rules=self._rules)
        yield PeoplePage(
            **every,
            clock=self.clock,
            config=self.config,
            mappings=self.mappings,
            written=self.written,
            devices=self.devices,
            ask=self.ask,
            erase=self.erase,
        )
        yield WaitingPage(**every, acts=self.acts, counts=self.held)
        yield TryPage(**every, clock=self.clock, config=self.config, mappings=self.mappings)
        yield MappingsPage(**every, config=self.config, reloader=self.reloader)
        yield AuditPage(**every)

    def _rules(self) -> Collection[str]:
        return {rule.name for one in self.mappings().values() for rule in one.rules}
