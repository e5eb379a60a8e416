"""Operations as requests of OneSignal's user model (`ONESIGNAL_API=user-model`).

Paths and bodies: documentation.onesignal.com/reference/update-user, /create-user, /create-alias,
/create-subscription, /update-subscription-by-token, /delete-user, /create-message and
/create-custom-events.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final, Literal, assert_never
from urllib.parse import quote

import orjson
from pydantic import JsonValue

from bridge.onesignal.operations import (
    SUBSCRIPTION_ID,
    Able,
    AddSubscription,
    CreateAlias,
    DeleteUser,
    MergeUsers,
    Method,
    Operation,
    Recipient,
    RemoveSubscription,
    Request,
    Send,
    SendNotification,
    SetContact,
    SetPushToken,
    TrackCustomEvent,
    Update,
    UpdateUser,
)

NAME: Final = "user-model"
HAS_USERS: Final = True
"""They are created, and deleted, by it."""
NOTIFICATIONS_PATH = "/notifications"
RECIPIENTS = 20_000
"""Of one call, by its newest description; the older ones say 2,000 (reference/create-message)."""
PROPERTIES_PER_REQUEST = 100
"""Property updates in one request (documentation.onesignal.com/reference/rate-limits)."""
EVENT_BYTES = 2_024
"""Of one custom event, all of it; a call of many has 1 MB (reference/create-custom-events)."""
UNSUBSCRIBED_BY_API = -31
"""What `notification_types` of a subscription says that the API switched off (docs/subscriptions)."""

_UNRESERVED = re.compile(r"[A-Za-z0-9_.~-]*")

EventKey = Literal["properties", "payload"]
"""What OneSignal calls the properties of a custom event: its documentation and its SDKs differ."""


def able(operation: Operation) -> Able:
    """All of it."""
    return Able(operation)


# Updates


def update_requests(update: Update | MergeUsers, *, app_id: str) -> tuple[Request, ...]:
    """What an update asks for when nothing is known of what was written before.

    A contact without an address asks for nothing then: what it disables is in our record alone.
    """
    request: Request | None
    match update:
        case UpdateUser():
            request = patch_user(update, app_id=app_id)
        case CreateAlias():
            request = create_alias(update, app_id=app_id)
        case AddSubscription() | RemoveSubscription() | SetContact() | SetPushToken():
            request = _subscription(update, app_id=app_id)
        case DeleteUser():
            request = delete_user(update.to, app_id=app_id)
        case MergeUsers():
            request = merge_users(update, app_id=app_id)
        case _:
            assert_never(update)
    return () if request is None else (request,)


def _subscription(
    update: AddSubscription | RemoveSubscription | SetContact | SetPushToken, *, app_id: str
) -> Request | None:
    match update:
        case AddSubscription():
            return add_subscription(update, app_id=app_id)
        case RemoveSubscription():
            return set_enabled(update.type, update.token, app_id=app_id, enabled=False)
        case SetContact():
            return None if update.address is None else _set_contact(update, app_id=app_id)
        case SetPushToken():
            return _set_push_token(update, app_id=app_id)


def patch_user(update: UpdateUser, *, app_id: str) -> Request:
    """Update an existing user; 404 when there is none."""
    return _write("PATCH", _user_path(update.to, app_id), {"properties": _properties(update)})


def create_user(
    update: UpdateUser,
    *,
    app_id: str,
    aliases: Mapping[str, str] | None = None,
    subscriptions: Sequence[dict[str, JsonValue]] = (),
) -> Request:
    """Create the user, or modify the one that already has this id."""
    body: dict[str, JsonValue] = {
        "identity": {**(aliases or {}), update.to.label: update.to.id},
        "properties": _properties(update),
    }
    if subscriptions:
        body["subscriptions"] = list(subscriptions)
    return _write("POST", f"/apps/{app_id}/users", body)


def create_alias(alias: CreateAlias, *, app_id: str) -> Request:
    """Add an alias, or change it; 409 when it is another user's."""
    return create_aliases(alias.to, {alias.label: alias.id}, app_id=app_id)


def create_aliases(to: Recipient, aliases: Mapping[str, str], *, app_id: str) -> Request:
    """The same of several: all of them, or none."""
    return _write("PATCH", f"{_user_path(to, app_id)}/identity", {"identity": dict(aliases)})


