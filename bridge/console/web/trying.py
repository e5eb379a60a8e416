"""Try it: what an event would ask of OneSignal, under the mapping that runs or an edited draft. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from bridge.config import App, Source
from bridge.config.mappings import compile_of
from bridge.console.web.drawing import PUSH, Drawn, drawn
from bridge.errors import ConfigurationError, Finding
from bridge.mapping.load import Source as Text
from bridge.mapping.rules import Mapping
from bridge.plan.lines import Planned, planned
from bridge.segment.body import NotJson, read_body
from bridge.segment.events import Event, Unusable, parse_timestamp, read_event

MOST: Final = 20
"""Events that are tried at once."""
_AROUND: Final = 2


class Pointed(NamedTuple):
    """A finding with the lines of the draft that it stands in."""

    finding: Finding
    #: Number, text, and whether it is this one.
    lines: list[tuple[int, str, bool]]


class Tried(NamedTuple):
    """What one event comes to; of each request that is a push what it looks like."""

    planned: Planned
    pushes: list[Drawn | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """An edited mapping: what it is, or what is wrong with it."""

    mapping: Mapping | None
    findings: list[Pointed]


def draft_of(texts: Sequence[Text], edited: int, *, source: Source, app: App) -> Draft:
    """The mapping with one of its files edited."""
    try:
        mapping, findings = compile_of(source, app, list(texts))
    except ConfigurationError as error:
        return Draft(mapping=None, findings=list(_pointed(error.findings, texts, edited)))
    return Draft(mapping=mapping, findings=list(_pointed(findings, texts, edited)))


def _pointed(findings: Sequence[Finding], texts: Sequence[Text], edited: int) -> Iterator[Pointed]:
    own = texts[edited].name
    lines = texts[edited].text.splitlines()
    for one in findings:
        around = []
        if one.file == own and one.line is not None:
            first, last = max(1, one.line - _AROUND), min(len(lines), one.line + _AROUND)
            around = [(n, lines[n - 1][:300], n == one.line) for n in range(first, last + 1)]
        yield Pointed(one, around)


def events_of(text: str, *, source: Source, now_ms: int) -> list[Event | Unusable] | str:
    """What was pasted, each as if it came in when it happened; words when it is no JSON."""
    body = read_body(text.strip().encode("utf-8", "replace"))
    if isinstance(body, NotJson):
        return f'{body.message} Paste one event as Segment\'s debugger shows it: {{"type": "track", …}}'
    return [
        read_event(
            one.value,
            raw=one.raw,
            source=source.name,
            received_ms=_time(one.value) or now_ms,
            reverse_etl=source.reverse_etl,
        )
        for one in body[:MOST]
    ]


def _time(value: Any) -> int | None:
    return parse_timestamp(value.get("timestamp")) if isinstance(value, dict) else None


def tried(events: Sequence[Event | Unusable], mapping: Mapping, app: App) -> list[Tried]:
    found = []
    for event in events:
        plan = planned(event, mapping, app=app.name, app_id=app.app_id)
        found.append(Tried(plan, [_push(line.operation, line.request) for line in plan.lines]))
    return found


def _push(operation: str, request: dict[str, Any] | None) -> Drawn | None:
    return drawn(request["body"]) if operation == PUSH and request is not None else None
