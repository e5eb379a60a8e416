"""An alias that is somebody else's at OneSignal: whose it is from now on. Pure.

OneSignal gives an alias to one user, and answers 409 to every other. The later word counts, as with
everything else; but only of what we asked for do we know when it was said, and of that even when the
answer was lost, with the process or without, because it is on disk before it is asked for::

    who has it there                               what is done
    nobody any more, or this very user             it is asked for once more
    a user to whom an earlier event gave it        it is taken off that one, and asked for once more
    a user to whom a later event gave it           skipped, overtaken
    nobody: who was given it by a later event
      has another id by now                        skipped, overtaken, and not asked for
    a user who is being erased                     it is taken off that one, and asked for once more
    a user without an external id                  that user becomes this one, devices and all
      by another id, who was found to be a person  as of that person
    a third, who took it as soon as it was free    all is asked again, and so on until it is contested
    a user to whom nothing here gave it            dead, alias_conflict: a person decides

What changes hands again and again is no id of one person: dead, alias_contested.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from bridge.clock import Clock
from bridge.deliver.given_up import may_have
from bridge.deliver.spacing import Moments
from bridge.deliver.state import Moment, Row

AT_ONCE = 16
"""Disputes in memory: a look at who has an alias is one of one a second for all of an app."""
LATELY_SECONDS = 3600.0
MOST_CHANGES = 3
"""Of one alias in that time: who shares a telephone with it changes it back and forth for ever."""
_PRUNE_AT = 20_000

Whose = Literal["earlier", "later", "unknown"]


def last_said(row: Row, name: str, alias: str) -> Moment | None:
    """When the alias was last said to be the user's of this row, as far as OneSignal may have heard of it.

    What was asked for counts before there is an answer, which can be lost.
    """
    return may_have(row, name).get(alias)


def whose(said: Moment | None, at: Moment) -> Whose:
    """Of an alias that another user has, of whom it was `said` then."""
    if said is None:
        return "unknown"
    return "later" if at.before(said) else "earlier"


class _Changes(NamedTuple):
    """How often an alias changed hands lately, and by which event last."""

    since: float
    times: int
    at: Moment


@dataclass(slots=True)
class Disputes:
    """Of one app, by the hash of the alias."""

    clock: Clock
    _found: Moments = field(default_factory=lambda: Moments(LATELY_SECONDS))
    _changes: dict[int, _Changes] = field(default_factory=dict)
    _at_work: int = 0

    def is_known(self, name: int) -> bool:
        """Whether it was found lately to be somebody else's."""
        return self._found.since(name, self.clock.monotonic()) < LATELY_SECONDS

    def found(self, name: int) -> None:
        self._found.mark(name, self.clock.monotonic())

    def changed(self, name: int, at: Moment) -> None:
        """It has changed hands."""
        lately = self._lately(name)
        since, times = (self.clock.monotonic(), 0) if lately is None else lately[:2]
        self._changes.pop(name, None)
        self._changes[name] = _Changes(since, times + 1, at)
        while len(self._changes) > _PRUNE_AT:
            del self._changes[next(iter(self._changes))]

    def contested(self, name: int) -> Moment | None:
        """The last of too many changes."""
        lately = self._lately(name)
        return None if lately is None or lately.times < MOST_CHANGES else lately.at

    def _lately(self, name: int) -> _Changes | None:
        found = self._changes.get(name)
        is_over = found is None or self.clock.monotonic() - found.since > LATELY_SECONDS
        return None if is_over else found

    @property
    def is_full(self) -> bool:
        return self._at_work >= AT_ONCE

    @contextmanager
    def one_more(self) -> Iterator[None]:
        self._at_work += 1
        try:
            yield
        finally:
            self._at_work -= 1
