"""Every knob: its type, its default, and the reason for the default.

Settings come from the environment (`BRIDGE_…`), secrets also from files (`BRIDGE_…_FILE`). What is
unknown, missing or contradictory is reported all at once, as findings.
"""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    field_validator,
)

from bridge.errors import ConfigurationError, Finding

PREFIX = "BRIDGE_"
SERVICE_URL = "BRIDGE_URL"
"""Where commands find the running service; not the service's own setting."""
SECRETS = ("SEGMENT_SECRETS", "SEGMENT_TOKEN", "ONESIGNAL_API_KEY", "ADMIN_TOKEN", "METRICS_TOKEN")
SECRET_LISTS = ("SEGMENT_SECRETS", "ONESIGNAL_API_KEY")
SENDS_PER_SECOND = {"free": 150, "growth": 6000, "professional": 6000, "enterprise": 6000}
TAG_CAP = {"free": 2, "growth": 10, "professional": 100, "enterprise": None}

_UUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")

Plan = Literal["free", "growth", "professional", "enterprise"]


class Settings(BaseModel):
    """What `serve` needs to know; field `x_y` is the variable `BRIDGE_X_Y`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    #: Where events are kept. SQLite needs no server; a relative path is below the working folder.
    database_url: str = "sqlite:///bridge.db"
    #: Loopback, so that a first try is not a public service; the image listens on every address.
    host: str = "127.0.0.1"
    port: int = Field(default=8080, ge=0, le=65535)
    #: A mapping file, or a folder of them; unset: the shipped starter, which writes tags only.
    mappings: Path | None = None

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
    onesignal_api: Literal["user-model"] = "user-model"
    #: Unset: the free plan's 150 sends a second, which no plan refuses.
    onesignal_plan: Plan | None = None
    #: The platforms that your app is on; iPhones only when you say so.
    onesignal_platforms: tuple[str, ...] = ("android", "web")
    #: `patch-first` never touches an existing user's identity; `post-first` saves a call for new ones.
    onesignal_upsert: Literal["patch-first", "post-first"] = "patch-first"
    #: People in one call: 2,000 is what every document of OneSignal's agrees on.
    onesignal_alias_chunk: int = Field(default=2000, ge=1, le=20_000)

    admin_token: SecretStr | None = None
    metrics_token: SecretStr | None = None
    #: Bytes of a request, unpacked. Segment's batches are 4 MB at most.
    max_body: int = Field(default=8_000_000, ge=1_000)
    #: How long `serve` has, in all, to stop; docker kills after 10 seconds.
    drain: float = Field(default=8.0, ge=0, le=600)
    #: Days that the payload of an event which no rule wants is kept; 0: not at all.
    keep_unmatched: int = Field(default=0, ge=0)
    log_format: Literal["auto", "json", "pretty"] = "auto"
    #: The image says `no`: it does not start unless the database is on a volume. `yes` lets it lose
    #: everything with the container; unset, nothing is asked.
    ephemeral: Literal["yes", "no"] | None = None

    @field_validator("segment_secrets", "onesignal_api_key", "onesignal_platforms", mode="before")
    @classmethod
    def _list(cls, value: object) -> object:
        if isinstance(value, str):
            return tuple(part for part in re.split(r"[,\s]+", value) if part)
        return value

    @field_validator("segment_token", "admin_token", "metrics_token", "mappings", mode="before")
    @classmethod
    def _empty_is_unset(cls, value: object) -> object:
        # No header can carry blanks around a token, so they were never meant.
        return value.strip() or None if isinstance(value, str) else value

    @field_validator("onesignal_platforms")
    @classmethod
    def _platforms_exist(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        known = {"android", "web", "ios", "ios_web", "huawei", "amazon", "windows"}
        unknown = sorted(set(value) - known)
        if unknown or not value:
            named = ", ".join(unknown) or "nothing"
            raise ValueError(f"{named}: a platform is one of {', '.join(sorted(known))}")
        return value

    @property
    def database_path(self) -> Path:
        """The SQLite file of `database_url`."""
        return Path(self.database_url.removeprefix("sqlite:///"))

    @property
    def sends_per_second(self) -> int:
        return SENDS_PER_SECOND[self.onesignal_plan or "free"]

    @property
    def tag_cap(self) -> int | None:
        """Tags a user may have on this plan; None when the plan is not known."""
        return TAG_CAP[self.onesignal_plan] if self.onesignal_plan else None


def admin_token(environment: Mapping[str, str] | None = None) -> str | None:
    """BRIDGE_ADMIN_TOKEN, or what its file holds; for commands, which need no other setting.

    Raises:
        ConfigurationError: both are set, or the file cannot be read.
    """
    env = os.environ if environment is None else environment
    names = (f"{PREFIX}ADMIN_TOKEN", f"{PREFIX}ADMIN_TOKEN_FILE")
    values, findings = _read({name: env[name] for name in names if name in env})
    if findings:
        raise ConfigurationError(findings)
    return values.get("admin_token") or None


def load_settings(environment: Mapping[str, str] | None = None) -> Settings:
    """The settings of the environment.

    Raises:
        ConfigurationError: with a finding for everything that is unknown, missing or contradictory.
    """
    env = os.environ if environment is None else environment
    values, findings = _read(env)
    try:
        settings = Settings(**values)
    except ValidationError as error:
        findings += map(_finding, error.errors())
        # The rest is looked at as well, so that a second start does not bring a second list.
        invalid = {one["loc"][0] for one in error.errors()}
        settings = Settings(**{name: values[name] for name in values.keys() - invalid})
    findings += _contradictions(settings)
    if findings:
        raise ConfigurationError(findings)
    return settings


def _read(env: Mapping[str, str]) -> tuple[dict[str, Any], list[Finding]]:
    values: dict[str, Any] = {}
    findings: list[Finding] = []
    for variable, text in env.items():
        if not variable.startswith(PREFIX) or variable.startswith("BRIDGE_VAR_"):
            continue
        name = variable.removeprefix(PREFIX)
        if name.endswith("_FILE") and name.removesuffix("_FILE") in SECRETS:
            findings += _read_secret(values, name.removesuffix("_FILE"), Path(text), env)
        elif name.lower() in Settings.model_fields:
            values[name.lower()] = text
        elif variable != SERVICE_URL:
            findings.append(_unknown(variable))
    return values, findings


def _read_secret(
    values: dict[str, Any], name: str, path: Path, env: Mapping[str, str]
) -> list[Finding]:
    variable = PREFIX + name
    if variable in env:
        return [
            Finding(
                code="setting-twice",
                message=f"{variable} and {variable}_FILE are both set",
                hint="keep one of the two",
            )
        ]
    try:
        text = path.read_text(encoding="utf-8-sig").strip()
    except (OSError, UnicodeDecodeError) as error:
        why = (error.strerror or "an error") if isinstance(error, OSError) else "it is not UTF-8"
        return [
            Finding(
                code="secret-file-unreadable",
                message=f"{variable}_FILE names {path}, which cannot be read: {why}",
                hint="mount the secret, or correct the path",
            )
        ]
    if not text:
        return [
            Finding(
                code="secret-file-empty",
                message=f"{variable}_FILE names {path}, which is empty: nothing would be asked for",
                hint="write the secret into it, or unset the variable",
            )
        ]
    values[name.lower()] = _lines(text) if name in SECRET_LISTS else text
    return []


def _lines(text: str) -> tuple[str, ...]:
    # One a line, so that a secret may hold a comma or a blank.
    return tuple(line.strip() for line in text.splitlines() if line.strip())


def _unknown(variable: str) -> Finding:
    known = [PREFIX + name.upper() for name in Settings.model_fields]
    known += [f"{PREFIX}{name}_FILE" for name in SECRETS]
    near = difflib.get_close_matches(variable, known, n=1)
    return Finding(
        code="unknown-setting",
        message=f"{variable} is not a setting of this version",
        hint=f"did you mean {near[0]}?" if near else "README lists every setting",
    )


def _finding(error: Any) -> Finding:
    variable = PREFIX + "_".join(str(part) for part in error["loc"][:1]).upper()
    message = str(error["msg"]).removeprefix("Value error, ")
    named = f"{variable}: {message}" if error["loc"] else message
    return Finding(code="setting-invalid", message=named, hint="README lists every setting")


def _contradictions(settings: Settings) -> list[Finding]:
    checks = (
        (
            not settings.database_url.startswith("sqlite:///")
            or settings.database_url.removeprefix("sqlite:///") in {"", ":memory:"},
            Finding(
                code="database-unsupported",
                message="BRIDGE_DATABASE_URL is not the address of a SQLite file",
                hint="write sqlite:///bridge.db, or sqlite:////data/bridge.db for an absolute path",
            ),
        ),
        (
            not settings.onesignal_app_id,
            Finding(
                code="setting-missing",
                message="BRIDGE_ONESIGNAL_APP_ID is not set",
                hint="OneSignal > Settings > Keys & IDs > OneSignal App ID",
            ),
        ),
        (
            bool(settings.onesignal_app_id) and not _UUID.fullmatch(settings.onesignal_app_id),
            Finding(
                code="setting-invalid",
                message="BRIDGE_ONESIGNAL_APP_ID is not an app id: 8-4-4-4-12 hexadecimal digits",
                hint="OneSignal > Settings > Keys & IDs > OneSignal App ID",
            ),
        ),
        (
            not settings.onesignal_api_key,
            Finding(
                code="setting-missing",
                message="BRIDGE_ONESIGNAL_API_KEY is not set",
                hint="OneSignal > Settings > Keys & IDs > Add Key; or BRIDGE_ONESIGNAL_API_KEY_FILE",
            ),
        ),
        (
            not settings.onesignal_url.startswith(("https://", "http://")),
            Finding(
                code="setting-invalid",
                message="BRIDGE_ONESIGNAL_URL is not an http address",
                hint="leave it unset for OneSignal itself",
            ),
        ),
        (_nothing_proves_the_sender(settings), _UNSIGNED),
    )
    return [finding for wrong, finding in checks if wrong]


_UNSIGNED = Finding(
    code="sender-unproven",
    message="neither BRIDGE_SEGMENT_SECRETS nor BRIDGE_SEGMENT_TOKEN is set: anyone could post events",
    hint="set the secret that Segment's webhook signs with; to try without, BRIDGE_SEGMENT_UNSIGNED=allow",
)


def _nothing_proves_the_sender(settings: Settings) -> bool:
    proven = settings.segment_secrets or settings.segment_token
    return not proven and settings.segment_unsigned == "refuse"


def warnings(settings: Settings) -> list[Finding]:
    """What is allowed, and worth knowing at every start."""
    found = []
    if (
        settings.segment_secrets
        and not settings.segment_token
        and settings.segment_batches == "accept"
    ):
        found.append(
            Finding(
                level="warning",
                code="batch-half-signed",
                message="Segment signs only the first event of a batch; the others prove nothing",
                hint="also set BRIDGE_SEGMENT_TOKEN and send it as the header X-Bridge-Token",
            )
        )
    if not settings.segment_secrets and not settings.segment_token:
        found.append(
            Finding(
                level="warning",
                code="sender-unproven",
                message="events are taken unsigned, from anyone who reaches this port",
                hint="set BRIDGE_SEGMENT_SECRETS before this leaves your machine",
            )
        )
    return found
