"""Of who was erased nothing is left here, also not under the ids that were given up or taken by others."""

from __future__ import annotations

from pathlib import Path

from bridge.config import DEFAULT as APP
from tests.e2e.test_aliases import HOUR, hear, holders, with_users
from tests.e2e.test_merging_erasure import erase, left
from tests.e2e.test_two_at_once import MAPPING, said
from tests.harness import APP_ID, Rig, rig


async def rows(here: Rig) -> set[int]:
    """Whose states there are."""
    found = await here.bridge.journal._read(
        lambda connection: connection.execute("SELECT user_hash FROM state").fetchall()
    )
    return {row[0] for row in found}


def hash_of(here: Rig, label: str, id_: str) -> int:
    return here.bridge.journal.hash_of(APP, label, id_)


async def test_an_id_that_was_given_up_goes_with_the_user(tmp_path: Path) -> None:
    async with rig(tmp_path, MAPPING) as here:
        with_users(here, "u1", "u2", "u3")
        now = here.clock.now_ms()
        for number, crm in enumerate(("c5", "c6", "c7", "c8")):
            await hear(here, said("Linked", "u1", at_ms=now - (9 - number) * HOUR, crm=crm))
        # One of them was another's since.
        await hear(
            here,
            said("Linked", "u2", at_ms=now - 4 * HOUR, crm="c6"),
            said("Linked", "u2", at_ms=now - 3 * HOUR, crm="c9"),
        )
        await erase(here, "u1")
        await here.settle()
        assert await rows(here) == {
            hash_of(here, "external_id", "u2"),
            hash_of(here, "crm", "c6"),
        }
        await hear(here, said("Linked", "u3", at_ms=now - 5 * HOUR, crm="c6"))
        assert holders(here, "c6") == []


async def test_who_takes_an_id_off_somebody_leaves_nothing_of_who_is_erased_meanwhile(
    tmp_path: Path,
) -> None:
    async with rig(tmp_path, MAPPING) as here:
        with_users(here, "u1", "u2")
        now = here.clock.now_ms()
        await hear(here, said("Linked", "u1", at_ms=now - 2 * HOUR, crm="c7"))
        match = {"method": "PATCH", "path": "*/external_id/u2/identity"}
        answers = [{"ordinary": True}, {"delay": 30}]
        here.sandbox.faults.script({"match": match, "answers": answers, "times": 1})
        await here.post(said("Linked", "u2", at_ms=now - HOUR, crm="c7"))
        await here.pass_time(5)
        assert [call.method for call in here.sandbox.calls][-2:] == ["DELETE", "PATCH"]
        await erase(here, "u1")
        await here.settle()
        assert holders(here) == ["u2"]
        assert await rows(here) == {hash_of(here, "external_id", "u2")}


async def test_nor_does_what_was_seen_of_who_had_it_stay_with_who_has_it(tmp_path: Path) -> None:
    async with rig(tmp_path, MAPPING) as here:
        with_users(here, "ann-8812", "u2")
        now = here.clock.now_ms()
        await hear(
            here,
            said("Linked", "ann-8812", at_ms=now - 2 * HOUR, crm="c7"),
            said("Linked", "u2", at_ms=now - HOUR, crm="c7"),
        )
        await erase(here)
        await here.settle()
        assert holders(here) == ["u2"]
    assert b"8812" not in left(tmp_path)


async def test_who_is_being_erased_keeps_nothing_from_anybody(tmp_path: Path) -> None:
    async with rig(tmp_path, MAPPING) as here:
        with_users(here, "u1", "u2")
        now = here.clock.now_ms()
        await hear(here, said("Linked", "u1", at_ms=now - 2 * HOUR, crm="c7"))
        match = {"method": "DELETE", "path": "*/users/by/external_id/u1"}
        answers = [{"status": 429, "headers": {"Retry-After": "300"}}]
        here.sandbox.faults.script({"match": match, "answers": answers, "times": 1})
        await erase(here, "u1")
        await here.pass_time(3)
        await hear(here, said("Linked", "u2", at_ms=now - HOUR, crm="c7"))
        assert holders(here) == ["u2"]
        assert not await here.bridge.journal.dead_letters()
        await here.settle()
        assert here.sandbox.user("u1", app_id=APP_ID) is None
