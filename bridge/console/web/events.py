"""Events: the newest first, those of a user, and one by its messageId."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, NamedTuple
from urllib.parse import urlencode

from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from bridge.console.api import number
from bridge.console.naming import Naming
from bridge.console.views import words
from bridge.console.views.events import NOTHING, Events, row_of
from bridge.console.web.door import Door
from bridge.console.web.shell import HEADERS, ROOT, Shell
from bridge.console.web.visit import Visit
from bridge.journal.looks import AMONG, PAGE, Listed, Wanted

_SHOWN: Final = ("name", "state", "rule", "reason", "source")


class Search(NamedTuple):
    """What the box was asked for, and what was found of it."""

    text: str
    #: Hashes of the user; empty: nothing was heard of a user of this name.
    users: tuple[int, ...] = ()


@dataclass(slots=True, kw_only=True)
class EventsPage:
    door: Door
    shell: Shell
    events: Events
    naming: Naming

    def routes(self) -> list[Route]:
        return [self.door.page(f"{ROOT}/events", "view", self._list)]

    async def _list(self, visit: Visit) -> Response:
        search = await self._search(visit.query.get("q", ""), hides=visit.hides)
        if isinstance(search, Response):
            return search
        wanted = _wanted(visit, search)
        nothing = bool(search.text) and not search.users
        listed = NOTHING if nothing else await self.events.listed(wanted, hides=visit.hides)
        filters = {
            name: visit.query[name] for name in (*_SHOWN, "since", "until") if name in visit.query
        }
        return self.shell.page(
            visit,
            "events",
            active="events",
            search=search,
            wanted=wanted,
            filters=filters,
            listed=listed,
            rows=[row_of(one, hides=visit.hides) for one in listed.events],
            older=_older(visit, listed),
            among=AMONG,
            page_size=PAGE,
            misspelt=None if listed.events else await self.naming.unmet(wanted),
            names=await self.events.journal.looks.names(),
            sources=list(self.events.config().sources),
        )

    async def _search(self, text: str, *, hides: bool) -> Search | Response:
        """A messageId leads to its event; what is none may be a user."""
        if not text:
            return Search("")
        found = await self.events.look_for(text, hides=hides)
        if found.seqs:
            return RedirectResponse(f"{ROOT}/events/{found.seqs[0]}", 303, HEADERS)
        return Search(text, found.users)


def _wanted(visit: Visit, search: Search) -> Wanted:
    query = visit.query
    asked: dict[str, Any] = {name: query.get(name) for name in _SHOWN}
    if asked["state"] not in words.STATES:
        asked["state"] = None
    return Wanted(
        users=search.users,
        since_ms=visit.moment(query.get("since", "")),
        until_ms=visit.moment(query.get("until", "")),
        before=number(query.get("before", "")),
        **asked,
    )


def _older(visit: Visit, listed: Listed) -> str | None:
    if not listed.more:
        return None
    query = visit.query | {"before": str(listed.events[-1].seq)}
    return f"{ROOT}/events?{urlencode(query)}"
