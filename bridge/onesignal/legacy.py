"""Operations as requests of OneSignal's legacy API, from before the user model (`ONESIGNAL_API=legacy`).

It knows players (a player is what the user model calls a subscription) and the external user id that the
apps give them, and can do two things for us: edit the tags of a person's players, and push to them. There
is nobody to create, to delete or to give an alias: people exist because an app has set their id. `able`
says what is left of an operation.

Paths and bodies: documentation.onesignal.com/reference/edit-tags-with-external-user-id, and
/create-notification as it was until 2023. Of more than 2,000 ids or 100 tags a call is refused.

Platform flags beside ids were documented as ignored, and were seen to be obeyed. Nobody may rely on
them here: see `bridge.mapping.legacy`.
"""

from __future__ import annotations

from typing import Any, Final
from urllib.parse import quote

import orjson

from bridge.onesignal import user_model
from bridge.onesignal.operations import (
    EXTERNAL_ID,
    SUBSCRIPTION_ID,
    Able,
    MergeUsers,
    Operation,
    Request,
    Send,
    SendNotification,
    SetContact,
    Update,
    UpdateUser,
)
from bridge.onesignal.user_model import EventKey, notification_content

__all__ = [
    "HAS_USERS", "NAME", "NOTIFICATIONS_PATH", "PREFIX", "RECIPIENTS", "able", "notification_content",
    "notification_for", "notification_path", "patch_user", "send_body", "send_path", "update_requests",
]  # fmt: skip

NAME: Final = "legacy"
HAS_USERS: Final = False
"""People are there because an app has set their id, and nobody can be deleted."""
PREFIX: Final = "/api/v1"
"""Every path begins with it, and no path of the user model does."""
NOTIFICATIONS_PATH: Final = f"{PREFIX}/notifications"
RECIPIENTS: Final = 2_000
"""Of one call (reference/create-notification)."""

_CONTACTS = {"Email": "email", "SMS": "phone"}
_ALIASES = "aliases"
_LACKS = {
    "track_custom_event": "custom events",
    "create_alias": _ALIASES,
    "add_subscription": "subscriptions to add",
    "remove_subscription": "subscriptions to remove",
    "delete_user": "deletion of users",
    "merge_users": "merging of users",
}
"""What it would take for an operation, in words."""


def able(operation: Operation) -> Able:
    """What of an operation can be done: tags and pushes, by external id; a push to players, too."""
    label = operation.to.label
    if isinstance(operation, UpdateUser):
        return Able(None, (_ALIASES,)) if label != EXTERNAL_ID else _able_to_write(operation)
    if isinstance(operation, SendNotification):
        is_known = label in {EXTERNAL_ID, SUBSCRIPTION_ID}
        return Able(operation) if is_known else Able(None, (_ALIASES,))
    if isinstance(operation, SetContact):
        return Able(None, (_CONTACTS[operation.type],))
    return Able(None, (_LACKS.get(operation.name, operation.name),))


def _able_to_write(update: UpdateUser) -> Able:
    cannot = tuple(update.properties)
    if not cannot:
        return Able(update, ())
    if not update.tags:
        return Able(None, cannot)
    tags = UpdateUser(
        rules=update.rules,
        to=update.to,
        tags=update.tags,
        always=update.always.difference(cannot),
        fold_ms=update.fold_ms,
    )
    return Able(tags, cannot)


def update_requests(update: Update | MergeUsers, *, app_id: str) -> tuple[Request, ...]:
    """What an update asks for; of one that cannot be done, nothing."""
    return (patch_user(update, app_id=app_id),) if isinstance(update, UpdateUser) else ()


def patch_user(update: UpdateUser, *, app_id: str) -> Request:
    """Edit the tags of all players of a person; 404 when there are none."""
    path = f"{PREFIX}/apps/{app_id}/users/{quote(update.to.id, safe='')}"
    body: dict[str, Any] = {"tags": dict(update.tags)}
    return Request(method="PUT", path=path, body=body, endpoint_class="write")


def send_path(send: Send, *, app_id: str) -> str:
    """Where a send is posted to; custom events are no part of this API, see `able`."""
    is_push = isinstance(send, SendNotification)
    return NOTIFICATIONS_PATH if is_push else user_model.send_path(send, app_id=app_id)


def send_body(send: Send, *, app_id: str, key: str, event_key: EventKey = "properties") -> bytes:
    """The exact bytes of the call that makes one send alone."""
    if not isinstance(send, SendNotification):
        return user_model.send_body(send, app_id=app_id, key=key, event_key=event_key)
    label, ids = send.addressed
    return notification_for(
        notification_content(send, app_id=app_id), label=label, ids=ids, key=key
    )


def notification_path(notification: str, *, app_id: str) -> str:
    """Where a notification of an app is viewed."""
    return f"{NOTIFICATIONS_PATH}/{quote(notification, safe='')}?app_id={app_id}"


def notification_for(content: bytes, *, label: str, ids: list[str], key: str) -> bytes:
    """The call that sends `notification_content` to these; its key has the same name as today."""
    body = {**orjson.loads(content), **_target(label, ids), "idempotency_key": key}
    return orjson.dumps(body)


def _target(label: str, ids: list[str]) -> dict[str, Any]:
    if label == SUBSCRIPTION_ID:
        return {"include_player_ids": ids}
    return {"include_external_user_ids": ids, "channel_for_external_user_ids": "push"}
