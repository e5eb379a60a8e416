"""A mapping file as operators write it.

Each field is declared here, once; the parser, `check` and the documentation read this declaration.
What a file means when it runs is `rules`.
"""

from __future__ import annotations

import math
import re
from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    model_validator,
)

from bridge.onesignal.platforms import PLATFORMS, Policy

_DURATION = re.compile(r"([0-9]{1,15})([smhd])")
_UNIT_MS = {"s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
TTL_MAX_MS = 2_419_200_000
DURATION_MAX_MS = 3650 * _UNIT_MS["d"]
"""Ten years: beyond it an event's time and a duration do not add up to a time."""
_TREE_DEPTH = 20


def duration_ms(value: object) -> int:
    """`30s`, `10m`, `6h`, `2d` in milliseconds.

    Raises:
        ValueError: it is none of these, or above ten years.
    """
    found = _DURATION.fullmatch(value) if isinstance(value, str) else None
    if found is None:
        raise ValueError("a duration is a number and a unit: 30s, 10m, 6h, 2d")
    ms = int(found[1]) * _UNIT_MS[found[2]]
    if ms > DURATION_MAX_MS:
        raise ValueError("a duration is ten years at most: 3650d")
    return ms


def _moment_ms(value: object) -> int:
    """An ISO 8601 time with its zone, in milliseconds since 1970."""
    try:
        moment = datetime.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        raise ValueError('a moment is a date, a time and a zone: "2026-11-27T08:00:00+01:00"')
    return round(moment.timestamp() * 1000)


def _off(value: object) -> object:
    """`off` is what YAML 1.1 has for false; both are taken."""
    return "off" if value is False else value


def _ttl_ms(value: object) -> int:
    ms = duration_ms(value)
    if ms > TTL_MAX_MS:
        raise ValueError("OneSignal keeps a notification for 28 days at most: ttl: 28d")
    return ms


def _policy(value: object) -> object:
    if isinstance(value, Policy):
        return value
    if value == "all":
        return Policy(kind="all")
    if isinstance(value, dict) and len(value) == 1:
        (kind, names), *_ = value.items()
        if kind in {"only", "exclude"} and isinstance(names, list) and names:
            return Policy(kind=kind, names=frozenset(_known_platforms(names)))
    raise ValueError("write `all`, `{only: [android, web]}` or `{exclude: [ios]}`")


def _known_platforms(names: list[Any]) -> list[str]:
    unknown = [str(name) for name in names if name not in PLATFORMS]
    if unknown:
        raise ValueError(f"{', '.join(unknown)}: a platform is one of {', '.join(PLATFORMS)}")
    return names


def _texts(value: object) -> object:
    """`"text"` is short for `{en: "text"}`."""
    return {"en": value} if isinstance(value, str) else value


def _rule_name(value: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}", value):
        raise ValueError("a rule's name is letters, digits, `-`, `_` and `.`, up to 100 of them")
    return value


def _paths(value: object) -> object:
    return (value,) if isinstance(value, str) else value


def _scalar(value: object) -> object:
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError("this is not a number that JSON has")
    if value is not None and not isinstance(value, str | bool | int | float):
        raise ValueError("write a text, a number, true or false; a date needs quotes")
    return value


def _tag_value(value: object) -> object:
    if value is None:
        raise ValueError('write a value, or "" to delete the tag')
    return _scalar(value)


def _json(value: object, depth: int = 0) -> object:
    if depth > _TREE_DEPTH:
        raise ValueError(f"this is deeper than {_TREE_DEPTH} levels")
    if isinstance(value, dict):
        if not all(isinstance(key, str) for key in value):
            raise ValueError("a name is a text; put quotes around a number")
        return {key: _json(one, depth + 1) for key, one in value.items()}
    if isinstance(value, list):
        return [_json(one, depth + 1) for one in value]
    if isinstance(value, int) and not -(2**63) <= value < 2**63:
        raise ValueError("this number is too large; put quotes around it")
    return _scalar(value)


Scalar = Annotated[str | bool | int | float | None, BeforeValidator(_scalar)]
"""A literal, or a text with `{{ }}`; see "Values" in mappings/README.md."""
TagValue = Annotated[str | bool | int | float, BeforeValidator(_tag_value)]
"""As `Scalar`, but never left empty: what deletes a tag is `""`, said aloud."""
Tree = Annotated[Any, AfterValidator(_json)]
"""Scalars in lists and objects."""
DurationMs = Annotated[int, BeforeValidator(duration_ms)]
Moment = Annotated[int, BeforeValidator(_moment_ms)]
Platforms = Annotated[Policy, BeforeValidator(_policy)]
Beginning = Annotated[str, Field(min_length=1)]
Texts = Annotated[dict[str, str], BeforeValidator(_texts), Field(min_length=1)]
"""One text, or a text by language: `{en: …, de: …}`."""


class _Declared(BaseModel):
    model_config = ConfigDict(
        extra="forbid", frozen=True, arbitrary_types_allowed=True, strict=True
    )


class Identity(_Declared):
    """Who an event is about."""

    #: One path, or a list of which the first present counts; read before the answer to Segment.
    external_id: Annotated[
        tuple[str, ...], BeforeValidator(_paths), Field(strict=False, min_length=1)
    ] = ("{{ userId }}",)
    #: Events that have no external_id are skipped.
    anonymous: Literal["skip"] = "skip"
    #: What to do with a user that OneSignal does not have yet.
    unknown: Literal["create", "skip"] = "create"


class Rate(_Declared):
    """So many in so long: `{max: 2000, per: 10m}`."""

    max: Annotated[int, Field(ge=1)]
    per: DurationMs


class Cap(_Declared):
    """Pushes to one person, over all rules."""

    max: Annotated[int, Field(ge=1, le=7)] = 5
    per: DurationMs = 900_000


class OncePer(_Declared):
    """A rule fires once in so long for a person, and for a key if there is one."""

    time: DurationMs
    key: str | None = None


class PushDefaults(_Declared):
    """What holds for every push of this mapping."""

    cap: Cap = Cap()

    platforms: Platforms | None = None
    #: Where links and pictures that come from an event may point: beginnings of addresses.
    links: Annotated[tuple[Beginning, ...], Field(strict=False)] = ()


class Selection(_Declared):
    """Fields of the event to copy as tags."""

    include: Annotated[tuple[str, ...], Field(strict=False)] = ()
    rename: dict[str, str] = {}
    prefix: str = ""


class AudienceTags(_Declared):
    """One tag an audience: `"true"` on entering, deleted on leaving."""

    prefix: str = ""


class TagsFrom(_Declared):
    traits: Selection | None = None
    properties: Selection | None = None
    context: Selection | None = None
    audience: AudienceTags | None = None


class UpdateUser(_Declared):
    """Write tags and properties of the event's user."""

    tags: dict[str, TagValue] = {}
    tags_from: TagsFrom = TagsFrom()
    #: A locale is enough: `de-AT` becomes `de`.
    language: Scalar = None
    #: An IANA name, such as Europe/Vienna.
    timezone: Scalar = None
    #: Two letters, ISO 3166.
    country: Scalar = None


class SendNotification(_Declared):
    """Send one push to the event's user."""

    contents: Texts | None = None
    headings: Texts | None = None
    subtitle: Texts | None = None
    #: An https address, for all platforms; or one for apps and one for browsers.
    url: str | None = None
    app_url: str | None = None
    web_url: str | None = None
    #: Every picture field of the platforms that the policy allows.
    image: str | None = None
    big_picture: str | None = None
    huawei_big_picture: str | None = None
    adm_big_picture: str | None = None
    chrome_web_image: str | None = None
    ios_attachments: dict[str, str] | None = None
    template_id: str | None = None
    custom_data: dict[str, Tree] | None = None
    data: dict[str, Tree] | None = None
    ttl: Annotated[int, BeforeValidator(_ttl_ms)] | None = None
    #: Up to 64 characters; a later push with the same id replaces the earlier one.
    collapse_id: str | None = None
    priority: Literal[5, 10] | None = None
    platforms: Platforms | None = None


class Do(_Declared):
    update_user: UpdateUser | None = None
    send_notification: SendNotification | None = None


class Rule(_Declared):
    """What to do with an event, and when."""

    name: Annotated[str, AfterValidator(_rule_name)]
    when: str
    do: Do
    #: When it begins to act; memberships are learnt before, too.
    starts: Moment | None = None
    #: When it ends to act.
    ends: Moment | None = None
    #: Too old to push after this; Segment itself retries for 4 hours.
    max_age: DurationMs = 14_400_000
    once_per: OncePer | None = None
    #: More than so many pushes of this rule in so long are held for a person to release.
    limit: Annotated[Rate | Literal["off"] | None, BeforeValidator(_off)] = None
    #: `off`: a rule for conversations, not subject to `push.cap`.
    cap: Annotated[Literal["off"] | None, BeforeValidator(_off)] = None
    #: Sends with equal bodies wait so long for each other, and leave in one call.
    group: Annotated[DurationMs | Literal["off"], BeforeValidator(_off)] = "off"
    #: Updates wait so long for further ones of the same user.
    fold: DurationMs = 0
    #: `send`: values that OneSignal has already are written again, because others write them too.
    unchanged: Literal["skip", "send"] = "skip"
    #: About something that the person did or ordered: not subject to limits meant for campaigns.
    transactional: bool = False
    #: Whether events that Segment replays may push.
    replays: bool = False
    #: Whether events that come from OneSignal itself count.
    echo: bool = False


def _operation(name: str) -> str:
    if name not in Do.model_fields:
        raise ValueError(f"an operation is one of {', '.join(Do.model_fields)}")
    return name


def _happened(value: object) -> object:
    """What an operation of an example is to be: fields; several, one after another; or just done."""
    if value is None:
        return {}
    if isinstance(value, dict) or (
        isinstance(value, list) and value and all(isinstance(one, dict) for one in value)
    ):
        return _json(value)
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


Happened = Annotated[Any, BeforeValidator(_happened)]
Given = Annotated[
    dict[Annotated[str, AfterValidator(_operation)], Happened], BeforeValidator(_acts)
]
"""What a rule does, by operation."""


class Moved(_Declared):
    """One event of a sequence, and when it comes in: so long after the sequence begins."""

    #: Without it, when it happens by its `timestamp`; without that, when the sequence begins.
    at: DurationMs | None = None
    event: dict[str, Tree]


class Example(_Declared):
    """An event, or several, and everything that they give; `segment-bridge test` plays them."""

    name: Annotated[str, Field(min_length=1)]
    event: dict[str, Tree] | None = None
    events: Annotated[tuple[Moved, ...], Field(strict=False)] = ()
    #: The source that sends it.
    source: Annotated[str, Field(min_length=1)] = "default"
    #: When the (first) event comes in; without it, when it happens.
    now: Moment | None = None
    #: By rule, everything that happens: what fires and is not here fails the example.
    gives: dict[str, Given] = {}
    #: By rule, why something does not happen; a reason, or several.
    skips: dict[
        str, Annotated[tuple[str, ...], BeforeValidator(_reasons), Field(strict=False)]
    ] = {}
    #: Texts and numbers that appear in no request at all.
    never: Annotated[
        tuple[Annotated[str | int | float, BeforeValidator(_scalar)], ...], Field(strict=False)
    ] = ()

    @model_validator(mode="after")
    def _has_events(self) -> Example:
        if (self.event is None) == (not self.events):
            raise ValueError("an example has either `event`, or `events` with one or more")
        return self

    @property
    def sequence(self) -> tuple[Moved, ...]:
        """Its events, as they are written."""
        return self.events if self.event is None else (Moved(event=self.event),)


class Document(_Declared):
    """One mapping file."""

    version: Literal[1]
    identity: Identity | None = None
    push: PushDefaults | None = None
    rules: Annotated[tuple[Rule, ...], Field(strict=False)] = ()
    examples: Annotated[tuple[Example, ...], Field(strict=False)] = ()
