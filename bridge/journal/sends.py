"""What the journal keeps of sends: may one be written, who holds it, which call carries it.

Everything that decides whether a send may be written is read, judged and changed in one transaction,
so that nothing can come between. The journal does not judge: it hands what it knows to a `decide`
that is pure, and does what that says.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal, NamedTuple, Protocol

from bridge.journal.membership import Heard, Membership
from bridge.journal.piles import EVERYTHING, Choice, Volume
from bridge.journal.records import Death, End, Learnt, NewSend, Waiting

Hold = Literal["limit", "paused", "ios_reached"]


class Guard(NamedTuple):
    """What has to be known before a send may be written; what is None is not asked."""

    audience: str | None = None
    #: A hash of the key of `once_per`, and for how long its place is taken.
    once: int | None = None
    once_ms: int | None = None
    #: The times over which the person's pushes, and the rule's sends, are counted.
    cap_ms: int | None = None
    limit_ms: int | None = None
    #: The time over which the sends of all rules without a cap are counted.
    volume_ms: int | None = None


class Known(NamedTuple):
    """What is known, at the moment of judging, of the person and the rule of a send."""

    membership: Membership | None = None
    #: A later event, still to be worked on, says the opposite.
    passing: bool = False
    #: By another event, for the stay that `membership` is about.
    fired: bool = False
    #: By another event.
    once_taken_ms: int | None = None
    person_sends: int = 0
    rule_sends: int = 0
    rule_held: bool = False
    volume_sends: int = 0
    #: When the oldest of them count no more.
    volume_until_ms: int = 0
    #: Reached by a push in the last 30 days, with the one this send is for.
    people: int = 1


class Ruling(NamedTuple):
    """What becomes of a bid.

    `go`: it is written, to be sent. `hold`: it is written, for a person to release. `stop`: it is
    skipped for good. `wait`: it is not written, and judged again later.
    """

    verdict: Literal["go", "hold", "stop", "wait"]
    reason: str | None = None
    until_ms: int = 0
    #: The first that its rule's limit holds.
    first: bool = False


ALREADY_SENT = Ruling("stop", "already_sent")


class Written(NamedTuple):
    #: In the order of the bids.
    rulings: list[Ruling]
    #: Nothing is left of the event for its chain.
    finished: bool
    #: The event is in another's chain by now, so that nothing was written.
    gone: bool = False


class Bid(NamedTuple):
    """A send that asks to be written."""

    send: NewSend
    guard: Guard


class Reached(NamedTuple):
    """How far an event has come when its sends are written: what has ended, all that is done, and what was learnt by it."""

    ends: Sequence[End]
    deaths: Sequence[Death]
    done: frozenset[str]
    learnt: Sequence[Learnt] = ()


class HeldSend(NamedTuple):
    key: str
    seq: int
    app: str
    rule: str
    operation: str
    hold: str
    message_id: str
    name: str | None
    created_ms: int


class Released(NamedTuple):
    """What goes on: users whose chains have it to do, and groups."""

    sends: int
    users: frozenset[int]
    groups: frozenset[bytes]


Decide = Callable[[int, Known], Ruling]
Contradicts = Callable[[Sequence[Waiting]], bool]


class Sends(Protocol):
    """The part of a journal that is about sends."""

    async def write(
        self,
        seq: int,
        bids: Sequence[Bid],
        *,
        decide: Decide,
        heard: Heard | None,
        contradicts: Contradicts,
        reached: Reached,
        last: bool,
        now_ms: int,
    ) -> Written:
        """Learn what the event says, and write those of its sends that may be written.

        `decide` is asked for each bid in its order, and `contradicts` of the pending events of the
        user; both may be asked again. What is written or stopped is done, and the ends of what is
        stopped are written with `reached`. A bid whose very send was written before is stopped.
        When one has to wait, so has the event. `last`: nothing but these sends is left of the
        event; it is finished with them, unless its chain has one of them to do.
        """

    async def learn(
        self, app: str, user_hash: int, heard: Heard, *, contradicts: Contradicts
    ) -> None:
        """Keep what an event without sends says of a membership."""

    async def hold(self, key: str, why: Hold) -> None:
        """A send that was written and may not leave waits for a person."""

    async def keep_back(self, *, limit: int) -> int:
        """Some of what is held for a pause, and leaves iPhones out by flags, is held for `ios_reached`."""

    async def held(self, choice: Choice = EVERYTHING, *, limit: int = 100) -> list[HeldSend]:
        """What is held, by rule, oldest first."""

    async def held_counts(self, choice: Choice = EVERYTHING) -> list[tuple[str, str, str, int]]:
        """How many by app, rule and why, most first."""

    async def release(
        self,
        choice: Choice,
        *,
        limit: int,
        volume: Volume | None = None,
        only_events: bool = False,
    ) -> Released:
        """Let some of what an app holds go, oldest first; not more than `limit` of them.

        It is checked no more: what a person releases is not too old. The last that a rule's limit
        held re-arms it. What is under no cap counts for the volume of those. `only_events`: nothing but
        custom events goes, of a choice that names a rule and a reason.
        """

    async def discard(self, choice: Choice, *, limit: int, at_ms: int) -> int:
        """End some of what an app holds, unsent; how many."""
