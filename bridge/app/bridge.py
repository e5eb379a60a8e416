"""A running bridge: what it is made of, how it starts, takes an edit, and ends."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from starlette.types import ASGIApp

from bridge.alerts.watch import Watch
from bridge.app.counting import Counting
from bridge.app.piles import Piles
from bridge.clock import Clock
from bridge.config import IMPORT, App, Config, Source
from bridge.config.mappings import Mappings
from bridge.config.reload import Reloader
from bridge.console.naming import Names
from bridge.deliver.brake import Brake
from bridge.deliver.cautious import CAUTIOUS_ROWS
from bridge.deliver.groups import Groups
from bridge.deliver.held import release_resumed
from bridge.deliver.lanes import Lanes
from bridge.deliver.means import SOURCE_GONE, Means
from bridge.deliver.moving import Moving
from bridge.deliver.setback import Setback
from bridge.deliver.upkeep import Upkeep
from bridge.deliver.watchdog import Hand
from bridge.errors import BridgeError
from bridge.journal.records import BULK
from bridge.journal.sqlite import SqliteJournal
from bridge.mapping.rules import Mapping
from bridge.receive.importing import Importing
from bridge.receive.sender import Proof
from bridge.receive.webhook import Intake
from bridge.segment.dropping import paths_of
from bridge.settings import Settings
from bridge.telemetry import Metrics, log


@dataclass(slots=True, kw_only=True)
class Bridge:
    """A running bridge; `app` is what an HTTP server serves, and `admin`, on a port of its own, another."""

    config: Config
    clock: Clock
    #: In force, by source.
    mappings: Mappings
    journal: SqliteJournal
    #: What each app has to itself, by its name.
    lanes: dict[str, Lanes]
    groups: dict[str, Groups]
    moving: dict[str, Moving]
    means: dict[str, Means]
    metrics: Metrics
    brake: Brake
    intakes: dict[str, Intake]
    #: What the loop works on.
    hand: Hand
    setback: Setback
    app: ASGIApp
    #: None: the console, the API and the metrics are part of `app`.
    admin: ASGIApp | None = None
    reloader: Reloader = field(init=False)
    upkeep: Upkeep = field(init=False)
    #: None: there are several sources, and none is called `import`.
    importing: Importing | None = None
    #: What waits for a person.
    piles: Piles = field(init=False)
    counting: Counting = field(init=False)
    #: None: nobody is told of anything.
    watch_over: Watch | None = None
    draining: bool = False
    _work: list[asyncio.Task[None]] = field(default_factory=list)

    def __repr__(self) -> str:
        return f"<Bridge {self.journal!r} {self.lanes!r} {self.groups!r}>"

    @property
    def settings(self) -> Settings:
        return self.config.settings

    def mapping_of(self, source: str) -> Mapping:
        """What is in force for a source's events, also for those of an import."""
        base = self.config.importing if source == IMPORT else None
        return self.mappings.get(base.name if base else source, SOURCE_GONE)

    def rules(self) -> set[str]:
        """Names of all rules that are in force."""
        return {rule.name for one in self.mappings.values() for rule in one.rules}

    def names(self) -> Names:
        """What people may name."""
        sources = {*self.config.sources, *([IMPORT] if self.importing else [])}
        return Names(self.rules(), self.config.apps, sources)

    def drain(self) -> None:
        """Say that it is time to send new events elsewhere; what comes is still taken."""
        self.draining = True

    def unready(self) -> str | None:
        """Why nothing new should be sent here; None when it should."""
        return "draining" if self.draining else self.journal.unready

    def _workers(self) -> list[Lanes | Groups]:
        return [*self.lanes.values(), *self.groups.values()]

    def nudge(self, app: str, users: frozenset[int]) -> None:
        """A person has put something of these users, or of groups, back to work; what is live goes first."""
        if app not in self.lanes:
            # It is not configured any more: its work waits until it is.
            return
        for user in users:
            self.lanes[app].nudge(user, BULK)
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
        self._work.append(loop.create_task(self.piles.releases.run()))
        self._work += [loop.create_task(means.audit.run()) for means in self.means.values()]
        self._work += [loop.create_task(moving.run()) for moving in self.moving.values()]
        self._work += [loop.create_task(worker.run()) for worker in self._workers()]
        self._work.append(loop.create_task(self.upkeep.run()))
        self._work.append(loop.create_task(self.counting.run()))
        if self.watch_over is not None:
            self._work.append(loop.create_task(self.watch_over.run()))

    async def _release_resumed(self) -> None:
        """A resume may have been interrupted, and what is held for no pause waits for nobody."""
        try:
            await release_resumed(self.journal, self.brake, nudge=self.nudge)
        except BridgeError as error:
            log().error("held.not_released", error=error.code)

    def watch(self, read: Callable[[], Config]) -> None:
        """Keep to what the files say; `read` reads them."""
        self.reloader.read = read
        self._work.append(asyncio.get_running_loop().create_task(self.reloader.watch()))

    def bring_into_force(self, config: Config, mappings: Mappings) -> None:
        """From now on; an event that is planned already goes on as it was planned."""
        for name, intake in self.intakes.items():
            intake.proof = proof_of(config.sources[name])
            intake.source = replace(intake.source, drop=paths_of(config.sources[name].drop))
        if self.importing is not None and (base := config.importing) is not None:
            rows = self.importing.intake
            rows.source = replace(rows.source, drop=paths_of(base.drop))
        for name, means in self.means.items():
            means.restraint = config.restraint
            if config.apps[name].api_keys != self.config.apps[name].api_keys:
                means.destination.rekey(keys_of(config.apps[name]))
        self.config, self.mappings = config, mappings
        self._tell_restraint()
        self._note_mappings()

    def _note_mappings(self) -> None:
        for source, mapping in self.mappings.items():
            rules, now_ms = [rule.name for rule in mapping.rules], self.clock.now_ms()
            self.journal.note_mapping(source, mapping.revision, rules=rules, at_ms=now_ms)

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
        await self.counting.flush()


def keys_of(app: App) -> list[str]:
    return [key.get_secret_value() for key in app.api_keys]


def proof_of(source: Source) -> Proof:
    return Proof(
        secrets=tuple(s.get_secret_value().encode() for s in source.secrets),
        token=source.token.get_secret_value().encode() if source.token else None,
        batches=source.batches,
    )
