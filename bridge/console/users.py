"""`/api/v1/users/{external_id}`: what is known of a user, and erasing one.

::

    GET    /api/v1/users/u1?app=shop   what was written, devices, pushes and skips, in an app (the first, unless it is named)
    GET    /api/v1/users/u1?ask=yes    the same, and what OneSignal says: one call, in its turn
    DELETE /api/v1/users/u1            at OneSignal and here, in every app; 202: it is on disk, and will be done
    DELETE /api/v1/users/u1?app=shop   in this one

To erase does not wait for OneSignal. That it is done is a line `user.erased` in the log and in the audit
trail; `erased` of the user says so to who operates, and is empty for who only looks.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass
from typing import Any

import orjson
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from bridge.console.api import (
    Accessible,
    answer,
    guarded,
    not_yours,
    person_of,
    problem,
    who,
)
from bridge.console.naming import NOT_NAMED, none_such
from bridge.console.views.people import LONGEST_ID, People, Somebody
from bridge.console.views.person import There, may_be_erased
from bridge.errors import JournalUnavailableError


@dataclass(slots=True, kw_only=True)
class UsersApi:
    access: Accessible
    apps: Callable[[], list[str]]
    people: People
    #: Of an app, by external id; and who asks.
    erase: Callable[[str, str, str], Awaitable[None]]

    def routes(self) -> list[Route]:
        path = "/api/v1/users/{external_id:path}"
        return [
            Route(path, guarded(self.access, "view", self._show), methods=["GET"]),
            Route(path, guarded(self.access, "admin", self._erase), methods=["DELETE"]),
        ]

    async def _show(self, request: Request) -> Response:
        user, apps = request.path_params["external_id"][:LONGEST_ID], self.apps()
        app, ask = request.query_params.get("app", apps[0]), request.query_params.get("ask")
        if slip := none_such("app", app, apps, NOT_NAMED):
            return slip.refusal()
        if ask not in {None, "yes"}:
            return problem(400, "choice-invalid", "`ask` is `yes`, or left out.")
        person = person_of(request)
        if ask and not person.may("operate"):
            return not_yours(person, "operate")
        there = await self.people.ask(app, user) if ask else None
        somebody = await self.people.somebody(app, user, hides=not person.may("operate"))
        return answer({"user": user, "app": app} | told(somebody) | {"at_onesignal": _there(there)})

    async def _erase(self, request: Request) -> Response:
        external_id, apps = request.path_params["external_id"], self.apps()
        if (asked := request.query_params.get("app")) is not None:
            if slip := none_such("app", asked, apps, NOT_NAMED):
                return slip.refusal()
            apps = [asked]
        if not may_be_erased(external_id):
            return problem(400, "id-invalid", "OneSignal has no user of this id.")
        try:
            for app in apps:
                await self.erase(app, external_id, who(request))
        except JournalUnavailableError as error:
            return problem(503, "not-durable", f"Nothing was kept; ask again: {error.message}.")
        body = orjson.dumps({"erasing": apps})
        return Response(body, status_code=202, media_type="application/json")


def told(somebody: Somebody) -> dict[str, Any]:
    facts = somebody.facts
    return {
        "is_known": somebody.is_known,
        "is_now": somebody.person,
        "erased": somebody.erased,
        "ids": [{"label": label, "id": id_} for label, id_ in somebody.others],
        "tags": [one._asdict() for one in facts.tags],
        "properties": [one._asdict() for one in facts.properties],
        "aliases": [one._asdict() for one in facts.aliases],
        "contacts": [one._asdict() | {"kind": kind} for kind, one in facts.contacts],
        "devices": [
            {"platform": one.platform, "is_reachable": one.is_reachable, "seen_ms": one.seen_ms}
            for one in somebody.devices
        ],
        "pushes": [
            one._asdict() | {"push": one.push and asdict(one.push)} for one in somebody.pushes
        ],
        "skips": [one._asdict() for one in somebody.skips],
    }


def _there(there: list[There] | str | None) -> dict[str, Any] | None:
    """What OneSignal says, if it was asked."""
    if isinstance(there, str):
        return {"devices": [], "problem": there}
    if there is None:
        return None
    return {"devices": [one._asdict() for one in there], "problem": None}
