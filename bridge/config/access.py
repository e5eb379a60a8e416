"""Who may do what with a running bridge: names, roles, and what proves them. Pure.

::

    BRIDGE_ADMIN_TOKEN          one person, `admin`, who may do everything
    BRIDGE_ADMIN_TOKENS_FILE    a line each: name, role, token; `-` for a token: known to the proxy alone
    BRIDGE_SSO_HEADER           a proxy in front has asked who it is, and says so in this header

A role may do what those before it may: `view` looks, with values of people masked; `operate` sees them,
pauses, releases and replays; `admin` erases people, too.
"""

from __future__ import annotations

import hmac
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, get_args

from bridge.errors import Finding
from bridge.settings import Settings

Role = Literal["view", "operate", "admin"]
ROLES: tuple[Role, ...] = get_args(Role)
ADMIN = "admin"
"""The name of whoever shows BRIDGE_ADMIN_TOKEN."""
NO_TOKEN = "-"  # noqa: S105 — says that there is none
LEAST_TOKEN = 16
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@+-]{0,99}")
_LINE = "write a line for each person: ada operate TOKEN"


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody who looks after the bridge."""

    name: str
    role: Role

    def may(self, role: Role) -> bool:
        return ROLES.index(self.role) >= ROLES.index(role)


@dataclass(frozen=True, slots=True)
class Key:
    """A person, and the token that is proof of being that person; None: only the proxy knows."""

    person: Person
    token: bytes | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    keys: tuple[Key, ...] = ()
    #: In small letters; None: no proxy is believed.
    sso_header: str | None = None
    #: Where that proxy asks from.
    sso_from: frozenset[str] = frozenset()
    #: Of people whom no line names; None: they may not come in.
    sso_role: Role | None = None

    @property
    def has_tokens(self) -> bool:
        return any(key.token is not None for key in self.keys)

    def shown(self, token: bytes) -> Key | None:
        """Whose token it is; all are compared, whichever it is."""
        found = None
        for key in self.keys:
            if hmac.compare_digest(token, key.token or b"") and key.token is not None:
                found = key
        return found

    def named(self, name: str) -> Key | None:
        return next((key for key in self.keys if key.person.name == name), None)

    def introduced(self, name: str, peer: str) -> Person | None:
        """Who the proxy says it is; None when that is not to be believed, or nobody we know."""
        if self.sso_header is None or peer not in self.sso_from or _NAME.fullmatch(name) is None:
            return None
        key = self.named(name)
        if key is not None:
            return key.person
        return None if self.sso_role is None else Person(name, self.sso_role)


def access_of(settings: Settings) -> Access:
    """What the settings say, which are right: see `findings_of`."""
    keys = [_key(line.get_secret_value()) for line in settings.admin_tokens]
    if settings.admin_token is not None:
        token = settings.admin_token.get_secret_value().encode()
        keys.insert(0, Key(Person(ADMIN, "admin"), token))
    role = settings.sso_role
    return Access(
        keys=tuple(keys),
        sso_header=settings.sso_header and settings.sso_header.lower(),
        sso_from=frozenset(settings.sso_from),
        sso_role=None if role == "none" else role,
    )


def _key(line: str) -> Key:
    name, role, token = line.split(maxsplit=2)
    found = next(one for one in ROLES if one == role)
    return Key(Person(name, found), None if token == NO_TOKEN else token.strip().encode())


def findings_of(settings: Settings) -> Iterator[Finding]:
    """Everything that is wrong with who may come in; no word of it holds a token."""
    lines = [line.get_secret_value().split(maxsplit=2) for line in settings.admin_tokens]
    for number, parts in enumerate(lines, 1):
        if (why := _wrong(parts)) is not None:
            yield _finding("admin-tokens-invalid", f"entry {number} of {_SETTING}: {why}", _LINE)
    whole = [parts for parts in lines if len(parts) == 3]
    names = Counter([ADMIN] * (settings.admin_token is not None) + [parts[0] for parts in whole])
    tokens = Counter(parts[2] for parts in whole if parts[2] != NO_TOKEN)
    for name in (name for name, often in names.items() if often > 1):
        yield _finding("admin-tokens-twice", f"{_SETTING} names {name} twice", _LINE)
    if any(often > 1 for often in tokens.values()):
        message = f"{_SETTING} gives two people one token: nobody could tell who did what"
        yield _finding("admin-tokens-twice", message, "give each a token of its own")


_SETTING = "BRIDGE_ADMIN_TOKENS"


def _wrong(parts: list[str]) -> str | None:
    if len(parts) != 3:
        return "it is not a name, a role and a token"
    name, role, token = parts
    if _NAME.fullmatch(name) is None:
        return "the name holds more than letters, digits and . _ @ + -"
    if role not in ROLES:
        return f"{name} is neither {', '.join(ROLES[:-1])} nor {ROLES[-1]}"
    if token != NO_TOKEN and len(token) < LEAST_TOKEN:
        return f"the token of {name} has fewer than {LEAST_TOKEN} characters"
    return None


def _finding(code: str, message: str, hint: str) -> Finding:
    return Finding(code=code, message=message, hint=hint)
