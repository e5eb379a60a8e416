"""The bridge ends somewhere in the middle, and another one goes on where it ended."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from bridge.clock import ManualClock
from bridge.sandbox import Sandbox, create_sandbox
from bridge.sandbox.ledger import Call
from tests.harness import APP_ID, Rig, identify, rig, track

SHOP = """
version: 1
push: {platforms: {exclude: [ios]}}
rules:
  - name: profile
    when: type = "identify"
    do: {update_user: {tags: {tier: "{{ traits.tier }}"}}}
  - name: shipped
    when: event = "Order Shipped"
    do:
      update_user: {tags: {last_order: "{{ properties.id }}"}}
      send_notification: {contents: "{{ properties.id }} is on its way"}
  - name: thanks
    when: event = "Order Shipped"
    do: {send_notification: {contents: "Thank you"}}
"""


def sends(sandbox: Sandbox) -> list[Call]:
    return [call for call in sandbox.calls if call.endpoint_class == "send"]


@pytest.mark.parametrize("answer", [{"timeout": 60, "applied": True}, {"timeout": 60}])
async def test_a_push_that_was_out_is_sent_again_as_it_was(tmp_path: Path, answer: Any) -> None:
    clock = ManualClock()
    app = create_sandbox(clock=clock)
    sandbox: Sandbox = app.state.sandbox
    sandbox.add_device("u1", "android", app_id=APP_ID)
    sandbox.faults.script({"match": {"class": "send"}, "answers": [answer]})
    async with rig(tmp_path, SHOP, clock=clock, onesignal=app, drain=0) as here:
        await here.post(track("Order Shipped", properties={"id": "A7"}))
        await here.pass_time(5)
        assert len(sends(sandbox)) == 1

    edited = SHOP.replace("is on its way", "has been sent")
    async with rig(tmp_path, edited, clock=clock, onesignal=app) as here:
        await here.settle()

    first, *others = sends(sandbox)
    (again,) = [call for call in others if call.idempotency_key == first.idempotency_key]
    assert first.body == again.body
    assert len(others) == 2
    assert {push.text for push in sandbox.pushes} == {"A7 is on its way", "Thank you"}
    assert not sandbox.complaints


async def test_a_push_that_was_written_and_never_sent_is_sent_as_it_was_written(
    tmp_path: Path,
) -> None:
    clock = ManualClock()
    app = create_sandbox(clock=clock)
    sandbox: Sandbox = app.state.sandbox
    sandbox.add_device("u1", "android", app_id=APP_ID)
    async with rig(tmp_path, SHOP, clock=clock, onesignal=app, drain=0) as here:
        here.means.destination.sends.hold(3600)
        await here.post(track("Order Shipped", properties={"id": "A7"}))
        await here.pass_time(5)
        assert sends(sandbox) == []

    gone = SHOP.replace('when: event = "Order Shipped"', 'when: event = "Nothing"')
    async with rig(tmp_path, gone, clock=clock, onesignal=app) as here:
        await here.settle()
        assert {push.text for push in sandbox.pushes} == {"A7 is on its way", "Thank you"}


async def test_what_a_bridge_before_wrote_in_its_last_second_is_kept_a_second_away(
    tmp_path: Path,
) -> None:
    clock = ManualClock()
    app = create_sandbox(clock=clock)
    async with rig(tmp_path, SHOP, clock=clock, onesignal=app, drain=0) as here:
        here.sandbox.add_device("u1", "android", app_id=APP_ID)
        await here.post([identify("u1", f"m{n}", tier=str(n)) for n in range(3)])
        await here.still()
        assert len(here.sandbox.calls) == 1
    async with rig(tmp_path, SHOP, clock=clock, onesignal=app) as here:
        await here.post(identify("u1", "m9", tier="9"))
        await here.settle()
        assert not here.sandbox.complaints
        first, second = here.sandbox.calls
        assert (first.status, second.status) == (202, 202)
        assert second.at_ms - first.at_ms >= 1000


async def test_a_retry_that_waits_outlasts_a_restart(tmp_path: Path) -> None:
    clock = ManualClock()
    app = create_sandbox(clock=clock)
    sandbox: Sandbox = app.state.sandbox
    sandbox.add_device("u1", "android", app_id=APP_ID)
    slow = {"status": 503, "headers": {"Retry-After": "500"}}
    sandbox.faults.script({"match": {"class": "send"}, "answers": [slow], "times": 2})
    async with rig(tmp_path, SHOP, clock=clock, onesignal=app, drain=0) as here:
        await here.post(track("Order Shipped", properties={"id": "A7"}))
        await here.pass_time(5)
    async with rig(tmp_path, SHOP, clock=clock, onesignal=app) as here:
        await here.pass_time(480)
        assert len(sends(sandbox)) == 2
        await here.settle()
    assert len(sandbox.pushes) == 2


async def test_stopping_finishes_the_calls_that_are_out(tmp_path: Path) -> None:
    clock = ManualClock()
    app = create_sandbox(clock=clock)
    sandbox: Sandbox = app.state.sandbox
    sandbox.add_device("u1", "android", app_id=APP_ID)
    sandbox.faults.script({"match": {"class": "send"}, "answers": [{"delay": 3}]})
    async with rig(tmp_path, SHOP, clock=clock, onesignal=app) as here:
        await here.post(track("Order Shipped", properties={"id": "A7"}))
        await here.still()
        stopping = asyncio.ensure_future(here.bridge.stop(5))
        await here.pass_time(3)
        await stopping
        statuses = [status for _, _, _, status, _ in await here.outcomes()]
        assert statuses == ["delivered", "delivered"]
        assert (await here.bridge.journal.counts()).pending == 1
    async with rig(tmp_path, SHOP, clock=clock, onesignal=app) as here:
        await here.settle()
    assert [push.text for push in sandbox.pushes] == ["A7 is on its way", "Thank you"]


# Anywhere --------------------------------------------------------------------------------------


@dataclass
class Death:
    """The process ends at its `at`-th step; nothing after that happens."""

    at: int
    steps: int = 0

    async def step(self) -> None:
        self.steps += 1
        if self.steps >= self.at:
            await asyncio.get_running_loop().create_future()


@dataclass
class MortalJournal:
    """A journal whose every writing is two steps: before it is on disk, and before that is known."""

    inner: Any
    death: Death

    def __getattr__(self, name: str) -> Any:
        method = getattr(self.inner, name)
        if name == "sends":
            return MortalJournal(method, self.death)
        if name not in {"write", "postpone", "retry_call", "end_send", "ack"}:
            return method
        return self._mortal(method)

    def _mortal(self, method: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
        async def call(*args: Any, **named: Any) -> Any:
            await self.death.step()
            result = await method(*args, **named)
            await self.death.step()
            return result

        return call


@dataclass
class MortalWay(httpx.AsyncBaseTransport):
    """A way to OneSignal of two steps: before it has the request, and before we have the answer."""

    inner: httpx.AsyncBaseTransport
    death: Death

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        await self.death.step()
        answer = await self.inner.handle_async_request(request)
        await self.death.step()
        return answer


async def live(folder: Path, app: Any, clock: ManualClock, death: Death) -> None:
    way = MortalWay(httpx.ASGITransport(app), death)
    async with rig(folder, SHOP, clock=clock, onesignal=app, transport=way, drain=0) as here:
        here.means.journal = MortalJournal(here.bridge.journal, death)
        await here.post(identify("u1", tier="gold"))
        await here.post(track("Order Shipped", message_id="m2", properties={"id": "A7"}))
        await here.post(identify("u1", "m3", tier="silver"))
        await here.pass_time(40)


def check(here: Rig, sandbox: Sandbox, outcomes: list[Any]) -> None:
    texts = sorted(push.text for push in sandbox.pushes)
    assert texts == ["A7 is on its way", "Thank you"]
    user = sandbox.user("u1", app_id=APP_ID)
    assert user is not None
    assert user.tags == {"tier": "silver", "last_order": "A7"}
    assert [outcome[1:4] for outcome in outcomes] == [
        ("profile", "update_user", "delivered"),
        ("shipped", "send_notification", "delivered"),
        ("shipped", "update_user", "delivered"),
        ("thanks", "send_notification", "delivered"),
        ("profile", "update_user", "delivered"),
    ]
    assert not sandbox.complaints


@pytest.mark.slow
@pytest.mark.parametrize("at", range(1, 42, 2))
async def test_wherever_it_ends_everything_is_done_and_every_push_arrives_once(
    tmp_path: Path, at: int
) -> None:
    for number, where in enumerate((at, at + 1)):
        folder = tmp_path / str(number)
        folder.mkdir()
        clock = ManualClock()
        app = create_sandbox(clock=clock)
        sandbox: Sandbox = app.state.sandbox
        sandbox.add_device("u1", "android", app_id=APP_ID)
        for endpoint_class in ("send", "write"):
            fault = {"match": {"class": endpoint_class}, "answers": [{"status": 503}]}
            sandbox.faults.script(fault)

        await live(folder, app, clock, Death(where))
        # And once more, soon after it began again.
        await live(folder, app, clock, Death(3))
        async with rig(folder, SHOP, clock=clock, onesignal=app) as here:
            await here.settle()
            check(here, sandbox, await here.outcomes())


async def test_the_scenario_has_as_many_steps_as_are_tried(tmp_path: Path) -> None:
    clock = ManualClock()
    app = create_sandbox(clock=clock)
    app.state.sandbox.add_device("u1", "android", app_id=APP_ID)
    for endpoint_class in ("send", "write"):
        fault = {"match": {"class": endpoint_class}, "answers": [{"status": 503}]}
        app.state.sandbox.faults.script(fault)
    death = Death(1000)
    await live(tmp_path, app, clock, death)
    assert 24 <= death.steps <= 42
