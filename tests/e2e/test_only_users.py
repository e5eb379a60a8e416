"""A list of the only people who may be reached, set while pushes for others wait: they do not leave."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from bridge.clock import ManualClock
from bridge.deliver.brake import PUSHES
from bridge.deliver.held import holdings, release, release_resumed
from bridge.deliver.replay import replay
from bridge.journal.sqlite import SqliteJournal, open_sqlite
from bridge.sandbox import create_sandbox
from tests.harness import APP_ID, Rig, rig, track

MAPPING = """
version: 1
push: {platforms: {exclude: [ios]}}
rules:
  - name: shipped
    when: event = "Order Shipped"
    do: {send_notification: {contents: "On its way"}}
  - name: sale
    when: event = "Sale"
    group: 30s
    do: {send_notification: {contents: "Sale"}}
  - name: bought
    when: event = "Bought"
    do: {track_custom_event: {name: bought}}
"""
ONLY = ("friend",)
NOT_LISTED = ("skipped", "not_listed")


class Week:
    """The first one: everybody is to be reached, and then the friends only."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._clock = ManualClock()
        self._onesignal = create_sandbox(clock=self._clock)
        self.sandbox = self._onesignal.state.sandbox
        for user in ("friend", "customer"):
            self.sandbox.add_device(user, "android", app_id=APP_ID)

    def bridge(self, **settings: Any) -> Any:
        return rig(
            self._folder, MAPPING, clock=self._clock, onesignal=self._onesignal, drain=0, **settings
        )

    def fails(self, *answers: dict[str, Any], kind: str = "send") -> None:
        self.sandbox.faults.script({"match": {"class": kind}, "answers": answers, "times": 1})

    @property
    def reached(self) -> list[str | None]:
        return [push.external_id for push in self.sandbox.pushes]


async def tell(here: Rig, name: str) -> None:
    await here.post([track(name, user) for user in ("friend", "customer")])


async def ends(here: Rig) -> dict[int, tuple[str, str | None]]:
    return {seq: (status, reason) for seq, _, _, status, reason in await here.outcomes()}


async def test_a_push_that_waits_for_company_is_not_sent_to_others(tmp_path: Path) -> None:
    week = Week(tmp_path)
    async with week.bridge() as here:
        here.means.destination.sends.hold(600)
        await tell(here, "Sale")
        await here.still()
    async with week.bridge(only_users=ONLY) as here:
        await here.settle()
        assert await ends(here) == {1: ("delivered", None), 2: NOT_LISTED}
    assert week.reached == ["friend"]


async def test_what_an_earlier_process_may_have_sent_to_others_waits_for_a_person(
    tmp_path: Path,
) -> None:
    week = Week(tmp_path)
    async with week.bridge() as here:
        here.means.destination.sends.hold(600)
        await tell(here, "Order Shipped")
        await here.still()
    async with week.bridge(only_users=ONLY) as here:
        await here.settle()
        assert await ends(here) == {1: ("delivered", None), 2: ("dead", "unknown_outcome")}
    assert week.reached == ["friend"]


async def test_while_it_runs_the_list_takes_members_out_of_a_call_that_waits(
    tmp_path: Path,
) -> None:
    week = Week(tmp_path)
    async with week.bridge() as here:
        week.fails({"status": 429, "headers": {"Retry-After": "60"}})
        await tell(here, "Sale")
        await here.pass_time(31)
        restrict(here)
        await here.settle()
        assert await ends(here) == {1: ("delivered", None), 2: NOT_LISTED}
    assert week.reached == ["friend"]


async def test_what_may_have_been_sent_to_others_waits_for_a_person(tmp_path: Path) -> None:
    week = Week(tmp_path)
    async with week.bridge() as here:
        week.fails({"status": 503, "headers": {"Retry-After": "60"}}, {"status": 503})
        await tell(here, "Order Shipped")
        await here.still()
        restrict(here)
        await here.settle()
        assert await ends(here) == {1: ("delivered", None), 2: ("dead", "unknown_outcome")}
    assert week.reached == ["friend"]


async def test_what_was_held_is_not_sent_to_others_when_it_is_released(tmp_path: Path) -> None:
    week = Week(tmp_path)
    async with week.bridge() as here:
        await here.bridge.brake.pull(PUSHES)
        await tell(here, "Order Shipped")
        await here.settle()
        restrict(here)
        await here.bridge.brake.let_go(PUSHES)
        await release_resumed(here.bridge.journal, here.bridge.brake, nudge=here.bridge.nudge)
        await here.settle()
        assert await ends(here) == {1: ("delivered", None), 2: NOT_LISTED}
    assert week.reached == ["friend"]


