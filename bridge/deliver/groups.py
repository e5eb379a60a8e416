"""Sends that share calls: how groups form, when they close, and what becomes of their calls.

::

    chain ── written ──> forming ──> its turn at the gate ──> sealed ──> call ──> answered: members end
                            ^        (2,000 of them, or                  │  ^
                            │         its window is over)                │  └── failed: the same bytes, later
                            └── not performed, and a member too old ─────┤
                                                                         └── refused: two calls of a half each

Forming groups are numbers in memory; who is in them is the journal's to know, so that a group of
any size takes no room, and a restart goes on with what it finds. A group is sealed when its turn
at the gate has come, not before: while OneSignal is away groups grow instead of calls.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Coroutine
from dataclasses import dataclass
from typing import Any

from bridge.deliver.alarms import Alarms, Line, What
from bridge.deliver.attempts import ask_sealed, turn
from bridge.deliver.gate import Gate, StoppingError
from bridge.deliver.means import About, Means
from bridge.deliver.retry import is_early
from bridge.deliver.seal import OPERATIONS, Sealer
from bridge.deliver.settling import Settling
from bridge.deliver.sifting import Sifting
from bridge.errors import BridgeError
from bridge.journal.groups import OpenCall, OpenGroup, Sealed
from bridge.journal.records import BULK, SendGroup
from bridge.onesignal.verdict import Verdict
from bridge.telemetry import log

AT_ONCE = 48
"""Groups and calls of one line that are worked on at the same time; the others wait as a number and a moment."""
FORMING = 20_000
"""Groups, and calls that wait, that are known in memory; the journal knows of more."""
_TROUBLE_MS = 5_000
_LATER_MS = 1_000


@dataclass(slots=True)
class _Forming:
    members: int
    #: When its window ends.
    due_ms: int
    window_ms: int
    line: Line


class Groups:
    """The groups and shared calls of one app."""

    def __init__(self, means: Means) -> None:
        self._means = means
        destination = means.destination
        self._sealer = Sealer(most=min(destination.alias_chunk, destination.api.RECIPIENTS))
        self._sifting = Sifting(means)
        self._forming: dict[bytes, _Forming] = {}
        #: Calls that wait for a time of their own.
        self._calls: dict[str, OpenCall] = {}
        self._alarms = Alarms()
        self._working: dict[What, asyncio.Task[None]] = {}
        self._at_work: Counter[Line] = Counter()
        #: Of each group the call that is out for the first time: to the journal it is one that waits.
        self._out: dict[bytes, str] = {}
        #: Whose call was found waiting: it ended, and was asked for again, before they heard of its end.
        self._passed_over: set[What] = set()
        #: Groups that are being sealed: the journal may have the call before those who seal it hear so.
        self._sealing: set[bytes] = set()
        self._settling = Settling(means, self._sealer, self._wait_for)
        means.setback.listen(self._set_back)
        self._wake = asyncio.Event()
        self._look = True
        self._are_more = False
        self._stopping = False

    def __repr__(self) -> str:
        return (
            f"<Groups: {len(self._forming)} forming, {len(self._calls)} calls wait,"
            f" {len(self._working)} at work>"
        )

    @property
    def idle(self) -> bool:
        """Nothing forms, waits or is worked on."""
        return not (self._forming or self._calls or self._working or self._look)

    def add(self, group: SendGroup, group_ms: int) -> None:
        """A send of this group has been written; it may wait so long for others."""
        self._form(OpenGroup(group.id, group.endpoint, group.rank, 1), group_ms)

    def look(self) -> None:
        """Look for what somebody has released, or asked for again."""
        self._look = True
        self._wake.set()

    async def run(self) -> None:
        """Close groups when it is time, and try their calls, until `stop`."""
        while not self._stopping:
            self._wake.clear()
            await self._keep_time()
            if self._look:
                await self._find()
            self._begin_due()
            await self._rest()

    async def _keep_time(self) -> None:
        try:
            await self._means.setback.look()
        except BridgeError as error:
            log().error("groups.troubled", error=type(error).__name__)

    def _set_back(self, by_ms: int) -> None:
        """The clock was, and what forms or waits does so no longer for it."""
        for forming in self._forming.values():
            forming.due_ms -= by_ms
        for key, call in self._calls.items():
            self._calls[key] = call._replace(not_before_ms=call.not_before_ms - by_ms)
        self._alarms.set_back(by_ms)
        self._wake.set()

    async def flush(self, seconds: float) -> None:
        """Close what forms now, and give it so many seconds to leave."""
        for id_, forming in self._forming.items():
            if self._gate(forming.line.endpoint).is_open:
                forming.due_ms = 0
                self._alarm(0, id_, forming.line)
        self._begin_due()
        if self._working:
            await asyncio.wait(self._working.values(), timeout=seconds)

    async def stop(self, seconds: float) -> None:
        """Begin nothing more; give what is out so many seconds, then let it go, still pending."""
        self._stopping = True
        self._wake.set()
        if not self._working:
            return
        _, late = await asyncio.wait(self._working.values(), timeout=seconds)
        for task in late:
            task.cancel()
        await asyncio.gather(*late, return_exceptions=True)

    # Forming --------------------------------------------------------------------------------------

    def _form(self, group: OpenGroup, window_ms: int, *, due_ms: int | None = None) -> None:
        """Members more; the window begins with the first."""
        forming = self._forming.get(group.id)
        if forming is None:
            if len(self._forming) >= FORMING:
                self._are_more = True
                return
            due = self._means.clock.now_ms() + window_ms if due_ms is None else due_ms
            forming = _Forming(0, due, window_ms, Line(group.endpoint, group.rank))
            self._forming[group.id] = forming
            self._alarm(due, group.id, forming.line)
        before, most = forming.members, self._sealer.limit(group.endpoint)
        forming.members += group.members
        if before < most <= forming.members:
            self._alarm(0, group.id, forming.line)

    def _form_all(self, group: OpenGroup) -> None:
        """So many wait, whoever of them is known here: too many are noticed when they are sealed, too few never."""
        forming = self._forming.get(group.id)
        missing = group.members - (0 if forming is None else forming.members)
        if missing > 0:
            self._form(group._replace(members=missing), 0)

    def _alarm(self, at_ms: int, what: What, line: Line) -> None:
        if self._alarms.set(at_ms, what, line):
            self._wake.set()

    async def _find(self) -> None:
        """What the journal has that is not known here: at the start, and when somebody says so."""
        self._look = False
        try:
            groups, calls = await self._means.journal.groups.waiting(
                self._means.destination.name, limit=FORMING
            )
            self._are_more = len(groups) == FORMING or len(calls) == FORMING
        except BridgeError as error:
            log().error("groups.troubled", error=type(error).__name__)
            await self._means.clock.sleep(_TROUBLE_MS / 1000)
            self._look = True
            return
        for group in groups:
            self._form_all(group)
        for call in calls:
            if (at_work := self._at_work_on(call.key)) is not None:
                self._passed_over.add(at_work)
            elif call.key not in self._calls:
                self._wait_for(call)

    def _at_work_on(self, call: str) -> What | None:
        """Who works on a call now."""
        if call in self._working:
            return call
        return next((group for group, key in self._out.items() if key == call), None)

    def _wait_for(self, call: OpenCall) -> None:
        self._calls[call.key] = call
        is_due = not is_early(call.not_before_ms, self._means.clock.now_ms())
        self._alarm(0 if is_due else call.not_before_ms, call.key, Line(call.endpoint, call.rank))

    # Working --------------------------------------------------------------------------------------

    async def _rest(self) -> None:
        """Until something is new, or due."""
        waits: list[asyncio.Future[object]] = [asyncio.ensure_future(self._wake.wait())]
        first_ms = self._alarms.first_ms(self._moves)
        if first_ms is not None:
            seconds = (first_ms - self._means.clock.now_ms()) / 1000
            waits.append(asyncio.ensure_future(self._means.clock.sleep(max(seconds, 0.001))))
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()

    def _moves(self, line: Line) -> bool:
        """Whether another of this line may begin when it is time."""
        return self._at_work[line] < AT_ONCE

    def _begin_due(self) -> None:
        now = self._means.clock.now_ms()
        # Live first, because what begins is at the gate before the other.
        for line in self._alarms.lines():
            while self._moves(line) and (what := self._alarms.pop_due(line, now)) is not None:
                self._begin_one(what, line, now)

    def _begin_one(self, what: What, line: Line, now_ms: int) -> None:
        if what in self._working:
            return
        if isinstance(what, str):
            if what in self._calls:
                self._begin(what, line, self._work_call(self._calls.pop(what)))
        elif what in self._forming and self._is_closed(self._forming[what], now_ms):
            self._begin(what, line, self._work_group(what))

    def _is_closed(self, forming: _Forming, now_ms: int) -> bool:
        is_full = forming.members >= self._sealer.limit(forming.line.endpoint)
        return is_full or forming.due_ms <= now_ms

    def _begin(self, what: What, line: Line, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(self._guarded(what, line, work))
        self._working[what] = task
        self._at_work[line] += 1

    async def _guarded(self, what: What, line: Line, work: Coroutine[Any, Any, None]) -> None:
        try:
            await work
        except StoppingError:
            pass
        except Exception as error:  # noqa: BLE001 — one group's trouble, whatever it is, is not another's
            log().error("group.troubled", error=type(error).__name__, exc_info=error)
            await self._means.clock.sleep(_TROUBLE_MS / 1000)
            self._look = True
        finally:
            del self._working[what]
            self._at_work[line] -= 1
            self._after(what)

    def _after(self, what: What) -> None:
        if what in self._passed_over:
            self._passed_over.discard(what)
            self._look = True
        if isinstance(what, str):
            if (call := self._calls.get(what)) is not None:
                self._wait_for(call)
        else:
            self._out.pop(what, None)
            if (forming := self._forming.get(what)) is not None:
                is_closed = self._is_closed(forming, self._means.clock.now_ms())
                self._alarm(0 if is_closed else forming.due_ms, what, forming.line)
        if self._are_more and len(self._forming) + len(self._calls) < FORMING // 2:
            self._look = True
        self._wake.set()

    # A group --------------------------------------------------------------------------------------

    async def _work_group(self, id_: bytes) -> None:
        """Seal what has gathered, a call at a time, for as long as it is time."""
        while (forming := self._forming.get(id_)) is not None:
            if not self._is_closed(forming, self._means.clock.now_ms()):
                return
            await self._seal_and_send(id_, self._gate(forming.line.endpoint), forming.line.rank)

    async def _seal_and_send(self, id_: bytes, gate: Gate, rank: int) -> None:
        means = self._means
        async with turn(gate, bulk=rank == BULK, patient=True):
            call = await self._seal(id_)
            if call is None:
                return
            self._out[id_] = call.key
            if self._is_paused(call):
                await self._hold(call)
                return
            means.attempted.add(call.key)
            verdict, text = await self._ask(gate, call)
        await self._settling.settle(call, verdict, text)
        del self._out[id_]

    async def _seal(self, id_: bytes) -> Sealed | None:
        forming = self._forming.pop(id_)
        self._sealing.add(id_)
        try:
            sealing = await self._means.journal.groups.seal(
                id_,
                sift=self._sifting.sift,
                choose=self._sealer.choose,
                make=self._sealer.make,
                limit=self._sealer.limit(forming.line.endpoint),
                now_ms=self._means.clock.now_ms(),
            )
        finally:
            self._sealing.discard(id_)
        for rule, end, count in sealing.ended:
            self._settling.count(rule, forming.line.endpoint, end, count)
        self._form_on(id_, forming, sealing.taken)
        return sealing.call

    def _form_on(self, id_: bytes, closed: _Forming, taken: int) -> None:
        """Who was left over, or came meanwhile and was not taken with the others, forms on."""
        newer = self._forming.pop(id_, None)
        more, window = (0, 0) if newer is None else (newer.members, newer.window_ms)
        left = more if taken == 0 else closed.members + more - taken
        if left <= 0:
            return
        # Whose window is over goes at once; for all others another begins with the first of them.
        is_late = left > more and closed.due_ms <= self._means.clock.now_ms()
        window = max(window, closed.window_ms)
        group = OpenGroup(id_, *closed.line, left)
        self._form(group, window, due_ms=0 if is_late else None)

    def _gate(self, endpoint: str) -> Gate:
        destination = self._means.destination
        return destination.events if endpoint == "event" else destination.sends

    def _is_paused(self, call: Sealed) -> bool:
        return call.endpoint == "send" and self._means.brake.paused(call.rule)

    async def _hold(self, call: Sealed) -> None:
        """Nothing of it was ever sent: its members wait for a person, and not in it."""
        await self._means.journal.groups.unseal(call.key)
        while self._is_paused(call):
            if not await self._means.journal.groups.hold_unsealed(call.group, "paused"):
                return
        # Somebody has resumed meanwhile, and whom this has not held yet is released with the others.
        self.look()

    async def _ask(self, gate: Gate, call: Sealed) -> tuple[Verdict, str]:
        about = About(OPERATIONS[call.endpoint], call.key, members=call.members)
        return await ask_sealed(
            self._means, gate, call.endpoint, (call.method, call.path, call.body), about
        )

    # A call ---------------------------------------------------------------------------------------

    async def _work_call(self, waiting: OpenCall) -> None:
        """A call that was sealed before: the same bytes again, or nothing."""
        means, gate = self._means, self._gate(waiting.endpoint)
        async with turn(gate, bulk=waiting.rank == BULK, patient=True):
            call = await means.journal.groups.call(waiting.key)
            if call is None or call.key in self._out.values():
                return
            if call.group in self._sealing:
                self._wait_for(self._later(waiting))
                return
            if call.key in means.attempted:
                call = call._replace(uncertain=True)
            is_stopped = await self._sifting.stops(call)
            # Last, because somebody may have paused it meanwhile.
            if self._is_paused(call):
                await self._pause(call, waiting)
                return
            if is_stopped:
                await self._give_up(call)
                return
            means.attempted.add(call.key)
            verdict, text = await self._ask(gate, call)
        await self._settling.settle(call, verdict, text)

    async def _pause(self, call: Sealed, waiting: OpenCall) -> None:
        if call.uncertain:
            # It may have been sent, so that its members cannot leave it.
            self._wait_for(self._later(waiting))
        else:
            await self._hold(call)

    def _later(self, waiting: OpenCall) -> OpenCall:
        return waiting._replace(not_before_ms=self._means.clock.now_ms() + _LATER_MS)

    async def _give_up(self, call: Sealed) -> None:
        if call.uncertain:
            # It may have been sent, and it may not: whether to send it now is for a person.
            await self._settling.die(call, "unknown_outcome", None, "")
            return
        await self._means.journal.groups.unseal(call.key)
        self._form(OpenGroup(call.group, call.endpoint, call.rank, call.members), 0)
