"""From the environment and `bridge.yaml` to a `Config`, or everything that is wrong, at once."""

from __future__ import annotations

import difflib
from collections import Counter
from collections.abc import Iterator, Mapping

from pydantic import SecretStr

from bridge.config import (
    DEFAULT,
    IMPORT,
    App,
    Config,
    Source,
    environment_app,
    environment_source,
)
from bridge.config.access import LEAST_TOKEN, findings_of
from bridge.config.document import AppEntry, SourceEntry, is_app_id
from bridge.config.file import Reading, read_file
from bridge.config.registry import doubtful, registry_of, wrong_with
from bridge.environment import PREFIX, Environment, read_environment
from bridge.errors import ConfigurationError, Finding
from bridge.kinds import is_private_address
from bridge.onesignal.api import Spoken, api_named
from bridge.onesignal.legacy import PREFIX as LEGACY_PREFIX
from bridge.segment.audience import ReverseEtl
from bridge.settings import Settings

_KEYS_AND_IDS = "OneSignal > Settings > Keys & IDs > OneSignal App ID"
_OF_APPS = ("onesignal_app_id", "onesignal_api_key")
_OF_SOURCES = ("segment_secrets", "segment_token", "mappings")
"""What an entry of the file says for itself; other settings are what entries fall back on."""


def load_config(environment: Mapping[str, str] | None = None) -> Config:
    """What the environment and the file that `BRIDGE_CONFIG` names make together.

    Raises:
        ConfigurationError: with a finding for everything that is unknown, missing or contradictory.
    """
    said = read_environment(environment)
    path = said.settings.config
    reading = Reading() if path is None else read_file(path)
    findings = [*said.findings, *_of_settings(said.settings)]
    if reading.usable:
        apps = _apps(said, reading)
        sources = _sources(said, reading, apps)
    else:
        apps, sources = {}, {}
    findings += [*reading.findings, *wrong_with(said.settings, apps)]
    if any(finding.is_error for finding in findings):
        raise ConfigurationError(findings)
    files = (*((path,) if path else ()), *reading.files, *said.files)
    return Config(
        settings=said.settings,
        apps=apps,
        sources=sources,
        registry=registry_of(said.settings, apps),
        files=files,
    )


def app_names(environment: Mapping[str, str] | None = None) -> list[str]:
    """The apps that there are, for who needs to know nothing else of them.

    Raises:
        ConfigurationError: the file that names them cannot be read.
    """
    path = read_environment(environment).settings.config
    reading = Reading() if path is None else read_file(path)
    if not reading.usable and path is not None:
        raise ConfigurationError(reading.findings)
    return list(reading.entries.apps) or [DEFAULT]


def _of_settings(settings: Settings) -> list[Finding]:
    """What is wrong with settings that are no app's and no source's."""
    findings = [*findings_of(settings)]
    if not settings.database_url.startswith("sqlite:///") or settings.database_url.removeprefix(
        "sqlite:///"
    ) in {"", ":memory:"}:
        findings.append(
            Finding(
                code="database-unsupported",
                message="BRIDGE_DATABASE_URL is not the address of a SQLite file",
                hint="write sqlite:///bridge.db, or sqlite:////data/bridge.db for an absolute path",
            )
        )
    if settings.admin_port is not None and settings.admin_port == settings.port != 0:
        findings.append(
            Finding(
                code="setting-invalid",
                message="BRIDGE_ADMIN_PORT is BRIDGE_PORT: what is for you alone would be for everybody",
                hint="name another port, or leave it unset to have everything on one",
            )
        )
    if not settings.onesignal_url.startswith(("https://", "http://")):
        findings.append(
            Finding(
                code="setting-invalid",
                message="BRIDGE_ONESIGNAL_URL is not an http address",
                hint="leave it unset for OneSignal itself",
            )
        )
    return findings


# Apps ---------------------------------------------------------------------------------------------


def _apps(said: Environment, reading: Reading) -> dict[str, App]:
    entries = reading.entries.apps
    if not entries:
        reading.findings += _environment_app_findings(said.settings)
        vars_ = reading.entries.vars | said.variables
        app = environment_app(said.settings, vars_)
        reading.findings += _of_api(app)
        return {DEFAULT: app}
    _contradict(said, reading, "apps", _OF_APPS)
    apps = {name: _app(name, entry, said, reading) for name, entry in entries.items()}
    for app in apps.values():
        for found in _of_api(app):
            reading.report(found.code, found.message, ("apps", app.name), found.hint)
    often = Counter(app.app_id.lower() for app in apps.values())
    for app in apps.values():
        if often[app.app_id.lower()] > 1:
            message = f"another app has the app_id of {app.name}: together they exceed its limits"
            hint = "keep one of them, and name it in every source that goes there"
            reading.report("app-twice", message, ("apps", app.name, "app_id"), hint)
    return apps


