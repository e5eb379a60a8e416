"""A mapping file as operators write it: what it says of all rules, the rules, and the examples.

Each field is declared once, here or (what OneSignal is told) in `written_push`, `written_user` and
`written_tokens`; the parser, `check` and the documentation read these declarations. What a file means when it runs is
`rules`.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from bridge.mapping.written import (
    Beginning,
    Declared,
    DurationMs,
    Moment,
    Platforms,
    PositiveMs,
    Tree,
    Value,
    default,
    duration_ms,
    json_tree,
    needed,
    off,
    optional,
    paths,
    scalar,
)
from bridge.mapping.written_push import SendNotification
from bridge.mapping.written_tokens import PushTokens, tokens_of
from bridge.mapping.written_user import (
    AddSubscription,
    AudienceTags,
    CreateAlias,
    DeleteUser,
    RemoveSubscription,
    Selection,
    TagsFrom,
    TrackCustomEvent,
    UpdateUser,
    alias_label,
)

__all__ = [
    "AddSubscription", "AudienceTags", "Cap", "Consent", "CreateAlias", "Declared", "DeleteUser", "Do",
    "Document", "Example", "Given", "Happened", "Identity", "Moved", "OncePer", "PushDefaults", "Rate",
    "RemoveSubscription", "Rule", "Selection", "SendNotification", "TagsFrom", "TrackCustomEvent",
    "UpdateUser", "duration_ms",
]  # fmt: skip

GROUP_MAX_MS = 600_000


class Identity(Declared):
    """Who an event is about."""

    external_id: Annotated[
        tuple[str, ...], BeforeValidator(paths), Field(strict=False, min_length=1)
    ] = default(
        ("{{ userId }}",),
        "One path, or a list of which the first present counts; read before the answer to Segment.",
    )
    anonymous: Literal["skip", "external_id", "alias"] = default(
        "skip",
        "Events without an id: `skip`; or they are about the anonymousId, which is a user of its own,"
        " known by its `external_id` or by an `alias`, until an event says whose it is.",
    )
    label: Annotated[str, AfterValidator(alias_label)] = default(
        "anonymous_id", "With `anonymous: alias`: the label of that alias."
    )
    clients: Annotated[tuple[Beginning, ...], Field(strict=False)] = default(
        (),
        "Sources marked `trust: client` whose events may make two users one.",
        example=["web"],
    )
    unknown: Literal["create", "skip"] = default(
        "create", "What to do with a user that OneSignal does not have yet."
    )


class Rate(Declared):
    """So many in so long: `{max: 2000, per: 10m}`."""

    max: Annotated[int, Field(ge=1)] = needed("So many at most.", example=2000)
    per: PositiveMs = needed("In so long.", example="10m")


class Cap(Declared):
    """Pushes to one person, over all rules."""

    max: Annotated[int, Field(ge=1, le=7)] = default(5, "So many at most, up to 7.")
    per: PositiveMs = default(900_000, "In so long.", example="15m")


class OncePer(Declared):
    """A rule fires once in so long for a person, and for a key if there is one."""

    time: PositiveMs = needed("How long it does not fire again.", example="7d")
    key: str | None = optional("What it may fire again for.", example="{{ properties.sku }}")


class Consent(Declared):
    """What a person must have agreed to."""

    need: Annotated[tuple[Beginning, ...], Field(strict=False, min_length=1)] = needed(
        "Categories of `context.consent.categoryPreferences`, all of which must be true.",
        example=["Marketing"],
    )
    unknown: Literal["deny", "allow"] = default(
        "deny", "What it means when an event says nothing of a category."
    )


def _consent(value: object) -> object:
    """A list is short for `{need: [...]}`."""
    return {"need": value} if isinstance(value, list) else value


class PushDefaults(Declared):
    """What holds for every push of this mapping."""

    cap: Cap = default(
        Cap(), "Pushes to one person, over all rules.", example={"max": 5, "per": "15m"}
    )
    platforms: Platforms | None = optional(
        "Which phones and browsers pushes may reach: `all`, `only` or `exclude`; `by: devices` names registered "
        "devices instead of flags (and `unknown_devices: flags` flags, where none is).",
        example={"exclude": ["ios"]},
    )
    links: Annotated[tuple[Beginning, ...], Field(strict=False)] = default(
        (),
        "Where links and pictures that come from an event may point: beginnings of addresses.",
        example=["shop://", "https://www.shop.example/"],
    )


class Do(Declared):
    """What to do: at most one of each operation."""

    update_user: UpdateUser | None = optional("Write tags and properties of a user.")
    send_notification: SendNotification | None = optional("Send one push to one person.")
    track_custom_event: TrackCustomEvent | None = optional("Track a custom event at OneSignal.")
    create_alias: CreateAlias | None = optional("Give a user one more id.")
    add_subscription: AddSubscription | None = optional("Give a user a device, address or number.")
    remove_subscription: RemoveSubscription | None = optional(
        "Switch off a device, address or number."
    )
    delete_user: DeleteUser | None = optional("Delete a user at OneSignal.", example={})

    @model_validator(mode="before")
    @classmethod
    def _nothing_to_say(cls, value: Any) -> Any:
        """`delete_user:` with nothing behind it is enough."""
        if isinstance(value, dict) and "delete_user" in value and value["delete_user"] is None:
            return value | {"delete_user": {}}
        return value


def _rule_name(value: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}", value):
        raise ValueError("a rule's name is letters, digits, `-`, `_` and `.`, up to 100 of them")
    return value


class Rule(Declared):
    """What to do with an event, and when."""

    name: Annotated[str, AfterValidator(_rule_name)] = needed(
        "Unique over all files; part of what makes a push unique, so a renamed rule is a new one.",
        example="order-shipped",
    )
    when: str = needed(
        "Which events it is for, in FQL.", example='type = "track" and event = "Order Shipped"'
    )
    do: Do = needed("What it does with them.")
    starts: Moment | None = optional(
        "Events before this are not acted on; memberships are learnt all the same.",
        example="2026-11-27T08:00:00+01:00",
    )
    ends: Moment | None = optional("Events from this time on are not acted on.")
    max_age: PositiveMs = default(
        14_400_000,
        "Events older than this do not push; Segment itself retries for 4 hours.",
        example="6h",
    )
    once_per: OncePer | None = optional(
        "It fires once in so long for a person, and for a key if there is one.",
        example={"time": "7d"},
    )
    limit: Annotated[Rate | Literal["off"] | None, BeforeValidator(off)] = optional(
        "More pushes of this rule than so many in so long are held for a person to release.",
        example={"max": 2000, "per": "10m"},
    )
    cap: Annotated[Literal["off"] | None, BeforeValidator(off)] = optional(
        "`off`: a rule for conversations, not subject to `push.cap`."
    )
    group: Annotated[PositiveMs | Literal["off"], BeforeValidator(off)] = default(
        "off",
        "Sends with equal bodies wait so long for each other, and leave in one call.",
        example="3s",
    )
    fold: DurationMs = default(0, "Updates wait so long for further ones of the same user.")
    unchanged: Literal["skip", "send"] = default(
        "skip", "`send` writes again what OneSignal has already, because others write it too."
    )
    transactional: bool = default(
        False,  # noqa: FBT003 — the value of the field
        "About something that the person did or ordered: no limit meant for campaigns holds it.",
    )
    consent: Annotated[Consent | None, BeforeValidator(_consent)] = optional(
        "What a person must have agreed to.", example=["Marketing"]
    )
    replays: bool = default(False, "Whether events that Segment replays may push.")  # noqa: FBT003 — as above
    echo: bool = default(False, "Whether events that come from OneSignal itself count.")  # noqa: FBT003 — as above


EVENT = "(event)"
"""In an example, what comes of an event beside its rules: `push_token`, if it carries one."""
OF_EVENTS = ("push_token",)


def _operation(name: str) -> str:
    if name not in Do.model_fields and name not in OF_EVENTS:
        raise ValueError(f"an operation is one of {', '.join(Do.model_fields)}")
    return name


def _happened(value: object) -> object:
    """What an operation of an example is to be: fields; several, one after another; or just done."""
    if value is None:
        return {}
    if isinstance(value, dict) or (
        isinstance(value, list) and value and all(isinstance(one, dict) for one in value)
    ):
        return json_tree(value)
    raise ValueError(
        "write the fields that matter, `{}` for any, or a list with those of each time"
    )


def _acts(value: object) -> object:
    if not value:
        raise ValueError(
            "write what the rule does: `{update_user: {}}`; one that does not act is left out"
        )
    return value


def _reasons(value: object) -> object:
    return (value,) if isinstance(value, str) else value


Device = Literal["android", "ios", "web", "ios_web", "huawei", "amazon", "windows"]
"""A platform that a registered device may be of."""
Happened = Annotated[Any, BeforeValidator(_happened)]
Given = Annotated[
    dict[Annotated[str, AfterValidator(_operation)], Happened], BeforeValidator(_acts)
]
"""What a rule does, by operation."""


class Moved(Declared):
    """One event of a sequence, and when it comes in: so long after the sequence begins."""

    at: DurationMs | None = optional(
        "So long after the beginning; without it, when it happens by its `timestamp`.", example="1s"
    )
    event: dict[str, Tree] = needed("The event, as Segment sends it.")


class Example(Declared):
    """An event, or several, and everything that they give; `segment-bridge test` plays them."""

    name: Annotated[str, Field(min_length=1)] = needed("What it shows.")
    event: dict[str, Tree] | None = optional("The event, as Segment sends it.")
    events: Annotated[tuple[Moved, ...], Field(strict=False)] = default(
        (), "Several events, with the clock moved between them."
    )
    source: Annotated[str, Field(min_length=1)] = default("default", "The source that sends it.")
    now: Moment | None = optional("When the (first) event comes in; without it, when it happens.")
    devices: dict[str, Annotated[tuple[Device, ...], Field(strict=False)]] = default(
        {},
        "By user, the platforms of registered devices, for rules that send to those.",
        example={"u1": ["ios", "android"]},
    )
    gives: dict[str, Given] = default(
        {},
        "By rule, everything that happens: what fires and is not here fails the example; "
        "`(event)` for a `push_token`.",
    )
    skips: dict[str, Annotated[tuple[str, ...], BeforeValidator(_reasons), Field(strict=False)]] = (
        default({}, "By rule, why something does not happen; a reason, or several.")
    )
    merges: dict[str, str] | None = optional(
        "All who turn out to be somebody: the id of before, and the user's; without it, whoever does.",
        example={"8f9a2a71": "u1"},
    )
    never: Annotated[
        tuple[Annotated[str | int | float, BeforeValidator(scalar)], ...], Field(strict=False)
    ] = default((), "Texts and numbers that appear in no request at all.")

    @model_validator(mode="after")
    def _has_events(self) -> Example:
        if (self.event is None) == (not self.events):
            raise ValueError("an example has either `event`, or `events` with one or more")
        return self

    @property
    def sequence(self) -> tuple[Moved, ...]:
        """Its events, as they are written."""
        return self.events if self.event is None else (Moved(event=self.event),)


_VAR = r"[A-Za-z_][A-Za-z0-9_]*"


def _vars(value: object) -> object:
    if isinstance(value, dict):
        for name, one in value.items():
            if not isinstance(name, str) or re.fullmatch(_VAR, name) is None:
                raise ValueError(f"{name}: a name is letters, digits and `_`")
            if isinstance(one, str) and ("{{" in one or "{%" in one):
                raise ValueError(f"{name}: a var is a plain text, and no template")
    return value


def _version(value: object) -> object:
    if value is True:  # which Python has for 1
        raise ValueError("write version: 1")
    return value


class Document(Declared):
    """One mapping file."""

    version: Annotated[Literal[1], BeforeValidator(_version)] = needed(
        "The version of the language.", example=1
    )
    identity: Identity | None = optional("Who an event is about.")
    vars: Annotated[dict[str, Value] | None, BeforeValidator(_vars)] = optional(
        "Values by name, for `{{ vars.name }}`; an app or BRIDGE_VAR_NAME may say otherwise.",
        example={"vip_template": "5f6c3a52-3d0b-4f57-9d5e-1f0a6f5f7c11"},
    )
    push: PushDefaults | None = optional("What holds for every push.")
    push_tokens: Annotated[PushTokens | None, BeforeValidator(tokens_of)] = optional(
        "Push tokens that events carry become devices at OneSignal, for an app without its SDK; "
        "a list of platforms, or an object.",
        example=["ios"],
    )
    rules: Annotated[tuple[Rule, ...], Field(strict=False)] = default((), "The rules, in order.")
    examples: Annotated[tuple[Example, ...], Field(strict=False)] = default(
        (), "Events and what they give; `segment-bridge test` plays them."
    )
