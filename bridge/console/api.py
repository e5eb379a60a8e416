"""`/api/v1`: the JSON API. Every request carries the admin token; every error has one shape."""

from __future__ import annotations

import hmac
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import orjson
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from bridge.journal import Journal
from bridge.journal.records import Dead, Replayed
from bridge.segment import raw_json

PAGE = 100
_ID_DIGITS = 18
"""As many as any 64-bit number may have."""
Handler = Callable[[Request], Awaitable[Response]]


@dataclass(slots=True, kw_only=True)
class Api:
    """The routes of the JSON API over a journal."""

    journal: Journal
    #: Put one dead operation back to work.
    replay: Callable[[int], Awaitable[tuple[Replayed, Dead | None]]]
    #: None: no admin token is configured, and the API answers nobody.
    token: bytes | None
    #: Told of every user whose operation was put back to work: the app, and the hash.
    revived: Callable[[str, int], None]

    def routes(self) -> list[Route]:
        return [
            Route("/api/v1/dead", self._guard(self._list), methods=["GET"]),
            Route("/api/v1/dead/{id}", self._guard(self._show), methods=["GET"]),
            Route("/api/v1/dead/{id}/replay", self._guard(self._replay), methods=["POST"]),
        ]

    def _guard(self, handler: Handler) -> Handler:
        return guarded(self.token, handler)

    async def _list(self, request: Request) -> Response:
        query = request.query_params
        after = _number(query.get("after", "0"))
        if after is None:
            return problem(400, "after-invalid", "`after` is the id of a dead letter.")
        letters = await self.journal.dead_letters(
            after=after, limit=PAGE, reason=query.get("reason"), rule=query.get("rule")
        )
        counts = await self.journal.dead_counts()
        return answer(
            {
                "dead": [summary(one) for one in letters],
                "next": letters[-1].id if len(letters) == PAGE else None,
                "counts": [{"reason": r, "rule": rule, "count": n} for r, rule, n in counts],
            }
        )

    async def _show(self, request: Request) -> Response:
        dead_id = _number(request.path_params["id"])
        dead = None if dead_id is None else await self.journal.dead_letter(dead_id)
        return _GONE if dead is None else answer(full(dead))

    async def _replay(self, request: Request) -> Response:
        dead_id = _number(request.path_params["id"])
        if dead_id is None:
            return _GONE
        done, dead = await self.replay(dead_id)
        match done:
            case "replayed":
                if dead is not None:
                    await self._wake(dead)
                return answer({"replayed": dead_id})
            case "not-dead":
                return _GONE
            case "not-an-event":
                return problem(
                    409, "not-an-event", "What was sent is no event, so there is nothing to replay."
                )

    async def _wake(self, dead: Dead) -> None:
        user = await self.journal.user_of(dead.seq)
        if user is not None:
            self.revived(*user)


def guarded(token: bytes | None, handler: Handler) -> Handler:
    """A handler that answers only who shows the admin token."""

    async def checked(request: Request) -> Response:
        if token is None:
            return problem(403, "admin-token-unset", "Set BRIDGE_ADMIN_TOKEN to use the API.")
        offered = request.headers.get("authorization", "").removeprefix("Bearer ").strip()
        if not hmac.compare_digest(offered.encode("latin-1", "replace"), token):
            return problem(401, "token-wrong", "Send Authorization: Bearer and the admin token.")
        return await handler(request)

    return checked


def _number(text: str) -> int | None:
    """An id; None when it is none, or has more digits than any id."""
    return int(text) if text.isascii() and text.isdigit() and len(text) <= _ID_DIGITS else None


def summary(dead: Dead) -> dict[str, Any]:
    """A dead letter without what was sent: safe for a list."""
    return {
        "id": dead.id,
        "reason": dead.reason,
        "rule": dead.rule,
        "operation": dead.operation,
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
        "payload": _text(dead.payload),
        "request": _text(dead.request),
        "answer": dead.answer,
        "uncertain": bool(dead.uncertain),
    }


def _text(body: bytes | None) -> Any:
    if body is None:
        return None
    try:
        # What nests too deep can be read, and not be written again.
        return body.decode() if raw_json.is_too_deep(body) else orjson.loads(body)
    except ValueError:
        return body.decode("utf-8", "replace")


def answer(value: Any) -> Response:
    return Response(orjson.dumps(value), media_type="application/json")


def problem(status: int, code: str, message: str) -> Response:
    """The one shape of an error."""
    body = orjson.dumps({"code": code, "message": message})
    return Response(body, status_code=status, media_type="application/json")


_GONE = problem(404, "not-dead", "There is no dead letter of this id; it may have been replayed.")
