"""Codes as the console says them; those of skips and deaths are `bridge.explain.words`'. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Final

from bridge.console.api import number
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


def kind(type_: str, name: str | None) -> str:
    """What an event is called: its name, or its type when it has none."""
    return name or type_ or "not an event"


Said = Callable[[Mapping[str, str]], str]


def _counted(one: str, many: str) -> Said:
    def said(query: Mapping[str, str]) -> str:
        count = number(query.get("count", "")) or 0
        return one if count == 1 else many.format(f"{count:,}")

    return said


SAID: Final[dict[str, Said]] = {
    "paused": lambda _: "Pushes are paused. What would have left is held; tags go on.",
    "resumed": _counted("Pushes leave again. One that was held is on its way.", "Pushes leave again. {} that were held are on their way."),
    "released": _counted("One push is on its way.", "{} pushes are on their way."),
    "releasing": _counted("One push leaves little by little.", "{} pushes leave little by little."),
    "kept": lambda _: "What left little by little stays, from now on.",
    "held-discarded": _counted("One push was discarded, unsent.", "{} pushes were discarded, unsent."),
    "replayed": _counted("One is tried again.", "{} are tried again."),
    "dead-discarded": _counted("One was discarded for good.", "{} were discarded for good."),
    "skipped-replayed": _counted("One is planned again.", "{} are planned again."),
    "erasing": lambda _: "The customer is being erased, at OneSignal and here.",
}  # fmt: skip
"""What a page says after something was done; the address holds a code and a count, never words."""
