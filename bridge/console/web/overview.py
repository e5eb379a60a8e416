"""Overview: is it keeping up, and what broke; live for as long as somebody looks."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from bridge.alerts.causes import Cause
from bridge.clock import Clock
from bridge.console.views.figures import DAY, HOUR
from bridge.console.views.overview import Overview, spoken
from bridge.console.web.charts import charts_of
from bridge.console.web.door import Door
from bridge.console.web.shell import HEADERS, ROOT, Shell
from bridge.console.web.visit import Visit

EVERY_SECONDS: Final = 2.0
LASTS_SECONDS: Final = 300.0
"""Then the browser asks anew, and is asked anew who it is."""
STREAMS: Final = 25
_LINKS: Final = {
    "dead": ("Look at them", f"{ROOT}/waiting#dead"),
    "held": ("Look at them", f"{ROOT}/waiting#held"),
    "refused": ("Read why", f"{ROOT}/mappings"),
    "ios_reached": ("Look at the rules", ROOT),
    "unreached": ("Look at the rules", ROOT),
}
GATES: Final = {
    "write": "users and tags",
    "send": "pushes",
    "event": "custom events",
    "view": "looking up",
}


@dataclass(slots=True, kw_only=True)
class OverviewPage:
    door: Door
    shell: Shell
    overview: Overview
    clock: Clock
    #: The service is about to stop, and nobody is to be kept waiting.
    draining: Callable[[], bool]
    _streams: int = 0

    def routes(self) -> list[Route]:
        return [
            self.door.page(f"{ROOT}/overview", "view", self._show),
            self.door.page(f"{ROOT}/overview/live", "view", self._live),
        ]

    async def _show(self, visit: Visit) -> Response:
        return self.shell.page(visit, "overview", active="overview", **await self._values(visit))

    async def _live(self, visit: Visit) -> Response:
        if self._streams >= STREAMS:
            return Response(status_code=503, headers=HEADERS | {"retry-after": "30"})
        return StreamingResponse(
            self._events(visit), media_type="text/event-stream", headers=HEADERS
        )

    async def _events(self, visit: Visit) -> AsyncIterator[str]:
        """The live part of the page, whenever it has changed."""
        self._streams += 1
        until, last = self.clock.monotonic() + LASTS_SECONDS, ""
        try:
            while not self.draining() and self.clock.monotonic() < until:
                now = visit.at(self.clock.now_ms())
                text = self.shell.text(now, "live", active="", **await self._values(now))
                if text != last:
                    last = text
                    yield "".join(f"data: {line}\n" for line in text.splitlines()) + "\n"
                await self.clock.sleep(EVERY_SECONDS)
        finally:
            self._streams -= 1

    async def _values(self, visit: Visit) -> dict[str, Any]:
        now, offset = await self.overview.now(visit.now_ms), _offset(visit)
        seen = now.seen
        return {
            "seen": seen,
            "causes": [(one, spoken(one, seen), _link(one, visit)) for one in now.causes],
            "per_minute": sum(one.per_minute for one in seen.sources),
            "waits_ms": round(seen.oldest_seconds * 1000),
            "gates": GATES,
            "hour": now.hour,
            "day": now.day,
            "spans": [
                ("Last hour", charts_of(now.hour, HOUR, offset_ms=offset)),
                ("Last day", charts_of(now.day, DAY, offset_ms=offset)),
            ],
        }


def _offset(visit: Visit) -> int:
    """How far the person's clock is ahead of UTC."""
    at = datetime.fromtimestamp(visit.now_ms / 1000, UTC).astimezone(visit.zone)
    ahead = at.utcoffset()
    return 0 if ahead is None else round(ahead.total_seconds() * 1000)


def _link(cause: Cause, visit: Visit) -> tuple[str, str] | None:
    """Where in the console something is done about it, by who may do it."""
    kind, _, rest = cause.key.partition("/")
    if kind == "paused" and visit.may("operate"):
        return "Let them leave again…", f"{ROOT}/resume?what={rest}"
    return _LINKS.get(kind)
