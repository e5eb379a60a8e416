"""Overview: is it keeping up, and what broke; live for as long as somebody looks."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from bridge.alerts.causes import Cause, Seen, causes
from bridge.clock import Clock
from bridge.console.web import words
from bridge.console.web.door import Door
from bridge.console.web.figures import DAY, HOUR, Figures, figures, start_of
from bridge.console.web.shell import HEADERS, ROOT, Shell
from bridge.console.web.visit import Visit
from bridge.explain import words as explained
from bridge.journal import Journal
from bridge.journal.tallies import Counted, TrafficCount

EVERY_SECONDS: Final = 2.0
LASTS_SECONDS: Final = 300.0
"""Then the browser asks anew, and is asked anew who it is."""
STREAMS: Final = 25
_SEEN_MS: Final = 8_000
"""How long a look at everything is taken for how it is."""
_COUNTED_MS: Final = 1_500
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

Counts = list[tuple[int, TrafficCount]]


@dataclass(slots=True)
class Kept:
    """What several who look at once share."""

    seen: Seen | None = None
    counted_ms: int = 0
    hour: Counts = field(default_factory=list)
    day: Counts = field(default_factory=list)


@dataclass(slots=True, kw_only=True)
class OverviewPage:
    door: Door
    shell: Shell
    journal: Journal
    clock: Clock
    see: Callable[[], Awaitable[Seen]]
    fresh: Callable[[], Counted]
    #: The service is about to stop, and nobody is to be kept waiting.
    draining: Callable[[], bool]
    _kept: Kept = field(default_factory=Kept)
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
        await self._look(visit.now_ms)
        seen = self._kept.seen or await self.see()
        fresh = self.fresh().traffic
        found = list(causes(seen))
        offset = _offset(visit)
        return {
            "seen": seen,
            "causes": [(one, spoken(one, seen), _link(one)) for one in found],
            "per_minute": sum(one.per_minute for one in seen.sources),
            "waits_ms": round(seen.oldest_seconds * 1000),
            "gates": GATES,
            "hour": self._figures(HOUR, self._kept.hour, fresh, visit.now_ms, offset),
            "day": self._figures(DAY, self._kept.day, fresh, visit.now_ms, offset),
        }

    def _figures(self, span: Any, counts: Counts, fresh: Any, now_ms: int, offset: int) -> Figures:
        now = now_ms // span.step_ms * span.step_ms
        return figures([*counts, *((now, one) for one in fresh)], span, now_ms, offset_ms=offset)

    async def _look(self, now_ms: int) -> None:
        """At what is costly to look at, now and then, whoever asks."""
        kept, tallies = self._kept, self.journal.tallies
        if kept.seen is None or now_ms - kept.seen.now_ms >= _SEEN_MS:
            kept.seen = await self.see()
        if now_ms - kept.counted_ms >= _COUNTED_MS:
            kept.counted_ms = now_ms
            kept.hour = await tallies.traffic(since_ms=start_of(HOUR, now_ms), step_ms=HOUR.step_ms)
            kept.day = await tallies.traffic(since_ms=start_of(DAY, now_ms), step_ms=DAY.step_ms)


def _offset(visit: Visit) -> int:
    """How far the person's clock is ahead of UTC."""
    at = datetime.fromtimestamp(visit.now_ms / 1000, UTC).astimezone(visit.zone)
    ahead = at.utcoffset()
    return 0 if ahead is None else round(ahead.total_seconds() * 1000)


def spoken(cause: Cause, seen: Seen) -> str:
    """What is wrong, without the codes that commands are given."""
    kind, _, rest = cause.key.partition("/")
    if kind == "paused":
        return (
            f"pushes of {rest.partition('/')[2]} are paused"
            if "/" in rest
            else "all pushes are paused"
        )
    if kind == "dead":
        return f"{cause.count:,} dead: {words.reason(rest)}"
    for one in seen.held if kind == "held" else ():
        if cause.key == f"held/{one.app}/{one.rule}/{one.reason}":
            why = explained.HOLDS.get(one.reason, one.reason)
            return (
                f"{one.count:,} {'push' if one.count == 1 else 'pushes'} of {one.rule} held: {why}"
            )
    return cause.words


def _link(cause: Cause) -> tuple[str, str] | None:
    """Where in the console something is done about it."""
    kind, _, rest = cause.key.partition("/")
    if kind == "paused":
        return "Let them leave again…", f"{ROOT}/resume?what={rest}"
    return _LINKS.get(kind)