def add_subscription(
    added: AddSubscription | SetContact, *, app_id: str, enabled: bool | None = None
) -> Request:
    """Give a user a device, an address or a number; one that exists already moves to this user.

    `enabled` None says nothing of it, which OneSignal takes for true.
    """
    token = added.token if isinstance(added, AddSubscription) else added.address
    subscription: dict[str, JsonValue] = {"type": added.type, "token": token}
    if enabled is not None:
        subscription |= _enabled(enabled)
    return _add(added.to, subscription, app_id)


def add_device(
    to: Recipient,
    kind: str,
    token: str,
    *,
    app_id: str,
    test: int | None = None,
    enabled: bool | None = None,
) -> Request:
    """Give a user a device by its push token; one that is somebody's moves. It takes pushes then."""
    said = {} if enabled is None else _enabled(enabled)
    # A mark of 0 is what it has when nothing is said.
    return _add(to, {"type": kind, "token": token, **_test(test or None), **said}, app_id)


def change_device(
    kind: str,
    token: str,
    *,
    app_id: str,
    to_token: str | None = None,
    test: int | None = None,
    enabled: bool | None = None,
) -> Request:
    """Another token, another mark, on or off, whoever has the device; 404 when there is none."""
    said = {} if enabled is None else _enabled(enabled)
    subscription: dict[str, JsonValue] = {"type": kind, "token": to_token or token}
    return _change(kind, token, {**subscription, **_test(test), **said}, app_id)


def _set_push_token(update: SetPushToken, *, app_id: str) -> Request | None:
    if update.token is None:
        return None
    if update.leaves:
        return change_device(update.type, update.token, app_id=app_id, enabled=False)
    enabled = False if update.allowed is False else None
    return add_device(
        update.to, update.type, update.token, app_id=app_id, test=update.test, enabled=enabled
    )


def _test(test: int | None) -> dict[str, JsonValue]:
    return {} if test is None else {"test_type": test}


def _add(to: Recipient, subscription: dict[str, JsonValue], app_id: str) -> Request:
    path = f"{_user_path(to, app_id)}/subscriptions"
    return _write("POST", path, {"subscription": subscription})


def _change(kind: str, token: str, subscription: dict[str, JsonValue], app_id: str) -> Request:
    path = f"/apps/{app_id}/subscriptions_by_token/{quote(kind, safe='')}/{quote(token, safe='')}"
    return _write("PATCH", path, {"subscription": subscription})


def merge_users(merge: MergeUsers, *, app_id: str) -> Request:
    """Whoever has the other id gets the person's; 404 when nobody has it, 409 when the person is there."""
    path = f"{_user_path(merge.other, app_id)}/identity"
    return _write("PATCH", path, {"identity": {merge.to.label: merge.to.id}})


def move_subscription(subscription: str, to: Recipient, *, app_id: str) -> Request:
    """Give a subscription, whoever has it, to a user (reference/transfer-subscription)."""
    path = f"/apps/{app_id}/subscriptions/{quote(subscription, safe='')}/owner"
    return _write("PATCH", path, {"identity": {to.label: to.id}})


def delete_alias(to: Recipient, label: str, *, app_id: str) -> Request:
    """Take an alias from a user."""
    return _write("DELETE", f"{_user_path(to, app_id)}/identity/{quote(label, safe='')}", {})


def view_user(to: Recipient, *, app_id: str) -> Request:
    """A user with its subscriptions (reference/view-user); one view a second for all of an app."""
    path = _user_path(to, app_id)
    return Request(method="GET", path=path, body={}, endpoint_class="view")


def delete_user(to: Recipient, *, app_id: str) -> Request:
    """The user with its properties, subscriptions and aliases."""
    return _write("DELETE", _user_path(to, app_id), {})


def set_enabled(kind: str, token: str, *, app_id: str, enabled: bool) -> Request:
    """Switch a subscription on or off, whoever has it; 404 when there is none."""
    return _change(kind, token, {"type": kind, "token": token, **_enabled(enabled)}, app_id)


def _set_contact(contact: SetContact, *, app_id: str) -> Request:
    # Only a "no" is said aloud: `enabled: true` would undo what the customer did at OneSignal.
    enabled = False if contact.opted_in is False else None
    return add_subscription(contact, app_id=app_id, enabled=enabled)


