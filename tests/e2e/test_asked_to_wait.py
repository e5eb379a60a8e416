"""Being asked to wait, in every form: that class waits, nothing else does, and nothing is used up."""

from __future__ import annotations

import email.utils
from pathlib import Path
from typing import Any

import pytest

from bridge.clock import ManualClock
from bridge.sandbox import create_sandbox
from tests.harness import APP_ID, Rig, identify, rig, track

SHOP = """
version: 1
push: {platforms: {exclude: [ios]}}
rules:
  - name: profile
    when: type = "identify"
    do: {update_user: {tags: {tier: "{{ traits.tier }}"}}}
  - name: welcome
    when: event = "Signed Up"
    max_age: 30d
    do: {send_notification: {contents: "Welcome"}}
"""
HOUR = 3600.0
START_MS = 1_800_000_000_000


def date(seconds: float) -> str:
    return email.utils.formatdate(START_MS / 1000 + seconds, usegmt=True)


FORMS: list[tuple[str, str | None, float]] = [
    ("Retry-After", "30", 30),
    ("Retry-After", "2.5", 2.5),
    ("Retry-After", date(90), 90),
    ("Retry-After", date(-90), 1),
    ("Retry-After", None, 5),
    ("Retry-After", "0", 1),
    ("Retry-After", "-7", 1),
    ("Retry-After", "1e9", HOUR),
    ("Retry-After", "86400", HOUR),
    ("Retry-After", "soon", 5),
    ("RetryAfter", "12", 12),
]


def limit(here: Rig, name: str, value: str | None, *, times: Any = 1) -> None:
    answer = {"status": 429, "headers": {} if value is None else {name: value}}
    here.sandbox.faults.script({"match": {"class": "write"}, "answers": [answer], "times": times})


def moments(here: Rig, endpoint_class: str) -> list[float]:
    return [
        (call.at_ms - START_MS) / 1000
        for call in here.sandbox.calls
        if call.endpoint_class == endpoint_class
    ]


async def attempts(here: Rig) -> list[int]:
    rows = await here.bridge.journal._read(
        lambda connection: connection.execute("SELECT attempt FROM pending").fetchall()
    )
    return [attempt for (attempt,) in rows]


@pytest.mark.parametrize(("name", "value", "seconds"), FORMS)
async def test_no_call_of_that_class_leaves_before_the_time_and_others_do(
    tmp_path: Path, name: str, value: str | None, seconds: float
) -> None:
    async with rig(tmp_path, SHOP, clock=ManualClock(START_MS)) as here:
        for user in ("u1", "u2", "u3"):
            here.sandbox.add_device(user, "android", app_id=APP_ID)
        limit(here, name, value)
        await here.post(identify("u1", tier="gold"))
        await here.still()
        await here.post([identify("u2", tier="gold"), track("Signed Up", "u3")])
        await here.pass_time(seconds - 0.1)
        assert moments(here, "write") == [0.0]
        assert moments(here, "send") == [0.0]
        assert await attempts(here) == [0, 0]
        await here.pass_time(2.0)
        assert len(moments(here, "write")) == 3
        assert moments(here, "write")[1] <= seconds + 1
        assert {status for _, _, _, status, _ in await here.outcomes()} == {"delivered"}


async def test_the_wait_outlasts_a_restart(tmp_path: Path) -> None:
    clock = ManualClock(START_MS)
    onesignal = create_sandbox(clock=clock)
    async with rig(tmp_path, SHOP, clock=clock, onesignal=onesignal) as here:
        here.sandbox.add_device("u1", "android", app_id=APP_ID)
        limit(here, "Retry-After", "600")
        await here.post(identify("u1", tier="gold"))
        await here.pass_time(5)
    async with rig(tmp_path, SHOP, clock=clock, onesignal=onesignal) as here:
        await here.pass_time(590)
        assert moments(here, "write") == [0.0]
        await here.pass_time(10)
        assert len(moments(here, "write")) == 2


async def test_being_asked_a_thousand_times_uses_up_no_attempt(tmp_path: Path) -> None:
    async with rig(tmp_path, SHOP, clock=ManualClock(START_MS)) as here:
        here.sandbox.add_device("u1", "android", app_id=APP_ID)
        limit(here, "Retry-After", "3600", times="until_cleared")
        await here.post(identify("u1", tier="gold"))
        await here.pass_time(200 * HOUR)
        assert await attempts(here) == [0]
        assert 150 <= len(moments(here, "write")) <= 202
        here.sandbox.faults.clear()
        await here.settle(within=2 * HOUR)
        assert {status for _, _, _, status, _ in await here.outcomes()} == {"delivered"}


async def test_users_at_a_shut_gate_are_out_of_memory_and_bounded(tmp_path: Path) -> None:
    users = [f"u{n}" for n in range(300)]
    async with rig(tmp_path, SHOP, clock=ManualClock(START_MS)) as here:
        for user in [*users, "x1"]:
            here.sandbox.add_device(user, "android", app_id=APP_ID)
        lanes = here.bridge.lanes["default"]
        lanes._lots.size = 50
        here.means.destination.sends.hold(600)
        await here.post([track("Signed Up", user) for user in users])
        await here.pass_time(60)
        assert lanes._credit.lent == 0
        assert len(lanes._lots) == 50
        # Tags of others go on, while pushes wait and most of their users are not even remembered.
        await here.post(identify("x1", tier="gold"))
        await here.pass_time(5)
        assert len(moments(here, "write")) == 1
        await here.settle()
        assert len(here.sandbox.pushes) == 300
        assert not here.sandbox.complaints


async def test_users_who_cannot_be_written_to_are_not_looked_for_without_end(
    tmp_path: Path,
) -> None:
    users = [f"u{n}" for n in range(300)]
    async with rig(tmp_path, SHOP, clock=ManualClock(START_MS)) as here:
        for user in users:
            here.sandbox.add_device(user, "android", app_id=APP_ID)
        lanes = here.bridge.lanes["default"]
        lanes._lots.size = 50
        here.means.destination.writes.hold(600)
        await here.post([identify(user, tier="gold") for user in users])
        await here.pass_time(60)
        assert lanes._credit.lent == 0
        assert len(lanes._lots) == 50
        await here.settle()
        assert len(await here.outcomes()) == 300
        assert not here.sandbox.complaints
