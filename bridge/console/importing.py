"""`POST /api/v1/import`: rows of an import, as identify events in a JSON array.

::

    200 {"accepted": 498, "duplicates": 2, "rejected": [], "pending": 1730}
    429 import-full                     2,000 rows wait; the same request may come again at once

The answer waits for room, so whoever sends one request after the other is as fast as OneSignal lets it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from bridge.console.api import Accessible, answer, body_of, guarded, problem

MOST_BYTES = 8_000_000


class Refusal(NamedTuple):
    """Why nothing of a request was kept."""

    status: int
    code: str
    message: str
    retry_after: int | None = None


Imported = dict[str, Any] | Refusal


@dataclass(slots=True, kw_only=True)
class ImportApi:
    access: Accessible
    #: Keep the events of a JSON array, when there is room.
    take: Callable[[bytes], Awaitable[Imported]]

    def routes(self) -> list[Route]:
        handler = guarded(self.access, "admin", self._import)
        return [Route("/api/v1/import", handler, methods=["POST"])]

    async def _import(self, request: Request) -> Response:
        body = await body_of(request, longest=MOST_BYTES)
        if body is None:
            return problem(413, "too-large", f"A request holds at most {MOST_BYTES} bytes.")
        taken = await self.take(body)
        if not isinstance(taken, Refusal):
            return answer(taken)
        refused = problem(taken.status, taken.code, taken.message)
        if taken.retry_after is not None:
            refused.headers["retry-after"] = str(taken.retry_after)
        return refused
