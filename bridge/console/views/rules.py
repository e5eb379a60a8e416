"""Of every rule what it did, why it does nothing, and the push that it would send."""

from __future__ import annotations

import asyncio
from collections import OrderedDict, defaultdict
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field
from typing import Final

from bridge.config.mappings import Mappings
from bridge.console.views.cards import HOURS, Card, added, cards
from bridge.console.views.drawing import Drawn
from bridge.console.views.pushes import of_event, of_rule
from bridge.journal import Journal
from bridge.journal.tallies import HOUR_MS, Counted, Met
from bridge.journal.trace import Event as Heard

_REMEMBERED: Final = 500


@dataclass(slots=True, kw_only=True)
class Rules:
    journal: Journal
    mappings: Callable[[], Mappings]
    #: What was counted, and is not on disk yet.
    fresh: Callable[[], Counted]
    #: `pushes`, `rule/NAME`.
    paused: Callable[[], Collection[str]]
    #: Pushes that were drawn, by event and revision.
    _drawn: OrderedDict[tuple[int, str], dict[str, Drawn]] = field(default_factory=OrderedDict)

    async def cards(self, *, since_ms: int, now_ms: int, hides: bool) -> list[Card]:
        """One for each rule, with what it did since then; the push as it is written for who sees no values."""
        tallies, fresh = self.journal.tallies, self.fresh()
        slots = await tallies.rules(since_ms=since_ms, hours_ms=now_ms - HOURS * HOUR_MS)
        last = await tallies.last() | {one.rule: one for one in fresh.last}
        held: dict[str, int] = defaultdict(int)
        for _, rule, _, count in await self.journal.sends.held_counts():
            held[rule] += count
        found = cards(
            self.mappings(),
            added(slots, fresh.rules, now_ms),
            ever=last.keys(),
            held=held,
            paused=self.paused(),
            paths=await tallies.paths(),
            heard=await self.journal.looks.names(),
            now_ms=now_ms,
        )
        await self._draw([card for card in found if card.pushes], last, hides=hides)
        return found

    async def _draw(self, pushing: Iterable[Card], last: dict[str, Met], *, hides: bool) -> None:
        """Each push from the last event that its rule met."""
        seqs = {
            last[card.rule.name].seq for card in pushing if card.rule.name in last and not hides
        }
        heard = {one.seq: one for one in await self.journal.looks.events(sorted(seqs))}
        drawn = await asyncio.to_thread(self._pushes, list(heard.values()))
        for card in pushing:
            met = last.get(card.rule.name)
            pushes = {} if met is None else drawn.get(met.seq, {})
            card.push = pushes.get(card.rule.name)
            if card.push is None:
                card.push = of_rule(card.rule)
            elif met is not None:
                card.drawn_from = met.seq

    def _pushes(self, heard: list[Heard]) -> dict[int, dict[str, Drawn]]:
        """Planning takes a moment, and the same events are asked for again and again."""
        mappings = self.mappings()
        found = {}
        for one in heard:
            mapping = mappings.get(one.source)
            if mapping is None:
                continue
            key = one.seq, mapping.revision
            if key not in self._drawn:
                self._drawn[key] = of_event(one, mapping)
            found[one.seq] = self._drawn[key]
        while len(self._drawn) > _REMEMBERED:
            self._drawn.popitem(last=False)
        return found
