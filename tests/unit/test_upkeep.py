"""What is due is decided by the time alone; the walk to it gives way to whoever waits for the disk."""

from __future__ import annotations

import pytest

from bridge.clock import ManualClock
from bridge.deliver.upkeep import DAY_MS, DEDUPE_MS, PATIENCE_SECONDS, Keep, Upkeep, due
from bridge.journal.sqlite import SqliteJournal
from tests.journal.making import NOW, entry, select

KEEP = Keep(
    payloads=3 * DAY_MS,
    outcomes=30 * DAY_MS,
    dead=30 * DAY_MS,
    calls=3 * DAY_MS,
    unmatched=0,
    devices=180 * DAY_MS,
)


def times(keep: Keep, *, daily: bool = False) -> dict[str, int]:
    return {one.what: NOW - one.before_ms for one in due(keep, NOW, daily=daily)}


def test_each_kind_goes_after_its_own_time() -> None:
    found = times(KEEP)
    assert found["payloads"] == 3 * DAY_MS
    assert found["events"] == found["dead"] == 30 * DAY_MS
    assert found["calls"] == 3 * DAY_MS
    assert found["places"] == 0
    assert found["devices"] == 180 * DAY_MS


def test_what_changes_slowly_is_looked_at_once_a_day() -> None:
    assert times(KEEP).keys().isdisjoint({"dedupe", "reached", "erased"})
    assert times(KEEP, daily=True)["dedupe"] == DEDUPE_MS
    assert times(KEEP, daily=True)["ids"] == 400 * DAY_MS


@pytest.mark.parametrize(("unmatched", "found"), [(0, None), (DAY_MS, DAY_MS)])
def test_what_no_rule_wants_is_looked_for_when_it_is_kept(
    unmatched: int, found: int | None
) -> None:
    assert times(KEEP._replace(unmatched=unmatched)).get("unmatched") == found


async def test_a_round_removes_all_that_is_due_and_nothing_else(journal: SqliteJournal) -> None:
    clock = ManualClock(NOW)
    upkeep = Upkeep(journal, clock, lambda: KEEP._replace(payloads=0))
    await journal.append([entry("m1", received_ms=NOW - 40 * DAY_MS), entry("m2")])
    await journal.finish(1, [], deaths=[], at_ms=NOW - 40 * DAY_MS)
    await upkeep.round()
    assert await select(journal, "SELECT seq, payload NOTNULL FROM event") == [(2, 1)]


async def test_it_gives_way_to_who_waits_but_not_for_ever(journal: SqliteJournal) -> None:
    clock = ManualClock(NOW)
    upkeep = Upkeep(journal, clock, lambda: KEEP)
    journal.retention._is_awaited = lambda: True
    began = clock.monotonic()
    waiting = upkeep._give_way()
    steps = 0
    waiting.send(None)
    while True:
        clock.advance(clock.next_wake or 0)
        steps += 1
        try:
            waiting.send(None)
        except StopIteration:
            break
    assert steps > 1
    assert clock.monotonic() - began == pytest.approx(PATIENCE_SECONDS, abs=0.03)
