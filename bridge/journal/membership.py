"""Who is in which audience, as events tell it: the last word by event time. Pure.

::

    stays          out ────────────┐        in ─────────────────────┐      out ──────
    events          ·              enter    enter (again)           exit
    a rule fires                   once for the whole of this stay

A *stay* begins at the first event that says so. An event that comes late, older than the last word,
changes nothing. One that a later event already contradicts is only *passing*: nobody was told of
it, so going back is no news either, and the stay that it interrupts stays what it was.
"""

from __future__ import annotations

from typing import NamedTuple


class Heard(NamedTuple):
    """What one event says of one membership."""

    audience: str
    entered: bool
    event_ms: int
    seq: int


class Membership(NamedTuple):
    """The last word on a membership."""

    entered: bool
    since_ms: int
    last_ms: int
    last_seq: int
    #: This stay is no news: no rule fires for it any more.
    quiet: bool


def learn(before: Membership | None, heard: Heard, *, passing: bool) -> Membership | None:
    """What is known after an event; None when it changes nothing."""
    at = heard.event_ms
    if before is None:
        entered = heard.entered is not passing
        return Membership(entered, at, at, heard.seq, quiet=passing)
    if (at, heard.seq) <= (before.last_ms, before.last_seq):
        earlier = at < before.since_ms and before.entered == heard.entered
        return before._replace(since_ms=at) if earlier else None
    if before.entered == heard.entered:
        return before._replace(last_ms=at, last_seq=heard.seq)
    if passing:
        return before._replace(last_ms=at, last_seq=heard.seq, quiet=True)
    return Membership(heard.entered, at, at, heard.seq, quiet=False)


def is_another_stay(before: Membership | None, after: Membership) -> bool:
    """Whether what rules have fired for is over."""
    return before is not None and before.entered != after.entered


def joined(person: Membership | None, other: Membership) -> tuple[Membership, bool, bool]:
    """The last word on the membership of two who are one, and of whom what was fired still counts.

    The one of whom there is the later word was right all along: as an event that comes late changes
    nothing, what is known of the other one does not interrupt a stay.
    """
    if person is None:
        return other, False, True
    if person.entered == other.entered:
        (last_ms, last_seq) = max(person[2:4], other[2:4])
        since_ms = min(person.since_ms, other.since_ms)
        quiet = person.quiet or other.quiet
        return Membership(person.entered, since_ms, last_ms, last_seq, quiet), True, True
    is_other = person[2:4] < other[2:4]
    return (other if is_other else person), not is_other, is_other