def _enabled(enabled: bool) -> dict[str, JsonValue]:  # noqa: FBT001 — it is the value itself
    return {"enabled": enabled, "notification_types": 1 if enabled else UNSUBSCRIBED_BY_API}


def _user_path(to: Recipient, app_id: str) -> str:
    id_ = to.id if _UNRESERVED.fullmatch(to.id) else quote(to.id, safe="")
    if to.label == SUBSCRIPTION_ID:
        return f"/apps/{app_id}/subscriptions/{id_}/user"
    return f"/apps/{app_id}/users/by/{to.label if to.label == 'external_id' else quote(to.label, safe='')}/{id_}"


def _write(method: Method, path: str, body: dict[str, JsonValue]) -> Request:
    return Request(method=method, path=path, body=body, endpoint_class="write")


def _properties(update: UpdateUser) -> dict[str, JsonValue]:
    properties: dict[str, JsonValue] = dict(update.properties)
    if update.tags:
        properties["tags"] = dict(update.tags)
    return properties


# Sends


def send_path(send: Send, *, app_id: str) -> str:
    """Where a send is posted to."""
    return custom_events_path(app_id) if isinstance(send, TrackCustomEvent) else NOTIFICATIONS_PATH


def notification_path(notification: str, *, app_id: str) -> str:
    """Where a notification of an app is viewed (reference/view-message)."""
    return f"{NOTIFICATIONS_PATH}/{quote(notification, safe='')}?app_id={app_id}"


def send_body(send: Send, *, app_id: str, key: str, event_key: EventKey = "properties") -> bytes:
    """The exact bytes of the call that makes one send alone."""
    if isinstance(send, TrackCustomEvent):
        return custom_events_body([custom_event(send, key=key, event_key=event_key)])
    label, ids = send.addressed
    return notification_for(
        notification_content(send, app_id=app_id), label=label, ids=ids, key=key
    )


def notification_body(
    send: SendNotification, *, app_id: str, key: str, recipients: list[Recipient]
) -> bytes:
    """The exact bytes of a create-notification call; every attempt sends these."""
    content = notification_content(send, app_id=app_id)
    ids = [recipient.id for recipient in recipients]
    return notification_for(content, label=recipients[0].label, ids=ids, key=key)


def notification_content(send: SendNotification, *, app_id: str) -> bytes:
    """What all who get the same push share, as JSON: everything but their ids and the key."""
    # OneSignal ignores platform flags beside subscriptions; a flag that does nothing must not look
    # as if it did.
    flags = {} if send.addressed[0] == SUBSCRIPTION_ID else send.flags
    return orjson.dumps({"app_id": app_id, **send.body, **flags})


def notification_for(content: bytes, *, label: str, ids: list[str], key: str) -> bytes:
    """The call that sends `notification_content` to these."""
    body = {**orjson.loads(content), **_target(label, ids), "idempotency_key": key}
    return orjson.dumps(body)


def _target(label: str, ids: list[str]) -> dict[str, Any]:
    """One targeting method a request: aliases of one label on the push channel, or subscriptions."""
    if label == SUBSCRIPTION_ID:
        return {"include_subscription_ids": ids}
    return {"include_aliases": {label: ids}, "target_channel": "push"}


def readdressed(body: dict[str, Any], before: Recipient, to: Recipient) -> dict[str, Any]:
    """A push or a custom event as it is for somebody else; one that names devices stays as it is."""
    if body.get("include_aliases") == {before.label: [before.id]}:
        return body | {"include_aliases": {to.label: [to.id]}}
    if body.get(before.label) == before.id:
        left = {name: value for name, value in body.items() if name != before.label}
        return left | {to.label: to.id}
    return body


def custom_events_path(app_id: str) -> str:
    return f"/apps/{app_id}/custom_events"


def custom_event(event: TrackCustomEvent, *, key: str, event_key: EventKey = "properties") -> bytes:
    """One custom event as JSON: the same whatever other events share its call."""
    at = datetime.fromtimestamp(event.at_ms / 1000, UTC)
    found: dict[str, Any] = {
        "name": event.event,
        event.to.label: event.to.id,
        "timestamp": at.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "idempotency_key": key,
        event_key: event.properties,
    }
    return orjson.dumps(found)


def custom_events_body(events: Iterable[bytes]) -> bytes:
    """The bytes of a call that tracks these events, each as `custom_event` wrote it."""
    return b'{"events":[%b]}' % b",".join(events)
