"""Nobody is forgotten, whatever comes between two looks; and memory stays small."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from bridge.config import DEFAULT as APP
from bridge.deliver.credit import Credit
from bridge.errors import JournalUnavailableError
from bridge.journal.records import lane_of
from tests.harness import APP_ID, Rig, rig, track

COUNTER = """
version: 1
rules:
  - name: count
    when: event = "Count"
    do: {update_user: {tags: {n: "{{ properties.n }}"}}}
"""
TOKEN = "let-me-in"


def counted(n: int, user: str = "u1", **more: Any) -> dict[str, Any]:
    return track("Count", user, f"m-{user}-{n}", properties={"n": n}, **more)


def written(here: Rig, user: str) -> list[str]:
    return [
        call.body["properties"]["tags"]["n"]
        for call in here.sandbox.calls
        if call.user == user and 200 <= call.status < 300
    ]


def with_phones(here: Rig, *users: str) -> None:
    for user in users:
        here.sandbox.add_device(user, "android", app_id=APP_ID)


# Memory ----------------------------------------------------------------------------------------


class Watched(Credit):
    """A credit that remembers how much of it was ever used."""

    peak = 0

    def lend(self, user_hash: int, rank: int, events: int) -> None:
        super().lend(user_hash, rank, events)
        self.peak = max(self.peak, self.lent)


@pytest.mark.parametrize("size", [1, 7, 40])
async def test_few_events_at_a_time_are_enough_for_many_users(tmp_path: Path, size: int) -> None:
    users = [f"u{n}" for n in range(300)]
    async with rig(tmp_path, COUNTER) as here:
        with_phones(here, *users)
        here.lanes._credit = watched = Watched(size)
        await here.post([counted(n, user) for n in range(2) for user in users])
        await here.settle(step=0.5)
        assert all(written(here, user)[-1] == "1" for user in users)
        assert len(await here.outcomes()) == 600
        assert 0 < watched.peak <= size
        assert watched.lent == 0


@pytest.mark.parametrize("size", [1, 7, 60])
async def test_few_users_at_work_are_enough_for_many(tmp_path: Path, size: int) -> None:
    users = [f"u{n}" for n in range(300)]
    async with rig(tmp_path, COUNTER) as here:
        with_phones(here, *users)
        here.lanes._places = watched = Watched(size)
        await here.post([counted(n, user) for n in range(2) for user in users])
        await here.settle(step=0.5)
        assert all(written(here, user)[-1] == "1" for user in users)
        assert 0 < watched.peak <= size
        assert watched.lent == 0


async def test_users_who_waited_come_back_a_few_at_a_time(tmp_path: Path) -> None:
    users = [f"u{n}" for n in range(100)]
    limited = {
        "status": 429,
        "headers": {"Retry-After": "60"},
        "body": {"limit": "Subscription/User Update Per Device"},
    }
    async with rig(tmp_path, COUNTER) as here:
        with_phones(here, *users)
        script = {"match": {"class": "write"}, "answers": [limited], "times": len(users)}
        here.sandbox.faults.script(script)
        await here.post([counted(n, user) for n in range(3) for user in users])
        await here.pass_time(30)
        here.lanes._credit = watched = Watched(20)
        await here.settle(step=0.5)
        assert all(written(here, user)[-1] == "2" for user in users)
        assert len(await here.outcomes()) == 300
        assert watched.peak <= 20


async def test_a_flood_of_bulk_leaves_room_for_what_is_live(tmp_path: Path) -> None:
    bulk = [f"b{n}" for n in range(200)]
    async with rig(tmp_path, COUNTER) as here:
        with_phones(here, *bulk, "u1")
        here.lanes._credit = Credit(20)
        here.means.destination.writes.hold(10)
        await here.post([counted(0, user, replay=True) for user in bulk])
        await here.pass_time(5)
        await here.post(counted(0, "u1"))
        await here.settle(step=0.05)
        assert here.sandbox.calls[0].user == "u1"
        assert len(here.sandbox.calls) == 201


async def test_many_bulk_users_at_work_leave_a_place_to_one_who_is_live(tmp_path: Path) -> None:
    bulk = [f"b{n}" for n in range(200)]
    async with rig(tmp_path, COUNTER) as here:
        with_phones(here, *bulk, "u1")
        here.lanes._places = Credit(60)
        here.means.destination.writes.hold(10)
        await here.post([counted(0, user, replay=True) for user in bulk])
        await here.pass_time(5)
        await here.post(counted(0, "u1"))
        await here.settle(step=0.05)
        assert here.sandbox.calls[0].user == "u1"
        assert len(here.sandbox.calls) == 201


# Nobody is forgotten ---------------------------------------------------------------------------


@dataclass
class Paused:
    """A journal whose answers of `chains` are kept back while it is told to."""

    inner: Any
    open: asyncio.Event = field(default_factory=asyncio.Event)
    reads: int = 0
    before: int = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)

    async def chains(self, users: Sequence[int], *, limit: int) -> Any:
        self.reads += 1
        found = await self.inner.chains(users, limit=limit)
        if self.reads > self.before:
            await self.open.wait()
        return found


async def test_an_event_that_comes_while_its_user_is_read_again_is_not_forgotten(
    tmp_path: Path,
) -> None:
    async with rig(tmp_path, COUNTER) as here:
        with_phones(here, "u1")
        paused = Paused(here.bridge.journal, before=1)
        here.means.journal = paused
        await here.post([counted(n) for n in range(55)])
        await here.pass_time(60)
        assert paused.reads == 2
        await here.post(counted(55))
        await here.still()
        paused.open.set()
        await here.settle()
        assert written(here, "u1")[-1] == "55"
        assert len(await here.outcomes()) == 56


async def test_a_replay_that_comes_while_its_user_is_read_is_not_forgotten(tmp_path: Path) -> None:
    async with rig(tmp_path, COUNTER, admin_token=SecretStr(TOKEN)) as here:
        with_phones(here, "u1")
        here.sandbox.faults.script({"match": {"class": "write"}, "answers": [{"status": 400}]})
        await here.post(counted(0))
        await here.settle()
        (dead,) = await here.bridge.journal.dead_letters()

        paused = Paused(here.bridge.journal)
        here.means.journal = paused
        await here.post(counted(1))
        await here.still()
        assert paused.reads == 1
        answer = await here.http.post(
            f"/api/v1/dead/{dead.id}/replay", headers={"authorization": f"Bearer {TOKEN}"}
        )
        assert answer.status_code == 200
        paused.open.set()
        await here.settle()
        assert written(here, "u1") == ["1"]
        assert {status for _, _, _, status, _ in await here.outcomes()} <= {"delivered", "skipped"}
        assert len(await here.outcomes()) == 2


async def test_a_user_behind_many_events_of_one_that_waits_does_not_wait_too(
    tmp_path: Path,
) -> None:
    async with rig(tmp_path, COUNTER) as here:
        journal = here.bridge.journal
        lane = lane_of(journal.user_hash(APP, "u1"))
        other = next(
            name
            for name in (f"x{n}" for n in range(100_000))
            if lane_of(journal.user_hash(APP, name)) == lane
        )
        with_phones(here, "u1", other)
        slow = {"status": 503, "headers": {"Retry-After": "3000"}}
        here.sandbox.faults.script({"match": {"path": "*/u1"}, "answers": [slow]})
        await here.post(counted(0))
        await here.still()
        await here.post([*(counted(n) for n in range(1, 101)), counted(0, other)])
        await here.pass_time(2)
        assert written(here, other) == ["0"]
        await here.settle()
        assert written(here, "u1")[-1] == "100"
        assert len(await here.outcomes()) == 102


@dataclass
class Faulty:
    """A journal of which one method fails a few times."""

    inner: Any
    method: str
    error: Exception
    times: int = 2

    def __getattr__(self, name: str) -> Any:
        found = getattr(self.inner, name)
        if name != self.method or not self.times:
            return found

        async def fail(*_: object, **__: object) -> None:
            self.times -= 1
            raise self.error

        return fail


@pytest.mark.parametrize("method", ["heads", "chains", "ack", "postpone"])
@pytest.mark.parametrize(
    "error", [sqlite3.OperationalError("disk I/O error"), JournalUnavailableError("disk full")]
)
async def test_a_journal_in_trouble_delays_and_loses_nothing(
    tmp_path: Path, method: str, error: Exception
) -> None:
    users = [f"u{n}" for n in range(5)]
    async with rig(tmp_path, COUNTER) as here:
        with_phones(here, *users)
        here.sandbox.faults.script({"match": {"path": "*/u1"}, "answers": [{"status": 503}]})
        here.means.journal = faulty = Faulty(here.bridge.journal, method, error)
        await here.post([counted(0, user) for user in users])
        await here.settle()
        assert faulty.times < 2
        assert all(written(here, user)[-1:] == ["0"] for user in users)
        assert {status for _, _, _, status, _ in await here.outcomes()} == {"delivered"}
        assert not here.sandbox.complaints
