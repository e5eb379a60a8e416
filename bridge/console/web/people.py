"""People: what we last wrote for somebody and from which event, devices, notifications, skips."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlencode

from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from bridge.console.naming import NOT_NAMED, none_such
from bridge.console.views.people import LONGEST_ID, People
from bridge.console.views.person import PLATFORMS, There, may_be_erased
from bridge.console.web.door import Door
from bridge.console.web.shell import HEADERS, ROOT, Shell
from bridge.console.web.visit import Visit

PAGE: Final = f"{ROOT}/people"


@dataclass(slots=True, kw_only=True)
class PeoplePage:
    door: Door
    shell: Shell
    people: People
    #: An app's user; and who asks.
    erase: Callable[[str, str, str], Awaitable[None]]

    def routes(self) -> list[Route]:
        return [
            self.door.page(PAGE, "view", self._show),
            self.door.act(PAGE, "operate", self._ask),
            self.door.page(f"{PAGE}/erase", "admin", self._look),
            self.door.act(f"{PAGE}/erase", "admin", self._erase),
        ]

    async def _show(self, visit: Visit, there: list[There] | str | None = None) -> Response:
        user = visit.query.get("user", "")[:LONGEST_ID]
        apps = list(self.people.config().apps)
        app = visit.query.get("app", apps[0])
        slip = none_such("app", app, apps, NOT_NAMED)
        if not user or slip is not None:
            return self.shell.page(
                visit, "people", active="people", user="", app=apps[0], apps=apps, misspelt=slip
            )
        return self.shell.page(
            visit,
            "people",
            active="people",
            user=user,
            app=app,
            apps=apps,
            somebody=await self.people.somebody(app, user, hides=visit.hides),
            platforms=PLATFORMS,
            there=there,
        )

    async def _ask(self, visit: Visit) -> Response:
        """What OneSignal knows by now: one call, in its turn."""
        user, app = visit.query.get("user", "")[:LONGEST_ID], visit.query.get("app", "")
        if not user or app not in self.people.config().apps:
            return RedirectResponse(PAGE, 303, HEADERS)
        return await self._show(visit, await self.people.ask(app, user))

    # Erasing --------------------------------------------------------------------------------------

    async def _look(self, visit: Visit) -> Response:
        user, app = visit.query.get("user", "")[:LONGEST_ID], visit.query.get("app", "")
        if not may_be_erased(user) or app not in self.people.config().apps:
            return self._nobody(visit)
        return self.shell.page(visit, "erase", active="people", user=user, app=app)

    async def _erase(self, visit: Visit) -> Response:
        user, app = visit.form.get("user", ""), visit.form.get("app", "")
        if not may_be_erased(user) or app not in self.people.config().apps:
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
