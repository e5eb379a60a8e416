"""One operation, tried until it ends or has to wait.

Both coroutines here carry out what `verdict` and `retry` decide. Being held at a gate happens
inside (nothing is written, no attempt is spent); a real failure is written to the journal and
comes back as `Wait`, and the chain leaves memory until then.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import orjson

from bridge.deliver.gate import Gate
from bridge.deliver.means import Means
from bridge.deliver.retry import (
    CREATED_LATELY_SECONDS,
    CREATED_WAIT_SECONDS,
    GiveUp,
    after_failure,
)
from bridge.journal.records import BULK, Death, End, OpenSend, Status, Waiting
from bridge.onesignal.operations import Request, SendNotification, UpdateUser
from bridge.onesignal.user_model import create_user, patch_user
from bridge.onesignal.verdict import (
    Accepted,
    Answer,
    Closed,
    Failed,
    NoRecipients,
    Postponed,
    Refused,
    Unknown,
    Verdict,
    judge,
)
from bridge.telemetry import log

_ASKED_TO_WAIT_SECONDS = 5.0
"""After a 429 that does not say how long."""
_USER_WAIT_SECONDS = 1.0
_ANSWER_KEPT = 2000


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """How an operation ended; `death` says more when a person has to look."""

    status: Status
    reason: str | None = None
    detail: str | None = None
    http: int | None = None
    death: Death | None = None

    def end(self, rule: str, operation: str, call_key: str | None = None) -> End:
        return End(rule, operation, self.status, self.reason, self.detail, self.http, call_key)


@dataclass(frozen=True, slots=True, kw_only=True)
class Wait:
    """Not before `until_ms`."""

    until_ms: int


@asynccontextmanager
async def turn(gate: Gate, *, bulk: bool) -> AsyncIterator[None]:
    """Wait for a turn at the gate, which may take hours; within the block it is this call's."""
    await gate.enter(bulk=bulk)
    try:
        yield
    finally:
        gate.leave()


async def ask(
    means: Means, gate: Gate, endpoint_class: str, request: tuple[str, str, bytes]
) -> tuple[Verdict, str]:
    """Call once and tell the gate; the verdict, and the answer's text."""
    answer = await means.call(endpoint_class, *request)
    is_send = endpoint_class == "send"
    verdict = judge(answer, now_ms=means.clock.now_ms(), is_send=is_send)
    _tell(gate, verdict)
    text = answer.body if isinstance(answer, Answer) else b""
    return verdict, text[:_ANSWER_KEPT].decode("utf-8", "replace")


def _tell(gate: Gate, verdict: Verdict) -> None:
    """What an answer means for everybody else who waits at this gate."""
    match verdict:
        case Postponed(scope="class", after_seconds=seconds):
            gate.hold(_ASKED_TO_WAIT_SECONDS if seconds is None else seconds)
            log().warning("gate.held", gate=gate.name, seconds=round(gate.held_seconds, 1))
        case Closed(status=status):
            if gate.close(f"http_{status}"):
                log().error("gate.closed", gate=gate.name, reason=f"http_{status}")
        case Failed(reason=reason):
            if gate.failed(reason):
                log().error("gate.closed", gate=gate.name, reason=reason)
        case _:
            if gate.succeeded():
                log().info("gate.opened", gate=gate.name)


@dataclass(slots=True)
class Update:
    """An update of the chain's user on its way."""

    means: Means
    row: Waiting
    update: UpdateUser

    async def run(self) -> Ended | Wait:
        """Until it ends, or has to be tried again later."""
        create = self.means.destination.post_first
        while True:
            verdict, text = await self._attempt(create=create)
            if isinstance(verdict, Unknown) and not create:
                if self._created_lately():
                    return await self._wait(CREATED_WAIT_SECONDS, "not_yet_created")
                if self.means.mapping().unknown_user == "skip":
                    return Ended(status="skipped", reason="unknown_user", http=404)
                create = True
            elif not (isinstance(verdict, Closed) or _holds_everyone(verdict)):
                return await self._settle(verdict, text, create=create)

    async def _attempt(self, *, create: bool) -> tuple[Verdict, str]:
        means, gate = self.means, self.means.destination.writes
        request = self._request(create=create)
        written = request.method, request.path, orjson.dumps(request.body)
        await means.spacing.wait(self.row.user_hash)
        async with turn(gate, bulk=self.row.rank == BULK):
            try:
                return await ask(means, gate, "write", written)
            finally:
                means.spacing.mark(self.row.user_hash)

    def _request(self, *, create: bool) -> Request:
        build = create_user if create else patch_user
        return build(self.update, app_id=self.means.destination.app_id)

    def _created_lately(self) -> bool:
        return self.means.created_since(self.row.user_hash) < CREATED_LATELY_SECONDS

    async def _settle(self, verdict: Verdict, text: str, *, create: bool) -> Ended | Wait:
        match verdict:
            case Accepted(status=status):
                if create:
                    self.means.note_created(self.row.user_hash, for_seconds=CREATED_LATELY_SECONDS)
                return Ended(status="delivered", http=status)
            case Postponed(after_seconds=seconds):
                return await self._wait(max(seconds or 0.0, _USER_WAIT_SECONDS), "user_limit")
            case Failed():
                return await self._failed(verdict, text, create=create)
            case Refused(reason=reason, status=status):
                return self._dead(reason, status, text, create=create)
            case _:
                return self._dead("http_404", 404, text, create=create)

    async def _failed(self, failed: Failed, text: str, *, create: bool) -> Ended | Wait:
        now = self.means.clock.now_ms()
        age_ms = now - (self.row.first_try_ms or now)
        decided = after_failure(
            failed, attempts=self.row.attempt, age_ms=age_ms, roll=self.means.roll()
        )
        if isinstance(decided, GiveUp):
            return self._dead(decided.reason, failed.status, text, create=create)
        log().warning("update.failed", reason=failed.reason, attempt=decided.attempt)
        return await self._wait(decided.after_seconds, decided.error, attempt=decided.attempt)

    async def _wait(self, seconds: float, why: str, attempt: int | None = None) -> Wait:
        now = self.means.clock.now_ms()
        until = now + round(seconds * 1000)
        await self.means.journal.postpone(
            self.row.seq,
            not_before_ms=until,
            attempt=self.row.attempt if attempt is None else attempt,
            error=why,
            now_ms=now,
        )
        return Wait(until_ms=until)

    def _dead(self, reason: str, http: int | None, text: str, *, create: bool) -> Ended:
        request = self._request(create=create)
        shown = {"method": request.method, "path": request.path, "body": request.body}
        death = Death(
            rule="",
            operation=UpdateUser.name,
            reason=reason,
            request=orjson.dumps(shown),
            answer=text,
            http=http,
            attempt=self.row.attempt + 1,
            uncertain=False,
            send_key=None,
        )
        return Ended(status="dead", reason=reason, http=http, death=death)


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
            if not (isinstance(verdict, Closed) or _holds_everyone(verdict)):
                return await self._settle(verdict, text)
        return self._too_old()

    async def _attempt(self) -> tuple[Verdict, str] | None:
        """One call; None when it grew too old while it waited for its turn."""
        means, gate = self.means, self.means.destination.sends
        written = self.send.method, self.send.path, self.send.body
        async with turn(gate, bulk=self.row.rank == BULK):
            return None if self._expired() else await ask(means, gate, "send", written)

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


def _holds_everyone(verdict: Verdict) -> bool:
    return isinstance(verdict, Postponed) and verdict.scope == "class"
