"""Which device a subscription stands for, and which devices a notification's flags leave in.

The flag algebra is the pessimistic reading of OneSignal's documentation, so that a client that
relies on anything undocumented is caught here and not by a customer's phone::

    no flag set                      every platform
    one or more true                 those alone
    only false                       every platform: a false alone does nothing
    isAnyWeb true, isFirefox false   the group without the one
    isIos true, isAndroid false      iOS; the false is harmless

`isAnyWeb` reaches home-screen web apps on iPhones (a web subscription); `isSafari` does not.
No flag names macOS. (reference/push-notification of OneSignal's API, server SDK 5.12.)
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class Platform(StrEnum):
    IOS = "ios"
    ANDROID = "android"
    HUAWEI = "huawei"
    AMAZON = "amazon"
    WEB_CHROME = "web-chrome"
    WEB_FIREFOX = "web-firefox"
    WEB_SAFARI = "web-safari"
    IOS_WEB = "ios-web"
    WINDOWS = "windows"
    MACOS = "macos"


BROWSERS: Final = frozenset(
    {Platform.WEB_CHROME, Platform.WEB_FIREFOX, Platform.WEB_SAFARI, Platform.IOS_WEB}
)
"""Where a tap leads to `web_url`; everywhere else it is `app_url`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Make:
    """How OneSignal describes a device of one platform.

    `stats` is the platform's key in a notification's `platform_delivery_stats`.
    """

    type: str
    device_os: str
    device_model: str
    stats: str


MAKES: Final[Mapping[Platform, Make]] = {
    Platform.IOS: Make(type="iOSPush", device_os="17.5", device_model="iPhone15,4", stats="ios"),
    Platform.ANDROID: Make(
        type="AndroidPush", device_os="14", device_model="Pixel 8", stats="android"
    ),
    Platform.HUAWEI: Make(
        type="HuaweiPush", device_os="12", device_model="P60 Pro", stats="huawei"
    ),
    Platform.AMAZON: Make(
        type="FireOSPush", device_os="11", device_model="Fire HD 10", stats="amazon"
    ),
    Platform.WEB_CHROME: Make(
        type="ChromePush", device_os="126", device_model="Linux x86_64", stats="chrome_web_push"
    ),
    Platform.WEB_FIREFOX: Make(
        type="FirefoxPush", device_os="127", device_model="Linux x86_64", stats="firefox_web_push"
    ),
    Platform.WEB_SAFARI: Make(
        type="SafariPush", device_os="17", device_model="MacIntel", stats="safari_web_push"
    ),
    Platform.IOS_WEB: Make(
        type="SafariPush", device_os="iOS", device_model="iPhone", stats="safari_web_push"
    ),
    Platform.WINDOWS: Make(type="WindowsPush", device_os="11", device_model="PC", stats="windows"),
    Platform.MACOS: Make(type="macOSPush", device_os="14", device_model="Mac15,3", stats="macos"),
}

EVERYWHERE: Final = frozenset(Platform)
WEB: Final = frozenset(
    {Platform.WEB_CHROME, Platform.WEB_FIREFOX, Platform.WEB_SAFARI, Platform.IOS_WEB}
)

ANY_WEB: Final = "isAnyWeb"
OWN_FLAG: Final[Mapping[Platform, str]] = {
    Platform.IOS: "isIos",
    Platform.ANDROID: "isAndroid",
    Platform.HUAWEI: "isHuawei",
    Platform.AMAZON: "isAdm",
    Platform.WEB_CHROME: "isChromeWeb",
    Platform.WEB_FIREFOX: "isFirefox",
    Platform.WEB_SAFARI: "isSafari",
    Platform.WINDOWS: "isWP_WNS",
}
#: `isChrome` means Chrome apps and extensions, which nobody here owns.
FLAGS: Final = frozenset({*OWN_FLAG.values(), ANY_WEB, "isChrome"})

_PLATFORM_OF_TYPE: Final[Mapping[str, Platform]] = {
    **{make.type: platform for platform, make in MAKES.items() if platform != Platform.IOS_WEB},
    "SafariLegacyPush": Platform.WEB_SAFARI,
}
SUBSCRIPTION_TYPES: Final = frozenset({*_PLATFORM_OF_TYPE, "ChromeExtensionPush", "Email", "SMS"})
_APPLE_HANDHELDS: Final = ("ios", "ipados", "iphone", "ipad", "ipod")


def platform_of(subscription_type: str, device_os: str, device_model: str) -> Platform | None:
    """The platform of a push subscription; None for e-mail, SMS and Chrome extensions."""
    if subscription_type == "SafariPush" and (
        device_os.lower().startswith(_APPLE_HANDHELDS)
        or device_model.lower().startswith(_APPLE_HANDHELDS)
    ):
        return Platform.IOS_WEB
    return _PLATFORM_OF_TYPE.get(subscription_type)


def platforms_reached(flags: Mapping[str, bool]) -> frozenset[Platform]:
    """The platforms that a notification with these flags goes to."""
    if not any(flags.values()):
        return EVERYWHERE
    return frozenset(platform for platform in Platform if _is_on(platform, flags))


def _is_on(platform: Platform, flags: Mapping[str, bool]) -> bool:
    own = flags.get(OWN_FLAG.get(platform, ""))
    if own is not None:
        return own
    return platform in WEB and flags.get(ANY_WEB, False)
