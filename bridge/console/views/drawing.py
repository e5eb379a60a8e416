"""A push as a phone shows it, and who gets it in words: from the body of a request. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

PUSH: Final = "send_notification"
_PICTURES: Final = ("big_picture", "chrome_web_image", "huawei_big_picture", "adm_big_picture")
_LINKS: Final = ("app_url", "web_url", "url")
_NAMES: Final = (
    (("isAndroid",), "Android"),
    (("isIos",), "iPhone"),
    (("isAnyWeb",), "the web, on iPhones' home screens too"),
    (("isChromeWeb", "isFirefox"), "the web"),
    (("isHuawei",), "Huawei"),
    (("isAdm",), "Amazon"),
    (("isWP_WNS",), "Windows"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawn:
    title: str | None
    subtitle: str | None
    text: str | None
    #: Other languages of it: code and text.
    languages: tuple[tuple[str, str], ...] = ()
    picture: str | None = None
    link: str | None = None
    buttons: tuple[str, ...] = ()
    template: str | None = None
    platforms: str | None = None


def drawn(body: dict[str, Any]) -> Drawn:
    """What a notification's body looks like."""
    return Drawn(
        title=_main(body.get("headings")),
        subtitle=_main(body.get("subtitle")),
        text=_main(body.get("contents")),
        languages=_others(body.get("contents")),
        picture=_picture(body),
        link=_first(body, _LINKS),
        buttons=_buttons(body),
        template=_text(body.get("template_id")),
        platforms=platforms(body),
    )


def platforms(body: dict[str, Any]) -> str | None:
    """Whom the flags let it reach; None: it has none."""
    reached = [name for names, name in _NAMES if any(body.get(one) is True for one in names)]
    if not reached:
        return "one device that is named" if "include_subscription_ids" in body else None
    without = "; not iPhones, because Segment pushes there" if body.get("isIos") is False else ""
    return listed(reached) + without


def listed(names: Sequence[str]) -> str:
    """`Android, Huawei and the web`."""
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None


def _main(texts: Any) -> str | None:
    """What is shown to who speaks none of the others."""
    if not isinstance(texts, dict):
        return _text(texts)
    return _text(texts.get("en")) or next((one for one in map(_text, texts.values()) if one), None)


def _others(texts: Any) -> tuple[tuple[str, str], ...]:
    if not isinstance(texts, dict):
        return ()
    return tuple((code, text) for code, text in texts.items() if code != "en" and _text(text))


def _first(body: dict[str, Any], names: Sequence[str]) -> str | None:
    return next((found for name in names if (found := _text(body.get(name)))), None)


def _picture(body: dict[str, Any]) -> str | None:
    found = _first(body, _PICTURES)
    attachments = body.get("ios_attachments")
    if found is None and isinstance(attachments, dict):
        return next((one for one in map(_text, attachments.values()) if one), None)
    return found


def _buttons(body: dict[str, Any]) -> tuple[str, ...]:
    buttons = body.get("buttons") or body.get("web_buttons") or ()
    if not isinstance(buttons, list | tuple):
        return ()
    return tuple(str(one.get("text") or one.get("id")) for one in buttons if isinstance(one, dict))
