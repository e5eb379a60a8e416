"""What OneSignal takes as a tag, a language, a time zone and a country; pure text in, text out.

Sources: documentation.onesignal.com/docs/add-user-data-tags (text only, `[A-Za-z0-9_]`, restricted
keys), /docs/multi-language-messaging (ISO 639-1, and two of Chinese).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache

RESERVED = frozenset(
    {
        "message", "notification", "subscription", "user", "template", "app", "org",
        "dynamic_content", "data_feed", "journey", "custom_data",
    }
)  # fmt: skip
LIST_LENGTH = 255
_ILLEGAL = re.compile(r"[^A-Za-z0-9_]")
_ZONE = re.compile(r"UTC|[A-Za-z][A-Za-z_]+(?:/[A-Za-z0-9_+-]+){1,2}")
_TRADITIONAL = {"hant", "tw", "hk", "mo"}


@lru_cache(maxsize=4096)
def tag_name(name: str) -> str:
    """A legal name: other characters become `_`, and a reserved name gets one appended."""
    legal = _ILLEGAL.sub("_", name)
    return f"{legal}_" if legal.lower() in RESERVED else legal


@lru_cache(maxsize=1024)
def language_code(locale: str) -> str | None:
    """`de-AT` is `de`; Chinese is `zh-Hans` or `zh-Hant`; None for what is no language."""
    parts = [part for part in re.split(r"[-_.@]", locale.strip().lower()) if part]
    if not parts or not re.fullmatch(r"[a-z]{2}", parts[0]):
        return None
    if parts[0] == "zh":
        return "zh-Hant" if _TRADITIONAL & set(parts[1:]) else "zh-Hans"
    return parts[0]


def country_code(text: str) -> str | None:
    """Two letters, upper case (ISO 3166-1); None for anything else."""
    code = text.strip()
    return code.upper() if re.fullmatch(r"[A-Za-z]{2}", code) else None


def timezone_name(text: str) -> str | None:
    """An IANA name as it is; None for what is none."""
    return text if _ZONE.fullmatch(text) else None


NORMAL: dict[str, Callable[[str], str | None]] = {
    "language": language_code,
    "timezone_id": timezone_name,
    "country": country_code,
}
"""A user's properties in OneSignal's form; None is what OneSignal would not take."""
