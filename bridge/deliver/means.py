"""What the chains of one app work with: the journal, the app at OneSignal, the mappings, the time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from bridge.clock import Clock
from bridge.deliver.brake import Brake
from bridge.deliver.gate import EndpointClass, Gate
from bridge.deliver.gates import Gates
from bridge.journal import Journal
from bridge.mapping.rules import Mapping
from bridge.onesignal.client import OneSignal
from bridge.onesignal.verdict import Answer, NoAnswer
from bridge.plan.restraint import Restraint
from bridge.telemetry import Metrics

SPACING_SECONDS = 1.05
"""Between two writes to one user: OneSignal's limit is one a second (reference/rate-limits), as it
counts; timers that fire a little early and the way there must not add up to less."""
SOURCE_GONE = Mapping(revision="", rules=())
"""For events of a source that is not configured any more: they wait as dead letters for a person."""
_PRUNE_AT = 20_000


@dataclass(slots=True, kw_only=True)
class Spacing:
    """When each user was last written to, for as long as it matters."""

    clock: Clock
    #: Nobody is written to before this: what a process before us did in its last second is unknown.
    not_before: float = 0.0
    _last: dict[int, float] = field(default_factory=dict)

    async def wait(self, user_hash: int) -> None:
        """Return when this user may be written to again."""
        free = max(self._last.get(user_hash, float("-inf")) + SPACING_SECONDS, self.not_before)
        if (wait := free - self.clock.monotonic()) > 0:
            await self.clock.sleep(wait)

    def mark(self, user_hash: int) -> None:
        """A write to this user has just been answered."""
        now = self.clock.monotonic()
        self._last[user_hash] = now
        if len(self._last) > _PRUNE_AT:
            self._last = {u: at for u, at in self._last.items() if now - at < SPACING_SECONDS}


@dataclass(slots=True, kw_only=True)
class Destination:
    """One app at OneSignal."""

    name: str
    app_id: str
    client: OneSignal
    gates: Gates
    post_first: bool = False

    @property
    def writes(self) -> Gate:
        """Users and subscriptions."""
        return self.gates.by_class["write"]

    @property
    def sends(self) -> Gate:
        """Notifications."""
        return self.gates.by_class["send"]

    @property
    def events(self) -> Gate:
        """Custom events."""
        return self.gates.by_class["event"]

    @property
    def views(self) -> Gate:
        """Looking something up."""
        return self.gates.by_class["view"]

    def hold(self, seconds: float) -> None:
        """Let nobody through for so long."""
        for gate in self.gates:
            gate.hold(seconds)

    def stop(self) -> None:
        """Let nobody through any more."""
        self.gates.stop()


@dataclass(slots=True, kw_only=True)
class Means:
    """One app's; several sources may send to it, each with a mapping of its own."""

    journal: Journal
    destination: Destination
    #: The mapping in force for a source, or `SOURCE_GONE`. An event asks once, and keeps to the answer.
    mapping: Callable[[str], Mapping]
    restraint: Restraint
    clock: Clock
    spacing: Spacing
    metrics: Metrics
    brake: Brake
    #: A uniform draw from [0, 1), for jitter.
    roll: Callable[[], float]
    #: Users created lately: a 404 of theirs is OneSignal still at work. Hash to monotonic seconds.
    created: dict[int, float] = field(default_factory=dict)
    #: Keys of calls that are out, or of which the journal could not be told what became of them.
    attempted: set[str] = field(default_factory=set)

    async def call(
        self, endpoint_class: EndpointClass, method: str, path: str, body: bytes, *, key: int = 0
    ) -> Answer | NoAnswer:
        """One attempt, timed and counted; `key` is the number of the API key it shows."""
        started = self.clock.monotonic()
        answer = await self.destination.client.perform(method, path, body, key=key)
        http = str(answer.status) if isinstance(answer, Answer) else answer.reason
        self.metrics.calls.labels(endpoint_class, http).inc()
        self.metrics.call_seconds.labels(endpoint_class).observe(self.clock.monotonic() - started)
        return answer

    def note_created(self, user_hash: int, *, for_seconds: float) -> None:
        now = self.clock.monotonic()
        self.created[user_hash] = now
        if len(self.created) > _PRUNE_AT:
            self.created = {u: at for u, at in self.created.items() if now - at < for_seconds}

    def created_since(self, user_hash: int) -> float:
        """Seconds since this user was created by us; infinite when it was not, or long ago."""
        return self.clock.monotonic() - self.created.get(user_hash, float("-inf"))
