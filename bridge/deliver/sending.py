"""A send that was written: tried until it ends or has to wait, with these bytes, this key, and no others."""

from __future__ import annotations

from dataclasses import dataclass, field

from bridge.deliver.attempts import Ended, Wait, ask_sealed, holds_everyone, turn
from bridge.deliver.means import About, Means
from bridge.deliver.progress import Progress, tell
from bridge.deliver.retry import GiveUp, after_failure, is_early
from bridge.journal.records import BULK, Death, NewSend, OpenSend, Waiting, operation_name
from bridge.onesignal.api import recipients_of
from bridge.onesignal.operations import KEYS_KEPT_MS, SendNotification
from bridge.onesignal.verdict import Accepted, Closed, Failed, NoRecipients, Refused, Verdict
from bridge.telemetry import log

PAUSED_MS = 5_000
"""Until an attempt that may have been performed looks again whether its rule is still paused."""


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


def opened(new: NewSend) -> OpenSend:
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
        key_ms=new.created_ms,
        label=new.label,
        recipient=new.recipient,
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
        if not self._is_listed():
            return self._given_up("not_listed")
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
        return self._given_up("too_old" if self._is_listed() else "not_listed")

    def _not_performed(self) -> None:
        """The next turn may be long in coming, and this attempt does not make it uncertain."""
        if not self.uncertain:
            self.means.attempted.discard(self.send.key)

    async def _attempt(self) -> tuple[Verdict, str] | Held | None:
        """One call; None when it must not leave any more, since it waited for its turn."""
        means, gate = self.means, self.means.destination.sends
        written = self.send.method, self.send.path, self.send.body
        async with turn(gate, bulk=self.row.rank == BULK):
            if self._is_paused():
                return Held()
            if self._expired() or not self._is_listed():
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
        expires, now = self.send.expires_ms, self.means.clock.now_ms()
        is_forgotten = self.uncertain and now > self.send.key_ms + KEYS_KEPT_MS
        return is_forgotten or (expires is not None and now > expires)

    def _is_listed(self) -> bool:
        """Somebody may have said since it was written who alone is to be reached."""
        return self.means.restraint.lists(self.send.label, self.send.recipient)

    def _given_up(self, reason: str) -> Ended:
        if self.uncertain:
            # It may have been sent, and it may not: whether to send it now is for a person.
            return self._dead("unknown_outcome", None, "")
        return Ended(status="skipped", reason=reason)

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
        # The journal knows of it now; who waits for anything else has told it nothing.
        self.means.attempted.discard(self.send.key)
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
