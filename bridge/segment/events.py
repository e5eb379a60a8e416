"""One Segment event as the rest of the bridge sees it; pure, and fast enough to run before the 200.

`read_event` reads what everyone needs (ids, type, name, times). The view that conditions and
templates read, `Event.fields`, is built when it is first asked for: many events match no rule.

Segment's senders are many, so nearly everything is taken: ids as numbers, empty ids (absent), times
that cannot be read (then the time of receipt counts), unknown types, `context` that is a string. An
element is `Unusable` only when no event can be made out in it:

```text
not-an-object    it is a string, number, list, ...
event-too-deep   it nests deeper than JSON can be written again
form-encoded     Extensible Webhook with a form content type: {"body": "a=1&b=2"}
```

[segment-docs connections/spec/common, spec/identify, engage/using-engage-data]
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import IntEnum
from typing import Any, Final

from bridge.segment import raw_json
from bridge.segment.audience import (
    NO_AUDIENCE,
    REVERSE_ETL_NAMES,
    Audience,
    ReverseEtl,
    audience_of,
)
from bridge.segment.consent import forbids_ad_id, without_ad_id
from bridge.segment.device import platform_of
from bridge.segment.ids import id_text, message_id_of

#: An event may be ahead of our clock by this much; beyond it the clock that wrote it is wrong.
CLOCK_TOLERANCE_MS: Final = 5 * 60_000
#: An event that is older than this when it arrives waits behind those that are not.
LIVE_FOR_MS: Final = 10 * 60_000

_TEST_PREFIX = "segment-test-message-"
_NO_OBJECT: Final[dict[str, Any]] = {}


class Rank(IntEnum):
    """Which of two waiting events goes first: people before backlogs."""

    LIVE = 0
    BULK = 1


@dataclass(slots=True, eq=False)
class Event:
    """One Segment call. Not to be changed (frozen would double the time it takes to make one)."""

    #: As sent; unknown types pass through; "" when absent.
    type: str
    #: Of a page or screen its name; else the event's name, which only track has by the spec.
    name: str | None
    #: `sha-` and a hash when Segment sent none, or one above 100 characters.
    message_id: str
    user_id: str | None = field(repr=False)
    anonymous_id: str | None = field(repr=False)
    #: When it happened: `timestamp`, at most 5 minutes after receipt; else the receipt.
    event_ms: int
    received_ms: int
    #: The route's source.
    source: str
    #: Sent by Segment's event tester.
    is_test: bool
    #: The JSON object as sent; `fields` is what to read.
    sent: dict[str, Any] = field(repr=False)
    #: Of that two objects; empty where they are none.
    context: dict[str, Any] = field(repr=False)
    properties: dict[str, Any] = field(repr=False)
    reverse_etl: ReverseEtl | None = field(repr=False)
    _fields: dict[str, Any] | None = field(default=None, init=False, repr=False)
    _audience: Audience | None = field(default=None, init=False, repr=False)

    @property
    def fields(self) -> dict[str, Any]:
        """What conditions and templates read: the event, normalised, with the computed fields.

        Ids are strings, absent ones are left out; `context`, `properties`, `traits` and
        `integrations` are objects or left out; an advertising id that may not be used is left out.
        Computed, over whatever the event calls so: `source`, `replay`, `device.platform`,
        `audience.{class,key,entered,value}`.
        """
        if self._fields is None:
            self._fields = _fields_of(self)
        return self._fields

    @property
    def audience(self) -> Audience:
        if self._audience is None:
            says = (
                "personas" in self.context
                or "audience_key" in self.properties
                or self.reverse_etl is not None
            )
            self._audience = audience_of(self.sent, self.reverse_etl) if says else NO_AUDIENCE
        return self._audience

    @property
    def is_replay(self) -> bool:
        return self.sent.get("replay") is True

    @property
    def previous_id(self) -> str | None:
        """The id that an alias call links to the user's."""
        return id_text(self.sent.get("previousId")) or (
            id_text(self.sent.get("Previous ID")) if self.type == "alias" else None
        )


def is_test_message(message_id: str) -> bool:
    """Whether Segment's event tester made this id; it uses the same one again."""
    return message_id.startswith(_TEST_PREFIX)


