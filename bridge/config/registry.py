"""The device registry as it is configured: whose devices it keeps, and what proves who asks.

::

    BRIDGE_DEVICES_SECRET        userHash in the body
    BRIDGE_DEVICES_JWT_KEYS      a signed token, as Authorization: Bearer or in the cookie BRIDGE_DEVICES_COOKIE
    BRIDGE_DEVICES_SESSION_URL   the session of a website, which is asked whose it is
    BRIDGE_DEVICES_SERVER_KEYS   a server of the customer's, as X-Bridge-Token

Without any of the four there is no registry: nobody could prove to be anybody.
"""

from __future__ import annotations

import re
from base64 import b64decode
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Literal

from bridge.environment import PREFIX
from bridge.errors import Finding
from bridge.settings import Settings

LEAST_SECRET = 16
"""Characters: whoever sees one userHash can try shorter ones at home."""
LEAST_JWT_SECRET = 32
"""Bytes, of HMAC-SHA256 (RFC 7518, section 3.2)."""
_WAYS = ("devices_secret", "devices_jwt_keys", "devices_session_url", "devices_server_keys")
_COOKIE = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_HMAC = ("HS256", "HS384", "HS512")


@dataclass(frozen=True, slots=True, kw_only=True)
class JwtKey:
    """What a token is checked with, and by which algorithms: never by what the token says."""

    key: str
    algorithms: tuple[str, ...]

    def __repr__(self) -> str:
        return f"<JwtKey for {', '.join(self.algorithms)}>"


@dataclass(frozen=True, slots=True, kw_only=True)
class Registry:
    """Of one app."""

    app: str
    secret: bytes | None = None
    jwt_keys: tuple[JwtKey, ...] = ()
    jwt_claim: str = "sub"
    jwt_audience: str | None = None
    cookie: str | None = None
    session_url: str | None = None
    server_keys: tuple[bytes, ...] = ()
    origins: frozenset[str] = frozenset()
    of_another: Literal["move", "refuse", "share"] = "move"
    expire_ms: int = 0

    def __repr__(self) -> str:
        return f"<Registry of {self.app}>"


def is_configured(settings: Settings) -> bool:
    return any(getattr(settings, name) for name in _WAYS)


def registry_of(settings: Settings, apps: Collection[str]) -> Registry | None:
    """The registry, of settings that are taken to be right; None without one."""
    if not is_configured(settings):
        return None
    secret = settings.devices_secret
    return Registry(
        app=settings.devices_app or next(iter(apps)),
        secret=secret.get_secret_value().encode() if secret else None,
        jwt_keys=tuple(_jwt_key(key.get_secret_value()) for key in settings.devices_jwt_keys),
        jwt_claim=settings.devices_jwt_claim,
        jwt_audience=settings.devices_jwt_audience,
        cookie=settings.devices_cookie,
        session_url=settings.devices_session_url,
        server_keys=tuple(key.get_secret_value().encode() for key in settings.devices_server_keys),
        origins=frozenset(settings.devices_origins),
        of_another=settings.devices_of_another,
        expire_ms=settings.devices_expire // timedelta(milliseconds=1),
    )


def _jwt_key(text: str) -> JwtKey:
    # What looks like a public key is never a shared secret: anybody may know it.
    is_shared = not text.startswith("-----BEGIN")
    return JwtKey(key=text, algorithms=_HMAC if is_shared else _algorithms(text) or ())


def wrong_with(settings: Settings, apps: Collection[str]) -> list[Finding]:
    """Everything that is wrong with the settings of the registry."""
    return [*_of_app(settings, apps), *_of_secrets(settings), *_of_sessions(settings)]


def doubtful(settings: Settings) -> list[Finding]:
    """What is allowed, and worth knowing at every start."""
    found = []
    named = ("devices_origins", "devices_jwt_audience", "devices_app")
    if not is_configured(settings) and any(getattr(settings, name) for name in named):
        hint = f"set {PREFIX}DEVICES_SECRET, _JWT_KEYS, _SESSION_URL or _SERVER_KEYS"
        found.append(
            _warning(
                "devices-unproven", "no device is taken: nobody could prove to be anybody", hint
            )
        )
    url = settings.devices_session_url
    if url is not None and url.startswith("http://"):
        message = f"{PREFIX}DEVICES_SESSION_URL is http: session cookies go there in clear"
        found.append(
            _warning(
                "session-in-clear",
                message,
                "fine inside one machine or network of yours; else https",
            )
        )
    for origin in settings.devices_origins:
        if origin.startswith("http://"):
            message = f"{PREFIX}DEVICES_ORIGINS has {origin}: whoever is on its way can post as its visitors"
            found.append(
                _warning(
                    "origin-in-clear", message, "write https, except to try on your own machine"
                )
            )
    return found


