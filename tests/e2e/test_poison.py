"""An event that ends the process, or makes it stand, is found out; its user and all others go on."""

from __future__ import annotations

import itertools
import sqlite3
import threading
from pathlib import Path

from bridge.clock import ManualClock
from bridge.deliver.cautious import BEGUN_BEFORE, CAUTIOUS_ROWS
from bridge.deliver.watchdog import EXIT_CODE, Hand, Watchdog
from tests.harness import APP_ID, Rig, eventually, identify, rig, track

MAPPING = """
version: 1
push: {platforms: {exclude: [ios]}}
rules:
  - name: profile
    when: type = "identify"
    do: {update_user: {tags: {tier: "{{ traits.tier }}"}}}
  - name: ping
    when: event = "Ping" or event = "Poison"
    max_age: 30d
    do: {send_notification: {contents: "{{ messageId }}"}}
"""


# Caution ---------------------------------------------------------------------------------------


async def begun(here: Rig) -> list[tuple[int, int]]:
    return await here.bridge.journal._read(
        lambda connection: connection.execute("SELECT seq, begun FROM suspect").fetchall()
    )


def leave_uncleanly(folder: Path) -> None:
    with sqlite3.connect(folder / "bridge.db") as connection:
        connection.execute("UPDATE meta SET value = x'30' WHERE key = 'clean'")
    connection.close()


async def test_after_a_clean_end_nothing_is_written_before_an_event_begins(tmp_path: Path) -> None:
    for _ in range(2):
        async with rig(tmp_path, MAPPING) as here:
            assert not here.bridge.is_cautious


async def test_after_an_unclean_end_events_begin_alone_until_what_there_was_is_done(
    tmp_path: Path,
) -> None:
    clock = ManualClock()
    async with rig(tmp_path, MAPPING, clock=clock) as here:
        here.means.destination.writes.hold(3600)
        await here.post([identify(f"u{n}", f"m{n}", tier="gold") for n in range(30)])
        await here.still()
    leave_uncleanly(tmp_path)
    async with rig(tmp_path, MAPPING, clock=clock) as here:
        before = here.bridge.is_cautious
        await here.settle()
        assert {status for _, _, _, status, _ in await here.outcomes()} == {"delivered"}
        assert await begun(here) == []
        assert (before, here.bridge.is_cautious) == (True, False)
    async with rig(tmp_path, MAPPING, clock=clock) as here:
        assert not here.bridge.is_cautious


async def test_caution_ends_after_so_many_events(tmp_path: Path) -> None:
    async with rig(tmp_path, MAPPING) as here:
        here.means.destination.writes.hold(3600)
        await here.post([identify(f"u{n}", f"m{n}", tier="gold") for n in range(60)])
    leave_uncleanly(tmp_path)
    async with rig(tmp_path, MAPPING) as here:
        assert here.means.caution.rows == CAUTIOUS_ROWS
        here.means.caution.rows = 20
        here.means.destination.writes.hold(5)
        await here.still()
        assert not here.bridge.is_cautious
        await here.settle()
        assert len(await here.outcomes()) == 60


async def test_a_poisonous_event_with_a_written_push_leaves_it_to_a_person(tmp_path: Path) -> None:
    clock = ManualClock()
    async with rig(tmp_path, MAPPING, clock=clock) as here:
        here.sandbox.add_device("u1", "android", app_id=APP_ID)
        here.means.destination.sends.hold(3600)
        await here.post(track("Ping"))
        await here.still()
    leave_uncleanly(tmp_path)
    with sqlite3.connect(tmp_path / "bridge.db") as connection:
        connection.execute("INSERT INTO suspect SELECT seq, ? FROM pending", (BEGUN_BEFORE,))
    connection.close()
    async with rig(tmp_path, MAPPING, clock=clock) as here:
        await here.settle()
        letters = await here.bridge.journal.dead_letters()
        assert {(one.rule, one.reason, bool(one.uncertain)) for one in letters} == {
            ("ping", "poison", True), ("", "poison", False),
        }  # fmt: skip
        assert not here.sandbox.pushes


# The watchdog ----------------------------------------------------------------------------------


async def test_a_loop_that_ticks_is_left_alone_and_one_that_stands_ends_the_process() -> None:
    ended = threading.Event()
    codes: list[int] = []

    def end(code: int) -> None:
        codes.append(code)
        ended.set()

    watchdog = Watchdog(
        hand=Hand("m1"),
        is_cautious=lambda: False,
        standing=0.2,
        look=0.05,
        last_resort=None,
        end=end,
    )
    watchdog.start()

    looks = itertools.count()

    async def long_enough() -> bool | None:
        return True if next(looks) > 20 else None

    await eventually(long_enough, within=10, every=0.02)
    assert codes == []
    # The loop's own thread waits here, as a planner that hangs would.
    assert ended.wait(10)
    assert codes == [EXIT_CODE]
    watchdog.stop()
