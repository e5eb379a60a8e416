"""One update, tried until it ends or has to wait."""

from __future__ import annotations

from dataclasses import dataclass

import orjson

from bridge.deliver.attempts import Ended, Wait, ask, holds_everyone, turn
from bridge.deliver.means import Means
from bridge.deliver.retry import (
    CREATED_LATELY_SECONDS,
    CREATED_WAIT_SECONDS,
    GiveUp,
    after_failure,
)
from bridge.journal.records import BULK, Death, Waiting
from bridge.mapping.rules import Mapping
from bridge.onesignal.operations import Request, UpdateUser
from bridge.onesignal.user_model import create_user, patch_user
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


@dataclass(slots=True)
class Update:
    """An update of the chain's user on its way."""

    means: Means
    row: Waiting
    mapping: Mapping
    update: UpdateUser

    async def run(self) -> Ended | Wait:
        """Until it ends, or has to be tried again later."""
        create = self.means.destination.post_first
        while True:
            verdict, text = await self._attempt(create=create)
            if isinstance(verdict, Unknown) and not create:
                if self._created_lately():
                    return await self._wait(CREATED_WAIT_SECONDS, "not_yet_created")
                if self.mapping.unknown_user == "skip":
                    return Ended(status="skipped", reason="unknown_user", http=404)
                create = True
            elif not (isinstance(verdict, Closed) or holds_everyone(verdict)):
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
