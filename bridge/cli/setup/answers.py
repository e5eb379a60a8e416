"""The five answers, and what each has to look like; a wrong one is a ValueError that says why."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal, cast
from urllib.parse import urlsplit

from bridge.config.document import is_app_id
from bridge.mapping.load import presets

Kind = Literal["server", "client", "engage"]
Iphones = Literal["segment", "onesignal", "nobody"]
KINDS: tuple[Kind, ...] = ("server", "client", "engage")
IPHONES: tuple[Iphones, ...] = ("segment", "onesignal", "nobody")
PLANS = ("free", "growth", "professional", "enterprise", "unknown")
DEFAULT_SOURCE = "default"

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")
_KEY = re.compile(r"[A-Za-z0-9+/=_.-]{12,}")
_LOOPBACK = {"localhost", "127.0.0.1", "::1"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """Who posts: a server, an app or browser whose write key anyone can read, or an Engage space."""

    name: str
    kind: Kind
    #: The shipped mapping that was asked for by its name; None: tags alone, as the kind is.
    preset: str | None = None

    @property
    def has_pushes(self) -> bool:
        """Whether its mapping may push from the first event on."""
        return self.preset not in {None, "starter"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Answers:
    url: str
    app_id: str
    api_key: str
    plan: str
    iphones: Iphones
    sources: tuple[Source, ...]

    @property
    def is_simple(self) -> bool:
        """Settings alone say it; otherwise there is a `bridge.yaml`."""
        (first, *more) = self.sources
        return not more and first.name == DEFAULT_SOURCE and first.kind != "client"

    @property
    def has_pushes(self) -> bool:
        return any(source.has_pushes for source in self.sources)

    @property
    def excludes_iphones(self) -> bool:
        return self.iphones != "onesignal"

    @property
    def platforms(self) -> tuple[str, ...]:
        return ("android", "web") if self.excludes_iphones else ("android", "ios", "web")


def public_url(text: str) -> str:
    """An https address without a path's end; http only for this machine."""
    url = text.strip().rstrip("/")
    try:
        parts = urlsplit(url)
    except ValueError:
        parts = urlsplit("")
    host = parts.hostname
    if not host or parts.query or parts.fragment or parts.username:
        raise ValueError("write it as https://bridge.shop.example")
    if parts.scheme != "https" and not (parts.scheme == "http" and host in _LOOPBACK):
        raise ValueError("it begins with https://, with a certificate that is not self-signed")
    return url


def app_id(text: str) -> str:
    if not is_app_id(text.strip()):
        raise ValueError("an app id is 8-4-4-4-12 hexadecimal digits: Settings > Keys & IDs")
    return text.strip()


def api_key(text: str) -> str:
    if _KEY.fullmatch(text.strip()) is None:
        raise ValueError(
            "an app API key is one word of 12 letters or more: Settings > Keys & IDs > Add Key"
        )
    return text.strip()


def plan(text: str) -> str:
    return _one_of(text, PLANS)


def iphones(text: str) -> Iphones:
    return cast("Iphones", _one_of(text, IPHONES))


def sources(text: str) -> tuple[Source, ...]:
    """`backend, web:client, space:engage, shop:ecommerce`: names, each with what it is unless it is a server.

    Beside a kind or in its place stands the shipped mapping to begin with.
    """
    found = tuple(_source(part) for part in re.split(r"[,\s]+", text) if part)
    names = [source.name for source in found]
    if not found:
        raise ValueError("name one at least")
    if len(set(names)) < len(names):
        raise ValueError("two sources have the same name")
    return found


def _source(text: str) -> Source:
    name, *words = text.split(":")
    if _NAME.fullmatch(name) is None:
        raise ValueError(f"{name or text}: a name is letters, digits, `_`, `-` and `.`")
    shipped = presets()
    said = [_one_of(word, (*KINDS, *shipped)) for word in words]
    kinds, chosen = [one for one in said if one in KINDS], [one for one in said if one in shipped]
    if len(kinds) > 1 or len(chosen) > 1:
        raise ValueError(f"{text}: a source is of one kind, and has one mapping")
    kind = kinds[0] if kinds else "server"
    found = Source(name=name, kind=kind, preset=chosen[0] if chosen else None)
    if kind == "client" and found.has_pushes:
        raise ValueError(
            f"{text}: {found.preset} pushes, and what a browser or an app sends, anybody can send. Write "
            f"{name}:{found.preset} if you accept that, or {name}:client and add rules that name the source"
        )
    return found


def _one_of(text: str, names: tuple[str, ...]) -> str:
    chosen = text.strip().lower()
    if chosen not in names:
        raise ValueError(f"{text.strip() or 'nothing'}: it is one of {', '.join(names)}")
    return chosen
