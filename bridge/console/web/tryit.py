"""The page where an event is tried: pasted or picked, under the mapping that runs or an edited one."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import orjson
from starlette.responses import Response
from starlette.routing import Route

from bridge.clock import Clock
from bridge.config import App, Config, Source
from bridge.config.mappings import Mappings
from bridge.console.api import number
from bridge.console.web.door import Door
from bridge.console.web.shell import ROOT, Shell
from bridge.console.web.trying import Draft, Tried, draft_of, events_of, tried
from bridge.console.web.visit import Visit
from bridge.journal import Journal
from bridge.mapping.load import Source as Text
from bridge.mapping.rules import Mapping

SAMPLE: Final = """{
  "type": "track",
  "event": "Order Shipped",
  "userId": "u-4711",
  "messageId": "try-1",
  "properties": {"order_id": "A7", "products": [{"name": "Blue kettle"}], "carrier": "DHL"}
}"""
_LONGEST_EVENT: Final = 262_144
_LONGEST_DRAFT: Final = 524_288


@dataclass(slots=True, kw_only=True)
class TryPage:
    door: Door
    shell: Shell
    journal: Journal
    clock: Clock
    config: Callable[[], Config]
    mappings: Callable[[], Mappings]

    def routes(self) -> list[Route]:
        return [
            self.door.page(f"{ROOT}/try", "view", self._show),
            # Nothing is changed by it, and what is pasted is kept nowhere.
            self.door.act(f"{ROOT}/try", "view", self._try),
        ]

    async def _show(self, visit: Visit) -> Response:
        source, event = self._source(visit.query.get("source")), SAMPLE
        picked = number(visit.query.get("event", ""))
        if picked is not None and not visit.hides:
            found = await self.journal.looks.events([picked])
            if found and found[0].payload is not None:
                event = _shown(found[0].payload)
                source = self._source(found[0].source)
        file = number(visit.query.get("edit", ""))
        return await self._page(visit, source, event=event, file=file)

    async def _try(self, visit: Visit) -> Response:
        form = visit.form
        source = self._source(form.get("source"))
        event, draft = form.get("event", ""), form.get("draft")
        file = number(form.get("file", "")) if draft is not None else None
        if len(event) > _LONGEST_EVENT or len(draft or "") > _LONGEST_DRAFT:
            return await self._page(
                visit,
                source,
                event=event[:1000],
                file=None,
                problem="That is too long to be tried here.",
            )
        if "edit" in form:
            return await self._page(visit, source, event=event, file=number(form["edit"]))
        return await self._page(visit, source, event=event, file=file, draft=draft, tries=True)

    def _source(self, name: str | None) -> Source:
        sources = self.config().sources
        return sources[name] if name in sources else next(iter(sources.values()))

    async def _page(
        self,
        visit: Visit,
        source: Source,
        *,
        event: str,
        file: int | None,
        draft: str | None = None,
        tries: bool = False,
        problem: str | None = None,
    ) -> Response:
        app, mapping = self.config().apps[source.app], self.mappings()[source.name]
        texts = await asyncio.to_thread(_texts, mapping)
        edited = file if file is not None and file < len(texts) else None
        if edited is not None and draft is not None:
            texts[edited] = Text(name=texts[edited].name, text=draft.replace("\r\n", "\n"))
        values: dict[str, Any] = {"problem": problem, "tried": None, "running": None, "draft": None}
        if tries:
            now_ms = self.clock.now_ms()
            # Compiling a mapping and planning events takes longer than others should wait.
            values |= await asyncio.to_thread(
                _outcome, event, texts, edited, source, app, mapping, now_ms
            )
        return self.shell.page(
            visit,
            "try",
            active="try",
            event=event,
            source=source,
            sources=list(self.config().sources),
            files=[Path(text.name).name for text in texts],
            edited=edited,
            text=None if edited is None else texts[edited].text,
            **values,
        )


def _texts(mapping: Mapping) -> list[Text]:
    """The files of the mapping in force, as they are by now; only those that it names."""
    found = []
    for name in mapping.files:
        try:
            found.append(Text(name=name, text=Path(name).read_text(encoding="utf-8")))
        except (OSError, UnicodeDecodeError):
            found.append(Text(name=name, text=""))
    return found


def _outcome(
    event: str,
    texts: list[Text],
    edited: int | None,
    source: Source,
    app: App,
    mapping: Mapping,
    now_ms: int,
) -> dict[str, Any]:
    """What the page says of what was tried."""
    draft: Draft | None = None
    if edited is not None:
        draft = draft_of(texts, edited, source=source, app=app)
    events = events_of(event, source=source, now_ms=now_ms)
    if isinstance(events, str):
        return {"problem": events, "draft": draft}
    running: list[Tried] = tried(events, mapping, app)
    if draft is None:
        return {"tried": running}
    under = None if draft.mapping is None else tried(events, draft.mapping, app)
    return {"tried": under, "running": running, "draft": draft}


def _shown(payload: bytes) -> str:
    try:
        return orjson.dumps(orjson.loads(payload), option=orjson.OPT_INDENT_2).decode()
    except orjson.JSONDecodeError:
        return payload.decode("utf-8", "replace")
