"""Nothing is said to OneSignal twice, and nothing older is ever written over something newer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from bridge.clock import ManualClock
from bridge.config import DEFAULT as APP
from bridge.deliver.known import Known
from bridge.deliver.state import Fact, Moment, accepted, decode
from bridge.sandbox import Sandbox, create_sandbox
from bridge.sandbox.ledger import Call
from tests.harness import APP_ID, Rig, identify, iso, rig

SHOP = """
version: 1
rules:
  - name: profile
    when: type = "identify"
    do:
      update_user:
        tags_from: {traits: {include: ["*"]}}
        language: "{{ traits.lang }}"
"""
AGAIN = SHOP.replace("name: profile\n", "name: profile\n    unchanged: send\n")
DAY = 86_400


def writes(here: Rig) -> list[Call]:
    return [call for call in here.sandbox.calls if call.endpoint_class == "write"]


def written(here: Rig) -> list[dict[str, Any]]:
    """What each call said that OneSignal accepted."""
    return [call.body["properties"] for call in writes(here) if 200 <= call.status < 300]


def tags(here: Rig) -> dict[str, str]:
    found = here.sandbox.user("u1", app_id=APP_ID)
    assert found is not None
    return found.tags


def with_user(here: Rig) -> None:
    here.sandbox.add_device("u1", "android", app_id=APP_ID)


def fail(here: Rig, *answers: dict[str, Any], times: Any = 1) -> None:
    here.sandbox.faults.script(
        {"match": {"class": "write"}, "answers": list(answers), "times": times}
    )


async def say(here: Rig, message_id: str, *, ago: float | None = None, **traits: Any) -> None:
    """An identify that happened so many seconds ago, worked through to its end."""
    event = identify("u1", message_id, **traits)
    if ago is not None:
        event["timestamp"] = iso(here.clock.now_ms() - round(ago * 1000))
    await here.post(event)
    await here.settle(within=3 * DAY, step=0.01)


async def row(here: Rig) -> dict[str, Fact]:
    user = here.bridge.journal.user_hash("default", "u1")
    return decode(await here.bridge.journal.state(user))


async def end_of(here: Rig, seq: int) -> tuple[str, str | None]:
    return next(
        (status, reason) for one, _, _, status, reason in await here.outcomes() if one == seq
    )


async def test_the_row_keeps_of_every_value_what_when_by_which_event_and_since_when(
    tmp_path: Path,
) -> None:
    async with rig(tmp_path, SHOP) as here:
        with_user(here)
        now = here.clock.now_ms()
        await say(here, "m1", ago=10, tier="gold", city="", lang="de")
        facts = await row(here)
        assert {name: fact.value for name, fact in facts.items()} == {
            "tags.tier": "gold",
            "tags.city": None,
            "tags.lang": "de",
            "language": "de",
        }
        assert {fact.at for fact in facts.values()} == {(now - 10_000, 1, "m1")}
        assert {fact.accepted_ms for fact in facts.values()} == {now}


async def test_a_value_that_onesignal_has_is_left_out_and_the_rest_is_written(
    tmp_path: Path,
) -> None:
    async with rig(tmp_path, SHOP) as here:
        with_user(here)
        await say(here, "m1", tier="gold", city="Graz")
        await here.pass_time(2)
        await say(here, "m2", tier="gold", city="Linz")
        assert written(here)[1:] == [{"tags": {"city": "Linz"}}]


async def test_an_update_of_which_nothing_is_new_makes_no_call(tmp_path: Path) -> None:
    async with rig(tmp_path, SHOP) as here:
        with_user(here)
        await say(here, "m1", tier="gold", city="")
        await here.pass_time(2)
        await say(here, "m2", tier="gold", city="")
        assert len(writes(here)) == 1
        assert await end_of(here, 2) == ("skipped", "unchanged")


async def test_nor_is_it_said_twice_where_users_are_posted_first(tmp_path: Path) -> None:
    async with rig(tmp_path, SHOP, onesignal_upsert="post-first") as here:
        with_user(here)
        await say(here, "m1", tier="gold")
        await here.pass_time(5)
        await say(here, "m2", city="Graz")
        await here.pass_time(5)
        calls = len(writes(here))
        await say(here, "m3", tier="gold")
        assert len(writes(here)) == calls == 2
        # Nor is what such a user has already.
        assert written(here)[1]["tags"] == {"city": "Graz"}


async def test_after_seven_days_a_value_is_written_again(tmp_path: Path) -> None:
    # And so a 202 that changed nothing is healed.
    async with rig(tmp_path, SHOP) as here:
        with_user(here)
        await say(here, "m1", tier="gold")
        here.sandbox.world.app(APP_ID).users[
            next(iter(here.sandbox.world.app(APP_ID).users))
        ].tags = {}
        await here.pass_time(7 * DAY - 60)
        await say(here, "m2", tier="gold")
        assert tags(here) == {}
        await here.pass_time(120)
        await say(here, "m3", tier="gold")
        assert tags(here) == {"tier": "gold"}


async def test_an_older_event_never_writes_over_a_newer_value(tmp_path: Path) -> None:
    async with rig(tmp_path, SHOP) as here:
        with_user(here)
        await say(here, "m1", ago=10, tier="gold")
        await here.pass_time(2)
        await say(here, "m2", ago=60, tier="silver")
        assert tags(here) == {"tier": "gold"}
        assert await end_of(here, 2) == ("skipped", "overtaken")
        await say(here, "m3", ago=50, tier="bronze", city="Graz")
        assert tags(here) == {"tier": "gold", "city": "Graz"}
        assert await end_of(here, 3) == ("delivered", None)


async def test_what_is_said_again_is_as_new_as_the_event_that_said_it_again(tmp_path: Path) -> None:
    async with rig(tmp_path, SHOP) as here:
        with_user(here)
        await say(here, "m1", ago=100, tier="gold")
        await say(here, "m2", ago=10, tier="gold")
        assert await end_of(here, 2) == ("skipped", "unchanged")
        await say(here, "m3", ago=50, tier="silver")
        assert tags(here) == {"tier": "gold"}


async def test_an_older_event_does_not_bring_back_what_was_deleted(tmp_path: Path) -> None:
    async with rig(tmp_path, SHOP) as here:
        with_user(here)
        await say(here, "m1", ago=10, tier="")
        await here.pass_time(2)
        await say(here, "m2", ago=60, tier="gold")
        assert tags(here) == {}


async def test_of_two_at_the_same_moment_the_one_that_came_later_counts(tmp_path: Path) -> None:
    async with rig(tmp_path, SHOP) as here:
        with_user(here)
        moment = iso(here.clock.now_ms())
        for n, tier in enumerate(["gold", "silver"]):
            await here.post({**identify("u1", f"m{n}", tier=tier), "timestamp": moment})
            await here.settle()
        assert tags(here) == {"tier": "silver"}


async def test_a_timestamp_in_the_future_counts_for_five_minutes_at_most(tmp_path: Path) -> None:
    async with rig(tmp_path, SHOP) as here:
        with_user(here)
        await say(here, "m1", ago=-365 * DAY, tier="gold")
        await here.pass_time(240)
        await say(here, "m2", tier="silver")
        assert tags(here) == {"tier": "gold"}
        await here.pass_time(120)
        await say(here, "m3", tier="silver")
        assert tags(here) == {"tier": "silver"}


# Ends other than accepted ----------------------------------------------------------------------


async def test_a_refused_update_is_forgotten_and_its_time_stays(tmp_path: Path) -> None:
    async with rig(tmp_path, SHOP) as here:
        with_user(here)
        await say(here, "m1", ago=100, tier="gold")
        fail(here, {"status": 400})
        await say(here, "m2", ago=50, tier="silver")
        assert await end_of(here, 2) == ("dead", "http_400")
        await say(here, "m3", ago=80, tier="bronze")
        assert await end_of(here, 3) == ("skipped", "overtaken")
        await say(here, "m4", tier="gold")
        assert await end_of(here, 4) == ("delivered", None)
        assert len(written(here)) == 2


async def test_a_timeout_that_was_applied_is_not_taken_for_nothing(tmp_path: Path) -> None:
    # The next event says what the row says, while OneSignal may have something else.
    async with rig(tmp_path, SHOP) as here:
        with_user(here)
        await say(here, "m1", tier="gold")
        await here.pass_time(5)
        fail(here, {"timeout": 60, "applied": True})
        await here.post(identify("u1", "m2", tier="silver"))
        await here.pass_time(1)
        assert tags(here) == {"tier": "silver"}
        await here.post(identify("u1", "m3", tier="gold"))
        await here.settle()
        assert tags(here) == {"tier": "gold"}
        assert (await row(here))["tags.tier"].accepted_ms is not None


async def test_an_update_that_is_given_up_is_forgotten(tmp_path: Path) -> None:
    async with rig(tmp_path, SHOP) as here:
        with_user(here)
        await say(here, "m1", tier="gold")
        fail(here, {"reset": True, "applied": True}, times="until_cleared")
        await here.post(identify("u1", "m2", tier="silver"))
        await here.settle(within=3 * DAY, step=60)
        assert await end_of(here, 2) == ("dead", "exhausted")
        here.sandbox.faults.clear()
        assert tags(here) == {"tier": "silver"}
        await say(here, "m3", tier="gold")
        assert tags(here) == {"tier": "gold"}


async def test_the_row_is_written_with_the_end_of_the_update_and_not_before(tmp_path: Path) -> None:
    clock = ManualClock()
    app = create_sandbox(clock=clock)
    sandbox: Sandbox = app.state.sandbox
    async with rig(tmp_path, SHOP, clock=clock, onesignal=app, drain=0) as here:
        with_user(here)
        fail(here, {"timeout": 60, "applied": True})
        await here.post(identify("u1", "m1", tier="gold"))
        await here.pass_time(1)
        assert await row(here) == {}
        assert (await here.bridge.journal.counts()).pending == 1
    async with rig(tmp_path, SHOP, clock=clock, onesignal=app) as here:
        await here.post(identify("u1", "m2", tier="gold"))
        await here.settle()
        assert {status for *_, status, _ in await here.outcomes()} == {"delivered"}
        assert (await row(here))["tags.tier"].value == "gold"
        assert sandbox.user("u1", app_id=APP_ID) is not None


async def test_what_may_have_been_written_is_in_doubt_though_its_rule_is_gone(
    tmp_path: Path,
) -> None:
    clock = ManualClock()
    app = create_sandbox(clock=clock)
    async with rig(tmp_path, SHOP, clock=clock, onesignal=app) as here:
        with_user(here)
        await say(here, "m1", tier="gold")
        fail(here, {"reset": True, "applied": True}, {"status": 503})
        await here.post(identify("u1", "m2", tier="silver"))
        await here.pass_time(1.5)
        assert tags(here) == {"tier": "silver"}
    without = SHOP.replace('type = "identify"', 'type = "group"')
    async with rig(tmp_path, without, clock=clock, onesignal=app) as here:
        await here.settle()
        assert await end_of(here, 2) == ("skipped", "no_rule")
    async with rig(tmp_path, SHOP, clock=clock, onesignal=app) as here:
        await here.pass_time(5)
        await say(here, "m3", tier="gold")
        assert tags(here) == {"tier": "gold"}


# Created again ---------------------------------------------------------------------------------


def delete_at_onesignal(here: Rig) -> None:
    app = here.sandbox.world.app(APP_ID)
    (user,) = app.users.values()
    app.remove_user(user)


@pytest.mark.parametrize("upsert", ["patch-first", "post-first"])
async def test_a_user_who_was_deleted_at_onesignal_comes_back_whole(
    tmp_path: Path, upsert: str
) -> None:
    async with rig(tmp_path, SHOP, onesignal_upsert=upsert) as here:
        with_user(here)
        first: dict[str, Any] = {f"t{n}": "x" for n in range(90)}
        second: dict[str, Any] = {f"s{n}": "y" for n in range(60)}
        await say(here, "m1", **first)
        await here.pass_time(2)
        await say(here, "m2", **second, tier="", lang="de")
        delete_at_onesignal(here)
        await here.pass_time(120)
        await say(here, "m3", tier="gold")
        assert tags(here) == first | second | {"tier": "gold", "lang": "de"}
        calls = len(writes(here))
        await here.pass_time(5)
        await say(here, "m4", t1="x", s1="y")
        assert len(writes(here)) == calls
        assert not here.sandbox.complaints


async def test_what_did_not_come_back_with_the_user_is_written_when_it_is_said_again(
    tmp_path: Path,
) -> None:
    async with rig(tmp_path, SHOP) as here:
        with_user(here)
        first: dict[str, Any] = {f"t{n}": "x" for n in range(75)}
        second: dict[str, Any] = {f"s{n}": "y" for n in range(75)}
        await say(here, "m1", **first)
        await here.pass_time(2)
        await say(here, "m2", **second)
        delete_at_onesignal(here)
        await here.pass_time(120)
        # The user is not there, is created with as much as a request holds, and the rest is refused.
        fail(here, {"ordinary": True}, {"ordinary": True}, {"status": 400})
        await say(here, "m3", tier="gold")
        assert len(tags(here)) == 100
        await here.pass_time(5)
        await say(here, "m4", **first, **second)
        assert tags(here) == first | second | {"tier": "gold"}


async def test_the_values_of_a_refused_update_do_not_come_back_with_the_user(
    tmp_path: Path,
) -> None:
    async with rig(tmp_path, SHOP) as here:
        with_user(here)
        await say(here, "m1", tier="gold")
        fail(here, {"status": 400})
        await say(here, "m2", tier="silver")
        delete_at_onesignal(here)
        await here.pass_time(120)
        await say(here, "m3", city="Graz")
        assert tags(here) == {"tier": "gold", "city": "Graz"}


# Others ----------------------------------------------------------------------------------------


async def test_what_others_write_too_is_written_even_when_it_is_unchanged(tmp_path: Path) -> None:
    async with rig(tmp_path, AGAIN) as here:
        with_user(here)
        await say(here, "m1", tier="gold")
        (user,) = here.sandbox.world.app(APP_ID).users.values()
        user.tags = {"tier": "theirs"}
        await here.pass_time(5)
        await say(here, "m2", tier="gold")
        assert tags(here) == {"tier": "gold"}
        await here.pass_time(5)
        await say(here, "m3", ago=60, tier="older")
        assert tags(here) == {"tier": "gold"}


async def test_events_in_any_order_end_as_the_latest_say(tmp_path: Path) -> None:
    async with rig(tmp_path, SHOP) as here:
        with_user(here)
        start = here.clock.now_ms()
        for n in [5, 2, 9, 1, 7, 3, 8, 4, 6]:
            event = identify("u1", f"m{n}", a=str(n), **{f"b{n % 3}": str(n)})
            await here.post({**event, "timestamp": iso(start - (10 - n) * 1000)})
            await here.pass_time(0.4)
        await here.settle()
        assert tags(here) == {"a": "9", "b0": "9", "b1": "7", "b2": "8"}
        assert not here.sandbox.complaints


async def test_a_user_of_whom_nothing_is_heard_for_400_days_is_forgotten(tmp_path: Path) -> None:
    async with rig(tmp_path, SHOP) as here:
        with_user(here)
        await say(here, "m1", tier="gold")
        await here.pass_time(7200)
        assert await row(here)
        here.clock.advance(400 * DAY)
        await here.pass_time(7200)
        assert await row(here) == {}


async def test_a_tag_above_the_plan_does_not_sink_those_that_fit(tmp_path: Path) -> None:
    async with rig(tmp_path, SHOP, onesignal_plan="free") as here:
        with_user(here)
        here.sandbox.app(APP_ID).tag_cap = 2
        await say(here, "m1", a="1", b="2")
        await say(here, "m2", a="3", c="4")
        await say(here, "m3", d="5")
        await here.settle()
        assert tags(here) == {"a": "3", "b": "2"}
        assert [(status, reason) for *_, status, reason in await here.outcomes()] == [
            ("delivered", None),
            ("delivered", None),
            ("skipped", "tag_cap"),
        ]


async def test_a_write_that_went_back_is_counted_and_said_without_its_value(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async with rig(tmp_path, SHOP) as here:
        with_user(here)
        await say(here, "m1", tier="gold")
        violations = here.bridge.metrics.order_violations
        assert violations._value.get() == 0
        # No event does this: as if a chain had written without a look at the row.
        user = here.bridge.journal.user_hash(APP, "u1")
        stale = accepted({"tags.tier": "wood"}, Moment(1, 1), here.clock.now_ms() + 1)
        learnt = Known(here.means, user, None).learnt(user, stale)
        await here.bridge.journal.ack([], learnt=learnt, at_ms=here.clock.now_ms())
        assert violations._value.get() == 1
        said = capsys.readouterr().out
        assert "order.violated" in said
        assert f"{user:016x}" in said
        assert "wood" not in said


async def test_events_in_any_order_violate_no_order(tmp_path: Path) -> None:
    async with rig(tmp_path, SHOP) as here:
        with_user(here)
        start = here.clock.now_ms()
        for n in [5, 2, 9, 1, 7]:
            event = identify("u1", f"m{n}", a=str(n))
            await here.post({**event, "timestamp": iso(start - (10 - n) * 1000)})
            await here.settle()
        assert here.bridge.metrics.order_violations._value.get() == 0
