"""Operations as requests of OneSignal's user model (`ONESIGNAL_API=user-model`).

Paths and bodies: documentation.onesignal.com/reference/update-user, /create-user, /create-message.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import orjson
from pydantic import JsonValue

from bridge.onesignal.operations import Recipient, Request, SendNotification, UpdateUser

NOTIFICATIONS_PATH = "/notifications"
PROPERTIES_PER_REQUEST = 100
"""Property updates in one request (documentation.onesignal.com/reference/rate-limits)."""


def patch_user(update: UpdateUser, *, app_id: str) -> Request:
    """Update an existing user; 404 when there is none."""
    label, id_ = quote(update.to.label, safe=""), quote(update.to.id, safe="")
    return Request(
        method="PATCH",
        path=f"/apps/{app_id}/users/by/{label}/{id_}",
        body={"properties": _properties(update)},
        endpoint_class="write",
    )


def create_user(update: UpdateUser, *, app_id: str) -> Request:
    """Create the user, or modify the one that already has this id."""
    return Request(
        method="POST",
        path=f"/apps/{app_id}/users",
        body={"identity": {update.to.label: update.to.id}, "properties": _properties(update)},
        endpoint_class="write",
    )


def _properties(update: UpdateUser) -> dict[str, JsonValue]:
    properties: dict[str, JsonValue] = dict(update.properties)
    if update.tags:
        properties["tags"] = dict(update.tags)
    return properties


def notification_body(
    send: SendNotification, *, app_id: str, key: str, recipients: list[Recipient]
) -> bytes:
    """The exact bytes of a create-notification call; every attempt sends these."""
    body: dict[str, Any] = {
        "app_id": app_id,
        **send.body,
        **send.flags,
        **_target(recipients),
        "idempotency_key": key,
    }
    return orjson.dumps(body)


def _target(recipients: list[Recipient]) -> dict[str, Any]:
    """One targeting method a request: aliases of one label, on the push channel."""
    label = recipients[0].label
    ids = [recipient.id for recipient in recipients]
    return {"include_aliases": {label: ids}, "target_channel": "push"}
