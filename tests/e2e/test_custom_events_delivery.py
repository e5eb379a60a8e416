"""Custom events share calls whatever they say, and each ends on its own."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import orjson
import pytest
from pydantic import SecretStr

from bridge.clock import ManualClock
from bridge.config import DEFAULT as APP
from bridge.deliver.brake import PUSHES, rule_target
from bridge.deliver.held import release_resumed
from bridge.deliver.replay import replay
from bridge.sandbox import Sandbox, create_sandbox
from bridge.sandbox.ledger import Call
from tests.harness import APP_ID, Rig, iso, rig, track

MAPPING = """
version: 1
rules:
  - name: bought
    when: event = "Order Completed"
    do: {track_custom_event: {name: "bought", properties: {total: "{{ properties.total }}", note: "{{ properties.note | default: '' }}"}}}
"""
TOKEN = "let-me-in"


def people(sandbox: Sandbox, count: int) -> None:
    for number in range(count):
        sandbox.add_device(f"u{number}", "android", app_id=APP_ID)


async def buy(here: Rig, count: int, *, first: int = 0, **more: Any) -> None:
    at = iso(here.clock.now_ms())
    events = [
        track("Order Completed", f"u{n}", f"m-{n}", properties={"total": n} | more, timestamp=at)
        for n in range(first, first + count)
    ]
    for begin in range(0, count, 200):
        await here.post(events[begin : begin + 200])


def calls(sandbox: Sandbox) -> list[Call]:
    return [call for call in sandbox.calls if call.endpoint_class == "event"]


def fail(here: Rig, *answers: dict[str, Any], times: int = 1) -> None:
    here.sandbox.faults.script({"match": {"class": "event"}, "answers": answers, "times": times})


async def statuses(here: Rig) -> Counter[tuple[str, str | None]]:
    return Counter((status, reason) for *_, status, reason in await here.outcomes())


async def test_events_of_many_people_share_few_calls(tmp_path: Path) -> None:
    async with rig(tmp_path, MAPPING) as here:
        people(here.sandbox, 300)
        await buy(here, 300)
        await here.settle()
        assert len(calls(here.sandbox)) <= 20
        assert Counter(one.external_id for one in here.sandbox.events) == Counter(
            f"u{n}" for n in range(300)
        )
        assert {one.name for one in here.sandbox.events} == {"bought"}
        assert await statuses(here) == {("delivered", None): 300}
        assert not here.sandbox.complaints


async def test_somebody_whom_onesignal_does_not_know_ends_alone(tmp_path: Path) -> None:
    async with rig(tmp_path, MAPPING) as here:
        people(here.sandbox, 3)
        await buy(here, 5)
        await here.settle()
        assert await statuses(here) == {
            ("delivered", None): 3,
            ("no_recipients", "unknown_user"): 2,
        }


async def test_a_batch_that_failed_is_repeated_byte_for_byte(tmp_path: Path) -> None:
    clock = ManualClock()
    app = create_sandbox(clock=clock)
    sandbox: Sandbox = app.state.sandbox
    people(sandbox, 6)
    async with rig(tmp_path, MAPPING, clock=clock, onesignal=app, drain=0) as here:
        fail(here, {"status": 503}, {"timeout": 60, "applied": True})
        here.means.destination.events.hold(1)
        await buy(here, 4)
        await here.pass_time(20)
    async with rig(tmp_path, MAPPING.replace("bought", "sold"), clock=clock, onesignal=app) as here:
        await buy(here, 2, first=4)
        await here.settle()
        assert await statuses(here) == {("delivered", None): 6}
    first, again, last, *_ = calls(sandbox)
    assert orjson.dumps(first.body) == orjson.dumps(again.body)
    assert orjson.dumps(first.body) in {orjson.dumps(call.body) for call in calls(sandbox)[2:]}
    assert last is not None
    assert Counter(one.external_id for one in sandbox.events) == Counter(f"u{n}" for n in range(6))


async def test_a_call_stays_below_a_megabyte(tmp_path: Path) -> None:
    async with rig(tmp_path, MAPPING) as here:
        people(here.sandbox, 600)
        here.means.destination.events.hold(30)
        await buy(here, 600, note="x" * 1750)
        await here.settle()
        assert len(here.sandbox.events) == 600
        assert len(calls(here.sandbox)) == 2
        assert not here.sandbox.complaints


async def test_one_bad_event_does_not_sink_its_neighbours(tmp_path: Path) -> None:
    async with rig(tmp_path, MAPPING, admin_token=SecretStr(TOKEN)) as here:
        people(here.sandbox, 8)
        client = here.means.destination.client
        perform = client.perform

        async def refuse(method: str, path: str, body: bytes, **more: Any) -> Any:
            if path.endswith("/custom_events") and b'"u3"' in body:
                fail(here, {"status": 400, "body": {}})
            return await perform(method, path, body, **more)

        client.perform = refuse  # type: ignore[method-assign]
        here.means.destination.events.hold(1)
        await buy(here, 8)
        await here.settle()
        assert await statuses(here) == {("delivered", None): 7, ("dead", "http_400"): 1}
        (dead,) = await here.bridge.journal.dead_letters()
        client.perform = perform  # type: ignore[method-assign]
        await here.http.post(
            f"/api/v1/dead/{dead.id}/replay", headers={"authorization": f"Bearer {TOKEN}"}
        )
        await here.settle()
        assert await statuses(here) == {("delivered", None): 8}
        assert len(here.sandbox.events) == 8


async def test_pausing_pushes_lets_custom_events_go_on_and_pausing_their_rule_does_not(
    tmp_path: Path,
) -> None:
    async with rig(tmp_path, MAPPING) as here:
        people(here.sandbox, 2)
        await here.bridge.brake.pull(PUSHES)
        await buy(here, 1)
        await here.settle()
        assert len(here.sandbox.events) == 1
        await here.bridge.brake.pull(rule_target("bought"))
        await buy(here, 1, first=1)
        await here.settle()
        assert len(here.sandbox.events) == 1
        assert (await here.bridge.journal.counts()).held == 1


async def test_an_old_event_whose_outcome_is_unknown_takes_no_younger_one_along(
    tmp_path: Path,
) -> None:
    async with rig(tmp_path, MAPPING) as here:
        people(here.sandbox, 2)
        here.means.destination.events.hold(60)
        here.means.roll = lambda: 0.9
        old = iso(here.clock.now_ms() - 4 * 3_600_000 + 61_000)
        await here.post(track("Order Completed", "u0", properties={"total": 1}, timestamp=old))
        await here.pass_time(1)
        await here.post(
            track(
                "Order Completed",
                "u1",
                properties={"total": 1},
                timestamp=iso(here.clock.now_ms() - 1_000_000),
            )
        )
        fail(here, {"timeout": True}, times=2)
        await here.settle()
        assert await statuses(here) == {("delivered", None): 1, ("dead", "unknown_outcome"): 1}


@pytest.mark.parametrize("count", [1, 3])
async def test_those_of_unknown_outcome_that_are_replayed_leave_their_call_to_nobody(
    tmp_path: Path, count: int
) -> None:
    async with rig(tmp_path, MAPPING, admin_token=SecretStr(TOKEN)) as here:
        people(here.sandbox, count + 1)
        fail(here, {"reset": True, "applied": True}, {"status": 400})
        here.means.destination.events.hold(1)
        await buy(here, count)
        await here.settle()
        assert await statuses(here) == {("dead", "http_400"): count}
        answer = await here.http.post(
            "/api/v1/dead/replay", headers={"authorization": f"Bearer {TOKEN}"}, json={}
        )
        assert answer.json()["replayed"] == count
        await buy(here, 1, first=count)
        await here.settle()
        assert await statuses(here) == {("delivered", None): count + 1}
        assert len(here.sandbox.events) == count + 1
        left = "SELECT count(*) FROM call"
        assert await here.bridge.journal._read(lambda c: c.execute(left).fetchall()) == [(0,)]


async def test_bad_ones_are_found_alone_however_many_there_have_been(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bridge.deliver.settling.REFUSALS", 3)
    async with rig(tmp_path, MAPPING) as here:
        people(here.sandbox, 10)
        client = here.means.destination.client
        perform = client.perform

        async def refuse(method: str, path: str, body: bytes, **more: Any) -> Any:
            if path.endswith("/custom_events") and b'"bad"' in body:
                fail(here, {"status": 400, "body": {}})
            return await perform(method, path, body, **more)

        client.perform = refuse  # type: ignore[method-assign]
        for number in range(4):
            here.means.destination.events.hold(1)
            await buy(here, 1, first=2 * number)
            await buy(here, 1, first=2 * number + 1, note="bad")
            await here.settle()
        assert await statuses(here) == {("delivered", None): 4, ("dead", "http_400"): 4}


async def test_one_that_is_replayed_is_sent_however_old_it_is(tmp_path: Path) -> None:
    text = MAPPING.replace("    do:", "    max_age: 1h\n    do:")
    async with rig(tmp_path, text, admin_token=SecretStr(TOKEN)) as here:
        people(here.sandbox, 1)
        fail(here, {"status": 400})
        await buy(here, 1)
        await here.settle()
        here.clock.advance(7200)
        await here.http.post(
            "/api/v1/dead/replay", headers={"authorization": f"Bearer {TOKEN}"}, json={}
        )
        await here.settle()
        assert await statuses(here) == {("delivered", None): 1}


async def test_one_that_is_replayed_takes_its_place_again(tmp_path: Path) -> None:
    text = MAPPING.replace("    do:", "    once_per: {time: 7d}\n    do:")
    async with rig(tmp_path, text) as here:
        people(here.sandbox, 1)
        fail(here, {"status": 400})
        await buy(here, 1)
        await here.settle()
        (dead,) = await here.bridge.journal.dead_letters()
        await replay(here.bridge.journal, dead.id, now_ms=here.clock.now_ms())
        here.bridge.nudge(APP, frozenset({dead.user_hash}))
        await here.settle()
        await here.post(track("Order Completed", "u0", "m-again", properties={"total": 1}))
        await here.settle()
        assert await statuses(here) == {("delivered", None): 1, ("skipped", "once_per"): 1}


async def test_one_of_unknown_outcome_may_be_replayed_however_late(tmp_path: Path) -> None:
    """OneSignal drops repeats for hours only, so that this is no promise of theirs."""
    async with rig(tmp_path, MAPPING) as here:
        people(here.sandbox, 1)
        fail(here, {"reset": True}, {"status": 400})
        await buy(here, 1)
        await here.settle()
        (dead,) = await here.bridge.journal.dead_letters()
        assert dead.uncertain
        here.clock.advance(40 * 86_400)
        done = await replay(here.bridge.journal, dead.id, now_ms=here.clock.now_ms())
        assert done.done == "replayed"


async def test_one_of_unknown_outcome_is_never_planned_anew_whatever_is_answered_later(
    tmp_path: Path,
) -> None:
    async with rig(tmp_path, MAPPING, admin_token=SecretStr(TOKEN)) as here:
        people(here.sandbox, 1)
        fail(here, {"reset": True, "applied": True}, {"status": 400}, {"status": 400})
        await buy(here, 1)
        await here.settle()
        for _ in range(2):
            await here.http.post(
                "/api/v1/dead/replay",
                headers={"authorization": f"Bearer {TOKEN}"},
                json={"replan": True},
            )
            await here.settle()
        assert await statuses(here) == {("delivered", None): 1}
        assert len(here.sandbox.events) == 1


TWO_RULES = (
    MAPPING
    + """
  - name: seen
    when: event = "Product Viewed"
    do: {track_custom_event: {name: "seen"}}
