"""One line for each request that an event makes, and for each that it does not make."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from bridge.mapping.nearest import nearest
from bridge.mapping.rules import Mapping
from bridge.onesignal.operations import Operation, Send
from bridge.plan import plan
from bridge.plan.provisos import Proviso, provisos
from bridge.plan.requests import requests_of, rules_of
from bridge.plan.values import Plan, Skip
from bridge.segment.events import Event, Unusable

APP_ID = "YOUR-APP-ID"


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """A request or a skip; a request of None is one that only our record can make."""

    message_id: str
    rule: str
    operation: str
    request: dict[str, Any] | None = None
    skip: Skip | None = None
    guards: tuple[Proviso, ...] = ()
    notes: tuple[str, ...] = ()

    def as_json(self) -> dict[str, Any]:
        named = {"message_id": self.message_id, "rule": self.rule, "operation": self.operation}
        if self.skip is not None:
            return named | {"skip": {"reason": self.skip.reason, "detail": self.skip.detail}}
        return named | {
            "request": self.request,
            "guards": [guard.name for guard in self.guards],
            "notes": list(self.notes),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Planned:
    """What one event does; `title` is how a person knows it again."""

    title: str
    lines: tuple[Line, ...]


def planned(
    event: Event | Unusable, mapping: Mapping, *, app: str = "default", app_id: str = APP_ID
) -> Planned:
    """Everything that an event would do, and would not."""
    if isinstance(event, Unusable):
        skip = Skip(reason=event.code.replace("-", "_"), detail=event.message)
        line = Line(message_id="", rule="", operation="", skip=skip)
        return Planned(title="not an event", lines=(line,))
    found = plan(event, mapping)
    whose = app, app_id
    lines = [_line(event, operation, found, mapping, whose) for operation in found.operations]
    lines += [
        Line(message_id=event.message_id, rule=skip.rule, operation=skip.operation, skip=skip)
        for skip in (_explained(skip, event, mapping) for skip in found.skips)
    ]
    title = " ".join(part for part in (event.message_id, event.type, event.name) if part)
    return Planned(title=title, lines=tuple(lines))


def _explained(skip: Skip, event: Event, mapping: Mapping) -> Skip:
    """What a person who tries would ask next: why no rule wants the event."""
    near = nearest(mapping.rules, event.fields) if skip.reason == "no_rule" else None
    return skip if near is None else skip._replace(detail=str(near))


def _line(
    event: Event, operation: Operation, found: Plan, mapping: Mapping, whose: tuple[str, str]
) -> Line:
    rules, (app, app_id) = rules_of(operation), whose
    requests = requests_of(
        operation, message_id=event.message_id, app_id=app_id, app=app, api=mapping.api
    )
    terms = found.terms.get(operation.rule) if isinstance(operation, Send) else None
    return Line(
        message_id=event.message_id,
        rule=", ".join(rules),
        operation=operation.name,
        request=next(
            ({"method": one.method, "path": one.path, "body": one.body} for one in requests), None
        ),
        guards=tuple(provisos(operation, terms)),
        notes=tuple(
            str(note)
            for note in found.notes
            if note.operation == operation.name and note.rule in rules
        ),
    )
