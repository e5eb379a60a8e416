"""Who asks something of the device registry: what each of four ways proves, as a table.

::

    way                                   proves
    X-Bridge-Token: a server key          a server of the customer's: it may name any user
    a signed token, as Authorization:     the user that the token names, until it expires
      Bearer or in a cookie
    userHash with a userId                that user
    cookies or Authorization of a         the user that the customer's session endpoint names
      session

The first that proves something counts. A server must name a user; whoever else names another than
the one who is proven is refused. What is wrong is said of the first way that was tried.
"""

from __future__ import annotations

import hmac
from collections.abc import Awaitable, Callable, Iterable, Iterator
from dataclasses import dataclass
from math import isfinite
from typing import Any

import jwt

from bridge.config.registry import Registry
from bridge.plan.targets import unaddressable
from bridge.receive.body import Headers, Rejected, header
from bridge.receive.posted import Posted
from bridge.segment.ids import id_text

TOKEN_LENGTH = 8192
CLOCKS_DIFFER_SECONDS = 60
"""Of a token that is not valid yet; one that has expired, has."""


def _unproven(code: str, message: str) -> Rejected:
    return Rejected(status=401, code=code, message=message)


NO_CREDENTIALS = _unproven(
    "no-credentials",
    "Nothing says who asks: send userHash with userId, a signed token, a session's cookies, or a server key.",
)
SERVER_KEY_WRONG = _unproven("server-key-wrong", "X-Bridge-Token is not a server key.")
HASH_WRONG = _unproven(
    "hash-wrong", "userHash is not the hex HMAC-SHA256 of the userId in the same request."
)
TOKEN_EXPIRED = _unproven("token-expired", "The signed token has expired.")
TOKEN_WRONG = _unproven(
    "token-wrong", "The signed token is none, or its signature, algorithm or audience is not ours."
)
TOKEN_WITHOUT_END = _unproven(
    "token-without-end", "The signed token has no `exp`, so it never ends."
)
TOKEN_NOT_YET = _unproven("token-not-yet", "The signed token is not valid yet.")
TOKEN_WITHOUT_USER = _unproven(
    "token-without-user", "The signed token names no user (BRIDGE_DEVICES_JWT_CLAIM)."
)
COOKIE_TWICE = _unproven("cookie-twice", "The cookie of the signed token is there twice.")
HEADER_TWICE = Rejected(
    status=400,
    code="header-twice",
    message="Origin, Authorization and X-Bridge-Token may each be there once.",
)
ANOTHER_USER = Rejected(
    status=403, code="another-user", message="The body names another user than the one who asks."
)
USER_MISSING = Rejected(
    status=400, code="user-missing", message="A server says whose device it is: send userId."
)
USER_INVALID = Rejected(
    status=400, code="user-invalid", message="OneSignal takes no such id for a user."
)


@dataclass(frozen=True, slots=True)
class Server:
    """A server of the customer's."""


_ONCE = frozenset({b"origin", b"authorization", b"x-bridge-token"})


def headers_of(sent: Iterable[tuple[bytes, bytes]]) -> Headers | Rejected:
    """A request's headers; whatever shows who asks, and from where, is looked at whole.

    A proxy may have divided cookies among several lines (RFC 9113, section 8.2.3).
    """
    headers: Headers = {}
    for name, value in sent:
        if name in headers and name in _ONCE:
            return HEADER_TWICE
        if name in headers and name == b"cookie":
            headers[name] += b"; " + value
        else:
            headers[name] = value
    return headers


Asking = Callable[[Headers], Awaitable[str | Rejected]]
"""Asks the customer's session endpoint whose session it is."""


async def user_of(
    registry: Registry, headers: Headers, posted: Posted, ask: Asking, *, now_ms: int
) -> str | Rejected | None:
    """The user whom a request is about; None: a server names nobody, which may be right."""
    proven = await _proven(registry, headers, posted, ask, now_ms)
    if isinstance(proven, Rejected):
        return proven
    if isinstance(proven, Server):
        found = posted.user_id
    else:
        if posted.user_id not in {None, proven}:
            return ANOTHER_USER
        found = proven
    return USER_INVALID if found is not None and unaddressable(found) else found


