"""The rules, apps and sources that people name: whoever misspells one is told so, and which are called nearly like it.

A rule counts as one that a mapping in force has, or of which something still waits for a person; where
events are looked for, also one that any of them ever met. An app or a source counts that the settings
name, or of which something is here yet.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Final, Literal, NamedTuple

from starlette.responses import Response

from bridge.console.api import problem
from bridge.journal import Journal
from bridge.journal.looks import Wanted
from bridge.journal.piles import EVERYTHING, Choice

NAMED: Final = 3
"""Names that are offered for one that is none."""
LONGEST: Final = 100
"""Of a name that is looked for among others, and said again."""
LISTED: Final = 10
"""Of few that there are."""
Kind = Literal["rule", "app", "source"]
_NOWHERE: Final = "no mapping in force has it, and nothing of it is dead, held or too old"
_UNMET: Final = "no mapping in force has it, and no event has met it"
NOT_NAMED: Final = "no setting names it"
_NO_APP: Final = "no setting names it, and nothing of it is dead, held, too old or waiting"
_NO_SOURCE: Final = "no setting names it, and none of the newest events came through it"


class Names(NamedTuple):
    """What is in force; None: it cannot be said which there are."""

    rules: Collection[str] | None
    apps: Collection[str] | None
    sources: Collection[str] | None


class Slip(NamedTuple):
    """A name that is nobody's, in words."""

    kind: Kind
    words: str

    @property
    def code(self) -> str:
        return f"unknown-{self.kind}"

    def refusal(self) -> Response:
        return problem(404, self.code, self.words)


CODES: Final = frozenset({"unknown-rule", "unknown-app", "unknown-source"})
"""Of everything that can be misspelt."""


@dataclass(slots=True, kw_only=True)
class Naming:
    journal: Journal
    in_force: Callable[[], Names]

    async def misspelt(self, choice: Choice) -> Slip | None:
        """What of a choice there is not, for who looks at what waits; None: all that it names there is."""
        return await self._misspelt_rule(choice.rule) or await self._misspelt_app(choice.app)

    async def unmet(self, wanted: Wanted) -> Slip | None:
        """The same for who looks for events."""
        return await self._unmet_rule(wanted.rule) or await self._unheard(wanted.source)

    async def _misspelt_rule(self, rule: str | None) -> Slip | None:
        if rule is None or (in_force := self.in_force().rules) is None or rule in in_force:
            return None
        return none_such("rule", rule, {*in_force, *await self._waiting()}, _NOWHERE)

    async def _misspelt_app(self, app: str | None) -> Slip | None:
        if app is None or (in_force := self.in_force().apps) is None or app in in_force:
            return None
        if await self.journal.piles.newest_dead(Choice(app=app)) is not None:
            return None
        return none_such("app", app, {*in_force, *await self._apps_waiting()}, _NO_APP)

    async def _unmet_rule(self, rule: str | None) -> Slip | None:
        if rule is None or (in_force := self.in_force().rules) is None or rule in in_force:
            return None
        known = {*in_force, *await self._waiting(), *await self.journal.tallies.last()}
        return none_such("rule", rule, known, _UNMET)

    async def _unheard(self, source: str | None) -> Slip | None:
        if source is None or (in_force := self.in_force().sources) is None or source in in_force:
            return None
        if (await self.journal.looks.listed(Wanted(source=source))).events:
            return None
        return none_such("source", source, in_force, _NO_SOURCE)

    async def _waiting(self) -> set[str]:
        """Rules of which something waits for a person, whatever the mappings say by now."""
        journal = self.journal
        dead = {one.rule for one in await journal.dead_counts()}
        held = {rule for _, rule, _, _ in await journal.sends.held_counts()}
        leaving = {one.rule for one in await journal.piles.releases()}
        skipped = {one.rule for one in await journal.piles.skipped_counts(EVERYTHING)}
        return (dead | held | leaving | skipped) - {""}

    async def _apps_waiting(self) -> set[str]:
        """Apps that are not configured any more, of which something other than the dead is here."""
        journal = self.journal
        held = {app for app, _, _, _ in await journal.sends.held_counts()}
        skipped = {one.app for one in await journal.piles.skipped_counts(EVERYTHING)}
        return held | skipped | set(await journal.pending_apps())


def none_such(kind: Kind, name: str, known: Collection[str], why: str) -> Slip | None:
    """That there is none of this name, and which may be meant; None: there is."""
    if name in known:
        return None
    return Slip(kind, f"There is no {kind} {name[:LONGEST]}: {why}{_hint(kind, name, known)}")


def _hint(kind: Kind, name: str, known: Collection[str]) -> str:
    if near := alike(name, known):
        return f"; did you mean {' or '.join(near)}?"
    if kind == "rule" or not known:  # there are many rules, and few of all else
        return "."
    return (
        f"; {'there is' if len(known) == 1 else 'there are'} {', '.join(sorted(known)[:LISTED])}."
    )


def alike(name: str, known: Collection[str]) -> list[str]:
    """The names that are most like one, in whatever case, and those that hold it."""
    said = name[:LONGEST].lower()
    names = {one.lower(): one for one in sorted(known)}
    close = get_close_matches(said, names, n=NAMED)
    holding = [one for one in names if said.strip() and said in one]
    return [names[one] for one in dict.fromkeys([*close, *holding])][:NAMED]
