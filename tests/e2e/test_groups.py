"""Sends with equal bodies share calls: who is in one, when it leaves, and how each member ends."""

from __future__ import annotations

import itertools
from collections import Counter
from pathlib import Path
from typing import Any

import orjson
import pytest
from pydantic import SecretStr

from bridge.clock import ManualClock
from bridge.config import DEFAULT as APP
from bridge.deliver.brake import PUSHES
from bridge.deliver.groups import AT_ONCE
from bridge.deliver.held import release_resumed
from bridge.journal import sqlite_groups
from bridge.journal.piles import Choice
from bridge.sandbox import Sandbox, create_sandbox
from bridge.sandbox.ledger import Call
from tests.harness import APP_ID, Rig, iso, rig, track

MAPPING = """
version: 1
push: {platforms: {exclude: [ios]}}
rules:
  - name: tags
    when: event = "Sale"
    do: {update_user: {tags: {sale: "{{ properties.name }}"}}}
  - name: sale
    when: event = "Sale"
    limit: off
    group: 3s
    max_age: 1h
    do: {send_notification: {contents: "{{ properties.name }}"}}
"""
TOKEN = "let-me-in"
ACCEPT = {"status": 200, "body": {"id": "b5a7cf1e-0000-4000-8000-000000000000"}}


def people(here: Rig | Sandbox, count: int, *, platform: str = "android") -> None:
    sandbox = here if isinstance(here, Sandbox) else here.sandbox
    for number in range(count):
        sandbox.add_device(f"u{number}", platform, app_id=APP_ID)


async def sale(here: Rig, count: int, name: str = "Shoes", first: int = 0) -> None:
    at = iso(here.clock.now_ms())
    events = [
        track("Sale", f"u{n}", f"m-{name}-{n}", properties={"name": name}, timestamp=at)
        for n in range(first, first + count)
    ]
    for begin in range(0, count, 500):
        await here.post(events[begin : begin + 500])


def sends(sandbox: Sandbox) -> list[Call]:
    return [call for call in sandbox.calls if call.endpoint_class == "send"]


def members(call: Call) -> list[str]:
    assert isinstance(call.body, dict)
    found: list[str] = call.body["include_aliases"]["external_id"]
    return found


def fail(here: Rig, *answers: dict[str, Any], times: int = 1) -> None:
    here.sandbox.faults.script({"match": {"class": "send"}, "answers": answers, "times": times})


async def statuses(here: Rig, rule: str = "sale") -> Counter[tuple[str, str | None]]:
    return Counter(
        (status, reason) for _, name, _, status, reason in await here.outcomes() if name == rule
    )


async def test_people_who_get_the_same_share_a_call(tmp_path: Path) -> None:
    async with rig(tmp_path, MAPPING) as here:
        people(here, 7)
        await sale(here, 5)
        await sale(here, 2, "Hats", first=5)
        await here.pass_time(2.9)
        assert sends(here.sandbox) == []
        await here.settle()
        assert sorted(sorted(members(call)) for call in sends(here.sandbox)) == [
            ["u0", "u1", "u2", "u3", "u4"],
            ["u5", "u6"],
        ]
        assert len(here.sandbox.pushes) == 7
        assert await statuses(here) == {("delivered", None): 7}
        assert not here.sandbox.complaints
        for call in sends(here.sandbox):
            assert isinstance(call.body, dict)
            assert call.body["isAndroid"] is True
            assert call.body["isIos"] is False


async def test_a_group_closes_when_it_is_full(tmp_path: Path) -> None:
    async with rig(tmp_path, MAPPING, onesignal_alias_chunk=10) as here:
        people(here, 25)
        await sale(here, 25)
        await here.pass_time(1)
        assert [len(members(call)) for call in sends(here.sandbox)] == [10, 10]
        await here.settle()
        assert [len(members(call)) for call in sends(here.sandbox)] == [10, 10, 5]
        assert len({call.idempotency_key for call in sends(here.sandbox)}) == 3


