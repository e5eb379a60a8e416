"""What was sent before, and who is in which audience, for as long as a few events are played.

The journal keeps the same record on disk (`journal.sqlite_sends`), over years and restarts.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import NamedTuple

from bridge.journal.membership import Heard, Membership, is_another_stay, joined, learn
from bridge.journal.sends import Known
from bridge.mapping.terms import Rate, Terms


class Bid(NamedTuple):
    """A send that asks to be made: for which event (a number), whose it is, who gets it, on what terms."""

    event: int
    rule: str
    user: str
    person: str
    terms: Terms
    now_ms: int
    key: str


@dataclass(slots=True)
class Memory:
    """The record of one app.

    The sends of one rule for one event are one firing, so what an event itself has taken does not
    stop it.
    """

    _memberships: dict[tuple[str, str], Membership] = field(default_factory=dict)
    #: The event for which a rule has fired in the stay that is known; by user and audience.
    _fired: defaultdict[tuple[str, str], dict[str, int]] = field(
        default_factory=lambda: defaultdict(dict)
    )
    #: When a place was taken, and by which event; by rule, person and key.
    _places: dict[tuple[str, str, str], tuple[int, int]] = field(default_factory=dict)
    _pushes: defaultdict[str, list[int]] = field(default_factory=lambda: defaultdict(list))
    _sends: defaultdict[str, list[int]] = field(default_factory=lambda: defaultdict(list))
    _held: set[str] = field(default_factory=set)
    _keys: set[str] = field(default_factory=set)

    def learn(self, user: str, heard: Heard) -> None:
        """An event says that the user is in an audience, or out of it."""
        at = user, heard.audience
        before = self._memberships.get(at)
        after = learn(before, heard, passing=False)
        if after is not None:
            self._memberships[at] = after
            if is_another_stay(before, after):
                self._fired.pop(at, None)

    def join(self, other: str, person: str) -> None:
        """What is known of the other is the person's."""
        for user, audience in [at for at in self._memberships if at[0] == other]:
            known = self._memberships.pop((user, audience))
            fired, at = self._fired.pop((user, audience), {}), (person, audience)
            both, own_fired, its_fired = joined(self._memberships.get(at), known)
            self._memberships[at] = both
            own = self._fired[at] if own_fired else {}
            self._fired[at] = {**(fired if its_fired else {}), **own}
        for rule, whose, key in [at for at in self._places if at[1] == other]:
            place, at_person = self._places.pop((rule, whose, key)), (rule, person, key)
            self._places[at_person] = max(place, self._places.get(at_person, place))
        self._pushes[person] += self._pushes.pop(other, [])

    def was_sent(self, key: str) -> bool:
        """This very send was made: the same event came through another source."""
        return key in self._keys

    def known(self, bid: Bid) -> Known:
        """Everything that is asked about a send before it is made."""
        terms = bid.terms
        at = bid.user, terms.stay.audience if terms.stay else ""
        return Known(
            membership=self._memberships.get(at),
            fired=self._fired[at].get(bid.rule, bid.event) != bid.event,
            once_taken_ms=self._taken_ms(bid),
            person_sends=_within(self._pushes[bid.person], terms.cap, bid.now_ms),
            rule_sends=_within(self._sends[bid.rule], terms.limit, bid.now_ms),
            rule_held=bid.rule in self._held,
        )

    def _taken_ms(self, bid: Bid) -> int | None:
        if bid.terms.once is None:
            return None
        taken = self._places.get((bid.rule, bid.person, bid.terms.once.key))
        return None if taken is None or taken[1] == bid.event else taken[0]

    def write(self, bid: Bid, *, held_by_limit: bool = False) -> None:
        """The send is made, or held to be made later; it takes the places that it needs."""
        terms = bid.terms
        if terms.stay is not None:
            self._fired[bid.user, terms.stay.audience][bid.rule] = bid.event
        if terms.once is not None:
            self._places[bid.rule, bid.person, terms.once.key] = bid.now_ms, bid.event
        if terms.cap is not None:
            self._pushes[bid.person].append(bid.now_ms)
        if terms.limit is not None:
            self._sends[bid.rule].append(bid.now_ms)
        if held_by_limit:
            self._held.add(bid.rule)
        self._keys.add(bid.key)


def _within(sent: list[int], rate: Rate | None, now_ms: int) -> int:
    return 0 if rate is None else sum(1 for at in sent if at > now_ms - rate.per_ms)
