"""The audit: did a notification that was sent with iOS excluded reach an iPhone after all?

Excluded by its flags, or because it names devices of which none is registered as one.

Nobody but OneSignal knows, so it is asked: for the first notification of every rule and mapping
revision, and for one a minute, some minutes after it was sent, within OneSignal's limit of one view
a second. What is to be looked at is kept in the journal. A single iOS delivery is an alert,
`ios_reached`, and pulls the brake: pushes are held until a person resumes them.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Any

import orjson

from bridge.deliver.attempts import look
from bridge.deliver.brake import PUSHES
from bridge.deliver.gate import StoppingError
from bridge.deliver.means import Means
from bridge.errors import BridgeError
from bridge.journal.records import Audited
from bridge.onesignal.api import recipients_of
from bridge.onesignal.platforms import IOS, excludes_ios
from bridge.onesignal.verdict import Accepted, Answer, Closed, Failed, Postponed, Verdict
from bridge.telemetry import log

IOS_REACHED = "ios_reached"
SAMPLE_SECONDS = 60.0
DELIVERED_MS = 300_000
"""After so long OneSignal has tried to deliver it."""
LOOKS = 5
"""How often a notification is looked at that is not complete, or could not be asked for."""
_TROUBLE_SECONDS = 5.0
_DEVICES = (b'"include_subscription_ids":', b'"include_player_ids":')


def ios_deliveries(answer: Any) -> int:
    """How many iPhones OneSignal says that it tried to reach; any result of a try counts."""
    stats = answer.get("platform_delivery_stats") if isinstance(answer, dict) else None
    if not isinstance(stats, dict):
        return 0
    return sum(_tried(tally) for name, tally in stats.items() if name.lower().startswith("ios"))


def _tried(tally: Any) -> int:
    results = tally.values() if isinstance(tally, dict) else ()
    return max((one for one in results if type(one) is int and one > 0), default=0)


def is_complete(answer: Any) -> bool:
    return isinstance(answer, dict) and answer.get("completed_at") is not None


@dataclass(slots=True)
class Audit:
    """Looks after one app's notifications."""

    means: Means
    _seen: set[tuple[str, str]] = field(default_factory=set)
    _sampled_at: float = float("-inf")
    _wake: asyncio.Event = field(default_factory=asyncio.Event)

    async def sent(self, rule: str, revision: str, notification: str | None, body: bytes) -> None:
        """A notification was accepted; when it is in the sample it will be looked at."""
        if notification is None or not self._is_in_sample(rule, revision):
            return
        if not (excludes_ios(body) or await self._names_no_iphone(body)):
            return
        self._take_place(rule, revision)
        now = self.means.clock.now_ms()
        audited = Audited(notification, self.means.destination.name, rule, now + DELIVERED_MS, 0)
        try:
            await self.means.journal.audit(audited)
        except BridgeError as error:
            log().warning("audit.not_kept", rule=rule, error=error.code)
        self._wake.set()

    def _is_in_sample(self, rule: str, revision: str) -> bool:
        is_first = (rule, revision) not in self._seen
        return is_first or self.means.clock.monotonic() - self._sampled_at >= SAMPLE_SECONDS

    def _take_place(self, rule: str, revision: str) -> None:
        self._seen.add((rule, revision))
        self._sampled_at = self.means.clock.monotonic()

    async def _names_no_iphone(self, body: bytes) -> bool:
        """Whether a push names devices alone that are registered, and none of them as an iPhone."""
        if not any(name in body for name in _DEVICES):
            return False
        ids = set(recipients_of(body))
        found = await self.means.journal.devices.platforms(self.means.destination.name, sorted(ids))
        return found.keys() == ids and IOS.isdisjoint(found.values())

    async def run(self) -> None:
        """Look at what is due, until cancelled."""
        while True:
            self._wake.clear()
            try:
                await self._round()
            except StoppingError:
                return
            except Exception as error:  # noqa: BLE001 — whatever it is, the audit goes on
                log().error("audit.troubled", error=type(error).__name__)
                await self.means.clock.sleep(_TROUBLE_SECONDS)

    async def _round(self) -> None:
        """Look at the first that is due, or wait for it, or for there to be one."""
        first = await self.means.journal.audit_next(self.means.destination.name)
        if first is None:
            await self._wake.wait()
        elif (left := first.due_ms - self.means.clock.now_ms()) > 0:
            await self.means.clock.sleep(left / 1000)
        else:
            await self._look_at(first)

    async def _look_at(self, audited: Audited) -> None:
        destination = self.means.destination
        path = destination.api.notification_path(audited.id, app_id=destination.app_id)
        verdict, answer = await look(self.means, path)
        shown = _shown(answer)
        if isinstance(verdict, Accepted):
            self.means.metrics.tally.add(("audit", "looked"))
        if isinstance(verdict, Accepted) and (count := ios_deliveries(shown)) > 0:
            await self._reached(audited, count)
        elif _is_open(verdict, shown) and audited.looks + 1 < LOOKS:
            later = self.means.clock.now_ms() + DELIVERED_MS
            again = audited._replace(due_ms=later, looks=audited.looks + 1)
            await self.means.journal.audit(again)
            return
        await self.means.journal.audit_done(audited.id)

    async def _reached(self, audited: Audited, count: int) -> None:
        self.means.metrics.ios_reached.inc()
        self.means.metrics.tally.add(("audit", "reached"))
        log().error(
            IOS_REACHED,
            app=audited.app,
            rule=audited.rule,
            notification=audited.id,
            deliveries=count,
            hint="pushes are held: find out why, then segment-bridge resume pushes",
        )
        await self.means.brake.pull(PUSHES, reason=IOS_REACHED)


def _shown(answer: object) -> Any:
    try:
        return orjson.loads(answer.body) if isinstance(answer, Answer) else None
    except orjson.JSONDecodeError:
        return None


def _is_open(verdict: Verdict, shown: Any) -> bool:
    """Whether it is worth another look."""
    if isinstance(verdict, Accepted):
        return not is_complete(shown)
    return isinstance(verdict, Closed | Failed | Postponed)
