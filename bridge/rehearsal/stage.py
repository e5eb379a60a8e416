"""Events played one after another against a mapping, with a record of what was sent in memory."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from bridge.deliver.devices import choose
from bridge.deliver.keys import key_of
from bridge.deliver.standing import checked, ruling
from bridge.journal.devices import Device
from bridge.journal.membership import Heard
from bridge.journal.sends import ALREADY_SENT
from bridge.mapping.rules import Mapping
from bridge.mapping.terms import Stay, Terms
from bridge.onesignal.operations import MergeUsers, Operation, Send, SendNotification, SetPushToken
from bridge.plan import plan
from bridge.plan.requests import rules_of
from bridge.plan.values import Plan, Skip
from bridge.rehearsal.memory import Bid, Memory
from bridge.rehearsal.persons import Persons
from bridge.segment.events import Event


class Happening(NamedTuple):
    """One rule did one thing, for an event of this time."""

    event_ms: int
    rule: str
    operation: Operation


@dataclass(slots=True)
class Act:
    """What came of one event, by rule."""

    happenings: list[Happening] = field(default_factory=list)
    skips: list[Skip] = field(default_factory=list)
    operations: list[Operation] = field(default_factory=list)
    #: Of no rule: who turned out to be whom.
    merges: list[MergeUsers] = field(default_factory=list)

    def add(self, operation: Operation, event_ms: int) -> None:
        self.operations.append(operation)
        if isinstance(operation, MergeUsers):
            self.merges.append(operation)
            return
        self.happenings += [Happening(event_ms, rule, operation) for rule in rules_of(operation)]


@dataclass(slots=True)
class Stage:
    """A mapping, and what was sent since the first event."""

    mapping: Mapping
    #: By user, what is registered; None: nobody knows, so that everybody has something.
    devices: dict[str, list[Device]] | None = None
    _memory: Memory = field(default_factory=Memory)
    _persons: Persons = field(default_factory=Persons)
    _events: int = 0

    def hear(self, event: Event, *, now_ms: int) -> Act:
        """What the event does when it comes in at this time."""
        act = Act()
        self._events += 1
        planned = plan(event, self.mapping, apart=True, person=self._persons.of)
        act.skips += self._skipped(event, planned)
        self._learn(event, planned.stay)
        for planned_one in planned.operations:
            if isinstance(planned_one, MergeUsers) and not self._merged(planned_one):
                continue
            operation = self._addressed(planned_one)
            if isinstance(operation, Skip):
                act.skips.append(operation)
                continue
            if isinstance(operation, Send):
                stopped = self._stopped(operation, planned, event, now_ms)
                if stopped is not None:
                    act.skips.append(stopped)
                    continue
            act.add(operation, event.event_ms)
        return act

    def _skipped(self, event: Event, planned: Plan) -> Iterator[Skip]:
        for skip in planned.skips:
            if skip.rule or skip.operation == SetPushToken.name:
                yield skip
            elif not skip.operation:
                yield skip
                yield from self.for_every_rule(event, skip)

    def _merged(self, merge: MergeUsers) -> bool:
        """Whether it is news; then what was sent to the one counts for the other."""
        is_news = self._persons.link(merge.other, merge.to)
        if is_news:
            self._memory.join(str(merge.other), str(self._persons.of(merge.to)))
        return is_news

    def _addressed(self, operation: Operation) -> Operation | Skip:
        """The operation; a push to registered devices with them, or the reason why it is not sent."""
        if self.devices is None or not isinstance(operation, SendNotification):
            return operation
        if operation.devices is None:
            return operation
        chosen = choose(self.devices.get(operation.to.id, []), operation.devices)
        if isinstance(chosen, tuple):
            return replace(operation, subscriptions=chosen)
        if chosen == "no_devices" and operation.devices.unknown == "flags":
            return replace(operation, devices=None)
        return _skip(operation, chosen)

    def for_every_rule(self, event: Event, skip: Skip) -> list[Skip]:
        """What holds for the event as a whole holds for every rule that wants it."""
        return [
            Skip(rule=rule.name, reason=skip.reason, detail=skip.detail)
            for rule in self.mapping.met_by(event.fields)
        ]

    def _user(self, event: Event) -> str:
        user = self.mapping.user(event.fields)
        return "" if user is None else str(self._persons.of(user))

    def _learn(self, event: Event, stay: Stay | None) -> None:
        if stay is not None and self.mapping.learns_memberships:
            heard = Heard(stay.audience, stay.entered, event.event_ms, self._events)
            self._memory.learn(self._user(event), heard)

    def _stopped(self, send: Send, planned: Plan, event: Event, now_ms: int) -> Skip | None:
        """Why a send is not made, if so; what is made or held takes its places."""
        bid = self._bid(send, planned, event, now_ms)
        if self._memory.was_sent(bid.key):
            return _skip(send, ALREADY_SENT.reason)
        ruled = ruling(
            bid.terms,
            self._memory.known(bid),
            event_ms=event.event_ms,
            now_ms=now_ms,
            paused=False,
            starts_ms=None if planned.stay is None else self._starts_ms(send.rule),
        )
        if ruled.verdict == "stop":
            return _skip(send, ruled.reason)
        self._memory.write(bid, held_by_limit=ruled.verdict == "hold")
        return None if ruled.verdict == "go" else _skip(send, "held", ruled.reason)

    def _bid(self, send: Send, planned: Plan, event: Event, now_ms: int) -> Bid:
        user = self._user(event)
        key = key_of(
            app="",
            rule=send.rule,
            operation=send.name,
            message_id=event.message_id,
            seq=self._events,
            recipient=send.to,
            generation=0,
        )
        return Bid(
            event=self._events,
            rule=send.rule,
            user=user,
            person=str(send.to),
            terms=checked(send, planned.terms.get(send.rule, Terms())),
            now_ms=now_ms,
            key=key,
        )

    def _starts_ms(self, rule: str) -> int | None:
        return next((one.starts_ms for one in self.mapping.rules if one.name == rule), None)


def _skip(send: Send, reason: str | None, detail: str | None = None) -> Skip:
    return Skip(rule=send.rule, operation=send.name, reason=reason or "", detail=detail)
