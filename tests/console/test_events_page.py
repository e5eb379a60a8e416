"""The events of the console: the newest, a user's, one by its id, and the whole story of it."""

from __future__ import annotations

from pathlib import Path

from tests.console.visiting import SHOP, text_of, visiting
from tests.harness import APP_ID, identify, track

EVENTS = "/console/events"


async def test_before_the_first_event_it_says_how_one_comes(tmp_path: Path) -> None:
    async with visiting(tmp_path) as (_, visitor):
        assert "No event yet" in text_of(await visitor.get(EVENTS))


async def test_the_newest_event_is_first_with_what_became_of_it(tmp_path: Path) -> None:
    async with visiting(tmp_path) as (here, visitor):
        here.sandbox.add_device("u1", "android", app_id=APP_ID)
        await here.post(track("Order Shipped", "u1", properties={"id": "A7"}))
        await here.post(identify("u2", tier="gold"))
        await here.settle()
        shown = text_of(await visitor.get(EVENTS))
        assert shown.index("identify u2 accepted profile") < shown.index(
            "Order Shipped u1 accepted shipped"
        )


async def test_a_message_id_leads_to_its_event(tmp_path: Path) -> None:
    async with visiting(tmp_path) as (here, visitor):
        await here.post(track("Order Shipped", "u1", "m-1", properties={"id": "A7"}))
        await here.settle()
        found = await visitor.http.get(f"{EVENTS}?q=m-1")
        assert (found.status_code, found.headers["location"]) == (303, f"{EVENTS}/1")


async def test_a_user_id_shows_the_events_of_that_user_alone(tmp_path: Path) -> None:
    async with visiting(tmp_path) as (here, visitor):
        for user in ("u1", "u2", "u1"):
            await here.post(identify(user, f"m-{here.clock.now_ms()}-{user}", tier="gold"))
            await here.pass_time(2)
        shown = text_of(await visitor.get(f"{EVENTS}?q=u1"))
        assert "Events of u1" in shown
        assert shown.count("identify") == 2
        assert "u2" not in shown


async def test_an_id_that_nobody_has_says_what_to_look_at(tmp_path: Path) -> None:
    async with visiting(tmp_path) as (here, visitor):
        await here.post(identify("u1", tier="gold"))
        await here.settle()
        assert "Nothing was heard of “nobody”" in text_of(await visitor.get(f"{EVENTS}?q=nobody"))


async def test_filters_narrow_it_down(tmp_path: Path) -> None:
    async with visiting(tmp_path, keep_unmatched="1d") as (here, visitor):
        here.sandbox.add_device("u1", "android", app_id=APP_ID)
        await here.post(track("Order Shipped", "u1", properties={"id": "A7"}))
        await here.post(track("Order Shipped", "u2", properties={}))
        await here.post(track("Page Seen", "u3"))
        await here.settle()
        for query, rows in (
            ("name=Order+Shipped", 2), ("state=delivered", 1), ("state=skipped", 2), ("name=Order+Shipped&state=skipped", 1),
            ("reason=missing", 1), ("rule=shipped", 2), ("name=Nothing", 0), ("since=2000-01-01T00:00", 3), ("until=2000-01-01T00:00", 0),
        ):  # fmt: skip
            page = await visitor.get(f"{EVENTS}?{query}")
            assert page.count(f'<td><a href="{EVENTS}/') == rows, query


async def test_a_misspelt_rule_is_said_to_be_none(tmp_path: Path) -> None:
    async with visiting(tmp_path) as (here, visitor):
        await here.post(track("Order Shipped", "u1", properties={"id": "A7"}))
        await here.settle()
        await here.bridge.counting.flush()
        shown = text_of(await visitor.get(f"{EVENTS}?rule=shiped"))
        assert (
            "There is no rule shiped: no mapping in force has it, and no event has met it" in shown
        )
        assert "did you mean shipped?" in shown
        assert "No such rule" not in text_of(await visitor.get(f"{EVENTS}?rule=cheap"))
    # What events have met is no slip, whatever the mapping says by now.
    renamed = SHOP.replace("name: shipped", "name: sent")
    async with visiting(tmp_path, mapping=renamed) as (_, visitor):
        shown = text_of(await visitor.get(f"{EVENTS}?rule=shipped&state=dead"))
        assert "No such rule" not in shown


