"""Dead and held in the console: why, what to do about it, and doing it after a look."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from html import unescape
from pathlib import Path
from typing import Any

import orjson
import pytest

from bridge.console.web.said import SAID
from bridge.journal.looks import PAGE
from bridge.journal.piles import Choice
from bridge.onesignal.operations import KEYS_KEPT_MS
from tests.console.visiting import TOKENS, Visitor, form_of, text_of, visiting
from tests.harness import APP_ID, Rig, track

WAITING = "/console/waiting"
ACT = f"{WAITING}/act"
REFUSES: dict[str, Any] = {"match": {"class": "send"}, "answers": [{"status": 400}]}


@asynccontextmanager
async def with_dead_and_held(
    folder: Path, role: str = "operate"
) -> AsyncIterator[tuple[Rig, Visitor]]:
    """Two pushes that OneSignal refused, three that a limit holds, and what is no event."""
    async with visiting(folder, role) as (here, visitor):
        for user in ("u1", "u2", "u3", "u4", "u5", "u6"):
            here.sandbox.add_device(user, "android", app_id=APP_ID)
        here.sandbox.faults.script(REFUSES | {"times": 2})
        for user in ("u1", "u2"):
            await here.post(track("Order Shipped", user, properties={"id": f"A-{user}"}))
        await here.settle()
        for user in ("u3", "u4", "u5", "u6"):
            await here.post(track("Signed Up", user))
        await here.post(["no event"])
        await here.settle()
        yield here, visitor


async def trail(here: Rig) -> list[tuple[str, str, Any]]:
    """Who did what, oldest first."""
    found = await here.bridge.journal.looks.trail(before=None, limit=PAGE)
    return [(one.who, one.what, orjson.loads(one.detail)) for _, one in reversed(found)]


async def test_when_nothing_waits_it_says_so(tmp_path: Path) -> None:
    async with visiting(tmp_path) as (_, visitor):
        assert "Nothing waits for you" in text_of(await visitor.get(WAITING))


async def test_a_misspelt_rule_is_said_to_be_none(tmp_path: Path) -> None:
    async with with_dead_and_held(tmp_path) as (_, visitor):
        for path in (f"{WAITING}?rule=welcom", f"{ACT}?pile=held&act=release&rule=welcom"):
            shown = text_of(await visitor.get(path))
            assert "There is no rule welcom: no mapping in force has it" in shown
            assert "did you mean welcome?" in shown
        assert "There is no rule" not in text_of(await visitor.get(f"{WAITING}?rule=cheap"))


async def test_a_misspelt_app_is_said_to_be_none(tmp_path: Path) -> None:
    async with with_dead_and_held(tmp_path) as (_, visitor):
        for path in (f"{WAITING}?app=defualt", f"{ACT}?pile=held&act=release&app=defualt"):
            shown = text_of(await visitor.get(path))
            assert "There is no app defualt: no setting names it" in shown
            assert "did you mean default?" in shown
        shown = text_of(await visitor.get(f"{WAITING}?app=default"))
        assert "Only of app default . Show everything" in shown
        assert "There is no app" not in shown


async def test_each_cause_stands_there_with_what_to_do_about_it(tmp_path: Path) -> None:
    async with with_dead_and_held(tmp_path) as (_, visitor):
        shown = text_of(await visitor.get(WAITING))
        for said in (
            "3 welcome The rule sent more than its limit allows. Was it meant?",
            "2 OneSignal says that the request is wrong (400) Open one and read OneSignal's answer",
            "1 What was sent is no event (not an object) Open one to see what came.",
        ):
            assert said in shown, said


async def test_who_only_looks_is_shown_no_button(tmp_path: Path) -> None:
    async with with_dead_and_held(tmp_path, "view") as (_, visitor):
        page = await visitor.get(WAITING)
        assert ACT not in page
        await visitor.get(f"{ACT}?pile=held&act=release&rule=welcome", status=403)


async def test_releasing_says_first_how_many_and_shows_the_push(tmp_path: Path) -> None:
    async with with_dead_and_held(tmp_path) as (here, visitor):
        ask = f"{ACT}?pile=held&act=release&app=default&rule=welcome&reason=limit"
        before = text_of(await visitor.get(ask))
        assert "3 of rule welcome , because of limit" in before
        assert "Hello you" in before
        assert len(here.sandbox.pushes) == 1
        done = await visitor.post(ACT, on=ask, pace="all")
        assert done.headers["location"] == f"{WAITING}?said=released&count=3"
        await here.settle()
        assert len(here.sandbox.pushes) == 4
        assert "3 pushes are on their way." in await visitor.get(done.headers["location"])
        (line,) = await trail(here)
        assert line == (
            "otto",
            "held.released",
            {"app": "default", "rule": "welcome", "reason": "limit", "until_ms": line[2]["until_ms"], "count": 3},
        )  # fmt: skip


async def test_what_is_held_after_the_look_is_not_released_with_it(tmp_path: Path) -> None:
    async with with_dead_and_held(tmp_path) as (here, visitor):
        ask = f"{ACT}?pile=held&act=release&rule=welcome"
        page = await visitor.get(ask)
        await here.pass_time(5)
        await here.post(track("Signed Up", "u7"))
        await here.settle()
        done = await visitor.http.post(ACT, data=form_of(page, ACT) | {"pace": "all"})
        assert done.headers["location"].endswith("count=3")


async def test_they_leave_little_by_little_and_can_be_stopped(tmp_path: Path) -> None:
    async with with_dead_and_held(tmp_path) as (here, visitor):
        ask = f"{ACT}?pile=held&act=release&app=default&rule=welcome&reason=limit"
        await visitor.post(ACT, on=ask, pace="slowly", per_minute="0", status=400)
        await visitor.post(ACT, on=ask, pace="slowly", per_minute="1")
        assert "They leave little by little: 1 a minute, 3 to go." in text_of(
            await visitor.get(WAITING)
        )
        stopped = await visitor.post(f"{WAITING}/hold", on=WAITING)
        assert "said=kept" in stopped.headers["location"]
        assert "little by little:" not in text_of(await visitor.get(WAITING))
        assert [what for _, what, _ in await trail(here)] == ["held.released", "held.kept"]


async def test_what_is_paused_leaves_when_the_pause_ends_at_once_or_little_by_little(
    tmp_path: Path,
) -> None:
    async with visiting(tmp_path) as (here, visitor):
        for user in ("u1", "u2"):
            here.sandbox.add_device(user, "android", app_id=APP_ID)
        await visitor.post("/console/pause", on="/console", what="pushes")
        for user in ("u1", "u2"):
            await here.post(track("Order Shipped", user, properties={"id": f"A-{user}"}))
        await here.settle()
        ask = f"{ACT}?pile=held&act=release&app=default&rule=shipped&reason=paused"
        page = text_of(await visitor.get(ask))
        assert "They are paused: all at once they leave when the pause ends." in page
        assert "All at once as fast as" not in page
        refused = await visitor.post(ACT, on=ask, pace="all", status=409)
        assert "would be held again at once" in refused.text
        await visitor.post(ACT, on=ask, pace="slowly", per_minute="1")
        shown = text_of(await visitor.get("/console/resume?what=pushes"))
        assert "0 will leave at once, oldest first; 2 little by little, as was said." in shown
        done = await visitor.post("/console/resume", on="/console/resume?what=pushes")
        assert "said=resumed&count=0" in done.headers["location"]
        await here.pass_time(180)
        assert len(here.sandbox.pushes) == 2


async def test_discarding_ends_what_was_held_unsent(tmp_path: Path) -> None:
    async with with_dead_and_held(tmp_path) as (here, visitor):
        ask = f"{ACT}?pile=held&act=discard&app=default&rule=welcome&reason=limit"
        done = await visitor.post(ACT, on=ask)
        assert "said=held-discarded&count=3" in done.headers["location"]
        await here.settle()
        assert len(here.sandbox.pushes) == 1
        assert (await trail(here))[-1][1] == "held.discarded"


@pytest.mark.parametrize("replan", ["no", "yes"])
async def test_a_dead_push_is_replayed(tmp_path: Path, replan: str) -> None:
    async with with_dead_and_held(tmp_path) as (here, visitor):
        ask = f"{ACT}?pile=dead&act=replay&reason=http_400"
        before = text_of(await visitor.get(ask))
        assert "2 , because of http_400" in before
        assert "is on its way" in before
        done = await visitor.post(ACT, on=ask, replan=replan)
        assert done.headers["location"] == f"{WAITING}?said=replayed&count=2"
        await here.settle()
        assert sorted(push.text for push in here.sandbox.pushes)[:2] == [
            "A-u1 is on its way",
            "A-u2 is on its way",
        ]
        who, what, detail = (await trail(here))[-1]
        assert (who, what, detail["count"], detail["replan"]) == (
            "otto",
            "dead.replayed",
            2,
            replan == "yes",
        )


async def test_one_letter_alone_is_replayed(tmp_path: Path) -> None:
    async with with_dead_and_held(tmp_path) as (here, visitor):
        letter = (await here.bridge.journal.dead_letters())[0]
        done = await visitor.post(ACT, on=f"{ACT}?pile=dead&act=replay&id={letter.id}")
        await here.settle()
        # It leads to what becomes of it.
        assert done.headers["location"] == f"/console/events/{letter.seq}?said=replayed-one&count=1"
        page = await visitor.get(done.headers["location"])
        assert "It is tried again: what becomes of it stands here." in page
        assert "shipped push accepted" in text_of(page)


@pytest.mark.parametrize("letters", ["all", "one"])
async def test_it_says_why_what_may_have_been_sent_long_ago_is_not_tried_again(
    tmp_path: Path, letters: str
) -> None:
    async with visiting(tmp_path, keep_dead=timedelta(days=90)) as (here, visitor):
        for user in ("u1", "u2"):
            here.sandbox.add_device(user, "android", app_id=APP_ID)
        for user in ("u1", "u2"):
            answers = [{"reset": True, "applied": True}, {"status": 400}]
            here.sandbox.faults.script(REFUSES | {"answers": answers, "times": 1})
            await here.post(track("Order Shipped", user, properties={"id": f"A-{user}"}))
            await here.settle()
        dead = await here.bridge.journal.dead_letters()
        assert [one.uncertain for one in dead] == [True, True]
        here.clock.advance(KEYS_KEPT_MS / 1000 + 1)
        await visitor.sign_in(TOKENS["operate"])
        which = "reason=http_400" if letters == "all" else f"id={dead[0].id}"
        done = await visitor.post(ACT, on=f"{ACT}?pile=dead&act=replay&{which}")
        page = await visitor.get(done.headers["location"])
        assert "0 are tried again" not in page
        assert '<p class="said warm" role="status">' in page
        if letters == "all":
            assert "2 are not tried again: they may have been sent, and after 30 days" in page
        else:
            assert "One is not tried again: it may have been sent, and after 30 days" in page
        assert len(await here.bridge.journal.dead_letters()) == 2


def test_what_an_address_makes_up_is_not_said() -> None:
    said = SAID["replayed"]
    assert said({"count": "2", "forgotten": "many", "no_events": "0"}) == (
        "2 are tried again.",
        True,
    )
    assert said({"count": "1", "no_events": "1"}) == (
        "One is tried again. One is not tried again: what was sent is no event.",
        False,
    )


@pytest.mark.parametrize("code", sorted(SAID))
def test_only_what_was_done_is_said_to_be_good(code: str) -> None:
    done = {"paused", "resumed", "replayed-one", "erasing"}
    nothing = SAID[code]({"count": "0"})
    assert nothing.is_good == (code in done)
    assert "0" not in nothing.words
    assert SAID[code]({"count": "2"}).is_good


@pytest.mark.parametrize(
    ("pile", "act", "says"),
    [
        ("dead", "replay", "Nothing is tried again: none of it is dead any more."),
        ("dead", "discard", "Nothing was discarded: none of it is dead any more."),
        ("held", "release", "Nothing is released: none of it is held any more."),
        ("held", "discard", "Nothing was discarded: none of it is held any more."),
    ],
)
async def test_who_comes_second_is_shown_no_good_sign(
    tmp_path: Path, pile: str, act: str, says: str
) -> None:
    async with with_dead_and_held(tmp_path) as (_, visitor):
        reason = {"dead": "http_400", "held": "limit"}[pile]
        form = form_of(await visitor.get(f"{ACT}?pile={pile}&act={act}&reason={reason}"), ACT)
        first, second = [await visitor.http.post(ACT, data=form) for _ in range(2)]
        assert '<p class="said" role="status">' in await visitor.get(first.headers["location"])
        page = await visitor.get(second.headers["location"])
        assert '<p class="said warm" role="status">' in page
        assert says in page


async def test_of_many_that_died_alike_the_newest_is_tried_first(tmp_path: Path) -> None:
    async with with_dead_and_held(tmp_path) as (here, visitor):
        page = await visitor.get(WAITING)
        assert "shipped 2 Only the newest… All of them…" in text_of(page)
        assert "Begin with one: replay the newest of a rule" in text_of(page)
        newest = (await here.bridge.journal.dead_letters(Choice(rule="shipped")))[-1]
        ask = f"{ACT}?pile=dead&act=replay&id={newest.id}&reason=http_400"
        assert ask in unescape(page)
        # The mapping is at fault, so it is planned anew unless one says otherwise.
        assert 'name="replan" value="yes" checked' in await visitor.get(ask)
        await visitor.post(ACT, on=ask, replan="yes")
        await here.settle()
        whose = newest.message_id.rpartition("-")[2]
        assert here.sandbox.pushes[-1].text == f"A-{whose} is on its way"
        assert len(here.sandbox.pushes) == 1 + 1
        who, what, detail = (await trail(here))[-1]
        assert (who, what, detail["count"], detail["replan"]) == ("otto", "dead.replayed", 1, True)
        # One is left, and is not one of many.
        page = text_of(await visitor.get(WAITING))
        assert "shipped 1 This one…" in page
        assert "Begin with one" not in page


async def test_who_only_looks_sees_how_many_died_of_each_rule_and_no_way_to_replay(
    tmp_path: Path,
) -> None:
    async with with_dead_and_held(tmp_path, "view") as (_, visitor):
        shown = text_of(await visitor.get(WAITING))
        assert "shipped 2" in shown
        assert "Only the newest" not in shown
        assert "Begin with one" not in shown


async def test_what_is_no_event_is_discarded(tmp_path: Path) -> None:
    async with with_dead_and_held(tmp_path) as (_, visitor):
        page = await visitor.get(f"{WAITING}?reason=not_an_object")
        assert "act=replay" not in page.partition("<details")[0]
        done = await visitor.post(ACT, on=f"{ACT}?pile=dead&act=discard&reason=not_an_object")
        assert "said=dead-discarded&count=1" in done.headers["location"]
        assert "not an object" not in text_of(await visitor.get(WAITING))


async def test_what_was_too_old_is_done_when_a_person_says_so(tmp_path: Path) -> None:
    async with visiting(tmp_path) as (here, visitor):
        here.sandbox.add_device("u1", "android", app_id=APP_ID)
        old = {"timestamp": "2027-01-14T20:00:00Z"}
        await here.post(track("Order Shipped", "u1", properties={"id": "A"}, **old))
        await here.settle()
        assert "1 shipped" in text_of(await visitor.get(WAITING))
        ask = f"{ACT}?pile=skipped&act=replay&app=default&rule=shipped"
        done = await visitor.post(ACT, on=ask)
        assert done.headers["location"] == f"{WAITING}?said=skipped-replayed&count=1"
        await here.settle()
        assert len(here.sandbox.pushes) == 1


@pytest.mark.parametrize(
    "query", ["", "pile=dead", "pile=x&act=y", "act=replay", "pile=held&act=replay"]
)
async def test_what_cannot_be_done_is_not_done(tmp_path: Path, query: str) -> None:
    async with visiting(tmp_path) as (_, visitor):
        assert "Nothing to do" in await visitor.get(f"{ACT}?{query}", status=400)
        fields = {"csrf": ""} | dict(one.split("=") for one in query.split("&") if one)
        page = await visitor.get("/console/audit")
        csrf = form_of(page, "/console/logout")["csrf"]
        answer = await visitor.http.post(ACT, data=fields | {"csrf": csrf})
        assert answer.status_code == 400


async def test_who_did_what_is_on_a_page_of_its_own(tmp_path: Path) -> None:
    async with with_dead_and_held(tmp_path) as (_, visitor):
        await visitor.post("/console/pause", on="/console", what="rule/cheap")
        await visitor.post(ACT, on=f"{ACT}?pile=held&act=discard&rule=welcome&reason=limit")
        shown = text_of(await visitor.get("/console/audit"))
        assert shown.index("otto discarded held pushes 3 rule welcome, reason limit") < shown.index(
            "otto paused rule cheap"
        )
