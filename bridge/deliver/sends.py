"""Sends: written to the journal before the first attempt, then tried until they end or have to wait.

From the moment that it is written only the row decides: these bytes, this key, and no others.
"""

from __future__ import annotations

from dataclasses import dataclass

import orjson

from bridge.deliver.attempts import Ended, Wait, ask, holds_everyone, turn
from bridge.deliver.gate import ShutError
from bridge.deliver.keys import key_of
from bridge.deliver.means import Means
from bridge.deliver.progress import Progress, tell
from bridge.deliver.retry import GiveUp, after_failure
from bridge.journal.records import BULK, Death, End, NewSend, OpenSend, Waiting, operation_name
from bridge.onesignal.operations import SendNotification
from bridge.onesignal.user_model import NOTIFICATIONS_PATH, notification_body
from bridge.onesignal.verdict import Accepted, Closed, Failed, NoRecipients, Refused, Verdict
from bridge.telemetry import log


async def new_send(
    means: Means,
    row: Waiting,
    revision: str,
    push: SendNotification,
    progress: Progress,
    written: set[int],
) -> Wait | None:
    """Write a send of this revision of the mapping, and try it.

    `written` learns of events of which a send was written.
    """
    now = means.clock.now_ms()
    expires = None if push.max_age_ms is None else row.event_ms + push.max_age_ms
    if expires is not None and now > expires:
        progress.add(End(push.rule, push.name, "skipped", "too_old"))
        return None
    new = _write(means, row, revision, push, expires)
    done = progress.done | {operation_name(push.rule, push.name)}
    is_new = await means.journal.write_send(
        new, ends=progress.ends, deaths=progress.deaths, done=sorted(done)
    )
    if not is_new:
        progress.add(End(push.rule, push.name, "skipped", "already_sent"))
        return None
    progress.done = done
    progress.written()
    written.add(row.seq)
    return await _send(means, row, _opened(new), progress, uncertain=False)


def _write(
    means: Means, row: Waiting, revision: str, push: SendNotification, expires_ms: int | None
) -> NewSend:
    app = means.destination
    key = key_of(
        app=app.name,
        rule=push.rule,
        message_id=row.message_id,
        seq=row.seq,
        recipient=push.to,
        generation=0,
    )
    return NewSend(
        key=key,
        seq=row.seq,
        app=app.name,
        rule=push.rule,
        operation=push.name,
        user_hash=row.user_hash,
        label=push.to.label,
        recipient=push.to.id,
        generation=0,
        revision=revision,
        expires_ms=expires_ms,
        method="POST",
        path=NOTIFICATIONS_PATH,
        body=notification_body(push, app_id=app.app_id, key=key, recipients=[push.to]),
        created_ms=means.clock.now_ms(),
    )


async def found_send(means: Means, row: Waiting, send: OpenSend, progress: Progress) -> Wait | None:
    """A send of an earlier time: it may have been performed, unless we know better."""
    uncertain = send.key not in means.unperformed
    return await _send(means, row, send, progress, uncertain=uncertain)


async def _send(
    means: Means, row: Waiting, send: OpenSend, progress: Progress, *, uncertain: bool
) -> Wait | None:
    ended = await Send(means, row, send, uncertain).run()
    if isinstance(ended, Wait):
        return ended
    end = ended.end(send.rule, send.operation, send.call_key)
    progress.add(end, ended.death)
    await means.journal.end_send(
        row.seq, send.key, end, death=ended.death, at_ms=means.clock.now_ms()
    )
    tell(means, row, [end])
    progress.written()
    return None


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
    )


@dataclass(slots=True)
class Send:
    """A send that the journal holds, on its way: these bytes, this key, and no others."""

    means: Means
    row: Waiting
    send: OpenSend
    #: Whether an attempt may have been performed.
    uncertain: bool

    async def run(self) -> Ended | Wait:
        """Until it ends, or has to be tried again later."""
        if self.send.not_before_ms > self.means.clock.now_ms():
            return Wait(until_ms=self.send.not_before_ms)
        self.means.unperformed.discard(self.send.key)
        while not self._expired():
            judged = await self._attempt()
            if judged is None:
                break
            verdict, text = judged
            if not (isinstance(verdict, Closed) or holds_everyone(verdict)):
                return await self._settle(verdict, text)
        return self._too_old()

    async def _attempt(self) -> tuple[Verdict, str] | None:
        """One call; None when it grew too old while it waited for its turn."""
        means, gate = self.means, self.means.destination.sends
        written = self.send.method, self.send.path, self.send.body
        try:
            async with turn(gate, bulk=self.row.rank == BULK):
                return None if self._expired() else await ask(means, gate, "send", written)
        except ShutError:
            if not self.uncertain:
                means.unperformed.add(self.send.key)
            raise

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
            case Accepted(status=status, unreached=unreached):
                if self._recipient() in unreached:
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

    def _recipient(self) -> str:
        aliases = orjson.loads(self.send.body).get("include_aliases", {})
        return next((ids[0] for ids in aliases.values() if len(ids) == 1), "")

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
        if not self.uncertain:
            self.means.unperformed.add(self.send.key)
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
