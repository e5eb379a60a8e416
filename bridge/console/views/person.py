"""What is told of one person: what was written, notifications, skips. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from bridge.console.views.drawing import PUSH, Drawn, drawn
from bridge.explain.hiding import hidden_below
from bridge.onesignal.operations import EXTERNAL_ID_LENGTH, is_blocked_external_id

_OF_NO_TAG: Final = ("alias.", "subscription.", "contact.")
_CONTACTS: Final = {"Email": "e-mail", "SMS": "text message"}
PLATFORMS: Final = {
    "ios": "iPhone", "android": "Android", "web": "web", "ios_web": "web app on an iPhone", "huawei": "Huawei",
    "amazon": "Amazon", "windows": "Windows", "macos": "Mac",
}  # fmt: skip
KINDS: Final = {
    "iOSPush": "iPhone", "AndroidPush": "Android", "ChromePush": "Chrome", "FirefoxPush": "Firefox", "SafariPush": "Safari",
    "SafariLegacyPush": "Safari", "HuaweiPush": "Huawei", "FireOSPush": "Amazon", "WindowsPush": "Windows",
    "macOSPush": "Mac", "Email": "e-mail", "SMS": "text message",
}  # fmt: skip
"""Of OneSignal's types of subscriptions what people call them."""


class Written(NamedTuple):
    """Something that we wrote for somebody, and by which event."""

    name: str
    value: Any
    event_ms: int
    message_id: str
    #: None: it is not known to be at OneSignal.
    accepted_ms: int | None


class There(NamedTuple):
    """A subscription as OneSignal knows it."""

    kind: str
    is_on: bool
    model: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    tags: list[Written]
    properties: list[Written]
    aliases: list[Written]
    contacts: list[tuple[str, Written]]

    @property
    def any(self) -> bool:
        return bool(self.tags or self.properties or self.aliases or self.contacts)


class Notified(NamedTuple):
    """A push of the person's, and what became of it."""

    seq: int
    rule: str
    status: str
    words: str
    at_ms: int | None
    push: Drawn | None


class Skipped(NamedTuple):
    seq: int
    event: str
    rule: str
    operation: str
    words: str
    at_ms: int | None


def facts(written: Sequence[Written], *, hides: bool) -> Facts:
    """What was written, by what it is; the newest word first."""
    if hides:
        written = [
            one._replace(value=hidden_below(one.value)) for one in written if not _is_left(one)
        ]
    ordered = sorted(written, key=lambda one: -one.event_ms)

    def under(prefix: str) -> Iterator[Written]:
        return (
            one._replace(name=one.name.removeprefix(prefix))
            for one in ordered
            if one.name.startswith(prefix)
        )

    plain = [one for one in ordered if one.name and not one.name.startswith((*_OF_NO_TAG, "tags."))]
    contacts = [(_CONTACTS.get(one.name, one.name), _contact(one)) for one in under("contact.")]
    contacts += [
        (KINDS.get(one.name.partition(".")[0], one.name), one) for one in under("subscription.")
    ]
    return Facts(
        tags=list(under("tags.")),
        properties=plain,
        aliases=list(under("alias.")),
        contacts=contacts,
    )


def _is_left(one: Written) -> bool:
    """A tag that an erasure has still to empty at OneSignal: nothing but its name is kept."""
    return one.value is None and one.event_ms == 0


def _contact(one: Written) -> Written:
    """An address, and whether Segment has said no."""
    value = one.value
    if not isinstance(value, dict):
        return one
    address = value.get("address")
    off = value.get("opted_in") is False
    return one._replace(value=f"{address} (said no)" if off and address else address)


def notifications(stories: Sequence[dict[str, Any]], *, hides: bool) -> list[Notified]:
    """The pushes of a person's newest events, newest first; who sees no values sees whom each reaches."""
    return [
        Notified(
            story["seq"],
            one["rule"],
            one["status"],
            one["words"],
            one["at_ms"],
            _push(story, one, hides=hides),
        )
        for story in stories
        for one in story["operations"]
        if one["operation"] == PUSH and one["status"] not in {"skipped", "not_done"}
    ]


def _push(story: dict[str, Any], told: dict[str, Any], *, hides: bool) -> Drawn | None:
    calls = [one["body"] for one in story["calls"] if told["key"] and one["key"] == told["key"]]
    calls += [one["body"] for one in story["calls"] if one["operation"] == PUSH]
    planned = told["planned"]["body"] if told["planned"] else None
    body = next((one for one in (*calls, planned) if isinstance(one, dict)), None)
    if body is None:
        return None
    found = drawn(body)
    return (
        Drawn(title=None, subtitle=None, text=None, platforms=found.platforms) if hides else found
    )


def skips(stories: Sequence[dict[str, Any]]) -> list[Skipped]:
    """What was not done for the person's newest events, and why."""
    return [
        Skipped(
            story["seq"],
            story["event"] or story["type"] or "not an event",
            one["rule"],
            one["operation"],
            one["words"],
            one["at_ms"],
        )
        for story in stories
        for one in story["operations"]
        if one["status"] == "skipped" and one["reason"] not in {"unchanged", "no_rule"}
    ]


def may_be_erased(external_id: str) -> bool:
    """Whether it is an id that a user of OneSignal's can have."""
    return 0 < len(external_id) <= EXTERNAL_ID_LENGTH and not is_blocked_external_id(external_id)
