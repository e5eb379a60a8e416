"""OneSignal is down for half an hour while events go on coming; and then it is back.

Fewer of them in the fast part. The long part is 30 minutes at 500 events a second, by a clock that
is moved.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from itertools import pairwise
from statistics import median

import pytest

from bridge.clock import SystemClock
from bridge.deliver.gate import EndpointClass
from bridge.deliver.pace import PROBE_LONGEST
from bridge.sandbox.ledger import Call
from tests.faults.canary import person
from tests.faults.invariants import most_within
from tests.faults.story import Event, Operation, Story
from tests.faults.worlds import Inside
from tests.harness import Rig, identify, track

LIMITS: dict[EndpointClass, int] = {"write": 1000, "send": 150}
STEP = 0.03
"""Seconds between two looks while all of it is delivered: the tokens of so long are a burst's."""


def _owes(event: Event) -> set[Operation]:
    is_profile = event["type"] == "identify"
    return {("profile", "update_user") if is_profile else ("welcome", "send_notification")}


def _tags(event: Event) -> dict[str, str | None]:
    return {"n": str(event["traits"]["n"])} if event["type"] == "identify" else {}


MANY = Story(
    mapping="""
version: 1
push: {platforms: {exclude: [ios]}}
rules:
  - name: profile
    when: type = "identify"
    do: {update_user: {tags: {n: "{{ traits.n }}"}}}
  - name: welcome
    when: event = "Signed Up"
    max_age: 30d
    limit: off
    do: {send_notification: {contents: "{{ messageId }}"}}
""",
    owes=_owes,
    tags=_tags,
    says_message_id=True,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Outage:
    """So many batches, one every so many seconds, from so many users; one event in so many pushes.

    `before` of them come while all is well, and say nothing new of whom they have said something.
    """

    before: int
    batches: int
    every: int
    events: int
    users: int
    push_every: int


SHORT = Outage(before=1, batches=60, every=30, events=120, users=801, push_every=6)
WHOLE = Outage(before=100, batches=1800, every=1, events=500, users=20_011, push_every=50)


@dataclass(slots=True)
class Traffic:
    """Posts batches, and knows how long each took by the machine's clock."""

    inside: Inside
    outage: Outage
    posted: int = 0
    is_well: bool = True
    took: list[float] = field(default_factory=list)

    async def post(self) -> None:
        batch = [self._event() for _ in range(self.outage.events)]
        clock = SystemClock()
        started = clock.monotonic()
        answer = await self.inside.post(batch)
        self.took.append(clock.monotonic() - started)
        assert answer["accepted"] == len(batch)

    def _event(self) -> Event:
        self.posted += 1
        number = self.posted
        user = person(number % self.outage.users)
        if number % self.outage.push_every == 0:
            return track("Signed Up", user, f"m{number}")
        return identify(user, f"m{number}", n=0 if self.is_well else number)


@dataclass(slots=True)
class Recovery:
    """What came after it, by class: calls, and when the last of them was made."""

    calls: dict[EndpointClass, list[int]]
    seconds: float

    def needed(self, share: float) -> float:
        """Seconds that it takes at such a share of the limits."""
        return max(len(self.calls[name]) / (most * share) for name, most in LIMITS.items())


def of(inside: Inside, endpoint_class: str, since_ms: int) -> list[Call]:
    calls = inside.sandbox.calls
    return [one for one in calls if one.endpoint_class == endpoint_class and one.at_ms >= since_ms]


async def live_through(inside: Inside, here: Rig, outage: Outage) -> tuple[Traffic, Recovery]:
    """The time before, the outage, and the time after it, with what has to hold on the way."""
    traffic = Traffic(inside, outage)
    for _ in range(outage.before):
        await traffic.post()
        await here.pass_time(outage.every)
    inside.fails({"status": 503}, times="until_cleared")
    traffic.is_well = False
    begun, begun_ms = here.clock.monotonic(), here.clock.now_ms()
    for _ in range(outage.batches):
        await traffic.post()
        await here.pass_time(outage.every)
    gates = here.means.destination.gates.by_class
    for name in LIMITS:
        assert gates[name].closed == "http_503"
        assert gates[name].closed_at - begun < 5, "the breaker is open within five seconds"
        _probes(inside, name, begun_ms + round((gates[name].closed_at - begun) * 1000), outage)
    assert here.lanes._credit.lent <= 100, "what comes is on disk, and not in memory"
    inside.told.scrapes.append((await here.http.get("/metrics")).text)
    return traffic, await recover(inside, here)


def _probes(inside: Inside, name: str, closed_ms: int, outage: Outage) -> None:
    """Nothing but one call at a time, every 5 to 60 seconds."""
    probes = of(inside, name, closed_ms + 1)
    gaps = [after.at_ms - before.at_ms for before, after in pairwise(probes)]
    assert all(gap >= 4_900 for gap in gaps), gaps
    assert len(probes) <= 5 + outage.batches * outage.every / PROBE_LONGEST


async def recover(inside: Inside, here: Rig) -> Recovery:
    inside.sandbox.faults.clear()
    cleared = here.clock.now_ms()
    while not [call for call in of(inside, "write", cleared) if call.status < 300]:
        await here.pass_time(0.5)
    since = here.clock.now_ms()
    await here.settle(within=4 * 3600, step=STEP)
    after = {name: [call.at_ms for call in of(inside, name, cleared)] for name in LIMITS}
    for name, most in LIMITS.items():
        assert most_within(after[name], 1000) <= most, "not even in the first second"
    last = max(moment for moments in after.values() for moment in moments)
    return Recovery(after, (last - since) / 1000)


async def _shown(inside: Inside, outage: Outage) -> tuple[Traffic, Recovery]:
    inside.people(outage.users)
    inside.told.expect_line("gate.closed", gate="write", reason="http_503")
    inside.told.expect_line("gate.closed", gate="send", reason="http_503")
    inside.told.expect_line("gate.opened")
    inside.told.expect_metric("bridge_gate_state", **{"class": "write"})
    inside.told.expect_metric("bridge_calls_total", http="503")
    async with inside.bridge(MANY) as here:
        traffic, recovery = await live_through(inside, here, outage)
        counts = await here.bridge.journal.counts()
        assert (counts.pending, counts.dead) == (0, 0)
    assert not [status for (_, status) in inside.sandbox.ledger.statuses if status == 429]
    # Whatever it is bound by; and what the last user's second takes.
    assert recovery.seconds <= recovery.needed(0.9) + 5
    return traffic, recovery


@pytest.mark.slow
async def test_half_an_hour_without_onesignal_loses_nothing_and_ends_without_a_rush(
    inside: Inside,
) -> None:
    traffic, _ = await _shown(inside, SHORT)
    assert traffic.posted == 7_320


@pytest.mark.long
async def test_half_an_hour_without_onesignal_at_500_events_a_second(
    inside: Inside, capsys: pytest.CaptureFixture[str]
) -> None:
    # The sandbox forgets all but the last 100,000 calls.
    inside.sandbox.ledger.calls = deque()
    traffic, recovery = await _shown(inside, WHOLE)
    assert traffic.posted == 950_000
    well, ill = sorted(traffic.took[: WHOLE.before]), sorted(traffic.took[WHOLE.before :])
    with capsys.disabled():
        print(  # noqa: T201 — its figures are what it is run for
            f"\n{traffic.posted} events, nothing lost;"
            f" {', '.join(f'{len(moments)} {name}s' for name, moments in recovery.calls.items())} afterwards"
            f" in {recovery.seconds:.1f} s ({recovery.needed(1):.1f} s at the limits);"
            f" a batch of {WHOLE.events} was accepted in {shown(well)} before and {shown(ill)} meanwhile"
        )
    assert median(ill) <= 1.5 * median(well)
    # The disk's own checkpoints are one in a hundred, before as well.
    assert p99(ill) <= 2 * p99(well)


def p99(took: list[float]) -> float:
    return took[round(len(took) * 0.99) - 1]


def shown(took: list[float]) -> str:
    return f"{median(took) * 1000:.0f} ms (p99 {p99(took) * 1000:.0f} ms)"
