"""Whoever is erased is erased under every id: what was said of the visitor goes with the user."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from sqlite3 import connect
from typing import Any

import pytest

from bridge.deliver.erasing import forget
from tests.harness import APP_ID, Rig, identify, iso, rig
from tests.visitors import (
    ALIAS,
    EXTERNAL,
    POLICIES,
    alias,
    anonymously,
    say,
    signs_up,
    visitor,
    visits,
)


def left(folder: Path) -> bytes:
    with closing(connect(folder / "bridge.db")) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return (folder / "bridge.db").read_bytes()


async def erase(here: Rig, user: str = "ann-8812") -> None:
    whose = await forget(here.bridge.journal, "default", user, now_ms=here.clock.now_ms())
    here.lanes.nudge(whose)


@POLICIES
@pytest.mark.parametrize("user_is_there", [True, False])
async def test_the_user_and_the_visitor_are_erased(
    tmp_path: Path, mapping: str, *, user_is_there: bool
) -> None:
    async with rig(tmp_path, mapping) as here:
        if user_is_there:
            here.sandbox.add_device("ann-8812", "android", app_id=APP_ID)
        who = "visitor-4711"
        await say(here, visits("shoes", who, "m1"), anonymously("Once", who, message_id="m2"))
        await say(
            here, signs_up("ann-8812", who, "m3", tier="gold-4711"), visits("hats", who, "m4")
        )
        await erase(here)
        await here.settle()
        assert here.sandbox.users == []
        assert (
            await here.bridge.journal.identities.ids(
                here.bridge.journal.user_hash("default", "ann-8812")
            )
            == []
        )
        await here.pass_time(3600)
        assert not here.sandbox.complaints
    found = left(tmp_path)
    assert b"4711" not in found
    assert b"8812" not in found


async def test_whoever_is_named_by_an_id_of_before_is_erased_whole(tmp_path: Path) -> None:
    async with rig(tmp_path, EXTERNAL) as here:
        await say(here, identify("old-4711", "m1", tier="1"), alias("new-8812", "old-4711", "m2"))
        await erase(here, "old-4711")
        await here.settle()
        assert here.sandbox.users == []
    assert b"8812" not in left(tmp_path)


@POLICIES
async def test_a_late_event_of_the_visitor_brings_nobody_back(tmp_path: Path, mapping: str) -> None:
    async with rig(tmp_path, mapping) as here:
        await say(here, visits("shoes"), signs_up("ann-8812"))
        await erase(here)
        await here.settle()
        await say(here, visits("late"))
        assert here.sandbox.users == []
        await here.pass_time(600)
        await say(here, visits("new"))
        found = visitor(here, mapping)
        assert found is not None
        assert found.tags == {"seen": "new"}


@POLICIES
@pytest.mark.parametrize("failing", [{"status": 503}, {"reset": True, "applied": True}])
async def test_an_erasure_in_the_middle_of_a_merge_ends_the_merge(
    tmp_path: Path, mapping: str, failing: Any
) -> None:
    async with rig(tmp_path, mapping) as here:
        here.sandbox.add_device("ann-8812", "android", app_id=APP_ID)
        await say(here, visits("shoes"))
        before = visitor(here, mapping)
        assert before is not None
        here.sandbox.world.app(APP_ID).subscribe(before, "ChromePush", "browser")
        here.sandbox.faults.script(
            {"match": {"text": "ann-8812"}, "answers": [failing], "times": 2}
        )
        await here.post(signs_up("ann-8812"))
        await here.pass_time(1)
        await erase(here)
        await here.settle()
        assert here.sandbox.users == []
        assert (await here.bridge.journal.counts()).pending == 0
        await here.pass_time(60)
        assert here.sandbox.users == []


async def test_a_user_who_signs_up_again_is_somebody_new(tmp_path: Path) -> None:
    async with rig(tmp_path, ALIAS) as here:
        await say(here, visits("shoes"), signs_up("ann-8812"))
        await erase(here)
        await here.settle()
        await here.pass_time(600)
        await say(here, visits("new"), signs_up("ann-8812", message_id="again", tier="gold"))
        found = here.sandbox.user("ann-8812", app_id=APP_ID)
        assert found is not None
        assert found.tags == {"seen": "new", "tier": "gold"}


async def test_who_is_erased_before_the_link_takes_nobody_along(tmp_path: Path) -> None:
    async with rig(tmp_path, EXTERNAL) as here:
        await say(here, identify("old-4711", "m1", tier="1"), identify("ann-8812", "m2", tier="2"))
        here.sandbox.faults.script(
            {"match": {"path": "*old-4711"}, "answers": [{"status": 503}], "times": 5}
        )
        await erase(here, "old-4711")
        await here.pass_time(1)
        await here.post(alias("ann-8812", "old-4711", "m3"))
        await here.settle()
        assert [user.aliases["external_id"] for user in here.sandbox.users] == ["ann-8812"]
        assert {(seq, status, reason) for seq, *_, status, reason in await here.outcomes()} == {
            (1, "delivered", None),
            (2, "delivered", None),
            (3, "delivered", None),
            (4, "skipped", "erased"),
        }
    assert b"4711" not in left(tmp_path)


async def test_a_late_event_of_who_was_erased_is_nobodys_though_the_id_was_used_again(
    tmp_path: Path,
) -> None:
    async with rig(tmp_path, EXTERNAL) as here:
        await say(here, visits("shoes"))
        before = iso(here.clock.now_ms())
        await erase(here, "a1")
        await here.settle()
        await here.pass_time(600)
        await say(here, signs_up("ann-8812", tier="gold"))
        await say(here, visits("late", message_id="late", timestamp=before))
        found = here.sandbox.user("ann-8812", app_id=APP_ID)
        assert found is not None
        assert found.tags == {"tier": "gold"}
