"""The page where an event is tried: pasted or picked, under the mapping that runs or an edited one."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import orjson
from starlette.responses import Response
from starlette.routing import Route

from bridge.config import Source
from bridge.console.api import number
from bridge.console.naming import NOT_NAMED, none_such
from bridge.console.views.trying import LONGEST_DRAFT, LONGEST_EVENT, Trying
from bridge.console.web.door import Door
from bridge.console.web.shell import ROOT, Shell
from bridge.console.web.visit import Visit
from bridge.journal import Journal
from bridge.mapping.load import Source as Text

SAMPLE: Final = """{
  "type": "track",
  "event": "Order Shipped",
  "userId": "u-4711",
  "messageId": "try-1",
  "properties": {"order_id": "A7", "products": [{"name": "Blue kettle"}], "carrier": "DHL"}
}"""


@dataclass(slots=True, kw_only=True)
class TryPage:
    door: Door
    shell: Shell
    journal: Journal
    trying: Trying

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
        problem = self._no_source(visit.query.get("source"))
        return await self._page(visit, source, event=event, file=file, problem=problem)

    async def _try(self, visit: Visit) -> Response:
        form = visit.form
        source = self._source(form.get("source"))
        event, draft = form.get("event", ""), form.get("draft")
        file = number(form.get("file", "")) if draft is not None else None
        if len(event) > LONGEST_EVENT or len(draft or "") > LONGEST_DRAFT:
            return await self._page(
                visit,
                source,
                event=event[:1000],
                file=None,
                problem="That is too long to be tried here.",
            )
        if problem := self._no_source(form.get("source")):
            return await self._page(visit, source, event=event, file=None, problem=problem)
        if "edit" in form:
            return await self._page(visit, source, event=event, file=number(form["edit"]))
        return await self._page(visit, source, event=event, file=file, draft=draft, tries=True)

    def _source(self, name: str | None) -> Source:
        sources = self.trying.config().sources
        return sources[name] if name in sources else next(iter(sources.values()))

    def _no_source(self, name: str | None) -> str | None:
        """What is said to who names one that there is not: another's mapping says nothing of it."""
        sources = self.trying.config().sources
        slip = None if name is None else none_such("source", name, sources, NOT_NAMED)
        return slip and slip.words

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
        texts = await self.trying.texts(source)
        edited = file if file is not None and file < len(texts) else None
        if edited is not None and draft is not None:
            texts[edited] = Text(name=texts[edited].name, text=draft.replace("\r\n", "\n"))
        newest = number(visit.form.get("newest", "")) or 0
        outcome = None
        if tries:
            events = self.trying.events_of(event, source)
            if isinstance(events, str):
                # The draft can be looked at all the same.
                problem, events = events, []
            outcome = await self.trying.outcome(
                events, source=source, texts=texts, edited=edited, newest=newest
            )
        return self.shell.page(
            visit,
            "try",
            active="try",
            event=event,
            source=source,
            sources=list(self.trying.config().sources),
            files=[Path(text.name).name for text in texts],
            edited=edited,
            text=None if edited is None else texts[edited].text,
            problem=problem,
            outcome=outcome,
            newest=newest,
        )


def _shown(payload: bytes) -> str:
    try:
        return orjson.dumps(orjson.loads(payload), option=orjson.OPT_INDENT_2).decode()
    except orjson.JSONDecodeError:
        return payload.decode("utf-8", "replace")
