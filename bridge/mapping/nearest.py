"""Why an event meets no rule: the one that lacks least, and what it lacks. For a person who tries. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from difflib import SequenceMatcher, get_close_matches
from functools import lru_cache
from typing import Any, Final, NamedTuple

from bridge.mapping.fql import compile_condition
from bridge.mapping.lint_cases import demands
from bridge.mapping.rules import Rule

_ALIKE: Final = 0.8
"""Names of events from here on are the same one, misspelt."""


class Nearest(NamedTuple):
    """A rule, and what it asks that the event does not have."""

    rule: str
    lacks: tuple[str, ...]

    def __str__(self) -> str:
        return f"nearest is {self.rule}, which wants {' and '.join(self.lacks)}"


def nearest(rules: Iterable[Rule], fields: dict[str, Any]) -> Nearest | None:
    """The rule that an event nearly meets; None when it has nothing, not even nearly, that any of them asks.

    Of rules that lack equally much it is the one whose event is called most like this one.
    """
    found = [
        (len(one.lacks), -_likeness(rule, fields), number, one)
        for number, rule in enumerate(rules)
        for one in _lacking(rule, fields)
    ]
    return min(found)[-1] if found else None


@lru_cache(maxsize=1024)
def nearest_name(name: str, names: frozenset[str]) -> str | None:
    """The one of `names` that an event's name is a misspelling of; None when it is one of them, or like none."""
    # Looking takes longer than all else that is done to an event, and the same few names come.
    found = None if name in names else get_close_matches(name, sorted(names), n=1)
    return found[0] if found else None


def _lacking(rule: Rule, fields: dict[str, Any]) -> Iterator[Nearest]:
    for asked in demands(rule.condition.text):
        tests = [(one, compile_condition(one)) for one in asked]
        lacks = tuple(one for one, test in tests if not test(fields))
        # What an event of nothing meets, too (`… = null`), brings none nearer.
        has_some = any(test(fields) and not test({}) for _, test in tests)
        if lacks and (has_some or _likeness(rule, fields) >= _ALIKE):
            yield Nearest(rule.name, lacks)


def _likeness(rule: Rule, fields: dict[str, Any]) -> float:
    name = str(fields.get("event"))[:100].lower()
    names = rule.condition.event_names
    return max((_ratio(name, one.lower()) for one in names), default=0.0)


@lru_cache(maxsize=4096)
def _ratio(name: str, other: str) -> float:
    return SequenceMatcher(None, name, other).ratio()
