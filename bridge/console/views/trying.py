"""What events would ask of OneSignal, under the mapping that runs or an edited draft of it; nothing is sent."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final, NamedTuple

from bridge.clock import Clock
from bridge.config import App, Config, Source
from bridge.config.mappings import Mappings, compile_of
from bridge.console.views.drawing import PUSH, Drawn, drawn
from bridge.errors import ConfigurationError, Finding
from bridge.mapping.load import Source as Text
from bridge.mapping.rules import Mapping
from bridge.plan.lines import Planned, planned
from bridge.segment.body import NotJson, read_body
from bridge.segment.events import Event, Unusable, parse_timestamp, read_event

MOST: Final = 20
"""Events that are tried at once."""
LONGEST_EVENT: Final = 262_144
LONGEST_DRAFT: Final = 262_144
"""Of text that is new a YAML parser reads 10 kB a second."""
MOST_NEWEST: Final = 1_000
"""And of those that are stored: each is planned twice, while others wait for the interpreter."""
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What was tried comes to."""

    #: Under the mapping that runs.
    running: list[Tried]
    #: None: nothing was edited.
    draft: Draft | None = None
    #: Under the draft; None: there is none, or it cannot run.
    under: list[Tried] | None = None
    #: What the draft would change for the newest events; None: nobody asked.
    change: dict[str, Any] | None = None


Rehearse = Callable[[str, Mapping, Mapping, int], Awaitable[dict[str, Any]]]
"""Of a source, the mapping in force, another and a number: what the other would change for so many events."""


@dataclass(slots=True, kw_only=True)
class Trying:
    clock: Clock
    config: Callable[[], Config]
    mappings: Callable[[], Mappings]
    rehearse: Rehearse
    #: One at a time: whoever tries, and however often, delivery has most of the interpreter.
    _turn: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def texts(self, source: Source) -> list[Text]:
        """The files of the mapping in force, as they are by now; only those that it names."""
        return await asyncio.to_thread(_texts, self.mappings()[source.name])

    async def outcome(
        self,
        events: Sequence[Event | Unusable],
        *,
        source: Source,
        texts: Sequence[Text],
        edited: int | None = None,
        newest: int = 0,
    ) -> Outcome:
        """`edited` is the text that is no longer as in its file; `newest`: so many events are played, too."""
        app, mapping = self.config().apps[source.app], self.mappings()[source.name]
        async with self._turn:
            # Compiling a mapping and planning events takes longer than others should wait.
            done = await asyncio.to_thread(_outcome, events, texts, edited, source, app, mapping)
        other = None if done.draft is None else done.draft.mapping
        if other is None or not newest:
            return done
        change = await self.rehearse(source.name, mapping, other, min(newest, MOST_NEWEST))
        return replace(done, change=change)

    def events_of(self, text: str, source: Source) -> list[Event | Unusable] | str:
        """What was pasted; words when it is no JSON."""
        return events_of(text, source=source, now_ms=self.clock.now_ms())


def _texts(mapping: Mapping) -> list[Text]:
    found = []
    for name in mapping.files:
        try:
            found.append(Text(name=name, text=Path(name).read_text(encoding="utf-8")))
        except (OSError, UnicodeDecodeError):
            found.append(Text(name=name, text=""))
    return found


def _outcome(
    events: Sequence[Event | Unusable],
    texts: Sequence[Text],
    edited: int | None,
    source: Source,
    app: App,
    mapping: Mapping,
) -> Outcome:
    running = tried(events, mapping, app)
    if edited is None:
        return Outcome(running=running)
    draft = draft_of(texts, edited, source=source, app=app)
    under = None if draft.mapping is None else tried(events, draft.mapping, app)
    return Outcome(running=running, draft=draft, under=under)


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
