"""`/api/v1`: what all of the JSON API shares.

Every request carries a token, which says who asks and what they may do; every error has one shape.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import orjson
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from bridge.config.access import Access, Person, Role
from bridge.telemetry import log

PAGE = 100
"""How many of a pile are listed at once."""
LONGEST_BODY = 1_000_000
"""Of what is asked: an act on a pile may name every id of a page, many times over."""
_ID_DIGITS = 18
"""As many as any 64-bit number may have."""
_LATEST_MS = 10**15
Handler = Callable[[Request], Awaitable[Response]]
Accessible = Callable[[], Access]
"""Who may do what, as of now."""


def guarded(access: Accessible, role: Role, handler: Handler) -> Handler:
    """A handler that answers only who shows the token of somebody of this role."""

    async def checked(request: Request) -> Response:
        known = access()
        if not known.has_tokens:
            return problem(403, "admin-token-unset", "Set BRIDGE_ADMIN_TOKEN to use the API.")
        offered = request.headers.get("authorization", "").removeprefix("Bearer ").strip()
        key = known.shown(offered.encode("latin-1", "replace"))
        if key is None:
            log().warning("api.refused", reason="token-wrong")
            return problem(401, "token-wrong", "Send Authorization: Bearer and the admin token.")
        if not key.person.may(role):
            return not_yours(key.person, role)
        request.state.person = key.person
        return await handler(request)

    return checked


def not_yours(person: Person, role: Role) -> Response:
    return problem(403, "role-insufficient", f"{person.name} may not: it takes {role}.")


def person_of(request: Request) -> Person:
    """Who asks; of a request that a guard has let through."""
    person: Person = request.state.person
    return person


def who(request: Request) -> str:
    return person_of(request).name


def number(text: str) -> int | None:
    """An id; None when it is none, or has more digits than any id."""
    return int(text) if text.isascii() and text.isdigit() and len(text) <= _ID_DIGITS else None


def moment(text: str) -> int | None:
    """Milliseconds since 1970; None when it is no time that anybody means."""
    found = number(text)
    return found if found is not None and found <= _LATEST_MS else None


async def body_of(request: Request, *, longest: int = LONGEST_BODY) -> bytes | None:
    """All of a request's body; None of one that is too long, or that its sender did not finish."""
    body = bytearray()
    try:
        async for part in request.stream():
            body += part
            if len(body) > longest:
                return None
    except ClientDisconnect:
        return None
    return bytes(body)


def answer(value: Any) -> Response:
    return Response(orjson.dumps(value), media_type="application/json")


def problem(status: int, code: str, message: str) -> Response:
    """The one shape of an error."""
    body = orjson.dumps({"code": code, "message": message})
    return Response(body, status_code=status, media_type="application/json")
