"""Devices of a user who was found to be another, and whom OneSignal knows beside that one: they move.

::

    which they are     the registry knows, or OneSignal is asked, one view a second for all of an app
    each of them       PATCH …/subscriptions/{id}/owner {external_id}

Nobody waits for it: a merge comes here when all else of it is done, and a thousand that wait for their
look take no memory. What is to be moved is on disk before the first of them is. After an attempt
that may have been performed it is looked again, and never moved blindly: by then the device may
have come to somebody else, who logged in on it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson

from bridge import failpoints
from bridge.deliver.attempts import ask, holds_everyone, look, turn
from bridge.deliver.gate import StoppingError
from bridge.deliver.means import CREATED_LATELY_SECONDS, About, Means
from bridge.deliver.phone_turns import is_anothers, its_turn
from bridge.deliver.retry import CREATED_WAIT_SECONDS, GiveUp, after_failure, is_early
from bridge.deliver.spacing import SPACING_SECONDS
from bridge.journal.records import Death, End, Merge
from bridge.onesignal.operations import EXTERNAL_ID, MergeUsers, Recipient, Request
from bridge.onesignal.user_model import move_subscription, view_user
from bridge.onesignal.verdict import (
    Accepted,
    Answer,
    Closed,
    Failed,
    NoAnswer,
    Postponed,
    Refused,
    Unknown,
    Verdict,
)
from bridge.telemetry import log

AT_ONCE = 16
"""Merges in memory: more than one look a second keeps busy."""
_TROUBLE_SECONDS = 5.0
_CONFLICT = 409


class Moving:
    """Moves the devices of one app's merges."""

    def __init__(self, means: Means) -> None:
        self._means = means
        self._tasks: dict[int, asyncio.Task[None]] = {}
        self._wake = asyncio.Event()
        means.setback.listen(lambda _: self._wake.set())

    def __repr__(self) -> str:
        return f"<Moving: {len(self._tasks)} at work>"

    def look(self) -> None:
        """There may be one more."""
        self._wake.set()

    async def run(self) -> None:
        """Begin what may be worked on, until cancelled."""
        try:
            while True:
                self._wake.clear()
                try:
                    seconds = await self._round()
                except Exception as error:  # noqa: BLE001 — whatever it is, the others are moved
                    log().error("moving.troubled", error=type(error).__name__, exc_info=error)
                    seconds = _TROUBLE_SECONDS
                await self._rest(seconds)
        finally:
            for task in self._tasks.values():
                task.cancel()

    async def _round(self) -> float | None:
        """Begin what there is room for; seconds until another may be worked on, None: nobody knows."""
        means = self._means
        await means.setback.look()
        now_ms = means.clock.now_ms()
        found = await means.journal.identities.moving(means.destination.name, limit=2 * AT_ONCE)
        early = [one for one in found if is_early(one.not_before_ms, now_ms)]
        waits = [(one.not_before_ms - now_ms) / 1000 for one in early]
        for merge in found:
            if merge in early or len(self._tasks) >= AT_ONCE:
                break
            if merge.id_hash not in self._tasks:
                task = asyncio.get_running_loop().create_task(self._move(merge))
                self._tasks[merge.id_hash] = task
        return min(waits, default=None)

    async def _move(self, merge: Merge) -> None:
        try:
            await Move(self._means, merge).run()
        except StoppingError:
            return  # at the next start it is looked again
        except Exception as error:  # noqa: BLE001 — no known way to fail; it waits, and others go on
            log().error("merge.troubled", error=type(error).__name__, exc_info=error)
            await self._means.clock.sleep(_TROUBLE_SECONDS)
        finally:
            del self._tasks[merge.id_hash]
            self._wake.set()

    async def _rest(self, seconds: float | None) -> None:
        waits: list[asyncio.Future[Any]] = [asyncio.ensure_future(self._wake.wait())]
        if seconds is not None:
            waits.append(asyncio.ensure_future(self._means.clock.sleep(max(seconds, 0.001))))
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()