async def test_a_push_does_not_leave_before_its_persons_updates(tmp_path: Path) -> None:
    async with rig(tmp_path, MAPPING) as here:
        people(here, 3)
        await sale(here, 3)
        await here.settle()
        last_write = max(c.at_ms for c in here.sandbox.calls if c.endpoint_class == "write")
        (call,) = sends(here.sandbox)
        assert last_write <= call.at_ms <= last_write + 3100


async def test_each_member_ends_on_its_own(tmp_path: Path) -> None:
    async with rig(tmp_path, MAPPING) as here:
        people(here, 4)
        here.sandbox.add_device("u9", "android", app_id=APP_ID, enabled=False)
        await sale(here, 4)
        await sale(here, 1, first=9)
        await here.settle()
        assert len(sends(here.sandbox)) == 1
        assert await statuses(here) == {
            ("delivered", None): 4,
            ("no_recipients", "not_subscribed"): 1,
        }


async def test_nobody_reached_is_the_end_of_all(tmp_path: Path) -> None:
    async with rig(tmp_path, MAPPING) as here:
        people(here, 3, platform="ios")
        await sale(here, 3)
        await here.settle()
        assert await statuses(here) == {("no_recipients", "not_subscribed"): 3}
        assert not here.sandbox.pushes


async def test_a_person_who_is_meant_twice_gets_two(tmp_path: Path) -> None:
    async with rig(tmp_path, MAPPING) as here:
        people(here, 2)
        await sale(here, 2)
        at = iso(here.clock.now_ms())
        await here.post(track("Sale", "u0", "again", properties={"name": "Shoes"}, timestamp=at))
        await here.settle()
        assert Counter(push.external_id for push in here.sandbox.pushes) == {"u0": 2, "u1": 1}


async def test_an_unknown_outcome_is_repeated_byte_for_byte(tmp_path: Path) -> None:
    async with rig(tmp_path, MAPPING) as here:
        people(here, 4)
        fail(here, {"timeout": 60, "applied": True}, {"status": 503})
        await sale(here, 3)
        await here.pass_time(10)
        await sale(here, 1, first=3)
        await here.settle()
        first, *others = sends(here.sandbox)
        same = [call for call in others if call.idempotency_key == first.idempotency_key]
        assert same
        assert {orjson.dumps(call.body) for call in same} == {orjson.dumps(first.body)}
        assert Counter(push.external_id for push in here.sandbox.pushes) == dict.fromkeys(
            ("u0", "u1", "u2", "u3"), 1
        )
        assert await statuses(here) == {("delivered", None): 4}


async def test_one_bad_member_does_not_sink_the_others(tmp_path: Path) -> None:
    """The sandbox refuses what has this member in it, as OneSignal does a malformed id."""
    async with rig(tmp_path, MAPPING) as here:
        people(here, 16)
        refuse_calls_with(here, "u5")
        await sale(here, 16)
        await here.settle()
        assert await statuses(here) == {("delivered", None): 15, ("dead", "http_400"): 1}
        assert len(sends(here.sandbox)) <= 2 * 4 + 1
        (dead,) = await here.bridge.journal.dead_letters()
        assert dead.request is not None
        assert orjson.loads(dead.request)["include_aliases"] == {"external_id": ["u5"]}


def refuse_calls_with(here: Rig, member: str) -> None:
    client = here.means.destination.client
    perform = client.perform

    async def refuse(method: str, path: str, body: bytes, **more: Any) -> Any:
        if path == "/notifications" and f'"{member}"'.encode() in body:
            fail(here, {"status": 400, "body": {"errors": ["malformed"]}})
        return await perform(method, path, body, **more)

    client.perform = refuse  # type: ignore[method-assign]


async def test_what_nobody_could_get_is_given_up_without_asking_for_each(tmp_path: Path) -> None:
    async with rig(tmp_path, MAPPING) as here:
        people(here, 200)
        here.sandbox.faults.script(
            {"match": {"class": "send"}, "answers": [{"status": 400}], "times": "until_cleared"}
        )
        await sale(here, 200)
        await here.settle()
        assert await statuses(here) == {("dead", "http_400"): 200}
        assert len(sends(here.sandbox)) <= 50
        assert (await here.bridge.journal.counts()).pending == 0


