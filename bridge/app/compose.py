"""Settings in, running bridge out: what is made once, and who is told of whom."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import replace
from datetime import timedelta

import httpx
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute

from bridge.alerts.sender import sending
from bridge.alerts.watch import Watch
from bridge.app.bridge import Bridge, keys_of, proof_of
from bridge.app.counting import Counting
from bridge.app.doors import admin_routes, health_of, no_page, no_route, public_routes
from bridge.app.piles import Piles
from bridge.app.seeing import see
from bridge.clock import Clock
from bridge.config import IMPORT, App, Config, Source
from bridge.config.mappings import Mappings
from bridge.config.reload import Reload, Reloader
from bridge.deliver.audit import Audit
from bridge.deliver.brake import Brake, load_brake
from bridge.deliver.cautious import CAUTIOUS_ROWS, Caution
from bridge.deliver.gates import make_gates
from bridge.deliver.groups import Groups
from bridge.deliver.lanes import CHAINS, CREDIT, Lanes
from bridge.deliver.means import Destination, Means
from bridge.deliver.moving import Moving
from bridge.deliver.releases import Releases
from bridge.deliver.setback import Setback
from bridge.deliver.spacing import SPACING_SECONDS, Spacing
from bridge.deliver.upkeep import Keep, Upkeep
from bridge.deliver.watchdog import Hand
from bridge.errors import BridgeError
from bridge.journal.records import LANES
from bridge.journal.sqlite import SqliteJournal, open_sqlite
from bridge.onesignal.api import api_named
from bridge.onesignal.client import OneSignal
from bridge.receive.accept import SourceRoute
from bridge.receive.body import Budget
from bridge.receive.devices import DeviceDoor
from bridge.receive.front import Front
from bridge.receive.importing import Importing
from bridge.receive.matched import Matched
from bridge.receive.pulse import Pulse
from bridge.receive.refusals import Refusals
from bridge.receive.session import Sessions, sessions
from bridge.receive.webhook import Intake, Webhook
from bridge.segment.dropping import paths_of
from bridge.settings import Settings
from bridge.telemetry import Metrics, log

LEAST_CREDIT, LEAST_CHAINS = 500, 200
"""Events in memory and users at work for each app, however many there are."""
Nothing = Callable[[Request, Exception], Awaitable[Response]]
FOR_EVER_SECONDS = 10 * 365 * 86_400.0
BODIES_IN_MEMORY = 64_000_000


@asynccontextmanager
async def running(
    config: Config,
    mappings: Mappings,
    *,
    clock: Clock,
    transport: httpx.AsyncBaseTransport | None = None,
    alerts: httpx.AsyncBaseTransport | None = None,
    website: httpx.AsyncBaseTransport | None = None,
    read: Callable[[], Config] | None = None,
) -> AsyncIterator[Bridge]:
    """A bridge that accepts and delivers, until the end of the block; `mappings` by source.

    `transport` is the way to OneSignal, `alerts` the one to the chat, `website` the one to the session
    endpoint, when they are not the network.
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
            asking = await stack.enter_async_context(sessions(clock, website))
            bridge = _compose(config, mappings, journal, clients, clock, brake, asking)
            is_clean = await journal.begin_work()
            if not journal.is_new:
                taken_over = bridge.metrics.lane_takeovers.labels("yes" if is_clean else "no")
                taken_over.inc(LANES * len(config.apps))
            if not is_clean:
                log().warning(
                    "bridge.cautious",
                    rows=CAUTIOUS_ROWS,
                    because="the last end was not a clean one: so many events begin one at a time",
                )
                bridge.beware()
            await bridge.setback.begin()
            for means in bridge.means.values():
                await means.destination.gates.load()
            if (url := config.settings.alert_url) is not None:
                bridge.watch_over = Watch(
                    journal=journal,
                    clock=clock,
                    sender=await stack.enter_async_context(sending(url, alerts)),
                    see=lambda: see(bridge),
                )
            bridge.start()
            if read is not None:
                bridge.watch(read)
            try:
                yield bridge
            finally:
                # What comes back can only be written down by a journal that writes.
                await bridge.stop(0 if journal.broken.done() else config.settings.drain)
                if bridge.watch_over is not None and journal.broken.done():
                    await bridge.watch_over.last_words(journal.broken.result())
                with suppress(BridgeError):
                    await journal.end_work()
    finally:
        await journal.close()
        log().info("bridge.stopped")


def _client(app: App, transport: httpx.AsyncBaseTransport | None) -> OneSignal:
    """A pool of connections to one app: another's slow answers hold none of them."""
    return OneSignal(url=app.url, api_keys=keys_of(app), transport=transport)


