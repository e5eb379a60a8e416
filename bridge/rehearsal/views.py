"""What rules did, in the words of the mapping language: as `gives` writes it, and tables show it. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, assert_never

from bridge.mapping.document import EVENT
from bridge.onesignal.operations import (
    AddSubscription,
    CreateAlias,
    DeleteUser,
    MergeUsers,
    Operation,
    Recipient,
    RemoveSubscription,
    Send,
    SendNotification,
    SetContact,
    SetPushToken,
    TrackCustomEvent,
    UpdateUser,
)
from bridge.rehearsal.stage import Happening

Done = dict[str, dict[str, list[dict[str, Any]]]]
"""By rule and operation: every send, and what all updates of a person come to."""


def done(happenings: Iterable[Happening]) -> Done:
    """What each rule did. Of two values for one thing the one of the later event counts."""
    result: Done = {}
    for one in sorted(happenings, key=lambda one: one.event_ms):
        so_far = result.setdefault(one.rule or EVENT, {}).setdefault(one.operation.name, [])
        said = view(one.operation)
        if isinstance(one.operation, Send):
            so_far.append(said)
        else:
            _merge(so_far, said)
    return result


def _merge(so_far: list[dict[str, Any]], later: dict[str, Any]) -> None:
    """Put an update into what earlier ones of the same person come to."""
    for number, earlier in enumerate(so_far):
        if earlier["to"] == later["to"]:
            tags = {**earlier.get("tags", {}), **later.get("tags", {})}
            so_far[number] = earlier | later | ({"tags": tags} if tags else {})
            return
    so_far.append(later)


def view(operation: Operation) -> dict[str, Any]:
    """What one operation says, and to whom."""
    if isinstance(operation, SendNotification) and operation.devices is not None:
        return {**operation.body, **_image(operation.body), "to": {"devices": operation.to.id}}
    return {**_view(operation), "to": _to(operation.to)}


def _view(operation: Operation) -> dict[str, Any]:
    match operation:
        case UpdateUser() | SetContact() | SetPushToken():
            return _update(operation)
        case SendNotification(body=body, flags=flags):
            return {**body, **_image(body), **flags}
        case TrackCustomEvent(event=name, properties=properties):
            return {"name": name, "properties": dict(properties)}
        case CreateAlias(label=label, id=id_):
            return {"label": label, "id": id_}
        case AddSubscription(type=kind, token=token) | RemoveSubscription(type=kind, token=token):
            return {"type": kind, "token": token}
        case DeleteUser() | MergeUsers():
            return {}
        case _:
            assert_never(operation)


def _phone(said: SetPushToken) -> dict[str, Any]:
    values = {"token": said.token, "allowed": said.allowed, "test_type": said.test}
    told = {name: value for name, value in values.items() if value is not None}
    return {"type": said.type, **told, **({"logged_out": True} if said.leaves else {})}


_CALLED = {"timezone_id": "timezone"}
"""What the mapping language calls a property of OneSignal's."""
_CONTACT = {"Email": "email", "SMS": "phone"}


def _update(update: UpdateUser | SetContact | SetPushToken) -> dict[str, Any]:
    if isinstance(update, SetPushToken):
        return _phone(update)
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
