"""May this send be written now? What the rule's terms say, given what was sent before. Pure.

The order is the order of the questions, and the first no is the answer::

    too_old            the event is older than `max_age`
    membership_over    the person has left (or entered) again since: nothing to say about it any more
    same_membership    the rule has fired for this stay
    once_per           the rule has fired for this person and key within its time
    person_cap         the person got as many pushes as `push.cap` allows
    held: paused       somebody pulled the brake
    held: limit        the rule sends more than its `limit`, or has been held since it did

What is held waits for a person; everything else is a skip, and final.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from bridge.mapping.terms import Stay, Terms


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """What is known, at the moment of deciding, of the person and the rule that a send is about."""

    #: The last word on the person's membership of the audience; None when it was never heard of.
    membership: Stay | None = None
    #: The rule has fired for the stay that `membership` is about.
    fired: bool = False
    #: When the place of `once_per` was last taken and not given back; milliseconds since 1970.
    once_taken_ms: int | None = None
    #: Pushes to the person within the cap's time.
    person_sends: int = 0
    #: Sends of the rule within the limit's time.
    rule_sends: int = 0
    #: The rule is held since it met its limit, and nobody has released it.
    rule_held: bool = False
    #: Pushes, or this rule's, are paused.
    paused: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Go:
    pass


@dataclass(frozen=True, slots=True, kw_only=True)
class Stop:
    """Skipped for good."""

    reason: Literal["too_old", "membership_over", "same_membership", "once_per", "person_cap"]
    detail: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Hold:
    """Written, and not sent until a person says so."""

    reason: Literal["limit", "paused"]


def judge(terms: Terms, standing: Standing, *, event_ms: int, now_ms: int) -> Go | Stop | Hold:
    """The first question above that is answered no, or `Go`."""
    if terms.max_age_ms is not None and now_ms > event_ms + terms.max_age_ms:
        return Stop(reason="too_old")
    if (stop := _membership(terms, standing) or _once(terms, standing, now_ms)) is not None:
        return stop
    if terms.cap is not None and standing.person_sends >= terms.cap.max:
        return Stop(reason="person_cap")
    if standing.paused:
        return Hold(reason="paused")
    if terms.limit is not None and (standing.rule_held or standing.rule_sends >= terms.limit.max):
        return Hold(reason="limit")
    return Go()


def _membership(terms: Terms, standing: Standing) -> Stop | None:
    if terms.stay is None or standing.membership is None:
        return None
    if standing.membership.entered != terms.stay.entered:
        return Stop(reason="membership_over")
    return Stop(reason="same_membership") if standing.fired else None


def _once(terms: Terms, standing: Standing, now_ms: int) -> Stop | None:
    taken = standing.once_taken_ms
    if terms.once is None or taken is None or now_ms - taken >= terms.once.time_ms:
        return None
    return Stop(reason="once_per")
