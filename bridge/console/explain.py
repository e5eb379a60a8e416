"""`/api/v1/explain`: what became of a user's newest events, or of one message.

::

    GET /api/v1/explain?user=ID&limit=20     {"events": [newest first], "more": …, "erased": […]}
    GET /api/v1/explain?message_id=ID        the same, of every source that it came through

`erased` says when the user was erased; who may only look hears nothing of it.
"""

from __future__ import annotations

from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from bridge.console.api import Accessible, answer, guarded, person_of, problem
from bridge.console.views.events import Events
from bridge.explain.answer import NEWEST


@dataclass(slots=True, kw_only=True)
class ExplainApi:
    access: Accessible
    events: Events

    def routes(self) -> list[Route]:
        explain = guarded(self.access, "view", self._explain)
        return [Route("/api/v1/explain", explain, methods=["GET"])]

    async def _explain(self, request: Request) -> Response:
        query = request.query_params
        user, message_id = query.get("user"), query.get("message_id")
        limit = query.get("limit", str(NEWEST))
        if bool(user) is bool(message_id) or not (limit.isascii() and limit.isdigit()):
            return _UNCLEAR
        told = await self.events.told(
            user or None,
            message_id or None,
            max(1, int(limit[:9])),
            hides=not person_of(request).may("operate"),
        )
        return answer(told)


_UNCLEAR = problem(400, "choice-invalid", "Name `user` or `message_id`; `limit` is a number.")