async def test_members_that_grew_too_old_in_their_group_are_left_out(tmp_path: Path) -> None:
    async with rig(tmp_path, MAPPING) as here:
        people(here, 5)
        here.means.destination.sends.hold(3700)
        await sale(here, 2)
        await here.pass_time(1800)
        await sale(here, 3, first=2)
        await here.settle(within=7200)
        assert await statuses(here) == {("skipped", "too_old"): 2, ("delivered", None): 3}


async def test_a_call_that_grew_too_old_after_an_unknown_outcome_is_for_a_person(
    tmp_path: Path,
) -> None:
    async with rig(tmp_path, MAPPING, admin_token=SecretStr(TOKEN)) as here:
        people(here, 3)
        slow = {"status": 503, "headers": {"Retry-After": "3599"}}
        fail(here, {"timeout": 60, "applied": True}, slow)
        await sale(here, 3)
        await here.settle(within=20_000)
        assert await statuses(here) == {("dead", "unknown_outcome"): 3}

        # Only all of it can be sent again, under its own key: nobody gets it twice.
        dead, *_ = await here.bridge.journal.dead_letters()
        answer = await here.http.post(
            f"/api/v1/dead/{dead.id}/replay", headers={"authorization": f"Bearer {TOKEN}"}
        )
        assert answer.status_code == 200
        await here.settle()
        assert await statuses(here) == {("delivered", None): 3}
        assert len(here.sandbox.pushes) == 3
        assert await here.bridge.journal.dead_letters() == []
        assert len({call.idempotency_key for call in sends(here.sandbox)}) == 1
        assert not here.sandbox.complaints


async def test_a_member_that_was_refused_is_sent_again_alone(tmp_path: Path) -> None:
    async with rig(tmp_path, MAPPING, admin_token=SecretStr(TOKEN)) as here:
        people(here, 1)
        fail(here, {"status": 400})
        await sale(here, 1)
        await here.settle()
        (dead,) = await here.bridge.journal.dead_letters()
        await here.http.post(
            f"/api/v1/dead/{dead.id}/replay", headers={"authorization": f"Bearer {TOKEN}"}
        )
        await here.settle()
        assert [push.external_id for push in here.sandbox.pushes] == ["u0"]
        assert await statuses(here) == {("delivered", None): 1}


@pytest.mark.parametrize("when", ["forming", "out"])
async def test_a_restart_goes_on_with_the_groups_it_finds(tmp_path: Path, when: str) -> None:
    clock = ManualClock()
    app = create_sandbox(clock=clock)
    sandbox: Sandbox = app.state.sandbox
    people(sandbox, 4)
    async with rig(tmp_path, MAPPING, clock=clock, onesignal=app, drain=0) as here:
        if when == "out":
            fail(here, {"timeout": 60, "applied": True})
        await sale(here, 4)
        await here.pass_time(1 if when == "forming" else 5)
    renamed = MAPPING.replace("name: sale", "name: other").replace(
        '"{{ properties.name }}"}}', '"Changed"}}'
    )
    async with rig(tmp_path, renamed, clock=clock, onesignal=app) as here:
        await here.settle()
        assert {push.text for push in sandbox.pushes} == {"Shoes"}
        assert Counter(push.external_id for push in sandbox.pushes) == dict.fromkeys(
            ("u0", "u1", "u2", "u3"), 1
        )
        assert await statuses(here) == {("delivered", None): 4}
        assert not sandbox.complaints


async def test_stopping_closes_what_forms(tmp_path: Path) -> None:
    clock = ManualClock()
    app = create_sandbox(clock=clock)
    people(app.state.sandbox, 2)
    async with rig(tmp_path, MAPPING, clock=clock, onesignal=app) as here:
        await sale(here, 2)
        await here.still()
    assert len(app.state.sandbox.pushes) == 2


