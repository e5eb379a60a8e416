"""People: what we last wrote for somebody and from which event, devices, notifications, skips."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlencode

from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from bridge.clock import Clock
from bridge.config import Config
from bridge.config.mappings import Mappings
from bridge.console.users import may_be_erased
from bridge.console.web.door import Door
from bridge.console.web.person import PLATFORMS, There, Written, facts, notifications, skips
from bridge.console.web.shell import HEADERS, ROOT, Shell
from bridge.console.web.visit import Visit
from bridge.explain.answer import answer_of, asked_of
from bridge.explain.hiding import hidden_below
from bridge.journal import Journal
from bridge.journal.devices import Device

NEWEST: Final = 30
"""Events of a person that are told."""
_LONGEST_ID: Final = 500
PAGE: Final = f"{ROOT}/people"


@dataclass(slots=True, kw_only=True)
class PeoplePage:
    door: Door
    shell: Shell
    journal: Journal
    clock: Clock
    config: Callable[[], Config]
    mappings: Callable[[], Mappings]
    #: Of an app and an external id: what was written.
    written: Callable[[str, str], Awaitable[list[Written]]]
    #: Their registered devices.
    devices: Callable[[str, str], Awaitable[list[Device]]]
    #: What OneSignal says of them; words when it does not.
    ask: Callable[[str, str], Awaitable[list[There] | str]]
    #: And who asks.
    erase: Callable[[str, str, str], Awaitable[None]]

    def routes(self) -> list[Route]:
        return [
            self.door.page(PAGE, "view", self._show),
            self.door.act(PAGE, "operate", self._ask),
            self.door.page(f"{PAGE}/erase", "admin", self._look),
            self.door.act(f"{PAGE}/erase", "admin", self._erase),
        ]

    async def _show(self, visit: Visit, there: list[There] | str | None = None) -> Response:
        user = visit.query.get("user", "")[:_LONGEST_ID]
        apps = list(self.config().apps)
        app = visit.query.get("app", apps[0])
        if not user or app not in apps:
            return self.shell.page(
                visit, "people", active="people", user="", app=apps[0], apps=apps
            )
        user_hash = self.journal.user_hash(app, user)
        person = await self.journal.identities.person(user_hash)
        written = facts(_hidden(await self.written(app, user), hides=visit.hides))
        stories = await self._stories(user, hides=visit.hides)
        own = [story for story in stories if story["app"] == app]
        return self.shell.page(
            visit,
            "people",
            active="people",
            user=user,
            app=app,
            apps=apps,
            person=None if person is None else person.external_id,
            others=[one for one in await self.journal.identities.ids(user_hash) if one.id != user],
            facts=written,
            devices=await self.devices(app, user),
            platforms=PLATFORMS,
            there=there,
            pushes=notifications(own),
            skips=skips(own),
            stories=own,
            may_be_erased=may_be_erased(user),
        )

    async def _stories(self, user: str, *, hides: bool) -> list[dict[str, Any]]:
        config, mappings = self.config(), self.mappings()
        asked = asked_of(
            user, None, NEWEST, apps=config.apps, sources=config.sources, mappings=mappings
        )
        traces = await self.journal.traces(asked)
        told = await asyncio.to_thread(
            answer_of,
            asked,
            traces,
            apps=config.apps,
            sources=config.sources,
            mappings=mappings,
            now_ms=self.clock.now_ms(),
            hides=hides,
        )
        stories: list[dict[str, Any]] = told["events"]
        return stories

    async def _ask(self, visit: Visit) -> Response:
        """What OneSignal knows by now: one call, in its turn."""
        user, app = visit.query.get("user", "")[:_LONGEST_ID], visit.query.get("app", "")
        if not user or app not in self.config().apps:
            return RedirectResponse(PAGE, 303, HEADERS)
        return await self._show(visit, await self.ask(app, user))

    # Erasing --------------------------------------------------------------------------------------

    async def _look(self, visit: Visit) -> Response:
        user, app = visit.query.get("user", "")[:_LONGEST_ID], visit.query.get("app", "")
        if not may_be_erased(user) or app not in self.config().apps:
            return self._nobody(visit)
        return self.shell.page(visit, "erase", active="people", user=user, app=app)

    async def _erase(self, visit: Visit) -> Response:
        user, app = visit.form.get("user", ""), visit.form.get("app", "")
        if not may_be_erased(user) or app not in self.config().apps:
            return self._nobody(visit)
        if visit.form.get("again", "") != user:
            words_ = "What you typed is not the id of this person. Nothing was done."
            return self._problem(visit, "Not erased", words_)
        await self.erase(app, user, visit.person.name)
        way = urlencode({"user": user, "app": app, "said": "erasing"})
        return RedirectResponse(f"{PAGE}?{way}", 303, HEADERS)

    def _nobody(self, visit: Visit) -> Response:
        return self._problem(visit, "Nobody to erase", "OneSignal has no user of this id.")

    def _problem(self, visit: Visit, title: str, text: str) -> Response:
        return self.shell.page(
            visit, "problem", status=400, active="people", title=title, text=text
        )


def _hidden(written: list[Written], *, hides: bool) -> list[Written]:
    if not hides:
        return written
    return [one._replace(value=hidden_below(one.value)) for one in written]
