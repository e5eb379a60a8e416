"""OneSignal is down for half an hour while events go on coming; and then it is back.

The short one runs with the other tests. The whole of it, 30 minutes at 500 events a second::

    python -m tests.e2e.test_outage
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
from bisect import bisect_left
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import httpx
import pytest

from bridge.clock import ManualClock
from bridge.deliver.credit import Credit
from bridge.deliver.lanes import ENOUGH_WAIT
from bridge.deliver.pace import PROBE_LONGEST
from bridge.sandbox import create_sandbox
from bridge.sandbox.ledger import Call
from tests.harness import APP_ID, Rig, ends, identify, rig, track

MAPPING = """
version: 1
push: {platforms: {exclude: [ios]}, cap: {max: 7, per: 1s}}
rules:
  - name: profile
    when: type = "identify"
    do: {update_user: {tags: {n: "{{ traits.n }}"}}}
  - name: welcome
    when: event = "Signed Up"
    max_age: 30d
    limit: off
    do: {send_notification: {contents: "Welcome"}}
"""
WRITES, SENDS = 1000, 150


@dataclass(frozen=True, slots=True, kw_only=True)
class Outage:
    """So many batches, one every so many seconds, from so many users; one event in so many pushes."""

    batches: int
    every: int
    events: int
    users: int
    push_every: int


SHORT = Outage(batches=90, every=20, events=80, users=1500, push_every=10)
WHOLE = Outage(batches=1800, every=1, events=500, users=20_011, push_every=50)


@dataclass(slots=True)
class Sender:
    """Posts events, and knows the last word on each user."""

    here: Rig
    outage: Outage
    posted: int = 0
    last: dict[str, str] = field(default_factory=dict)
    pushed: int = 0

    async def post(self) -> None:
        batch = [self._event() for _ in range(self.outage.events)]
        answer = await self.here.post(batch)
        assert answer["accepted"] == len(batch)

    def _event(self) -> dict[str, Any]:
        self.posted += 1
        number = self.posted
        user = f"u{number % self.outage.users}"
        if number % self.outage.push_every == 0:
            self.pushed += 1
            return track("Signed Up", user, f"m{number}")
        self.last[user] = str(number)
        return identify(user, f"m{number}", n=number)


def most_in_a_second(calls: list[Call]) -> int:
    moments = [call.at_ms for call in calls]
    return max(
        (bisect_left(moments, at + 1000) - number for number, at in enumerate(moments)), default=0
    )


def of(here: Rig, endpoint_class: str, since_ms: int = 0) -> list[Call]:
    return [
        call
        for call in here.sandbox.calls
        if call.endpoint_class == endpoint_class and call.at_ms >= since_ms
    ]


async def live_through(here: Rig, outage: Outage) -> Sender:
    """The outage and the time after it, with everything that has to hold on the way."""
    sender = Sender(here, outage)
    here.sandbox.faults.script(
        {"match": {}, "answers": [{"status": 503}], "times": "until_cleared"}
    )
    closed_ms: int | None = None
    for _ in range(outage.batches):
        await sender.post()
        await here.pass_time(outage.every)
        gates = here.means.destination.gates.by_class
        if closed_ms is None and gates["write"].closed and gates["send"].closed:
            closed_ms = here.clock.now_ms()
    assert closed_ms is not None
    for endpoint_class in ("write", "send"):
        probes = of(here, endpoint_class, closed_ms)
        gaps = [after.at_ms - before.at_ms for before, after in pairwise(probes)]
        assert all(gap >= 4_900 for gap in gaps), "probes, 5 to 60 seconds apart"
        assert len(probes) <= 5 + outage.batches * outage.every / PROBE_LONGEST
    assert here.bridge.lanes["default"]._credit.lent <= 100
    await recover(here, sender)
    return sender


async def recover(here: Rig, sender: Sender) -> None:
    here.sandbox.faults.clear()
    since = here.clock.now_ms()
    while not [call for call in of(here, "write", since) if call.status < 300]:
        await here.pass_time(1)
    await here.pass_time(1.5)
    for endpoint_class, limit in (("write", WRITES), ("send", SENDS)):
        assert most_in_a_second(of(here, endpoint_class, since)) <= limit
    await here.settle(within=4 * 3600, step=0.015)
    for endpoint_class, limit in (("write", WRITES), ("send", SENDS)):
        assert most_in_a_second(of(here, endpoint_class, since)) <= limit
    assert not [status for (_, status) in here.sandbox.ledger.statuses if status == 429]
    assert (await here.bridge.journal.counts()).dead == 0
    tags = {user.external_id: user.tags for user in here.sandbox.users}
    assert {user: tags[user]["n"] for user in sender.last} == sender.last
    assert len(here.sandbox.pushes) == sender.pushed
    assert len({push.idempotency_key for push in here.sandbox.pushes}) == sender.pushed
    assert not here.sandbox.complaints


@pytest.mark.slow
async def test_half_an_hour_without_onesignal_loses_nothing_and_ends_without_a_rush(
    tmp_path: Path,
) -> None:
    async with rig(tmp_path, MAPPING) as here:
        for number in range(SHORT.users):
            here.sandbox.add_device(f"u{number}", "android", app_id=APP_ID)
        sender = await live_through(here, SHORT)
        assert sender.posted == 7200


class Line(httpx.AsyncBaseTransport):
    """Nobody can be reached, until there is somewhere for it to lead."""

    def __init__(self) -> None:
        self.to: httpx.AsyncBaseTransport | None = None

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if self.to is None:
            raise httpx.ConnectError("refused")
        return await self.to.handle_async_request(request)


async def test_while_nothing_answers_the_gate_closes_and_attempts_are_not_used_up(
    tmp_path: Path,
) -> None:
    """Not even a connection: what was certainly not sent is certainly not done twice."""
    async with rig(tmp_path, MAPPING, transport=Line()) as here:
        users = [f"u{n}" for n in range(200)]
        await here.post([identify(user, n=1) for user in users])
        await here.pass_time(5)
        assert here.means.destination.writes.closed == "connect_failed"
        await here.pass_time(2 * 3600)
        counts = await here.bridge.journal.counts()
        assert (counts.pending, counts.dead) == (200, 0)


async def test_while_nobody_can_be_reached_what_comes_is_kept_and_not_worked_on(
    tmp_path: Path,
) -> None:
    """Planning it, and writing its pushes, would be at the cost of those who still bring events."""
    clock, line = ManualClock(), Line()
    onesignal = create_sandbox(clock=clock)
    async with rig(tmp_path, MAPPING, clock=clock, onesignal=onesignal, transport=line) as here:
        here.bridge.lanes["default"]._credit = Credit(1000)
        users = [f"u{n}" for n in range(3000)]
        for user in users:
            here.sandbox.add_device(user, "android", app_id=APP_ID)
        for start in range(0, 3000, 500):
            await here.post([track("Signed Up", user) for user in users[start : start + 500]])
            await here.pass_time(1)
        assert {gate.closed for gate in here.means.destination.gates} == {"connect_failed"}
        known = here.bridge.lanes["default"].users
        # And those who were found, or at work, before there were enough.
        assert ENOUGH_WAIT <= known["gate"] < 2 * ENOUGH_WAIT
        line.to = httpx.ASGITransport(onesignal)
        await here.settle()
        assert {gate.closed for gate in here.means.destination.gates} == {None}
        assert {push.external_id for push in here.sandbox.pushes} == set(users)
        assert len(here.sandbox.pushes) == 3000


async def test_the_first_call_after_the_outage_opens_the_gate_for_everybody(
    tmp_path: Path,
) -> None:
    async with rig(tmp_path, MAPPING) as here:
        users = [f"u{n}" for n in range(100)]
        here.sandbox.faults.script(
            {"match": {}, "answers": [{"status": 503}], "times": "until_cleared"}
        )
        await here.post([identify(user, n=1) for user in users])
        await here.pass_time(600)
        here.sandbox.faults.clear()
        await here.pass_time(PROBE_LONGEST + 5)
        done = ends(await here.outcomes())
        assert here.means.destination.writes.closed is None
        assert done == {"profile/update_user": ("delivered", None)}
        # Those that failed before the gate closed wait for a time of their own.
        assert len(await here.outcomes()) >= 60


async def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        async with rig(Path(folder), MAPPING) as here:
            for number in range(WHOLE.users):
                here.sandbox.add_device(f"u{number}", "android", app_id=APP_ID)
            sender = await live_through(here, WHOLE)
            sys.stdout.write(f"{sender.posted} events, nothing lost\n")


if __name__ == "__main__":
    asyncio.run(main())
