"""One person in the console: what was written, by which event, devices, pushes, skips, erasing."""

from __future__ import annotations

import asyncio
from pathlib import Path

from tests.console.visiting import SHOP, Visitor, text_of, visiting
from tests.harness import APP_ID, Rig, identify, track

PEOPLE = "/console/people"
WHOLE = SHOP.replace(
    'update_user: {tags: {tier: "{{ traits.tier }}"}}',
    'update_user: {tags: {tier: "{{ traits.tier }}"}, language: "{{ traits.lang }}", email: "{{ traits.email }}"}',
)


async def with_history(here: Rig) -> None:
    here.sandbox.add_device("u1", "android", app_id=APP_ID)
    await here.post(identify("u1", "m-1", tier="gold", lang="de", email="u1@shop.example"))
    await here.post(track("Order Shipped", "u1", "m-2", properties={"id": "A7"}))
    for number in (3, 4):
        body = {"sku": "KETTLE", "price": 9}
        await here.post(track("Price Dropped", "u1", f"m-{number}", properties=body))
    await here.settle()


async def test_nobody_is_listed(tmp_path: Path) -> None:
    async with visiting(tmp_path) as (_, visitor):
        assert "Who is it about?" in text_of(await visitor.get(PEOPLE))


async def test_who_is_not_known_is_said_not_to_be(tmp_path: Path) -> None:
    async with visiting(tmp_path) as (_, visitor):
        assert "Nothing is known of this person" in text_of(await visitor.get(f"{PEOPLE}?user=x"))


async def test_a_misspelt_app_is_said_to_be_none(tmp_path: Path) -> None:
    async with visiting(tmp_path) as (_, visitor):
        shown = text_of(await visitor.get(f"{PEOPLE}?user=u1&app=defualt"))
        assert "There is no app defualt: no setting names it; did you mean default?" in shown


async def test_a_person_is_shown_with_what_was_written_and_by_which_event(tmp_path: Path) -> None:
    async with visiting(tmp_path, mapping=WHOLE) as (here, visitor):
        await with_history(here)
        page = await visitor.get(f"{PEOPLE}?user=u1")
        shown = text_of(page)
        for said in (
            "tier gold", "language de", "E-mail u1@shop.example", "shipped accepted", "“A7 is on its way”",
            "To Android and the web; not iPhones, because Segment pushes there.", "cheap accepted",
            "Price Dropped cheap, push", "Got cheap for 'KETTLE'",
        ):  # fmt: skip
            assert said in shown, said
        assert '/console/events?q=m-1"' in page


async def test_a_question_ends_as_a_question(tmp_path: Path) -> None:
    async with visiting(tmp_path) as (here, visitor):
        await here.post(track("Order Shipped", "u1", properties={"id": "A7"}))
        await here.settle()
        shown = text_of(await visitor.get(f"{PEOPLE}?user=u1"))
        assert "with Segment's userId? To Android" in shown
        assert "?." not in shown


async def test_who_only_looks_sees_the_shape_of_it_and_no_value(tmp_path: Path) -> None:
    async with visiting(tmp_path, "view", mapping=WHOLE) as (here, visitor):
        await with_history(here)
        page = await visitor.get(f"{PEOPLE}?user=u1")
        shown = text_of(page)
        assert "tier •••" in shown
        for secret in ("gold", "u1@shop.example", "KETTLE", "A7"):
            assert secret not in page, secret
        assert "Ask OneSignal" not in page


async def test_onesignal_is_asked_for_the_devices_when_a_person_wants_to_know(
    tmp_path: Path,
) -> None:
    async with visiting(tmp_path, mapping=WHOLE) as (here, visitor):
        await with_history(here)
        here.sandbox.add_device("u1", "ios", app_id=APP_ID)
        shown = await asked(here, visitor, "u1")
        assert "Android subscribed" in shown
        assert "iPhone subscribed" in shown
        await here.post(track("Order Shipped", "nobody", "m-9", properties={"id": "A7"}))
        await here.settle()
        assert "OneSignal does not know this user." in await asked(here, visitor, "nobody")


async def test_whoever_asks_onesignal_does_not_wait_for_long(tmp_path: Path) -> None:
    async with visiting(tmp_path, mapping=WHOLE) as (here, visitor):
        await with_history(here)
        here.means.destination.views.hold(60)
        assert "OneSignal cannot be asked now" in await asked(here, visitor, "u1")


async def asked(here: Rig, visitor: Visitor, user: str) -> str:
    """What the page says when OneSignal was asked, which takes its turn."""
    on = f"{PEOPLE}?user={user}&app=default"
    asking = asyncio.create_task(visitor.post(on, on=on, status=200))
    while not asking.done():
        await here.pass_time(1)
    return text_of((await asking).text)


async def test_only_an_admin_erases_and_types_the_id_once_more(tmp_path: Path) -> None:
    async with visiting(tmp_path, "admin", mapping=WHOLE) as (here, visitor):
        await with_history(here)
        ask = f"{PEOPLE}/erase?user=u1&app=default"
        wrong = await visitor.post(f"{PEOPLE}/erase", on=ask, again="u2", status=400)
        assert "Nothing was done" in wrong.text
        done = await visitor.post(f"{PEOPLE}/erase", on=ask, again="u1")
        assert "said=erasing" in done.headers["location"]
        await here.settle()
        shown = text_of(await visitor.get(f"{PEOPLE}?user=u1"))
        assert "This person was erased, as was asked for at" in shown
        assert "Nothing is known of this person" in shown
        assert "Is it the id that the mapping takes" not in shown
        trail = text_of(await visitor.get("/console/audit"))
        assert "ada asked to erase a customer" in trail
        assert "u1" not in trail


async def test_an_erasure_that_onesignal_has_not_done_is_under_way(tmp_path: Path) -> None:
    async with visiting(tmp_path, "admin", mapping=WHOLE) as (here, visitor):
        await with_history(here)
        here.sandbox.faults.script({"match": {}, "answers": [{"status": 503}], "times": 1})
        ask = f"{PEOPLE}/erase?user=u1&app=default"
        await visitor.post(f"{PEOPLE}/erase", on=ask, again="u1")
        await here.still()
        shown = text_of(await visitor.get(f"{PEOPLE}?user=u1"))
        assert "To erase this person was asked for at" in shown
        assert "and is under way." in shown
        assert "erased" not in text_of(await visitor.get(f"{PEOPLE}?user=u2"))


async def test_who_came_again_after_an_erasure_is_shown_with_both(tmp_path: Path) -> None:
    async with visiting(tmp_path, "admin", mapping=WHOLE) as (here, visitor):
        await with_history(here)
        ask = f"{PEOPLE}/erase?user=u1&app=default"
        await visitor.post(f"{PEOPLE}/erase", on=ask, again="u1")
        await here.settle()
        await here.pass_time(600)
        await here.post(identify("u1", "m-9", tier="new"))
        await here.settle()
        shown = text_of(await visitor.get(f"{PEOPLE}?user=u1"))
        assert "This person was erased" in shown
        assert "tier new" in shown


async def test_who_operates_does_not_erase(tmp_path: Path) -> None:
    async with visiting(tmp_path, mapping=WHOLE) as (here, visitor):
        await with_history(here)
        assert "/erase" not in await visitor.get(f"{PEOPLE}?user=u1")
        await visitor.get(f"{PEOPLE}/erase?user=u1&app=default", status=403)
