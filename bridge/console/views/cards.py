"""What each rule did: from what was counted, and from the mapping. Pure."""

from __future__ import annotations

import difflib
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping as Named, Sequence
from dataclasses import dataclass, field
from typing import Final

from bridge.config.mappings import Mappings
from bridge.console.views.drawing import PUSH, Drawn
from bridge.journal.tallies import HOUR_MS, MET, PathCount, RuleCount, RuleSlots
from bridge.mapping.reads import reads
from bridge.mapping.rules import Rule

HOURS: Final = 24
ENOUGH: Final = 3
"""Events that a path has to be missing from before that is said."""
TRACK = "track_custom_event"
_ALIKE: Final = 0.55


@dataclass(frozen=True, slots=True, kw_only=True)
class Never:
    """That no event has met a rule yet, and what may be why."""

    wants: tuple[str, ...]
    #: An event that is heard, and called nearly like one that it wants.
    near: tuple[str, str] | None
    #: What it wants is heard, and something else of the condition is not met.
    heard: bool


@dataclass(slots=True, kw_only=True)
class Card:
    rule: Rule
    sources: list[str]
    met: int = 0
    pushed: int = 0
    written: int = 0
    tracked: int = 0
    nobody: int = 0
    dead: int = 0
    #: By reason, most first.
    skipped: list[tuple[str, int]] = field(default_factory=list)
    held: int = 0
    #: Events that met it in each of the last hours, oldest first.
    hours: list[int] = field(default_factory=list)
    paused: bool = False
    never: Never | None = None
    #: Paths that it reads, and in how many events they were looked for and not found.
    missing: list[tuple[str, int]] = field(default_factory=list)
    push: Drawn | None = None
    #: The event that the push was drawn from; None: from the mapping alone.
    drawn_from: int | None = None

    @property
    def pushes(self) -> bool:
        return self.rule.push is not None

    @property
    def does(self) -> str:
        """What it is for, in a few words."""
        parts = [
            (self.rule.push, "pushes"),
            (self.rule.update, "writes tags and profile"),
            (self.rule.track, "sends a custom event"),
            (self.rule.alias, "links an alias"),
            (self.rule.addition, "adds a subscription"),
            (self.rule.removal, "removes a subscription"),
            (self.rule.deletion, "deletes the user"),
        ]
        return " and ".join(text for part, text in parts if part is not None)

    @property
    def on(self) -> str:
        """Which events it is about, as far as its condition names them."""
        condition = self.rule.condition
        if condition.event_names:
            return " or ".join(f"“{name}”" for name in sorted(condition.event_names))
        if condition.types:
            return " or ".join(sorted(condition.types))
        return "audiences" if any(path[0] == "audience" for path in condition.paths) else ""

    @property
    def skips(self) -> int:
        return sum(count for _, count in self.skipped)


def cards(
    mappings: Mappings,
    slots: RuleSlots,
    *,
    ever: Collection[str],
    held: Named[str, int],
    paused: Collection[str],
    paths: Iterable[PathCount],
    heard: Collection[str],
    now_ms: int,
) -> list[Card]:
    """One for each rule, in the order of the mappings; `ever` are those that an event has met."""
    made = _rules(mappings)
    counts: dict[str, list[RuleCount]] = defaultdict(list)
    for one in slots.counts:
        counts[one.rule].append(one)
    looked: dict[str, list[PathCount]] = defaultdict(list)
    for path in paths:
        looked[path.rule].append(path)
    wanted = {name for card in made.values() for name in card.rule.condition.event_names}
    unclaimed = [name for name in heard if name not in wanted]
    for name, card in made.items():
        _count(card, counts[name])
        _spark(card, slots.hours.get(name, {}), now_ms)
        card.held = held.get(name, 0)
        card.paused = f"rule/{name}" in paused
        if name not in ever and not card.met:
            card.never = _never(card.rule, heard, unclaimed)
        card.missing = _missing(card.rule, looked[name])
    return list(made.values())


def _rules(mappings: Mappings) -> dict[str, Card]:
    made: dict[str, Card] = {}
    for source, mapping in mappings.items():
        for rule in mapping.rules:
            card = made.setdefault(rule.name, Card(rule=rule, sources=[]))
            card.sources.append(source)
    return made


def _count(card: Card, counts: Sequence[RuleCount]) -> None:
    def total(outcome: str, *operations: str) -> int:
        return sum(
            one.times
            for one in counts
            if one.outcome == outcome and (not operations or one.operation in operations)
        )

    card.met, card.nobody, card.dead = total(MET), total("no_recipients"), total("dead")
    card.pushed, card.tracked = total("delivered", PUSH), total("delivered", TRACK)
    card.written = total("delivered") - card.pushed - card.tracked
    skipped: dict[str, int] = defaultdict(int)
    for one in counts:
        if one.outcome == "skipped":
            skipped[one.reason] += one.times
    card.skipped = sorted(skipped.items(), key=lambda item: -item[1])


def _spark(card: Card, hours: Named[int, int], now_ms: int) -> None:
    last = now_ms // HOUR_MS * HOUR_MS
    card.hours = [hours.get(last - back * HOUR_MS, 0) for back in range(HOURS - 1, -1, -1)]


def _never(rule: Rule, heard: Collection[str], unclaimed: Sequence[str]) -> Never:
    """`unclaimed` are those names that no rule wants: another rule's is no misspelling of this one's."""
    wants = tuple(sorted(rule.condition.event_names))
    if any(name in heard for name in wants):
        return Never(wants=wants, near=None, heard=True)
    near = next(
        (
            (name, found[0])
            for name in wants
            if (found := difflib.get_close_matches(name, unclaimed, n=1, cutoff=_ALIKE))
        ),
        None,
    )
    return Never(wants=wants, near=near, heard=False)


def _missing(rule: Rule, looked: Sequence[PathCount]) -> list[tuple[str, int]]:
    """Of paths that today's rule reads: a mapping that was edited asks for others."""
    read = reads(rule)
    return [
        (one.path, one.looked)
        for one in looked
        if one.path in read and one.found == 0 and one.looked >= ENOUGH
    ]


def added(slots: RuleSlots, fresh: Iterable[RuleCount], now_ms: int) -> RuleSlots:
    """What was counted, with what is not on disk yet."""
    hour = now_ms // HOUR_MS * HOUR_MS
    hours = {rule: dict(by_hour) for rule, by_hour in slots.hours.items()}
    counts = list(slots.counts)
    for one in fresh:
        counts.append(one)
        if one.outcome == MET:
            by_hour = hours.setdefault(one.rule, {})
            by_hour[hour] = by_hour.get(hour, 0) + one.times
    return RuleSlots(counts, hours, slots.since_ms)


__all__ = ["HOURS", "Card", "Never", "added", "cards"]
