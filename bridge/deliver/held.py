"""What is held: releasing it, or discarding it, a few at a time.

A million pushes can be held. They go back to work in short transactions, each user's chain is told,
and whoever is stopped in between goes on where it was: what was held for a pause that is over is
released at the next start too.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field, replace

from bridge.deliver.brake import Brake, Pause
from bridge.deliver.standing import VOLUME_MS
from bridge.journal import Journal
from bridge.journal.piles import EVERYTHING, Choice, Releasing, Volume
from bridge.journal.sends import Hold
from bridge.telemetry import log

AT_ONCE = 500
"""Sends in one transaction: the loop makes its changes, and waits for none longer than it must."""
REMEMBERED = 50_000
BY_PAUSE = "paused"
PAUSED = Choice(reason=BY_PAUSE)
IOS_REACHED = "ios_reached"
_WHY: dict[str, Hold] = {"limit": "limit", IOS_REACHED: "ios_reached"}

Nudge = Callable[[str, frozenset[int]], None]
"""Told of an app that has work again, and of whose."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Holding:
    """Sends that are held alike."""

    app: str
    rule: str
    why: Hold
    count: int
    #: By which they are found again.
    choice: Choice
    #: Of these the custom events alone.
    only_events: bool = False


async def holdings(journal: Journal, choice: Choice = EVERYTHING) -> list[Holding]:
    """What is held, by app, rule and reason, most first."""
    return [
        Holding(
            app=app,
            rule=name,
            why=_WHY.get(hold, "paused"),
            count=count,
            choice=choice._replace(app=app, rule=name, reason=hold),
        )
        for app, name, hold, count in await journal.sends.held_counts(choice)
    ]


async def release(journal: Journal, chosen: Iterable[Holding], *, now_ms: int, nudge: Nudge) -> int:
    """Let these go, oldest first; `nudge` is told of who has work again.

    It is told when all are released, so that one user's pushes by several rules go in their order.
    """
    told = Told(nudge)

    async def some(one: Holding) -> int:
        released = await journal.sends.release(
            one.choice,
            limit=AT_ONCE,
            volume=Volume(now_ms, VOLUME_MS),
            only_events=one.only_events,
        )
        told.add(one.app, released.users)
        return released.sends

    total = await _all(chosen, some)
    told.flush()
    return total


@dataclass(slots=True)
class Told:
    """Who has work again, as long as there are not too many to remember."""

    nudge: Nudge
    users: dict[str, set[int]] = field(default_factory=dict)

    def add(self, app: str, users: frozenset[int]) -> None:
        known = self.users.setdefault(app, set())
        known |= users
        if len(known) >= REMEMBERED:
            self.flush()

    def flush(self) -> None:
        for app, users in self.users.items():
            self.nudge(app, frozenset(users))
        self.users.clear()


async def discard(journal: Journal, chosen: Iterable[Holding], *, now_ms: int) -> int:
    """End these, unsent."""

    async def some(one: Holding) -> int:
        return await journal.sends.discard(one.choice, limit=AT_ONCE, at_ms=now_ms)

    return await _all(chosen, some)


async def _all(chosen: Iterable[Holding], some: Callable[[Holding], Awaitable[int]]) -> int:
    total = 0
    for one in chosen:
        # Not more than there were: what comes to be held meanwhile is not what was asked about.
        left = one.count
        while left > 0 and (done := await some(one)) > 0:
            left, total = left - done, total + done
    return total


async def keep_back(journal: Journal, pause: Pause | None) -> int:
    """Of what an alarm about iPhones held, whatever trusts in the flags that let them through stays held.

    What it is written with does not change any more, whatever the mapping says by now.
    """
    if pause is None or pause.reason != IOS_REACHED:
        return 0
    total = 0
    while (some := await journal.sends.keep_back(limit=AT_ONCE)) > 0:
        total += some
    if total:
        log().warning("held.kept_back", reason=IOS_REACHED, sends=total)
    return total


async def _beside(journal: Journal, held: Holding, slow: Releasing | None) -> list[Holding]:
    """What of it a release is not about."""
    if slow is None:
        return [held]
    return [one for other in slow.others() for one in await holdings(journal, other)]


async def release_resumed(journal: Journal, brake: Brake, *, nudge: Nudge) -> int:
    """Let go what was held for a pause, and is not paused any more; what a limit holds stays held.

    What somebody has let go little by little meanwhile leaves as was said.
    """
    slowly = {
        (one.app, one.rule): one for one in await journal.piles.releases() if one.hold == BY_PAUSE
    }
    over = [
        # Pausing pushes lets the custom events of a rule go on.
        replace(one, only_events=brake.paused(one.rule))
        for held in await holdings(journal, PAUSED)
        if not brake.stops(held.rule)
        for one in await _beside(journal, held, slowly.get((held.app, held.rule)))
    ]
    return await release(journal, over, now_ms=brake.clock.now_ms(), nudge=nudge)
