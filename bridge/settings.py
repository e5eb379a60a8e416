"""Every knob: its type, its default, and the reason for the default.

Settings come from the environment (`BRIDGE_…`), secrets also from files (`BRIDGE_…_FILE`). What is
unknown, missing or contradictory is reported all at once, as findings.
"""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    field_validator,
)

from bridge import failpoints
from bridge.errors import ConfigurationError, Finding

PREFIX = "BRIDGE_"
SERVICE_URL = "BRIDGE_URL"
"""Where commands find the running service; not the service's own setting."""
SECRETS = (
    "SEGMENT_SECRETS",
    "SEGMENT_TOKEN",
    "ONESIGNAL_API_KEY",
    "ADMIN_TOKEN",
    "ADMIN_TOKENS",
    "METRICS_TOKEN",
    "ALERT_URL",
    "DEVICES_SECRET",
    "DEVICES_JWT_KEYS",
    "DEVICES_SERVER_KEYS",
)
FILES = (*SECRETS, "ONLY_USERS")
"""What may also stand in a file, which `BRIDGE_…_FILE` names."""
LISTS = (
    "SEGMENT_SECRETS",
    "ONESIGNAL_API_KEY",
    "ONLY_USERS",
    "ADMIN_TOKENS",
    "DEVICES_SERVER_KEYS",
)
VARIABLES = "BRIDGE_VAR_"
"""What follows is a variable of the mapping, in capitals."""
SENDS_PER_SECOND = {"free": 150, "growth": 6000, "professional": 6000, "enterprise": 6000}
TAG_CAP = {"free": 2, "growth": 10, "professional": 100, "enterprise": None}

_PLATFORMS = {"android", "web", "ios", "ios_web", "huawei", "amazon", "windows"}

Plan = Literal["free", "growth", "professional", "enterprise"]


def known_platforms(names: Collection[str]) -> Collection[str]:
    """The names themselves.

    Raises:
        ValueError: there are none, or some that OneSignal does not know.
    """
    unknown = sorted(set(names) - _PLATFORMS)
    if unknown or not names:
        named = ", ".join(unknown) or "nothing"
        raise ValueError(f"{named}: a platform is one of {', '.join(sorted(_PLATFORMS))}")
    return names


_HEADER = re.compile(r"[A-Za-z][A-Za-z0-9-]*")
_DURATION = re.compile(r"([0-9]+)([smhdw])")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 7 * 86_400}


def _duration(value: object) -> object:
    """`3d`, `12h`, `0`: one number and one unit."""
    if not isinstance(value, str):
        return value
    text = value.strip()
    found = _DURATION.fullmatch(text)
    if found is None and text != "0":
        raise ValueError(f"{text!r} is not a time: write 3d, 12h, 90m or 0")
    return timedelta(seconds=int(found[1]) * _SECONDS[found[2]] if found else 0)