"""
)


async def both(here: Rig) -> None:
    """One event of each rule; they are to share a call."""
    at = iso(here.clock.now_ms())
    await here.post([track("Order Completed", "u0", properties={"total": 1}, timestamp=at)])
    await here.post([track("Product Viewed", "u1", timestamp=at)])


@pytest.mark.parametrize("refused", [0, 1])
async def test_pausing_a_rule_holds_its_events_that_wait_in_a_group_and_no_others(
    tmp_path: Path, refused: int
) -> None:
    async with rig(tmp_path, TWO_RULES) as here:
        people(here.sandbox, 2)
        here.means.destination.events.hold(1)
        if refused:
            fail(here, {"status": 429, "headers": {"Retry-After": "30"}})
        await both(here)
        await (here.pass_time(5) if refused else here.still())
        assert len(calls(here.sandbox)) == refused
        await here.bridge.brake.pull(rule_target("bought"))
        await here.settle()
        assert [one.name for one in here.sandbox.events] == ["seen"]
        assert (await here.bridge.journal.counts()).held == 1
        await here.bridge.brake.let_go(rule_target("bought"))
        await release_resumed(here.bridge.journal, here.bridge.brake, nudge=here.bridge.nudge)
        await here.settle()
        assert [one.name for one in here.sandbox.events] == ["seen", "bought"]
        assert not here.sandbox.complaints


async def test_events_of_a_rule_that_is_resumed_leave_though_all_pushes_are_paused(
    tmp_path: Path,
) -> None:
    both_kinds = """
