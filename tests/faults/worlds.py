"""A bridge, OneSignal, a sender, and what they leave: inside this process, or as real processes.

`Inside` has the clock in its hand; `Outside` starts the commands. Either ends with `check`, which lets
what is pending be done, as whoever runs the bridge would, and then holds all promises against it.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
from pydantic import SecretStr

from bridge.app import running
from bridge.clock import ManualClock, SystemClock
from bridge.config import DEFAULT, of_settings
from bridge.sandbox import Limits as SandboxLimits, Sandbox, create_sandbox
from tests.faults.canary import ADMIN_TOKEN, API_KEY, SECRET, person
from tests.faults.forked import Nursery, forked
from tests.faults.invariants import Limits, Scene, violations
from tests.faults.sender import Sender, Sent
from tests.faults.sight import Resources, look, waiting
from tests.faults.story import SHOP, Event, Story
from tests.faults.told import Told, written_down
from tests.harness import APP_ID, Rig, eventually, mapping_of, rig, settings_of
from tests.processes import Command, script
from tests.serving import served

PHONES = ("android", "ios")
"""What everybody has: one that may be reached, and one that may not."""
_SERVING = re.compile(r'"address":\s*"([^"]+)"')
_SANDBOX = re.compile(r"is at (http://\S+)")
_RSS = re.compile(r"^VmRSS:\s+(\d+) kB", re.MULTILINE)


@dataclass(slots=True, kw_only=True)
class World:
    """What both kinds have; `story` is the mapping in force at the end."""

    folder: Path
    story: Story = SHOP
    sent: Sent = field(default_factory=Sent)
    told: Told = field(default_factory=Told)
    limits: Limits = field(default_factory=Limits)
    excused: frozenset[str] = frozenset()
    #: MessageIds that were posted again after they were forgotten: then each is another event.
    forgotten: frozenset[str] = frozenset()
    #: Where the database is, when that is a disk of its own.
    disk: Path | None = None
    #: How to start a bridge again, for what is still pending.
    started_with: dict[str, Any] = field(default_factory=dict)

    @property
    def database(self) -> Path:
        return (self.disk or self.folder) / "bridge.db"

    async def hold_against(self, onesignal: httpx.AsyncClient, used: list[Resources]) -> None:
        """Everything is done; is everything right?

        Raises:
            AssertionError: with all that is not.
        """
        sight = await look(self.database, onesignal)
        sight.resources = used
        scene = Scene(
            story=self.story,
            sent=self.sent,
            sight=sight,
            told=self.told,
            limits=self.limits,
            excused=self.excused,
            forgotten=self.forgotten,
        )
        found = violations(scene)
        assert not found, _said(found)


def _said(found: Iterable[tuple[str, str]]) -> str:
    lines = [f"{code}: {text}" for code, text in found]
    more = [f"and {len(lines) - 20} more"] if len(lines) > 20 else []
    return "\n".join(["promises that do not hold:", *lines[:20], *more])


# Inside ----------------------------------------------------------------------------------------


class _Chat(httpx.AsyncBaseTransport):
    """Takes the alerts."""

    def __init__(self, told: Told) -> None:
        self._told = told

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self._told.alerts.append((await request.aread()).decode())
        return httpx.Response(200, request=request)


@dataclass(slots=True, kw_only=True)
class Inside(World):
    """One process, one clock that stands until it is moved."""

    clock: ManualClock = field(default_factory=ManualClock)
    sandbox_limits: SandboxLimits = field(default_factory=SandboxLimits)
    #: The ASGI app of the sandbox, through every restart of the bridge.
    onesignal: Any = field(init=False)
    #: The bridge that runs.
    here: Rig | None = None

    def __post_init__(self) -> None:
        self.onesignal = create_sandbox(clock=self.clock, limits=self.sandbox_limits)

    @property
    def sandbox(self) -> Sandbox:
        sandbox: Sandbox = self.onesignal.state.sandbox
        return sandbox

    def people(self, count: int, platforms: Iterable[str] = PHONES) -> list[str]:
        """So many people with a device of each platform."""
        names = [person(number) for number in range(count)]
        for name in names:
            for platform in platforms:
                self.sandbox.add_device(name, platform, app_id=APP_ID)
        return names

    def fails(self, *answers: dict[str, Any], times: Any = 1, **match: Any) -> None:
        """Requests that match (`method`, `path`, `class`, `text`) are answered so, in turn."""
        match = {name.rstrip("_"): value for name, value in match.items()}
        self.sandbox.faults.script({"match": match, "answers": list(answers), "times": times})

    @asynccontextmanager
    async def bridge(self, story: Story | None = None, **options: Any) -> AsyncIterator[Rig]:
        """A bridge on the world's database; `options` are `tests.harness.rig`'s and settings."""
        self.story = story or self.story
        self.started_with = options
        secrets: dict[str, Any] = {
            "segment_secrets": (SecretStr(SECRET),),
            "onesignal_api_key": (SecretStr(API_KEY),),
            "alerts": _Chat(self.told),
        }
        given = {"clock": self.clock, "onesignal": self.onesignal} | secrets | options
        async with rig(self.database.parent, self.story.mapping, **given) as here:
            self.here = here
            try:
                yield here
            finally:
                self.told.scrapes.append((await here.http.get("/metrics")).text)
                self.here = None

    @property
    def sender(self) -> Sender:
        assert self.here is not None, "no bridge runs"
        return Sender(self.sent, self.here.http)

    async def post(self, events: Event | list[Event], **more: Any) -> dict[str, Any]:
        """Post what has to be answered 200; the answer."""
        return await self.sender.must(events, **more)

    async def check(self) -> None:
        self.sandbox.faults.clear()
        if self.database.exists() and waiting(self.database):
            async with self.bridge(**self.started_with) as here:
                await here.settle(within=12 * 3600)
        transport = httpx.ASGITransport(self.onesignal)
        async with httpx.AsyncClient(transport=transport, base_url="http://onesignal") as http:
            await self.hold_against(http, [])


@asynccontextmanager
async def inside(folder: Path, **more: Any) -> AsyncIterator[Inside]:
    """A world in this process, checked at the end of the block."""
    with written_down() as page:
        world = Inside(folder=folder, **more)
        world.told.pages["the log"] = page.getvalue
        yield world
        await world.check()


# Outside ---------------------------------------------------------------------------------------


@dataclass(slots=True, kw_only=True)
class Serving:
    """A bridge that is a process."""

    command: Command
    url: str
    http: httpx.AsyncClient
    sender: Sender

    @property
    def pid(self) -> int:
        return self.command.process.pid

    def kill(self) -> None:
        """As `kill -9` does."""
        self.command.process.kill()


@dataclass(slots=True, kw_only=True)
class Outside(World):
    """Real processes: the sandbox runs from the beginning to the end, bridges come and go."""

    onesignal: httpx.AsyncClient
    nursery: Nursery
    used: list[Resources] = field(default_factory=list)

    async def people(self, count: int, platforms: Iterable[str] = ("android",)) -> list[str]:
        """So many people with a device of each platform; the first of them have an iPhone, too."""
        names = [person(number) for number in range(count)]
        devices = [(name, platform) for name in names for platform in platforms]
        devices += [(name, "ios") for name in names[:10]]
        for start in range(0, len(devices), 50):
            async with asyncio.TaskGroup() as group:
                for name, platform in devices[start : start + 50]:
                    group.create_task(self._device(name, platform))
        return names

    async def _device(self, name: str, platform: str) -> None:
        device = {"external_id": name, "platform": platform, "app_id": APP_ID}
        assert (await self.onesignal.post("/sandbox/devices", json=device)).status_code == 201

    async def fails(self, *answers: dict[str, Any], times: Any = 1, **match: Any) -> None:
        """Requests that match (`method`, `path`, `class_`, `text`) are answered so, in turn."""
        match = {name.rstrip("_"): value for name, value in match.items()}
        script = {"match": match, "answers": list(answers), "times": times}
        assert (await self.onesignal.post("/sandbox/faults", json=script)).status_code == 201

    def settings(self, **more: str) -> dict[str, str]:
        (self.folder / "mapping.yaml").write_text(self.story.mapping)
        return {
            "BRIDGE_DATABASE_URL": f"sqlite:///{self.database}",
            "BRIDGE_MAPPINGS": str(self.folder / "mapping.yaml"),
            "BRIDGE_SEGMENT_SECRETS": SECRET,
            "BRIDGE_ONESIGNAL_APP_ID": APP_ID,
            "BRIDGE_ONESIGNAL_API_KEY": API_KEY,
            "BRIDGE_ONESIGNAL_URL": str(self.onesignal.base_url),
            "BRIDGE_LOG_FORMAT": "json",
            "BRIDGE_ADMIN_TOKEN": ADMIN_TOKEN,
        } | more

    @asynccontextmanager
    async def serving(
        self,
        *arguments: str,
        story: Story | None = None,
        disk: dict[str, str] | None = None,
        fresh: bool = False,
        **environment: str,
    ) -> AsyncIterator[Serving]:
        """A bridge that serves; `arguments` come before `serve` when Python is to run something else.

        `disk` is the environment that gives it a disk of `tests.faults.disk`; `fresh`: it begins as any
        process does, with loading, and not as a fork of one that has.

        At the end of the block it is killed, unless it ended before.
        """
        async with AsyncExitStack() as stack:
            begun = self.begun(*arguments, story=story, disk=disk, fresh=fresh, **environment)
            process = await stack.enter_async_context(begun)
            url = await url_of(process)
            http = await stack.enter_async_context(httpx.AsyncClient(base_url=url, timeout=30))
            sampling = asyncio.ensure_future(self._sample(process.process.pid))
            try:
                yield Serving(command=process, url=url, http=http, sender=Sender(self.sent, http))
                await self.scrape(http)
            finally:
                sampling.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await sampling

    @asynccontextmanager
    async def begun(
        self,
        *arguments: str,
        story: Story | None = None,
        disk: dict[str, str] | None = None,
        fresh: bool = False,
        **environment: str,
    ) -> AsyncIterator[Command]:
        """The same, which may end before it has said where it serves."""
        self.story = story or self.story
        given = self.settings(**environment) | (disk or {})
        async with self._begun(arguments, given, is_fresh=fresh or disk is not None) as process:
            pid = process.process.pid
            self.told.pages[f"the log of process {pid}"] = lambda: process.text
            yield process

    def _begun(
        self, arguments: Sequence[str], environment: dict[str, str], *, is_fresh: bool
    ) -> AbstractAsyncContextManager[Command]:
        asked = [*arguments, "serve", "--port", "0"]
        if is_fresh:
            first = [] if arguments else ["-m", "bridge"]
            return script(self.folder, [*first, *asked], environment)
        return forked(self.nursery, self.folder, asked, environment)

    async def scrape(self, http: httpx.AsyncClient) -> None:
        """Keep what its metrics say now, if it still says something."""
        with contextlib.suppress(httpx.TransportError):
            self.told.scrapes.append((await http.get("/metrics")).text)

    async def _sample(self, pid: int) -> None:
        used = Resources(rss_bytes=[], descriptors=[])
        self.used.append(used)
        clock = SystemClock()
        while (now := _used(pid)) is not None:
            used.rss_bytes.append(now[0])
            used.descriptors.append(now[1])
            await clock.sleep(0.25)

    @asynccontextmanager
    async def resumed(self, story: Story | None = None) -> AsyncIterator[Sender]:
        """A bridge in this process goes on with what a process left: the same, and sooner there."""
        self.story = story or self.story
        settings = settings_of(
            self.database,
            segment_secrets=(SecretStr(SECRET),),
            onesignal_api_key=(SecretStr(API_KEY),),
            onesignal_url=str(self.onesignal.base_url).rstrip("/"),
        )
        mappings = {DEFAULT: mapping_of(self.story.mapping)}
        async with running(of_settings(settings), mappings, clock=SystemClock()) as bridge:
            transport = httpx.ASGITransport(bridge.app)
            async with httpx.AsyncClient(transport=transport, base_url="http://bridge") as http:
                yield Sender(self.sent, http)
                await self.scrape(http)

    async def settled(self, *, within: float = 60) -> None:
        """Wait until nothing is pending."""

        async def look() -> bool | None:
            return True if waiting(self.database) == 0 else None

        await eventually(look, within=within, every=0.1)

    async def check(self) -> None:
        await self.onesignal.delete("/sandbox/faults")
        if self.database.exists() and waiting(self.database):
            async with self.resumed():
                await self.settled()
        await self.hold_against(self.onesignal, self.used)


def _used(pid: int) -> tuple[int, int] | None:
    """Resident bytes and open descriptors of a process; None when it is gone."""
    folder = Path(f"/proc/{pid}")
    try:
        found = _RSS.search((folder / "status").read_text())
        descriptors = sum(1 for _ in (folder / "fd").iterdir())
    except OSError:
        return None
    return (int(found[1]) * 1024, descriptors) if found else None


@asynccontextmanager
async def outside(
    folder: Path, nursery: Nursery, *, apart: bool = False, **more: Any
) -> AsyncIterator[Outside]:
    """A world of processes, checked at the end of the block; `apart`: the sandbox is one, too."""
    sandbox = _sandbox_process(folder) if apart else _sandbox_thread()
    async with sandbox as url, httpx.AsyncClient(base_url=url, timeout=60) as onesignal:
        # Two clocks' worth of a journey lies between a call and its arrival.
        given: dict[str, Any] = {"limits": Limits(tolerance=0.05)} | more
        world = Outside(folder=folder, onesignal=onesignal, nursery=nursery, **given)
        with written_down() as page:
            world.told.pages["the log"] = page.getvalue
            yield world
            await world.check()


@asynccontextmanager
async def _sandbox_process(folder: Path) -> AsyncIterator[str]:
    remembering = str(Path(__file__).with_name("remembering.py"))
    async with script(folder, [remembering, "sandbox", "--port", "0"], {}) as running:
        yield await running.says(_SANDBOX)


@asynccontextmanager
async def _sandbox_thread() -> AsyncIterator[str]:
    with served(create_sandbox(clock=SystemClock())) as url:
        yield url


async def url_of(process: Command) -> str:
    """Where it serves, once it says so."""
    return f"http://{await process.says(_SERVING)}"


class Worlds:
    """Several worlds in one test, each in a folder of its own and each checked."""

    def __init__(self, folder: Path, nursery: Nursery) -> None:
        self._folder = folder
        self._nursery = nursery
        self.opened = 0

    def inside(self, name: str, **more: Any) -> AbstractAsyncContextManager[Inside]:
        return inside(self._new(name), **more)

    def outside(self, name: str, **more: Any) -> AbstractAsyncContextManager[Outside]:
        return outside(self._new(name), self._nursery, **more)

    def _new(self, name: str) -> Path:
        self.opened += 1
        folder = self._folder / name
        folder.mkdir()
        return folder


class Company:
    """Cases of a test that mostly wait, some at a time: the first of them brings its neighbours along."""

    AT_ONCE = 5

    def __init__(self) -> None:
        self._ended: dict[tuple[str, str], BaseException | None] = {}

    async def case(
        self,
        worlds: Worlds,
        play: Callable[[Outside, str], Awaitable[None]],
        case: str,
        cases: Sequence[str],
    ) -> None:
        """Play this case in a world of its own, unless that has been done; how it ended."""
        if (play.__name__, case) not in self._ended:
            first = cases.index(case) // self.AT_ONCE * self.AT_ONCE
            some = cases[first : first + self.AT_ONCE]
            played = (self._played(worlds, play, one) for one in some)
            ends = await asyncio.gather(*played, return_exceptions=True)
            self._ended |= {(play.__name__, one): end for one, end in zip(some, ends, strict=True)}
        worlds.opened += 1
        if (error := self._ended[play.__name__, case]) is not None:
            raise error

    async def _played(
        self, worlds: Worlds, play: Callable[[Outside, str], Awaitable[None]], case: str
    ) -> None:
        async with worlds.outside(case.replace(":", "-")) as world:
            await play(world, case)
