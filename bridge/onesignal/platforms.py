"""Which phones a notification may reach, as OneSignal's platform flags.

A mapping says a *policy* over the platforms that the app serves; a policy compiles to flags::

    app serves          policy                 flags sent
    android web         exclude [ios]          isIos:false isAndroid isChromeWeb isFirefox
    android web ios     exclude [ios]          isIos:false isAndroid isChromeWeb isFirefox
    android web ios     all                    isIos isAndroid isAnyWeb
    android web         all                    isIos:false isAndroid isChromeWeb isFirefox
    android web ios     only [ios]             isIos
    android web ios     exclude [ios_web]      isIos isAndroid isChromeWeb isFirefox
    android             exclude [ios android]  (nobody: an error, never an empty list)

Three facts decide the shape (documentation.onesignal.com/reference/create-message, and what was
observed of it): one true flag switches all platforms without a flag off; `isIos:false` *alone* is
not documented and may reach every iPhone; `isAnyWeb` and `isSafari` reach web apps on an iPhone's
home screen. So the flags are always an explicit allow-list, `isIos:false` only says the intent
aloud beside it, and the Safari flags are set only where `ios_web` is allowed.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

import orjson

PLATFORMS = ("android", "ios", "web", "ios_web", "huawei", "amazon", "windows")
"""Every platform a policy may name. `web` is a browser anywhere but on an iPhone's home screen;
`ios_web` is a web app there, and belongs to iOS unless it is named."""

_FLAG = {
    "ios": "isIos",
    "android": "isAndroid",
    "huawei": "isHuawei",
    "amazon": "isAdm",
    "windows": "isWP_WNS",
}
IOS = frozenset({"ios", "ios_web"})
FLAGS = frozenset(
    {*_FLAG.values(), "isAnyWeb", "isChromeWeb", "isFirefox", "isSafari", "isChrome", "isWP"}
)
"""Every platform flag of the API; no mapping may set one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """`all`, `only` these platforms, or all but these (`exclude`)."""

    kind: Literal["all", "only", "exclude"]
    names: frozenset[str] = frozenset()
    #: What keeps a push to it: OneSignal's flags, or naming the devices that it may reach.
    by: Literal["flags", "devices"] = "flags"
    #: By devices: what becomes of somebody of whom none is registered.
    unknown: Literal["skip", "flags"] = "skip"

    def __str__(self) -> str:
        if self.kind == "all":
            return "all platforms"
        names = ", ".join(sorted(self.names))
        by = ", by registered devices" if self.by == "devices" else ""
        return f"only {names}{by}" if self.kind == "only" else f"all but {names}{by}"


def allowed(policy: Policy, serves: Collection[str]) -> frozenset[str]:
    """The platforms that `policy` leaves of those the app serves.

    Home-screen web apps go with iPhones: where `ios` is served, so is `ios_web` (if `web` is), and
    excluding `ios` excludes both, as does not serving it.
    """
    served = set(serves)
    if {"ios", "web"} <= served:
        served.add("ios_web")
    match policy.kind:
        case "all":
            return frozenset(served)
        case "only":
            return frozenset(served & policy.names)
        case "exclude":
            out = policy.names | ({"ios_web"} if "ios" in policy.names else set())
            return frozenset(served - out)


def meant(policy: Policy) -> frozenset[str]:
    """The platforms that whoever wrote `policy` surely means; of `all`, iPhones above all."""
    if policy.kind == "only":
        return policy.names - {"ios_web"}
    return frozenset({"ios"}) if policy.kind == "all" else frozenset()


def flags(platforms: Iterable[str]) -> dict[str, bool]:
    """The allow-list for `platforms`, with `isIos:false` said aloud where iOS is out.

    Raises:
        ValueError: no platform is left; a notification without a flag would reach everyone.
    """
    allow = set(platforms)
    chosen = {_FLAG[name]: True for name in PLATFORMS if name in allow and name in _FLAG}
    chosen |= _web_flags(allow)
    if not chosen:
        raise ValueError("no platform is left to send to")
    return chosen if "ios" in allow else {"isIos": False, **chosen}


def excludes_ios(body: bytes) -> bool:
    """Whether a notification was sent with iOS excluded by its flags."""
    # The cheap question first: this is asked of every notification.
    if b'"isIos":false' not in body:
        return False
    sent = orjson.loads(body)
    return isinstance(sent, dict) and sent.get("isIos") is False


def said_of(flags: Mapping[str, bool]) -> list[str]:
    """The platforms that an allow-list names, in words of a policy."""
    web = {"isAnyWeb", "isChromeWeb", "isFirefox"} & {name for name, on in flags.items() if on}
    return [
        name
        for name in PLATFORMS
        if flags.get(_FLAG.get(name, ""))
        or (name == "web" and web)
        or (name == "ios_web" and flags.get("isAnyWeb"))
    ]


def _web_flags(allow: set[str]) -> dict[str, bool]:
    if {"web", "ios_web"} <= allow:
        return {"isAnyWeb": True}
    if "web" in allow:
        return {"isChromeWeb": True, "isFirefox": True}
    # No flag means "only web apps on a home screen": alone, ios_web adds nothing.
    return {}
