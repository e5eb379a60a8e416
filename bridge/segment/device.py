"""Which platform an event came from: the computed field `device.platform`.

Segment has no field for it. In order of trust: `context.device.type` (mobile libraries set it),
the name of the library, `context.os.name`, and a web page's address. The library counts before the
operating system, because a browser on a phone is the web, whatever it runs on.
[segment-docs connections/spec/common]
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

KNOWN_PLATFORMS = {
    "ios": "ios",
    "ipados": "ios",
    "iphone os": "ios",
    "iphone": "ios",
    "ipad": "ios",
    "android": "android",
    "huawei": "huawei",
    "harmonyos": "huawei",
    "amazon": "amazon",
    "fire os": "amazon",
    "web": "web",
    "browser": "web",
    "windows": "windows",
    "macos": "macos",
    "mac os x": "macos",
    "tvos": "tvos",
    "watchos": "watchos",
    "visionos": "visionos",
}
"""What senders call a platform, in small letters, and what it is called here."""

#: Libraries that run on one platform only. analytics-swift runs on all of Apple's.
_LIBRARIES = {
    "analytics.js": "web",
    "@segment/analytics-next": "web",
    "npm:next": "web",
    "analytics-ios": "ios",
    "analytics-android": "android",
    "analytics-kotlin": "android",
}


def platform_of(context: Mapping[str, Any]) -> str | None:
    """`ios`, `android`, `web`, `huawei`, `amazon`, `windows`, ...; None when nothing says."""
    return (
        KNOWN_PLATFORMS.get(_lower(context.get("device"), "type"))
        or _LIBRARIES.get(_lower(context.get("library"), "name"))
        or KNOWN_PLATFORMS.get(_lower(context.get("os"), "name"))
        or ("web" if _lower(context.get("page"), "url") else None)
    )


def _lower(value: object, name: str) -> str:
    if type(value) is not dict:
        return ""
    found = value.get(name)
    return found.lower() if type(found) is str else ""
