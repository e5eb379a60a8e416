"""Who did what: the audit trail, newest first."""

from __future__ import annotations

from dataclasses import dataclass

from starlette.responses import Response
from starlette.routing import Route

from bridge.console.api import number
from bridge.console.views.audit import trail
from bridge.console.web.door import Door
from bridge.console.web.shell import ROOT, Shell
from bridge.console.web.visit import Visit
from bridge.journal import Journal


@dataclass(slots=True, kw_only=True)
class AuditPage:
    door: Door
    shell: Shell
    journal: Journal

    def routes(self) -> list[Route]:
        return [self.door.page(f"{ROOT}/audit", "view", self._show)]

    async def _show(self, visit: Visit) -> Response:
        before = number(visit.query.get("before", ""))
        lines, older = await trail(self.journal, before, hides=visit.hides)
        return self.shell.page(
            visit, "audit", active="audit", lines=lines, older=older, before=before
        )
