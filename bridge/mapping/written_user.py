"""Everything but a push as operators write it: users, aliases, subscriptions, custom events."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, Field

from bridge.mapping.written import (
    Declared,
    Scalar,
    TagValue,
    Trees,
    Value,
    default,
    json_tree,
    needed,
    optional,
    refusal,
)
from bridge.onesignal.reserved import Reserved, reserved

SUBSCRIPTION_TYPES = (
    "Email", "SMS", "iOSPush", "AndroidPush", "HuaweiPush", "FireOSPush", "WindowsPush",
    "macOSPush", "ChromeExtensionPush", "ChromePush", "SafariLegacyPush", "FirefoxPush", "SafariPush",
)  # fmt: skip
EVENT_NAME_LENGTH = 128

ONE_PERSON_HINT = (
    "`to` takes one person: {external_id: …}, {alias: {label: …}}, {devices: …} or {subscription_id: …}; to reach a "
    "whole segment write a tag here, and let a Journey or a message of OneSignal's dashboard use it"
)
_FIELD = re.compile(r"[A-Za-z][A-Za-z0-9_]*")
_WHY: dict[Reserved, tuple[str, str, str]] = {
    "targeting": (
        "one-person-per-event",
        "chooses people, and an event is about one",
        ONE_PERSON_HINT,
    ),
    "platform": (
        "platform-flag",
        "is a platform flag",
        "write `platforms: {exclude: [ios]}` instead",
    ),
    "key": (
        "key-not-yours",
        "makes a message unique, which is the bridge's to say",
        "leave it out: the same event never sends twice",
    ),
    "app": ("app-not-yours", "names an app", "a source's app is chosen in bridge.yaml"),
}


def why_reserved(name: str) -> tuple[str, str, str] | None:
    """Code, message and hint of a field that no mapping may write; None for any other."""
    kind = reserved(name)
    if kind is None:
        return None
    code, message, hint = _WHY[kind]
    return code, f"`{name}` {message}", hint


def _raw(value: object) -> object:
    if not isinstance(value, dict):
        raise ValueError("write the fields and their values: {mutable_content: true}")  # noqa: TRY004 — pydantic takes it for a finding
    odd = [name for name in value if not (isinstance(name, str) and _FIELD.fullmatch(name))]
    if odd:
        raise ValueError(f"{odd[0]!r} is not a name of a field")
    _refuse_reserved(value)
    return json_tree(value)


def _refuse_reserved(value: object, depth: int = 0) -> None:
    """Raise for a reserved name, however deep it is hidden; `json_tree` refuses what is too deep."""
    if depth > 20:
        return
    if isinstance(value, list):
        for item in value:
            _refuse_reserved(item, depth + 1)
    if isinstance(value, dict):
        for name, inner in value.items():
            if isinstance(name, str) and (found := why_reserved(name)) is not None:
                raise refusal(*found)
            _refuse_reserved(inner, depth + 1)


RawFields = Annotated[Trees, BeforeValidator(_raw)]
"""Fields that go to OneSignal as they are written, but never one that says who gets a message."""


def _one_person(value: object) -> object:
    if isinstance(value, list | str):
        many = isinstance(value, list)
        message = "this is a list, and an event is about one person" if many else "who is this?"
        raise refusal("one-person-per-event" if many else "field-invalid", message, ONE_PERSON_HINT)
    if isinstance(value, dict):
        for name, inner in value.items():
            _one_of(str(name), inner)
        if len(value) != 1:
            raise refusal(
                "one-person-per-event", "`to` names one person, in one way", ONE_PERSON_HINT
            )
    return value


def _one_of(name: str, inner: object) -> None:
    if isinstance(inner, list) or (name not in To.model_fields and reserved(name) == "targeting"):
        message = f"`{name}` may be many people, and an event is about one"
        raise refusal("one-person-per-event", message, ONE_PERSON_HINT)


def _one_alias(value: object) -> object:
    if isinstance(value, dict) and len(value) != 1:
        raise refusal("one-person-per-event", "an alias is one label with its id", ONE_PERSON_HINT)
    if isinstance(value, dict) and any(isinstance(one, list) for one in value.values()):
        message = "an alias has one id here, and an event is about one person"
        raise refusal("one-person-per-event", message, ONE_PERSON_HINT)
    return value


class Target(Declared):
    """One person, who need not be the event's user."""

    external_id: str | None = optional(
        "The person's external id.", example="{{ properties.seller_id }}"
    )
    alias: Annotated[dict[str, str] | None, BeforeValidator(_one_alias)] = optional(
        "The person's id under one of your alias labels.", example={"crm": "{{ traits.crm_id }}"}
    )
    subscription_id: str | None = optional("One device, by its OneSignal subscription id.")
    devices: str | None = optional(
        "A person by their external id, on registered devices alone; of pushes only.",
        example="{{ userId }}",
    )


