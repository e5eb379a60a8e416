"""On what terms a rule may act: everything of a rule that is ours and not OneSignal's. Pure values.

`rules` compiles them, `plan` resolves what depends on the event, `plan.guards` judges them against
what has been sent before, and `deliver` keeps that record.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

LIMIT_MAX, LIMIT_PER_MS = 2000, 600_000
"""Of every rule that is not `transactional` and sets no limit of its own."""
CAP_MAX, CAP_PER_MS = 5, 900_000
"""Pushes to one person over all rules, unless `push.cap` says otherwise."""


class Rate(NamedTuple):
    """So many in so long."""

    max: int
    per_ms: int


class Stay(NamedTuple):
    """What an event says of a membership: its person is in (or out of) an audience, since then."""

    audience: str
    entered: bool
    event_ms: int


class Once(NamedTuple):
    """`once_per`, with its key resolved for one event."""

    time_ms: int
    key: str


class Terms(NamedTuple):
    """What may still stop the sends of one rule for one event when they are to be written."""

    max_age_ms: int | None = None
    once: Once | None = None
    limit: Rate | None = None
    #: None: `cap: off`, the rule is for conversations and the volume guard watches it instead.
    cap: Rate | None = None
    stay: Stay | None = None
    #: Sends with equal bodies wait so long for each other; None: each leaves alone, at once.
    group_ms: int | None = None


Unchanged = Literal["skip", "send"]
"""Whether a value that OneSignal has already is written again: `send` for what others write too."""
