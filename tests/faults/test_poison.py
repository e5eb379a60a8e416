"""An event that ends the process, makes it stand, or wants all its memory: it is dead soon, and nobody else.

The rest of what is known of caution and the watchdog is in tests/e2e/test_poison.py.
"""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest

from bridge.deliver.watchdog import EXIT_CODE
from tests.faults.canary import person
from tests.faults.poisoned import POISON
from tests.faults.sight import rows, waiting
from tests.faults.story import SHOP, Story, ping
from tests.faults.worlds import Company, Outside, Worlds, url_of
from tests.harness import eventually, track

pytestmark = pytest.mark.slow

SCRIPT = str(Path(__file__).with_name("poisoned.py"))
STORY = Story(
    mapping=SHOP.mapping.replace('event = "Ping"', f'event = "Ping" or event = "{POISON}"'),
    tags=SHOP.tags,
    says_message_id=True,
)
OTHERS = 30
MOST_RESTARTS = 3
MOST_DELAY_MS = 60_000


def batch() -> list[dict[str, object]]:
    """The poison, a later event of its user, and those of others."""
    events = [track(POISON, person(0), "poison"), ping(0, "later")]
    return events + [ping(number, f"m{number}") for number in range(1, OTHERS)]


def others_are_delivered(outside: Outside) -> None:
    sql = (
        "SELECT message_id, status, at_ms - received_ms FROM event JOIN outcome USING (seq)"
        " WHERE message_id <> 'poison'"
    )
    found = rows(outside.database, sql)
    assert len(found) == OTHERS
    assert {status for _, status, _ in found} == {"delivered"}
    assert max(delay for _, _, delay in found) < MOST_DELAY_MS


CODES = {"leave": 9, "hang": EXIT_CODE, "hang-in-c": 1}


@pytest.mark.parametrize("way", CODES)
async def test_an_event_that_ends_the_process_is_dead_after_three_restarts_and_nobody_waits_for_it(
    worlds: Worlds, company: Company, way: str
) -> None:
    await company.case(worlds, dead_after_restarts, way, list(CODES))


async def dead_after_restarts(outside: Outside, way: str) -> None:
    outside.told.expect_line("event.poison", message_id="poison")
    outside.told.expect_metric("bridge_dead_total", reason="poison")
    await outside.people(OTHERS)
    # All of it is accepted before the first call is made.
    await outside.fails({"delay": 0.5}, times=4)
    async with outside.serving(SCRIPT, way, story=STORY) as serving:
        await serving.sender.must(batch())
        assert await serving.command.ends(within=20) == CODES[way]
    ends = 1
    while await ends_again(outside, way):
        ends += 1
    assert ends <= MOST_RESTARTS
    assert rows(outside.database, "SELECT reason, state FROM dead") == [("poison", "dead")]
    others_are_delivered(outside)


async def ends_again(outside: Outside, way: str) -> bool:
    """Whether the next process ended, too, maybe before it served; False when it finished the work."""
    async with outside.begun(SCRIPT, way) as command:

        async def over() -> bool | None:
            has_ended = command.process.returncode is not None
            return True if has_ended or waiting(outside.database) == 0 else None

        await eventually(over, within=40)
        if command.process.returncode is None:
            async with httpx.AsyncClient(base_url=await url_of(command)) as http:
                await outside.scrape(http)
            return False
        if way == "hang":
            assert '"message_id": "poison"' in command.text
            assert "poisoned.py" in command.text
        return True


async def test_an_event_that_makes_the_loop_stand_before_it_serves_ends_the_process(
    outside: Outside,
) -> None:
    outside.told.expect_line("event.poison", message_id="poison")
    outside.told.expect_metric("bridge_dead_total", reason="poison")
    await outside.people(OTHERS)
    await outside.fails({"delay": 0.5}, times=4)
    async with outside.serving(SCRIPT, "hang", story=STORY) as serving:
        await serving.sender.must(batch())
        assert await serving.command.ends(within=20) == EXIT_CODE
    async with outside.begun(SCRIPT, "hang-at-start") as command:
        assert await command.ends(within=20) == EXIT_CODE
        assert "bridge.serving" not in command.text
        assert '"message_id": "poison"' in command.text
    while await ends_again(outside, "hang"):
        pass
    assert rows(outside.database, "SELECT reason, state FROM dead") == [("poison", "dead")]
    others_are_delivered(outside)


async def test_an_event_that_wants_more_memory_than_there_is_dies_alone(outside: Outside) -> None:
    outside.told.expect_line("plan.failed", message_id="poison", error="MemoryError")
    outside.told.expect_metric("bridge_dead_total", reason="plan_failed")
    await outside.people(OTHERS)
    async with outside.serving(SCRIPT, "eat", story=STORY) as serving:
        await serving.sender.must(batch())
        await outside.settled()
        assert serving.command.process.returncode is None
    found = rows(outside.database, "SELECT message_id, reason FROM dead")
    assert found == [("poison", "plan_failed")]
    others_are_delivered(outside)
