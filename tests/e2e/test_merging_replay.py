"""What a person replays after a merge: it counts for the person, and every merge of an event is told."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from bridge.deliver.replay import replay
from bridge.journal.piles import EVERYTHING
from bridge.onesignal.operations import Recipient
from bridge.onesignal.user_model import readdressed
from tests.harness import APP_ID, Rig, identify, rig, track
from tests.visitors import (
    ALIAS,
    EXTERNAL,
    POLICIES,
    alias,
    anonymously,
    known,
    say,
    signs_up,
    visitor,
    visits,
)

UNCAPPED = ALIAS.replace("once_per: {time: 7d}", "once_per: {time: 7d}\n    cap: off")


async def again(here: Rig) -> None:
    """Replay whatever is dead now."""
    piles = here.bridge.journal.piles
    last = await piles.last_dead()
    for one in await piles.dead_ids(EVERYTHING, after=0, last=last, limit=10):
        done = await replay(here.bridge.journal, one, now_ms=here.clock.now_ms())
        assert done.dead is not None
        here.lanes.nudge(done.dead.user_hash)
    await here.settle()


@pytest.mark.parametrize("mapping", [ALIAS, UNCAPPED], ids=["cap", "no cap"])
async def test_what_the_visitor_gets_by_a_replay_the_user_does_not_get_again(
    tmp_path: Path, mapping: str
) -> None:
    async with rig(tmp_path, mapping) as here:
        await say(here, visits("shoes"))
        here.sandbox.faults.script(
            {"match": {"path": "*notifications"}, "answers": [{"status": 400}]}
        )
        await say(here, anonymously("Once"), signs_up())
        here.sandbox.add_device("u1", "android", app_id=APP_ID)
        await again(here)
        await say(here, track("Once"))
        once = [one for one in await here.outcomes() if one[1] == "once"]
        assert [(status, reason) for *_, status, reason in once] == [
            ("delivered", None),
            ("skipped", "once_per"),
        ]


@pytest.mark.parametrize("refused", [1, 2])
async def test_of_two_merges_of_an_event_the_refused_is_told_and_replayed(
    tmp_path: Path, refused: int
) -> None:
    async with rig(tmp_path, ALIAS) as here:
        await say(here, visits("shoes"), identify("a1", "m1", tier="gold"))
        answers = [{"status": 400}] * refused
        here.sandbox.faults.script({"match": {"path": "*identity"}, "answers": answers})
        await say(here, alias("u1", "a1"))
        await here.pass_time(60)
        merged = [one for one in await here.outcomes() if one[2] == "merge_users"]
        assert merged == [(3, "", "merge_users", "dead", "http_400")]
        await again(here)
        await here.pass_time(60)
        merged = [one for one in await here.outcomes() if one[2] == "merge_users"]
        assert merged == [(3, "", "merge_users", "delivered", None)]
        assert known(here).tags == {"seen": "shoes", "tier": "gold"}


def merges(folder: Path) -> int:
    with closing(sqlite3.connect(folder / "bridge.db")) as connection:
        return int(connection.execute("SELECT count(*) FROM merge").fetchone()[0])


@pytest.mark.parametrize("how", ["it expires", "a person discards it"])
async def test_a_refused_merge_goes_with_its_letter(tmp_path: Path, how: str) -> None:
    async with rig(tmp_path, ALIAS) as here:
        await say(here, visits("shoes"))
        answers = [{"status": 400}]
        here.sandbox.faults.script({"match": {"path": "*identity"}, "answers": answers})
        await say(here, signs_up(tier="gold"))
        assert merges(tmp_path) == 1
        if how == "it expires":
            later = here.clock.now_ms() + 1
            await here.bridge.journal.retention.dead(
                after=0, dead_ms=later, left_ms=later, limit=10
            )
        else:
            (dead,) = await here.bridge.journal.dead_letters()
            done = await here.bridge.journal.piles.discard_dead(
                [dead.id], at_ms=here.clock.now_ms()
            )
            assert done == 1
        assert merges(tmp_path) == 0


@pytest.mark.parametrize("mapping", [ALIAS, EXTERNAL], ids=["alias", "external id"])
async def test_whoever_is_asked_for_by_an_id_of_before_has_all_that_is_the_persons(
    tmp_path: Path, mapping: str
) -> None:
    async with rig(tmp_path, mapping) as here:
        here.sandbox.add_device("u1", "android", app_id=APP_ID)
        await say(here, visits("shoes"), signs_up())
        here.sandbox.faults.script(
            {"match": {"path": "*notifications"}, "answers": [{"status": 400}]}
        )
        await say(here, track("Once"))
        piles = here.bridge.journal.piles
        last = await piles.last_dead()
        for user, found in (("u1", 1), ("a1", 1), ("u2", 0)):
            choice = EVERYTHING._replace(user=user)
            assert len(await piles.dead_ids(choice, after=0, last=last, limit=10)) == found


@POLICIES
@pytest.mark.parametrize("is_known", [True, False], ids=["both known", "one known"])
async def test_a_push_that_is_replayed_goes_to_whom_the_visitor_was_found_to_be(
    tmp_path: Path, mapping: str, *, is_known: bool
) -> None:
    async with rig(tmp_path, mapping) as here:
        await say(here, visits("shoes"))
        before = visitor(here, mapping)
        assert before is not None
        device = here.sandbox.world.app(APP_ID).subscribe(before, "ChromePush", "browser")
        here.sandbox.faults.script(
            {"match": {"path": "*notifications"}, "answers": [{"status": 400}]}
        )
        await say(here, anonymously("Hello"))
        if is_known:
            here.sandbox.add_device("u1", "huawei", app_id=APP_ID)
        await say(here, signs_up(tier="gold"))
        await again(here)
        assert [push.subscription_id for push in here.sandbox.pushes] == [device.id]
        (hello,) = [one for one in await here.outcomes() if one[1] == "hello"]
        assert hello[3:] == ("delivered", None)
        assert not here.sandbox.complaints


@POLICIES
async def test_what_may_have_reached_the_visitor_is_replayed_as_it_was(
    tmp_path: Path, mapping: str
) -> None:
    async with rig(tmp_path, mapping) as here:
        await say(here, visits("shoes"))
        before = visitor(here, mapping)
        assert before is not None
        here.sandbox.world.app(APP_ID).subscribe(before, "ChromePush", "browser")
        answers = [{"reset": True, "applied": True}, {"status": 400}]
        here.sandbox.faults.script({"match": {"path": "*notifications"}, "answers": answers})
        await say(here, anonymously("Hello"), signs_up(tier="gold"))
        (dead,) = await here.bridge.journal.dead_letters()
        assert dead.uncertain
        await again(here)
        calls = [call.body for call in here.sandbox.calls if call.endpoint_class == "send"]
        assert (len(calls), calls[2]) == (3, calls[0])
        assert len(here.sandbox.pushes) == 1
        assert await here.bridge.journal.dead_letters() == []


def test_a_push_to_devices_is_not_readdressed() -> None:
    before, to = Recipient("external_id", "a1"), Recipient("external_id", "u1")
    for body in (
        {"include_subscription_ids": ["x"]},
        {"include_aliases": {"external_id": ["a2"]}},
    ):
        assert readdressed(dict(body), before, to) == body
    event = {"name": "Seen", "anonymous_id": "a1"}
    renamed = readdressed(event, Recipient("anonymous_id", "a1"), to)
    assert renamed == {"name": "Seen", "external_id": "u1"}