def _compose(
    config: Config,
    mappings: Mappings,
    journal: SqliteJournal,
    clients: dict[str, OneSignal],
    clock: Clock,
    brake: Brake,
    asking: Sessions,
) -> Bridge:
    bridge = Bridge(
        config=config,
        clock=clock,
        mappings=mappings,
        journal=journal,
        lanes={},
        groups={},
        moving={},
        means={},
        metrics=Metrics(),
        brake=brake,
        intakes={},
        hand=Hand(),
        setback=Setback(clock=clock, journal=journal),
        app=Starlette(),
    )
    journal.tell_commits(bridge.metrics.committed)
    bridge.reloader = Reloader(
        clock=clock,
        config=config,
        mappings=mappings,
        read=lambda: config,
        swap=bridge.bring_into_force,
        record=Reload(loaded_ms=clock.now_ms()),
    )
    bridge.upkeep = Upkeep(journal, clock, lambda: _keep(bridge.settings))
    bridge.counting = Counting(
        journal=journal, clock=clock, tally=bridge.metrics.tally, matched=Matched()
    )
    bridge.piles = Piles(
        journal=journal,
        clock=clock,
        nudge=bridge.nudge,
        releases=Releases(journal=journal, clock=clock, brake=brake, nudge=bridge.nudge),
        in_force=bridge.names,
    )
    for app in config.apps.values():
        bridge.means[app.name] = _means(bridge, app, clients[app.name])
        bridge.groups[app.name] = Groups(bridge.means[app.name])
        bridge.means[app.name].handed_over = bridge.groups[app.name].add
        bridge.moving[app.name] = Moving(bridge.means[app.name])
        bridge.means[app.name].to_move = bridge.moving[app.name].look
        bridge.lanes[app.name] = Lanes(
            bridge.means[app.name],
            credit=max(LEAST_CREDIT, CREDIT // len(config.apps)),
            chains=max(LEAST_CHAINS, CHAINS // len(config.apps)),
        )
    bridge.intakes = _intakes(bridge)
    bridge.importing = _importing(bridge)
    webhook = Webhook(bridge.intakes)
    devices = DeviceDoor(
        registry=lambda: bridge.config.registry,
        journal=journal,
        clock=clock,
        metrics=bridge.metrics,
        sessions=asking,
    )
    public, inside = public_routes(webhook, devices), admin_routes(bridge)
    probes = health_of(bridge).probes()
    if bridge.settings.admin_port is None:
        rest = _served([*public, *probes, *inside], no_route)
    else:
        rest = _served([*public, *probes], no_page)
        bridge.admin = _served([*probes, *inside], no_route)
    bridge.app = Front(webhook, rest, list(bridge.intakes))
    return bridge


def _served(routes: list[BaseRoute], nothing: Nothing) -> Starlette:
    """An application of these routes; `nothing` answers where there is none."""
    made = Starlette(routes=routes, exception_handlers={HTTPException: nothing})
    # It would lead to whatever host the request names, and away from TLS behind a proxy.
    made.router.redirect_slashes = False
    return made


def _keep(settings: Settings) -> Keep:
    times = (
        settings.keep_payloads,
        settings.keep_outcomes,
        settings.keep_dead,
        settings.keep_calls,
        settings.keep_unmatched,
        settings.devices_expire,
    )
    return Keep(*(time // timedelta(milliseconds=1) for time in times))


def _means(bridge: Bridge, app: App, client: OneSignal) -> Means:
    clock = bridge.clock
    # What a process before this one wrote in its last second is not known.
    first_write = 0.0 if bridge.journal.is_new else clock.monotonic() + SPACING_SECONDS
    destination = Destination(
        name=app.name,
        app_id=app.app_id,
        client=client,
        api=api_named(app.spoken.api),
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
        mapping=bridge.mapping_of,
        restraint=bridge.config.restraint,
        clock=clock,
        spacing=Spacing(clock=clock, not_before=first_write),
        setback=bridge.setback,
        metrics=bridge.metrics,
        brake=bridge.brake,
        caution=Caution(bridge.journal),
        hand=bridge.hand,
        roll=random.random,
        erased=bridge.upkeep.erased,
        devices_expire_ms=lambda: _keep(bridge.settings).devices,
    )
    means.audit = Audit(means)
    return means


def _intakes(bridge: Bridge) -> dict[str, Intake]:
    budget = Budget(max(BODIES_IN_MEMORY, bridge.settings.max_body))
    return {
        source.name: _intake(bridge, source, budget)
        for source in bridge.config.sources.values()
        if source.name != IMPORT
    }


def _importing(bridge: Bridge) -> Importing | None:
    base = bridge.config.importing
    if base is None:
        return None
    rows = replace(base, name=IMPORT, bulk=True)
    return Importing(_intake(bridge, rows, Budget(BODIES_IN_MEMORY)))


def _intake(bridge: Bridge, source: Source, budget: Budget) -> Intake:
    settings = bridge.settings
    return Intake(
        source=SourceRoute(
            name=source.name,
            app=source.app,
            bulk=source.bulk,
            keep_unmatched=bool(settings.keep_unmatched),
            drop=paths_of(source.drop),
        ),
        proof=proof_of(source),
        journal=bridge.journal,
        mapping=lambda: bridge.mapping_of(source.name),
        clock=bridge.clock,
        metrics=bridge.metrics,
        budget=budget,
        max_body=settings.max_body,
        appended=bridge.lanes[source.app].dirty,
        linked=bridge.lanes[source.app].linked,
        erasing=bridge.lanes[source.app].nudge,
        pulse=Pulse(bridge.clock),
        refusals=Refusals(bridge.clock),
        matched=bridge.counting.matched,
    )
