"""Who asks something of the device registry: what each way proves, at its edges."""

from __future__ import annotations

import hmac
from typing import Any

import jwt
import pytest

from bridge.config.registry import JwtKey, Registry
from bridge.receive.body import Headers, Rejected
from bridge.receive.caller import headers_of, user_of
from bridge.receive.posted import Posted

NOW = 1_800_000_000
KEY, SECRET = "k" * 32, b"s" * 16
REGISTRY = Registry(
    app="shop",
    secret=SECRET,
    jwt_keys=(JwtKey(key=KEY, algorithms=("HS256",)),),
    cookie="session",
    server_keys=(b"old-server-key", b"new-server-key"),
)
WITH_SESSIONS = Registry(app="shop", secret=SECRET, session_url="https://shop.example/me")
DOWN = Rejected(status=503, code="session-unavailable", message="")
NOBODYS = Rejected(status=401, code="session-refused", message="")


async def nobody(_: Headers) -> str | Rejected:
    raise AssertionError("nobody is asked")


async def who(
    headers: Headers, *, registry: Registry = REGISTRY, ask: Any = nobody, **posted: Any
) -> str | None:
    found = await user_of(registry, headers, Posted(**posted), ask, now_ms=NOW * 1000)
    return found.code if isinstance(found, Rejected) else found


def bearer(**claims: Any) -> Headers:
    token = jwt.encode({"sub": "u1", "exp": NOW + 60} | claims, KEY, algorithm="HS256")
    return {b"authorization": b"Bearer " + token.encode()}


def hash_of(user: str) -> str:
    return hmac.digest(SECRET, user.encode(), "sha256").hex()


@pytest.mark.parametrize("key", REGISTRY.server_keys)
async def test_every_server_key_is_good(key: bytes) -> None:
    assert await who({b"x-bridge-token": key}, user_id="u1") == "u1"
    assert await who({b"x-bridge-token": key}) is None
    assert await who({b"x-bridge-token": key[:-1]}, user_id="u1") == "server-key-wrong"


@pytest.mark.parametrize(
    ("claims", "said"),
    [
        ({"exp": NOW + 1}, "u1"), ({"exp": NOW + 0.5}, "u1"), ({"exp": NOW}, "token-expired"),
        ({"exp": None}, "token-without-end"), ({"exp": True}, "token-without-end"),
        ({"exp": "2099"}, "token-without-end"), ({"exp": float("inf")}, "token-without-end"),
        ({"exp": 10**400}, "token-without-end"),
        ({"nbf": NOW + 60}, "u1"), ({"nbf": NOW + 61}, "token-not-yet"), ({"nbf": "soon"}, "token-not-yet"),
        ({"nbf": None}, "u1"), ({"iat": NOW + 999}, "u1"), ({"sub": 7}, "7"), ({"sub": ""}, "token-without-user"),
        ({"sub": "null"}, "user-invalid"), ({"sub": "x" * 513}, "user-invalid"),
    ],
    ids=str,
)  # fmt: skip
async def test_a_token_counts_from_its_beginning_to_its_end(
    claims: dict[str, Any], said: str
) -> None:
    assert await who(bearer(**claims)) == said


async def test_a_hash_is_hex_in_either_case_and_of_the_user_that_is_named() -> None:
    for shown in (hash_of("u1"), hash_of("u1").upper()):
        assert await who({}, user_id="u1", user_hash=shown) == "u1"
        assert await who({}, user_id="u2", user_hash=shown) == "hash-wrong"
        assert await who({}, user_hash=shown) == "hash-wrong"


async def test_whoever_is_proven_speaks_of_nobody_else() -> None:
    assert await who(bearer(), user_id="u1") == "u1"
    assert await who(bearer(), user_id="u2") == "another-user"


async def test_a_session_that_cannot_be_asked_about_is_no_proof_against_anybody() -> None:
    cookie = {b"cookie": b"id=1"}

    async def down(_: Headers) -> str | Rejected:
        return DOWN

    async def refused(_: Headers) -> str | Rejected:
        return NOBODYS

    async def known(_: Headers) -> str | Rejected:
        return "u1"

    asked: dict[str, Any] = {"registry": WITH_SESSIONS, "user_id": "u1"}
    assert await who(cookie, ask=down, user_hash="wrong", **asked) == "session-unavailable"
    assert await who(cookie, ask=refused, user_hash="wrong", **asked) == "hash-wrong"
    assert await who(cookie, ask=refused, **asked) == "session-refused"
    assert await who(cookie, ask=known, user_hash="wrong", **asked) == "u1"
    assert await who({}, ask=known, **asked) == "no-credentials"


async def test_of_two_cookies_of_one_name_neither_counts() -> None:
    token = bearer()[b"authorization"][7:]
    assert await who({b"cookie": b"a=1; session=" + token}) == "u1"
    assert await who({b"cookie": b'session="' + token + b'"'}) == "u1"
    assert await who({b"cookie": b"session=x; session=" + token}) == "cookie-twice"


def test_headers_are_looked_at_whole() -> None:
    cookies = [(b"cookie", b"a=1"), (b"cookie", b"b=2")]
    assert headers_of(cookies) == {b"cookie": b"a=1; b=2"}
    for name in (b"origin", b"authorization", b"x-bridge-token"):
        twice = headers_of([(name, b"x"), (name, b"x")])
        assert isinstance(twice, Rejected)
        assert (twice.status, twice.code) == (400, "header-twice")
