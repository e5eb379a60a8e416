"""`/api/v1/dead`: what could not be done, and what a person does with it.

::

    GET  /api/v1/dead                {"dead": [a page of them], "next", "counts": [{"reason", "rule", "count", "newest"}],
                                      "advice": {reason: {"what", "todo", "replay", "replan"}}}
    GET  /api/v1/dead/{id}           one, with its event, the request and the answer
    POST /api/v1/dead/{id}/replay    {"replan"?}: it is tried again
    POST /api/v1/dead/replay         {a choice, "replan"?, "dry_run"?}: all of a choice are
    POST /api/v1/dead/discard        {a choice, "dry_run"?}: they end for good

A choice narrows by `app`, `rule`, `reason`, `user`, `since_ms`, `until_ms` and `ids`; in a GET it is in
the query. A rule or an app that there is not is answered 404 (`unknown-rule`,
`unknown-app`). A dry run answers {"count", "sample", "until_ms", "push"} and changes nothing.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from bridge.console.api import PAGE, Accessible, answer, guarded, number, problem, who
from bridge.console.choosing import SAMPLE, UNCLEAR, Asked, asked, looked, sought
from bridge.console.naming import Naming
from bridge.console.views import advice
from bridge.console.views.waiting import Waiting, text
from bridge.journal import Journal
from bridge.journal.piles import Choice, DeadCount
from bridge.journal.records import Dead, Replayed

_NEVER = {
    "not-an-event": "What was sent is no event, so there is nothing to replay.",
    "key-forgotten": "It may have been sent, more than 30 days ago: OneSignal knows its key no more,"
    " and would send it again. Discard it.",
}
"""Why one is not replayed, whatever is done about it."""


class Replays(Protocol):
    @property
    def replayed(self) -> int: ...
    @property
    def no_events(self) -> int: ...
    @property
    def forgotten(self) -> int: ...


@dataclass(slots=True, kw_only=True)
class DeadApi:
    access: Accessible
    journal: Journal
    waiting: Waiting
    naming: Naming
    #: Put one dead operation back to work; the flag: with today's mapping. Here and below: who asks.
    replay: Callable[[int, bool, str], Awaitable[Replayed]]
    replay_all: Callable[[Choice, bool, str], Awaitable[Replays]]
    discard_all: Callable[[Choice, str], Awaitable[int]]

    def routes(self) -> list[Route]:
        look = partial(guarded, self.access, "view")
        act = partial(guarded, self.access, "operate")
        return [
            Route("/api/v1/dead", look(self._list), methods=["GET"]),
            Route("/api/v1/dead/replay", act(self._replay_all), methods=["POST"]),
            Route("/api/v1/dead/discard", act(self._discard), methods=["POST"]),
            # It shows what was sent, word for word.
            Route("/api/v1/dead/{id}", act(self._show), methods=["GET"]),
            Route("/api/v1/dead/{id}/replay", act(self._replay), methods=["POST"]),
        ]

    async def _list(self, request: Request) -> Response:
        query = dict(request.query_params)
        after = number(query.pop("after", "0"))
        if after is None:
            return problem(400, "after-invalid", "`after` is the id of a dead letter.")
        choice = await sought(query, self.naming)
        if isinstance(choice, Response):
            return choice
        letters = await self.journal.dead_letters(choice, after=after, limit=PAGE)
        counts = await self.journal.dead_counts(choice)
        return answer(
            {
                "dead": [summary(one) for one in letters],
                "next": letters[-1].id if len(letters) == PAGE else None,
                "counts": [_count_of(one) for one in counts],
                "advice": {
                    reason: advice.dead(reason)._asdict()
                    for reason in {one.reason: None for one in counts}
                },
            }
        )

    async def _show(self, request: Request) -> Response:
        dead_id = number(request.path_params["id"])
        dead = None if dead_id is None else await self.journal.dead_letter(dead_id)
        return _GONE if dead is None else answer(full(dead))

    async def _replay(self, request: Request) -> Response:
        wanted = await asked(request, self.naming, also=("replan",))
        if isinstance(wanted, Response):
            return wanted
        if wanted.choice != Choice() or wanted.dry_run:
            return UNCLEAR
        dead_id, replan = number(request.path_params["id"]), _replan(wanted)
        if replan is None:
            return UNCLEAR
        done = "not-dead" if dead_id is None else await self.replay(dead_id, replan, who(request))
        if done in _NEVER:
            return problem(409, done, _NEVER[done])
        return answer({"replayed": dead_id}) if done == "replayed" else _GONE

    async def _replay_all(self, request: Request) -> Response:
        wanted = await asked(request, self.naming, also=("replan",))
        if isinstance(wanted, Response):
            return wanted
        if (replan := _replan(wanted)) is None:
            return UNCLEAR
        if wanted.dry_run:
            return looked(await self.waiting.dead(wanted.choice, sample=SAMPLE), summary)
        done = await self.replay_all(wanted.choice, replan, who(request))
        return answer(
            {"replayed": done.replayed, "no_events": done.no_events, "forgotten": done.forgotten}
        )

    async def _discard(self, request: Request) -> Response:
        wanted = await asked(request, self.naming)
        if isinstance(wanted, Response):
            return wanted
        if wanted.dry_run:
            return looked(await self.waiting.dead(wanted.choice, sample=SAMPLE), summary)
        return answer({"discarded": await self.discard_all(wanted.choice, who(request))})


def _replan(wanted: Asked) -> bool | None:
    replan = wanted.rest.get("replan", False)
    return replan if isinstance(replan, bool) else None


def _count_of(one: DeadCount) -> dict[str, Any]:
    return {"reason": one.reason, "rule": one.rule, "count": one.many, "newest": one.newest}


def summary(dead: Dead) -> dict[str, Any]:
    """A dead letter without what was sent: safe for a list."""
    return {
        "id": dead.id,
        "reason": dead.reason,
        "rule": dead.rule,
        "operation": dead.operation,
        "app": dead.app,
        "source": dead.source,
        "message_id": dead.message_id,
        "event": dead.name,
        "http": dead.http,
        "attempts": dead.attempt,
        "died_ms": dead.died_ms,
    }


def full(dead: Dead) -> dict[str, Any]:
    """A dead letter with the event, the request and the answer."""
    return summary(dead) | {
        "payload": text(dead.payload),
        "request": text(dead.request),
        "answer": dead.answer,
        "uncertain": bool(dead.uncertain),
    }


_GONE = problem(404, "not-dead", "There is no dead letter of this id; it may have been replayed.")