@dataclass(slots=True)
class Move:
    """The devices of one merge."""

    means: Means
    merge: Merge
    #: What OneSignal would not have moved.
    _refused: list[tuple[Refused, Request, str]] = field(default_factory=list)
    #: Devices on which somebody else logged in while they were moved.
    _raced: int = 0

    async def run(self) -> None:
        """Until all are moved, or it has to be tried again later."""
        left, moved = self.merge.subscriptions, self.merge.moved
        if left is None:
            left = await self._look()
        # What was read may be over by now, and nothing is moved that is not to be.
        if left is None or not await self._keep(left, moved):
            return
        while left:
            done = await self._one(left[0])
            if done is None:
                return
            left, moved = left[1:], moved + done
            if not await self._keep(left, moved):
                return
        await self._end(moved)

    async def _keep(self, left: Sequence[str], moved: int) -> bool:
        return await self.means.journal.identities.found(self.merge, left, moved=moved)

    @property
    def _person(self) -> Recipient:
        return Recipient(EXTERNAL_ID, self.merge.external_id)

    # Looking --------------------------------------------------------------------------------------

    async def _look(self) -> list[str] | None:
        """Which devices the other has; None when it is tried again later, or never."""
        other = Recipient(self.merge.label, self.merge.id)
        request = view_user(other, app_id=self.means.destination.app_id)
        about = About(MergeUsers.name, None, [self.merge.seq])
        while True:
            verdict, answer = await look(self.means, request.path, about=about)
            match verdict:
                case Accepted():
                    return _subscriptions(answer)
                case Unknown():
                    return []
                case _ if not (isinstance(verdict, Closed) or holds_everyone(verdict)):
                    await self._not_now(verdict, request)
                    return None

    # Moving ---------------------------------------------------------------------------------------

    async def _one(self, subscription: str) -> int | None:
        """How many that moved; None when it is tried again later."""
        request = move_subscription(
            subscription, self._person, app_id=self.means.destination.app_id
        )
        while True:
            heard = await self._attempt(subscription, request)
            if heard is None:
                return 0
            verdict, text = heard
            match verdict:
                case Accepted():
                    await self._look_back(subscription)
                    return 1
                case Unknown() if not self._is_new():
                    return 0  # it is gone, or the person is
                case Unknown():
                    await self._put_off(CREATED_WAIT_SECONDS, "not_yet_created")
                    return None
                case Refused():
                    self._refused.append((verdict, request, text))
                    return 0
                case _ if not (isinstance(verdict, Closed) or holds_everyone(verdict)):
                    await self._not_now(verdict, request)
                    return None

    async def _attempt(self, subscription: str, request: Request) -> tuple[Verdict, str] | None:
        """None when somebody else has logged in on it meanwhile."""
        means, person = self.means, self.merge.person_hash
        asked = request.method, request.path, orjson.dumps(request.body)
        about = About(MergeUsers.name, None, [self.merge.seq])
        spacing, gate = means.spacing, means.destination.writes
        while True:
            await self._until_free(person)
            async with turn(gate, bulk=False, patient=True), its_turn(means, subscription):
                if spacing.busy(person) or spacing.wait(person) > 0:
                    continue
                with spacing.writing(person):
                    if await is_anothers(means, subscription, person):
                        return None
                    failpoints.reached("merge.moving")
                    try:
                        return await ask(means, gate, "write", asked, about)
                    finally:
                        failpoints.reached("merge.moved")
                        spacing.mark(person)

    async def _look_back(self, subscription: str) -> None:
        """What an app with the SDK says of it has no turn; it is told that it may be the other's."""
        if await is_anothers(self.means, subscription, self.merge.person_hash):
            log().warning("merge.raced", seq=self.merge.seq)
            self._raced += 1

    async def _until_free(self, person: int) -> None:
        spacing = self.means.spacing
        while (seconds := spacing.wait(person)) > 0 or spacing.busy(person):
            await self.means.clock.sleep(seconds or SPACING_SECONDS)

    def _is_new(self) -> bool:
        now = self.means.clock.monotonic()
        return self.means.created.since(self.merge.person_hash, now) < CREATED_LATELY_SECONDS

    # Not now --------------------------------------------------------------------------------------

    async def _not_now(self, verdict: Verdict, request: Request) -> None:
        """Later, or not at all."""
        match verdict:
            case Postponed(after_seconds=seconds):
                await self._put_off(max(seconds or 0.0, 1.0), "user_limit")
            case Failed():
                await self._failed(verdict, request)
            case Refused(reason=reason, status=status, detail=detail):
                await self._die(reason, status, detail, request)
            case _:
                await self._put_off(_TROUBLE_SECONDS, "no_id")

    async def _failed(self, failed: Failed, request: Request) -> None:
        now = self.means.clock.now_ms()
        age_ms = now - (self.merge.first_try_ms or now)
        decided = after_failure(
            failed, attempts=self.merge.attempt, age_ms=age_ms, roll=self.means.roll()
        )
        if isinstance(decided, GiveUp):
            await self._die(decided.reason, failed.status, failed.detail, request)
            return
        log().warning("merge.failed", reason=failed.reason, attempt=decided.attempt)
        await self._put_off(
            decided.after_seconds,
            decided.error,
            attempt=decided.attempt,
            doubted=not failed.certain,
        )

    async def _put_off(
        self, seconds: float, why: str, *, attempt: int | None = None, doubted: bool = False
    ) -> None:
        now = self.means.clock.now_ms()
        await self.means.journal.identities.put_off(
            self.merge,
            not_before_ms=now + round(seconds * 1000),
            attempt=self.merge.attempt if attempt is None else attempt,
            error=why,
            doubted=doubted,
            now_ms=now,
        )

    # Ending ---------------------------------------------------------------------------------------

    async def _end(self, moved: int) -> None:
        if self._refused:
            refused, request, text = self._refused[0]
            is_full = refused.status == _CONFLICT
            reason = "subscription_limit" if is_full else refused.reason
            await self._die(reason, refused.status, text, request)
            return
        raced = f"somebody else logged in on {self._raced} meanwhile" if self._raced else None
        detail = "; ".join(filter(None, (f"{moved} devices moved", raced, self.merge.detail)))
        await self._ended(End("", MergeUsers.name, "delivered", None, detail), None)

    async def _die(self, reason: str, http: int | None, text: str, request: Request) -> None:
        shown = {"method": request.method, "path": request.path, "body": request.body}
        death = Death(
            rule="",
            operation=MergeUsers.name,
            reason=reason,
            request=orjson.dumps(shown),
            answer=text,
            http=http,
            attempt=self.merge.attempt + 1,
            uncertain=False,
            send_key=None,
        )
        log().error("operation.dead", seq=self.merge.seq, operation=MergeUsers.name, reason=reason)
        self.means.metrics.dead.labels(reason).inc()
        await self._ended(End("", MergeUsers.name, "dead", reason, None, http), death)

    async def _ended(self, end: End, death: Death | None) -> None:
        self.means.metrics.ended("", end.operation, end.status, end.reason)
        await self.means.journal.identities.ended(
            self.merge, end, death=death, at_ms=self.means.clock.now_ms()
        )


def _subscriptions(answer: Answer | NoAnswer) -> list[str]:
    try:
        shown = orjson.loads(answer.body) if isinstance(answer, Answer) else None
    except orjson.JSONDecodeError:
        shown = None
    found = shown.get("subscriptions") if isinstance(shown, dict) else None
    listed = found if isinstance(found, list) else []
    return [str(one["id"]) for one in listed if isinstance(one, dict) and one.get("id")]
