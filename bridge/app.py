"""The composition root: settings in, running bridge out; the only file that knows everyone."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
from starlette.applications import Starlette
from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp

from bridge.clock import Clock
from bridge.config import App, Config, Source
from bridge.config.mappings import Mappings
from bridge.config.reload import Reload, Reloader
from bridge.console.api import Api
from bridge.console.brake import BrakeApi
from bridge.console.explain import ExplainApi
from bridge.console.held import Chosen, HeldApi
from bridge.console.status import GateState, SourceState, StatusApi
from bridge.deliver.audit import Audit
from bridge.deliver.brake import Brake, load_brake
from bridge.deliver.cautious import CAUTIOUS_ROWS, Caution
from bridge.deliver.gates import make_gates
from bridge.deliver.groups import Groups
from bridge.deliver.held import Holding, discard, holdings, release, release_resumed
from bridge.deliver.lanes import CREDIT, Lanes
from bridge.deliver.means import SOURCE_GONE, Destination, Means
from bridge.deliver.replay import replay
from bridge.deliver.spacing import SPACING_SECONDS, Spacing
from bridge.deliver.upkeep import drop_unused
from bridge.deliver.watchdog import Hand
from bridge.errors import BridgeError
from bridge.journal import Journal
from bridge.journal.sends import HeldSend
from bridge.journal.sqlite import SqliteJournal, open_sqlite
from bridge.onesignal.client import OneSignal
from bridge.receive.accept import SourceRoute
from bridge.receive.body import Budget
from bridge.receive.front import Front
from bridge.receive.health import Health
from bridge.receive.pulse import Pulse
from bridge.receive.sender import Proof
from bridge.receive.webhook import METHODS, Intake, Webhook
from bridge.settings import Settings
from bridge.telemetry import Metrics, log

LEAST_CREDIT = 500
"""Events in memory for each app, however many there are."""
FOR_EVER_SECONDS = 10 * 365 * 86_400.0
BODIES_IN_MEMORY = 64_000_000
WEBHOOK_PATHS = ("", "/", "/{source}", "/{source}/", "/{source}/{token}", "/{source}/{token}/")


@dataclass(slots=True, kw_only=True)
class Bridge:
    """A running bridge; `app` is what an HTTP server serves."""

    config: Config
    clock: Clock
    #: In force, by source.
    mappings: Mappings
    journal: SqliteJournal
    #: What each app has to itself, by its name.
    lanes: dict[str, Lanes]
    groups: dict[str, Groups]
    means: dict[str, Means]
    metrics: Metrics
    brake: Brake
    intakes: dict[str, Intake]
    #: What the loop works on.
    hand: Hand
    app: ASGIApp
    reloader: Reloader = field(init=False)
    draining: bool = False
    _work: list[asyncio.Task[None]] = field(default_factory=list)

    def __repr__(self) -> str:
        return f"<Bridge {self.journal!r} {self.lanes!r} {self.groups!r}>"

    @property
    def settings(self) -> Settings:
        return self.config.settings

    def drain(self) -> None:
        """Say that it is time to send new events elsewhere; what comes is still taken."""
        self.draining = True

    def unready(self) -> str | None:
        """Why nothing new should be sent here; None when it should."""
        return "draining" if self.draining else self.journal.unready

    def _workers(self) -> list[Lanes | Groups]:
        return [*self.lanes.values(), *self.groups.values()]

    def nudge(self, app: str, user_hash: int) -> None:
        """Somebody has put something of this user back to work."""
        self.lanes[app].nudge(user_hash)
        self.groups[app].look()

    def nudge_all(self, app: str, users: frozenset[int]) -> None:
        """Somebody has put something of these users, or of groups, back to work."""
        for user in users:
            self.lanes[app].nudge(user)
        self.groups[app].look()

    def beware(self) -> None:
        """The last end was not a clean one: begin the first events alone."""
        alone = asyncio.Lock()
        for means in self.means.values():
            means.caution.rows, means.caution.alone = CAUTIOUS_ROWS, alone

    @property
    def is_cautious(self) -> bool:
        return any(means.caution.is_on for means in self.means.values())

    def start(self) -> None:
        self._tell_restraint()
        self._note_mappings()
        loop = asyncio.get_running_loop()
        self._work = [loop.create_task(self._release_resumed())]
        self._work += [loop.create_task(means.audit.run()) for means in self.means.values()]
        self._work += [loop.create_task(worker.run()) for worker in self._workers()]
        self._work.append(loop.create_task(drop_unused(self.journal, self.clock)))

    async def _release_resumed(self) -> None:
        """A resume may have been interrupted, and what is held for no pause waits for nobody."""
        try:
            await release_resumed(self.journal, self.brake, nudge=self.nudge_all)
        except BridgeError as error:
            log().error("held.not_released", error=error.code)

    def watch(self, read: Callable[[], Config]) -> None:
        """Keep to what the files say; `read` reads them."""
        self.reloader.read = read
        self._work.append(asyncio.get_running_loop().create_task(self.reloader.watch()))

    def bring_into_force(self, config: Config, mappings: Mappings) -> None:
        """From now on; an event that is planned already goes on as it was planned."""
        for name, intake in self.intakes.items():
            intake.proof = _proof(config.sources[name])
        for name, means in self.means.items():
            means.restraint = config.restraint
            if config.apps[name].api_keys != self.config.apps[name].api_keys:
                means.destination.rekey(_keys(config.apps[name]))
        self.config, self.mappings = config, mappings
        self._tell_restraint()
        self._note_mappings()

    def _note_mappings(self) -> None:
        for source, mapping in self.mappings.items():
            self.journal.note_mapping(source, mapping.revision, at_ms=self.clock.now_ms())

    def _tell_restraint(self) -> None:
        restraint = self.config.restraint
        self.metrics.dry_run.set(restraint.dry_run)
        self.metrics.only_users.set(-1 if restraint.only is None else len(restraint.only))

    async def stop(self, seconds: float) -> None:
        """Finish the calls that are out, for so long; the rest stays pending."""
        # What waits only for company need not wait for the next start.
        await asyncio.gather(*(groups.flush(seconds / 4) for groups in self.groups.values()))
        await asyncio.gather(*(worker.stop(seconds * 3 / 4) for worker in self._workers()))
        for work in self._work:
            work.cancel()
        await asyncio.gather(*self._work, return_exceptions=True)


@asynccontextmanager
async def running(
    config: Config,
    mappings: Mappings,
    *,
    clock: Clock,
    transport: httpx.AsyncBaseTransport | None = None,
    read: Callable[[], Config] | None = None,
) -> AsyncIterator[Bridge]:
    """A bridge that accepts and delivers, until the end of the block; `mappings` by source.

    `read` says what the config is now: with it, edits come into force while the bridge runs.

    Raises:
        JournalError: the database cannot be used as it is.
    """
    journal = open_sqlite(config.settings.database_path)
    try:
        async with AsyncExitStack() as stack:
            clients = {
                app.name: await stack.enter_async_context(_client(app, transport))
                for app in config.apps.values()
            }
            brake = await load_brake(journal, clock)
            bridge = _compose(config, mappings, journal, clients, clock, brake)
            if not await journal.begin_work():
                log().warning("bridge.cautious", rows=CAUTIOUS_ROWS)
                bridge.beware()
            for means in bridge.means.values():
                await means.destination.gates.load()
            bridge.start()
            if read is not None:
                bridge.watch(read)
            try:
                yield bridge
            finally:
                await bridge.stop(config.settings.drain)
                with suppress(BridgeError):
                    await journal.end_work()
    finally:
        await journal.close()
        log().info("bridge.stopped")


def _client(app: App, transport: httpx.AsyncBaseTransport | None) -> OneSignal:
    """A pool of connections to one app: another's slow answers hold none of them."""
    return OneSignal(url=app.url, api_keys=_keys(app), transport=transport)


