"""The event planned once more, with the mapping of today: what it asks for, and what it does not."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import orjson

from bridge.journal.trace import Event as Heard, Trace
from bridge.mapping.conjuncts import Unmet, undecided, unmet
from bridge.mapping.rules import Mapping, Rule
from bridge.mapping.terms import Terms
from bridge.onesignal.operations import EXTERNAL_ID, Operation, Recipient, Send
from bridge.plan import plan
from bridge.plan.requests import requests_of, rules_of
from bridge.plan.values import Plan
from bridge.segment.events import Event, Unusable, rank_of, read_event


class NotMet(NamedTuple):
    """A rule that does not want the event."""

    rule: str
    #: The parts of its condition that are not true; empty: it is about other events.
    parts: list[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Again:
    event: Event
    mapping: Mapping
    plan: Plan
    #: It was heard of another id of the one whom it is about.
    is_another: bool = False

    def operation(self, rule: str, name: str) -> Operation | None:
        """What a rule asks for."""
        wanted = (one for one in self.plan.operations if one.name == name)
        return next((one for one in wanted if rule in rules_of(one)), None)

    def terms(self, rule: str) -> Terms | None:
        return self.plan.terms.get(rule)

    def request(self, rule: str, name: str, *, app: str, app_id: str) -> dict[str, Any] | None:
        """What would be asked of OneSignal, when nothing is known of what was written before."""
        one = self.operation(rule, name)
        if one is None:
            return None
        message_id = self.event.message_id
        requests = requests_of(
            one, message_id=message_id, app_id=app_id, app=app, api=self.mapping.api
        )
        first = next(iter(requests), None)
        if first is None:
            return None
        return {"method": first.method, "path": first.path, "body": first.body}

    def names(self) -> Iterator[tuple[str, str]]:
        """Rule and operation of everything that the mapping does with the event, or says why not."""
        for one in self.plan.operations:
            yield from ((rule, one.name) for rule in rules_of(one))
        for skip in self.plan.skips:
            if skip.rule:
                yield skip.rule, skip.operation

    def recipient(self, rule: str, name: str) -> Recipient | None:
        """Who gets a send."""
        one = self.operation(rule, name)
        return one.to if isinstance(one, Send) else None

    def not_met(self, *, hides: bool = False) -> list[NotMet]:
        """The rules whose condition the event does not meet, in the mapping's order."""
        fields = self.event.fields
        met = {rule.name for rule in self.mapping.met_by(fields)}
        return [
            NotMet(rule.name, _parts(rule, self.event, hides=hides))
            for rule in self.mapping.rules
            if rule.name not in met
        ]

    def is_bulk(self, *, source_is_bulk: bool) -> bool:
        return bool(
            rank_of(self.event, now_ms=self.event.received_ms, source_is_bulk=source_is_bulk)
        )


def read_again(heard: Heard, mapping: Mapping) -> Event | None:
    """The event as it is read today; None when it is not kept, or is none."""
    if heard.payload is None:
        return None
    event = read_event(
        orjson.loads(heard.payload),
        raw=heard.payload,
        source=heard.source,
        received_ms=heard.received_ms,
        reverse_etl=mapping.reverse_etl,
    )
    return None if isinstance(event, Unusable) else event


def again(trace: Trace, mapping: Mapping | None) -> Again | None:
    """The plan of today; None when the payload is not kept, or nothing can be made of it."""
    if mapping is None:
        return None
    try:
        event = read_again(trace.event, mapping)
        if event is None:
            return None
        planned = plan(event, mapping, apart=True, person=lambda user: _person(user, trace))
        user = mapping.user(event.fields)
        is_another = user is not None and user.id != trace.external_id
        return Again(event=event, mapping=mapping, plan=planned, is_another=is_another)
    except Exception:  # noqa: BLE001 — an event that breaks planning is dead, and its death is told
        return None


def _person(user: Recipient, trace: Trace) -> Recipient:
    """Whom the event is about by now: an id of it may have been found to be somebody's."""
    known = trace.external_id
    return user if known is None else Recipient(EXTERNAL_ID, known)


def not_met_by_name(trace: Trace, mapping: Mapping) -> list[NotMet]:
    """Of an event that no rule wanted and of which nothing else is kept: by its type and name."""
    heard = trace.event
    fields = {"type": heard.type, "event": heard.name, "source": heard.source}
    return [
        NotMet(rule.name, [] if _is_of_others(rule, fields) else undecided(rule.condition, fields))
        for rule in mapping.rules
    ]


def _is_of_others(rule: Rule, fields: dict[str, Any]) -> bool:
    """The rule is about events of another type, name or source alone."""
    pins = rule.condition.pins
    return any(fields.get(name) not in texts for (name,), texts in pins.items())


def _parts(rule: Rule, event: Event, *, hides: bool) -> list[str]:
    """What the event does not meet; nothing, when the rule is about other events."""
    wrong = [] if _is_of_others(rule, event.fields) else unmet(rule.condition, event.fields)
    if event.audience.class_ is None and any(_asks_of_audience(part) for part in wrong):
        return []
    return [part.text if hides else _words(part) for part in wrong]


def _asks_of_audience(part: Unmet) -> bool:
    return any(path.startswith("audience.") for path in part.found)


def _words(part: Unmet) -> str:
    there = ", ".join(f"{path} is {_shown(value)}" for path, value in part.found.items())
    return f"{part.text} ({there})" if there else part.text


def _shown(value: Any) -> str:
    if isinstance(value, dict | list):
        return "an object" if isinstance(value, dict) else f"a list of {len(value)}"
    try:
        text = orjson.dumps(value).decode()
    except (TypeError, ValueError):
        text = str(value)
    return text if len(text) <= 80 else f"{text[:79]}…"
