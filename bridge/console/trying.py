"""`POST /api/v1/try`: what events would ask of OneSignal, under the mapping that runs or an edited draft of it.

::

    {"event": one as Segment sends it, or several, "source"?: NAME,
     "draft"?: {"file": NAME, "text": its text, edited}, "newest"?: 100}

    200 {"running": [{"title", "lines": […]}],
         "draft": null | {"is_usable", "findings": […], "tried": null | […]},
         "change": null | what the draft would change for the newest so many events}

Nothing is sent, and nothing is kept. `GET /api/v1/mappings/{source}` has the files that can be edited.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import orjson
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from bridge.config import Source
from bridge.console.api import Accessible, answer, body_of, guarded, problem
from bridge.console.choosing import whole
from bridge.console.naming import NOT_NAMED, none_such
from bridge.console.views.trying import LONGEST_DRAFT, LONGEST_EVENT, Draft, Outcome, Tried, Trying
from bridge.console.views.words import skip
from bridge.mapping.load import Source as Text
from bridge.plan.lines import Line
from bridge.segment import raw_json

_NAMES = {"event", "source", "draft", "newest"}


@dataclass(slots=True, kw_only=True)
class TryApi:
    access: Accessible
    trying: Trying

    def routes(self) -> list[Route]:
        # Nothing is changed by it, so that who looks may try.
        return [
            Route("/api/v1/try", guarded(self.access, "view", self._try), methods=["POST"]),
            Route(
                "/api/v1/mappings/{source}",
                guarded(self.access, "view", self._files),
                methods=["GET"],
            ),
        ]

    async def _files(self, request: Request) -> Response:
        source = self._source(request.path_params["source"])
        if isinstance(source, Response):
            return source
        texts = await self.trying.texts(source)
        files = [{"name": Path(one.name).name, "text": one.text} for one in texts]
        return answer({"source": source.name, "files": files})

    async def _try(self, request: Request) -> Response:
        body = await _body(request)
        if isinstance(body, Response):
            return body
        source = self._source(body.get("source"))
        if isinstance(source, Response):
            return source
        return await self._outcome(body, source)

    async def _outcome(self, body: dict[str, Any], source: Source) -> Response:
        texts, draft = await self.trying.texts(source), body.get("draft")
        names = [Path(one.name).name for one in texts]
        edited = None
        if draft is not None:
            if draft["file"] not in names:
                return problem(404, "no-such-file", f"Its mapping has {', '.join(names)}.")
            edited = names.index(draft["file"])
            texts[edited] = Text(name=texts[edited].name, text=draft["text"])
        events = self.trying.events_of(orjson.dumps(body["event"]).decode(), source)
        if isinstance(events, str):
            return problem(
                400, "event-invalid", "`event` is an event as Segment sends it, or several."
            )
        outcome = await self.trying.outcome(
            events, source=source, texts=texts, edited=edited, newest=body["newest"]
        )
        return answer(told(outcome))

    def _source(self, name: str | None) -> Source | Response:
        """The one of that name; the first where none is named."""
        sources = self.trying.config().sources
        if name is not None and (slip := none_such("source", name, sources, NOT_NAMED)):
            return slip.refusal()
        return sources[next(iter(sources)) if name is None else name]


async def _body(request: Request) -> dict[str, Any] | Response:
    raw = await body_of(request, longest=LONGEST_EVENT + LONGEST_DRAFT)
    if raw is None:
        return _TOO_LONG
    try:
        body: dict[str, Any] = orjson.loads(raw)
    except orjson.JSONDecodeError:
        return _UNCLEAR
    # What nests too deep can be read, and not be written again.
    if raw_json.is_too_deep(raw) or not _is_clear(body):
        return _UNCLEAR
    if len((body.get("draft") or {"text": ""})["text"]) > LONGEST_DRAFT:
        return _TOO_LONG
    return body | {"newest": whole(body.get("newest", 0))}


def _is_clear(body: Any) -> bool:
    if not isinstance(body, dict) or body.keys() - _NAMES:
        return False
    newest, draft = whole(body.get("newest", 0)), body.get("draft")
    drafted = draft is None or (
        isinstance(draft, dict)
        and draft.keys() == {"file", "text"}
        and all(isinstance(one, str) for one in draft.values())
    )
    return (
        isinstance(body.get("event"), dict | list)
        and isinstance(body.get("source", ""), str)
        and type(newest) is int
        and newest >= 0
        and drafted
    )


def told(outcome: Outcome) -> dict[str, Any]:
    return {
        "running": _tried(outcome.running),
        "draft": outcome.draft and _draft(outcome.draft, outcome.under),
        "change": outcome.change,
    }


def _draft(draft: Draft, under: Sequence[Tried] | None) -> dict[str, Any]:
    return {
        "is_usable": draft.mapping is not None,
        "findings": [asdict(one.finding) for one in draft.findings],
        "tried": None if under is None else _tried(under),
    }


def _tried(tried: Sequence[Tried]) -> list[dict[str, Any]]:
    return [
        {
            "title": one.planned.title,
            "lines": [
                _line(line) | {"push": push and asdict(push)}
                for line, push in zip(one.planned.lines, one.pushes, strict=True)
            ],
        }
        for one in tried
    ]


def _line(line: Line) -> dict[str, Any]:
    return line.as_json() | ({} if line.skip is None else {"words": skip(line.skip)})


_TOO_LONG = problem(413, "too-large", "That is too long to be tried.")
_UNCLEAR = problem(
    400,
    "choice-invalid",
    "Send `event`, and `source`, `draft` (`file`, `text`) and `newest` (a number) as you like.",
)
