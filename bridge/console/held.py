"""`/api/v1/held`: what waits for a person, and what a person does with it.

::

    GET  /api/v1/held            {"counts": [{"app", "rule", "reason", "count"}], "held": [some of them]}
    POST /api/v1/held/release    {"rule"?, "reason"?}: they go, oldest first
    POST /api/v1/held/discard    the same: they end, unsent

`rule` and `reason` narrow all three; in a GET they are in the query, with `limit`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import orjson
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from bridge.console.api import answer, guarded, problem
from bridge.journal.sends import HeldSend

PAGE = 100
REASONS = ("limit", "paused")
Chosen = tuple[str | None, str | None]
"""Of which rule, and for which reason; None: any."""


@dataclass(slots=True, kw_only=True)
class HeldApi:
    token: bytes | None
    counts: Callable[[Chosen], Awaitable[Sequence[Counted]]]
    #: Some of them, oldest first.
    sample: Callable[[Chosen, int], Awaitable[list[HeldSend]]]
    release: Callable[[Chosen], Awaitable[int]]
    discard: Callable[[Chosen], Awaitable[int]]

    def routes(self) -> list[Route]:
        return [
            Route("/api/v1/held", guarded(self.token, self._list), methods=["GET"]),
            Route("/api/v1/held/release", guarded(self.token, self._release), methods=["POST"]),
            Route("/api/v1/held/discard", guarded(self.token, self._discard), methods=["POST"]),
        ]

    async def _list(self, request: Request) -> Response:
        query = dict(request.query_params)
        limit = query.pop("limit", str(PAGE))
        chosen = _chosen(query)
        if chosen is None or not (limit.isascii() and limit.isdigit()):
            return _UNCLEAR
        some = await self.sample(chosen, min(PAGE, int(limit[:9])))
        counts = [count_of(one) for one in await self.counts(chosen)]
        return answer({"counts": counts, "held": [summary(one) for one in some]})

    async def _release(self, request: Request) -> Response:
        chosen = _chosen(await _body(request))
        return _UNCLEAR if chosen is None else answer({"released": await self.release(chosen)})

    async def _discard(self, request: Request) -> Response:
        chosen = _chosen(await _body(request))
        return _UNCLEAR if chosen is None else answer({"discarded": await self.discard(chosen)})


async def _body(request: Request) -> Any:
    try:
        return orjson.loads(await request.body())
    except orjson.JSONDecodeError:
        return None


def _chosen(asked: Any) -> Chosen | None:
    """What was asked about; None when that is not clear: nothing is released by a slip."""
    if not isinstance(asked, dict) or asked.keys() - {"rule", "reason"}:
        return None
    rule, reason = asked.get("rule"), asked.get("reason")
    if not isinstance(rule, str | None) or reason not in {None, *REASONS}:
        return None
    return rule, reason


class Counted(Protocol):
    """Pushes that are held alike."""

    @property
    def app(self) -> str: ...
    @property
    def rule(self) -> str: ...
    @property
    def why(self) -> str: ...
    @property
    def count(self) -> int: ...


def count_of(counted: Counted) -> dict[str, Any]:
    return {
        "app": counted.app,
        "rule": counted.rule,
        "reason": counted.why,
        "count": counted.count,
    }


def summary(held: HeldSend) -> dict[str, Any]:
    """A held push without whom it is for: safe for a list."""
    return {
        "app": held.app,
        "rule": held.rule,
        "operation": held.operation,
        "reason": held.hold,
        "message_id": held.message_id,
        "event": held.name,
        "written_ms": held.created_ms,
    }


_UNCLEAR = problem(400, "choice-invalid", "`rule` is a name, `reason` is limit or paused.")
