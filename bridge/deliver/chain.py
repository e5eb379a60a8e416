"""One user's events, in order, one operation at a time.

Within what it was given the chain goes by event time, because Segment promises no order; it never
waits for an earlier event that has not come. An event's updates go first, then its sends: a
notification never leaves before that user's earlier updates are in.

Updates of tags and properties gather until something is a barrier, and then share a call. When the
user was written to less than a second ago the chain ends, and its user is parked until then: what
has come meanwhile is loaded with the rest, and goes along.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial

from bridge.deliver.aliasing import Aliasing
from bridge.deliver.alone import Alone
from bridge.deliver.attaching import Attaching
from bridge.deliver.attempts import Wait, first_of
from bridge.deliver.erasing import Erasing
from bridge.deliver.gate import GoneError
from bridge.deliver.known import Known
from bridge.deliver.left import heard, left_of_replay, remaining, unplanned
from bridge.deliver.means import SOURCE_GONE, Means
from bridge.deliver.merging import Merging
from bridge.deliver.persons import as_persons, of_the_living
from bridge.deliver.progress import Progress
from bridge.deliver.retry import is_early
from bridge.deliver.sending import found_send
from bridge.deliver.sends import new_sends
from bridge.deliver.steps import Single
from bridge.deliver.together import Together
from bridge.deliver.trouble import BOUNDED, troubled
from bridge.deliver.work import Work, ack, ack_all, finished
from bridge.journal.identities import MERGED
from bridge.journal.records import End, Loaded, Waiting
from bridge.onesignal.operations import (
    EXTERNAL_ID,
    CreateAlias,
    DeleteUser,
    MergeUsers,
    Recipient,
    Send,
    SetPushToken,
    Update,
    UpdateUser,
)
from bridge.plan import Plan, plan
from bridge.plan.restraint import restrain
from bridge.segment.deletion import DELETE
from bridge.telemetry import log


@dataclass(slots=True)
class Chain:
    """Works through the pending events of one user."""

    means: Means
    #: Events of which a send was written since they were loaded: only that row decides from then on.
    written: set[int] = field(default_factory=set)
    _erasing: Erasing = field(init=False)
    _known: Known = field(init=False)
    _together: Together = field(init=False)
    #: Events that have a merge.
    _merged: frozenset[int] = frozenset()
    #: Of the user, when somebody else was found to be it.
    _external_id: str | None = None

    async def run(self, loaded: Loaded, *, whole: bool = True) -> Wait | None:
        """Take the events in order; None when all have ended, else when to come back.

        `whole`: these are all that there are now, so an update may wait for further ones.
        """
        if not loaded.rows:
            return None
        self._erasing = Erasing(self.means, loaded.rows[0].user_hash)
        if loaded.erased_ms is not None:
            loaded = await self._erasing.begin(loaded, loaded.erased_ms)
        self._known = Known(self.means, self._erasing.user_hash, loaded.state)
        self._together = Together(self.means, self._known, self.written)
        self._external_id = loaded.external_id
        try:
            return await self._merge(loaded) or await self._events(loaded, whole=whole)
        finally:
            self._known.settled()

    async def _events(self, loaded: Loaded, *, whole: bool) -> Wait | None:
        apart: Wait | None = None
        for row in sorted(loaded.rows, key=lambda one: (one.event_ms, one.seq)):
            if row.user_hash in self.means.gone:
                raise GoneError
            if is_early(row.not_before_ms, self.means.clock.now_ms()):
                return await self._together.flush() or Wait(until_ms=row.not_before_ms)
            wait = await self._guarded(row)
            if wait is not None and not wait.apart:
                return wait
            apart = first_of((apart, wait))
        return await self._together.flush(patient=whole) or apart

    async def _merge(self, loaded: Loaded) -> Wait | None:
        """First of all, whoever was found to be this user becomes it."""
        self._merged = frozenset(one.seq for one in loaded.merges)
        rows = {row.seq: row for row in (*loaded.linking, *loaded.rows)}
        for merge in loaded.merges:
            row = rows.get(merge.seq)
            if merge.state == "moving":
                self.means.to_move()  # a replay puts one back to work
            if row is None or merge.state == "moving":
                continue
            try:
                wait = await Merging(self.means, self._known, row, merge).run()
            except BOUNDED:
                raise
            except Exception as error:  # noqa: BLE001 — no known way to fail; whatever it is, it is bounded there
                wait = await troubled(self.means, [self._work(row)], error, self.written)
            if wait is not None:
                return wait
        return None

    def _work(self, row: Waiting) -> Work:
        done = row.done | {MERGED} if row.seq in self._merged else row.done
        return Work(row, self.means.mapping(row.source), Progress(set(done)))

    async def _guarded(self, row: Waiting) -> Wait | None:
        work = self._work(row)
        try:
            return await self._event(work)
        except BOUNDED:
            raise
        except Exception as error:  # noqa: BLE001 — no known way to fail; whatever it is, it is bounded there
            return await troubled(self.means, [work], error, self.written)

    async def _event(self, work: Work) -> Wait | None:
        row, progress = work.row, work.progress
        if row.type == DELETE:
            return await self._erasing.run(work, self._known, self._together)
        if row.sends and (wait := await self._together.flush()) is not None:
            return wait
        waits = [await found_send(self.means, row, send, progress) for send in row.sends]
        planned = await as_persons(self.means, self._plan(work), row.user_hash)
        planned = await of_the_living(self.means, planned, row)
        for skip in planned.skips:
            progress.add(End(skip.rule, skip.operation, "skipped", skip.reason, skip.detail))
        updates = [
            one for one in planned.operations if not isinstance(one, Send | DeleteUser | MergeUsers)
        ]
        later = [one for one in planned.operations if isinstance(one, Send | DeleteUser)]
        work.left, work.more = len(updates), any(waits) or bool(later)
        work.joins = bool(later) and not waits and all(isinstance(one, Send) for one in later)
        if not work.more:
            # What an event says of an audience is learnt whether or not something is sent for it.
            waits.append(await self._sends(work, planned))
        wait = await self._updates(work, updates)
        if wait is not None or work.over:
            return wait
        return await self._end(work, planned, waits)

    async def _end(self, work: Work, planned: Plan, waits: list[Wait | None]) -> Wait | None:
        """What follows the event's updates, unless they gather still."""
        deletions = [one for one in planned.operations if isinstance(one, DeleteUser)]
        if work.more:
            self._owed_with(work)
            nothing_else = not (work.left or deletions or any(waits))
            last = nothing_else and work.row.only is None
            waits.append(await self._sends(work, planned, last=last))
            if work.progress.finished:
                finished(self.means, work)
                return None
        wait = first_of(waits)
        if wait is not None or work.left:
            return wait
        work.left, work.more = len(deletions), False
        for deletion in deletions:
            wait = await Alone(self.means, self._known, work, deletion).run(self._together)
            if wait is not None or work.over:
                return wait
        await ack_all(self._known, [work], {})
        return None

    def _owed_with(self, work: Work) -> None:
        """What was learnt without a call goes with the event's next transaction, and holds nobody up after it."""
        if self._known.owes:
            work.progress.learnt += self._known.owing()
            work.progress.then.append(self._known.settled)

    def _plan(self, work: Work) -> Plan:
        """What is left to do of the event; one that cannot be planned dies instead of coming back."""
        row = work.row
        self.means.hand.message_id = row.message_id
        if work.mapping is SOURCE_GONE:
            log().error("event.source_gone", message_id=row.message_id, source=row.source)
            return self._lost(work, "source_gone", row.source)
        try:
            event = heard(row, work.mapping)
            planned = plan(event, work.mapping, person=partial(self._person, row))
            return remaining(row, restrain(planned, self.means.restraint))
        except Exception as error:  # noqa: BLE001 — whatever a payload does to us, it must not stop its user
            log().error("plan.failed", message_id=row.message_id, error=type(error).__name__)
            return self._lost(work, "plan_failed", type(error).__name__)

    def _person(self, row: Waiting, user: Recipient) -> Recipient:
        """Whom the event is about: under whichever id it was heard of, the user of this chain."""
        if self._external_id is None or self._known.hash_of(user) == row.user_hash:
            return user
        return Recipient(EXTERNAL_ID, self._external_id)

    def _lost(self, work: Work, reason: str, detail: str) -> Plan:
        """Nothing is planned of the event, and what was asked of it is dead."""
        for rule, operation in left_of_replay(work.row, work.progress) or [("", "")]:
            end = End(rule, operation, "dead", reason, detail)
            work.progress.add(end, unplanned(work.row, reason, detail))
        return Plan()

    async def _updates(self, work: Work, updates: Sequence[Update]) -> Wait | None:
        """The event's updates; those that may have company can still be gathering afterwards."""
        for update in updates:
            if isinstance(update, UpdateUser):
                wait = await self._together.add(work, update)
            else:
                wait = await self._apart(work, update)
            if wait is not None or work.over:
                return wait
        return await self._together.flush() if work.more else None

    async def _apart(self, work: Work, update: Single | SetPushToken) -> Wait | None:
        if isinstance(update, SetPushToken):
            return await Attaching(self.means, self._known, work, update).run(self._together)
        if isinstance(update, CreateAlias):
            return await Aliasing(self.means, self._known, work, update).run(self._together)
        return await Alone(self.means, self._known, work, update).run(self._together)

    async def _sends(self, work: Work, planned: Plan, *, last: bool = False) -> Wait | None:
        if self._together.gathers and any(isinstance(one, Send) for one in planned.operations):
            self.means.metrics.order_violations.inc()
            log().error("order.violated", message_id=work.row.message_id, what="send")
        try:
            return await new_sends(
                self.means, work.row, work.mapping, planned, work.progress, self.written, last=last
            )
        except Exception:
            # What OneSignal answered counts, whatever becomes of the sends.
            if work.progress.ends and work.joins:
                await ack(self.means, [work])
            raise
