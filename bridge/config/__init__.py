"""What this bridge is made of: apps at OneSignal, sources of Segment's, and which goes where.

::

    environment ──> settings ──┐
                               ├──> Config: sources ──> apps
    bridge.yaml ───────────────┘       └─ each with a mapping, secrets, a treatment

One source goes to one app with one mapping. Without a file the settings make the source `default`
and the app `default`.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import SecretStr

from bridge.settings import SENDS_PER_SECOND, TAG_CAP, Plan, Settings

DEFAULT = "default"


@dataclass(frozen=True, slots=True, kw_only=True)
class App:
    """One app at OneSignal."""

    name: str
    app_id: str
    #: The newest first.
    api_keys: tuple[SecretStr, ...]
    url: str
    plan: Plan | None
    platforms: tuple[str, ...]
    upsert: Literal["patch-first", "post-first"]

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
    secrets: tuple[SecretStr, ...]
    token: SecretStr | None
    #: Whether a request may hold several events.
    batches: bool
    bulk: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """Everything that `serve` needs to know."""

    settings: Settings
    apps: dict[str, App]
    sources: dict[str, Source]

    def app_of(self, source: str) -> App:
        return self.apps[self.sources[source].app]


def of_settings(settings: Settings) -> Config:
    """One source and one app, as the environment names them."""
    app = App(
        name=DEFAULT,
        app_id=settings.onesignal_app_id,
        api_keys=settings.onesignal_api_key,
        url=settings.onesignal_url,
        plan=settings.onesignal_plan,
        platforms=settings.onesignal_platforms,
        upsert=settings.onesignal_upsert,
    )
    source = Source(
        name=DEFAULT,
        app=DEFAULT,
        mappings=settings.mappings,
        secrets=settings.segment_secrets,
        token=settings.segment_token,
        batches=settings.segment_batches == "accept",
    )
    return Config(settings=settings, apps={app.name: app}, sources={source.name: source})
