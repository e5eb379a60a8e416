"""Updates of one user that share a call: which do, how long they wait for it, and what comes of it."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pytest

from bridge.clock import ManualClock
from bridge.sandbox import create_sandbox
from bridge.sandbox.ledger import Call
from tests.harness import APP_ID, Rig, identify, rig, track

SHOP = """
version: 1
push: {platforms: {exclude: [ios]}}
rules:
  - name: profile
    when: type = "identify"
    do: {update_user: {tags_from: {traits: {include: ["*"]}}}}
  - name: shipped
    when: event = "Order Shipped"
    do:
      update_user: {tags: {last_order: "{{ properties.id }}"}}
      send_notification: {contents: "{{ properties.id }} is on its way"}
  - name: hello
    when: event = "Hello"
    do: {send_notification: {contents: "Hello"}}
"""
PATIENT = SHOP.replace("name: profile\n", "name: profile\n    fold: 5s\n")


def writes(here: Rig, user: str = "u1") -> list[Call]:
    return [
        call for call in here.sandbox.calls if call.endpoint_class == "write" and call.user == user
    ]


def tags_of(here: Rig, user: str = "u1") -> dict[str, str]:
    found = here.sandbox.user(user, app_id=APP_ID)
    assert found is not None
    return found.tags


def times(calls: Iterable[Call], start: int) -> list[float]:
    return [(call.at_ms - start) / 1000 for call in calls]


def with_phones(here: Rig, *users: str) -> None:
    for user in users or ("u1",):
        here.sandbox.add_device(user, "android", app_id=APP_ID)


async def test_the_first_leaves_at_once_and_what_comes_within_the_second_goes_together(
    tmp_path: Path,
) -> None:
    async with rig(tmp_path, SHOP) as here:
        with_phones(here)
        start = here.clock.now_ms()
        await here.post(identify("u1", "m0", a="0"))
        await here.still()
        for n in range(1, 8):
            await here.pass_time(0.1)
            await here.post(identify("u1", f"m{n}", a=str(n), **{f"b{n}": "x"}))
        await here.settle()

        assert times(writes(here), start) == [0.0, pytest.approx(1.05, abs=0.01)]
        assert tags_of(here) == {"a": "7"} | {f"b{n}": "x" for n in range(1, 8)}
        assert [status for *_, status, _ in await here.outcomes()] == ["delivered"] * 8
        assert not here.sandbox.complaints


async def test_a_user_that_waits_for_its_second_is_not_in_memory(tmp_path: Path) -> None:
    async with rig(tmp_path, SHOP) as here:
        with_phones(here)
        await here.post(identify("u1", "m0", a="0"))
        await here.still()
        await here.post(identify("u1", "m1", a="1"))
        await here.still()
        assert here.lanes._credit.lent == 0
        assert (await here.bridge.journal.counts()).pending == 1
        await here.settle()


async def test_a_push_does_not_wait_for_the_second_between_two_writes(tmp_path: Path) -> None:
    async with rig(tmp_path, SHOP) as here:
        with_phones(here)
        await here.post(identify("u1", "m0", a="0"))
        await here.still()
        await here.post(track("Hello"))
        await here.still()
        assert len(here.sandbox.pushes) == 1


async def test_an_event_that_says_nothing_new_does_not_wait_either(tmp_path: Path) -> None:
    async with rig(tmp_path, SHOP) as here:
        with_phones(here)
        await here.post(identify("u1", "m0", a="0"))
        await here.still()
        await here.post(identify("u1", "m1", a="0"))
        await here.still()
        assert (await here.bridge.journal.counts()).pending == 0
        assert len(writes(here)) == 1


async def test_a_push_is_a_barrier_between_what_is_before_it_and_what_is_after(
    tmp_path: Path,
) -> None:
    async with rig(tmp_path, SHOP) as here:
        with_phones(here)
        await here.post(
            [
                identify("u1", "m0", a="0"),
                track("Order Shipped", properties={"id": "A7"}),
                identify("u1", "m2", a="2"),
            ]
        )
        await here.settle()
        order = [
            (call.endpoint_class, (call.body.get("properties") or {}).get("tags"))
            for call in here.sandbox.calls
        ]
        assert order == [
            ("write", {"a": "0", "last_order": "A7"}),
            ("send", None),
            ("write", {"a": "2"}),
        ]


async def test_a_user_that_is_not_there_is_created_with_what_came_meanwhile(tmp_path: Path) -> None:
    async with rig(tmp_path, SHOP) as here:
        await here.post(identify("u1", "m0", a="0"))
        await here.pass_time(0.5)
        await here.post(identify("u1", "m1", b="1"))
        await here.settle()
        assert [(call.method, call.status) for call in writes(here)] == [
            ("PATCH", 404),
            ("POST", 201),
        ]
        assert tags_of(here) == {"a": "0", "b": "1"}


async def test_more_than_a_call_takes_goes_in_several(tmp_path: Path) -> None:
    async with rig(tmp_path, SHOP) as here:
        with_phones(here)
        await here.post(
            [identify("u1", f"m{n}", **{f"t{n}_{k}": "x" for k in range(40)}) for n in range(5)]
        )
        await here.settle()
        assert [len(call.body["properties"]["tags"]) for call in writes(here)] == [80, 80, 40]
        assert len(tags_of(here)) == 200
        assert not here.sandbox.complaints


# fold: 5s --------------------------------------------------------------------------------------


async def test_an_update_that_may_wait_does_so_from_its_receipt(tmp_path: Path) -> None:
    async with rig(tmp_path, PATIENT) as here:
        with_phones(here)
        start = here.clock.now_ms()
        for n in range(5):
            await here.post(identify("u1", f"m{n}", a=str(n)))
            await here.pass_time(0.9)
        assert writes(here) == []
        await here.settle()
        assert times(writes(here), start) == [5.0]
        assert tags_of(here) == {"a": "4"}


async def test_a_push_behind_it_ends_the_wait_at_once(tmp_path: Path) -> None:
    async with rig(tmp_path, PATIENT) as here:
        with_phones(here)
        start = here.clock.now_ms()
        await here.post(identify("u1", "m0", a="0"))
        await here.pass_time(1)
        assert writes(here) == []
        await here.post(track("Hello"))
        await here.still()
        assert [call.endpoint_class for call in here.sandbox.calls] == ["write", "send"]
        assert times(here.sandbox.calls, start) == [1.0, 1.0]


async def test_another_update_does_not_end_the_wait_unless_it_may_not_wait(tmp_path: Path) -> None:
    async with rig(tmp_path, PATIENT) as here:
        with_phones(here)
        start = here.clock.now_ms()
        await here.post(identify("u1", "m0", a="0"))
        await here.pass_time(1)
        await here.post(identify("u1", "m1", b="0"))
        await here.pass_time(1)
        assert writes(here) == []
        await here.post(track("Order Shipped", properties={"id": "A7"}))
        await here.still()
        assert times(writes(here), start) == [2.0]
        assert tags_of(here) == {"a": "0", "b": "0", "last_order": "A7"}


async def test_a_full_call_ends_the_wait(tmp_path: Path) -> None:
    async with rig(tmp_path, PATIENT) as here:
        with_phones(here)
        await here.post(identify("u1", "m0", **{f"t{n}": "x" for n in range(100)}))
        await here.still()
        assert len(writes(here)) == 1


async def test_a_wait_for_others_outlasts_a_restart(tmp_path: Path) -> None:
    clock = ManualClock()
    app = create_sandbox(clock=clock)
    start = clock.now_ms()
    async with rig(tmp_path, PATIENT, clock=clock, onesignal=app, drain=0) as here:
        with_phones(here)
        await here.post(identify("u1", "m0", a="0"))
        await here.pass_time(2)
        assert writes(here) == []
    async with rig(tmp_path, PATIENT, clock=clock, onesignal=app) as here:
        await here.settle()
        assert times(writes(here), start) == [5.0]


# Refused ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [400, 413, 422])
async def test_of_a_call_that_is_refused_only_the_culprit_dies(tmp_path: Path, status: int) -> None:
    async with rig(tmp_path, SHOP) as here:
        with_phones(here)
        bad = {"class": "write", "text": "bad"}
        here.sandbox.faults.script(
            {"match": bad, "answers": [{"status": status}], "times": "until_cleared"}
        )
        events = [identify("u1", f"m{n}", **{f"a{n}": "x"}) for n in range(5)]
        events[2]["traits"]["bad"] = "value"
        await here.post(events)
        await here.settle()

        (dead,) = await here.bridge.journal.dead_letters()
        assert (dead.message_id, dead.reason) == ("m2", f"http_{status}")
        statuses = [status for *_, status, _ in await here.outcomes()]
        assert statuses == ["delivered", "delivered", "dead", "delivered", "delivered"]
        assert tags_of(here) == {"a0": "x", "a1": "x", "a3": "x", "a4": "x"}
        assert len(writes(here)) <= 1 + 2 * len(events)
        assert not here.sandbox.complaints
