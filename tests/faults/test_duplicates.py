"""The same event more than once, and events in another order than they happened."""

from __future__ import annotations

import asyncio
import random
from typing import Any

import pytest

from tests.faults.canary import person, trait
from tests.faults.story import Event, order, ping, profile
from tests.faults.worlds import Inside
from tests.harness import Rig, iso

HOUR = 3600.0
DAY = 24 * HOUR


def texts(inside: Inside) -> list[str]:
    return [push.text for push in inside.sandbox.pushes]


async def events(here: Rig) -> int:
    return await here.bridge.journal._read(
        lambda db: db.execute("SELECT count(*) FROM event").fetchone()[0]
    )


async def ends_of(here: Rig, seq: int) -> set[tuple[str, str | None]]:
    return {(status, reason) for at, _, _, status, reason in await here.outcomes() if at == seq}


async def tidied_up(here: Rig) -> None:
    """Until a round of tidying up is over; it begins after an hour."""
    upkeep = here.bridge.upkeep
    await here.pass_time(HOUR)
    # From here on it waits for the disk, and now and then for the clock.
    for _ in range(500):
        if upkeep._next_daily_ms:
            return
        await here.pass_time(1)
    pytest.fail("nothing tidies up")


# 23 ----------------------------------------------------------------------------------------------


async def test_a_repeat_is_answered_200_and_does_nothing(inside: Inside) -> None:
    """One after the other, within a batch, in another batch, and after a restart."""
    inside.people(2)
    inside.told.expect_nothing("Segment repeats what it is not sure of; it is counted")
    inside.told.expect_metric("bridge_dedupe_hits_total")
    async with inside.bridge() as here:
        assert (await inside.post(order(0, "m1")))["accepted"] == 1
        for _ in range(3):
            assert (await inside.post(order(0, "m1")))["duplicates"] == 1
        answer = await inside.post([order(1, "m2"), order(0, "m1"), order(1, "m2")])
        assert (answer["accepted"], answer["duplicates"]) == (1, 2)
        await here.settle()
    calls = len(inside.sandbox.calls)
    async with inside.bridge() as here:
        answer = await inside.post([order(0, "m1"), order(1, "m2")])
        assert (answer["accepted"], answer["duplicates"]) == (0, 2)
        await here.settle()
        assert await events(here) == 2
    assert sorted(texts(inside)) == ["m1", "m2"]
    assert len(inside.sandbox.calls) == calls


async def test_of_fifty_at_once_one_is_taken(inside: Inside) -> None:
    inside.people(1)
    inside.told.expect_nothing("Segment repeats what it is not sure of; it is counted")
    inside.told.expect_metric("bridge_dedupe_hits_total")
    async with inside.bridge() as here:
        answers = await asyncio.gather(*(inside.post(order(0, "m1")) for _ in range(50)))
        assert sorted(answer["accepted"] for answer in answers) == [0] * 49 + [1]
        await here.settle()
        assert await events(here) == 1
    assert texts(inside) == ["m1"]


@pytest.mark.parametrize("seconds", [2.0, DAY, 6 * DAY + 22 * HOUR])
async def test_a_repeat_is_known_past_midnight_and_for_a_week(
    inside: Inside, seconds: float
) -> None:
    inside.people(1)
    inside.told.expect_nothing("Segment repeats what it is not sure of; it is counted")
    inside.told.expect_metric("bridge_dedupe_hits_total")
    # A second before midnight, UTC.
    inside.clock.advance(DAY - inside.clock.now_ms() / 1000 % DAY - 1)
    async with inside.bridge() as here:
        await inside.post(order(0, "m1"))
        await here.settle()
    inside.clock.advance(seconds)
    async with inside.bridge() as here:
        if seconds > DAY:
            await tidied_up(here)
        assert (await inside.post(order(0, "m1")))["duplicates"] == 1
        await here.settle()
    assert texts(inside) == ["m1"]


async def test_after_more_than_a_week_it_is_another_event_and_still_no_other_push(
    inside: Inside,
) -> None:
    """What is written again is the same; a push has the key that it had."""
    inside.people(2)
    inside.told.expect_nothing("by then it is an event like any other")
    async with inside.bridge() as here:
        await inside.post(order(0, "m1"))
        await here.settle()
    inside.clock.advance(8 * DAY)
    async with inside.bridge() as here:
        # The newest events are known for longer, unless there are very many.
        here.bridge.journal._writer._tail._most = 0
        await inside.post(ping(1, "m2"))
        await tidied_up(here)
        inside.forgotten = frozenset({"m1"})
        assert (await inside.post(order(0, "m1")))["accepted"] == 1
        await here.settle()
        assert await ends_of(here, 3) == {("delivered", None), ("skipped", "already_sent")}
    assert sorted(texts(inside)) == ["m1", "m2"]