To = Annotated[Target, BeforeValidator(_one_person)]


class Selection(Declared):
    """Fields of the event to copy as tags."""

    include: Annotated[tuple[str, ...], Field(strict=False)] = default(
        (),
        "Names, or patterns with * and ?; a nested one becomes a_b.",
        example=["homeStore", "shoe*"],
    )
    rename: dict[str, str] = default(
        {}, "Other names for the tags.", example={"homeStore": "store"}
    )
    prefix: str = default("", "What each name begins with.")


class AudienceTags(Declared):
    """One tag an audience: `"true"` on entering, deleted on leaving."""

    prefix: str = default("", "What each name begins with.", example="aud_")


class TagsFrom(Declared):
    """Tags that are copied from the event."""

    traits: Selection | None = optional("Of the event's traits.")
    properties: Selection | None = optional("Of the event's properties.")
    context: Selection | None = optional("Of the event's context.")
    audience: AudienceTags | None = optional("Of the audience that the event is about.")


class Contact(Declared):
    """An e-mail address or a phone number, and whether it may be written to."""

    address: str = needed("The address or the number.", example="{{ traits.email }}")
    opted_in: Scalar = optional(
        "false switches it off; only a change from false to true switches it on again.",
        example="{{ traits.marketingOptIn }}",
    )


def _contact(value: object) -> object:
    """A text is short for `{address: text}`."""
    return {"address": value} if isinstance(value, str) else value


_Contact = Annotated[Contact, BeforeValidator(_contact)]


class UpdateUser(Declared):
    """Write tags and properties of a user."""

    to: To | None = optional("Whom to write; the event's user unless it says otherwise.")
    tags: dict[str, TagValue] = default(
        {}, 'Tags by name; `""` deletes one.', example={"tier": "{{ traits.tier }}"}
    )
    tags_from: TagsFrom = default(TagsFrom(), "Tags that are copied from the event.")
    language: Scalar = optional("A language; of a locale the language: `de-AT` becomes `de`.")
    timezone: Scalar = optional("An IANA name.", example="Europe/Vienna")
    country: Scalar = optional("Two letters, ISO 3166.", example="AT")
    email: _Contact | None = optional(
        "The user's e-mail address, added once.", example="{{ traits.email }}"
    )
    phone: _Contact | None = optional("The user's phone number (E.164), added once.")
    raw: RawFields | None = optional(
        "Properties of OneSignal's that this bridge does not know yet."
    )


class TrackCustomEvent(Declared):
    """Track a custom event, which Journeys begin, wait for and end by."""

    to: To | None = optional("Whose event it is; the event's user's unless it says otherwise.")
    name: Annotated[str, Field(min_length=1)] = needed(
        "What it is called at OneSignal, up to 128 characters.", example="cart_abandoned"
    )
    properties: Trees = default(
        {}, "What comes with it.", example={"total": "{{ properties.total }}"}
    )


def alias_label(value: str) -> str:
    if value in {"external_id", "onesignal_id", "id"}:
        raise ValueError(f"{value} is OneSignal's own; an alias has a label of yours")
    if not re.fullmatch(r"[A-Za-z0-9_.-]{1,128}", value):
        raise ValueError("a label is letters, digits, `_`, `-` and `.`")
    return value


class CreateAlias(Declared):
    """Give a user one more id."""

    to: To | None = optional("Who gets it; the event's user unless it says otherwise.")
    label: Annotated[str, AfterValidator(alias_label)] = needed(
        "What kind of id it is.", example="crm"
    )
    id: Value = needed("The id.", example="{{ traits.crm_id }}")


def _type(value: object) -> object:
    if value not in SUBSCRIPTION_TYPES:
        raise ValueError(f"a subscription is one of {', '.join(SUBSCRIPTION_TYPES)}")
    return value


_Type = Annotated[str, BeforeValidator(_type)]


class AddSubscription(Declared):
    """Give a user a device, an e-mail address or a phone number."""

    to: To | None = optional("Who gets it; the event's user unless it says otherwise.")
    type: _Type = needed("What it is.", example="AndroidPush")
    token: Value = needed(
        "The device's token, the address or the number.", example="{{ context.device.token }}"
    )


class RemoveSubscription(Declared):
    """Switch off a device, an e-mail address or a phone number, whoever has it."""

    type: _Type = needed("What it is.", example="SMS")
    token: Value = needed(
        "The device's token, the address or the number.", example="{{ traits.phone }}"
    )


class DeleteUser(Declared):
    """Delete a user and everything of it at OneSignal."""

    to: To | None = optional("Whom to delete; the event's user unless it says otherwise.")
