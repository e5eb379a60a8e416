"""The process ends at a named place, the mapping is edited, and another one goes on.

From the commit that writes a send on, only what was written counts: one push, the one first written.
Before it, and where nothing is committed, it is as if the place had never been reached.
"""

from __future__ import annotations

import re
from collections import Counter
from contextlib import closing
from pathlib import Path
from sqlite3 import connect
from typing import Any

import httpx
import pytest

from bridge import failpoints
from bridge.failpoints import STATUS
from bridge.journal.sqlite_tail import TAIL_ROWS
from bridge.journal.writer import CHECKPOINT_IDLE_ROWS
from tests.faults.canary import ADMIN_TOKEN, WORD, person, trait
from tests.faults.sight import rows
from tests.faults.story import SHOP, Event, Story, order, profile
from tests.faults.test_merging import PLACES as MERGING
from tests.faults.worlds import Company, Outside, Serving, Worlds
from tests.harness import APP_ID, track

pytestmark = pytest.mark.slow

MAPPING = """
version: 1
push: {platforms: {exclude: [ios]}}
rules:
  - name: first
    when: event = "Go"
    do:
      update_user: {tags: {went: "{{ properties.to }}"}}
      send_notification: {contents: "first alone"}
  - name: first-group
    when: event = "Go"
    group: 1s
    do: {send_notification: {contents: "first together"}}
  - name: first-event
    when: event = "Go"
    do: {track_custom_event: {name: "first"}}
"""
FIRST = Story(mapping=MAPPING, tags=lambda event: {"went": event["properties"]["to"]})
"""Which of both versions an event owes depends on where the process ends."""
SECOND = Story(mapping=MAPPING.replace("first", "second"), tags=FIRST.tags)
BY_DEVICES = Story(
    mapping="""
version: 1
push: {platforms: {exclude: [ios], by: devices}}
rules:
  - {name: alone, when: event = "Go", do: {send_notification: {contents: "alone"}}}
  - {name: together, when: event = "Go", group: 1s, do: {send_notification: {contents: "together"}}}
"""
)
SERVER_KEY = f"{WORD}-server-key"
PEOPLE = [person(number) for number in range(3)]

#: Nothing of the sends is committed there: what arrives is planned with the edited mapping.
BEFORE = (
    "accept.writing",
    "accept.written",
    "accept.answering",
    "user.claimed",
    "update.leaving",
    "update.answered",
    "event.acking",
    "send.reached",
    "send.writing",
)
AFTER = (
    "send.written",
    "group.sealing",
    "group.sealed",
    "call.leaving",
    "call.leaving:2",
    "call.answered",
    "call.answered:2",
    "send.ending",
    "group.ending",
    "event.finishing",
)
DYING = ("operation.dying", "operation.dying:2")
REPLAYING = ("dead.replaying", "dead.replayed")
UPKEEP = ("tail.indexing", "log.emptying", "log.emptied")
ERASING = ("user.swept", "user.swept:2", "user.erasing")


def go(number: int) -> Event:
    return track("Go", person(number), f"go-{number}", properties={"to": trait(number)})


def tell(outside: Outside) -> None:
    outside.told.expect_line("bridge.cautious")
    outside.told.expect_metric("bridge_calls_total")


async def end_at(outside: Outside, place: str, events: list[Event], story: Story) -> None:
    """Serve until the process ends at `place`, which this batch, sooner or later, brings it to."""
    async with outside.serving(story=story, BRIDGE_FAIL_AT=place) as serving:
        await serving.sender.post(events)
        assert await serving.command.ends(within=30) == STATUS


async def post_again(outside: Outside, events: list[Event], story: Story) -> None:
    """What was not answered 200 is sent again, as Segment does; and all of it is done."""
    async with outside.resumed(story) as sender:
        if not outside.sent.acknowledged:
            await sender.must(events)
        await outside.settled()


