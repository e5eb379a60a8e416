"""`/api/v1/users/{external_id}`: erasing a user.

::

    DELETE /api/v1/users/u1            at OneSignal and here, in every app; 202: it is on disk, and will be done
    DELETE /api/v1/users/u1?app=shop   in this one

The answer does not wait for OneSignal. That it is done is a line `user.erased` in the log and in the
audit trail.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import orjson
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from bridge.console.api import Accessible, guarded, problem, who
from bridge.errors import JournalUnavailableError
from bridge.onesignal.operations import EXTERNAL_ID_LENGTH, is_blocked_external_id


@dataclass(slots=True, kw_only=True)
class UsersApi:
    access: Accessible
    apps: Callable[[], list[str]]
    #: Of an app, by external id; and who asks.
    erase: Callable[[str, str, str], Awaitable[None]]

    def routes(self) -> list[Route]:
        path = "/api/v1/users/{external_id:path}"
        return [Route(path, guarded(self.access, "admin", self._erase), methods=["DELETE"])]

    async def _erase(self, request: Request) -> Response:
        external_id, apps = request.path_params["external_id"], self.apps()
        if (asked := request.query_params.get("app")) is not None:
            if asked not in apps:
                return problem(404, "unknown-app", f"There are {', '.join(apps)}.")
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


def may_be_erased(external_id: str) -> bool:
    """Whether it is an id that a user of OneSignal's can have."""
    return 0 < len(external_id) <= EXTERNAL_ID_LENGTH and not is_blocked_external_id(external_id)
