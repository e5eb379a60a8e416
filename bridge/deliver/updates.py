"""One write to a user, tried until it ends or has to wait.

A user that OneSignal does not know is created, with all that was ever written for it: by the next
call, which is a second later and takes along what has come meanwhile.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import orjson

from bridge import failpoints
from bridge.deliver.attempts import Ended, Wait, ask, holds_everyone, turn
from bridge.deliver.cautious import out_of_hand
from bridge.deliver.means import CREATED_LATELY_SECONDS, About, Means
from bridge.deliver.retry import CREATED_WAIT_SECONDS, GiveUp, after_failure
from bridge.journal.records import BULK, Death, Learnt, Waiting
from bridge.onesignal.operations import Request
from bridge.onesignal.verdict import (
    Accepted,
    Closed,
    Failed,
    Postponed,
    Refused,
    Unknown,
    Verdict,
)
from bridge.telemetry import log

_USER_WAIT_SECONDS = 1.0


@dataclass(slots=True, kw_only=True)
class Write:
    """A write to one user on its way, for one event or for many."""

    means: Means
    #: The first of its events: the one that waits when the write has to.
    row: Waiting
    #: All of them.
    seqs: Sequence[int]
    attempt: int
    operation: str
    user_hash: int
    request: Callable[[], Request]
    #: What is asked for a user that OneSignal does not know; None: such a user is not created.
    create: Callable[[], Request] | None
    #: How it ends for a user that is not known and not created.
    absent: Ended
    #: Until then a 404 does not say that the user is not there, milliseconds since 1970.
    new_until_ms: int = 0
    #: What an attempt that may have been performed makes uncertain.
    doubt: Learnt | None = None
    #: The user was created just now: it is not posted once more.
    is_there: bool = False
    #: Whether the user was created by it.
    created: bool = False

    async def run(self) -> Ended | Wait:
        """Until it ends, or has to be tried again later."""
        means, user = self.means, self.user_hash
        missing = means.missing.since(user, means.clock.monotonic()) < CREATED_LATELY_SECONDS
        posts = (means.destination.post_first and not self.is_there) or missing
        self.created = self.create is not None and posts
        while True:
            verdict, text = await self._attempt()
            if not (isinstance(verdict, Closed) or holds_everyone(verdict)):
                return await self._settle(verdict, text)

    def _asked(self) -> Request:
        return self.create() if self.created and self.create is not None else self.request()

    async def _attempt(self) -> tuple[Verdict, str]:
        means, gate = self.means, self.means.destination.writes
        request = self._asked()
        written = request.method, request.path, orjson.dumps(request.body)
        if (wait := means.spacing.wait(self.user_hash)) > 0:
            out_of_hand()
            await means.clock.sleep(wait)
        async with turn(gate, bulk=self.row.rank == BULK):
            failpoints.reached("update.leaving")
            try:
                heard = await ask(means, gate, "write", written, self._about())
                failpoints.reached("update.answered")
                return heard
            finally:
                means.spacing.mark(self.user_hash)

    def _about(self) -> About:
        is_own = self.user_hash == self.row.user_hash
        return About(self.operation, None, self.seqs, None if is_own else self.user_hash)

    async def _settle(self, verdict: Verdict, text: str) -> Ended | Wait:
        match verdict:
            case Accepted(status=status, subscriptions=written):
                self._note_created()
                return Ended(status="delivered", http=status, subscriptions=written)
            case Postponed(after_seconds=seconds):
                return await self._held(max(seconds or 0.0, _USER_WAIT_SECONDS))
            case Failed():
                return await self._failed(verdict, text)
            case Refused(reason=reason, status=status):
                return self._dead(reason, status, text)
            case Unknown() if not self.created:
                return await self._unknown()
            case _:
                return self._dead("http_404", 404, text)

    def _note_created(self) -> None:
        if self.created:
            self.means.created.mark(self.user_hash, self.means.clock.monotonic())
            self.means.missing.drop(self.user_hash)

    async def _unknown(self) -> Ended | Wait:
        means, now = self.means, self.means.clock.monotonic()
        is_new = means.created.since(self.user_hash, now) < CREATED_LATELY_SECONDS
        if means.clock.now_ms() < self.new_until_ms or (is_new and self.create is not None):
            return await self._wait(CREATED_WAIT_SECONDS, "not_yet_created")
        if self.create is None:
            return self.absent
        means.missing.mark(self.user_hash, now)
        return wait_of(means, means.spacing.wait(self.user_hash))

    async def _held(self, seconds: float) -> Wait:
        """OneSignal asked for it, for this user alone; it costs no attempt."""
        log().warning("user.held", message_id=self.row.message_id, seconds=round(seconds, 1))
        return await self._wait(seconds, "user_limit")

    async def _failed(self, failed: Failed, text: str) -> Ended | Wait:
        now = self.means.clock.now_ms()
        age_ms = now - (self.row.first_try_ms or now)
        decided = after_failure(
            failed, attempts=self.attempt, age_ms=age_ms, roll=self.means.roll()
        )
        if isinstance(decided, GiveUp):
            return self._dead(decided.reason, failed.status, text)
        log().warning("update.failed", reason=failed.reason, attempt=decided.attempt)
        return await self._wait(
            decided.after_seconds,
            decided.error,
            attempt=decided.attempt,
            doubted=not failed.certain,
        )

    async def _wait(
        self, seconds: float, why: str, *, attempt: int | None = None, doubted: bool = False
    ) -> Wait:
        now = self.means.clock.now_ms()
        until = now + round(seconds * 1000)
        await self.means.journal.postpone(
            self.row.seq,
            not_before_ms=until,
            attempt=self.row.attempt if attempt is None else attempt,
            error=why,
            now_ms=now,
            learnt=[self.doubt] if doubted and self.doubt is not None else [],
        )
        if self.user_hash != self.row.user_hash:
            self.means.spacing.by_another(self.user_hash)
        return Wait(until_ms=until)

    def _dead(self, reason: str, http: int | None, text: str) -> Ended:
        request = self._asked()
        shown = {"method": request.method, "path": request.path, "body": request.body}
        death = Death(
            rule="",
            operation=self.operation,
            reason=reason,
            request=orjson.dumps(shown),
            answer=text,
            http=http,
            attempt=self.row.attempt + 1,
            uncertain=False,
            send_key=None,
        )
        return Ended(status="dead", reason=reason, http=http, death=death)


def wait_of(means: Means, seconds: float) -> Wait:
    """To be looked at again in so many seconds; nothing was tried, so nothing is written."""
    # Rounded up, but not for what a sum of floats is too much.
    return Wait(until_ms=means.clock.now_ms() + -int(-(seconds * 1000 - 1e-3) // 1))