async def test_what_a_command_lets_go_while_nothing_runs_was_never_sent(tmp_path: Path) -> None:
    week = Week(tmp_path)
    async with week.bridge() as here:
        await here.bridge.brake.pull(PUSHES)
        await tell(here, "Order Shipped")
        await here.settle()
        await here.bridge.brake.let_go(PUSHES)
    await alone(tmp_path, release_all)
    async with week.bridge(only_users=ONLY) as here:
        await here.settle()
        assert await ends(here) == {1: ("delivered", None), 2: NOT_LISTED}
    assert week.reached == ["friend"]


async def test_nor_was_what_a_command_replays_after_it_was_refused(tmp_path: Path) -> None:
    week = Week(tmp_path)
    async with week.bridge() as here:
        week.fails({"status": 400}, {"status": 400})
        await tell(here, "Order Shipped")
        await here.settle()
    await alone(tmp_path, replay_those_that_are_dead)
    async with week.bridge(only_users=ONLY) as here:
        await here.settle()
        assert await ends(here) == {1: ("delivered", None), 2: NOT_LISTED}
    assert week.reached == ["friend"]


async def test_what_a_command_let_go_is_held_again_if_it_is_paused_before_it_leaves(
    tmp_path: Path,
) -> None:
    week = Week(tmp_path)
    async with week.bridge() as here:
        await here.bridge.brake.pull(PUSHES)
        await tell(here, "Order Shipped")
        await here.settle()
    await alone(tmp_path, release_all)
    async with week.bridge() as here:
        await here.settle()
        assert (await here.bridge.journal.counts()).held == 2
    assert not week.reached


async def test_what_it_let_go_may_have_been_sent_by_who_ran_after_it(tmp_path: Path) -> None:
    week = Week(tmp_path)
    async with week.bridge() as here:
        await here.bridge.brake.pull(PUSHES)
        await tell(here, "Order Shipped")
        await here.settle()
        await here.bridge.brake.let_go(PUSHES)
    await alone(tmp_path, release_all)
    async with week.bridge() as here:
        here.means.destination.sends.hold(600)
        await here.still()
    async with week.bridge(only_users=ONLY) as here:
        await here.settle()
        assert await ends(here) == {1: ("delivered", None), 2: ("dead", "unknown_outcome")}


async def alone(folder: Path, work: Callable[[SqliteJournal], Awaitable[Any]]) -> None:
    """A command opens the database while no bridge runs, as other commands do before and after it."""
    for what in (None, work, None):
        journal = open_sqlite(folder / "bridge.db")
        if what is not None:
            await what(journal)
        await journal.close()


async def release_all(journal: SqliteJournal) -> None:
    await release(
        journal, await holdings(journal), now_ms=ManualClock().now_ms(), nudge=lambda *_: None
    )


async def replay_those_that_are_dead(journal: SqliteJournal) -> None:
    for letter in await journal.dead_letters():
        await replay(journal, letter.id, now_ms=ManualClock().now_ms())


@pytest.mark.parametrize("seconds", [1.5, 600])
async def test_a_push_that_waits_for_its_turn_is_not_sent_to_others(
    tmp_path: Path, seconds: float
) -> None:
    week = Week(tmp_path)
    async with week.bridge() as here:
        here.means.destination.sends.hold(seconds)
        await tell(here, "Order Shipped")
        await here.still()
        restrict(here)
        await here.settle()
        assert await ends(here) == {1: ("delivered", None), 2: NOT_LISTED}
    assert week.reached == ["friend"]


async def test_custom_events_of_others_do_not_leave_either(tmp_path: Path) -> None:
    week = Week(tmp_path)
    async with week.bridge() as here:
        here.means.destination.events.hold(60)
        await tell(here, "Bought")
        await here.still()
        restrict(here)
        await here.settle()
        assert await ends(here) == {1: ("delivered", None), 2: NOT_LISTED}
    assert [one.external_id for one in week.sandbox.events] == ["friend"]


def restrict(here: Rig) -> None:
    """An edit of the list comes into force."""
    config = here.bridge.config
    settings = config.settings.model_copy(update={"only_users": ONLY})
    edited = type(config)(settings=settings, apps=config.apps, sources=config.sources)
    here.bridge.bring_into_force(edited, here.bridge.mappings)