def _keys(app: App) -> list[str]:
    return [key.get_secret_value() for key in app.api_keys]


def _compose(
    config: Config,
    mappings: Mappings,
    journal: SqliteJournal,
    clients: dict[str, OneSignal],
    clock: Clock,
    brake: Brake,
) -> Bridge:
    bridge = Bridge(
        config=config,
        clock=clock,
        mappings=mappings,
        journal=journal,
        lanes={},
        groups={},
        means={},
        metrics=Metrics(),
        brake=brake,
        intakes={},
        hand=Hand(),
        app=Starlette(),
    )
    bridge.reloader = Reloader(
        clock=clock,
        config=config,
        mappings=mappings,
        read=lambda: config,
        swap=bridge.bring_into_force,
        record=Reload(loaded_ms=clock.now_ms()),
    )
    for app in config.apps.values():
        bridge.means[app.name] = _means(bridge, app, clients[app.name])
        bridge.groups[app.name] = Groups(bridge.means[app.name])
        bridge.means[app.name].handed_over = bridge.groups[app.name].add
        bridge.lanes[app.name] = Lanes(
            bridge.means[app.name], credit=max(LEAST_CREDIT, CREDIT // len(config.apps))
        )
    bridge.intakes = _intakes(bridge)
    webhook = Webhook(bridge.intakes)
    bridge.app = Front(webhook, Starlette(routes=_routes(bridge, webhook)), list(config.sources))
    return bridge


def _means(bridge: Bridge, app: App, client: OneSignal) -> Means:
    clock = bridge.clock
    # What a process before this one wrote in its last second is not known.
    first_write = 0.0 if bridge.journal.is_new else clock.monotonic() + SPACING_SECONDS
    destination = Destination(
        name=app.name,
        app_id=app.app_id,
        client=client,
        gates=make_gates(
            app=app.name,
            journal=bridge.journal,
            clock=clock,
            sends_per_second=app.sends_per_second,
            keys=len(app.api_keys),
        ),
        post_first=app.upsert == "post-first",
        alias_chunk=app.alias_chunk,
        event_key=app.event_key,
    )
    if bridge.config.restraint.dry_run:
        # Nothing new comes to a gate; sends that were written before wait there for a real run.
        destination.hold(FOR_EVER_SECONDS)
    means = Means(
        journal=bridge.journal,
        destination=destination,
        mapping=lambda source: bridge.mappings.get(source, SOURCE_GONE),
        restraint=bridge.config.restraint,
        clock=clock,
        spacing=Spacing(clock=clock, not_before=first_write),
        metrics=bridge.metrics,
        brake=bridge.brake,
        caution=Caution(bridge.journal),
        hand=bridge.hand,
        roll=random.random,
    )
    means.audit = Audit(means)
    return means


def _routes(bridge: Bridge, webhook: Webhook) -> list[BaseRoute]:
    methods = list(METHODS)
    return [
        # A slash at the end is forgiven, not redirected: classic webhooks follow no redirect.
        *(Route(f"/v1/segment{rest}", webhook, methods=methods) for rest in WEBHOOK_PATHS),
        *_health(bridge).routes(),
        *_api(bridge).routes(),
        *_brake_api(bridge).routes(),
        *_held_api(bridge).routes(),
        *_status_api(bridge).routes(),
        *_explain_api(bridge).routes(),
    ]


def _intakes(bridge: Bridge) -> dict[str, Intake]:
    budget = Budget(max(BODIES_IN_MEMORY, bridge.settings.max_body))
    return {
        source.name: _intake(bridge, source, budget) for source in bridge.config.sources.values()
    }


def _intake(bridge: Bridge, source: Source, budget: Budget) -> Intake:
    settings = bridge.settings
    return Intake(
        source=SourceRoute(
            name=source.name,
            app=source.app,
            bulk=source.bulk,
            keep_unmatched=settings.keep_unmatched > 0,
        ),
        proof=_proof(source),
        journal=bridge.journal,
        mapping=lambda: bridge.mappings[source.name],
        clock=bridge.clock,
        metrics=bridge.metrics,
        budget=budget,
        max_body=settings.max_body,
        appended=bridge.lanes[source.app].dirty,
        pulse=Pulse(bridge.clock),
    )


def _proof(source: Source) -> Proof:
    return Proof(
        secrets=tuple(s.get_secret_value().encode() for s in source.secrets),
        token=source.token.get_secret_value().encode() if source.token else None,
        batches=source.batches,
    )


def _health(bridge: Bridge) -> Health:
    settings = bridge.settings
    token = settings.metrics_token

    def gates() -> dict[tuple[str, str], tuple[float, int]]:
        return {
            (app, gate.name): (gate.held_seconds, gate.state)
            for app, means in bridge.means.items()
            for gate in means.destination.gates
        }

    def users() -> dict[tuple[str, str], int]:
        return {
            (app, state): count
            for app, lanes in bridge.lanes.items()
            for state, count in lanes.users.items()
        }

    return Health(
        journal=bridge.journal,
        clock=bridge.clock,
        metrics=bridge.metrics,
        folder=Path(settings.database_path).absolute().parent,
        metrics_token=token.get_secret_value().encode() if token else None,
        unready=bridge.unready,
        gates=gates,
        users=users,
    )


def _api(bridge: Bridge) -> Api:
    token = bridge.settings.admin_token
    return Api(
        journal=bridge.journal,
        replay=lambda dead_id: replay(bridge.journal, dead_id, now_ms=bridge.clock.now_ms()),
        token=token.get_secret_value().encode() if token else None,
        revived=bridge.nudge,
    )


def _brake_api(bridge: Bridge) -> BrakeApi:
    token, brake = bridge.settings.admin_token, bridge.brake

    async def pause(what: str) -> None:
        pulled = await brake.pull(what)
        log().warning("brake.pulled", what=what, reason=pulled.reason)

    async def resume(what: str) -> dict[str, Any] | None:
        if not await brake.let_go(what):
            return None
        released = await release_resumed(bridge.journal, brake, nudge=bridge.nudge_all)
        log().warning("brake.released", what=what, released=released)
        return {"released": released}

    return BrakeApi(
        token=token.get_secret_value().encode() if token else None,
        paused=lambda: [pause._asdict() for pause in brake.pauses.values()],
        pause=pause,
        resume=resume,
        rules=lambda: {rule.name for one in bridge.mappings.values() for rule in one.rules},
    )


def _held_api(bridge: Bridge) -> HeldApi:
    token, journal = bridge.settings.admin_token, bridge.journal

    async def sample(chosen: Chosen, limit: int) -> list[HeldSend]:
        rule, reason = chosen
        found = await journal.sends.held(rule=rule, limit=limit)
        return [one for one in found if reason in {None, one.hold}]

    async def let_go(chosen: Chosen) -> int:
        released = await release(journal, await _holdings(journal, chosen), nudge=bridge.nudge_all)
        log().warning("held.released", rule=chosen[0], reason=chosen[1], count=released)
        return released

    async def end(chosen: Chosen) -> int:
        now_ms = bridge.clock.now_ms()
        discarded = await discard(journal, await _holdings(journal, chosen), now_ms=now_ms)
        log().warning("held.discarded", rule=chosen[0], reason=chosen[1], count=discarded)
        return discarded

    return HeldApi(
        token=token.get_secret_value().encode() if token else None,
        counts=lambda chosen: _holdings(journal, chosen),
        sample=sample,
        release=let_go,
        discard=end,
    )


async def _holdings(journal: Journal, chosen: Chosen) -> list[Holding]:
    rule, reason = chosen
    return await holdings(journal, rule=rule, why=reason)


def _status_api(bridge: Bridge) -> StatusApi:
    token = bridge.settings.admin_token

    def gates() -> list[GateState]:
        return [
            GateState(app=app, name=gate.name, closed=gate.closed, held_seconds=gate.held_seconds)
            for app, means in bridge.means.items()
            for gate in (means.destination.writes, means.destination.sends)
        ]

    def sources() -> list[SourceState]:
        return [
            SourceState(
                source=name,
                app=intake.source.app,
                per_minute=intake.pulse.per_minute,
                last_ms=intake.pulse.last_ms,
            )
            for name, intake in bridge.intakes.items()
        ]

    return StatusApi(
        token=token.get_secret_value().encode() if token else None,
        journal=bridge.journal,
        clock=bridge.clock,
        reloader=bridge.reloader,
        unready=bridge.unready,
        gates=gates,
        sources=sources,
        paused=lambda: list(bridge.brake.pauses),
    )


def _explain_api(bridge: Bridge) -> ExplainApi:
    token = bridge.settings.admin_token
    return ExplainApi(
        token=token.get_secret_value().encode() if token else None,
        journal=bridge.journal,
        clock=bridge.clock,
        config=lambda: bridge.config,
        mappings=lambda: bridge.mappings,
    )