async def listed(outside: Outside, what: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = (await outside.onesignal.get(f"/sandbox/{what}")).json()[what]
    return found


PLACES = [*BEFORE, *AFTER]


@pytest.mark.parametrize("place", PLACES)
async def test_one_push_each_and_the_one_first_written(
    worlds: Worlds, company: Company, place: str
) -> None:
    await company.case(worlds, one_push_each, place, PLACES)


async def one_push_each(outside: Outside, place: str) -> None:
    await outside.people(3)
    tell(outside)
    events = [go(number) for number in range(3)]
    await end_at(outside, place, events, FIRST)
    await post_again(outside, events, SECOND)
    pushes = await listed(outside, "pushes")
    got = Counter((push["external_id"], push["text"].partition(" ")[2]) for push in pushes)
    assert got == Counter((user, kind) for user in PEOPLE for kind in ("alone", "together"))
    check_versions(outside, pushes, place)


def check_versions(outside: Outside, pushes: list[dict[str, Any]], place: str) -> None:
    """Whose sends were written before the process ended has those, and nobody has both versions."""
    written = rows(outside.database, "SELECT recipient, rule FROM send")
    versions = {
        user: {rule.partition("-")[0] for one, rule in written if one == user} for user in PEOPLE
    }
    assert all(len(found) == 1 for found in versions.values()), versions
    texts = {
        user: {p["text"].split()[0] for p in pushes if p["external_id"] == user} for user in PEOPLE
    }
    assert texts == versions
    assert ({"first"} in versions.values()) == (place in AFTER)


PLACES_OF_SENDS = ["send.reached", "send.writing", *AFTER]


@pytest.mark.parametrize("place", PLACES_OF_SENDS)
async def test_the_registry_changed_meanwhile_and_the_devices_first_written_get_one_push_each(
    worlds: Worlds, company: Company, place: str
) -> None:
    await company.case(worlds, one_push_to_the_devices, place, PLACES_OF_SENDS)


async def one_push_to_the_devices(outside: Outside, place: str) -> None:
    outside.told.expect_line("bridge.cautious")
    outside.told.expect_metric("bridge_devices_total", result="written")
    first, second = [await an_android_for_each(outside) for _ in range(2)]
    async with outside.serving(
        story=BY_DEVICES, BRIDGE_FAIL_AT=place, BRIDGE_DEVICES_SERVER_KEYS=SERVER_KEY
    ) as serving:
        for user, device in first.items():
            await register(serving, user, device)
        await outside.scrape(serving.http)
        await serving.sender.post([go(number) for number in range(3)])
        assert await serving.command.ends(within=30) == STATUS
    written = set(rows(outside.database, "SELECT recipient, rule FROM send"))
    assert bool(written) == (place in AFTER)
    with closing(connect(outside.database)) as connection:
        for user in PEOPLE:
            values = (second[user], first[user])
            sql = "UPDATE device SET subscription_id = ? WHERE subscription_id = ?"
            assert connection.execute(sql, values).rowcount == 1
        connection.commit()
    async with outside.resumed(BY_DEVICES):
        await outside.settled()
    pushes = await listed(outside, "pushes")
    got = Counter((push["external_id"], push["text"]) for push in pushes)
    assert got == Counter((user, kind) for user in PEOPLE for kind in ("alone", "together"))
    for push in pushes:
        named = push["external_id"], push["text"]
        assert push["subscription_id"] == (first if named in written else second)[named[0]], push


async def an_android_for_each(outside: Outside) -> dict[str, str]:
    """Its id at OneSignal, by user."""
    found = {}
    for user in PEOPLE:
        device = {"external_id": user, "platform": "android", "app_id": APP_ID}
        found[user] = (await outside.onesignal.post("/sandbox/devices", json=device)).json()[
            "subscription_id"
        ]
    return found


async def register(serving: Serving, user: str, subscription_id: str) -> None:
    device = {"userId": user, "oneSignalUserId": subscription_id, "platform": "android"}
    headers = {"x-bridge-token": SERVER_KEY}
    answer = await serving.http.post("/v1/devices", json=device, headers=headers)
    assert answer.status_code == 200, answer.text


@pytest.mark.parametrize("place", DYING)
async def test_what_dies_while_the_process_ends_is_dead_once(outside: Outside, place: str) -> None:
    await outside.people(3)
    tell(outside)
    outside.told.expect_line("operation.dead", reason="http_400")
    refused = {"status": 400, "body": {"errors": ["no"]}}
    await outside.fails(refused, times="until_cleared", class_="send")
    events = [profile(0, "p0"), order(0, "o0"), profile(1, "p1"), order(1, "o1")]
    await end_at(outside, place, events, SHOP)
    await post_again(outside, events, SHOP)
    found = rows(outside.database, "SELECT message_id, operation, count(*) FROM dead GROUP BY 1, 2")
    assert set(found) == {(f"o{number}", "send_notification", 1) for number in range(2)}


@pytest.mark.parametrize("place", REPLAYING)
async def test_what_is_replayed_while_the_process_ends_is_replayed_once(
    outside: Outside, place: str
) -> None:
    await outside.people(3)
    tell(outside)
    refused = {"status": 400, "body": {"errors": ["no"]}}
    await outside.fails(refused, times="until_cleared", class_="send")
    async with outside.resumed(SHOP) as sender:
        await sender.must([order(number, f"o{number}") for number in range(3)])
        await outside.settled()
    await outside.onesignal.delete("/sandbox/faults")
    async with outside.serving(BRIDGE_FAIL_AT=place) as serving:
        with pytest.raises(httpx.TransportError):
            await replay(serving)
        assert await serving.command.ends(within=30) == STATUS
    async with outside.serving() as serving:
        await replay(serving)
        await outside.settled()
    states = rows(outside.database, "SELECT state, count(*) FROM dead GROUP BY 1")
    assert states == [("replayed", 3)]
    sends = rows(outside.database, "SELECT state, generation, count(*) FROM send GROUP BY 1, 2")
    assert set(sends) == {("replayed", 0, 3), ("delivered", 1, 3)}
    assert sorted(push["text"] for push in await listed(outside, "pushes")) == ["o0", "o1", "o2"]


async def replay(serving: Serving) -> None:
    headers = {"Authorization": f"Bearer {ADMIN_TOKEN}"}
    answer = await serving.http.post("/api/v1/dead/replay", headers=headers, json={})
    assert answer.status_code == 200, answer.text


@pytest.mark.parametrize("place", UPKEEP)
async def test_what_is_tidied_while_the_process_ends_is_there(outside: Outside, place: str) -> None:
    """So many events at once that their tail is full, and the log is long enough to be emptied."""
    await outside.people(3)
    tell(outside)
    count = TAIL_ROWS if place == "tail.indexing" else CHECKPOINT_IDLE_ROWS
    events = [track("Nobody cares", person(0), f"n{number}") for number in range(count)]
    events += [profile(1, "p1"), order(1, "o1")]
    await end_at(outside, place, events, SHOP)
    async with outside.resumed() as sender:
        again = await sender.must(events)
        assert again["duplicates"] == len(events)
        await outside.settled()


@pytest.mark.parametrize("place", ERASING)
async def test_an_erasure_that_was_interrupted_is_done_at_the_next_start(
    outside: Outside, place: str
) -> None:
    outside.told.expect_line("user.erased")
    outside.told.expect_metric("bridge_calls_total")
    outside.sent.erased.add(person(0))
    events = [go(0), {"type": "delete", "userId": person(0), "messageId": "m2"}, go(1)]
    await end_at(outside, place, events, FIRST)
    await post_again(outside, events, FIRST)
    users = [user["identity"]["external_id"] for user in await listed(outside, "users")]
    assert users == [person(1)]
    with closing(connect(outside.database)) as connection:
        trail = connection.execute("SELECT what FROM audit_trail").fetchall()
        assert trail == [("user.erased",)]
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    kept = outside.database.read_bytes()
    assert person(0).encode() not in kept
    assert trait(0).encode() not in kept


@pytest.mark.unchecked("it reads the code")
def test_every_place_that_is_named_is_reached_and_tried() -> None:
    tried = {*BEFORE, *AFTER, *DYING, *REPLAYING, *UPKEEP, *ERASING, *MERGING}
    listed = set(re.findall(r"^    (\w+\.\w+) ", failpoints.__doc__ or "", re.MULTILINE))
    source = "".join(path.read_text() for path in Path("bridge").rglob("*.py"))
    reached = set(re.findall(r'failpoints\.reached\("([\w.]+)"\)', source))
    assert {place.partition(":")[0] for place in tried} == listed == reached
