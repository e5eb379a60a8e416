"""`/api/v1/overview`: is it keeping up, and what broke; at this moment, over the last hour and day.

::

    GET /api/v1/overview    what `status` says of this moment, and "hour", "day": {"events", "calls", …,
                            "steps": {"start_ms", "every_ms", "events": [oldest first], …}}
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from bridge.clock import Clock
from bridge.console.api import Accessible, answer, guarded
from bridge.console.status import at_this_moment
from bridge.console.views.figures import DAY, HOUR, Figures, Span
from bridge.console.views.overview import Overview


@dataclass(slots=True, kw_only=True)
class OverviewApi:
    access: Accessible
    clock: Clock
    overview: Overview

    def routes(self) -> list[Route]:
        show = guarded(self.access, "view", self._show)
        return [Route("/api/v1/overview", show, methods=["GET"])]

    async def _show(self, _: Request) -> Response:
        now = await self.overview.now(self.clock.now_ms())
        figures = {"hour": _told(now.hour, HOUR), "day": _told(now.day, DAY)}
        return answer(at_this_moment(now.seen, now.causes) | figures)


def _told(figures: Figures, span: Span) -> dict[str, Any]:
    series = figures.series
    return {
        "events": figures.events,
        "calls": figures.calls,
        "failed_calls": figures.failures,
        "asked_to_wait": figures.asked_to_wait,
        "half_within_seconds": figures.half,
        "most_within_seconds": figures.most,
        "pushes_audited": figures.looked_at,
        "ios_reached": figures.ios_reached,
        "steps": {
            "start_ms": series.start_ms,
            "every_ms": span.step_ms,
            "events": series.events,
            "calls": series.calls,
            "failed_calls": series.failures,
            "most_within_seconds": series.most,
        },
    }