async def test_while_pushes_are_paused_groups_are_held(tmp_path: Path) -> None:
    async with rig(tmp_path, MAPPING) as here:
        people(here, 3)
        await sale(here, 3)
        await here.still()
        await here.bridge.brake.pull(PUSHES)
        await here.settle()
        assert not here.sandbox.pushes
        assert await here.bridge.journal.sends.held_counts() == [(APP, "sale", "paused", 3)]
        await here.pass_time(7200)
        await here.bridge.brake.let_go(PUSHES)
        await here.bridge.journal.sends.release(Choice(app=APP, reason="paused"), limit=10)
        here.groups.look()
        await here.settle()
        assert len(here.sandbox.pushes) == 3
        assert len(sends(here.sandbox)) == 1


async def test_while_onesignal_is_away_groups_grow_instead_of_calls(tmp_path: Path) -> None:
    async with rig(tmp_path, MAPPING) as here:
        people(here, 30)
        here.means.destination.sends.hold(600)
        for first in range(0, 30, 3):
            await sale(here, 3, first=first)
            await here.pass_time(10)
        await here.settle()
        assert len(sends(here.sandbox)) == 1
        assert len(here.sandbox.pushes) == 30


@pytest.mark.slow
async def test_two_thousand_share_one_call(tmp_path: Path) -> None:
    text = MAPPING.replace(
        '    when: event = "Sale"\n    do: {update_user',
        '    when: event = "Other"\n    do: {update_user',
    )
    async with rig(tmp_path, text) as here:
        people(here, 4500)
        await sale(here, 4500)
        await here.settle()
        assert sorted(len(members(call)) for call in sends(here.sandbox)) == [500, 2000, 2000]
        assert len(here.sandbox.pushes) == 4500
        assert await statuses(here) == {("delivered", None): 4500}
        assert here.groups.idle
        assert not here.sandbox.complaints


async def test_what_a_limit_holds_of_a_group_leaves_together_when_it_is_released(
    tmp_path: Path,
) -> None:
    text = MAPPING.replace("limit: off", "limit: {max: 3, per: 10m}")
    async with rig(tmp_path, text) as here:
        people(here, 7)
        await sale(here, 6)
        await here.settle()
        assert [len(members(call)) for call in sends(here.sandbox)] == [3]
        assert (await here.bridge.journal.counts()).held == 3
        await here.pass_time(7200)
        released = await here.bridge.journal.sends.release(Choice(app=APP), limit=10)
        assert (released.sends, len(released.users), len(released.groups)) == (3, 0, 1)
        here.groups.look()
        await here.settle()
        assert [len(members(call)) for call in sends(here.sandbox)] == [3, 3]
        await sale(here, 1, first=6)
        await here.settle()
        assert len(here.sandbox.pushes) == 7
        assert not here.sandbox.complaints


async def test_once_per_gives_back_the_places_of_members_that_were_not_reached(
    tmp_path: Path,
) -> None:
    text = MAPPING.replace("limit: off", "limit: off\n    once_per: {time: 7d}")
    async with rig(tmp_path, text) as here:
        people(here, 2)
        here.sandbox.add_device("u2", "android", app_id=APP_ID, enabled=False)
        await sale(here, 3)
        await here.settle()
        await sale(here, 3, "Hats")
        await here.settle()
        assert await statuses(here) == {
            ("delivered", None): 2,
            ("no_recipients", "not_subscribed"): 2,
            ("skipped", "once_per"): 2,
        }


async def test_a_window_begins_with_the_first_who_was_not_in_the_call_before(
    tmp_path: Path,
) -> None:
    """However long a call waits for its turn, and whoever comes meanwhile goes along."""
    async with rig(tmp_path, MAPPING) as here:
        people(here, 120)
        for number in range(120):
            if number % 25 == 24:
                here.means.destination.sends.hold(1.5)
            await sale(here, 1, first=number)
            await here.pass_time(0.1)
        await here.settle()
        at = [call.at_ms for call in sends(here.sandbox)]
        assert all(later - earlier >= 2_900 for earlier, later in itertools.pairwise(at))
        assert sum(len(members(call)) for call in sends(here.sandbox)) == 120


