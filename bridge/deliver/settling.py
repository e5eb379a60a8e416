"""What an answer to a shared call means for its members, and for the call. See `groups`."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

from bridge.deliver.attempts import holds_everyone
from bridge.deliver.means import Means
from bridge.deliver.retry import GiveUp, after_failure
from bridge.deliver.seal import Sealer, accepted, died, ids_of
from bridge.journal.groups import EndOf, Member, MemberEnd, OpenCall, Sealed
from bridge.onesignal.api import alone
from bridge.onesignal.operations import SendNotification, TrackCustomEvent
from bridge.onesignal.user_model import custom_events_body
from bridge.onesignal.verdict import (
    Accepted,
    Closed,
    Failed,
    NoRecipients,
    Postponed,
    Refused,
    Verdict,
)
from bridge.telemetry import log

REFUSALS = 24
"""So many refusals in a row, of a group of which nothing was accepted since, are not one member's."""
_REFUSED_GROUPS = 1000
_OPERATION = {"send": SendNotification.name, "event": TrackCustomEvent.name}


@dataclass(slots=True)
class Settling:
    """Ends members, or has their call tried again."""

    means: Means
    sealer: Sealer
    #: Has a call tried when it is time.
    wait_for: Callable[[OpenCall], None]
    #: Of each group, since something of it was accepted.
    refusals: dict[bytes, int] = field(default_factory=dict)

    async def settle(self, call: Sealed, verdict: Verdict, text: str) -> None:
        if isinstance(verdict, Closed) or holds_everyone(verdict):
            self._try_again(call, self.means.clock.now_ms())
            return
        match verdict:
            case Accepted():
                self.refusals.pop(call.group, None)
                if call.endpoint == "send":
                    await self.means.audit.sent(call.rule, "", verdict.id, call.body)
                await self._end(call, lambda one: accepted(one, verdict, endpoint=call.endpoint))
            case NoRecipients():
                end = MemberEnd("no_recipients", "not_subscribed", 200)
                await self._end(call, lambda _: end)
            case Postponed(after_seconds=seconds):
                self._try_again(call, self.means.clock.now_ms() + round((seconds or 1.0) * 1000))
                return
            case Failed():
                await self._failed(call, verdict, text)
            case Refused(reason=reason, status=status):
                await self._refused(call, reason, status, text)
            case _:
                await self.die(call, "http_404", 404, text)
        self.means.attempted.discard(call.key)

    def _try_again(self, call: Sealed, at_ms: int) -> None:
        """This attempt was not performed; one before it may have been, and only we may know of it."""
        if not call.uncertain:
            self.means.attempted.discard(call.key)
        self.wait_for(OpenCall(call.key, call.endpoint, call.rank, at_ms))

    async def _failed(self, call: Sealed, failed: Failed, text: str) -> None:
        means = self.means
        call = call._replace(uncertain=call.uncertain or not failed.certain)
        now = means.clock.now_ms()
        decided = after_failure(
            failed, attempts=call.attempt, age_ms=now - call.created_ms, roll=means.roll()
        )
        if isinstance(decided, GiveUp):
            await self.die(call, decided.reason, failed.status, text)
            return
        log().warning(
            "send.failed",
            reason=failed.reason,
            attempt=decided.attempt,
            key=call.key,
            members=call.members,
        )
        until = now + round(decided.after_seconds * 1000)
        await means.journal.retry_call(
            call.key,
            not_before_ms=until,
            attempt=decided.attempt,
            uncertain=call.uncertain,
            error=decided.error,
        )
        self.wait_for(OpenCall(call.key, call.endpoint, call.rank, until))

    async def _refused(self, call: Sealed, reason: str, status: int, text: str) -> None:
        """Certainly not done: whose fault it was is found by halves, unless it was never one's own."""
        if len(self.refusals) > _REFUSED_GROUPS:
            self.refusals.clear()
        count = self.refusals[call.group] = self.refusals.get(call.group, 0) + 1
        if call.members == 1 or call.uncertain or count > REFUSALS:
            await self.die(call, reason, status, text)
            return
        now = self.means.clock.now_ms()
        log().warning("call.split", reason=reason, key=call.key, members=call.members)
        for half in await self.means.journal.groups.split(
            call.key, make=self.sealer.make, now_ms=now
        ):
            self.wait_for(half)

    async def die(self, call: Sealed, reason: str, http: int | None, text: str) -> None:
        def end_of(member: Member) -> MemberEnd:
            request = _alone(call, member)
            return died(member, call, request, reason=reason, http=http, answer=text)

        await self._end(call, end_of)

    async def _end(self, call: Sealed, end_of: EndOf) -> None:
        """End the members, some at a time; a call of which some are left would be sent again."""
        journal, clock, more = self.means.journal, self.means.clock, True
        while more:
            ends, more = await journal.groups.end_some(
                call.key, end_of=end_of, at_ms=clock.now_ms()
            )
            for rule, end, event_ms in ends:
                self.count(rule, call.endpoint, end, 1)
                if call.endpoint == "send":
                    self.means.reach.ended(rule, end.status)
                    if end.status == "delivered" and event_ms is not None:
                        self.means.metrics.pushed(rule, clock.now_ms() - event_ms)
            dead = [(rule, end) for rule, end, _ in ends if end.status == "dead"]
            if dead:
                log().error(
                    "operation.dead", key=call.key, rule=dead[0][0], reason=dead[0][1].reason, members=len(dead)
                )  # fmt: skip

    def count(
        self, rule: str, endpoint: Literal["send", "event"], end: MemberEnd, members: int
    ) -> None:
        metrics = self.means.metrics
        metrics.ended(rule, _OPERATION[endpoint], end.status, end.reason, members)
        if end.status == "dead":
            metrics.dead.labels(end.reason or "").inc(members)


def _alone(call: Sealed, member: Member) -> bytes:
    """The call that one member alone would have been."""
    with contextlib.suppress(ValueError):
        if call.endpoint == "event":
            return custom_events_body([member.part or b"{}"])
        return alone(call.body, ids_of(member), key=member.key)
    return call.body
