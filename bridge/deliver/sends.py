"""Sends: written to the journal before the first attempt, which `sending` makes.

From the moment that it is written only the row decides: these bytes, this key, and no others.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bridge import failpoints
from bridge.deliver.attempts import Wait, first_of
from bridge.deliver.devices import addressed
from bridge.deliver.gate import GoneError
from bridge.deliver.keys import key_of
from bridge.deliver.means import Means
from bridge.deliver.progress import Progress, tell
from bridge.deliver.seal import group_of, part_of
from bridge.deliver.sending import found_send, opened
from bridge.deliver.standing import checked, contradicts, guard_of, ruling
from bridge.journal.membership import Heard
from bridge.journal.records import SEND_WAITS, SENDS_DECIDED, End, NewSend, Waiting, operation_name
from bridge.journal.sends import Bid, Known, Reached, Ruling
from bridge.mapping.rules import Mapping
from bridge.mapping.terms import Stay, Terms
from bridge.onesignal.operations import Send, SendNotification
from bridge.plan import Plan
from bridge.telemetry import log


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
    sends = _undecided(row, planned, progress)
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
    # All that share calls first: one of the others may find its gate shut, and end all this.
    _hand_over(means, planned, leaving)
    for send in leaving:
        if send.group is None:
            wait = await found_send(means, row, opened(send), progress)
            waits += [wait] if wait else []
    return first_of(waits)


def _undecided(row: Waiting, planned: Plan, progress: Progress) -> list[Send]:
    """Those of a plan that may be new: a rule that has another name by now is no other rule for this event."""
    sends = [one for one in planned.operations if isinstance(one, Send)]
    if row.only is not None:
        return sends
    if SENDS_DECIDED in row.done:
        return []
    waiting = {one.removeprefix(SEND_WAITS) for one in row.done if one.startswith(SEND_WAITS)}
    if not waiting:
        return sends
    named = {operation_name(one.rule, one.name): one for one in sends}
    for name in sorted(waiting - named.keys() - progress.done):
        rule, _, operation = name.partition("/")
        progress.add(End(rule, operation, "skipped", "rule_gone"))
    return [one for name, one in named.items() if name in waiting]


def _hand_over(means: Means, planned: Plan, sends: Sequence[NewSend]) -> None:
    """Tell of those that share calls, which are not their chain's to make."""
    for send in sends:
        if send.group is not None:
            terms = planned.terms.get(send.rule, Terms())
            means.handed_over(send.group, terms.group_ms or 0)


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
        if _is_asked_for(self.row, send):
            # It counts for others, and waits for none of them.
            known = known._replace(volume_sends=0)
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
        return brake.stops(send.rule)

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
        reached=Reached(progress.ends, progress.deaths, frozenset(progress.done), progress.learnt),
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
    guard = guard_of(terms, asked, once=once, is_push=is_push)
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
