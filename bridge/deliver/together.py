"""Updates that gather in a chain, and the one call that they share.

One call acks all of its events in one transaction, with what it taught. When it is refused, each
goes again alone, so that a bad value kills its own event and no other.
"""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from typing import NamedTuple

from bridge.deliver.attempts import Ended, Wait
from bridge.deliver.fold import Folded, Folding, Said, fold, said_by, update_of
from bridge.deliver.known import Known
from bridge.deliver.means import Means
from bridge.deliver.spacing import SPACING_SECONDS
from bridge.deliver.state import Compared, Row, doubted, join
from bridge.deliver.trouble import BOUNDED, troubled
from bridge.deliver.updates import wait_of
from bridge.deliver.user_call import UserCall
from bridge.deliver.work import Work, ack_all
from bridge.journal.records import Learnt
from bridge.onesignal.operations import UpdateUser

_UNKNOWN_USER = Ended(status="skipped", reason="unknown_user", http=404)


class Part(NamedTuple):
    """One update of one event."""

    work: Work
    rules: tuple[str, ...]


@dataclass(slots=True)
class Together:
    """What has gathered; `flush` makes the call."""

    means: Means
    known: Known
    #: Events of which a send was written since they were loaded.
    written: set[int]
    _folding: Folding = field(default_factory=Folding)
    _parts: list[Part] = field(default_factory=list)

    async def add(self, work: Work, update: UpdateUser) -> Wait | None:
        """One more; what it cannot go with leaves first."""
        one = said_by(
            update,
            work.at,
            # The clock may have been set back since.
            received_ms=min(work.row.received_ms, self.means.clock.now_ms()),
            unknown=work.mapping.unknown_user,
            tag_cap=work.mapping.tag_cap,
        )
        if not (self._folding.takes(one) and self._keeps_company(work)):
            wait = await self.flush()
            if wait is not None or work.over:
                return wait
        if work.refused:
            # What did not fit into a write that has just been refused.
            work.left -= 1
            return None
        self._folding.add(one)
        self._parts.append(Part(work, update.rules))
        return None

    @property
    def gathers(self) -> bool:
        """An update is there that has not left."""
        return bool(self._parts)

    def _keeps_company(self, work: Work) -> bool:
        alone = self.means.alone
        return not self._parts or not (
            work.row.seq in alone or any(part.work.row.seq in alone for part in self._parts)
        )

    async def flush(self, *, patient: bool = False) -> Wait | None:
        """Make the call, unless it has to wait; `patient`: nothing behind it waits for it."""
        if not self._parts:
            return None
        parts, said, until_ms = self._parts, self._folding.said, self._folding.until_ms
        self._parts, self._folding = [], Folding()
        user = self.known.hash_of(said[0].to)
        call = SharedCall(self.means, self.known, user, parts, said)
        if self.means.spacing.busy(user):
            return wait_of(self.means, SPACING_SECONDS)
        try:
            with ExitStack() as turn:
                turn.enter_context(self.means.spacing.writing(user))
                wait = await call.run(until_ms=until_ms if patient else 0)
                if call.joined:
                    self.known.keeps(turn.pop_all())
                return wait
        except BOUNDED:
            raise
        except Exception as error:  # noqa: BLE001 — no known way to fail; whatever it is, it is bounded
            return await troubled(self.means, call.works, error, self.written, call.doubt)


@dataclass(slots=True)
class SharedCall:
    """The call for all of these, from the comparison with what was written before to its end."""

    means: Means
    known: Known
    user_hash: int
    parts: list[Part]
    said: list[Said]
    #: What an attempt that may have been performed makes uncertain, while there is one.
    doubt: list[Learnt] = field(default_factory=list)
    #: The events, each once.
    works: list[Work] = field(init=False)
    #: What was written is not on disk yet: it goes with the sends of its only event.
    joined: bool = False

    def __post_init__(self) -> None:
        self.works = list(dict.fromkeys([part.work for part in self.parts]))

    async def run(self, *, until_ms: int) -> Wait | None:
        """None when it has ended, and that is on disk; it may wait for further updates until then."""
        means, begun = self.means, any(work.begun for work in self.works)
        while begun and (seconds := means.spacing.wait(self.user_hash)) > 0:
            await means.clock.sleep(seconds)
        is_said_elsewhere = self.known.is_said_elsewhere(self.user_hash)
        row = await self.known.row(self.user_hash)
        folded = fold(row, self.said, means.clock.now_ms())
        if not folded.write:
            await self._settle(folded, None, folded.if_accepted)
            return None
        if is_said_elsewhere:
            return wait_of(means, SPACING_SECONDS)
        if not begun and (wait := self._wait(until_ms)) is not None:
            return wait
        return await self._call(row, folded)

    def _wait(self, until_ms: int) -> Wait | None:
        """Until the user may be written to, and until the updates need not wait for others."""
        means, now = self.means, self.means.clock.now_ms()
        spaced = wait_of(means, means.spacing.wait(self.user_hash))
        if until_ms > now:
            return Wait(until_ms=max(until_ms, spaced.until_ms), news_ms=spaced.until_ms)
        return spaced if spaced.until_ms > now else None

    async def _call(self, row: Row, folded: Folded) -> Wait | None:
        self.doubt = self.known.doubt(self.user_hash, doubted(row, folded.write))
        call = UserCall(
            self.means,
            self.works,
            self.user_hash,
            self.said[0].to,
            operation=UpdateUser.name,
            doubt=self.doubt,
        )
        destination = self.means.destination
        update = update_of(folded.write, to=call.to)
        patch = partial(destination.api.patch_user, update, app_id=destination.app_id)
        ended = await call.run(patch, row, folded.write)
        if isinstance(ended, Wait):
            return ended
        if ended.status == "dead" and len(self.works) > 1:
            self.means.alone.update(work.row.seq for work in self.works)
            return Wait(until_ms=self.means.clock.now_ms())
        delta = folded.if_not
        if ended.status == "delivered":
            delta = join(call.restored, folded.if_accepted)
        await self._settle(folded, ended, delta)
        return None

    async def _settle(self, folded: Folded, ended: Ended | None, delta: Row) -> None:
        for part, compared in zip(self.parts, folded.compared, strict=True):
            _end(part, compared, ended)
        first, *others = self.works
        if not first.joins or first.left or others:
            await ack_all(self.known, self.works, {self.user_hash: delta})
            return
        first.progress.learnt += self.known.learnt(self.user_hash, delta)
        self.known.remember(self.user_hash, delta)
        if ended is None:
            self.known.confirms(self.user_hash)
        else:
            self.joined = True


def _end(part: Part, compared: Compared, ended: Ended | None) -> None:
    """How one update ends: as the call did, unless nothing of it was in the call."""
    work = part.work
    work.left -= 1
    if ended is None or not compared.write:
        ended = Ended(status="skipped", reason=compared.reason)
    elif ended.status != "delivered":
        work.refused = True
    elif compared.left_out:
        ended = ended._replace(detail=compared.detail)
    for rule in part.rules:
        work.progress.add(ended.end(rule, UpdateUser.name), ended.death)
