"""One schedule, from its first step to the end of everything that it has begun."""

from __future__ import annotations

import asyncio
import logging
import random
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import structlog

from bridge.mapping.rules import Mapping
from tests.faults.orders.loop import Loop
from tests.faults.orders.reference import Seen, Told, look, wrongs
from tests.faults.orders.schedule import (
    MAPPING,
    REACHED,
    Ask,
    Crash,
    Fail,
    Happening,
    Post,
    Restart,
    Schedule,
    Step,
    schedule_of,
)
from tests.faults.orders.world import World, template
from tests.harness import APP_ID, iso, mapping_of

_LONGEST_SECONDS = 6 * 3600.0
_FAST_DISK = Path("/dev/shm")
"""That what is written is on disk is another test's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What came of a seed; nothing is wrong when all is as promised."""

    seed: int
    wrong: list[str]
    #: How often what was to be met has been met.
    met: Counter[str]
    seen: Seen | None = None


@cache
def _mapping() -> Mapping:
    return mapping_of(MAPPING)


@contextmanager
def folder() -> Iterator[Path]:
    """Where databases are made, with an empty one in it; nothing is logged meanwhile."""
    before = structlog.get_config()
    quiet = structlog.make_filtering_bound_logger(logging.CRITICAL)
    structlog.configure(wrapper_class=quiet, cache_logger_on_first_use=False)
    try:
        with tempfile.TemporaryDirectory(dir=_FAST_DISK if _FAST_DISK.is_dir() else None) as name:
            template(Path(name))
            yield Path(name)
    finally:
        structlog.configure(**before)


def run(seed: int, where: Path) -> Report:
    """Play the schedule of a seed, the same every time, and hold the promises against what came of it."""
    schedule = schedule_of(seed)
    loop = Loop(random.Random(f"disk {seed}"))
    asyncio.set_event_loop(loop)
    with tempfile.TemporaryDirectory(dir=where) as own:
        world = World(
            loop, random.Random(f"world {seed}"), Path(own), where / "empty.db", _mapping()
        )
        try:
            return loop.run_until_complete(_Run(world, schedule).all())
        finally:
            asyncio.set_event_loop(None)
            loop.close()


@dataclass
class _Run:
    world: World
    schedule: Schedule
    #: What was posted, by source and messageId.
    told: dict[tuple[str, str], Told] = field(default_factory=dict)
    #: Bodies by messageId: a repeat is the same to the byte.
    bodies: dict[str, dict[str, Any]] = field(default_factory=dict)

    async def all(self) -> Report:
        world, seed = self.world, self.schedule.seed
        for user in REACHED:
            world.sandbox.add_device(user, "android", app_id=APP_ID)
        await world.start()
        try:
            for pause, step in self.schedule.steps:
                await world.clock.sleep(pause)
                await self._alive()
                await self._do(step)
            if (stuck := await self._end()) is not None:
                return Report(seed=seed, wrong=[stuck], met=Counter())
            seen = await look(world, list(self.told.values()))
            return Report(
                seed=seed, wrong=wrongs(seen, self.schedule), met=_met(world, seen), seen=seen
            )
        finally:
            await world.stop()

    async def _alive(self) -> None:
        if self.world.is_dead:
            await self.world.restart()

    async def _do(self, step: Step) -> None:
        world = self.world
        match step:
            case Post(source=source, happenings=happenings):
                await self._post(source, happenings)
            case Fail(endpoint_class=name, answers=answers):
                world.sandbox.faults.script(
                    {"match": {"class": name}, "answers": answers, "times": 1}
                )
            case Ask(path=path, body=body):
                await world.ask(path, body)
            case Crash(after=steps):
                world.crash_after(steps)
            case Restart():
                await world.restart()

    async def _post(self, source: str, happenings: tuple[Happening, ...]) -> None:
        """As Segment does: again and again, until somebody says that it is kept."""
        bodies = [self._body(one) for one in happenings]
        while not await self.world.post(source, bodies):
            await self.world.clock.sleep(0.5)
            await self._alive()
        for one in happenings:
            key = source, one.message_id
            at = self.bodies[one.message_id]["at_ms"]
            self.told.setdefault(key, Told(source, one, at))

    def _body(self, one: Happening) -> dict[str, Any]:
        kept = self.bodies.get(one.message_id)
        if kept is None:
            at = self.world.clock.now_ms() - round(one.ago * 1000)
            kept = self.bodies[one.message_id] = {"at_ms": at, "body": _event(one, at)}
        body: dict[str, Any] = kept["body"]
        return body

    async def _end(self) -> str | None:
        """Nothing fails any more, everybody lets go, and time passes until nothing is left; else what is."""
        world = self.world
        world.spare()
        await self._alive()
        world.sandbox.faults.clear()
        for one in list(world.bridge.brake.pauses):
            kind, _, rule = one.partition("/")
            await world.ask("resume", {"what": kind, "rule": rule} if rule else {"what": kind})
        stuck = await self._settle()
        for _ in range(3 if self.schedule.mends else 0):
            await world.ask("dead/replay", {})
            stuck = stuck or await self._settle()
        return stuck

    async def _settle(self) -> str | None:
        world, wait, waited = self.world, 0.5, 0.0
        while waited < _LONGEST_SECONDS:
            await world.clock.sleep(wait)
            waited += wait
            counts = await world.bridge.journal.counts()
            if counts.held:
                await world.ask("held/release", {})
            elif not counts.pending:
                return None
            wait = min(60.0, wait * 2)
        return f"something is never over: {world.bridge!r}"


def _met(world: World, seen: Seen) -> Counter[str]:
    ends = Counter(end.status for event in seen.events for end in event.ends.values())
    shared = [one for one in seen.writes if len(one[2]) > 1]
    return Counter(
        events=len(seen.events),
        crashes=world.crashes,
        lives=world.lives,
        calls=len(world.sandbox.calls),
        failed_calls=sum(one.fault is not None for one in world.sandbox.calls),
        writes_of_several_tags=len(shared),
        pushes=len(seen.pushes),
        died=len(seen.died),
        **{f"ended_{name}": count for name, count in ends.items()},
    )


def _event(one: Happening, at_ms: int) -> dict[str, Any]:
    event: dict[str, Any] = {
        "userId": one.user,
        "messageId": one.message_id,
        "timestamp": iso(at_ms),
    }
    context = {"__segment_internal": {"creator": "sync-worker"}} if one.bulk else {}
    if one.kind == "identify":
        return event | {"type": "identify", "traits": one.says, "context": context}
    if one.kind == "audience":
        context |= {"personas": {"computation_class": "audience", "computation_key": "vip"}}
        return event | {"type": "identify", "traits": one.says, "context": context}
    name = one.kind.capitalize()
    return event | {"type": "track", "event": name, "properties": one.says, "context": context}
