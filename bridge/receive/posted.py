"""What a page or an app says of its device: the body of a request to the device registry. Pure.

Median and GoNative hand pages an object `oneSignalInfo`, which they post as JSON, as a form, or (by a
common call of jQuery's) as a form that says it is JSON; what a body is, is read off the body. A device
that any of its fields calls an iPhone is one, whatever its `platform` says.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl
from uuid import UUID

import orjson

from bridge.receive.body import Rejected
from bridge.segment.device import KNOWN_PLATFORMS
from bridge.segment.ids import id_text

FIELDS = 100
LONGEST = 200
"""Characters of what is kept; a push token may have more, and is kept as a hash."""
TOKEN_LENGTH = 4096
_USERS = ("userId", "user_id", "external_id", "yourAppUserId")
_SUBSCRIPTIONS = ("oneSignalUserId", "subscription_id")
_DETAILS = (
    "appId", "appVersion", "distribution", "hardware", "language", "model", "os", "osVersion", "timeZone",
)  # fmt: skip
_APPLE = re.compile(r"\b(ios|ipados|iphone|ipad|ipod)", re.IGNORECASE)
_NOTHING = frozenset({"", "null", "undefined", "(null)", "nil"})
_ANSWERS = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}
_INSIDE = re.compile(r"(?:oneSignalInfo|info)\[([A-Za-z_]+)\]")


@dataclass(frozen=True, slots=True, kw_only=True)
class Posted:
    """What was said; of who says it nothing is believed yet."""

    user_id: str | None = field(default=None, repr=False)
    #: What is to prove that.
    user_hash: str | None = field(default=None, repr=False)
    #: None: it says nothing of a device.
    platform: str | None = None
    subscription_id: str | None = None
    installation: str | None = field(default=None, repr=False)
    token: str | None = field(default=None, repr=False)
    subscribed: bool = True
    #: A JSON object.
    details: str = "{}"


def read_posted(body: bytes) -> Posted | Rejected:
    """The body of a request, whatever it says that it is; an empty one says nothing."""
    fields = _fields(body.strip().removeprefix(b"\xef\xbb\xbf"))
    if isinstance(fields, Rejected):
        return fields
    wrong = [name for name, value in fields.items() if _is_known(name) and not _is_plain(value)]
    if wrong:
        return _bad("field-invalid", f"{wrong[0]} must be a text, a number, true or false.")
    return _posted(fields)


def _fields(body: bytes) -> dict[str, Any] | Rejected:
    if not body:
        return {}
    if body[:1] in b'{["':
        return _json(body)
    return _form(body)


def _json(body: bytes) -> dict[str, Any] | Rejected:
    try:
        said = orjson.loads(body)
    except orjson.JSONDecodeError:
        return _bad("not-json", "The body begins like JSON, and is none.")
    if not isinstance(said, dict):
        return _bad("not-an-object", 'The body must be an object: {"oneSignalUserId": …}.')
    inner = said.get("oneSignalInfo")
    return {**inner, **said} if isinstance(inner, dict) else said


def _form(body: bytes) -> dict[str, Any] | Rejected:
    try:
        pairs = parse_qsl(
            body.decode(), keep_blank_values=True, max_num_fields=FIELDS, errors="strict"
        )
    except ValueError:  # UnicodeDecodeError is one
        return _bad("not-a-form", "The body is neither JSON nor a form.")
    if not pairs:
        return _bad("not-a-form", "The body is neither JSON nor a form.")
    fields: dict[str, Any] = {}
    for name, value in pairs:
        inside = _INSIDE.fullmatch(name)
        key = inside[1] if inside else name
        if key in fields and _is_known(key):
            return _bad("field-twice", f"{key} is there twice.")
        fields[key] = value
    return fields


def _is_known(name: str) -> bool:
    return name in _KNOWN


def _is_plain(value: object) -> bool:
    return value is None or isinstance(value, str | bool | int | float)


_KNOWN = frozenset(
    {
        *_USERS,
        *_SUBSCRIPTIONS,
        *_DETAILS,
        "userHash",
        "platform",
        "oneSignalPushToken",
        "installationId",
    }
    | {"oneSignalSubscribed", "oneSignalRequiresUserPrivacyConsent"}
)


def _posted(fields: dict[str, Any]) -> Posted | Rejected:
    users = {text for name in _USERS if (text := _user(fields.get(name))) is not None}
    if len(users) > 1:
        return _bad("user-contradicts", f"{' and '.join(_USERS)} name different users.")
    texts = {name: text for name in _DETAILS if (text := _text(fields.get(name))) is not None}
    installation, token = (
        _text(fields.get("installationId")),
        _text(fields.get("oneSignalPushToken")),
    )
    long = [name for name, text in texts.items() if len(text) > LONGEST]
    if long or len(installation or "") > LONGEST or len(token or "") > TOKEN_LENGTH:
        named = long[0] if long else "installationId or oneSignalPushToken"
        return _bad("field-too-long", f"{named} is longer than a device would say it.")
    subscription = _subscription(fields)
    platform = _platform(fields, texts)
    for found in (subscription, platform):
        if isinstance(found, Rejected):
            return found
    subscribed = _answer(fields.get("oneSignalSubscribed"))
    declined = _answer(fields.get("oneSignalRequiresUserPrivacyConsent"))
    details: dict[str, Any] = dict(texts)
    if declined is not None:
        details["requiresConsent"] = declined
    return Posted(
        user_id=next(iter(users), None),
        user_hash=_text(fields.get("userHash")),
        platform=platform if isinstance(platform, str) else None,
        subscription_id=subscription if isinstance(subscription, str) else None,
        installation=installation,
        token=token,
        subscribed=subscribed is not False,
        details=orjson.dumps(details, option=orjson.OPT_SORT_KEYS).decode(),
    )


def _text(value: object) -> str | None:
    """What is said; what JavaScript and its forms make of nothing is nothing."""
    text = ("true" if value else "false") if isinstance(value, bool) else id_text(value)
    text = text.strip() if text else ""
    return None if text.lower() in _NOTHING else text


def _user(value: object) -> str | None:
    """An id to the letter, as events have it."""
    text = id_text(value)
    return None if text is None or text.strip().lower() in _NOTHING else text


def _subscription(fields: dict[str, Any]) -> str | Rejected | None:
    found = {text.lower() for name in _SUBSCRIPTIONS if (text := _text(fields.get(name)))}
    if not found:
        return None
    try:
        # Whatever is no UUID would make OneSignal refuse the whole push.
        ids = {str(UUID(text)) for text in found if len(text) == 36}
    except ValueError:
        ids = set()
    if len(ids) != 1 or len(found) != 1:
        return _bad(
            "subscription-id-invalid", "oneSignalUserId is not the id of a subscription: a UUID."
        )
    return ids.pop()


def _platform(fields: dict[str, Any], texts: dict[str, str]) -> str | Rejected | None:
    """None when nothing says that there is a device at all."""
    said = _text(fields.get("platform")) or texts.get("os")
    if said is None:
        return None
    known = KNOWN_PLATFORMS.get(said.lower())
    if known is None:
        names = ", ".join(sorted(set(KNOWN_PLATFORMS.values())))
        return _bad("platform-unknown", f"platform is one of {names}.")
    is_apple = any(_APPLE.search(texts.get(name, "")) for name in ("os", "model", "hardware"))
    if is_apple and known == "web":
        return "ios_web"
    return "ios" if is_apple else known


def _answer(value: object) -> bool | None:
    text = _text(value)
    return None if text is None else _ANSWERS.get(text.lower())


def _bad(code: str, message: str) -> Rejected:
    return Rejected(status=400, code=code, message=message)
