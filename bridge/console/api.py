"""`/api/v1`: what all of the JSON API shares.

Every request carries the admin token; every error has one shape.
"""

from __future__ import annotations

import hmac
from collections.abc import Awaitable, Callable
from typing import Any

import orjson
from starlette.requests import Request
from starlette.responses import Response

PAGE = 100
"""How many of a pile are listed at once."""
_ID_DIGITS = 18
"""As many as any 64-bit number may have."""
Handler = Callable[[Request], Awaitable[Response]]


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


def number(text: str) -> int | None:
    """An id; None when it is none, or has more digits than any id."""
    return int(text) if text.isascii() and text.isdigit() and len(text) <= _ID_DIGITS else None


def answer(value: Any) -> Response:
    return Response(orjson.dumps(value), media_type="application/json")


def problem(status: int, code: str, message: str) -> Response:
    """The one shape of an error."""
    body = orjson.dumps({"code": code, "message": message})
    return Response(body, status_code=status, media_type="application/json")
