"""Codes as people are told them; those of skips and deaths are `bridge.explain.words`'. Pure."""

from __future__ import annotations

import re
from typing import Final

from bridge.explain import words as explained
from bridge.plan.values import Skip

_APP: Final = re.compile(r"^/apps/[^/]+(?=/)")

STATES: Final = {
    "pending": "pending",
    "held": "held",
    "dead": "dead",
    "delivered": "accepted",
    "no_recipients": "reached nobody",
    "discarded": "discarded",
    "skipped": "skipped",
    "not_done": "not done",
}
MEANINGS: Final = {
    "pending": "it waits for its turn, or for OneSignal",
    "held": "it waits for a person to decide",
    "dead": "it could not be done, and is kept",
    "delivered": "OneSignal accepted it",
    "no_recipients": "OneSignal accepted it, and knows no device of this person",
    "discarded": "a person gave it up, or its customer was erased",
    "skipped": "it was not to be done, and the reason is known",
}
OPERATIONS: Final = {
    "send_notification": "push",
    "update_user": "tags and profile",
    "track_custom_event": "custom event",
    "create_alias": "alias",
    "add_subscription": "subscription added",
    "remove_subscription": "subscription removed",
    "delete_user": "user deleted",
}


def state(name: str) -> str:
    return STATES.get(name, name)


def operation(name: str) -> str:
    return OPERATIONS.get(name, name.replace("_", " ") or "the whole event")


_LACKS: Final = {
    "missing": "the event lacks a value that it needs",
    "no_consent": "its person has not agreed",
    "not_text": "a value is no text",
    "not_a_date": "a value is no date with a zone",
    "empty_text": "its text would have been empty",
    "too_long": "a value is longer than OneSignal takes",
    "liquid_in_value": "a value holds a template, which OneSignal would run",
    "many_recipients": "it names more than one person",
}
"""Skips whose words name a value: of many events together, none."""


def reason(name: str) -> str:
    """A reason of a skip or a death as a sentence's half."""
    known = _LACKS.get(name) or explained.SKIPS.get(name)
    return known or explained.death(name, None)


def path(text: str) -> str:
    """The path of a call, without the app that all of them name."""
    return _APP.sub("…", text)


def skip(one: Skip) -> str:
    """Why a plan leaves something undone."""
    said = explained.skip(one.reason, None if one.reason == "no_rule" else one.detail)
    near = f"; {one.detail}" if one.reason == "no_rule" and one.detail else ""
    return f"{said[:1].upper()}{said[1:]}{near}"


def number(value: float) -> str:
    """`1,204`."""
    return f"{value:,}" if isinstance(value, int) else f"{value:,.1f}".removesuffix(".0")


def seconds(value: float) -> str:
    """A stretch of time, as short as it may be."""
    if value < 1:
        return f"{value * 1000:.0f} ms"
    return f"{value:.1f} s" if value < 10 else explained.ago(round(value * 1000))


def kind(type_: str, name: str | None) -> str:
    """What an event is called: its name, or its type when it has none."""
    return name or type_ or "not an event"