async def test_groups_of_pushes_at_a_shut_gate_keep_no_custom_event_waiting(tmp_path: Path) -> None:
    step = '  - {name: journey, when: event = "Step", do: {track_custom_event: {name: step}}}\n'
    async with rig(tmp_path, MAPPING + step) as here:
        people(here, 1)
        here.means.destination.sends.hold(600)
        for number in range(AT_ONCE + 2):
            await sale(here, 1, f"Shoes {number}", first=number)
        await here.pass_time(10)
        await here.post(track("Step", "u0", timestamp=iso(here.clock.now_ms())))
        await here.pass_time(1)
        assert not sends(here.sandbox)
        assert [call.endpoint_class for call in here.sandbox.calls][-1] == "event"


async def test_a_live_group_does_not_stand_behind_many_of_bulk(tmp_path: Path) -> None:
    bulk: dict[str, Any] = {"context": {"__segment_internal": {"creator": "sync-worker"}}}
    async with rig(tmp_path, MAPPING) as here:
        people(here, 100)
        here.means.destination.sends.hold(600)
        at = iso(here.clock.now_ms())
        for number in range(AT_ONCE + 20):
            name = {"name": f"Shoes {number}"}
            await here.post(track("Sale", f"u{number}", properties=name, timestamp=at, **bulk))
        await here.pass_time(10)
        await sale(here, 1, "Hats", first=90)
        await here.settle()
        assert len(sends(here.sandbox)) == AT_ONCE + 21
        assert "u90" in [user for call in sends(here.sandbox)[:2] for user in members(call)]


async def test_a_resume_while_a_group_is_being_held_leaves_nobody_held(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite_groups, "ENDS_AT_ONCE", 5)
    async with rig(tmp_path, MAPPING) as here:
        people(here, 300)
        await sale(here, 300)
        await here.still()
        brake, journal = here.bridge.brake, here.bridge.journal
        await brake.pull(PUSHES)
        here.clock.advance(4)
        while not await journal.sends.held_counts():
            pass
        await brake.let_go(PUSHES)
        await release_resumed(journal, brake, nudge=here.bridge.nudge)
        await here.settle()
        assert await journal.sends.held_counts() == []
        assert len(here.sandbox.pushes) == 300


async def test_what_is_released_into_a_group_that_forms_is_not_forgotten(tmp_path: Path) -> None:
    async with rig(tmp_path, MAPPING, onesignal_alias_chunk=10) as here:
        people(here, 60)
        brake, journal = here.bridge.brake, here.bridge.journal
        await brake.pull(PUSHES)
        await sale(here, 50)
        await here.settle()
        await brake.let_go(PUSHES)
        await sale(here, 1, first=50)
        await here.still()
        await release_resumed(journal, brake, nudge=here.bridge.nudge)
        await here.settle()
        assert len(here.sandbox.pushes) == 51


async def test_what_is_released_while_a_call_of_its_group_is_out_is_not_forgotten(
    tmp_path: Path,
) -> None:
    async with rig(tmp_path, MAPPING, onesignal_alias_chunk=10) as here:
        people(here, 60)
        brake, journal = here.bridge.brake, here.bridge.journal
        await brake.pull(PUSHES)
        await sale(here, 30)
        await here.settle()
        await brake.let_go(PUSHES)
        fail(here, {"delay": 5.0})
        await sale(here, 1, first=50)
        await here.pass_time(4)
        assert "1 at work" in repr(here.groups)
        await release_resumed(journal, brake, nudge=here.bridge.nudge)
        await here.settle()
        assert len(here.sandbox.pushes) == 31


async def test_a_call_that_is_out_is_not_made_again_because_somebody_releases(
    tmp_path: Path,
) -> None:
    async with rig(tmp_path, MAPPING) as here:
        people(here, 3)
        fail(here, {"delay": 5.0})
        await sale(here, 3)
        await here.pass_time(4)
        assert "1 at work" in repr(here.groups)
        here.groups.look()
        await here.settle()
        assert len(sends(here.sandbox)) == 1
        assert len(here.sandbox.pushes) == 3
