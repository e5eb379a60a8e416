"""Playing an example: its events one after another, with the clock moved, and what comes of them.

What is expected is `expectations`' to compare. An example is about the mapping and not about the plan
that somebody has at OneSignal: it has no tag cap, and passes or fails everywhere alike.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import orjson

from bridge.journal.devices import Device
from bridge.mapping import document
from bridge.mapping.rules import Mapping
from bridge.onesignal.api import ApiName
from bridge.onesignal.operations import MergeUsers, Request
from bridge.plan.requests import requests_of
from bridge.plan.values import Skip
from bridge.rehearsal.stage import Act, Happening, Stage
from bridge.segment.events import Event, Unusable, parse_timestamp, read_event

START_MS = 1_800_000_000_000
"""When an example begins that does not say: 2027-01-15T08:00:00Z."""
APP_ID = "YOUR-APP-ID"


@dataclass(slots=True)
class Played:
    """Everything that an example's events gave, in the order in which it happened."""

    happenings: list[Happening] = field(default_factory=list)
    skips: list[Skip] = field(default_factory=list)
    requests: list[Request] = field(default_factory=list)
    merges: list[MergeUsers] = field(default_factory=list)

    def add(self, act: Act, message_id: str, api: ApiName) -> None:
        self.happenings += act.happenings
        self.skips += act.skips
        self.merges += act.merges
        for operation in act.operations:
            self.requests += requests_of(operation, message_id=message_id, app_id=APP_ID, api=api)


def play(example: document.Example, mapping: Mapping) -> Played:
    """Play an example from a record of nothing."""
    stage = Stage(replace(mapping, tag_cap=None), devices=_registered(example))
    played, heard = Played(), set[str]()
    for number, (now_ms, sent) in enumerate(_timed(example)):
        event = _read(sent, example.source, now_ms, number)
        if isinstance(event, Unusable):
            played.skips.append(Skip(reason=event.code.replace("-", "_"), detail=event.message))
        elif _is_duplicate(event, heard):
            played.skips += stage.for_every_rule(event, Skip(reason="duplicate"))
        else:
            played.add(stage.hear(event, now_ms=now_ms), event.message_id, mapping.api)
    return played


def _registered(example: document.Example) -> dict[str, list[Device]]:
    """The devices of each user; how OneSignal calls them is nobody's business here."""
    return {
        user: [
            Device("", 0, platform, subscription_id=f"{platform} of {user}")
            for platform in platforms
        ]
        for user, platforms in example.devices.items()
    }


def _timed(example: document.Example) -> list[tuple[int, dict[str, Any]]]:
    """Each event with the time at which it comes in, in that order."""
    first = example.sequence[0]
    start = example.now
    if start is None:
        happened = parse_timestamp(first.event.get("timestamp"))
        start = happened - (first.at or 0) if happened else START_MS
    timed = [(_comes_ms(moved, example, start), moved.event) for moved in example.sequence]
    return sorted(timed, key=lambda one: one[0])


def _comes_ms(moved: document.Moved, example: document.Example, start_ms: int) -> int:
    if moved.at is None and example.now is None:
        return parse_timestamp(moved.event.get("timestamp")) or start_ms
    return start_ms + (moved.at or 0)


def _read(sent: dict[str, Any], source: str, now_ms: int, number: int) -> Event | Unusable:
    """One event; those that have no messageId are different events, however alike."""
    event = read_event(sent, raw=orjson.dumps(sent), source=source, received_ms=now_ms)
    if isinstance(event, Unusable) or "messageId" in sent:
        return event
    return replace(event, message_id=f"{event.message_id}-{number}")


def _is_duplicate(event: Event, heard: set[str]) -> bool:
    known = event.message_id in heard and not event.is_test
    heard.add(event.message_id)
    return known
