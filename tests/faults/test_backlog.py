"""What waits for long: it keeps what it needs, is planned as is said when its turn comes, and is there after an upgrade."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from bridge.deliver.upkeep import ROUND_SECONDS
from bridge.journal.sqlite_file import SCHEMA_VERSION
from tests.faults.sight import rows
from tests.faults.story import SHOP, order, ping, profile
from tests.faults.test_damage import refused
from tests.faults.worlds import Inside, Outside
from tests.harness import eventually, mapping_of

HOUR = 3600.0
EDITED = replace(
    SHOP,
    mapping=SHOP.mapping.replace(
        'contents: "{{ messageId }}"', 'contents: "{{ messageId }} edited"'
    ),
    says_message_id=False,
)


def payloads(database: Path) -> int:
    return int(rows(database, "SELECT count(*) FROM event WHERE payload IS NOT NULL")[0][0])


# Retention -------------------------------------------------------------------------------------


async def test_what_waits_keeps_its_payload_however_long_and_nothing_else_does(
    inside: Inside,
) -> None:
    inside.told.expect_line("update.failed", reason="http_503")
    inside.told.expect_metric("bridge_calls_total", http="503")
    inside.people(60)
    # It is eight in the evening.
    inside.clock.advance(12 * HOUR)
    async with inside.bridge(keep_payloads="1h", keep_outcomes="7d") as here:
        await inside.post([profile(n, f"done-{n}") for n in range(20)])
        await here.settle()
        inside.fails({"status": 503}, times="until_cleared")
        await inside.post([order(n, f"waits-{n}") for n in range(20, 40)])
        await here.pass_time(3 * HOUR)
        assert payloads(inside.database) == 20
        # Midnight comes, and what happens on the new day is kept like any other.
        await here.pass_time(2 * HOUR)
        await inside.post([profile(n, f"next-{n}") for n in range(40, 60)])
        await here.pass_time(3 * HOUR)
        assert payloads(inside.database) == 40
        inside.sandbox.faults.clear()
        await here.settle(within=2 * HOUR)
        assert rows(inside.database, "SELECT DISTINCT status FROM outcome") == [("delivered",)]
        await here.pass_time(HOUR + 2 * ROUND_SECONDS)
        assert payloads(inside.database) == 0


# Edits -----------------------------------------------------------------------------------------


async def test_an_edit_is_for_what_is_planned_from_then_on_and_changes_nothing_that_was_written(
    inside: Inside,
) -> None:
    inside.told.expect_line("update.failed", reason="http_503")
    inside.told.expect_metric("bridge_calls_total", http="429")
    inside.people(20)
    async with inside.bridge() as here:
        inside.fails({"status": 429, "headers": {"Retry-After": "900"}}, class_="send")
        inside.fails({"status": 503}, times="until_cleared", class_="write")
        await inside.post([ping(n, f"written-{n}") for n in range(10)])
        await here.still()
        assert len(rows(inside.database, "SELECT 1 FROM send")) == 10
        await inside.post([order(n, f"waits-{n}") for n in range(10, 20)])
        await here.pass_time(60)
        inside.story = EDITED
        here.bridge.bring_into_force(here.bridge.config, {"default": mapping_of(EDITED.mapping)})
        inside.sandbox.faults.clear()
        await here.settle(within=2 * HOUR)
        texts = sorted(push.text for push in inside.sandbox.pushes)
        written = [f"written-{n}" for n in range(10)]
        assert texts == sorted([*written, *(f"waits-{n} edited" for n in range(10, 20))])


async def test_the_next_start_takes_over_a_full_queue_with_another_mapping(
    inside: Inside,
) -> None:
    inside.told.expect_line("update.failed", reason="http_503")
    inside.told.expect_metric("bridge_calls_total", http="503")
    inside.people(500)
    async with inside.bridge() as here:
        inside.fails({"status": 503}, times="until_cleared")
        await inside.post([order(n, f"m{n}") for n in range(500)])
        await here.pass_time(120)
        counts = await here.bridge.journal.counts()
        assert counts.pending == 500
    inside.sandbox.faults.clear()
    async with inside.bridge(EDITED) as here:
        await here.settle(within=2 * HOUR)
        assert len(inside.sandbox.pushes) == 500
        assert all(push.text.endswith(" edited") for push in inside.sandbox.pushes)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("version", "words"),
    [
        (SCHEMA_VERSION + 1, "was written by a newer version of the bridge"),
        (SCHEMA_VERSION - 1, "was written before the first release"),
    ],
)
async def test_a_queue_of_an_unknown_version_is_refused_untouched_and_is_there_for_its_own(
    outside: Outside, version: int, words: str
) -> None:
    outside.told.expect_line("update.failed", reason="http_503")
    outside.told.expect_metric("bridge_calls_total", http="503")
    await outside.people(40)
    await outside.fails({"status": 503}, times="until_cleared")
    async with outside.serving(BRIDGE_DRAIN="1") as serving:
        await serving.sender.must([order(n, f"m{n}") for n in range(40)])

        async def failed() -> bool | None:
            await outside.scrape(serving.http)
            return 'http="503"' in outside.told.scrapes[-1] or None

        await eventually(failed, within=10)
        serving.command.process.terminate()
        assert await serving.command.ends(within=10) == 0
    await outside.onesignal.delete("/sandbox/faults")
    set_version(outside.database, version)
    before = outside.database.read_bytes()
    said = await refused(outside.database)
    assert str(outside.database) in said
    assert words in said
    assert outside.database.read_bytes() == before
    set_version(outside.database, SCHEMA_VERSION)
    async with outside.serving():
        await outside.settled()


def set_version(database: Path, version: int) -> None:
    with closing(sqlite3.connect(database)) as connection:
        connection.execute(f"PRAGMA user_version = {version}")
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
