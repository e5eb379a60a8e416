"""What waits for a person, as the JSON API offers it: of a bridge that runs, or of its database alone."""

from __future__ import annotations

from dataclasses import dataclass

from starlette.routing import Route

from bridge.clock import Clock
from bridge.console.dead import DeadApi
from bridge.console.held import HeldApi
from bridge.console.skipped import SkippedApi
from bridge.deliver.held import Nudge, discard, holdings, release
from bridge.deliver.releases import Releases
from bridge.deliver.replay import Replays, discard_all, replay, replay_all, replay_skipped
from bridge.journal import Journal
from bridge.journal.piles import Choice
from bridge.journal.records import Replayed
from bridge.telemetry import log


@dataclass(slots=True, kw_only=True)
class Piles:
    """Does what people ask for, and says so in the log, without whom it is about."""

    journal: Journal
    clock: Clock
    #: Told of who has work again.
    nudge: Nudge
    releases: Releases

    def routes(self, token: bytes | None) -> list[Route]:
        dead = DeadApi(
            token=token,
            journal=self.journal,
            replay=self._replay,
            replay_all=self._replay_all,
            discard_all=self._discard_all,
        )
        held = HeldApi(
            token=token,
            journal=self.journal,
            counts=lambda choice: holdings(self.journal, choice),
            release=self._release,
            release_slowly=lambda choice, rate: self.releases.begin(choice, per_minute=rate),
            discard=self._discard_held,
        )
        skipped = SkippedApi(token=token, journal=self.journal, replay=self._replay_skipped)
        return [*dead.routes(), *held.routes(), *skipped.routes()]

    async def _replay(self, dead_id: int, replan: bool) -> Replayed:  # noqa: FBT001 — the API's two words
        done = await replay(self.journal, dead_id, now_ms=self.clock.now_ms(), replan=replan)
        if done.dead is not None and done.operations:
            self.nudge(done.dead.app, frozenset({done.dead.user_hash}))
        return done.done

    async def _replay_all(self, choice: Choice, replan: bool) -> Replays:  # noqa: FBT001 — as the callable that it stands for
        done = await replay_all(
            self.journal, choice, replan=replan, now=self.clock.now_ms, nudge=self.nudge
        )
        log().warning("dead.replayed", rule=choice.rule, reason=choice.reason, count=done.replayed)
        return done

    async def _discard_all(self, choice: Choice) -> int:
        count = await discard_all(self.journal, choice, now=self.clock.now_ms)
        log().warning("dead.discarded", rule=choice.rule, reason=choice.reason, count=count)
        return count

    async def _release(self, choice: Choice) -> int:
        chosen = await holdings(self.journal, choice)
        count = await release(self.journal, chosen, nudge=self.nudge)
        log().warning("held.released", rule=choice.rule, reason=choice.reason, count=count)
        return count

    async def _discard_held(self, choice: Choice) -> int:
        chosen = await holdings(self.journal, choice)
        count = await discard(self.journal, chosen, now_ms=self.clock.now_ms())
        log().warning("held.discarded", rule=choice.rule, reason=choice.reason, count=count)
        return count

    async def _replay_skipped(self, choice: Choice) -> int:
        count = await replay_skipped(self.journal, choice, nudge=self.nudge)
        log().warning("skipped.replayed", rule=choice.rule, count=count)
        return count
