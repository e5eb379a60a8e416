"""One user's events, in order, one operation at a time.

Within what it was given the chain goes by event time, because Segment promises no order; it never
waits for an earlier event that has not come. An event's updates go first, then its sends: a
notification never leaves before that user's earlier updates are in.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

import orjson

from bridge.deliver.attempts import Ended, Wait
from bridge.deliver.gate import StoppingError
from bridge.deliver.means import SOURCE_GONE, Means
from bridge.deliver.progress import Progress, tell
from bridge.deliver.sends import found_send, new_sends
from bridge.deliver.updates import Update
from bridge.errors import BridgeError
from bridge.journal.records import Death, End, Waiting, operation_name
from bridge.mapping.rules import Mapping
from bridge.onesignal.operations import Operation, UpdateUser
from bridge.plan import Plan, plan
from bridge.plan.restraint import restrain
from bridge.segment.events import Event, Unusable, read_event
from bridge.telemetry import log

TROUBLES = 3
"""How often an event may break us before it is dead."""
TROUBLE_MS = 5_000


@dataclass(slots=True)
class Chain:
    """Works through the pending events of one user."""

    means: Means
    #: Events of which a send was written since they were loaded: only that row decides from then on.
    written: set[int] = field(default_factory=set)

    async def run(self, rows: Iterable[Waiting]) -> Wait | None:
        """Take the events in order; None when all have ended, else when to come back."""
        for row in sorted(rows, key=lambda one: (one.event_ms, one.seq)):
            if row.not_before_ms > self.means.clock.now_ms():
                return Wait(until_ms=row.not_before_ms)
            wait = await self._guarded(row)
            if wait is not None:
                return wait
        return None

    async def _guarded(self, row: Waiting) -> Wait | None:
        """One event; what breaks us again and again dies, instead of holding its user up for ever."""
        try:
            return await self._event(row)
        except (StoppingError, BridgeError):
            raise
        except Exception as error:  # noqa: BLE001 — no known way to fail; whatever it is, it is bounded here
            log().error("event.troubled", message_id=row.message_id, error=type(error).__name__)
            if row.attempt + 1 < TROUBLES or row.sends or row.seq in self.written:
                return await self._try_later(row)
            end = End("", "", "dead", "internal_error", type(error).__name__)
            death = _unplanned(row, "internal_error", type(error).__name__)
            await self._finish(row, Progress(set(row.done), [end], [death]))
            return None

    async def _try_later(self, row: Waiting) -> Wait:
        now = self.means.clock.now_ms()
        until = now + TROUBLE_MS
        await self.means.journal.postpone(
            row.seq,
            not_before_ms=until,
            attempt=row.attempt + 1,
            error="internal_error",
            now_ms=now,
        )
        return Wait(until_ms=until)

    async def _event(self, row: Waiting) -> Wait | None:
        progress = Progress(set(row.done))
        waits = [await found_send(self.means, row, send, progress) for send in row.sends]
        mapping = self.means.mapping(row.source)
        planned = self._plan(row, mapping, progress)
        for skip in planned.skips:
            progress.add(End(skip.rule, skip.operation, "skipped", skip.reason, skip.detail))
        wait = await self._updates(row, mapping, planned, progress)
        if wait is not None:
            return wait
        waits.append(await new_sends(self.means, row, mapping, planned, progress, self.written))
        wait = min((one for one in waits if one), key=lambda one: one.until_ms, default=None)
        if wait is None:
            await self._finish(row, progress)
        return wait

    def _plan(self, row: Waiting, mapping: Mapping, progress: Progress) -> Plan:
        """What is left to do of the event; one that cannot be planned dies instead of coming back."""
        if mapping is SOURCE_GONE:
            log().error("event.source_gone", message_id=row.message_id, source=row.source)
            return self._lost(row, progress, "source_gone", row.source)
        try:
            planned = restrain(plan(_read(row, mapping), mapping), self.means.restraint)
            return _remaining(row, planned)
        except Exception as error:  # noqa: BLE001 — whatever a payload does to us, it must not stop its user
            log().error("plan.failed", message_id=row.message_id, error=type(error).__name__)
            return self._lost(row, progress, "plan_failed", type(error).__name__)

    def _lost(self, row: Waiting, progress: Progress, reason: str, detail: str) -> Plan:
        """Nothing is planned of the event, and what was asked of it is dead."""
        for rule, operation in _left_of_replay(row, progress) or [("", "")]:
            end = End(rule, operation, "dead", reason, detail)
            progress.add(end, _unplanned(row, reason, detail))
        return Plan()

    # Updates --------------------------------------------------------------------------------------

    async def _updates(
        self, row: Waiting, mapping: Mapping, planned: Plan, progress: Progress
    ) -> Wait | None:
        updates = [one for one in planned.operations if isinstance(one, UpdateUser)]
        for number, update in enumerate(updates):
            ended = await Update(self.means, row, mapping, update).run()
            if isinstance(ended, Wait):
                return ended
            last = number == len(updates) - 1
            if last or ended.status != "delivered":
                self._end_update(update, ended, progress)
                break
        return None

    def _end_update(self, update: UpdateUser, ended: Ended, progress: Progress) -> None:
        for rule in update.rules:
            progress.add(ended.end(rule, UpdateUser.name), ended.death)

    # Ends -----------------------------------------------------------------------------------------

    async def _finish(self, row: Waiting, progress: Progress) -> None:
        """Nothing of the event is left to do."""
        for rule, operation in _left_of_replay(row, progress):
            progress.add(End(rule, operation, "skipped", "rule_gone"))
        if not (progress.done or progress.ends):
            progress.add(End("", "", "skipped", "no_rule"))
        await self.means.journal.finish(
            row.seq,
            progress.ends,
            deaths=progress.deaths,
            at_ms=self.means.clock.now_ms(),
        )
        tell(self.means, row, progress.ends)
        age_ms = self.means.clock.now_ms() - row.received_ms
        self.means.metrics.e2e_seconds.observe(max(0, age_ms) / 1000)


def _read(row: Waiting, mapping: Mapping) -> Event:
    """The event as it was heard.

    Raises:
        ValueError: it cannot be read any more, though it could when it was accepted.
    """
    event = read_event(
        orjson.loads(row.payload),
        raw=row.payload,
        source=row.source,
        received_ms=row.received_ms,
        reverse_etl=mapping.reverse_etl,
    )
    if isinstance(event, Unusable):
        raise ValueError(event.code)  # noqa: TRY004 — it is what was sent that is wrong, not a type of ours
    return event


def _unplanned(row: Waiting, reason: str, detail: str) -> Death:
    return Death(
        rule="",
        operation="",
        reason=reason,
        request=None,
        answer=detail,
        http=None,
        attempt=row.attempt,
        uncertain=False,
        send_key=None,
    )


def _left_of_replay(row: Waiting, progress: Progress) -> list[tuple[str, str]]:
    """Rule and operation of what a replay is about and has not ended."""
    # The names of rules hold no "/".
    names = [name.partition("/") for name in sorted((row.only or frozenset()) - progress.done)]
    return [(rule, operation) for rule, _, operation in names]


def _remaining(row: Waiting, planned: Plan) -> Plan:
    """What of a plan is still to be done: not what has ended, and of a replay only what it is about."""
    if not row.done and row.only is None:
        return planned

    def left(rule: str, operation: str) -> bool:
        name = operation_name(rule, operation)
        return name not in row.done and (row.only is None or name in row.only)

    operations: list[Operation] = []
    for one in planned.operations:
        if isinstance(one, UpdateUser):
            rules = tuple(rule for rule in one.rules if left(rule, one.name))
            if rules:
                operations.append(replace(one, rules=rules))
        elif left(one.rule, one.name):
            operations.append(one)
    skips = tuple(skip for skip in planned.skips if left(skip.rule, skip.operation))
    return replace(planned, operations=tuple(operations), skips=skips)
