"""What somebody is shown who may look, and not see what customers are called or say. Pure.

Shapes stay: which fields there are, of which kind of event, what OneSignal was asked and how it
answered. Values go.
"""

from __future__ import annotations

import re
from typing import Any

HIDDEN = "•••"
_KEPT = frozenset(
    {
        "type", "event", "messageId", "message_id", "timestamp", "receivedAt", "sentAt", "originalTimestamp",
        "channel", "version", "app_id", "target_channel", "isIos", "isAndroid", "isAnyWeb", "isHuawei", "isAdm",
        "isWP_WNS", "isSafari", "isChromeWeb", "isFirefox", "isChrome", "idempotency_key",
    }
)  # fmt: skip
"""Names at the top whose values are nobody's: an event's, and a request's."""
_OF_SOMEBODY = re.compile(r"(/by/[^/?]+|/subscriptions|/users|/players)/(?!by/)[^/?]+")


def hidden(value: Any) -> Any:
    """A JSON value without what it says of anybody."""
    if isinstance(value, dict):
        return {name: one if name in _KEPT else hidden_below(one) for name, one in value.items()}
    return hidden_below(value)


def hidden_below(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: hidden_below(one) for name, one in value.items()}
    if isinstance(value, list):
        return [hidden_below(one) for one in value]
    return None if value is None else HIDDEN


def hidden_path(path: str) -> str:
    """The path of a request, without whom it is about."""
    return _OF_SOMEBODY.sub(rf"\1/{HIDDEN}", path)


def hidden_story(story: dict[str, Any]) -> dict[str, Any]:
    """A story as JSON; its words were written without values, see `Around.hides`."""
    return story | {
        "payload": hidden(story["payload"]),
        "operations": [_operation(one) for one in story["operations"]],
        "calls": [_call(one) for one in story["calls"]],
    }


def _operation(told: dict[str, Any]) -> dict[str, Any]:
    return told | {"planned": _request(told["planned"]), "detail": None}


def _request(request: dict[str, Any] | None) -> dict[str, Any] | None:
    if request is None:
        return None
    return request | {"path": hidden_path(request["path"]), "body": hidden(request["body"])}


def _call(call: dict[str, Any]) -> dict[str, Any]:
    return _request(call | {"answer": hidden(call["answer"])}) or call
