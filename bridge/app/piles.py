"""What waits for a person, as the JSON API offers it: of a bridge that runs, or of its database alone."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from starlette.routing import Route

from bridge.clock import Clock
from bridge.console.api import Accessible
from bridge.console.dead import DeadApi
from bridge.console.held import HeldApi
from bridge.console.naming import Names, Naming
from bridge.console.skipped import SkippedApi
from bridge.console.views.waiting import Waiting
from bridge.deliver.held import Holding, Nudge, discard, holdings, release
from bridge.deliver.releases import Releases
from bridge.deliver.replay import Replays, discard_all, replay, replay_all, replay_skipped
from bridge.journal import Journal
from bridge.journal.erasures import noted
from bridge.journal.piles import Choice
from bridge.journal.records import Replayed
from bridge.telemetry import log


@dataclass(slots=True, kw_only=True)
class Piles:
    """Does what people ask for, and says so in the log and the audit trail, without whom it is about."""

    journal: Journal
    clock: Clock
    #: Told of who has work again.
    nudge: Nudge
    releases: Releases
    #: What people may name.
    in_force: Callable[[], Names]

    @property
    def waiting(self) -> Waiting:
        return Waiting(journal=self.journal, counts=lambda choice: holdings(self.journal, choice))

    @property
    def naming(self) -> Naming:
        return Naming(journal=self.journal, in_force=self.in_force)

    def routes(self, access: Accessible) -> list[Route]:
        waiting, naming = self.waiting, self.naming
        dead = DeadApi(
            access=access,
            journal=self.journal,
            waiting=waiting,
            naming=naming,
            replay=self.replay,
            replay_all=self.replay_all,
            discard_all=self.discard_all,
        )
        held = HeldApi(
            access=access,
            journal=self.journal,
            waiting=waiting,
            naming=naming,
            stopped=self.stopped,
            release=self.release,
            release_slowly=self.release_slowly,
            hold=self.hold,
            discard=self.discard_held,
        )
        skipped = SkippedApi(
            access=access,
            journal=self.journal,
            waiting=waiting,
            naming=naming,
            replay=self.replay_skipped,
        )
        return [*dead.routes(), *held.routes(), *skipped.routes()]

    async def _note(self, who: str, what: str, **detail: Any) -> None:
        """Before it is done: what nobody could be asked about later is not done."""
        await self.journal.note(noted(self.clock.now_ms(), who, what, **detail))

    async def replay(self, dead_id: int, replan: bool, who: str) -> Replayed:  # noqa: FBT001 — the API's two words
        await self._note(who, "dead.replayed", id=dead_id, replan=replan, count=1)
        done = await replay(self.journal, dead_id, now_ms=self.clock.now_ms(), replan=replan)
        if done.dead is not None and done.operations:
            self.nudge(done.dead.app, frozenset({done.dead.user_hash}))
        return done.done

    async def replay_all(self, choice: Choice, replan: bool, who: str) -> Replays:  # noqa: FBT001 — as the callable that it stands for
        count = await self._dead(choice)
        await self._note(who, "dead.replayed", **told(choice), replan=replan, count=count)
        done = await replay_all(
            self.journal, choice, replan=replan, now=self.clock.now_ms, nudge=self.nudge
        )
        log().warning("dead.replayed", rule=choice.rule, reason=choice.reason, count=done.replayed)
        return done

    async def discard_all(self, choice: Choice, who: str) -> int:
        await self._note(who, "dead.discarded", **told(choice), count=await self._dead(choice))
        count = await discard_all(self.journal, choice, now=self.clock.now_ms)
        log().warning("dead.discarded", rule=choice.rule, reason=choice.reason, count=count)
        return count

    async def _dead(self, choice: Choice) -> int:
        return sum(one.many for one in await self.journal.dead_counts(choice))

    async def stopped(self, choice: Choice) -> int:
        """How many of what is held would only be held again, because they are paused now."""
        return _count(one for one in await holdings(self.journal, choice) if self._waits(one))

    def _waits(self, one: Holding) -> bool:
        return self.releases.brake.paused(one.rule)

    async def release(self, choice: Choice, who: str) -> int:
        chosen = [one for one in await holdings(self.journal, choice) if not self._waits(one)]
        await self._note(who, "held.released", **told(choice), count=_count(chosen))
        now_ms = self.clock.now_ms()
        count = await release(self.journal, chosen, now_ms=now_ms, nudge=self.nudge)
        # A rule is held for as long as anything of it is: what came meanwhile would keep it so.
        while latest := await self._held_meanwhile(choice):
            count += await release(self.journal, latest, now_ms=now_ms, nudge=self.nudge)
        log().warning("held.released", rule=choice.rule, reason=choice.reason, count=count)
        return count

    async def _held_meanwhile(self, choice: Choice) -> list[Holding]:
        """Nothing, when somebody said up to when, or which; and not what a pause holds again."""
        if choice.until_ms is not None or choice.ids is not None:
            return []
        held = await holdings(self.journal, choice)
        return [one for one in held if one.why == "limit" and not self._waits(one)]

    async def release_slowly(self, choice: Choice, rate: int, who: str) -> Sequence[Holding]:
        count = _count(await holdings(self.journal, choice))
        await self._note(who, "held.released", **told(choice), per_minute=rate, count=count)
        return await self.releases.begin(choice, per_minute=rate)

    async def hold(self, choice: Choice, who: str) -> int:
        await self._note(who, "held.kept", **told(choice))
        return await self.journal.piles.hold_on(choice)

    async def discard_held(self, choice: Choice, who: str) -> int:
        chosen = await holdings(self.journal, choice)
        await self._note(who, "held.discarded", **told(choice), count=_count(chosen))
        count = await discard(self.journal, chosen, now_ms=self.clock.now_ms())
        log().warning("held.discarded", rule=choice.rule, reason=choice.reason, count=count)
        return count

    async def replay_skipped(self, choice: Choice, who: str) -> int:
        counts = await self.journal.piles.skipped_counts(choice)
        kept = sum(one.kept for one in counts)
        await self._note(who, "skipped.replayed", **told(choice), count=kept)
        count = await replay_skipped(self.journal, choice, nudge=self.nudge)
        log().warning("skipped.replayed", rule=choice.rule, count=count)
        return count


def _count(chosen: Iterable[Holding]) -> int:
    return sum(one.count for one in chosen)


def told(choice: Choice) -> dict[str, Any]:
    """A choice as the audit trail tells it: it never says which user it was about."""
    values = choice._asdict()
    return values | {"user": None if choice.user is None else "one user"}
