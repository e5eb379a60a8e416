"""Who did what: the audit trail, newest first."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import orjson
from starlette.responses import Response
from starlette.routing import Route

from bridge.console.api import number
from bridge.console.web.door import Door
from bridge.console.web.shell import ROOT, Shell
from bridge.console.web.visit import Visit
from bridge.journal import Journal
from bridge.journal.erasures import Noted

PAGE: Final = 100
WHAT: Final = {
    "brake.pulled": "paused",
    "brake.released": "let leave again",
    "held.released": "let held pushes go",
    "held.kept": "stopped what left little by little",
    "held.discarded": "discarded held pushes",
    "dead.replayed": "replayed what was dead",
    "dead.discarded": "discarded what was dead",
    "skipped.replayed": "had done what was too old",
    "user.erasure_asked": "asked to erase a customer",
    "user.erased": "a customer was erased",
}
_NAMED: Final = (
    ("target", ""), ("rule", "rule"), ("reason", "reason"), ("app", "app"), ("user", "of"), ("id", "number"),
    ("per_minute", "a minute"), ("user_hash", "known here as"),
)  # fmt: skip


class Line(NamedTuple):
    at_ms: int
    who: str
    what: str
    many: int | None
    detail: str


@dataclass(slots=True, kw_only=True)
class AuditPage:
    door: Door
    shell: Shell
    journal: Journal

    def routes(self) -> list[Route]:
        return [self.door.page(f"{ROOT}/audit", "view", self._show)]

    async def _show(self, visit: Visit) -> Response:
        before = number(visit.query.get("before", ""))
        found = await self.journal.looks.trail(before=before, limit=PAGE + 1)
        older = found[PAGE - 1][0] if len(found) > PAGE else None
        return self.shell.page(
            visit,
            "audit",
            active="audit",
            lines=[line_of(noted) for _, noted in found[:PAGE]],
            older=older,
            before=before,
        )


def line_of(noted: Noted) -> Line:
    try:
        detail: Any = orjson.loads(noted.detail)
    except orjson.JSONDecodeError:
        detail = {}
    said = [f"{label} {detail[name]}".strip() for name, label in _NAMED if name in detail]
    if detail.get("replan"):
        said.append("with today's mapping")
    count = detail.get("count", detail.get("events"))
    what = WHAT.get(noted.what, noted.what)
    return Line(noted.at_ms, noted.who, what, count, ", ".join(said).replace("/", " "))
