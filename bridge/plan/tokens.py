"""The push token that an event carries, as a step of its own: no rule is asked. Pure.

A phone without OneSignal's SDK is known to OneSignal by its push token alone, which Segment's mobile
libraries put into every event. Which tokens count, `push_tokens` of the mapping says.
"""

from __future__ import annotations

import re
from typing import Any

from bridge.mapping.fql import Condition
from bridge.mapping.rules import Mapping
from bridge.mapping.tokens import Tokens
from bridge.onesignal.api import USER_MODEL
from bridge.onesignal.operations import PushType, Recipient, SetPushToken
from bridge.plan.values import Skip
from bridge.segment.consent import subscribed
from bridge.segment.device import platform_of
from bridge.segment.events import Event
from bridge.segment.ids import id_text

TYPES: dict[str, PushType] = {"ios": "iOSPush", "android": "AndroidPush"}
_KINDS = {"iOSPush": "IOS_PUSH", "AndroidPush": "ANDROID_PUSH"}
_TOKEN = re.compile(r"[A-Za-z0-9_:=+/-]{8,4096}")
_DEVICE_LENGTH = 256


def carries_token(event: Event, mapping: Mapping) -> bool:
    """Whether it says something of its phone."""
    return mapping.tokens is not None and _said(event, mapping.tokens) is not None


def plan_token(event: Event, mapping: Mapping, user: Recipient) -> SetPushToken | Skip | None:
    """What the event says of its phone; None: nothing."""
    if mapping.tokens is None or (said := _said(event, mapping.tokens)) is None:
        return None
    if (skip := may_not_attach(event, mapping)) is not None:
        return skip
    kind, device, token, allowed, leaves = said
    if token is not None and _TOKEN.fullmatch(token) is None:
        return Skip("bad_token", operation=SetPushToken.name)
    return SetPushToken(
        to=user,
        type=kind,
        device=device,
        token=token,
        allowed=allowed,
        test=_test(event, kind, mapping.tokens),
        leaves=leaves,
    )


def may_not_attach(event: Event, mapping: Mapping) -> Skip | None:
    """Why nobody gets a device because of this event, though it names one."""
    if mapping.api != USER_MODEL.api:
        return Skip("legacy_api", operation=SetPushToken.name, detail="push_tokens")
    # Anybody can send as a client: another's pushes would come to a phone of theirs.
    clients = mapping.tokens.clients if mapping.tokens is not None else ()
    if mapping.trust != "client" or event.source in clients:
        return None
    return Skip("client_source", operation=SetPushToken.name, detail="push_tokens.clients")


_Said = tuple[PushType, str | None, str | None, bool | None, bool]


def _said(event: Event, tokens: Tokens) -> _Said | None:
    """Type, device, token, whether it takes pushes, and whether its user leaves it."""
    platform = platform_of(event.context)
    if platform is None or platform not in tokens.platforms:
        return None
    context = event.fields.get("context", {})
    device, kind = context.get("device"), TYPES[platform]
    token = _text(device, "token")
    allowed = _allowed(context, kind, token, event.fields, tokens)
    leaves = _meets(tokens.logged_out, event.fields)
    if token is None and allowed is not False and not leaves:
        return None
    known = _text(device, "id")
    named = known if known is not None and len(known) <= _DEVICE_LENGTH else None
    return None if token is None and named is None else (kind, named, token, allowed, leaves)


def _allowed(
    context: dict[str, Any],
    kind: PushType,
    token: str | None,
    fields: dict[str, Any],
    tokens: Tokens,
) -> bool | None:
    """No counts before yes, and silence is neither."""
    status = subscribed(context, _KINDS[kind], token)
    if status in {"UNSUBSCRIBED", "DID_NOT_SUBSCRIBE"} or _meets(tokens.withdrawn, fields):
        return False
    return True if status == "SUBSCRIBED" or _meets(tokens.granted, fields) else None


def _test(event: Event, kind: PushType, tokens: Tokens) -> int | None:
    if tokens.development is None or kind != "iOSPush":
        return None
    return int(tokens.development.test(event.fields))


def _meets(condition: Condition | None, fields: dict[str, Any]) -> bool:
    return condition is not None and condition.test(fields)


def _text(value: object, name: str) -> str | None:
    found = value.get(name) if type(value) is dict else None
    return id_text(found) if type(found) is str and found.strip() else None