def _app(name: str, entry: AppEntry, said: Environment, reading: Reading) -> App:
    at, settings = ("apps", name), said.settings
    keys = reading.secrets(at, entry, "api_key")
    if entry.api_key is None and entry.api_key_file is None:
        message = f"app {name} has no api_key"
        reading.report("setting-missing", message, at, "api_key_file: /run/secrets/onesignal")
    return App(
        name=name,
        app_id=entry.app_id,
        api_keys=keys,
        url=entry.url or settings.onesignal_url,
        spoken=Spoken(
            api=entry.api or settings.onesignal_api,
            trusts_flags=(entry.legacy_flags or settings.onesignal_legacy_flags) == "trust",
        ),
        plan=entry.plan or settings.onesignal_plan,
        platforms=tuple(entry.platforms or settings.onesignal_platforms),
        upsert=entry.upsert or settings.onesignal_upsert,
        alias_chunk=entry.alias_chunk or settings.onesignal_alias_chunk,
        event_key=entry.event_key or settings.onesignal_event_key,
        vars=reading.entries.vars | entry.vars | said.variables,
    )


def _of_api(app: App) -> Iterator[Finding]:
    """What goes with no API, or not with the one that the app speaks."""
    most = api_named(app.spoken.api).RECIPIENTS
    if app.alias_chunk > most:
        yield Finding(
            code="setting-invalid",
            message=f"app {app.name}: {app.alias_chunk} people in one call, and its API takes {most}",
            hint=f"BRIDGE_ONESIGNAL_ALIAS_CHUNK={most}, or `alias_chunk: {most}` of the app",
        )
    if app.url.rstrip("/").endswith(LEGACY_PREFIX):
        yield Finding(
            code="setting-invalid",
            message=f"app {app.name}: the address ends in {LEGACY_PREFIX}, where every path of the API begins",
            hint="leave BRIDGE_ONESIGNAL_URL (`url`) unset for OneSignal itself; a stand-in's ends before",
        )


def _environment_app_findings(settings: Settings) -> list[Finding]:
    checks = (
        (
            not settings.onesignal_app_id,
            "setting-missing",
            "BRIDGE_ONESIGNAL_APP_ID is not set",
            _KEYS_AND_IDS,
        ),
        (
            settings.onesignal_app_id and not is_app_id(settings.onesignal_app_id),
            "setting-invalid",
            "BRIDGE_ONESIGNAL_APP_ID is not an app id: 8-4-4-4-12 hexadecimal digits",
            _KEYS_AND_IDS,
        ),
        (
            not settings.onesignal_api_key,
            "setting-missing",
            "BRIDGE_ONESIGNAL_API_KEY is not set",
            "OneSignal > Settings > Keys & IDs > Add Key; or BRIDGE_ONESIGNAL_API_KEY_FILE",
        ),
    )
    return [
        Finding(code=code, message=said, hint=hint) for wrong, code, said, hint in checks if wrong
    ]


# Sources ------------------------------------------------------------------------------------------


def _sources(said: Environment, reading: Reading, apps: dict[str, App]) -> dict[str, Source]:
    entries = reading.entries.sources
    if entries:
        _contradict(said, reading, "sources", _OF_SOURCES)
        found = [_source(name, one, said.settings, reading, apps) for name, one in entries.items()]
        return {source.name: source for source in found}
    app = next(iter(apps))
    if len(apps) > 1:
        message = "there are several apps, and no source says to which one it goes"
        reading.report("app-undecided", message, ("apps",), "sources: {backend: {app: …}}")
    if _nothing_proves(said.settings, said.settings.segment_secrets, said.settings.segment_token):
        reading.findings.append(_UNPROVEN)
    return {DEFAULT: environment_source(said.settings, app)}


_UNPROVEN = Finding(
    code="sender-unproven",
    message="neither BRIDGE_SEGMENT_SECRETS nor BRIDGE_SEGMENT_TOKEN is set: anyone could post events",
    hint="set the secret that Segment's webhook signs with; to try without, BRIDGE_SEGMENT_UNSIGNED=allow",
)


def _source(
    name: str, entry: SourceEntry, settings: Settings, reading: Reading, apps: dict[str, App]
) -> Source:
    at = ("sources", name)
    secrets = reading.secrets(at, entry, "secrets")
    token = next(iter(reading.secrets(at, entry, "token")), None)
    said = entry.model_copy(update={"unsigned": entry.unsigned or settings.segment_unsigned})
    if name != IMPORT and _is_open(said):
        message = f"source {name} has neither secrets nor a token: anyone could post its events"
        hint = "set the secret that Segment's webhook signs with; to try without, unsigned: allow"
        reading.report("sender-unproven", message, at, hint)
    etl = entry.reverse_etl
    return Source(
        name=name,
        app=_app_of(name, entry, reading, apps),
        mappings=reading.beside(entry.mappings) if entry.mappings else None,
        secrets=secrets,
        token=token,
        batches=(entry.batches or settings.segment_batches) == "accept",
        trusted=entry.trust == "server",
        bulk=entry.bulk,
        reverse_etl=ReverseEtl(mode=etl.mode, key=etl.key) if etl else None,
        # What nobody may store is nobody's to bring back: a source only adds to it.
        drop=tuple(dict.fromkeys([*settings.drop, *(entry.drop or ())])),
    )


