"""Updates that gather in a chain, and the one call that they share.

One call acks all of its events in one transaction, with what it taught. When it is refused, each
goes again alone, so that a bad value kills its own event and no other.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from typing import NamedTuple

from bridge.deliver.attempts import Ended, Wait
from bridge.deliver.fold import Folded, Folding, Said, fold, said_by, update_of
from bridge.deliver.known import Known
from bridge.deliver.means import Means
from bridge.deliver.restore import Restored, chunks, restored
from bridge.deliver.spacing import SPACING_SECONDS
from bridge.deliver.state import Compared, Row, doubted, join
from bridge.deliver.trouble import BOUNDED, troubled
from bridge.deliver.updates import Write, wait_of
from bridge.deliver.work import Work, ack
from bridge.journal.records import Learnt
from bridge.onesignal.operations import Request, UpdateUser
from bridge.onesignal.user_model import create_user, patch_user

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
            update, work.at, received_ms=work.row.received_ms, unknown=work.mapping.unknown_user
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
            with self.means.spacing.writing(user):
                return await call.run(until_ms=until_ms if patient else 0)
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

    @property
    def works(self) -> list[Work]:
        """The events, each once."""
        return list(dict.fromkeys(part.work for part in self.parts))

    async def run(self, *, until_ms: int) -> Wait | None:
        """None when it has ended, and that is on disk; it may wait for further updates until then."""
        means, begun = self.means, any(work.begun for work in self.works)
        while begun and (seconds := means.spacing.wait(self.user_hash)) > 0:
            await means.clock.sleep(seconds)
        row = await self.known.row(self.user_hash)
        folded = fold(row, self.said, means.clock.now_ms())
        if not folded.write:
            await self._settle(folded, None, folded.if_accepted)
            return None
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
        self.doubt = self.known.learnt(self.user_hash, doubted(row, folded.write))
        whole = restored(row, folded.write)
        write = self._write(folded, whole)
        ended = await write.run()
        if write.created and isinstance(ended, Ended) and ended.http == 409:
            # An alias or a subscription that was this user's has become another's since.
            whole = whole.bare
            write = self._write(folded, whole)
            ended = await write.run()
        for work in self.works:
            work.begun = True
        if isinstance(ended, Wait):
            return ended
        if ended.status == "dead" and len(self.works) > 1:
            self.means.alone.update(work.row.seq for work in self.works)
            return Wait(until_ms=self.means.clock.now_ms())
        delta = folded.if_not
        if ended.status == "delivered":
            delta = join(await self._restore(row, whole, write, ended), folded.if_accepted)
        await self._settle(folded, ended, delta)
        return None

    def _write(self, folded: Folded, whole: Restored) -> Write:
        to, app_id = self.said[0].to, self.means.destination.app_id
        update = update_of(folded.write, to=to)
        create = partial(create_user, update, app_id=app_id)
        if not self.means.destination.post_first:
            everything = update_of({**whole.values, **folded.write}, to=to)
            create = partial(
                create_user,
                everything,
                app_id=app_id,
                aliases=whole.aliases,
                subscriptions=whole.subscriptions,
            )
        return self._to_user(partial(patch_user, update, app_id=app_id), create)

    def _to_user(
        self, request: Callable[[], Request], create: Callable[[], Request] | None
    ) -> Write:
        first = self.works[0]
        return Write(
            means=self.means,
            row=first.row,
            attempt=max(work.row.attempt for work in self.works),
            operation=UpdateUser.name,
            user_hash=self.user_hash,
            request=request,
            create=None if first.mapping.unknown_user == "skip" else create,
            absent=_UNKNOWN_USER,
            doubt=self.doubt[0] if self.doubt else None,
        )

    async def _restore(self, row: Row, whole: Restored, write: Write, ended: Ended) -> Row:
        """What the row learns when the user was not there: the rest of it is written too."""
        later, carried = whole.later, whole.names
        if not write.created:
            return {}
        if self.means.destination.post_first:
            if ended.http != 201:
                return {}
            later, carried = {**whole.values, **whole.later}, set()
        now, to = self.means.clock.now_ms(), self.said[0].to
        restored_now = set(carried)
        for values in chunks(later):
            patch = partial(
                patch_user, update_of(values, to=to), app_id=self.means.destination.app_id
            )
            more = await self._to_user(patch, None).run()
            if isinstance(more, Wait) or more.status != "delivered":
                break
            restored_now |= values.keys()
        lost = [name for name, fact in row.items() if fact.value is not None]
        return doubted(row, lost) | {
            name: row[name]._replace(accepted_ms=now) for name in restored_now
        }

    async def _settle(self, folded: Folded, ended: Ended | None, delta: Row) -> None:
        for part, compared in zip(self.parts, folded.compared, strict=True):
            _end(part, compared, ended)
        await ack(self.means, self.works, self.known.learnt(self.user_hash, delta))
        self.known.remember(self.user_hash, delta)


def _end(part: Part, compared: Compared, ended: Ended | None) -> None:
    """How one update ends: as the call did, unless nothing of it was in the call."""
    work = part.work
    work.left -= 1
    if ended is None or not compared.write:
        ended = Ended(status="skipped", reason=compared.reason)
    elif ended.status != "delivered":
        work.refused = True
    elif compared.overtaken:
        ended = replace(ended, detail=f"overtaken: {', '.join(compared.overtaken)}")
    for rule in part.rules:
        work.progress.add(ended.end(rule, UpdateUser.name), ended.death)
