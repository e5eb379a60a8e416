"""Overview: whether it keeps up, what broke, and what needs a person."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC
from pathlib import Path

from starlette.requests import Request

from bridge.app.doors import console_of
from bridge.app.views import views_of
from bridge.config.access import Person
from bridge.console.web.overview import EVERY_SECONDS, LASTS_SECONDS, STREAMS, OverviewPage
from bridge.console.web.visit import Visit
from tests.console.visiting import text_of, visiting
from tests.harness import APP_ID, Rig, identify, track

OVERVIEW = "/console/overview"


async def test_when_nothing_is_wrong_it_says_so(tmp_path: Path) -> None:
    async with visiting(tmp_path) as (here, visitor):
        await here.post(identify("u1", tier="gold"))
        await here.settle()
        shown = text_of(await visitor.get(OVERVIEW))
        assert "All is well" in shown
        assert "Events in 1 in the last minute; 1 in the last day" in shown
        assert "Waiting 0 nothing is left to do" in shown
        assert "users and tags open" in shown
        assert "default last event" in shown


async def test_what_needs_a_person_is_said_in_words_with_the_way_to_it(tmp_path: Path) -> None:
    async with visiting(tmp_path) as (here, visitor):
        here.sandbox.add_device("u1", "android", app_id=APP_ID)
        here.sandbox.faults.script(
            {"match": {"class": "send"}, "answers": [{"status": 400}], "times": 1}
        )
        await here.post(track("Order Shipped", "u1", properties={"id": "A"}))
        await here.settle()
        for user in ("u2", "u3"):
            await here.post(track("Signed Up", user))
        await here.settle()
        await visitor.post("/console/pause", on="/console", what="rule/cheap")
        await here.pass_time(10)
        page = await visitor.get(OVERVIEW)
        shown = text_of(page)
        assert "3 things need a look" in shown
        assert "Pushes of cheap are paused. Let them leave again…" in shown
        assert "1 push of welcome held: the rule has sent more than its limit allows." in shown
        assert "1 dead: OneSignal refused it (400)." in shown
        assert 'href="/console/resume?what=rule/cheap"' in page
        assert "Failed calls 1 in the last hour" in shown


async def test_who_only_looks_is_led_to_nothing_that_is_not_theirs(tmp_path: Path) -> None:
    async with visiting(tmp_path, "view") as (here, visitor):
        await here.bridge.brake.pull("rule/cheap")
        page = await visitor.get(OVERVIEW)
        assert "Pushes of cheap are paused." in text_of(page)
        assert "/console/resume" not in page


async def test_calls_and_the_time_it_took_are_told(tmp_path: Path) -> None:
    async with visiting(tmp_path) as (here, visitor):
        here.sandbox.faults.script(
            {"match": {"class": "write"}, "answers": [{"status": 503}], "times": 1}
        )
        await here.post(identify("u1", tier="gold"))
        await here.settle()
        await here.pass_time(20)
        shown = text_of(await visitor.get(OVERVIEW))
        assert "Calls to OneSignal" in shown
        assert "95 in 100 within" in shown
        assert "Failed calls 1" in shown


async def test_every_page_says_that_pushes_are_paused(tmp_path: Path) -> None:
    async with visiting(tmp_path) as (here, visitor):
        await visitor.post("/console/pause", on="/console")
        assert list(here.bridge.brake.pauses) == ["pushes"]
        for path in ("/console", OVERVIEW, "/console/events", "/console/audit"):
            assert "All pushes are paused" in await visitor.get(path)


async def test_letting_go_says_first_what_will_leave(tmp_path: Path) -> None:
    async with visiting(tmp_path) as (here, visitor):
        here.sandbox.add_device("u1", "android", app_id=APP_ID)
        await visitor.post("/console/pause", on="/console")
        await here.post(track("Order Shipped", "u1", properties={"id": "A"}))
        await here.still()
        before = await visitor.get("/console/resume?what=pushes")
        assert "1 push was held by this pause, and will leave at once" in text_of(before)
        assert not here.sandbox.pushes
        done = await visitor.post("/console/resume", on="/console/resume?what=pushes")
        assert "said=resumed&count=1" in done.headers["location"]
        await here.settle()
        assert len(here.sandbox.pushes) == 1
        assert "One that was held is on its way." in await visitor.get(done.headers["location"])
        assert "No mapping in force has this rule" in await visitor.get(
            "/console/resume?what=pushes", status=404
        )


# Live


async def test_what_is_live_is_sent_when_it_has_changed_and_ends_when_the_service_does(
    tmp_path: Path,
) -> None:
    async with visiting(tmp_path) as (here, _):
        page = _page(here)
        stream = page._events(_visit(here))
        first = await anext(stream)
        assert first.startswith("data: ")
        assert "Events in" in first
        here.bridge.drain()
        assert await _rest(here, stream, EVERY_SECONDS) == []
        assert page._streams == 0


async def test_a_stream_ends_after_a_while_so_that_the_browser_is_asked_anew_who_it_is(
    tmp_path: Path,
) -> None:
    async with visiting(tmp_path) as (here, _):
        stream = _page(here)._events(_visit(here))
        await anext(stream)
        assert await _rest(here, stream, LASTS_SECONDS + 1) == []


async def test_more_than_so_many_do_not_look_at_once(tmp_path: Path) -> None:
    async with visiting(tmp_path) as (here, _):
        page = _page(here)
        page._streams = STREAMS
        answer = await page._live(_visit(here))
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "30")


async def _rest(here: Rig, stream: AsyncIterator[str], seconds: float) -> list[str]:
    """What else comes of a stream when so much time has passed."""

    async def read() -> list[str]:
        return [one async for one in stream]

    reading = asyncio.create_task(read())
    await here.still()
    here.clock.advance(seconds)
    return await reading


def _page(here: Rig) -> OverviewPage:
    return next(
        one
        for one in console_of(here.bridge, views_of(here.bridge))._pages()
        if isinstance(one, OverviewPage)
    )


def _visit(here: Rig) -> Visit:
    scope = {
        "type": "http",
        "method": "GET",
        "path": "/console/overview/live",
        "query_string": b"",
        "headers": [],
    }
    return Visit(
        request=Request(scope), person=Person("vera", "view"), csrf="x", now_ms=here.clock.now_ms(), theme="auto", zone=UTC
    )  # fmt: skip