async def test_a_misspelt_source_is_said_to_be_none(tmp_path: Path) -> None:
    async with visiting(tmp_path) as (here, visitor):
        await here.post(track("Order Shipped", "u1", properties={"id": "A7"}))
        shown = text_of(await visitor.get(f"{EVENTS}?source=defualt"))
        assert "No such source There is no source defualt: no setting names it" in shown
        assert "did you mean default?" in shown
        shown = text_of(await visitor.get(f"{EVENTS}?source=default&name=Signed+Up"))
        assert "Nothing like that" in shown


async def test_older_events_are_a_page_away(tmp_path: Path) -> None:
    async with visiting(tmp_path) as (here, visitor):
        await here.post([identify(f"u{n}", f"m{n}", tier="gold") for n in range(60)])
        await here.settle()
        first = await visitor.get(EVENTS)
        assert (f"{EVENTS}/60" in first, f"{EVENTS}/10" in first) == (True, False)
        older = await visitor.get(f"{EVENTS}?before=11")
        assert f'<a href="{EVENTS}/10"' in older
        assert "← Newest" in older


async def test_an_event_tells_its_whole_story(tmp_path: Path) -> None:
    async with visiting(tmp_path) as (here, visitor):
        here.sandbox.add_device("u1", "android", app_id=APP_ID)
        await here.post(track("Order Shipped", "u1", "m-1", properties={"id": "A7"}))
        await here.settle()
        shown = text_of(await visitor.get(f"{EVENTS}/1"))
        for said in (
            "Order Shipped accepted", "Heard just now from default", "shipped push", "Accepted by OneSignal.",
            "POST /notifications", "OneSignal answered 200", '"messageId": "m-1"', "A7 is on its way",
            "To Android and the web; not iPhones, because Segment pushes there.", "3 rules about other events",
        ):  # fmt: skip
            assert said in shown, said


async def test_why_a_push_was_skipped_is_read_on_the_page_of_its_event(tmp_path: Path) -> None:
    async with visiting(tmp_path) as (here, visitor):
        here.sandbox.add_device("u1", "android", app_id=APP_ID)
        for number in (1, 2):
            body = {"sku": "KETTLE", "price": 9}
            await here.post(track("Price Dropped", "u1", f"m-{number}", properties=body))
            await here.settle()
        shown = text_of(await visitor.get(f"{EVENTS}/2"))
        assert "Got cheap for 'KETTLE'" in shown
        assert "by message m-1" in shown


async def test_a_condition_that_was_not_met_is_told_with_the_value_that_was_there(
    tmp_path: Path,
) -> None:
    async with visiting(tmp_path, keep_unmatched="1d") as (here, visitor):
        await here.post(track("Price Dropped", "u1", properties={"price": 39}))
        await here.settle()
        shown = text_of(await visitor.get(f"{EVENTS}/1"))
        assert "properties.price < 20 (properties.price is 39)" in shown


async def test_who_only_looks_sees_no_value_of_a_customers(tmp_path: Path) -> None:
    secret = ("user-4711", "s3cret-sku", "8765", "9876")
    async with visiting(tmp_path, "view", keep_unmatched="1d") as (here, visitor):
        here.sandbox.add_device(secret[0], "android", app_id=APP_ID)
        for number in (1, 2):
            body = {"sku": secret[1], "price": 12.8765}
            await here.post(track("Price Dropped", secret[0], f"m-{number}", properties=body))
        await here.post(track("Price Dropped", secret[0], "m-3", properties={"price": 9876}))
        await here.post(identify(secret[0], "m-4", tier=secret[1]))
        await here.settle()
        pages = [EVENTS, *(f"{EVENTS}/{number}" for number in (1, 2, 3, 4))]
        for path in pages:
            page = await visitor.get(path)
            assert not [one for one in secret if one in page], path
            assert "•••" in page or path == EVENTS


async def test_a_number_that_is_no_events_says_so(tmp_path: Path) -> None:
    async with visiting(tmp_path) as (_, visitor):
        for number in ("7", "x", "99999999999999999999", "-1"):
            assert "No such event" in await visitor.get(f"{EVENTS}/{number}", status=404)
