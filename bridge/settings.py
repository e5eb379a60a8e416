"""Every knob: its type, its default, and the reason for the default. Pure.

`kinds` says what a value may be, `bridge.environment` reads them, `bridge.config` finds what contradicts.
"""

from __future__ import annotations

import re
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr, field_validator

from bridge.kinds import (
    Duration,
    Keys,
    Origins,
    droppable,
    is_private_address,
    known_platforms,
    lines,
)

Plan = Literal["free", "growth", "professional", "enterprise"]
SENDS_PER_SECOND = {"free": 150, "growth": 6000, "professional": 6000, "enterprise": 6000}
TAG_CAP = {"free": 2, "growth": 10, "professional": 100, "enterprise": None}

_HEADER = re.compile(r"[A-Za-z][A-Za-z0-9-]*")


def _at_least(*, days: int) -> AfterValidator:
    def checked(value: timedelta) -> timedelta:
        if value < timedelta(days=days):
            raise ValueError(f"has to be at least {days}d")
        return value

    return AfterValidator(checked)


class Settings(BaseModel):
    """What `serve` needs to know; field `x_y` is the variable `BRIDGE_X_Y`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    #: Where events are kept. SQLite needs no server; a relative path is below the working folder.
    database_url: str = "sqlite:///bridge.db"
    #: Loopback, so that a first try is not a public service; the image listens on every address.
    host: str = "127.0.0.1"
    port: int = Field(default=8080, ge=0, le=65535)
    #: A port of its own for the console, the API and the metrics; unset: they share the other.
    admin_port: int | None = Field(default=None, ge=0, le=65535)
    #: A mapping file, or a folder of them; unset: the shipped starter, which writes tags only.
    mappings: Path | None = None
    #: `bridge.yaml`: several sources and apps.
    config: Path | None = None

    #: Shared secrets of the Segment webhook; several are valid at once, for rotation.
    segment_secrets: tuple[SecretStr, ...] = ()
    #: A second factor: a batch's signature covers only its first event.
    segment_token: SecretStr | None = None
    #: `allow` takes unsigned events; only for a try on your own machine.
    segment_unsigned: Literal["allow", "refuse"] = "refuse"
    segment_batches: Literal["accept", "refuse"] = "accept"

    onesignal_app_id: str = ""
    #: The app API key, or several during a rotation, the newest first.
    onesignal_api_key: tuple[SecretStr, ...] = ()
    onesignal_url: str = "https://api.onesignal.com"
    #: `legacy`: the legacy API, for apps from before the user model.
    onesignal_api: Literal["user-model", "legacy"] = "user-model"
    #: `trust`: the legacy API obeys platform flags beside external ids, which its pages denied; only
    #: then may a push leave iPhones out by flags there.
    onesignal_legacy_flags: Literal["refuse", "trust"] = "refuse"
    #: Unset: the free plan's 150 sends a second, which no plan refuses.
    onesignal_plan: Plan | None = None
    #: The platforms that your app is on; iPhones only when you say so.
    onesignal_platforms: tuple[str, ...] = ("android", "web")
    #: `patch-first` never touches an existing user's identity; `post-first` saves a call for new ones.
    onesignal_upsert: Literal["patch-first", "post-first"] = "patch-first"
    #: People in one call: 2,000 is what every document of OneSignal's agrees on.
    onesignal_alias_chunk: int = Field(default=2000, ge=1, le=20_000)

    #: Where a custom event's properties stand in OneSignal's request; its own pages disagree.
    onesignal_event_key: Literal["properties", "payload"] = "properties"

    #: `yes`: everything but the calls to OneSignal.
    dry_run: Literal["yes", "no"] = "no"
    #: Only these external ids are written to and pushed; None: everybody.
    only_users: tuple[str, ...] | None = None

    #: The app whose devices the registry keeps; unset: the only one there is.
    devices_app: str | None = None
    #: Whoever shows hex HMAC-SHA256 of a user id by this secret (`userHash`) is that user.
    devices_secret: SecretStr | None = None
    #: What signed tokens are checked with: public keys in PEM, or shared secrets; several during a rotation.
    devices_jwt_keys: Keys = ()
    #: Where a token says who its user is, and for whom it must be meant.
    devices_jwt_claim: str = Field(default="sub", min_length=1)
    devices_jwt_audience: str | None = None
    #: The cookie that carries a token, for pages that send no header.
    devices_cookie: str | None = None
    #: Asked who a session's cookies belong to: 200 {"userId": …}.
    devices_session_url: str | None = None
    #: Servers of yours, which say whose a device is.
    devices_server_keys: tuple[SecretStr, ...] = ()
    #: Pages that may post from a browser; no other may, whatever it shows.
    devices_origins: Origins = ()
    #: A device that is another user's: it moves, is refused, or is both users'.
    devices_of_another: Literal["move", "refuse", "share"] = "move"
    #: Devices that were not seen for so long are no target, and forgotten.
    devices_expire: Annotated[Duration, _at_least(days=1)] = timedelta(days=180)

    admin_token: SecretStr | None = None
    #: More people than one, each a line: name, role, token; see `bridge.config.access`.
    admin_tokens: tuple[SecretStr, ...] = ()
    #: The header in which a proxy that has asked who it is says so; unset: nobody is believed.
    sso_header: str | None = None
    #: The addresses that proxy asks from: whoever else sends the header is not believed.
    sso_from: tuple[str, ...] = ("127.0.0.1", "::1")
    #: What those may do whom `admin_tokens` does not name.
    sso_role: Literal["view", "operate", "admin", "none"] = "view"
    metrics_token: SecretStr | None = None
    #: Bytes of a request, unpacked. Segment's batches are 4 MB at most.
    max_body: int = Field(default=8_000_000, ge=1_000)
    #: How long `serve` has, in all, to stop; docker kills after 10 seconds.
    drain: float = Field(default=8.0, ge=0, le=600)
    #: Paths that are removed from an event before anything of it is stored: `context.ip`.
    drop: tuple[str, ...] = ()
    #: How long payloads are kept once nothing needs them any more; 0: not at all.
    keep_payloads: Duration = timedelta(days=3)
    #: And what became of an event, with the event itself; a week is what a repeat is known by.
    keep_outcomes: Annotated[Duration, _at_least(days=7)] = timedelta(days=30)
    keep_dead: Duration = timedelta(days=30)
    #: Calls to OneSignal, word for word.
    keep_calls: Duration = timedelta(days=3)
    #: Payloads of events that no rule wants; 0: they are not even written.
    keep_unmatched: Duration = timedelta(0)
    #: Where to say what is wrong: a chat's webhook that takes {"text": …}, as Slack's does.
    alert_url: SecretStr | None = None
    #: How long a source that was heard today may be silent before it is said; 0: nobody asks.
    silence: Duration = timedelta(0)
    log_format: Literal["auto", "json", "pretty"] = "auto"
    #: The image says `no`: it does not start unless the database is on a volume. `yes` lets it lose
    #: everything with the container; unset, nothing is asked.
    ephemeral: Literal["yes", "no"] | None = None

    @field_validator(
        "segment_secrets",
        "onesignal_api_key",
        "onesignal_platforms",
        "drop",
        "sso_from",
        "devices_server_keys",
        "devices_origins",
        mode="before",
    )
    @classmethod
    def _list(cls, value: object) -> object:
        if isinstance(value, str):
            return tuple(part for part in re.split(r"[,\s]+", value) if part)
        return value

    @field_validator("admin_tokens", mode="before")
    @classmethod
    def _people(cls, value: object) -> object:
        if isinstance(value, str):
            value = lines(value)
        if isinstance(value, tuple):
            return tuple(one for one in value if not str(one).startswith("#"))
        return value

    @field_validator("only_users", mode="before")
    @classmethod
    def _somebody(cls, value: object) -> object:
        # Ids may hold blanks, so only commas and lines divide them.
        if isinstance(value, str):
            value = tuple(part.strip() for part in re.split(r"[,\n]", value) if part.strip())
        if value == ():
            raise ValueError("nobody is named: unset it for everybody")
        return value

    @field_validator(
        "admin_port",
        "segment_token",
        "admin_token",
        "metrics_token",
        "alert_url",
        "sso_header",
        "mappings",
        "config",
        "devices_app",
        "devices_secret",
        "devices_jwt_audience",
        "devices_cookie",
        "devices_session_url",
        mode="before",
    )
    @classmethod
    def _empty_is_unset(cls, value: object) -> object:
        # No header can carry blanks around a token, so they were never meant.
        return value.strip() or None if isinstance(value, str) else value

    @field_validator("onesignal_platforms")
    @classmethod
    def _platforms_exist(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        known_platforms(value)
        return value

    @field_validator("alert_url")
    @classmethod
    def _is_private(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and not is_private_address(value.get_secret_value()):
            raise ValueError("an https:// address, or http:// on this machine")
        return value

    @field_validator("sso_header")
    @classmethod
    def _is_header(cls, value: str | None) -> str | None:
        if value is not None and _HEADER.fullmatch(value) is None:
            raise ValueError("the name of a header, such as X-Forwarded-User")
        return value

    @field_validator("drop")
    @classmethod
    def _droppable(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(droppable(value))

    @property
    def database_path(self) -> Path:
        """The SQLite file of `database_url`."""
        return Path(self.database_url.removeprefix("sqlite:///"))
