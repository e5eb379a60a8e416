"""Why a rule did not send: the codes with the numbers of this person, this rule and this event. Pure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from bridge.explain import words
from bridge.explain.again import Again
from bridge.journal.hashing import hash_of, user_hash
from bridge.journal.trace import Ended, Place, Sent, Trace
from bridge.mapping.nearest import nearest_name
from bridge.mapping.terms import Once, Rate, Terms
from bridge.plan.provisos import duration


@dataclass(slots=True)
class Reasons:
    trace: Trace
    again: Again | None
    salt: bytes
    now_ms: int
    #: No value of the event's is told.
    hides: bool = False
    #: What the events are called that today's rules want.
    event_names: frozenset[str] = frozenset()

    def skip(self, ended: Ended) -> str:
        """Why it was not done, as exactly as the record and today's mapping allow."""
        end = ended.end
        exact: dict[str, Callable[[Ended], str | None]] = {
            "too_old": self._too_old,
            "once_per": self._once,
            "person_cap": self._cap,
            "same_membership": self._fired,
            "membership_over": self._over,
            "no_rule": self._unwanted,
        }
        found = exact[end.reason](ended) if end.reason in exact else None
        return found or words.skip(end.reason or "", end.detail)

    def hold(self, send: Sent) -> str:
        terms = self._terms(send.rule)
        if send.hold == "limit" and terms.limit is not None:
            return f"the rule has sent more than {_rate(terms.limit)} (limit)"
        return words.HOLDS.get(send.hold or "", send.hold or "")

    def _terms(self, rule: str) -> Terms:
        return (self.again and self.again.terms(rule)) or Terms()

    def _too_old(self, ended: Ended) -> str:
        age = words.ago(ended.at_ms - self.trace.event.event_ms)
        most = self._terms(ended.end.rule).max_age_ms
        return f"too old: {age}" + (f", max_age {duration(most)}" if most else "")

    def _unwanted(self, _: Ended) -> str | None:
        near = nearest_name(self.trace.event.name or "", self.event_names)
        return near and f"{words.SKIPS['no_rule']}; the nearest event name in the mapping is {near}"

    def _cap(self, ended: Ended) -> str | None:
        cap = self._terms(ended.end.rule).cap
        return cap and f"the person had got {cap.max} pushes in {_long(cap.per_ms)} (push.cap)"

    def _once(self, ended: Ended) -> str | None:
        end, terms = ended.end, self._terms(ended.end.rule)
        if terms.once is None:
            return None
        every = f"(once_per {duration(terms.once.time_ms)})"
        of = f" for {terms.once.key!r}" if terms.once.key and not self.hides else ""
        place = self._place(end.rule, end.operation, terms.once)
        if place is None or place.taken_ms > ended.at_ms:
            return f"had got {end.rule}{of} already {every}"
        if place.is_under_way:
            return f"{end.rule}{of} was under way already {every}, by message {place.message_id or '?'}"
        before = words.ago(ended.at_ms - place.taken_ms)
        return f"got {end.rule}{of} {before} before {every}, by message {place.message_id or '?'}"

    def _place(self, rule: str, operation: str, once: Once) -> Place | None:
        heard = self.trace.event
        key = user_hash(self.salt, heard.app, f"once|{once.key}")
        person = None if self.again is None else self.again.recipient(rule, operation)
        if person is None or hash_of(self.salt, heard.app, *person) != self.trace.person_hash:
            return None
        found = (one for one in self.trace.places if (one.rule, one.once) == (rule, key))
        return next((one for one in found if one.seq != heard.seq), None)

    def _fired(self, ended: Ended) -> str | None:
        stay = self._terms(ended.end.rule).stay
        if stay is None:
            return None
        named = (stay.audience, ended.end.rule)
        fired = (one for one in self.trace.fired if (one.audience, one.rule) == named)
        by = next((f", by message {one.message_id}" for one in fired if one.message_id), "")
        state = "in" if stay.entered else "out of"
        return f"it had fired for this stay {state} {stay.audience} already{by}"

    def _over(self, ended: Ended) -> str | None:
        stay = self._terms(ended.end.rule).stay
        if stay is None:
            return None
        what = "left" if stay.entered else "entered"
        return f"the person had {what} {stay.audience} again by then"


def _rate(rate: Rate) -> str:
    return f"{rate.max:,} in {duration(rate.per_ms)}"


def _long(ms: int) -> str:
    minutes, rest = divmod(ms, 60_000)
    return duration(ms) if rest else f"{minutes} minutes"
