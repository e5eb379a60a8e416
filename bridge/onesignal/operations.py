"""What the bridge can ask of OneSignal, as values.

An operation is what a rule of a mapping means for one event. *Updates* may run again without harm;
*sends* may not, so they carry a key and are written to the journal before the first attempt.
How each becomes a request is `user_model` (and, for older apps, `legacy`).
"""

from __future__ import annotations

import hashlib
import uuid
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from pydantic import JsonValue

EXTERNAL_ID = "external_id"
ALIASES_PER_USER = 20
"""Custom ones (reference/create-user)."""
EXTERNAL_ID_LENGTH = 512
"""Longer ids are no ids: they do not fit into the address of a request."""
NAMESPACE = uuid.UUID("5b1f4a52-6a53-5f0e-9d0a-3f4b8f1a7c20")
"""Of every idempotency key that we make; changing it would send everything again."""
KEYS_KEPT_MS = 30 * 86_400_000
"""For so long OneSignal tells a repeat by its key (reference/idempotent-notification-requests); after that
it would send it."""

SUBSCRIPTION_ID = "subscription_id"
"""The label of a recipient that is one device, address or number, and not a person."""

_BLOCKED_EXTERNAL_IDS = frozenset(
    {"1", "0", "-1", "na", "nan", "null", "none", "undefined"}
    # No address of the API can name these: a dot in a path means the folder itself.
    | {".", ".."}
    | {"00000000-0000-0000-0000-000000000000"}
)


def is_blocked_external_id(external_id: str) -> bool:
    """OneSignal refuses some ids, or makes an orphan of them without an error.

    Source: OneSignal-Flutter-SDK issue 775, OneSignal-Android-SDK issue 2514.
    """
    return external_id.strip().lower() in _BLOCKED_EXTERNAL_IDS


class Recipient(NamedTuple):
    """One person (or device): an alias label with its id, or a subscription id."""

    label: str
    id: str

    def __str__(self) -> str:
        return f"{self.label}:{self.id}"


@dataclass(slots=True, kw_only=True)
class UpdateUser:
    """Tags and properties of one user; a tag of "" is deleted (onesignal.com, "Tags").

    Not to be changed (frozen would triple the time it takes to make one, and each event makes some).
    """

    rules: tuple[str, ...]
    to: Recipient
    tags: dict[str, str] = field(default_factory=dict)
    properties: dict[str, JsonValue] = field(default_factory=dict)
    #: What to write even when OneSignal has it already: `language`, `tags.plan`.
    always: frozenset[str] = frozenset()
    #: It may wait so long for further updates of the same user.
    fold_ms: int = 0

    name = "update_user"

    @property
    def size(self) -> int:
        """Property updates in the sense of OneSignal's limit of 100 per request."""
        return len(self.tags) + len(self.properties)


class ByDevices(NamedTuple):
    """Addressed by the devices that are registered as a person's."""

    #: Only those on these.
    platforms: frozenset[str]
    #: What becomes of somebody of whom no device is registered.
    unknown: Literal["skip", "flags"] = "skip"


@dataclass(slots=True, kw_only=True)
class SendNotification:
    """One push to one recipient.

    `body` is what every recipient shares, in the field names of the create-notification API,
    without recipient, app or key; `flags` the platform allow-list. Not to be changed, like `UpdateUser`.
    """

    rule: str
    to: Recipient
    body: dict[str, JsonValue]
    flags: dict[str, bool]
    max_age_ms: int | None
    #: None: by the recipient's own id, and by its flags.
    devices: ByDevices | None = None
    #: Those devices, by their ids at OneSignal, once they are looked up.
    subscriptions: tuple[str, ...] = ()

    name = "send_notification"

    @property
    def addressed(self) -> tuple[str, list[str]]:
        """The label and the ids by which a call names who gets it; in words, before they are looked up."""
        if self.devices is None:
            return self.to.label, [self.to.id]
        return SUBSCRIPTION_ID, list(self.subscriptions) or [f"registered devices of {self.to}"]


@dataclass(frozen=True, slots=True, kw_only=True)
class TrackCustomEvent:
    """One custom event of one user: what journeys begin, wait for and end by."""

    rule: str
    to: Recipient
    event: str
    properties: dict[str, JsonValue]
    #: When it happened, milliseconds since 1970.
    at_ms: int
    max_age_ms: int | None

    name = "track_custom_event"


