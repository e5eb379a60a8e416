"""`/api/v1/audit`: who did what.

::

    GET /api/v1/audit?before=…    {"lines": [newest first], "next"}
"""

from __future__ import annotations

from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from bridge.console.api import Accessible, answer, guarded, number, person_of, problem
from bridge.console.views.audit import trail
from bridge.journal import Journal


@dataclass(slots=True, kw_only=True)
class AuditApi:
    access: Accessible
    journal: Journal

    def routes(self) -> list[Route]:
        return [Route("/api/v1/audit", guarded(self.access, "view", self._list), methods=["GET"])]

    async def _list(self, request: Request) -> Response:
        asked = request.query_params.get("before")
        before = None if asked is None else number(asked)
        if asked is not None and before is None:
            return problem(400, "before-invalid", "`before` is the number of a line.")
        hides = not person_of(request).may("operate")
        lines, older = await trail(self.journal, before, hides=hides)
        return answer({"lines": [line._asdict() for line in lines], "next": older})
