"""Is it keeping up, and what broke: at this moment, over the last hour and over the last day."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

from bridge.alerts.causes import Cause, Seen, causes
from bridge.console.views import words
from bridge.console.views.figures import DAY, HOUR, Counts, Figures, Span, figures, start_of
from bridge.explain import words as explained
from bridge.journal import Journal
from bridge.journal.tallies import Counted, TrafficCount

_SEEN_MS: Final = 8_000
"""How long a look at everything is taken for how it is."""
_COUNTED_MS: Final = 1_500


@dataclass(frozen=True, slots=True, kw_only=True)
class Now:
    seen: Seen
    causes: list[Cause]
    hour: Figures
    day: Figures


@dataclass(slots=True)
class _Kept:
    """What several who look at once share."""

    seen: Seen | None = None
    counted_ms: int = 0
    hour: list[tuple[int, TrafficCount]] = field(default_factory=list)
    day: list[tuple[int, TrafficCount]] = field(default_factory=list)


@dataclass(slots=True, kw_only=True)
class Overview:
    journal: Journal
    see: Callable[[], Awaitable[Seen]]
    #: What was counted, and is not on disk yet.
    fresh: Callable[[], Counted]
    _kept: _Kept = field(default_factory=_Kept)

    async def now(self, now_ms: int) -> Now:
        await self._look(now_ms)
        kept, fresh = self._kept, self.fresh().traffic
        seen = kept.seen or await self.see()
        return Now(
            seen=seen,
            causes=list(causes(seen)),
            hour=_figures(HOUR, kept.hour, fresh, now_ms),
            day=_figures(DAY, kept.day, fresh, now_ms),
        )

    async def _look(self, now_ms: int) -> None:
        """At what is costly to look at, now and then, whoever asks."""
        kept, tallies = self._kept, self.journal.tallies
        if kept.seen is None or now_ms - kept.seen.now_ms >= _SEEN_MS:
            kept.seen = await self.see()
        if now_ms - kept.counted_ms >= _COUNTED_MS:
            kept.counted_ms = now_ms
            kept.hour = await tallies.traffic(since_ms=start_of(HOUR, now_ms), step_ms=HOUR.step_ms)
            kept.day = await tallies.traffic(since_ms=start_of(DAY, now_ms), step_ms=DAY.step_ms)


def _figures(span: Span, counts: Counts, fresh: Sequence[TrafficCount], now_ms: int) -> Figures:
    now = now_ms // span.step_ms * span.step_ms
    return figures([*counts, *((now, one) for one in fresh)], span, now_ms)


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
                f"{one.stays:,} {'push' if one.stays == 1 else 'pushes'} of {one.rule} held: {why}"
            )
    return cause.words
