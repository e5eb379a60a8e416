"""An update that shares its call with no other: a subscription, a contact, a deletion; and see `aliasing`.

Most of them need no call at all, because OneSignal has it: those hold nothing up and are no barrier.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Generic, TypeVar

from bridge.deliver.attempts import Ended, Wait
from bridge.deliver.known import Known
from bridge.deliver.means import Means
from bridge.deliver.spacing import SPACING_SECONDS
from bridge.deliver.state import Fact, Row, Values, accepted, confirmed, doubted, forgotten, join
from bridge.deliver.steps import Decided, Single, Step, steps_of
from bridge.deliver.together import Together
from bridge.deliver.updates import wait_of
from bridge.deliver.user_call import UserCall
from bridge.deliver.work import Work, ack_all
from bridge.onesignal.operations import CreateAlias, DeleteUser, SetPushToken

NOTHING_THERE = Ended(status="delivered", http=404)
"""What is to be switched off, or deleted, is not there: it is done."""


U = TypeVar("U", Single, SetPushToken, CreateAlias)


@dataclass(slots=True)
class Stepwise(ABC, Generic[U]):
    """One update; what is particular to its kind are `decide` and what follows it."""

    means: Means
    known: Known
    work: Work
    update: U

    @abstractmethod
    async def decide(self, user: int) -> Decided:
        """What is asked for."""

    @property
    def whole(self) -> bool:
        """Whether all of it is done when the user is created with it."""
        return True

    async def run(self, together: Together) -> Wait | None:
        """None when it has ended, and that is on disk; what gathers leaves before its call."""
        user = self.known.hash_of(self.update.to)
        if self.means.spacing.busy(user):
            # Another's chain is about to change what the user has, also where that is unchanged still.
            return await together.flush() or wait_of(self.means, SPACING_SECONDS)
        self.known.confirms(user)
        decided = await self.decide(user)
        if not decided.steps:
            await self.unchanged(user, decided)
            return None
        if (wait := await together.flush()) is not None or self.work.over:
            return wait
        if not self.known.may_write(user):
            return wait_of(self.means, SPACING_SECONDS)
        with self.means.spacing.writing(user):
            return await self._spaced(user) or await self.write(user)

    async def _spaced(self, user: int) -> Wait | None:
        """A second after the last write; in memory when other things of the event are done."""
        spacing = self.means.spacing
        if not self.work.begun and (seconds := spacing.wait(user)) > 0:
            return wait_of(self.means, seconds)
        while (seconds := spacing.wait(user)) > 0:
            await self.means.clock.sleep(seconds)
        return None

    async def write(self, user: int) -> Wait | None:
        """The turn is ours; meanwhile another's event may have asked for the very same."""
        decided = await self.decide(user)
        if decided.steps:
            return await self._perform(user, decided)
        await self.unchanged(user, decided)
        return None

    async def unchanged(self, user: int, decided: Decided) -> None:
        """Nothing is asked for; that it was said again is learnt with whatever ends next."""
        row = await self.known.row(user)
        if decided.reason == "unchanged":
            known = [name for name in decided.facts if name in row]
            same = [name for name in known if row[name].value == decided.facts[name]]
            new = {name: value for name, value in decided.facts.items() if name not in same}
            self.known.owe(user, confirmed(row, same, self.work.at) | self.accepted(new))
        self.end(Ended(status="skipped", reason=decided.reason))

    async def _perform(self, user: int, decided: Decided) -> Wait | None:
        """Step by step; what is done is on disk before the next begins."""
        steps = list(decided.steps)
        while steps:
            step, row = steps.pop(0), await self.known.row(user)
            call = self._call(user, row, step)
            ended = await self.attempt(call, row, step, decided)
            if isinstance(ended, Wait):
                return ended
            if step.instead and ended.http in step.instead_of:
                steps[:0] = step.instead
                continue
            if ended.status != "delivered":
                await self.settle(user, ended, self.refused(row, decided, ended))
                return None
            self.heard(ended)
            if not steps or (call.created and self.whole):
                await self.settle(user, ended, join(call.restored, self._done(user, row, decided)))
                return None
            await self.learn(user, join(call.restored, self.accepted(step.facts)))
        return None

    def refused(self, row: Row, decided: Decided, _: Ended) -> Row:
        return forgotten(row, decided.facts, self.work.at)

    def heard(self, ended: Ended) -> None:
        """What else an answer says."""

    def _call(self, user: int, row: Row, step: Step) -> UserCall:
        doubt = self.known.doubt(user, doubted(row, step.facts))
        return UserCall(
            self.means,
            [self.work],
            user,
            self.update.to,
            operation=self.update.name,
            doubt=doubt,
        )

    async def attempt(self, call: UserCall, row: Row, step: Step, decided: Decided) -> Ended | Wait:
        """Ask for one step."""
        if step.absent != "create":
            return await call.plain(step.request, NOTHING_THERE)
        return await call.run(lambda: step.request, row, decided.facts)

    def accepted(self, facts: Values) -> dict[str, Fact]:
        return accepted(facts, self.work.at, self.means.clock.now_ms())

    def _done(self, user: int, row: Row, decided: Decided) -> Row:
        """What is known when all of it is done."""
        delta = self.accepted(decided.facts)
        if not isinstance(self.update, DeleteUser):
            return delta
        self.means.created.drop(user)
        self.means.missing.mark(user, self.means.clock.monotonic())
        # What later events wrote is gone, too: it is written again with whatever comes next.
        return {**doubted(row, row), **delta}

    async def learn(self, user: int, delta: Row) -> None:
        """What is true before all of it is done."""
        await ack_all(self.known, [], {user: delta})

    async def settle(self, user: int, ended: Ended, delta: Row) -> None:
        self.end(ended)
        await ack_all(self.known, [self.work], {user: delta})

    def end(self, ended: Ended) -> None:
        self.work.left -= 1
        self.work.progress.add(ended.end(self.update.rule, self.update.name), ended.death)


@dataclass(slots=True)
class Alone(Stepwise[Single]):
    async def decide(self, user: int) -> Decided:
        return steps_of(
            await self.known.row(user),
            self.update,
            self.work.at,
            self.means.clock.now_ms(),
            app_id=self.means.destination.app_id,
        )
