"""Events: the newest first, those of a user, and one by its messageId."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, NamedTuple
from urllib.parse import urlencode

from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from bridge.config import Config
from bridge.config.mappings import Mappings
from bridge.console.api import number
from bridge.console.web import words
from bridge.console.web.door import Door
from bridge.console.web.shell import HEADERS, ROOT, Shell
from bridge.console.web.visit import Visit
from bridge.explain.answer import asked_of
from bridge.explain.hiding import HIDDEN
from bridge.journal import Journal
from bridge.journal.looks import AMONG, PAGE, Listed, Seen, Wanted
from bridge.journal.sqlite_looks import payload_of

_SHOWN: Final = ("name", "state", "rule", "reason", "source")


class Row(NamedTuple):
    """An event as the list shows it."""

    seen: Seen
    kind: str
    who: str | None


class Search(NamedTuple):
    """What the box was asked for, and what was found of it."""

    text: str
    #: Hashes of the user; empty: nothing was heard of a user of this name.
    users: tuple[int, ...] = ()


@dataclass(slots=True, kw_only=True)
class EventsPage:
    door: Door
    shell: Shell
    journal: Journal
    config: Callable[[], Config]
    mappings: Callable[[], Mappings]

    def routes(self) -> list[Route]:
        return [self.door.page(f"{ROOT}/events", "view", self._list)]

    async def _list(self, visit: Visit) -> Response:
        search = await self._search(visit.query.get("q", ""))
        if isinstance(search, Response):
            return search
        wanted = _wanted(visit, search)
        nothing = bool(search.text) and not search.users
        listed = (
            Listed([], more=False, since_ms=None)
            if nothing
            else await self.journal.looks.listed(wanted)
        )
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
            rows=[_row(one, hides=visit.hides) for one in listed.events],
            older=_older(visit, listed),
            among=AMONG,
            page_size=PAGE,
            names=await self.journal.looks.names(),
            sources=list(self.config().sources),
        )

    async def _search(self, text: str) -> Search | Response:
        """A messageId leads to its event; what is none may be a user."""
        if not text:
            return Search("")
        config, looks = self.config(), self.journal.looks
        asked = asked_of(
            text, None, 1, apps=config.apps, sources=config.sources, mappings=self.mappings()
        )
        seqs = await looks.of_message(text[:500], asked.sources)
        if len(seqs) > 0:
            return RedirectResponse(f"{ROOT}/events/{seqs[0]}", 303, HEADERS)
        users = await looks.hashes(asked)
        found = await self.journal.looks.listed(Wanted(users=users))
        return Search(text, users if found.events else ())


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


def _row(seen: Seen, *, hides: bool) -> Row:
    payload = payload_of(seen)
    who = _who(payload) if isinstance(payload, dict) else None
    return Row(seen, words.kind(seen.type, seen.name), HIDDEN if who and hides else who)


def _who(payload: dict[str, Any]) -> str | None:
    for name in ("userId", "anonymousId"):
        found = payload.get(name)
        if isinstance(found, str | int) and found != "":
            return str(found)[:200]
    return None


def _older(visit: Visit, listed: Listed) -> str | None:
    if not listed.more:
        return None
    query = visit.query | {"before": str(listed.events[-1].seq)}
    return f"{ROOT}/events?{urlencode(query)}"
