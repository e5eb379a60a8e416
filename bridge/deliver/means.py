"""What the chains of one app work with: the journal, the app at OneSignal, the mappings, the time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from bridge.clock import Clock
from bridge.deliver.apart import Apart
from bridge.deliver.brake import Brake
from bridge.deliver.calls_out import CallsOut
from bridge.deliver.cautious import Caution
from bridge.deliver.disputes import Disputes
from bridge.deliver.gate import EndpointClass, Gate
from bridge.deliver.gates import Gates
from bridge.deliver.reach import Reach
from bridge.deliver.setback import Setback
from bridge.deliver.spacing import Moments, Phones, Spacing
from bridge.deliver.watchdog import Hand
from bridge.journal import Journal
from bridge.journal.records import Called, SendGroup
from bridge.mapping.rules import Mapping
from bridge.onesignal.api import Api, api_named
from bridge.onesignal.client import OneSignal
from bridge.onesignal.user_model import EventKey
from bridge.onesignal.verdict import Answer, NoAnswer
from bridge.plan.restraint import Restraint
from bridge.telemetry import Metrics

if TYPE_CHECKING:
    from bridge.deliver.audit import Audit

CREATED_LATELY_SECONDS = 60.0
"""A 404 this soon after a create is OneSignal still working on it (its own SDK waits as long)."""
SOURCE_GONE = Mapping(revision="", rules=())
"""For events of a source that is not configured any more: they wait as dead letters for a person."""


ANSWER_KEPT = 2000
"""Bytes of an answer that are kept for a person to read."""


class About(NamedTuple):
    """What a call is made for: what the log of calls says of it beside its bytes."""

    operation: str
    #: Of a send's call, whose members the journal knows; without one, `seqs` are its events.
    call_key: str | None = None
    seqs: Sequence[int] = ()
    #: Whom it is about, when that is not the user of its events.
    other_hash: int | None = None
    #: Of a send's call, how many share it.
    members: int = 1
    #: Its answer is all that OneSignal knows of somebody of whom its events say nothing: it is not kept.
    shows_another: bool = False

    @property
    def events(self) -> int:
        return len(self.seqs) or self.members


@dataclass(slots=True, kw_only=True)
class Destination:
    """One app at OneSignal."""

    name: str
    app_id: str
    client: OneSignal
    gates: Gates
    api: Api = field(default_factory=lambda: api_named("user-model"))
    post_first: bool = False
    #: Recipients of one push call.
    alias_chunk: int = 2000
    event_key: EventKey = "properties"

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

    def rekey(self, api_keys: Sequence[str]) -> None:
        """Ask with these keys from now on."""
        self.client.show(api_keys)
        self.gates.rekey(len(api_keys))

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
    setback: Setback
    metrics: Metrics
    brake: Brake
    caution: Caution
    #: What the loop works on, for the watchdog.
    hand: Hand
    audit: Audit = field(init=False)
    #: A uniform draw from [0, 1), for jitter.
    roll: Callable[[], float]
    #: Users created lately: a 404 of theirs is OneSignal still at work.
    created: Moments = field(default_factory=lambda: Moments(CREATED_LATELY_SECONDS))
    #: Users of whom OneSignal said lately that it does not know them: the next call creates them.
    missing: Moments = field(default_factory=lambda: Moments(CREATED_LATELY_SECONDS))
    #: Events that were refused in company, by seq: each goes alone, so that only the culprit dies.
    alone: set[int] = field(default_factory=set)
    #: Told of each send that was written to share a call, and how long it may wait for others.
    handed_over: Callable[[SendGroup, int], None] = lambda *_: None
    #: Told that devices of a merged user are to be moved.
    to_move: Callable[[], None] = lambda: None
    #: Users who were found to be another while their chain was at work: it is to end.
    gone: set[int] = field(default_factory=set)
    #: Phones of which events were heard.
    phones: Phones = field(default_factory=Phones)
    #: Aliases that two users are to have.
    disputes: Disputes = field(init=False)
    #: Told that a user was erased.
    erased: Callable[[], None] = lambda: None
    #: For how long a device counts that is not seen.
    devices_expire_ms: Callable[[], int] = lambda: 180 * 86_400_000
    #: Whether its pushes reach anybody.
    reach: Reach = field(default_factory=Reach)
    #: Keys of calls that are out, or of which the journal could not be told what became of them.
    attempted: set[str] = field(default_factory=set)
    calls_out: CallsOut = field(init=False)
    #: This machine's clock and OneSignal's.
    apart: Apart = field(init=False)

    def __post_init__(self) -> None:
        self.calls_out = CallsOut(self.clock)
        self.apart = Apart(self.clock)
        self.disputes = Disputes(self.clock)

    async def call(
        self,
        endpoint_class: EndpointClass,
        method: str,
        path: str,
        body: bytes,
        *,
        key: int = 0,
        about: About | None = None,
    ) -> Answer | NoAnswer:
        """One attempt, timed, counted and logged; `key` is the number of the API key it shows."""
        started, at_ms = self.clock.monotonic(), self.clock.now_ms()
        with self.calls_out.one_more():
            answer = await self.destination.client.perform(method, path, body, key=key)
        seconds = self.clock.monotonic() - started
        if isinstance(answer, Answer):
            self.apart.heard(answer.headers)
        http = str(answer.status) if isinstance(answer, Answer) else answer.reason
        self.metrics.called(endpoint_class, http, seconds, 0 if about is None else about.events)
        if about is not None:
            answered = isinstance(answer, Answer)
            self.journal.log_call(
                Called(
                    self.destination.name,
                    endpoint_class,
                    about.operation,
                    method,
                    path,
                    body,
                    about.call_key,
                    answer.status if isinstance(answer, Answer) else None,
                    None if answered else http,
                    "" if about.shows_another else kept(answer),
                    at_ms,
                    round(seconds * 1000),
                    about.seqs,
                    about.other_hash,
                )
            )
        return answer


def kept(answer: Answer | NoAnswer) -> str:
    """The beginning of an answer, as text."""
    body = answer.body if isinstance(answer, Answer) else b""
    return body[:ANSWER_KEPT].decode("utf-8", "replace")
