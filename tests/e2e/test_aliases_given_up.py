"""An id that its user has no more: nothing older than that gives it to anybody, and nobody is kept from it."""

from __future__ import annotations

from pathlib import Path

from tests.e2e.test_aliases import HOUR, hear, holders, how, with_users
from tests.e2e.test_lost_answers_of_aliases import LOST, first, next_identity
from tests.e2e.test_two_at_once import MAPPING, said
from tests.harness import rig

HELD = {"status": 429, "headers": {"Retry-After": "5"}}


async def test_what_a_user_may_have_had_is_not_given_to_who_was_said_to_have_it_before(
    tmp_path: Path,
) -> None:
    async with rig(tmp_path, MAPPING) as here:
        with_users(here, "u1", "u3", "u9")
        now = here.clock.now_ms()
        here.means.roll = lambda: 0.99  # the other is worked on before it is asked again
        next_identity(here.sandbox, LOST)
        await here.post(first("LinkedBy", now - 3 * HOUR))
        await here.still()
        assert holders(here) == ["u1"]
        await here.pass_time(1.1)
        await hear(here, said("Linked", "u1", at_ms=now - 2 * HOUR, crm="c8"))
        await hear(here, said("Linked", "u3", at_ms=now - 4 * HOUR, crm="c7"))
        assert (holders(here), holders(here, "c8")) == ([], ["u1"])
        assert (await how(here))[-1] == ("skipped", "overtaken")
        await hear(here, said("Linked", "u3", at_ms=now - HOUR, crm="c7"))
        assert holders(here) == ["u3"]


async def test_an_id_that_is_refused_says_nothing_of_when_the_one_before_was_said(
    tmp_path: Path,
) -> None:
    async with rig(tmp_path, MAPPING) as here:
        with_users(here, "u1", "u2")
        now = here.clock.now_ms()
        await hear(here, said("Linked", "u2", at_ms=now - 4 * HOUR, crm="c7"))
        next_identity(here.sandbox, {"status": 400}, "u2")
        await hear(here, said("Linked", "u2", at_ms=now - 2 * HOUR, crm="c8"))
        await hear(here, said("Linked", "u1", at_ms=now - 3 * HOUR, crm="c7"))
        assert holders(here) == ["u1"]


async def test_nor_is_what_a_user_was_given_while_another_id_was_asked_for(tmp_path: Path) -> None:
    async with rig(tmp_path, MAPPING) as here:
        with_users(here, "u1", "u2", "u3")
        now = here.clock.now_ms()
        here.means.roll = lambda: 0.99
        await hear(here, said("Linked", "u3", at_ms=now - 9 * HOUR, crm="c8"))
        looks = {"match": {"class": "view"}, "answers": [{"status": 500}], "times": 1}
        here.sandbox.faults.script(looks)
        await here.post(said("Linked", "u1", at_ms=now - HOUR, crm="c8"))
        await here.still()
        await hear(here, said("Linked", "u1", at_ms=now - 3 * HOUR, crm="c7"))
        assert holders(here, "c8") == ["u1"]
        await hear(here, said("Linked", "u2", at_ms=now - 4 * HOUR, crm="c7"))
        assert holders(here) == []


async def test_nor_is_what_a_user_gives_up_at_this_very_moment(tmp_path: Path) -> None:
    async with rig(tmp_path, MAPPING) as here:
        with_users(here, "u1", "u2")
        now = here.clock.now_ms()
        await hear(here, said("Linked", "u2", at_ms=now - 2 * HOUR, crm="c7"))
        looks = {"match": {"class": "view"}, "answers": [HELD], "times": 1}
        here.sandbox.faults.script(looks)
        await here.post(said("Linked", "u1", at_ms=now - 3 * HOUR, crm="c7"))
        await here.pass_time(2)
        await hear(here, said("Linked", "u2", at_ms=now - HOUR, crm="c8"))
        assert (holders(here), holders(here, "c8")) == ([], ["u2"])