def _warning(code: str, message: str, hint: str) -> Finding:
    return Finding(level="warning", code=code, message=message, hint=hint)


def _of_app(settings: Settings, apps: Collection[str]) -> Iterator[Finding]:
    app = settings.devices_app
    if app is not None and apps and app not in apps:
        yield _invalid("DEVICES_APP", f"there is no app {app}", f"there are {', '.join(apps)}")
    if app is None and len(apps) > 1 and is_configured(settings):
        yield Finding(
            code="app-undecided",
            message="there are several apps, and nothing says whose devices the registry keeps",
            hint=f"{PREFIX}DEVICES_APP={next(iter(apps))}",
        )


def _of_secrets(settings: Settings) -> Iterator[Finding]:
    secret = settings.devices_secret
    if secret is not None and len(secret.get_secret_value()) < LEAST_SECRET:
        yield _invalid("DEVICES_SECRET", f"it has less than {LEAST_SECRET} characters", _RANDOM)
    for key in settings.devices_server_keys:
        if len(key.get_secret_value()) < LEAST_SECRET:
            why = f"a key has less than {LEAST_SECRET} characters"
            yield _invalid("DEVICES_SERVER_KEYS", why, _RANDOM)
    for key in settings.devices_jwt_keys:
        yield from _of_jwt_key(key.get_secret_value())


_RANDOM = "openssl rand -hex 32 makes one"


def _of_jwt_key(text: str) -> Iterator[Finding]:
    if not text.startswith("-----BEGIN"):
        if _is_public(text):
            why = "one of them is a public key without its first and last line: anybody could sign with it"
            yield _invalid(
                "DEVICES_JWT_KEYS",
                why,
                "-----BEGIN PUBLIC KEY-----, the key, -----END PUBLIC KEY-----",
            )
        elif len(text.encode()) < LEAST_JWT_SECRET:
            why = f"a shared secret has less than {LEAST_JWT_SECRET} bytes"
            yield _invalid("DEVICES_JWT_KEYS", why, _RANDOM)
    elif _algorithms(text) is None:
        yield _invalid(
            "DEVICES_JWT_KEYS",
            "one of them is no public key in PEM (RSA, EC or Ed25519)",
            "-----BEGIN PUBLIC KEY-----; of a private key: openssl pkey -pubout",
        )


def _of_sessions(settings: Settings) -> Iterator[Finding]:
    url, cookie = settings.devices_session_url, settings.devices_cookie
    if url is not None and not url.startswith(("https://", "http://")):
        yield _invalid("DEVICES_SESSION_URL", "it is not an http address", None)
    if cookie is not None and _COOKIE.fullmatch(cookie) is None:
        yield _invalid("DEVICES_COOKIE", "no cookie can be called so", None)
    if cookie is not None and not settings.devices_jwt_keys:
        yield Finding(
            code="setting-missing",
            message=f"{PREFIX}DEVICES_COOKIE is set, and {PREFIX}DEVICES_JWT_KEYS is not",
            hint="set the key that its tokens are signed with; for a session's cookie, "
            f"{PREFIX}DEVICES_SESSION_URL",
        )


def _invalid(name: str, why: str, hint: str | None) -> Finding:
    return Finding(code="setting-invalid", message=f"{PREFIX}{name}: {why}", hint=hint)


def _algorithms(text: str) -> tuple[str, ...] | None:
    """What a public key in PEM is for; None when it is none. Its kind decides, and no token."""
    if not text.startswith("-----BEGIN PUBLIC KEY"):
        return None
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    try:
        key = load_pem_public_key(text.encode())
    except ValueError:
        return None
    match key:
        case rsa.RSAPublicKey():
            return ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512")
        case ec.EllipticCurvePublicKey():
            return _CURVES.get(key.curve.name)
        case ed25519.Ed25519PublicKey():
            return ("EdDSA",)
        case _:
            return None


def _is_public(text: str) -> bool:
    """Whether a text that is to be a secret is what everybody may know (as some consoles show it)."""
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.serialization import load_der_public_key

    try:
        load_der_public_key(b64decode(text, validate=True))
    except (ValueError, UnsupportedAlgorithm):
        return False
    return True


_CURVES = {"secp256r1": ("ES256",), "secp384r1": ("ES384",), "secp521r1": ("ES512",)}