def _is_open(entry: SourceEntry) -> bool:
    """Whether nothing asks for a proof, and nobody said that none is wanted."""
    proofs = (entry.secrets, entry.secrets_file, entry.token, entry.token_file)
    return not any(proofs) and entry.unsigned == "refuse"


def _nothing_proves(
    settings: Settings, secrets: tuple[SecretStr, ...], token: SecretStr | None
) -> bool:
    return not secrets and not token and settings.segment_unsigned == "refuse"


def _app_of(name: str, entry: SourceEntry, reading: Reading, apps: dict[str, App]) -> str:
    first = next(iter(apps))
    if entry.app is None and len(apps) > 1:
        message = f"there are several apps, and source {name} does not say to which one it goes"
        reading.report("app-undecided", message, ("sources", name), f"app: {first}")
    elif entry.app is not None and entry.app not in apps:
        near = difflib.get_close_matches(entry.app, apps, n=1)
        hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(apps)}"
        message = f"source {name} goes to {entry.app}, and there is no app of this name"
        reading.report("unknown-app", message, ("sources", name, "app"), hint)
    return entry.app or first


def _contradict(
    said: Environment, reading: Reading, section: str, settings: tuple[str, ...]
) -> None:
    """The environment says for one what the file says for each."""
    for name in settings:
        if name in said.given:
            message = f"{PREFIX}{name.upper()} is set, and {reading.path} has `{section}`"
            hint = f"unset it: each of the {section} says it for itself"
            reading.report("setting-twice", message, (section,), hint)


def warnings(config: Config) -> list[Finding]:
    """What is allowed, and worth knowing at every start."""
    found = []
    for source in config.sources.values():
        if source.name == IMPORT:
            continue
        if source.secrets and not source.token and source.batches:
            found.append(_half_signed(source))
        if not source.secrets and not source.token:
            found.append(_unsigned(source))
    idle = config.apps.keys() - {source.app for source in config.sources.values()}
    found += [_warning("app-unused", f"no source goes to app {app}") for app in sorted(idle)]
    for app in config.apps.values():
        found += [*_of_legacy_api(app), *_of_its_way(app)]
    found += _of_admins(config.settings)
    if config.restraint.dry_run:
        found.append(_warning("dry-run", "BRIDGE_DRY_RUN=yes: nothing is sent to OneSignal"))
    if config.settings.only_users is not None:
        count = len(config.settings.only_users)
        found.append(_warning("only-users", f"BRIDGE_ONLY_USERS: {count} people, and nobody else"))
    return [*found, *doubtful(config.settings)]


def _of_legacy_api(app: App) -> Iterator[Finding]:
    if app.spoken.api == "user-model":
        return
    of = "" if app.name == DEFAULT else f" (app {app.name})"
    yield _warning(
        "legacy-api",
        f"OneSignal's legacy API knows tags and pushes alone, and creates and erases nobody{of}",
        "see docs/user-model.md for what to do first",
    )
    if app.spoken.trusts_flags:
        yield _warning(
            "legacy-flags-trusted",
            f"iPhones are left out by flags that OneSignal's legacy API was said to ignore{of}",
            "unset BRIDGE_ONESIGNAL_LEGACY_FLAGS (`legacy_flags`) unless you have seen that they work",
        )


def _of_its_way(app: App) -> Iterator[Finding]:
    if is_private_address(app.url):
        return
    yield _warning(
        "onesignal-in-clear",
        f"{app.url} is http: the API key and what is known of people go there in clear",
        "fine for a sandbox inside a network of yours; else https",
    )


def _of_admins(settings: Settings) -> Iterator[Finding]:
    token = settings.admin_token
    if token is None or len(token.get_secret_value()) >= LEAST_TOKEN:
        return
    yield _warning(
        "admin-token-short",
        f"{PREFIX}ADMIN_TOKEN has fewer than {LEAST_TOKEN} characters: the API can be asked until one is right",
        "make it with: openssl rand -hex 24",
    )


def _half_signed(source: Source) -> Finding:
    return _warning(
        "batch-half-signed",
        "Segment signs only the first event of a batch; the others prove nothing" + _of(source),
        "also set BRIDGE_SEGMENT_TOKEN and send it as the header X-Bridge-Token",
    )


def _unsigned(source: Source) -> Finding:
    return _warning(
        "sender-unproven",
        "events are taken unsigned, from anyone who reaches this port" + _of(source),
        "set BRIDGE_SEGMENT_SECRETS before this leaves your machine",
    )


def _of(source: Source) -> str:
    return "" if source.name == DEFAULT else f" (source {source.name})"


def _warning(code: str, message: str, hint: str | None = None) -> Finding:
    return Finding(level="warning", code=code, message=message, hint=hint)
