"""What rules did, in the words of the mapping language: as `gives` writes it, and tables show it. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from bridge.onesignal.operations import (
    AddSubscription,
    CreateAlias,
    Operation,
    Recipient,
    RemoveSubscription,
    Send,
    SendNotification,
    SetContact,
    TrackCustomEvent,
    UpdateUser,
)
from bridge.plan.stage import Happening

Done = dict[str, dict[str, list[dict[str, Any]]]]
"""By rule and operation: every send, and the one thing that all updates come to."""


def done(happenings: Iterable[Happening]) -> Done:
    """What each rule did. Of two values for one thing the one of the later event counts."""
    result: Done = {}
    for one in sorted(happenings, key=lambda one: one.event_ms):
        so_far = result.setdefault(one.rule, {}).setdefault(one.operation.name, [])
        if isinstance(one.operation, Send) or not so_far:
            so_far.append(view(one.operation))
        else:
            so_far[0] = _merged(so_far[0], view(one.operation))
    return result


def _merged(earlier: dict[str, Any], later: dict[str, Any]) -> dict[str, Any]:
    tags = {**earlier.get("tags", {}), **later.get("tags", {})}
    return earlier | later | ({"tags": tags} if tags else {})


def view(operation: Operation) -> dict[str, Any]:
    """What one operation says."""
    match operation:
        case UpdateUser() | SetContact():
            return _update(operation)
        case SendNotification(to=to, body=body, flags=flags):
            return {**body, **_image(body), **flags, "to": _to(to)}
        case TrackCustomEvent(to=to, event=name, properties=properties):
            return {"name": name, "properties": dict(properties), "to": _to(to)}
        case CreateAlias(label=label, id=id_):
            return {label: id_}
        case AddSubscription(type=kind, token=token) | RemoveSubscription(type=kind, token=token):
            return {"type": kind, "token": token}
        case _:
            return {}


_CALLED = {"timezone_id": "timezone"}
"""What the mapping language calls a property of OneSignal's."""
_CONTACT = {"Email": "email", "SMS": "phone"}


def _update(update: UpdateUser | SetContact) -> dict[str, Any]:
    if isinstance(update, SetContact):
        said = {} if update.opted_in is None else {"opted_in": update.opted_in}
        return {_CONTACT[update.type]: {"address": update.address, **said}}
    named = {_CALLED.get(name, name): value for name, value in update.properties.items()}
    return {"tags": dict(update.tags), **named}


_PICTURES = ("big_picture", "huawei_big_picture", "adm_big_picture", "chrome_web_image")


def _image(body: dict[str, Any]) -> dict[str, Any]:
    """The one picture that all fields of pictures show, which a mapping writes as `image`."""
    shown = [body[name] for name in _PICTURES if name in body]
    shown += list((body.get("ios_attachments") or {}).values())
    return {"image": shown[0]} if shown and all(one == shown[0] for one in shown) else {}


def _to(to: Recipient) -> dict[str, Any]:
    if to.label in {"external_id", "subscription_id"}:
        return {to.label: to.id}
    return {"alias": {to.label: to.id}}
