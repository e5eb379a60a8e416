"""The push token that an event carries: whose phone it is, at OneSignal and in the registry.

A phone is one, whoever's chain is at work on it: the chains of two users who log in on it take turns,
from the look at whose it is until that is on disk. Every event of a phone carries its token, and nearly
all of them ask for nothing.
"""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass, field

from bridge.deliver.alone import Stepwise
from bridge.deliver.attempts import Ended, Wait
from bridge.deliver.phones import (
    REFUSED,
    Elsewhere,
    Phone,
    elsewhere_of,
    fact_name,
    phone_of,
    phone_steps,
)
from bridge.deliver.spacing import SPACING_SECONDS
from bridge.deliver.state import Fact, Moment, Row, decode, forgotten
from bridge.deliver.steps import Decided, Step
from bridge.deliver.together import Together
from bridge.deliver.updates import wait_of
from bridge.deliver.user_call import UserCall
from bridge.deliver.work import ack_all
from bridge.journal.devices import NOBODY, Device
from bridge.onesignal.operations import SetPushToken

SEEN_AGAIN_MS = 86_400_000
"""A phone of which nothing is new is seen in the registry once in so long."""
_PLATFORMS = {"iOSPush": "ios", "AndroidPush": "android"}


@dataclass(slots=True)
class Attaching(Stepwise[SetPushToken]):
    _elsewhere: Elsewhere | None = None
    _own: Device | None = None
    #: How OneSignal calls it.
    _id: str | None = None
    _token: int | None = field(init=False)
    _installation: int | None = field(init=False)

    def __post_init__(self) -> None:
        devices, app = self.means.journal.devices, self.means.destination.name
        said = self.update
        self._token = None if said.token is None else devices.name(app, "token", said.token)
        named = None if said.device is None else devices.name(app, "installation", said.device)
        self._installation = named

    @property
    def whole(self) -> bool:
        return False

    async def run(self, together: Together) -> Wait | None:
        spacing, names = self.means.spacing, self._names
        if any(spacing.busy(name) for name in names):
            return await together.flush() or wait_of(self.means, SPACING_SECONDS)
        with ExitStack() as turn:
            for name in names:
                turn.enter_context(spacing.writing(name))
            user = self.known.hash_of(self.update.to)
            await self._look(user)
            return await Stepwise.run(self, together)

    @property
    def _names(self) -> list[int]:
        return [one for one in (self._token, self._installation) if one is not None]

    async def _look(self, user: int) -> None:
        """Whose it is said to be."""
        means = self.means
        held = await means.journal.devices.holders(
            means.destination.name, token=self._token, installation=self._installation
        )
        self._own = next((one for one in held if one.user_hash == user), None)
        others = [one for one in held if one.user_hash != user]
        moments = [Moment(one.at_ms, one.seq) for one in others]
        moments += means.phones.of_others(self._names, user)
        hashes = {one.user_hash for one in others} - {NOBODY}
        rows = [(one, decode(await means.journal.state(one))) for one in hashes]
        self._elsewhere = elsewhere_of(moments, rows, self.update)

    async def decide(self, user: int) -> Decided:
        return phone_steps(
            await self.known.row(user),
            self.update,
            self.work.at,
            self.means.clock.now_ms(),
            self._elsewhere,
            app_id=self.means.destination.app_id,
        )

    async def unchanged(self, user: int, decided: Decided) -> None:
        await Stepwise.unchanged(self, user, decided)
        if decided.reason != "unchanged":
            return
        self._noted(user)
        if decided.facts and not self.update.leaves:
            phone = phone_of(decided.facts[fact_name(self.update)])
            if phone.refused is None and self._is_stale(phone):
                now_ms = self.means.clock.now_ms()
                device = self._device(user, phone)
                await self.means.journal.devices.keep(device, of_another="move", now_ms=now_ms)

    async def attempt(self, call: UserCall, row: Row, step: Step, decided: Decided) -> Ended | Wait:
        """Of another's old token also a second after the last write to the other, who waits meanwhile."""
        spacing, other = self.means.spacing, step.other
        if other is None:
            return await Stepwise.attempt(self, call, row, step, decided)
        if spacing.busy(other):
            # Not waited for here: the other's chain may be about to wait for this one's user.
            return wait_of(self.means, SPACING_SECONDS)
        with spacing.writing(other):
            while (seconds := spacing.wait(other)) > 0:
                await self.means.clock.sleep(seconds)
            try:
                return await Stepwise.attempt(self, call, row, step, decided)
            finally:
                spacing.mark(other)

    def _is_stale(self, phone: Phone) -> bool:
        own = self._own
        if own is None or own.token not in {self._token, None} or own.subscribed != phone.on:
            return True
        return self.means.clock.now_ms() - own.seen_ms > SEEN_AGAIN_MS

    def heard(self, ended: Ended) -> None:
        self._id = ended.subscriptions.get(self.update.token or "", self._id)

    def refused(self, row: Row, decided: Decided, ended: Ended) -> Row:
        """What is refused is not asked again with every event, which would be refused, too."""
        name, token = fact_name(self.update), self.update.token
        if ended.http not in REFUSED or token is None or name not in decided.facts:
            return forgotten(row, decided.facts, self.work.at)
        known = phone_of(row[name].value if name in row else None)
        return self.accepted({name: known._replace(refused=token).value})

    async def learn(self, user: int, delta: Row) -> None:
        """Its former owner hears of it before the old token is switched off, which can be long in coming."""
        if self._elsewhere is not None and fact_name(self.update) in delta:
            device = self._device(user, phone_of(delta[fact_name(self.update)].value))
            now_ms = self.means.clock.now_ms()
            await self.means.journal.devices.keep(device, of_another="share", now_ms=now_ms)
            self._noted(user)
        await Stepwise.learn(self, user, delta)

    async def settle(self, user: int, ended: Ended, delta: Row) -> None:
        self.end(ended)
        deltas, device = {user: delta}, None
        if ended.status == "delivered":
            fact = delta.get(fact_name(self.update))
            phone = phone_of(None if fact is None else fact.value)
            device = self._device(NOBODY if self.update.leaves else user, phone)
            deltas |= self._taken()
        await ack_all(self.known, [self.work], deltas, device=device)
        if device is not None:
            self._noted(user)
        for name in self._names:
            self.means.spacing.mark(name)

    def _noted(self, user: int) -> None:
        """Until it is on disk that the user's event was the last one of this phone."""
        whose = NOBODY if self.update.leaves else user
        self.means.phones.heard(self._names, whose, self.work.at)

    def _taken(self) -> dict[int, Row]:
        """Of the others who had it: it is theirs no more."""
        taken: dict[int, dict[str, Fact]] = {}
        for whose, name in self._elsewhere.facts if self._elsewhere is not None else ():
            taken.setdefault(whose, {}).update(self.accepted({name: None}))
        return dict(taken)

    def _device(self, user: int, phone: Phone) -> Device:
        row = self.work.row
        return Device(
            self.means.destination.name,
            user,
            _PLATFORMS[self.update.type],
            subscription_id=self._id,
            installation=self._installation,
            token=self._token,
            subscribed=phone.on and not self.update.leaves,
            at_ms=row.event_ms,
            seq=row.seq,
        )
