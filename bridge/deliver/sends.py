"""Sends: written to the journal before the first attempt, then tried until they end or have to wait.

From the moment that it is written only the row decides: these bytes, this key, and no others.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from bridge import failpoints
from bridge.deliver.attempts import Ended, Wait, ask_sealed, first_of, holds_everyone, turn
from bridge.deliver.brake import rule_target
from bridge.deliver.devices import addressed
from bridge.deliver.gate import GoneError
from bridge.deliver.keys import key_of
from bridge.deliver.means import About, Means
from bridge.deliver.progress import Progress, tell
from bridge.deliver.retry import GiveUp, after_failure, is_early
from bridge.deliver.seal import group_of, part_of
from bridge.deliver.standing import checked, contradicts, guard_of, ruling
from bridge.journal.membership import Heard
from bridge.journal.records import (
    BULK,
    SENDS_DECIDED,
    Death,
    End,
    NewSend,
    OpenSend,
    Waiting,
    operation_name,
)
from bridge.journal.sends import Bid, Known, Reached, Ruling
from bridge.mapping.rules import Mapping
from bridge.mapping.terms import Stay, Terms
from bridge.onesignal.api import recipients_of
from bridge.onesignal.operations import Send, SendNotification
from bridge.onesignal.verdict import Accepted, Closed, Failed, NoRecipients, Refused, Verdict
from bridge.plan import Plan
from bridge.telemetry import log

PAUSED_MS = 5_000
"""Until an attempt that may have been performed looks again whether its rule is still paused."""


async def new_sends(
    means: Means,
    row: Waiting,
    mapping: Mapping,
    planned: Plan,
    progress: Progress,
    written: set[int],
    *,
    last: bool = False,
) -> Wait | None:
    """Learn what the event says of an audience; write those of its sends that may be, and try them.

    `written` learns of events of which a send was written. `last`: nothing else is left of the
    event, so that they finish it when its chain has none of them to do: one that is held, or waits
    in a group, is no business of its chain. None when nothing of them is left to do.
    """
    sends = [one for one in planned.operations if isinstance(one, Send)]
    if SENDS_DECIDED in row.done and row.only is None:
        # A rule that has another name by now is no other rule for this event.
        sends = []
    sends = await addressed(means, sends, progress)
    stay = planned.stay if mapping.learns_memberships else None
    if not sends:
        if stay is not None:
            await _learn(means, row, stay)
        return None
    bids = [_bid(means, row, mapping, planned, send) for send in sends]
    judge = _Judge(means, row, mapping, planned, sends)
    rulings = await _write(means, row, judge, bids, progress, last=last)
    _tell_rulings(means, row, bids, rulings, progress)
    if any(one.verdict in {"go", "hold"} for one in rulings):
        written.add(row.seq)
    waits = [Wait(until_ms=one.until_ms) for one in rulings if one.verdict == "wait"]
    leaving = [bid.send for bid, one in zip(bids, rulings, strict=True) if one.verdict == "go"]
    for send in leaving:
        if send.group is not None:
            terms = planned.terms.get(send.rule, Terms())
            means.handed_over(send.group, terms.group_ms or 0)
            continue
        wait = await found_send(means, row, _opened(send), progress)
        waits += [wait] if wait else []
    return first_of(waits)


@dataclass(slots=True, frozen=True)
class _Judge:
    """Decides about the sends of one event."""

    means: Means
    row: Waiting
    mapping: Mapping
    planned: Plan
    sends: list[Send]

    def decide(self, number: int, known: Known) -> Ruling:
        send = self.sends[number]
        return ruling(
            _terms(self.row, self.planned, send),
            known,
            event_ms=self.row.event_ms,
            now_ms=self.means.clock.now_ms(),
            paused=self._is_paused(send),
            starts_ms=self._starts_ms(send.rule),
        )

    def _is_paused(self, send: Send) -> bool:
        # Pausing pushes lets custom events go on, and pausing their rule does not.
        brake = self.means.brake
        if isinstance(send, SendNotification):
            return brake.paused(send.rule)
        return rule_target(send.rule) in brake.pauses

    def contradicts(self, rows: Sequence[Waiting]) -> bool:
        stay = self.planned.stay
        return stay is not None and contradicts(rows, self.row, stay, self.means.mapping)

    def _starts_ms(self, rule: str) -> int | None:
        if self.planned.stay is None:
            return None
        return next((one.starts_ms for one in self.mapping.rules if one.name == rule), None)


def _is_asked_for(row: Waiting, send: Send) -> bool:
    """Whether a person wants this send, whatever may speak against it."""
    return row.only is not None or operation_name(send.rule, send.name) in row.revived


def _terms(row: Waiting, planned: Plan, send: Send) -> Terms:
    """What may still stop a send; nothing when a person has asked for it."""
    if _is_asked_for(row, send):
        return Terms()
    return checked(send, planned.terms.get(send.rule, Terms()))


async def _learn(means: Means, row: Waiting, stay: Stay) -> None:
    await means.journal.sends.learn(
        means.destination.name,
        row.user_hash,
        Heard(stay.audience, stay.entered, row.event_ms, row.seq),
        contradicts=lambda rows: contradicts(rows, row, stay, means.mapping),
    )


async def _write(
    means: Means, row: Waiting, judge: _Judge, bids: list[Bid], progress: Progress, *, last: bool
) -> list[Ruling]:
    failpoints.reached("send.reached")
    stay = judge.planned.stay if judge.mapping.learns_memberships else None
    done = await means.journal.sends.write(
        row.seq,
        bids,
        decide=judge.decide,
        heard=Heard(stay.audience, stay.entered, row.event_ms, row.seq) if stay else None,
        contradicts=judge.contradicts,
        reached=Reached(progress.ends, progress.deaths, frozenset(progress.done)),
        last=last,
        now_ms=means.clock.now_ms(),
    )
    if done.gone:
        raise GoneError
    progress.finished = done.finished
    return done.rulings


def _tell_rulings(
    means: Means, row: Waiting, bids: list[Bid], rulings: list[Ruling], progress: Progress
) -> None:
    """Everything that had ended, and what the rulings end, is in the journal now."""
    ends = list(progress.ends)
    for (send, _), decided in zip(bids, rulings, strict=True):
        if decided.verdict == "stop":
            ends.append(End(send.rule, send.operation, "skipped", decided.reason))
        if decided.verdict != "wait":
            progress.done.add(operation_name(send.rule, send.operation))
        if decided.first:
            log().error("rule.held", rule=send.rule, app=send.app, code="limit_reached")
    if all(one.verdict != "wait" for one in rulings):
        progress.done.add(SENDS_DECIDED)
    progress.written()
    tell(means, row, ends)


def _bid(means: Means, row: Waiting, mapping: Mapping, planned: Plan, send: Send) -> Bid:
    terms = planned.terms.get(send.rule, Terms())
    app, journal = means.destination, means.journal
    once = None if terms.once is None else journal.user_hash(app.name, f"once|{terms.once.key}")
    is_push = isinstance(send, SendNotification)
    group = None
    if not is_push or terms.group_ms is not None:
        group = group_of(send, app=app.name, api=app.api, app_id=app.app_id, rank=row.rank)
    asked = _terms(row, planned, send)
    # What a person has asked for takes its places, though none is asked for.
    guard = guard_of(asked._replace(once=terms.once, stay=terms.stay), once=once, is_push=is_push)
    if _is_asked_for(row, send):
        guard = guard._replace(volume_ms=None)
    generation = row.generations.get(operation_name(send.rule, send.name), 0)
    key = key_of(
        app=app.name,
        rule=send.rule,
        operation=send.name,
        message_id=row.message_id,
        seq=row.seq,
        recipient=send.to,
        generation=generation,
    )
    new = NewSend(
        key=key,
        seq=row.seq,
        app=app.name,
        rule=send.rule,
        operation=send.name,
        user_hash=row.user_hash,
        label=send.to.label,
        recipient=send.to.id,
        generation=generation,
        revision=mapping.revision,
        expires_ms=None if asked.max_age_ms is None else row.event_ms + asked.max_age_ms,
        method="POST",
        path=app.api.send_path(send, app_id=app.app_id),
        body=b"" if group else app.api.send_body(send, app_id=app.app_id, key=key),
        created_ms=means.clock.now_ms(),
        person_hash=journal.hash_of(app.name, *send.to),
        counted=is_push and terms.cap is not None,
        once=once,
        once_ms=guard.once_ms,
        group=group,
        part=part_of(send, key=key, event_key=app.event_key),
    )
    return Bid(new, guard)


async def found_send(means: Means, row: Waiting, send: OpenSend, progress: Progress) -> Wait | None:
    """A send that was written, now or long ago: try it."""
    ended = await Sending(means, row, send).run()
    if isinstance(ended, Held):
        await means.journal.sends.hold(send.key, "paused")
    if isinstance(ended, Ended):
        await _end(means, row, send, ended, progress)
    means.attempted.discard(send.key)
    return ended if isinstance(ended, Wait) else None


async def _end(
    means: Means, row: Waiting, send: OpenSend, ended: Ended, progress: Progress
) -> None:
    end = ended.end(send.rule, send.operation, send.call_key)
    await means.journal.end_send(
        row.seq, send.key, end, death=ended.death, at_ms=means.clock.now_ms()
    )
    progress.done.add(operation_name(send.rule, send.operation))
    tell(means, row, [end])


def _opened(new: NewSend) -> OpenSend:
    return OpenSend(
        key=new.key,
        rule=new.rule,
        operation=new.operation,
        expires_ms=new.expires_ms,
        call_key=new.key,
        method=new.method,
        path=new.path,
        body=new.body,
        not_before_ms=0,
        attempt=0,
        created_ms=new.created_ms,
        uncertain=False,
    )


@dataclass(frozen=True, slots=True)
class Held:
    """Somebody has pulled the brake."""


@dataclass(slots=True)
class Sending:
    """A send that the journal holds, on its way: these bytes, this key, and no others."""

    means: Means
    row: Waiting
    send: OpenSend
    #: Whether an attempt may have been performed.
    uncertain: bool = field(init=False)

    def __post_init__(self) -> None:
        self.uncertain = bool(self.send.uncertain) or self.send.key in self.means.attempted

    async def run(self) -> Ended | Wait | Held:
        """Until it ends, is held, or has to be tried again later."""
        if is_early(self.send.not_before_ms, self.means.clock.now_ms()):
            return Wait(until_ms=self.send.not_before_ms)
        while self._is_paused() or not self._expired():
            judged = await self._attempt()
            if judged is None:
                break
            if isinstance(judged, Held):
                return self._pause()
            verdict, text = judged
            if not (isinstance(verdict, Closed) or holds_everyone(verdict)):
                return await self._settle(verdict, text)
            self._not_performed()
        return self._too_old()

    def _not_performed(self) -> None:
        """The next turn may be long in coming, and this attempt does not make it uncertain."""
        if not self.uncertain:
            self.means.attempted.discard(self.send.key)

    async def _attempt(self) -> tuple[Verdict, str] | Held | None:
        """One call; None when it grew too old while it waited for its turn."""
        means, gate = self.means, self.means.destination.sends
        written = self.send.method, self.send.path, self.send.body
        async with turn(gate, bulk=self.row.rank == BULK):
            if self._is_paused():
                return Held()
            if self._expired():
                return None
            means.attempted.add(self.send.key)
            about = About(self.send.operation, self.send.call_key)
            return await ask_sealed(means, gate, "send", written, about)

    def _is_paused(self) -> bool:
        return self.means.brake.paused(self.send.rule)

    def _pause(self) -> Held | Wait:
        """What may have been sent is no person's to discard: it waits, with its key."""
        if self.uncertain:
            return Wait(until_ms=self.means.clock.now_ms() + PAUSED_MS, apart=True)
        return Held()

    def _expired(self) -> bool:
        expires = self.send.expires_ms
        return expires is not None and self.means.clock.now_ms() > expires

    def _too_old(self) -> Ended:
        if self.uncertain:
            # It may have been sent, and it may not: whether to send it this late is for a person.
            return self._dead("unknown_outcome", None, "")
        return Ended(status="skipped", reason="too_old")

    async def _settle(self, verdict: Verdict, text: str) -> Ended | Wait:
        match verdict:
            case Accepted(status=status, unreached=unreached, id=notification):
                revision = self.means.mapping(self.row.source).revision
                await self.means.audit.sent(self.send.rule, revision, notification, self.send.body)
                if unreached and unreached.issuperset(recipients_of(self.send.body)):
                    return Ended(status="no_recipients", reason="not_subscribed", http=status)
                return Ended(status="delivered", http=status)
            case NoRecipients():
                return Ended(status="no_recipients", reason="not_subscribed", http=200)
            case Failed():
                return await self._failed(verdict, text)
            case Refused(reason=reason, status=status):
                return self._dead(reason, status, text)
            case _:
                return self._dead("http_404", 404, text)

    async def _failed(self, failed: Failed, text: str) -> Ended | Wait:
        self.uncertain = self.uncertain or not failed.certain
        now = self.means.clock.now_ms()
        decided = after_failure(
            failed,
            attempts=self.send.attempt,
            age_ms=now - self.send.created_ms,
            roll=self.means.roll(),
        )
        if isinstance(decided, GiveUp):
            return self._dead(decided.reason, failed.status, text)
        log().warning(
            "send.failed", reason=failed.reason, attempt=decided.attempt, key=self.send.key
        )
        until = now + round(decided.after_seconds * 1000)
        await self.means.journal.retry_call(
            self.send.call_key,
            not_before_ms=until,
            attempt=decided.attempt,
            uncertain=self.uncertain,
            error=decided.error,
        )
        return Wait(until_ms=until)

    def _dead(self, reason: str, http: int | None, text: str) -> Ended:
        death = Death(
            rule=self.send.rule,
            operation=SendNotification.name,
            reason=reason,
            request=self.send.body,
            answer=text,
            http=http,
            attempt=self.send.attempt + 1,
            uncertain=self.uncertain,
            send_key=self.send.key,
        )
        return Ended(status="dead", reason=reason, http=http, death=death)
