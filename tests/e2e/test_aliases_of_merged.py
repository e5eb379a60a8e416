"""Aliases of two who are found to be one: of two ids the later is the person's, and the other is free again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from bridge.clock import ManualClock
from bridge.sandbox import create_sandbox
from tests.e2e.test_aliases import HOUR, hear, with_users
from tests.harness import APP_ID, Rig, identify, iso, rig, track
from tests.visitors import ALIAS, EXTERNAL, LABEL, signs_up, visitor, visits

RULES = """
  - name: crm
    when: event = "Linked"
    do: {create_alias: {label: crm, id: "{{ properties.crm }}"}}
  - name: crm-of-another
    when: event = "LinkedBy"
    do: {create_alias: {to: {external_id: "{{ properties.who }}"}, label: crm, id: "{{ properties.crm }}"}}
"""
BOTH = pytest.mark.parametrize("policy", [ALIAS, EXTERNAL], ids=["alias", "external_id"])
_numbers = iter(range(1_000_000))


def said(who: str, at_ms: int, crm: str, of: str | None = None) -> dict[str, Any]:
    """A visitor is called a…, a user u…."""
    name, properties = f"n{next(_numbers)}", {"crm": crm}
    kind = "Linked"
    if of is not None:
        kind, properties = "LinkedBy", properties | {"who": of}
    one = track(kind, who, name, properties=properties, timestamp=iso(at_ms))
    return one | {"userId": None, "anonymousId": who} if who.startswith("a") else one


def holders(here: Rig, crm: str) -> list[str | None]:
    users = here.sandbox.world.app(APP_ID).users.values()
    return [
        user.external_id or user.aliases.get(LABEL)
        for user in users
        if user.aliases.get("crm") == crm
    ]


async def fine(here: Rig) -> None:
    assert [one.reason for one in await here.bridge.journal.dead_letters()] == []
    assert not here.sandbox.complaints


@BOTH
async def test_what_the_visitor_had_before_the_users_is_anybodys_by_a_later_word(
    tmp_path: Path, policy: str
) -> None:
    async with rig(tmp_path, policy + RULES) as here:
        with_users(here, "u1", "u3")
        now = here.clock.now_ms()
        await hear(here, said("a1", now - 5 * HOUR, "c7"), said("u1", now - 4 * HOUR, "c8"))
        await hear(here, signs_up(tier="gold"))
        assert (holders(here, "c7"), holders(here, "c8")) == ([], ["u1"])
        await hear(here, said("u3", now - 6 * HOUR, "c7"))
        assert holders(here, "c7") == []
        await hear(here, said("u3", now - 3 * HOUR, "c7"))
        assert (holders(here, "c7"), holders(here, "c8")) == (["u3"], ["u1"])
        await fine(here)


@BOTH
@pytest.mark.parametrize("user_is_there", [True, False])
async def test_what_the_user_had_before_the_visitors_is_nobodys_by_an_earlier_word(
    tmp_path: Path, policy: str, *, user_is_there: bool
) -> None:
    async with rig(tmp_path, policy + RULES) as here:
        with_users(here, "u1", "u3")
        now = here.clock.now_ms()
        await hear(here, said("u1", now - 5 * HOUR, "c7"), said("a1", now - 4 * HOUR, "c8"))
        if not user_is_there:
            gone = here.sandbox.user("u1", app_id=APP_ID)
            assert gone is not None
            here.sandbox.world.app(APP_ID).remove_user(gone)
        await hear(here, signs_up(tier="gold"))
        assert (holders(here, "c7"), holders(here, "c8")) == ([], ["u1"])
        await hear(here, said("u3", now - 6 * HOUR, "c7"))
        assert holders(here, "c7") == []
        await hear(here, said("u3", now - 3 * HOUR, "c7"))
        assert holders(here, "c7") == ["u3"]
        await fine(here)


@BOTH
async def test_what_the_person_may_have_been_given_when_the_process_ended_is_known(
    tmp_path: Path, policy: str
) -> None:
    clock = ManualClock()
    app = create_sandbox(clock=clock)
    faults, now = app.state.sandbox.faults, clock.now_ms() - 9 * HOUR
    async with rig(tmp_path, policy + RULES, clock=clock, onesignal=app, drain=0) as here:
        with_users(here, "u1", "u3", "u9")
        await hear(here, said("u1", now + HOUR, "c6"), said("a1", now + 2 * HOUR, "c7"))
        match = {"method": "PATCH", "path": "*/external_id/u1/identity", "text": "c7"}
        answers = [{"timeout": 60, "applied": True}]
        faults.script({"match": match, "answers": answers, "times": 1})
        await here.post(signs_up())
        await here.pass_time(8)
        assert holders(here, "c7") == ["u1"]
    async with rig(tmp_path, policy + RULES, clock=clock, onesignal=app) as here:
        match = {"method": "DELETE", "path": "*/identity/crm"}
        faults.script({"match": match, "answers": [{"status": 503}], "times": 1})
        here.means.roll = lambda: 0.9
        await here.pass_time(1.1)
        await hear(here, said("u9", now + 3 * HOUR, "c9", of="u1"))
        await hear(here, said("u3", now, "c7"), said("u3", now, "c6"))
        assert [holders(here, crm) for crm in ("c6", "c7", "c9")] == [[], [], ["u1"]]
        await fine(here)


@BOTH
@pytest.mark.parametrize("later", [HOUR, -HOUR])
async def test_while_a_merge_waits_the_visitors_id_is_the_persons(
    tmp_path: Path, policy: str, later: int
) -> None:
    async with rig(tmp_path, policy + RULES) as here:
        with_users(here, "u1", "u3")
        now = here.clock.now_ms()
        await hear(here, said("a1", now - 3 * HOUR, "c7"))
        before = visitor(here, policy)
        assert before is not None
        device = here.sandbox.world.app(APP_ID).subscribe(before, "ChromePush", "browser")
        path = "*/a1/identity"
        away = [{"status": 429, "headers": {"Retry-After": "600"}}]
        match = {"method": "PATCH", "path": path}
        here.sandbox.faults.script({"match": match, "answers": away, "times": 1})
        here.sandbox.faults.script({"match": match, "answers": [{"status": 503}] * 3, "times": 1})
        here.means.roll = lambda: 0.99
        await here.post(signs_up(tier="gold"))
        await here.pass_time(1)
        await here.post(said("u3", now - 3 * HOUR + later, "c7"))
        await here.settle()
        assert device.owner.external_id == "u1"
        assert holders(here, "c7") == (["u3"] if later > 0 else ["u1"])
        await fine(here)


@BOTH
async def test_what_the_visitor_had_is_not_kept_by_the_emptied_user_when_the_person_has_lost_it(
    tmp_path: Path, policy: str
) -> None:
    async with rig(tmp_path, policy + RULES) as here:
        with_users(here, "u1", "u3", "u9")
        now = here.clock.now_ms()
        await hear(here, said("u1", now - 6 * HOUR, "c6"), said("a1", now - 5 * HOUR, "c7"))
        match = {"method": "DELETE", "path": "*/identity/crm"}
        away = [{"status": 503}, {"status": 429, "headers": {"Retry-After": "30"}}]
        here.sandbox.faults.script({"match": match, "answers": away, "times": 1})
        here.means.roll = lambda: 0.99
        await here.post(signs_up())
        while here.sandbox.calls[-1].method != "DELETE":
            await here.pass_time(0.25)
        await here.post(said("u3", now - 2 * HOUR, "c7"))
        await here.pass_time(1.1)
        await here.post(said("u9", now - HOUR, "c9", of="u1"))
        await here.settle()
        assert [holders(here, crm) for crm in ("c7", "c9")] == [["u3"], ["u1"]]
        await fine(here)


@BOTH
async def test_nor_when_the_merge_was_refused_at_first(tmp_path: Path, policy: str) -> None:
    async with rig(tmp_path, policy + RULES) as here:
        with_users(here, "u1")
        now = here.clock.now_ms()
        await hear(here, said("a1", now - 5 * HOUR, "c7"), said("u1", now - 4 * HOUR, "c8"))
        match = {"method": "PATCH", "path": "*/a1/identity"}
        here.sandbox.faults.script({"match": match, "answers": [{"status": 400}], "times": 1})
        await hear(here, signs_up())
        (dead,) = await here.bridge.journal.dead_letters()
        await here.bridge.piles.replay(dead.id, replan=False, who="test")
        await here.settle()
        assert (holders(here, "c7"), holders(here, "c8")) == ([], ["u1"])
        await fine(here)


async def test_a_visitor_who_says_what_another_has_does_not_become_that_one(tmp_path: Path) -> None:
    async with rig(tmp_path, ALIAS + RULES) as here:
        with_users(here, "u2")
        now = here.clock.now_ms()
        await hear(here, said("u2", now - 5 * HOUR, "c7"), said("a1", now - 4 * HOUR, "c7"))
        assert holders(here, "c7") == ["a1"]
        await hear(here, signs_up(tier="gold"), said("u2", now - 3 * HOUR, "c8"))
        users = {user.external_id: user for user in here.sandbox.users}
        assert set(users) == {"u1", "u2"}
        assert len(users["u2"].subscriptions) == 1
        assert (users["u1"].tags, users["u2"].tags) == ({"tier": "gold"}, {})
        assert (holders(here, "c7"), holders(here, "c8")) == (["u1"], ["u2"])
        await fine(here)


@pytest.mark.parametrize("is_there", [True, False])
async def test_nor_does_who_takes_what_a_visitor_had_become_the_visitor(
    tmp_path: Path, *, is_there: bool
) -> None:
    async with rig(tmp_path, ALIAS + RULES) as here:
        with_users(here, *["u2"] * is_there)
        now = here.clock.now_ms()
        await hear(here, said("a1", now - 5 * HOUR, "c7"), visits("shoes"))
        before = visitor(here, ALIAS)
        assert before is not None
        here.sandbox.world.app(APP_ID).subscribe(before, "ChromePush", "browser")
        await hear(here, said("u2", now - 4 * HOUR, "c7"))
        assert holders(here, "c7") == ["u2"]
        await hear(here, signs_up(tier="gold"))
        users = {user.external_id: user for user in here.sandbox.users}
        assert users["u1"] is before
        assert (len(before.subscriptions), before.tags) == (1, {"seen": "shoes", "tier": "gold"})
        assert users["u2"].aliases == {"external_id": "u2", "crm": "c7"}
        await fine(here)


async def test_a_user_who_is_created_again_has_the_aliases_of_before(tmp_path: Path) -> None:
    async with rig(tmp_path, ALIAS + RULES) as here:
        with_users(here, "u2")
        now = here.clock.now_ms()
        await hear(here, said("u2", now - 5 * HOUR, "c7"))
        gone = here.sandbox.user("u2", app_id=APP_ID)
        assert gone is not None
        here.sandbox.world.app(APP_ID).remove_user(gone)
        await hear(here, identify("u2", tier="gold"))
        assert holders(here, "c7") == ["u2"]
        await hear(here, said("u2", now - HOUR, "c7"))
        await fine(here)