@dataclass(frozen=True, slots=True, kw_only=True)
class Unusable:
    """Why an element is not an event; it is kept as dead under this code."""

    code: str
    message: str


_TOO_DEEP = Unusable(
    code="event-too-deep",
    message=f"The event nests deeper than {raw_json.DEEPEST} levels.",
)
_FORM = Unusable(
    code="form-encoded",
    message="The element is a form, not an event: set the webhook's content type to JSON.",
)


def read_event(
    element: object,
    *,
    raw: bytes,
    source: str,
    received_ms: int,
    reverse_etl: ReverseEtl | None = None,
) -> Event | Unusable:
    """One element of a request as an event. Never raises.

    Args:
        element: Any JSON value, with "json" wrappers already taken off.
        raw: Its text, from which a missing messageId is made.
        source: The route's source.
        received_ms: When the request arrived, milliseconds since 1970.
        reverse_etl: Set when the source is a reverse ETL one.
    """
    if raw_json.is_too_deep(raw):
        return _TOO_DEEP
    if type(element) is not dict:
        return _not_an_object(element)
    sent: dict[str, Any] = element
    kind = sent.get("type")
    if type(kind) is not str:
        if len(sent) == 1 and type(sent.get("body")) is str:
            return _FORM
        kind = ""
    name = sent.get("name" if kind in {"page", "screen"} else "event")
    user_id = id_text(sent.get("userId"))
    if user_id is None and kind == "alias":
        user_id = id_text(sent.get("User ID"))
    message_id = message_id_of(sent, raw)
    at = parse_timestamp(sent.get("timestamp"))
    context, properties = sent.get("context"), sent.get("properties")
    return Event(
        kind,
        name if type(name) is str else None,
        message_id,
        user_id,
        id_text(sent.get("anonymousId")),
        _event_ms(at, received_ms),
        received_ms,
        source,
        is_test_message(message_id),
        sent,
        context if type(context) is dict else _NO_OBJECT,
        properties if type(properties) is dict else _NO_OBJECT,
        reverse_etl,
    )


def _event_ms(at: int | None, received_ms: int) -> int:
    if not at:  # 0 is a clock that was never set
        return received_ms
    latest = received_ms + CLOCK_TOLERANCE_MS
    return min(at, latest)


def _not_an_object(element: object) -> Unusable:
    kinds = {str: "a string", list: "a list", bool: "a boolean", type(None): "null"}
    kind = kinds.get(type(element), "a number")
    return Unusable(code="not-an-object", message=f"The element is {kind}, not a JSON object.")


_IDS = ("userId", "anonymousId", "groupId", "previousId")
_OBJECTS = ("context", "properties", "traits", "integrations")


def _fields_of(event: Event) -> dict[str, Any]:
    fields = {
        **event.sent,
        "messageId": event.message_id,
        "source": event.source,
        "replay": event.is_replay,
        "device": {"platform": platform_of(event.context)},
        "audience": event.audience.as_field(),
    }
    if event.type == "alias":
        fields |= {"userId": event.user_id, "previousId": event.previous_id}
    # What is absent is as good as what is right.
    for name in _IDS:
        found = fields.get(name, name)
        if type(found) is not str or not found:
            _put_id(fields, name)
    for name in _OBJECTS:
        if type(fields.get(name, _NO_OBJECT)) is not dict:
            del fields[name]
    if forbids_ad_id(event.context):
        fields["context"] = without_ad_id(event.context)
    return fields


def _put_id(fields: dict[str, Any], name: str) -> None:
    """An id that is no text yet, or none."""
    text = id_text(fields.pop(name))
    if text is not None:
        fields[name] = text


def _object(sent: dict[str, Any], name: str) -> dict[str, Any]:
    found = sent.get(name)
    return found if type(found) is dict else _NO_OBJECT


# Times


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_DIGITS = re.compile(r"[0-9]{9,19}(?:\.[0-9]{1,9})?", re.ASCII)
_ZONE_NAME = re.compile(r"\s*(?:\[[^\]]*\]|(?<=[0-9 ])(?:z|utc|gmt))$", re.ASCII | re.IGNORECASE)


