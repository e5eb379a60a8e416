"""Mappings: what is loaded, since when and which version, and the edit that was refused."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from starlette.responses import Response
from starlette.routing import Route

from bridge.config import Config
from bridge.config.reload import Reloader
from bridge.console.status import EARLIER
from bridge.console.web.door import Door
from bridge.console.web.shell import ROOT, Shell
from bridge.console.web.visit import Visit
from bridge.journal import Journal


@dataclass(slots=True, kw_only=True)
class MappingsPage:
    door: Door
    shell: Shell
    journal: Journal
    config: Callable[[], Config]
    reloader: Reloader

    def routes(self) -> list[Route]:
        return [self.door.page(f"{ROOT}/mappings", "view", self._show)]

    async def _show(self, visit: Visit) -> Response:
        reloader, config = self.reloader, self.config()
        return self.shell.page(
            visit,
            "mappings",
            active="mappings",
            record=reloader.record,
            loaded=[
                (config.sources[name], config.apps[config.sources[name].app], mapping)
                for name, mapping in reloader.mappings.items()
            ],
            short=_short,
            earlier=await self.journal.looks.revisions(EARLIER),
        )


def _short(path: Any) -> str:
    return Path(str(path)).name
