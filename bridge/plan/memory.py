"""What was sent before, and who is in which audience, for as long as a few events are played. Pure.

Delivery keeps the same record in the journal, over years and restarts; here it is a value, so that
examples are judged by `guards.judge` too, and by nothing else.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import NamedTuple

from bridge.mapping.terms import Rate, Stay, Terms
from bridge.plan.guards import Standing


class Membership(NamedTuple):
    """A stay in (or out of) an audience; `heard_ms` is the time of the last event that said so."""

    stay: Stay
    heard_ms: int


def learn(known: Membership | None, heard: Stay) -> Membership:
    """What is known after one more event: the last writer wins, by event time.

    A stay begins with its first event. Of two words of the same time the later one heard counts.
    """
    if known is None:
        return Membership(heard, heard.event_ms)
    if heard.entered == known.stay.entered:
        began = min(known.stay.event_ms, heard.event_ms)
        last = max(known.heard_ms, heard.event_ms)
        return Membership(known.stay._replace(event_ms=began), last)
    return known if heard.event_ms < known.heard_ms else Membership(heard, heard.event_ms)


@dataclass(slots=True)
class Memory:
    """The record of one app: memberships, places of `once_per`, counts of caps and limits.

    The sends of one rule for one event are one firing, so what an event itself has taken does not
    stop it; `event` numbers the events.
    """

    _memberships: dict[tuple[str, str], Membership] = field(default_factory=dict)
    #: The event for which a rule has fired in the stay that is known; by person and audience.
    _fired: defaultdict[tuple[str, str], dict[str, int]] = field(
        default_factory=lambda: defaultdict(dict)
    )
    #: When a place was taken, and by which event; by rule, person and key.
    _places: dict[tuple[str, str, str], tuple[int, int]] = field(default_factory=dict)
    _pushes: defaultdict[str, list[int]] = field(default_factory=lambda: defaultdict(list))
    _sends: defaultdict[str, list[int]] = field(default_factory=lambda: defaultdict(list))
    _held: set[str] = field(default_factory=set)

    def learn(self, person: str, heard: Stay) -> None:
        """An event says that the person is in an audience, or out of it."""
        at = person, heard.audience
        known = self._memberships.get(at)
        now = self._memberships[at] = learn(known, heard)
        if known is not None and now.stay.entered != known.stay.entered:
            self._fired.pop(at, None)

    def standing(
        self, rule: str, terms: Terms, person: str, *, event: int, now_ms: int
    ) -> Standing:
        """Everything that `judge` asks about a send of this rule to this person."""
        at = person, terms.stay.audience if terms.stay else ""
        known = self._memberships.get(at)
        taken_ms, taker = self._places.get(
            (rule, person, terms.once.key if terms.once else ""), _NO
        )
        return Standing(
            membership=known.stay if known else None,
            fired=self._fired[at].get(rule, event) != event,
            once_taken_ms=None if taker in {_NOBODY, event} else taken_ms,
            person_sends=_within(self._pushes[person], terms.cap, now_ms),
            rule_sends=_within(self._sends[rule], terms.limit, now_ms),
            rule_held=rule in self._held,
        )

    def sent(self, rule: str, terms: Terms, person: str, *, event: int, now_ms: int) -> None:
        """A send goes out, or is held to go out later; it takes the places that it needs."""
        if terms.stay is not None:
            self._fired[person, terms.stay.audience][rule] = event
        if terms.once is not None:
            self._places[rule, person, terms.once.key] = now_ms, event
        self._pushes[person].append(now_ms)
        self._sends[rule].append(now_ms)

    def held(self, rule: str, terms: Terms, person: str, *, event: int, now_ms: int) -> None:
        """As `sent`; and the rule met its limit, and stays held."""
        self.sent(rule, terms, person, event=event, now_ms=now_ms)
        self._held.add(rule)


_NOBODY = -1
_NO = 0, _NOBODY


def _within(sent: list[int], rate: Rate | None, now_ms: int) -> int:
    return 0 if rate is None else sum(1 for at in sent if at > now_ms - rate.per_ms)
