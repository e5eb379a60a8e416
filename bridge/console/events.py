"""`/api/v1/events`: what was heard, newest first, and the whole story of one.

::

    GET /api/v1/events          {"events": [a page of them], "next", "among", "since_ms"}
    GET /api/v1/events/{seq}    what `explain` tells of it, and "push": as a phone shows it

Narrowed by `user`, `event`, `type`, `source`, `state`, `rule`, `reason`, `since_ms`, `until_ms`; `before` takes what
`next` was. A rule or a source that there is not is answered 404 (`unknown-rule`, `unknown-source`). Looked at are the newest `among` events (back to `since_ms`), or all of one user.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from bridge.console.api import Accessible, answer, guarded, moment, number, person_of, problem
from bridge.console.naming import Naming
from bridge.console.views.events import NOTHING, Events, Row, push_of, row_of
from bridge.console.views.words import STATES
from bridge.journal.looks import AMONG, Wanted

_TEXTS = ("type", "source", "state", "rule", "reason")
_MOMENTS = ("since_ms", "until_ms")
_NAMES = {"user", "event", "before", *_TEXTS, *_MOMENTS}


@dataclass(slots=True, kw_only=True)
class EventsApi:
    access: Accessible
    events: Events
    naming: Naming

    def routes(self) -> list[Route]:
        return [
            Route("/api/v1/events", guarded(self.access, "view", self._list), methods=["GET"]),
            Route(
                "/api/v1/events/{seq}", guarded(self.access, "view", self._show), methods=["GET"]
            ),
        ]

    async def _list(self, request: Request) -> Response:
        query = dict(request.query_params)
        wanted = _wanted(query)
        if wanted is None:
            return _UNCLEAR
        user, hides = query.get("user"), not person_of(request).may("operate")
        users = await self.events.users(user, hides=hides) if user else ()
        wanted, is_nobody = wanted._replace(users=users), bool(user) and not users
        listed = NOTHING if is_nobody else await self.events.listed(wanted, hides=hides)
        if not listed.events and (slip := await self.naming.unmet(wanted)) is not None:
            return slip.refusal()
        return answer(
            {
                "events": [_told(row_of(one, hides=hides)) for one in listed.events],
                "next": listed.events[-1].seq if listed.more else None,
                "among": AMONG,
                "since_ms": listed.since_ms,
            }
        )

    async def _show(self, request: Request) -> Response:
        seq = number(request.path_params["seq"])
        hides = not person_of(request).may("operate")
        story = None if seq is None else await self.events.story(seq, hides=hides)
        if story is None:
            return problem(404, "no-such-event", "Nothing is kept under this number (any more).")
        push = push_of(story, hides=hides)
        return answer(story | {"push": push and asdict(push)})


def _wanted(query: Mapping[str, str]) -> Wanted | None:
    """None: it is not clear."""
    moments = {name: moment(query[name]) for name in _MOMENTS if name in query}
    before = number(query["before"]) if "before" in query else None
    if query.keys() - _NAMES or None in moments.values() or ("before" in query and before is None):
        return None
    asked: dict[str, Any] = {name: query.get(name) or None for name in _TEXTS}
    if asked["state"] is not None and asked["state"] not in STATES:
        return None
    return Wanted(
        name=query.get("event") or None,
        before=before,
        since_ms=moments.get("since_ms"),
        until_ms=moments.get("until_ms"),
        **asked,
    )


def _told(row: Row) -> dict[str, Any]:
    seen = row.seen
    return {
        "seq": seen.seq,
        "source": seen.source,
        "app": seen.app,
        "message_id": seen.message_id,
        "type": seen.type,
        "event": seen.name,
        "who": row.who,
        "received_ms": seen.received_ms,
        "state": seen.state,
        "ends": [one._asdict() for one in seen.ends],
    }


_UNCLEAR = problem(
    400,
    "choice-invalid",
    "Choose by `user`, `event`, `type`, `source`, `state`, `rule`, `reason`, `since_ms`, `until_ms` and `before`.",
)
