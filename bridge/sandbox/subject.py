"""Whom a request is about: for the limit per user, and for the record."""

from __future__ import annotations

from typing import Any

from bridge.sandbox.audience import BY_ALIAS, BY_EXTERNAL_ID, BY_ID
from bridge.sandbox.wire import EndpointClass, JsonObject, Request
from bridge.sandbox.world import EXTERNAL_ID, App, User

#: An alias label and an id; what tests and people know a user by.
Name = tuple[str, str]


def name_of(app: App, request: Request) -> Name | None:
    """The one user that a request names; None when it names none or several."""
    if request.endpoint_class is EndpointClass.SEND:
        return _addressee(request.body)
    if request.endpoint_class is EndpointClass.EVENT:
        return _of_events(request.body)
    return _in_path(app, request) or _in_identity(request.body)


def user_key(app: App, name: Name | None) -> str | None:
    """One key for one user, by whichever of its aliases a request names it."""
    if name is None:
        return None
    label, alias_id = name
    user = None if label == EXTERNAL_ID else app.find(label, alias_id)
    return f"{app.id}/{'/'.join(_best_name(user) if user else name)}"


def _best_name(user: User) -> Name:
    if user.external_id is not None:
        return EXTERNAL_ID, user.external_id
    return "onesignal_id", user.onesignal_id


def _in_path(app: App, request: Request) -> Name | None:
    params = request.params
    if "label" in params:
        return params["label"], params["id"]
    if "external_user_id" in params:
        return EXTERNAL_ID, params["external_user_id"]
    if "subscription_id" in params:
        subscription = app.subscriptions.get(params["subscription_id"])
    else:
        token = params.get("token_type", ""), params.get("token", "")
        subscription = app.by_token.get(token)
    return _best_name(subscription.owner) if subscription else None


def _in_identity(body: Any) -> Name | None:
    identity = body.get("identity") if isinstance(body, dict) else None
    if not isinstance(identity, dict) or not identity:
        return None
    label = EXTERNAL_ID if EXTERNAL_ID in identity else next(iter(identity))
    return label, str(identity[label])


def _addressee(body: Any) -> Name | None:
    if not isinstance(body, dict):
        return None
    names = [*_aliases(body), *_listed(body, BY_EXTERNAL_ID, EXTERNAL_ID)]
    for method in BY_ID:
        names += _listed(body, method, "subscription_id")
    return names[0] if len(names) == 1 else None


def _aliases(body: JsonObject) -> list[Name]:
    aliases = body.get(BY_ALIAS)
    if not isinstance(aliases, dict):
        return []
    return [name for label in aliases for name in _listed(aliases, label, label)]


def _listed(holder: JsonObject, key: str, label: str) -> list[Name]:
    """At most two names: whoever asks only wants to know whether there is exactly one."""
    ids = holder.get(key)
    return [(label, str(each)) for each in ids[:2]] if isinstance(ids, list) else []


def _of_events(body: Any) -> Name | None:
    events = body.get("events") if isinstance(body, dict) else None
    if not isinstance(events, list) or len(events) != 1 or not isinstance(events[0], dict):
        return None
    label = EXTERNAL_ID if EXTERNAL_ID in events[0] else "onesignal_id"
    return (label, str(events[0][label])) if label in events[0] else None
