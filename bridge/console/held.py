"""`/api/v1/held`: pushes that wait for a person, and what a person does with them.

::

    GET  /api/v1/held            {"counts": [{"app", "rule", "reason", "count"}], "held": [some of them],
                                  "releases": [{"app", "rule", "reason", "per_minute", "left", "paused"}],
                                  "advice": {reason: {"what", "todo", …}}}
    GET  /api/v1/held/{key}      one, with its event and what would be sent
    POST /api/v1/held/release    {a choice, "per_minute"?, "dry_run"?}: they go, oldest first; 409 while they are paused
    POST /api/v1/held/hold       {a choice}: what goes little by little stays, from now on
    POST /api/v1/held/discard    {a choice, "dry_run"?}: they end, unsent

A choice is as for `dead`, in a GET with `limit`; what goes little by little is chosen by app, rule,
reason and time alone.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from bridge.console.api import PAGE, Accessible, answer, guarded, number, problem, who
from bridge.console.choosing import SAMPLE, UNCLEAR, Asked, asked, looked, no_reason, sought
from bridge.console.naming import Naming
from bridge.console.views import advice
from bridge.console.views.waiting import Counted, Waiting, text
from bridge.journal import Journal
from bridge.journal.piles import Choice, HeldOne, Releasing
from bridge.journal.sends import HeldSend

REASONS = ("limit", "paused", "ios_reached")
FASTEST = 30_000
"""A minute; what is to go faster than this can as well go at once."""


@dataclass(slots=True, kw_only=True)
class HeldApi:
    access: Accessible
    journal: Journal
    waiting: Waiting
    naming: Naming
    #: How many of a choice a pause would hold again at once.
    stopped: Callable[[Choice], Awaitable[int]]
    #: Here and below: who asks.
    release: Callable[[Choice, str], Awaitable[int]]
    #: So many a minute.
    release_slowly: Callable[[Choice, int, str], Awaitable[Sequence[Counted]]]
    hold: Callable[[Choice, str], Awaitable[int]]
    discard: Callable[[Choice, str], Awaitable[int]]

    def routes(self) -> list[Route]:
        look = partial(guarded, self.access, "view")
        act = partial(guarded, self.access, "operate")
        return [
            Route("/api/v1/held", look(self._list), methods=["GET"]),
            # It shows what would be sent, word for word.
            Route("/api/v1/held/{key}", act(self._show), methods=["GET"]),
            Route("/api/v1/held/release", act(self._release), methods=["POST"]),
            Route("/api/v1/held/hold", act(self._hold), methods=["POST"]),
            Route("/api/v1/held/discard", act(self._discard), methods=["POST"]),
        ]

    async def _list(self, request: Request) -> Response:
        query = dict(request.query_params)
        limit = number(query.pop("limit", str(PAGE)))
        choice = await sought(query, self.naming)
        if isinstance(choice, Response):
            return choice
        if limit is None:
            return UNCLEAR
        if not _is_possible(choice):
            return no_reason(choice.reason, REASONS)
        some = await self.journal.sends.held(choice, limit=min(PAGE, limit))
        counts = [count_of(one) for one in await self.waiting.counts(choice)]
        releases = [
            _release_of(one) | {"paused": await self._waits(one)}
            for one in await self.journal.piles.releases(counted=True)
            if _is_of(choice, one)
        ]
        return answer(
            {
                "counts": counts,
                "held": [summary(one) for one in some],
                "releases": releases,
                "advice": {reason: advice.held(reason)._asdict() for reason in REASONS},
            }
        )

    async def _waits(self, one: Releasing) -> bool:
        """Whether none of it leaves before a pause ends."""
        return await self.stopped(Choice(app=one.app, rule=one.rule, reason=one.hold)) > 0

    async def _show(self, request: Request) -> Response:
        one = await self.journal.piles.held_one(request.path_params["key"])
        if one is None:
            return problem(404, "not-held", "No push of this key is held.")
        return answer(full(one))

    async def _release(self, request: Request) -> Response:
        wanted = await self._asked(request, also=("per_minute",))
        if isinstance(wanted, Response):
            return wanted
        choice, rate = wanted.choice, wanted.rest.get("per_minute")
        if rate is not None and not _is_rate(rate, choice):
            return _RATE
        stopped = await self.stopped(choice)
        if wanted.dry_run or (rate is None and stopped):
            preview = await self.waiting.held(choice, sample=SAMPLE)
            if rate is None and 0 < stopped == preview.count:
                return _PAUSED
            if wanted.dry_run:
                count = preview.count if rate is not None else preview.count - stopped
                return looked(replace(preview, count=count), summary)
        if rate is None:
            return answer({"released": await self.release(choice, who(request))})
        chosen = await self.release_slowly(choice, rate, who(request))
        count = sum(one.count for one in chosen)
        return answer({"releasing": count, "per_minute": rate, "paused": stopped})

    async def _hold(self, request: Request) -> Response:
        wanted = await self._asked(request)
        if isinstance(wanted, Response):
            return wanted
        return answer({"stopped": await self.hold(wanted.choice, who(request))})

    async def _discard(self, request: Request) -> Response:
        wanted = await self._asked(request)
        if isinstance(wanted, Response):
            return wanted
        if wanted.dry_run:
            return looked(await self.waiting.held(wanted.choice, sample=SAMPLE), summary)
        return answer({"discarded": await self.discard(wanted.choice, who(request))})

    async def _asked(self, request: Request, *, also: Collection[str] = ()) -> Asked | Response:
        wanted = await asked(request, self.naming, also=also)
        if isinstance(wanted, Response) or _is_possible(wanted.choice):
            return wanted
        return no_reason(wanted.choice.reason, REASONS)


def _is_possible(choice: Choice) -> bool:
    return choice.reason in {None, *REASONS}


def _is_of(choice: Choice, one: Releasing) -> bool:
    """As far as what leaves little by little is told apart."""
    asked = (choice.app, one.app), (choice.rule, one.rule), (choice.reason, one.hold)
    return all(wanted in {None, is_} for wanted, is_ in asked)


def _is_rate(rate: Any, choice: Choice) -> bool:
    return type(rate) is int and 0 < rate <= FASTEST and choice.user is None and choice.ids is None


def count_of(counted: Counted) -> dict[str, Any]:
    return {
        "app": counted.app,
        "rule": counted.rule,
        "reason": counted.why,
        "count": counted.count,
    }


def _release_of(one: Releasing) -> dict[str, Any]:
    return {
        "app": one.app,
        "rule": one.rule,
        "reason": one.hold,
        "per_minute": one.per_minute,
        "left": one.left,
    }


def summary(held: HeldSend | HeldOne) -> dict[str, Any]:
    """A held push without whom it is for: safe for a list."""
    return {
        "key": held.key,
        "app": held.app,
        "rule": held.rule,
        "operation": held.operation,
        "reason": held.hold,
        "message_id": held.message_id,
        "event": held.name,
        "written_ms": held.created_ms,
    }


def full(held: HeldOne) -> dict[str, Any]:
    """A held push with its event and what would be sent; of one that shares a call, its own part too."""
    return summary(held) | {
        "payload": text(held.payload),
        "request": {
            "method": held.method,
            "path": held.path,
            "body": text(held.body),
            "part": text(held.part),
            "recipient": held.recipient,
        },
    }


_PAUSED = problem(
    409,
    "still-paused",
    "They are paused, and would be held again at once: resume lets them go. With a rate they leave little by"
    " little from then on.",
)
_RATE = problem(
    400,
    "rate-invalid",
    f"`per_minute` is 1 to {FASTEST}, and what goes little by little is chosen by app, rule, reason and time.",
)