def parse_timestamp(text: object) -> int | None:
    """Milliseconds since 1970 of an ISO 8601 time or a number; None when it cannot be read.

    Nanoseconds are cut off; no zone means UTC; `z`, ` UTC` and Java's `[GMT]` endings are taken.
    Numbers, as such or as text, are seconds, milli-, micro- or nanoseconds by their size; below 1e8
    they are no clock reading. Only 1970 to 9999 is in range. Never raises.
    """
    if type(text) is str:
        # Without the dash it may be digits, which fromisoformat could take for a compact date.
        return (_parse_iso(text) if text[4:5] == "-" else None) or _parse_unusual(text)
    if type(text) is int or type(text) is float:
        return _from_number(text)
    return None


def _parse_iso(text: str) -> int | None:
    try:
        moment = datetime.fromisoformat(text)
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=UTC)
        since = moment - _EPOCH
    except (ValueError, OverflowError):
        return None
    # Dividing it by a millisecond takes three times as long.
    seconds = since.days * 86_400 + since.seconds
    return seconds * 1000 + since.microseconds // 1000 if seconds >= 0 else None


def _parse_unusual(text: str) -> int | None:
    if len(text) > 100:
        return None
    text = text.strip()
    if _DIGITS.fullmatch(text):
        return _from_number(float(text) if "." in text else int(text))
    bare = _ZONE_NAME.sub("", text)
    return _parse_iso(_ZONE_NAME.sub("", bare))


def _from_number(number: float) -> int | None:
    if not 1e8 <= number < 1e19:
        return None
    for limit, per_second in ((1e11, 1), (1e14, 10**3), (1e17, 10**6)):
        if number < limit:
            return int(number * 1000 // per_second)
    return int(number // 10**6)


# What to make of an event


def rank_of(event: Event, *, now_ms: int, source_is_bulk: bool) -> Rank:
    """Bulk for what comes in backlogs: replays, Engage syncs, reverse ETL, old events; else live.

    Args:
        event: Any event.
        now_ms: Now, milliseconds since 1970.
        source_is_bulk: The source is marked `bulk`, or this is an import.
    """
    is_bulk = (
        source_is_bulk
        or event.event_ms < now_ms - LIVE_FOR_MS
        or event.sent.get("replay") is True
        or ("__segment_internal" in event.context and _is_sync(event))
        or (event.name in REVERSE_ETL_NAMES and _is_reverse_etl(event))
    )
    return Rank.BULK if is_bulk else Rank.LIVE


def _is_sync(event: Event) -> bool:
    return _object(event.context, "__segment_internal").get("creator") == "sync-worker"


def _is_reverse_etl(event: Event) -> bool:
    # A name alone proves nothing ("new" may be anybody's event); rows carry Segment's own column.
    is_row = event.reverse_etl is not None or "__segment_id" in event.properties
    return is_row and event.type == "track"


#: What OneSignal's Segment source calls its events. [documentation.onesignal.com segment docs]
_ONESIGNAL_NAMES = frozenset(
    {"Push Sent", "Push Received", "Push Clicked"}
    | {f"In-App Message {what}" for what in ("Displayed", "Clicked", "Page Displayed")}
    | {f"Email {what}" for what in ("Sent", "Opened", "Unsubscribed", "Received", "Failed")}
    | {"Email Clicked", "Email Reported As Spam", "Email Hardbounced"}
    | {f"SMS {what}" for what in ("Sent", "Delivered", "Failed")}
)


def is_onesignal_echo(event: Event) -> bool:
    """Whether OneSignal itself sent this, through its Segment source: reacting would never end."""
    context = event.context
    return (
        _names_onesignal(context.get("library"))
        or ("integration" in context and _names_onesignal(context["integration"]))
        or (event.name in _ONESIGNAL_NAMES and bool(event.properties.get("onesignal_id")))
    )


def _names_onesignal(library: object) -> bool:
    name = library.get("name") if type(library) is dict else library
    return type(name) is str and "onesignal" in name.lower()


_OUR_NAMES = ("OneSignal", "OneSignal New", "OneSignal (New)")


def routed_away(event: Event) -> bool:
    """Whether the sender said, by name, that this is not for OneSignal.

    `All: false` means nothing on a webhook route: replays and Engage always carry it, and Segment
    has routed already. An object (options) counts as enabled. Names are case-sensitive.
    """
    integrations = _object(event.sent, "integrations")
    return bool(integrations) and any(integrations.get(name) is False for name in _OUR_NAMES)