async def test_a_message_through_two_sources_is_two_events_and_one_push(inside: Inside) -> None:
    inside.people(1)
    inside.told.expect_nothing("each source has its own; nothing is wrong")
    async with inside.bridge(sources=("default", "app")) as here:
        for source in ("default", "app", "app", "default"):
            await inside.post(order(0, "m1"), source=source)
        await here.settle()
        assert await events(here) == 2
        assert await ends_of(here, 2) == {("skipped", "unchanged"), ("skipped", "already_sent")}
    assert texts(inside) == ["m1"]


async def test_an_event_of_segments_tester_is_sent_whenever_it_is_clicked(inside: Inside) -> None:
    inside.people(1)
    inside.told.expect_nothing("whoever tests wants to see it again")
    async with inside.bridge() as here:
        for _ in range(2):
            answer = await inside.post(ping(0, "segment-test-message-1"))
            assert answer["accepted"] == 1
            await here.settle()
    assert len(inside.sandbox.pushes) == 2


# 24 ----------------------------------------------------------------------------------------------


def at(here: Rig, seconds: float) -> dict[str, str]:
    return {"timestamp": iso(here.clock.now_ms() + round(seconds * 1000))}


def tag(inside: Inside, name: str) -> Any:
    user = inside.sandbox.user(person(0))
    assert user is not None
    return user.tags.get(name)


@pytest.mark.parametrize("apart", [0.0, 5.0], ids=["together", "one after the other"])
async def test_an_older_event_that_comes_later_changes_nothing(
    inside: Inside, apart: float
) -> None:
    inside.people(1)
    inside.told.expect_nothing("`overtaken` is said of the event; nothing is wrong")
    async with inside.bridge() as here:
        newer, older = profile(0, "newer", **at(here, -10)), profile(0, "older", **at(here, -20))
        await inside.post(newer)
        await here.pass_time(apart)
        await inside.post(older)
        await here.settle()
        assert tag(inside, "tier") == trait("newer")
        if apart:
            assert await ends_of(here, 2) == {("skipped", "overtaken")}


async def test_swapped_timestamps_decide_and_not_the_order_of_a_batch(inside: Inside) -> None:
    inside.people(1)
    inside.told.expect_nothing("nothing is wrong")
    async with inside.bridge() as here:
        batch = [profile(0, f"m{n}", **at(here, -second)) for n, second in enumerate([1, 4, 2, 3])]
        await inside.post(batch)
        await here.settle()
        assert tag(inside, "tier") == trait("m0")


async def test_of_the_same_millisecond_the_one_that_came_last_counts(inside: Inside) -> None:
    inside.people(1)
    inside.told.expect_nothing("nothing is wrong")
    async with inside.bridge() as here:
        same = at(here, -1)
        await inside.post([profile(0, f"m{number}", **same) for number in range(5)])
        await here.settle()
        await inside.post(profile(0, "last", **same))
        await here.settle()
        assert tag(inside, "tier") == trait("last")


async def test_an_identify_after_the_event_that_it_belongs_to_is_not_lost(inside: Inside) -> None:
    inside.people(1)
    inside.told.expect_nothing("nothing is wrong")
    async with inside.bridge() as here:
        await inside.post(order(0, "m1", **at(here, -1)))
        await here.pass_time(0.5)
        await inside.post(profile(0, "m2", **at(here, -2)))
        await here.settle()
        assert (tag(inside, "tier"), tag(inside, "order")) == (trait("m2"), trait("m1"))
    assert texts(inside) == ["m1"]


@pytest.mark.parametrize("seed", range(3))
async def test_events_in_any_order_end_as_the_latest_says(inside: Inside, seed: int) -> None:
    """Times are swapped and shared, batches too, and some come twice; the invariants know the end."""
    draw = random.Random(seed)
    people = 12
    inside.people(people)
    inside.told.expect_nothing("nothing is wrong")
    async with inside.bridge() as here:
        made: list[Event] = []
        for number in range(people * 12):
            # At most four pushes for a person.
            make = order if number // people % 3 == 0 else profile
            made.append(make(number % people, f"m{number}", **at(here, -draw.randrange(60))))
        draw.shuffle(made)
        while made:
            some = [made.pop() for _ in range(min(len(made), draw.randrange(1, 20)))]
            await inside.post([*some, draw.choice(some)])
            await here.pass_time(draw.choice([0.0, 0.2, 1.5]))
        await here.settle()
