"""OneSignal cannot be reached, or fails, for long: what waits meanwhile, and what ends the wait.

Half an hour of it under load is in `tests/faults`.
"""

from __future__ import annotations

from pathlib import Path

import httpx

from bridge.clock import ManualClock
from bridge.deliver.credit import Credit
from bridge.deliver.lanes import ENOUGH_WAIT
from bridge.deliver.pace import PROBE_LONGEST
from bridge.sandbox import create_sandbox
from tests.harness import APP_ID, ends, identify, rig, track

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
