"""`/api/v1/pause`, `/api/v1/resume`: the brake, for people and scripts.

::

    GET  /api/v1/pause     what is paused: {"paused": [{"what", "reason", "since_ms"}]}
    POST /api/v1/pause     {"what": "pushes"} or {"what": "rule", "rule": NAME}
    POST /api/v1/resume    the same; 409 `not-paused` when it was not

A rule that there is not is answered 404 `unknown-rule`, with the names that are most like it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass
from typing import Any

import orjson
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from bridge.console.api import Accessible, answer, body_of, guarded, problem, who
from bridge.console.naming import none_such

PUSHES, RULE = "pushes", "rule"


@dataclass(slots=True, kw_only=True)
class BrakeApi:
    """The brake's routes; what is paused is `pushes` or `rule/NAME`."""

    access: Accessible
    paused: Callable[[], list[dict[str, Any]]]
    #: What, and who asks.
    pause: Callable[[str, str], Awaitable[object]]
    #: None: it was not paused.
    resume: Callable[[str, str], Awaitable[dict[str, Any] | None]]
    #: The rules of the mappings in force: a name that is none of them is a slip.
    rules: Callable[[], Collection[str]]

    def routes(self) -> list[Route]:
        return [
            Route("/api/v1/pause", guarded(self.access, "view", self._list), methods=["GET"]),
            Route("/api/v1/pause", guarded(self.access, "operate", self._pause), methods=["POST"]),
            Route(
                "/api/v1/resume", guarded(self.access, "operate", self._resume), methods=["POST"]
            ),
        ]

    async def _list(self, _: Request) -> Response:
        return answer({"paused": self.paused()})

    async def _pause(self, request: Request) -> Response:
        what = await _target(request)
        if isinstance(what, Response):
            return what
        rule, rules = _rule(what), self.rules()
        if rule is not None and (
            slip := none_such("rule", rule, rules, "no mapping in force has it")
        ):
            return slip.refusal()
        await self.pause(what, who(request))
        return answer({"paused": self.paused()})

    async def _resume(self, request: Request) -> Response:
        what = await _target(request)
        if isinstance(what, Response):
            return what
        resumed = await self.resume(what, who(request))
        if resumed is None:
            return self._not_paused(what)
        return answer({"paused": self.paused()} | resumed)

    def _not_paused(self, what: str) -> Response:
        rule, rules = _rule(what), self.rules()
        paused = {name for one in self.paused() if (name := _rule(one["what"])) is not None}
        why = "no mapping in force has it, and no such rule is paused"
        if rule is not None and (slip := none_such("rule", rule, {*rules, *paused}, why)):
            return slip.refusal()
        return problem(409, "not-paused", f"{what} is not paused.")


def _rule(what: str) -> str | None:
    """The rule that is meant; None: all pushes."""
    return None if what == PUSHES else what.partition("/")[2]


async def _target(request: Request) -> str | Response:
    """What a body names: `pushes`, or `rule/NAME`."""
    try:
        body = orjson.loads(await body_of(request) or b"")
    except orjson.JSONDecodeError:
        body = None
    if body == {"what": PUSHES}:
        return PUSHES
    if isinstance(body, dict) and body.keys() == {"what", "rule"} and body["what"] == RULE:
        rule = body["rule"]
        if isinstance(rule, str) and rule:
            return f"{RULE}/{rule}"
    return problem(400, "target-invalid", 'Send {"what": "pushes"} or {"what": "rule", "rule": …}.')