def is_private_address(url: str) -> bool:
    """Whether nobody on the way can read what is sent there, the address included."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    loopback = parts.hostname in {"127.0.0.1", "::1", "localhost"}
    return bool(parts.hostname) and (
        parts.scheme == "https" or (parts.scheme == "http" and loopback)
    )


_PEM = re.compile(r"-----BEGIN [A-Z ]+-----.*?-----END [A-Z ]+-----", re.DOTALL)
_ORIGIN = re.compile(r"https?://[a-z0-9.-]+(:[0-9]{1,5})?|https?://\[[0-9a-f:]+\](:[0-9]{1,5})?")


def _keys(value: object) -> object:
    """Public keys in PEM, one after another; or shared secrets, divided like other lists."""
    if not isinstance(value, str):
        return value
    return tuple(_PEM.findall(value)) or tuple(re.split(r"[,\s]+", value.strip()))


def _origins(origins: Collection[str]) -> Collection[str]:
    for one in origins:
        if _ORIGIN.fullmatch(one) is None:
            raise ValueError(f"{one!r} is not an origin: write https://www.shop.example, no path")
    return origins


Duration = Annotated[timedelta, BeforeValidator(_duration), Field(ge=timedelta(0))]


def droppable(paths: Collection[str]) -> Collection[str]:
    """The paths themselves.

    Raises:
        ValueError: one is no path, or names what makes an event an event.
    """
    for path in paths:
        parts = path.split(".")
        if not all(parts) or "[" in path:
            raise ValueError(f"{path!r} is not a path: write context.ip, traits.email")
        if parts[0] in {"type", "messageId"}:
            raise ValueError(f"{path}: without it nobody knows what was sent")
    return paths


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
    devices_jwt_keys: Annotated[tuple[SecretStr, ...], BeforeValidator(_keys)] = ()
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
    devices_origins: Annotated[tuple[str, ...], AfterValidator(_origins)] = ()
    #: A device that is another user's: it moves, is refused, or is both users'.
    devices_of_another: Literal["move", "refuse", "share"] = "move"
    #: Devices that were not seen for so long are no target, and forgotten.
    devices_expire: Annotated[Duration, Field(ge=timedelta(days=1))] = timedelta(days=180)

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
    keep_outcomes: Annotated[Duration, Field(ge=timedelta(days=7))] = timedelta(days=30)
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Environment:
    """What the environment says, and what is wrong with it so far."""

    settings: Settings
    #: Names of the settings that it sets, by value or by file.
    given: frozenset[str]
    #: Files that it names and that may change while the service runs.
    files: tuple[Path, ...]
    #: Variables of mappings, by name in small letters.
    variables: dict[str, str]
    findings: list[Finding]


def read_environment(environment: Mapping[str, str] | None = None) -> Environment:
    """Every setting there is; what is contradictory is for `bridge.config` to say."""
    env = os.environ if environment is None else environment
    values, findings = _read(env)
    try:
        settings = Settings(**values)
    except ValidationError as error:
        findings += map(_finding, error.errors())
        # The rest is looked at as well, so that a second start does not bring a second list.
        invalid = {one["loc"][0] for one in error.errors()}
        settings = Settings(**{name: values[name] for name in values.keys() - invalid})
    named = {name.removeprefix(PREFIX) for name in env if name.startswith(PREFIX)}
    files = [name for name in FILES if f"{name}_FILE" in named]
    return Environment(
        settings=settings,
        given=frozenset(name.lower() for name in {*named, *files}),
        files=tuple(Path(env[f"{PREFIX}{name}_FILE"]) for name in files),
        variables={
            name.removeprefix(VARIABLES).lower(): text
            for name, text in env.items()
            if name.startswith(VARIABLES)
        },
        findings=findings,
    )


def _read(env: Mapping[str, str]) -> tuple[dict[str, Any], list[Finding]]:
    values: dict[str, Any] = {}
    findings: list[Finding] = []
    for variable, text in env.items():
        if not variable.startswith(PREFIX) or variable.startswith(VARIABLES):
            continue
        name = variable.removeprefix(PREFIX)
        if name.endswith("_FILE") and name.removesuffix("_FILE") in FILES:
            findings += _read_file(values, name.removesuffix("_FILE"), Path(text), env)
        elif name.lower() in Settings.model_fields:
            values[name.lower()] = text
        elif variable not in {SERVICE_URL, failpoints.VARIABLE}:
            findings.append(_unknown(variable))
    return values, findings


def _read_file(
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
    text = secret_text(path, f"{variable}_FILE")
    if isinstance(text, Finding):
        return [text]
    values[name.lower()] = lines(text) if name in LISTS else text
    return []


def secret_text(path: Path, named_by: str) -> str | Finding:
    """What a file of a secret holds; a finding when it holds nothing or cannot be read."""
    try:
        text = path.read_text(encoding="utf-8-sig").strip()
    except (OSError, UnicodeDecodeError) as error:
        why = (error.strerror or "an error") if isinstance(error, OSError) else "it is not UTF-8"
        return Finding(
            code="secret-file-unreadable",
            message=f"{named_by} names {path}, which cannot be read: {why}",
            hint="mount the secret, or correct the path",
        )
    if not text:
        return Finding(
            code="secret-file-empty",
            message=f"{named_by} names {path}, which is empty: nothing would be asked for",
            hint="write the secret into it, or unset the variable",
        )
    return text


def lines(text: str) -> tuple[str, ...]:
    """One a line, so that a secret may hold a comma or a blank."""
    return tuple(line.strip() for line in text.splitlines() if line.strip())


def _unknown(variable: str) -> Finding:
    known = [PREFIX + name.upper() for name in Settings.model_fields]
    known += [f"{PREFIX}{name}_FILE" for name in FILES]
    near = difflib.get_close_matches(variable, known, n=1)
    return Finding(
        code="unknown-setting",
        message=f"{variable} is not a setting of this version",
        hint=f"did you mean {near[0]}?" if near else "README lists every setting",
    )


def _finding(error: Any) -> Finding:
    variable = PREFIX + "_".join(str(part) for part in error["loc"][:1]).upper()
    message = _in_words(error)
    named = f"{variable}: {message}" if error["loc"] else message
    return Finding(code="setting-invalid", message=named, hint="README lists every setting")


def _in_words(error: Any) -> str:
    if error["type"] in {"int_parsing", "float_parsing"}:
        return f"has to be a {'whole ' if error['type'] == 'int_parsing' else ''}number"
    said = str(error["msg"]).removeprefix("Value error, ")
    return said.replace("Input should be", "has to be")
