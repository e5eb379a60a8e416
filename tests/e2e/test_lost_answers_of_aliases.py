"""An alias that OneSignal may have given to somebody, and whose answer nobody heard: the later word counts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from bridge.app.people import written
from bridge.clock import ManualClock
from bridge.config import DEFAULT as APP
from bridge.sandbox import Sandbox, create_sandbox
from tests.e2e.test_aliases import HOUR, hear, holders, how, with_users
from tests.e2e.test_two_at_once import MAPPING, said
from tests.harness import APP_ID, Rig, rig

LOST = {"reset": True, "applied": True}
TRIES = {"Linked": "u1", "LinkedBy": "u9"}
"""Who says it of u1."""


def next_identity(sandbox: Sandbox, answer: dict[str, Any], user: str = "u1") -> None:
    match = {"method": "PATCH", "path": f"*/external_id/{user}/identity"}
    sandbox.faults.script({"match": match, "answers": [answer], "times": 1})


def first(event: str, at_ms: int, crm: str = "c7") -> dict[str, Any]:
    return said(event, TRIES[event], at_ms=at_ms, who="u1", crm=crm)


async def is_the_last_word(here: Rig, user: str) -> None:
    assert holders(here) == [user]
    assert not await here.bridge.journal.dead_letters()
    (metric,) = here.means.metrics.order_violations.collect()
    assert not any(one.value for one in metric.samples if one.name.endswith("_total"))


@pytest.mark.parametrize("event", TRIES)
async def test_who_says_so_later_has_it_while_the_other_waits_to_ask_again(
    tmp_path: Path, event: str
) -> None:
    async with rig(tmp_path, MAPPING) as here:
        with_users(here, "u1", "u2", "u9")
        now = here.clock.now_ms()
        next_identity(here.sandbox, LOST)
        await here.post(first(event, now - 2 * HOUR))
        await here.still()
        assert holders(here) == ["u1"]
        await hear(here, said("Linked", "u2", at_ms=now - HOUR, crm="c7"))
        await is_the_last_word(here, "u2")
        assert await how(here) == [("skipped", "overtaken"), ("delivered", None)]


@pytest.mark.parametrize("event", TRIES)
@pytest.mark.parametrize(("later", "has"), [(HOUR, "u2"), (-HOUR, "u1")])
async def test_so_it_is_when_the_process_ended_before_the_answer(
    tmp_path: Path, event: str, later: int, has: str
) -> None:
    clock = ManualClock()
    app = create_sandbox(clock=clock)
    sandbox: Sandbox = app.state.sandbox
    now = clock.now_ms() - 3 * HOUR
    async with rig(tmp_path, MAPPING, clock=clock, onesignal=app, drain=0) as here:
        with_users(here, "u1", "u2", "u9")
        next_identity(sandbox, {"timeout": 60, "applied": True})
        await here.post(first(event, now))
        await here.pass_time(5)
        assert holders(here) == ["u1"]
    async with rig(tmp_path, MAPPING, clock=clock, onesignal=app) as here:
        # The other is worked on first, because who asks again is not answered at once.
        next_identity(sandbox, {"status": 503})
        await here.pass_time(2)
        await hear(here, said("Linked", "u2", at_ms=now + later, crm="c7"))
        await is_the_last_word(here, has)


async def test_what_the_user_had_before_is_asked_for_again_if_that_was_the_last_word(
    tmp_path: Path,
) -> None:
    clock = ManualClock()
    app = create_sandbox(clock=clock)
    now = clock.now_ms() - 5 * HOUR
    async with rig(tmp_path, MAPPING, clock=clock, onesignal=app, drain=0) as here:
        with_users(here, "u1", "u9")
        await hear(here, said("Linked", "u1", at_ms=now, crm="c6"))
        await here.pass_time(5)
        next_identity(here.sandbox, {"timeout": 60, "applied": True})
        await here.post(first("LinkedBy", now + HOUR))
        await here.pass_time(5)
        assert holders(here) == ["u1"]
    async with rig(tmp_path, MAPPING, clock=clock, onesignal=app) as here:
        next_identity(here.sandbox, {"status": 429, "headers": {"Retry-After": "20"}})
        await here.pass_time(2)
        await hear(here, said("Linked", "u1", at_ms=now + 2 * HOUR, crm="c6"))
        assert (holders(here, "c6"), holders(here)) == (["u1"], [])


async def test_two_answers_in_a_row_can_be_lost(tmp_path: Path) -> None:
    async with rig(tmp_path, MAPPING) as here:
        with_users(here, "u1", "u2", "u8", "u9")
        now = here.clock.now_ms()
        next_identity(here.sandbox, LOST)
        await here.post(first("LinkedBy", now - 3 * HOUR))
        await here.still()
        next_identity(here.sandbox, {"reset": True})
        await here.pass_time(1.1)
        await here.post(said("LinkedBy", "u8", at_ms=now - 2 * HOUR, who="u1", crm="c8"))
        await here.still()
        await hear(here, said("Linked", "u2", at_ms=now - HOUR, crm="c7"))
        await is_the_last_word(here, "u2")
        assert holders(here, "c8") == ["u1"]


async def test_what_was_asked_for_in_vain_is_not_known_to_be_anybodys(tmp_path: Path) -> None:
    async with rig(tmp_path, MAPPING) as here:
        with_users(here, "u1", "u2", "u3")
        now, there = here.clock.now_ms(), here.sandbox.world.app(APP_ID)
        users = {name: here.sandbox.user(name, app_id=APP_ID) for name in ("u1", "u2")}
        assert users["u1"] is not None
        assert users["u2"] is not None
        there.link(users["u1"], {"crm": "c7"})
        await hear(here, said("Linked", "u2", at_ms=now - 2 * HOUR, crm="c7"))
        # A person gives it to the one who asked.
        there.unlink(users["u1"], "crm")
        there.link(users["u2"], {"crm": "c7"})
        await hear(here, said("Linked", "u3", at_ms=now - HOUR, crm="c7"))
        assert holders(here) == ["u2"]
        assert [one[1] for one in await how(here)] == ["alias_conflict", "alias_conflict"]


async def test_nor_is_what_was_refused_for_another_reason(tmp_path: Path) -> None:
    async with rig(tmp_path, MAPPING) as here:
        with_users(here, "u1", "u2")
        now, user = here.clock.now_ms(), here.sandbox.user("u1", app_id=APP_ID)
        assert user is not None
        next_identity(here.sandbox, {"status": 400})
        await hear(here, said("Linked", "u1", at_ms=now - 2 * HOUR, crm="c7"))
        # A person gives it to the one who asked.
        here.sandbox.world.app(APP_ID).link(user, {"crm": "c7"})
        await hear(here, said("Linked", "u2", at_ms=now - HOUR, crm="c7"))
        assert holders(here) == ["u1"]
        assert [one[1] for one in await how(here)] == ["http_400", "alias_conflict"]


async def test_what_was_asked_for_is_no_part_of_a_user_who_is_created_again(tmp_path: Path) -> None:
    async with rig(tmp_path, MAPPING) as here:
        with_users(here, "u1")
        now = here.clock.now_ms()
        next_identity(here.sandbox, LOST)
        await here.post(first("Linked", now - 2 * HOUR))
        await here.still()
        assert await written(here.bridge, APP, "u1") == []
        found = here.sandbox.user("u1", app_id=APP_ID)
        assert found is not None
        here.sandbox.world.app(APP_ID).remove_user(found)
        await hear(here, said("Tagged", "u1", at_ms=now - HOUR, tier="gold"))
        again = here.sandbox.user("u1", app_id=APP_ID)
        assert again is not None
        assert (again.tags, again.aliases) == (
            {"tier": "gold"},
            {"external_id": "u1", "crm": "c7"},
        )
        assert not here.sandbox.complaints


# What somebody had, and has no more --------------------------------------------------------------------


async def test_an_id_that_was_anothers_by_a_later_word_is_not_given_back_by_an_earlier_one(
    tmp_path: Path,
) -> None:
    async with rig(tmp_path, MAPPING) as here:
        with_users(here, "u1", "u2")
        now = here.clock.now_ms()
        await hear(
            here,
            said("Linked", "u1", at_ms=now - 5 * HOUR, crm="c7"),
            said("Linked", "u2", at_ms=now - 3 * HOUR, crm="c7"),
            said("Linked", "u2", at_ms=now - 2 * HOUR, crm="c8"),
            said("Linked", "u1", at_ms=now - 4 * HOUR, crm="c7"),
        )
        assert (holders(here), holders(here, "c8")) == ([], ["u2"])
        assert (await how(here))[-1] == ("skipped", "overtaken")
        await hear(here, said("Linked", "u1", at_ms=now - HOUR, crm="c7"))
        await is_the_last_word(here, "u1")


async def test_who_was_given_another_id_in_vain_has_the_one_before(tmp_path: Path) -> None:
    async with rig(tmp_path, MAPPING) as here:
        with_users(here, "u1", "u2", "u3")
        now = here.clock.now_ms()
        await hear(
            here,
            said("Linked", "u3", at_ms=now, crm="c8"),
            said("Linked", "u2", at_ms=now - 4 * HOUR, crm="c7"),
            said("Linked", "u2", at_ms=now - 3 * HOUR, crm="c8"),
            said("Linked", "u2", at_ms=now - 2 * HOUR, crm="c7"),
        )
        assert (holders(here), holders(here, "c8")) == (["u2"], ["u3"])
        assert [one[1] for one in await how(here)] == [None, None, "overtaken", "unchanged"]
        await hear(here, said("Linked", "u1", at_ms=now - HOUR, crm="c7"))
        await is_the_last_word(here, "u1")
