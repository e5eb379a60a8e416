"""The front page: of every rule what it did today, and the push that it would send."""

from __future__ import annotations

from dataclasses import dataclass

from starlette.responses import Response
from starlette.routing import Route

from bridge.config.mappings import Mappings
from bridge.console.views.cards import HOURS
from bridge.console.views.rules import Rules
from bridge.console.web.door import Door
from bridge.console.web.shell import ROOT, Shell
from bridge.console.web.visit import Visit


@dataclass(slots=True, kw_only=True)
class RulesPage:
    door: Door
    shell: Shell
    rules: Rules

    def routes(self) -> list[Route]:
        return [self.door.page(ROOT, "view", self._show)]

    async def _show(self, visit: Visit) -> Response:
        found = await self.rules.cards(
            since_ms=visit.today_ms, now_ms=visit.now_ms, hides=visit.hides
        )
        mappings = self.rules.mappings()
        return self.shell.page(
            visit,
            "rules",
            active="rules",
            cards=found,
            asked=visit.query.get("rule"),
            hours=HOURS,
            several=len(mappings) > 1,
            quiet=[one for one in found if one.never is not None],
            is_starter=_is_starter(mappings),
        )


def _is_starter(mappings: Mappings) -> bool:
    """Nobody has written a rule yet: what is shipped runs."""
    files = {file for one in mappings.values() for file in one.files}
    return all(file.endswith("starter.yaml") for file in files)