async def _proven(
    registry: Registry, headers: Headers, posted: Posted, ask: Asking, now_ms: int
) -> str | Server | Rejected:
    wrong: list[Rejected] = []
    for tried in _tries(registry, headers, posted, now_ms):
        if not isinstance(tried, Rejected):
            return tried
        wrong.append(tried)
    if registry.session_url is not None and _has_session(headers):
        answer = await ask(headers)
        if isinstance(answer, str) or answer.status == 503:
            return answer
        wrong.append(answer)
    return wrong[0] if wrong else NO_CREDENTIALS


def _tries(
    registry: Registry, headers: Headers, posted: Posted, now_ms: int
) -> Iterator[str | Server | Rejected]:
    """What each way that was taken proves."""
    offered = headers.get(b"x-bridge-token")
    if offered is not None:
        right = [hmac.compare_digest(offered, key) for key in registry.server_keys]
        yield Server() if any(right) else SERVER_KEY_WRONG
    if registry.jwt_keys:
        yield from _tokens_users(registry, headers, now_ms)
    if registry.secret is not None and posted.user_hash is not None:
        yield _hashed_user(posted, registry.secret)


def _has_session(headers: Headers) -> bool:
    return b"cookie" in headers or b"authorization" in headers


def _hashed_user(posted: Posted, secret: bytes) -> str | Rejected:
    if posted.user_id is None:
        return HASH_WRONG
    right = hmac.new(secret, posted.user_id.encode("utf-8", "surrogatepass"), "sha256").hexdigest()
    offered = (posted.user_hash or "").lower().encode("utf-8", "replace")
    return posted.user_id if hmac.compare_digest(offered, right.encode()) else HASH_WRONG


# Signed tokens --------------------------------------------------------------------------------------


def _tokens_users(registry: Registry, headers: Headers, now_ms: int) -> Iterator[str | Rejected]:
    bearer = header(headers, b"authorization")
    if bearer[:7].lower() == "bearer ":
        yield _token_user(bearer[7:].strip(), registry, now_ms)
    found = _cookies(header(headers, b"cookie"), registry.cookie or "")
    if len(found) == 1:
        yield _token_user(found[0], registry, now_ms)
    elif found:
        # Another page of the domain may have put its own beside ours.
        yield COOKIE_TWICE


def _cookies(text: str, name: str) -> list[str]:
    pairs = (part.partition("=") for part in text.split(";"))
    return [value.strip().strip('"') for key, is_, value in pairs if is_ and key.strip() == name]


def _token_user(token: str, registry: Registry, now_ms: int) -> str | Rejected:
    claims = _claims(token, registry)
    if isinstance(claims, Rejected):
        return claims
    if (untimely := _untimely(claims, now_ms / 1000)) is not None:
        return untimely
    return id_text(claims.get(registry.jwt_claim)) or TOKEN_WITHOUT_USER


def _claims(token: str, registry: Registry) -> dict[str, Any] | Rejected:
    if len(token) > TOKEN_LENGTH:
        return TOKEN_WRONG
    for key in registry.jwt_keys:
        try:
            return jwt.decode(
                token,
                key.key,
                # By the kind of the key, never by what the token says; `none` is in no list.
                algorithms=list(key.algorithms),
                audience=registry.jwt_audience,
                # What time it is, the clock says: see `_untimely`. A user's id may be a number.
                options={
                    "verify_exp": False,
                    "verify_nbf": False,
                    "verify_iat": False,
                    "verify_sub": False,
                    "verify_jti": False,
                },
            )
        except (jwt.PyJWTError, ValueError, TypeError, RecursionError):
            continue
    return TOKEN_WRONG


def _untimely(claims: dict[str, Any], now: float) -> Rejected | None:
    """A token that never ends is as good as a password in the open, so it counts for nothing."""
    ends, begins = _time(claims.get("exp")), claims.get("nbf")
    if ends is None:
        return TOKEN_WITHOUT_END
    if now >= ends:
        return TOKEN_EXPIRED
    begun = 0.0 if begins is None else _time(begins)
    return None if begun is not None and now >= begun - CLOCKS_DIFFER_SECONDS else TOKEN_NOT_YET


def _time(value: object) -> float | None:
    """Seconds since 1970; None of what is no number, or never over."""
    if not isinstance(value, int | float) or isinstance(value, bool):
        return None
    try:
        return float(value) if isfinite(value) else None
    except OverflowError:
        return None  # a whole number beyond any
