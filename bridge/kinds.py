"""What may stand for a value in a setting or in `bridge.yaml`: each kind, and what it refuses. Pure."""

from __future__ import annotations

import re
from collections.abc import Collection
from datetime import timedelta
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr

_PLATFORMS = {"android", "web", "ios", "ios_web", "huawei", "amazon", "windows"}
_DURATION = re.compile(r"([0-9]+)([smhdw])")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 7 * 86_400}
_PEM = re.compile(r"-----BEGIN [A-Z ]+-----.*?-----END [A-Z ]+-----", re.DOTALL)
_ORIGIN = re.compile(r"https?://[a-z0-9.-]+(:[0-9]{1,5})?|https?://\[[0-9a-f:]+\](:[0-9]{1,5})?")


def _duration(value: object) -> object:
    """`3d`, `12h`, `0`: one number and one unit."""
    if not isinstance(value, str):
        return value
    text = value.strip()
    found = _DURATION.fullmatch(text)
    if found is None and text != "0":
        raise ValueError(f"{text!r} is not a time: write 3d, 12h, 90m or 0")
    return timedelta(seconds=int(found[1]) * _SECONDS[found[2]] if found else 0)


Duration = Annotated[timedelta, BeforeValidator(_duration), Field(ge=timedelta(0))]


def known_platforms(names: Collection[str]) -> Collection[str]:
    """The names themselves.

    Raises:
        ValueError: there are none, or some that OneSignal does not know.
    """
    unknown = sorted(set(names) - _PLATFORMS)
    if unknown or not names:
        named = ", ".join(unknown) or "nothing"
        raise ValueError(f"{named}: a platform is one of {', '.join(sorted(_PLATFORMS))}")
    return names


def is_private_address(url: str) -> bool:
    """Whether nobody on the way can read what is sent there, the address included."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    loopback = parts.hostname in {"127.0.0.1", "::1", "localhost"}
    return bool(parts.hostname) and (
        parts.scheme == "https" or (parts.scheme == "http" and loopback)
    )


def lines(text: str) -> tuple[str, ...]:
    """One a line, so that a secret may hold a comma or a blank."""
    return tuple(line.strip() for line in text.splitlines() if line.strip())


def _keys(value: object) -> object:
    """Public keys in PEM, one after another; or shared secrets, divided like other lists."""
    if not isinstance(value, str):
        return value
    return tuple(_PEM.findall(value)) or tuple(re.split(r"[,\s]+", value.strip()))


Keys = Annotated[tuple[SecretStr, ...], BeforeValidator(_keys)]


def _origins(origins: Collection[str]) -> Collection[str]:
    for one in origins:
        if _ORIGIN.fullmatch(one) is None:
            raise ValueError(f"{one!r} is not an origin: write https://www.shop.example, no path")
    return origins


Origins = Annotated[tuple[str, ...], AfterValidator(_origins)]


def droppable(paths: Collection[str]) -> Collection[str]:
    """The paths themselves.

    Raises:
        ValueError: one is no path, or names what makes an event an event.
    """
    for path in paths:
        parts = path.split(".")
        if not all(parts) or "[" in path:
            raise ValueError(f"{path!r} is not a path: write context.ip, traits.email")
        if parts[0] in {"type", "messageId"}:
            raise ValueError(f"{path}: without it nobody knows what was sent")
    return paths
