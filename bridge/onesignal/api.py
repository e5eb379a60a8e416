"""The two APIs that OneSignal has had, and which of them is spoken.

`user_model` and `legacy` are modules that satisfy `Api`. An app speaks one of them (`ONESIGNAL_API`): it
is chosen where a bridge is put together, and nobody further down asks which one it is. Only what both
can do is here. What the user model alone can do (aliases, subscriptions, creating and deleting users,
custom events) planning leaves out for the legacy one, and delivery asks `user_model` for it.

What is written down once, a call or a group that forms one, keeps the API that it was written for,
whichever the app speaks by then: `api_of` knows it by its path.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Literal, Protocol

import orjson

from bridge.onesignal import legacy, user_model
from bridge.onesignal.operations import (
    Able,
    MergeUsers,
    Operation,
    Request,
    Send,
    SendNotification,
    Update,
    UpdateUser,
)
from bridge.onesignal.user_model import EventKey

ApiName = Literal["user-model", "legacy"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Spoken:
    """What an app speaks, as its settings say it."""

    api: ApiName = "user-model"
    #: Platform flags beside external ids of the legacy API are relied on, which its pages denied.
    trusts_flags: bool = False

    @property
    def keeps_flags(self) -> bool:
        """Whether a push to a person keeps to the platforms that its flags name."""
        return self.api == "user-model" or self.trusts_flags


USER_MODEL = Spoken()


class Api(Protocol):
    """How one API of OneSignal's is spoken. Pure."""

    @property
    def NAME(self) -> ApiName:  # noqa: N802 — the constant of a module
        """As the setting calls it."""

    @property
    def HAS_USERS(self) -> bool:  # noqa: N802 — as above
        """Whether users can be created and deleted by it."""

    @property
    def NOTIFICATIONS_PATH(self) -> str:  # noqa: N802 — as above
        """Where notifications are created."""

    @property
    def RECIPIENTS(self) -> int:  # noqa: N802 — as above
        """Of one call, at most."""

    def able(self, operation: Operation) -> Able:
        """What of an operation it can do, and what not."""

    def update_requests(self, update: Update | MergeUsers, *, app_id: str) -> tuple[Request, ...]:
        """What an update asks for when nothing is known of what was written before."""

    def patch_user(self, update: UpdateUser, *, app_id: str) -> Request:
        """Write the tags and properties of a user that is there; 404 when there is none."""

    def send_path(self, send: Send, *, app_id: str) -> str:
        """Where a send is posted to."""

    def send_body(
        self, send: Send, *, app_id: str, key: str, event_key: EventKey = "properties"
    ) -> bytes:
        """The exact bytes of the call that makes one send alone."""

    def notification_content(self, send: SendNotification, *, app_id: str) -> bytes:
        """What all who get the same push share: everything but their ids and the key."""

    def notification_for(self, content: bytes, *, label: str, ids: list[str], key: str) -> bytes:
        """The call that sends it to these."""

    def notification_path(self, notification: str, *, app_id: str) -> str:
        """Where a notification is viewed."""


_BY_NAME: dict[ApiName, Api] = {"user-model": user_model, "legacy": legacy}


def api_named(name: ApiName) -> Api:
    return _BY_NAME[name]


def api_of(path: str) -> Api:
    """The API that a written call or group speaks."""
    return legacy if path.startswith(f"{legacy.PREFIX}/") else user_model


# What is written -----------------------------------------------------------------------------------

_LISTS = ("include_subscription_ids", "include_player_ids", "include_external_user_ids")


def path_of(push: bytes) -> str:
    """Where a written push belongs, by what it says."""
    body = orjson.loads(push)
    is_old = "include_player_ids" in body or "include_external_user_ids" in body
    return legacy.NOTIFICATIONS_PATH if is_old else user_model.NOTIFICATIONS_PATH


def recipients_of(push: bytes) -> list[str]:
    """The ids that a written push names."""
    body = orjson.loads(push)
    lists = [*body.get("include_aliases", {}).values(), *(body.get(name, []) for name in _LISTS)]
    return [id_ for ids in lists for id_ in ids]


def without(call: bytes, names: Collection[str]) -> bytes:
    """A written call without the recipients, or the custom events by their keys, of these names."""
    body = orjson.loads(call)
    if "events" in body:
        kept = [one for one in body["events"] if one.get("idempotency_key") not in names]
        return orjson.dumps(body | {"events": kept})
    if "include_aliases" in body:
        aliases = body["include_aliases"].items()
        body["include_aliases"] = {label: _left(ids, names) for label, ids in aliases}
    body |= {name: _left(body[name], names) for name in _LISTS if name in body}
    return orjson.dumps(body)


def _left(ids: list[str], names: Collection[str]) -> list[str]:
    return [id_ for id_ in ids if id_ not in names]


def alone(push: bytes, ids: list[str], *, key: str) -> bytes:
    """A written push of many as that of one of them, with a key of its own."""
    body = orjson.loads(push)
    if "include_aliases" in body:
        body["include_aliases"] = dict.fromkeys(body["include_aliases"], ids)
    body |= {name: ids for name in _LISTS if name in body}
    return orjson.dumps(body | {"idempotency_key": key})
