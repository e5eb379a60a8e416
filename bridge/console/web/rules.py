"""The front page: of every rule what it did today, and the push that it would send."""

from __future__ import annotations

import asyncio
from collections import OrderedDict, defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Final

from starlette.responses import Response
from starlette.routing import Route

from bridge.config.mappings import Mappings
from bridge.console.web.cards import HOURS, Card, added, cards
from bridge.console.web.door import Door
from bridge.console.web.drawing import Drawn
from bridge.console.web.pushes import of_event, of_rule
from bridge.console.web.shell import ROOT, Shell
from bridge.console.web.visit import Visit
from bridge.journal import Journal
from bridge.journal.tallies import HOUR_MS, Counted, Met
from bridge.journal.trace import Event as Heard

_REMEMBERED: Final = 500


@dataclass(slots=True, kw_only=True)
class RulesPage:
    door: Door
    shell: Shell
    journal: Journal
    mappings: Callable[[], Mappings]
    #: What was counted, and is not on disk yet.
    fresh: Callable[[], Counted]
    #: Pushes that were drawn, by event and revision.
    _drawn: OrderedDict[tuple[int, str], dict[str, Drawn]] = field(default_factory=OrderedDict)

    def routes(self) -> list[Route]:
        return [self.door.page(ROOT, "view", self._show)]

    async def _show(self, visit: Visit) -> Response:
        found = await self._cards(visit)
        await self._draw(found, hides=visit.hides)
        asked = visit.query.get("rule")
        return self.shell.page(
            visit,
            "rules",
            active="rules",
            cards=found,
            asked=asked,
            hours=HOURS,
            several=len(self.mappings()) > 1,
            quiet=[one for one in found if one.never is not None],
            is_starter=_is_starter(self.mappings()),
        )

    async def _cards(self, visit: Visit) -> list[Card]:
        tallies, fresh = self.journal.tallies, self.fresh()
        day_ago = visit.now_ms - HOURS * HOUR_MS
        slots = await tallies.rules(since_ms=visit.today_ms, hours_ms=day_ago)
        last = await self._last()
        held: dict[str, int] = defaultdict(int)
        for _, rule, _, count in await self.journal.sends.held_counts():
            held[rule] += count
        return cards(
            self.mappings(),
            added(slots, fresh.rules, visit.now_ms),
            ever=last.keys(),
            held=held,
            paused=[one["what"] for one in self.shell.paused()],
            paths=await tallies.paths(),
            heard=await self.journal.looks.names(),
            now_ms=visit.now_ms,
        )

    async def _last(self) -> dict[str, Met]:
        return await self.journal.tallies.last() | {one.rule: one for one in self.fresh().last}

    async def _draw(self, found: Iterable[Card], *, hides: bool) -> None:
        """Each push from the last event that its rule met; from the mapping for who sees no values."""
        last = await self._last()
        pushing = [card for card in found if card.pushes]
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


def _is_starter(mappings: Mappings) -> bool:
    """Nobody has written a rule yet: what is shipped runs."""
    files = {file for one in mappings.values() for file in one.files}
    return all(file.endswith("starter.yaml") for file in files)