@dataclass(frozen=True, slots=True, kw_only=True)
class CreateAlias:
    """One more id for a user, under a label of the customer's."""

    rule: str
    to: Recipient
    label: str
    id: str

    name = "create_alias"


@dataclass(frozen=True, slots=True, kw_only=True)
class AddSubscription:
    """A device, an e-mail address or a phone number of a user; never refreshed once it is there."""

    rule: str
    to: Recipient
    type: str
    token: str

    name = "add_subscription"


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoveSubscription:
    """Take a device, an e-mail address or a phone number from whoever has it."""

    rule: str
    to: Recipient
    type: str
    token: str

    name = "remove_subscription"


ContactType = Literal["Email", "SMS"]
PushType = Literal["iOSPush", "AndroidPush"]


@dataclass(frozen=True, slots=True, kw_only=True)
class SetContact:
    """What an event says of a user's e-mail address or phone number, and of leave to write there.

    `address` None: the event says that there is none (any more). `opted_in` None: it does not say.
    What is to be done depends on what we wrote before; part of the rule's `update_user`.
    """

    rule: str
    to: Recipient
    type: ContactType
    address: str | None
    opted_in: bool | None

    name = "update_user"


@dataclass(frozen=True, slots=True, kw_only=True)
class SetPushToken:
    """What an event says of the phone that it came from: its push token, and whether it takes pushes.

    `token` None: it does not say. `allowed` None: the same. `leaves`: its user has logged out of it.
    What is to be done depends on what we wrote before, and for whom. Of no rule: `push_tokens` of the
    mapping says which tokens count.
    """

    to: Recipient
    type: PushType
    #: The app on the phone, as Segment's library names it.
    device: str | None
    token: str | None
    allowed: bool | None = None
    #: 1: of APNs' sandbox; 0: not; None: the mapping does not say.
    test: int | None = None
    leaves: bool = False
    rule: str = ""

    name = "push_token"


@dataclass(frozen=True, slots=True, kw_only=True)
class DeleteUser:
    """The user and everything of it at OneSignal."""

    rule: str
    to: Recipient

    name = "delete_user"


@dataclass(frozen=True, slots=True, kw_only=True)
class MergeUsers:
    """Two ids are one person's: whoever was known by the other one is `to` from now on.

    Of no rule: which ids an event links is said by `identity` of the mapping.
    """

    to: Recipient
    other: Recipient
    rule: str = ""

    name = "merge_users"


Update = (
    UpdateUser
    | CreateAlias
    | AddSubscription
    | RemoveSubscription
    | SetContact
    | SetPushToken
    | DeleteUser
)
"""May run again without harm."""
Send = SendNotification | TrackCustomEvent
"""May not: written before the first attempt, with a key."""
Operation = Update | Send | MergeUsers


class Able(NamedTuple):
    """What of an operation an API can do; None: nothing. `cannot` names the rest."""

    operation: Operation | None
    cannot: tuple[str, ...] = ()


Method = Literal["GET", "POST", "PATCH", "PUT", "DELETE"]
EndpointClass = Literal["write", "send", "view", "event"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One HTTP request to OneSignal, and the limit it counts against."""

    method: Method
    path: str
    body: dict[str, JsonValue]
    endpoint_class: EndpointClass


def send_key(
    *,
    app: str,
    rule: str,
    message_id: str,
    recipient: Recipient,
    generation: int,
    operation: str = SendNotification.name,
) -> str:
    """The idempotency key of a send: the same for the same push, whatever happens to us meanwhile."""
    # A rule may track a custom event beside its push; the names of rules hold no "/".
    by = rule if operation == SendNotification.name else f"{rule}/{operation}"
    parts = (app, by, message_id, str(recipient), str(generation))
    # "|" separates, so inside a part it is escaped: no two sends can spell the same name.
    name = "|".join([part.replace("%", "%25").replace("|", "%7C") for part in parts])
    return _uuid5(name)


def _uuid5(name: str) -> str:
    """`str(uuid.uuid5(NAMESPACE, name))`, at a third of its cost: every send of every plan has one."""
    digest = bytearray(hashlib.sha1(NAMESPACE.bytes + name.encode()).digest()[:16])  # noqa: S324 — RFC 9562 says SHA-1
    digest[6] = digest[6] & 0x0F | 0x50
    digest[8] = digest[8] & 0x3F | 0x80
    text = digest.hex()
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"
