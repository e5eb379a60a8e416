"""The gates of one app, and what an answer at one of them means for all.

::

    429 for the class       that gate is held for as long as OneSignal asks, an hour at most
    401, 403                the next key of a rotation asks at once; when none is left, every gate
                            of the app closes, and each sends one probe a minute
    most of many fail       that gate closes; probes after 5 s, 10 s, … 60 s
    nobody can be reached   as above, and every gate of the app closes with it
    a probe succeeds        its gate opens, and those that closed only because it did

What is shut is kept in the journal, so that a restart does not ask too early.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from bridge.clock import Clock
from bridge.deliver.gate import PATIENCE_SECONDS, EndpointClass, Gate
from bridge.errors import BridgeError
from bridge.journal import Journal
from bridge.journal.records import GateRow
from bridge.onesignal.verdict import RETRY_AFTER_CAP_SECONDS, Closed, Failed, Postponed, Verdict
from bridge.telemetry import log

WRITES_PER_SECOND = 1000
"""Users and subscriptions, for each app (reference/rate-limits)."""
VIEWS_PER_SECOND = 1
EVENTS_PER_SECOND = 100
"""Custom events have a limit of their own that is not published; a call carries many."""
_IN_FLIGHT: dict[EndpointClass, int] = {"write": 150, "send": 80, "view": 1, "event": 10}
"""Together less than the connections that a client may have."""
_ASKED_TO_WAIT_SECONDS = 5.0
"""After a 429 that does not say how long."""
_LEAST_WAIT_SECONDS = 1.0
_REFUSALS = ("http_401", "http_403")
_UNREACHABLE = "connect_failed"
"""No connection can be had: whatever class a call is of, it would not get further."""


@dataclass(slots=True)
class Keys:
    """Which API key a class of endpoint asks with; several are configured during a rotation."""

    count: int = 1
    current: int = 0
    _refused: set[int] = field(default_factory=set)

    def refused(self, key: int) -> bool:
        """OneSignal refused this key; whether there is another to ask with."""
        self._refused.add(key)
        left = [other for other in range(self.count) if other not in self._refused]
        if not left:
            self._refused.clear()
            return False
        if self.current in self._refused:
            self.current = left[0]
        return True

    def worked(self) -> None:
        self._refused.clear()


@dataclass(slots=True, kw_only=True)
class Gates:
    """One gate for each class of endpoint; made by `open_gates`."""

    app: str
    journal: Journal
    clock: Clock
    by_class: dict[EndpointClass, Gate]
    keys: dict[EndpointClass, Keys]
    #: Classes whose own calls were refused; the others closed because of them.
    _refused: set[EndpointClass] = field(default_factory=set)
    _rekeyed_at: float = float("-inf")

    def __iter__(self) -> Iterator[Gate]:
        return iter(self.by_class.values())

    def rekey(self, count: int) -> None:
        """There are so many other keys now; what is closed asks with the first of them."""
        self.keys = {name: Keys(count) for name in self.by_class}
        self._rekeyed_at = self.clock.monotonic()

    def stop(self) -> None:
        """Let nobody through any more."""
        for gate in self:
            gate.stop()

    async def heard(self, gate: Gate, verdict: Verdict, *, key: int, asked_at: float) -> None:
        """What an answer means for everybody who waits; `asked_at` is monotonic seconds."""
        if gate.closed is None and not isinstance(verdict, Postponed | Closed | Failed):
            gate.succeeded()
            self.keys[gate.name].worked()
            return
        before = {one.name: _shut(one) for one in self}
        self._hear(gate, verdict, key, asked_at)
        for one in self:
            if _shut(one) != before[one.name]:
                await self._keep(one)

    def _hear(self, gate: Gate, verdict: Verdict, key: int, asked_at: float) -> None:
        match verdict:
            case Postponed(scope="class", after_seconds=seconds, capped=capped):
                self._hold(gate, seconds, capped=capped)
            case Closed() if asked_at < self._rekeyed_at:
                pass  # It was about a key that nobody asks with any more.
            case Closed(status=status):
                self._refuse(gate, f"http_{status}", key)
            case Failed(reason=reason):
                if gate.failed(reason):
                    self._failed(gate, reason)
            case _:
                self._succeeded(gate, asked_at)

    def _hold(self, gate: Gate, seconds: float | None, *, capped: bool) -> None:
        asked = _ASKED_TO_WAIT_SECONDS if seconds is None else seconds
        gate.hold(max(asked, _LEAST_WAIT_SECONDS))
        tell = log().error if capped else log().warning
        held = round(gate.held_seconds, 1)
        tell("gate.held", app=self.app, gate=gate.name, seconds=held, asked_for_longer=capped)

    def _refuse(self, gate: Gate, reason: str, key: int) -> None:
        if self.keys[gate.name].refused(key):
            log().warning("key.refused", app=self.app, gate=gate.name, number=key + 1)
            return
        self._refused.add(gate.name)
        if gate.closed is not None:
            gate.close(reason)
            return
        for one in self:
            one.close(reason)
        log().error("gates.closed", app=self.app, gate=gate.name, reason=reason)

    def _failed(self, gate: Gate, reason: str) -> None:
        log().error("gate.closed", app=self.app, gate=gate.name, reason=reason)
        if reason == _UNREACHABLE:
            for one in self:
                if one.closed is None:
                    one.close(reason, gate.held_seconds)

    def _succeeded(self, gate: Gate, asked_at: float) -> None:
        was_refused, was_unreachable = gate.closed in _REFUSALS, gate.closed == _UNREACHABLE
        if was_refused and asked_at < gate.closed_at:
            return
        self.keys[gate.name].worked()
        if not gate.succeeded():
            return
        self._refused.discard(gate.name)
        opened = [gate.name]
        if was_refused:
            followers = [one for one in self if self._only_followed(one)]
            opened += [one.name for one in followers if one.open()]
        if was_unreachable:
            opened += [one.name for one in self if one.closed == _UNREACHABLE and one.open()]
        log().info("gate.opened", app=self.app, gates=opened)

    def _only_followed(self, gate: Gate) -> bool:
        return gate.closed in _REFUSALS and gate.name not in self._refused

    # Over a restart -------------------------------------------------------------------------------

    async def _keep(self, gate: Gate) -> None:
        """What cannot be kept now is only forgotten by a restart: the call's own answer counts more."""
        try:
            if _shut(gate) == _OPEN:
                await self.journal.drop_gate(self._key(gate))
            else:
                await self.journal.set_gate(self._row(gate))
        except BridgeError as error:
            log().warning("gate.not_kept", app=self.app, gate=gate.name, error=error.code)

    def _key(self, gate: Gate) -> str:
        return f"gate/{self.app}/{gate.name}"

    def _row(self, gate: Gate) -> GateRow:
        now = self.clock.now_ms()
        return GateRow(
            key=self._key(gate),
            state="open" if gate.closed is None else "closed",
            reason=gate.closed,
            blocked_until_ms=now + round(gate.held_seconds * 1000),
            changed_ms=now,
        )

    async def load(self) -> None:
        """Shut what was shut, for what is left of its time."""
        rows = {row.key: row for row in await self.journal.gates()}
        for gate in self:
            row = rows.get(self._key(gate))
            if row is not None:
                self._shut_again(gate, row)

    def _shut_again(self, gate: Gate, row: GateRow) -> None:
        # The clock may have been set back meanwhile: nothing is held for longer than it ever can be.
        left = min((row.blocked_until_ms - self.clock.now_ms()) / 1000, RETRY_AFTER_CAP_SECONDS)
        if row.state == "open":
            gate.hold(max(0.0, left))
        else:
            gate.close(row.reason or "", max(0.0, left))


_OPEN = (None, 0)


def _shut(gate: Gate) -> tuple[str | None, int]:
    """What of a gate is worth keeping: why it is closed, and (coarsely) for how long it is held."""
    if gate.closed is not None:
        return gate.closed, 0
    held = gate.held_seconds
    return None, round(held) if held > PATIENCE_SECONDS else 0


def make_gates(
    *, app: str, journal: Journal, clock: Clock, sends_per_second: int, keys: int = 1
) -> Gates:
    """An app's gates, open; `keys` is how many API keys are configured."""
    rates: dict[EndpointClass, int] = {
        "write": WRITES_PER_SECOND,
        "send": sends_per_second,
        "view": VIEWS_PER_SECOND,
        "event": EVENTS_PER_SECOND,
    }
    return Gates(
        app=app,
        journal=journal,
        clock=clock,
        by_class={
            name: Gate(name, per_second=rate, clock=clock, in_flight=_IN_FLIGHT[name])
            for name, rate in rates.items()
        },
        keys={name: Keys(keys) for name in rates},
    )
