"""What this bridge is made of: apps at OneSignal, sources of Segment's, and which goes where.

::

    environment ──> settings ──┐
                               ├──> Config: sources ──> apps
    bridge.yaml ───────────────┘       └─ each with a mapping, secrets, a treatment

One source goes to one app with one mapping. Without a file the settings make the source `default`
and the app `default`. `document` is the file as it is written, `load` reads both, `mappings` what
the sources do, `reload` again while the service runs.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from pydantic import SecretStr

from bridge.config.registry import Registry, registry_of
from bridge.onesignal.api import Spoken
from bridge.plan.restraint import Restraint
from bridge.segment.audience import ReverseEtl
from bridge.settings import SENDS_PER_SECOND, TAG_CAP, Plan, Settings

DEFAULT = "default"
IMPORT = "import"
"""The source of rows that `segment-bridge import` reads. One of this name is posted to by nobody else."""


@dataclass(frozen=True, slots=True, kw_only=True)
class App:
    """One app at OneSignal."""

    name: str
    app_id: str
    #: The newest first.
    api_keys: tuple[SecretStr, ...]
    url: str
    spoken: Spoken
    plan: Plan | None
    platforms: tuple[str, ...]
    upsert: Literal["patch-first", "post-first"]
    alias_chunk: int
    event_key: Literal["properties", "payload"]
    #: Values of the mappings' variables for this app.
    vars: dict[str, str] = field(default_factory=dict)

    @property
    def sends_per_second(self) -> int:
        """What no gate exceeds; without a plan that of the free one, which no plan refuses."""
        return SENDS_PER_SECOND[self.plan or "free"]

    @property
    def tag_cap(self) -> int | None:
        """Tags a user may have on this plan; None when the plan is not known."""
        return TAG_CAP[self.plan] if self.plan else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """One source of Segment's that posts to us."""

    name: str
    app: str
    #: A file or a folder; None: the shipped starter.
    mappings: Path | None
    #: Several are valid at once, for rotation.
    secrets: tuple[SecretStr, ...]
    token: SecretStr | None
    #: Whether a request may hold several events.
    batches: bool
    #: False when anyone can send its events, as with the write key of a browser or a phone.
    trusted: bool = True
    bulk: bool = False
    reverse_etl: ReverseEtl | None = None
    #: Paths that are removed from its events before anything of them is stored.
    drop: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """Everything that `serve` needs to know."""

    settings: Settings
    apps: dict[str, App]
    sources: dict[str, Source]
    #: None: there is no device registry.
    registry: Registry | None = None
    #: Files beside the mappings that decided something of it.
    files: tuple[Path, ...] = ()

    @property
    def importing(self) -> Source | None:
        """Whose app and mapping the rows of imports have: the source `import`, or the only one."""
        only = next(iter(self.sources.values())) if len(self.sources) == 1 else None
        return self.sources.get(IMPORT, only)

    @property
    def restraint(self) -> Restraint:
        """What keeps operations from being done at all."""
        users = self.settings.only_users
        return Restraint(
            dry_run=self.settings.dry_run == "yes",
            only=None if users is None else frozenset(users),
        )


def of_settings(settings: Settings) -> Config:
    """One source and one app, of settings that are taken to be right."""
    app, source = environment_app(settings), environment_source(settings, DEFAULT)
    return Config(
        settings=settings,
        apps={app.name: app},
        sources={source.name: source},
        registry=registry_of(settings, [app.name]),
    )


def environment_app(settings: Settings, shared: dict[str, str] | None = None) -> App:
    return App(
        name=DEFAULT,
        app_id=settings.onesignal_app_id,
        api_keys=settings.onesignal_api_key,
        url=settings.onesignal_url,
        spoken=Spoken(
            api=settings.onesignal_api, trusts_flags=settings.onesignal_legacy_flags == "trust"
        ),
        plan=settings.onesignal_plan,
        platforms=settings.onesignal_platforms,
        upsert=settings.onesignal_upsert,
        alias_chunk=settings.onesignal_alias_chunk,
        event_key=settings.onesignal_event_key,
        vars=shared or {},
    )


def environment_source(settings: Settings, app: str) -> Source:
    return Source(
        name=DEFAULT,
        app=app,
        mappings=settings.mappings,
        secrets=settings.segment_secrets,
        token=settings.segment_token,
        batches=settings.segment_batches == "accept",
        drop=settings.drop,
    )