version: 1
push: {platforms: {exclude: [ios]}}
rules:
  - name: bought
    when: event = "Order Completed"
    do:
      track_custom_event: {name: "bought"}
      send_notification: {contents: "Thank you"}
"""
    async with rig(tmp_path, both_kinds) as here:
        people(here.sandbox, 2)
        brake, journal = here.bridge.brake, here.bridge.journal
        await brake.pull(rule_target("bought"))
        await brake.pull(PUSHES)
        await buy(here, 2)
        await here.settle()
        assert (await journal.counts()).held == 4
        await brake.let_go(rule_target("bought"))
        assert await release_resumed(journal, brake, nudge=here.bridge.nudge) == 2
        await here.settle()
        assert [one.name for one in here.sandbox.events] == ["bought", "bought"]
        assert (await journal.counts()).held == 2
        await brake.let_go(PUSHES)
        assert await release_resumed(journal, brake, nudge=here.bridge.nudge) == 2
        await here.settle()
        assert len(here.sandbox.events) == len(here.sandbox.pushes) == 2
        assert await statuses(here) == {("delivered", None): 4}


async def test_events_of_a_rule_that_is_paused_still_stay_when_pushes_are_resumed(
    tmp_path: Path,
) -> None:
    async with rig(tmp_path, MAPPING) as here:
        people(here.sandbox, 1)
        brake, journal = here.bridge.brake, here.bridge.journal
        await brake.pull(rule_target("bought"))
        await brake.pull(PUSHES)
        await buy(here, 1)
        await here.settle()
        await brake.let_go(PUSHES)
        assert await release_resumed(journal, brake, nudge=here.bridge.nudge) == 0
        await here.settle()
        assert not here.sandbox.events


async def test_a_paused_rule_stops_no_call_that_may_have_arrived(tmp_path: Path) -> None:
    async with rig(tmp_path, TWO_RULES) as here:
        people(here.sandbox, 2)
        here.means.destination.events.hold(1)
        fail(here, {"reset": True, "applied": True})
        await both(here)
        await here.pass_time(1.1)
        await here.bridge.brake.pull(rule_target("bought"))
        await here.settle()
        assert await statuses(here) == {("delivered", None): 2}
        assert len(here.sandbox.events) == 2
