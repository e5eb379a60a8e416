"""The rules that people name: whoever misspells one is told so, and which are called nearly like it.

A rule counts as one that a mapping in force has, or of which something still waits for a person; where
events are looked for, also one that any of them ever met.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Final

from starlette.responses import Response

from bridge.console.api import problem
from bridge.journal import Journal
from bridge.journal.piles import EVERYTHING

NAMED: Final = 3
"""Names that are offered for one that is none."""
LONGEST: Final = 100
"""Of a name that is looked for among others, and said again."""
UNKNOWN: Final = "unknown-rule"
_NOWHERE: Final = "no mapping in force has it, and nothing of it is dead, held or too old"
_UNMET: Final = "no mapping in force has it, and no event has met it"


@dataclass(slots=True, kw_only=True)
class Naming:
    journal: Journal
    #: The rules of the mappings in force; None: it cannot be said which they are.
    in_force: Callable[[], Collection[str] | None]

    async def slip(self, rule: str | None) -> Response | None:
        """The answer to who chooses by a rule that there is not; None when there is, or none is named."""
        words = await self.misspelt(rule)
        return None if words is None else problem(404, UNKNOWN, words)

    async def misspelt(self, rule: str | None) -> str | None:
        """The same for who looks at what waits, in words."""
        if rule is None or (in_force := self.in_force()) is None or rule in in_force:
            return None
        known = {*in_force, *await self._waiting()}
        return None if rule in known else no_rule(rule, known, _NOWHERE)

    async def unmet(self, rule: str | None) -> str | None:
        """The same for who looks for events."""
        if rule is None or (in_force := self.in_force()) is None or rule in in_force:
            return None
        known = {*in_force, *await self._waiting(), *await self.journal.tallies.last()}
        return None if rule in known else no_rule(rule, known, _UNMET)

    async def _waiting(self) -> set[str]:
        """Rules of which something waits for a person, whatever the mappings say by now."""
        journal = self.journal
        dead = {one.rule for one in await journal.dead_counts()}
        held = {rule for _, rule, _, _ in await journal.sends.held_counts()}
        leaving = {one.rule for one in await journal.piles.releases()}
        skipped = {one.rule for one in await journal.piles.skipped_counts(EVERYTHING)}
        return (dead | held | leaving | skipped) - {""}


def unknown(rule: str, known: Collection[str], why: str) -> Response:
    return problem(404, UNKNOWN, no_rule(rule, known, why))


def no_rule(rule: str, known: Collection[str], why: str) -> str:
    """That there is no such rule, and which may be meant."""
    near = alike(rule, known)
    hint = f"; did you mean {' or '.join(near)}?" if near else "."
    return f"There is no rule {rule[:LONGEST]}: {why}{hint}"


def alike(rule: str, known: Collection[str]) -> list[str]:
    """The names that are most like one, in whatever case, and those that hold it."""
    said = rule[:LONGEST].lower()
    names = {one.lower(): one for one in sorted(known)}
    close = get_close_matches(said, names, n=NAMED)
    holding = [name for name in names if said.strip() and said in name]
    return [names[one] for one in dict.fromkeys([*close, *holding])][:NAMED]
