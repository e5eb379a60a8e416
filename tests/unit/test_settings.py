"""What the environment may say, and everything that is wrong with it said at once."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, strategies as st

from bridge.config.load import load_config, warnings
from bridge.environment import PREFIX, SECRETS, admin_token
from bridge.errors import ConfigurationError, Finding
from bridge.settings import Settings

ENOUGH = {
    "BRIDGE_SEGMENT_SECRETS": "s3gment-secret",
    "BRIDGE_ONESIGNAL_APP_ID": "8a1b3c4d-0000-4000-8000-000000000001",
    "BRIDGE_ONESIGNAL_API_KEY": "os_v2_app_key",
}


def load_settings(environment: dict[str, str] | None = None) -> Settings:
    return load_config(environment).settings


def load(**more: str) -> Settings:
    return load_settings(ENOUGH | {PREFIX + name: value for name, value in more.items()})


def wrong(environment: dict[str, str]) -> list[Finding]:
    with pytest.raises(ConfigurationError) as caught:
        load_settings(environment)
    assert caught.value.findings
    assert all(finding.is_error for finding in caught.value.findings)
    return list(caught.value.findings)


def codes(environment: dict[str, str]) -> list[tuple[str, str]]:
    """Code and the first word of the message that looks like a variable."""
    return sorted(
        (one.code, next((w for w in one.message.split() if w.startswith(PREFIX)), "").rstrip(":"))
        for one in wrong(environment)
    )


def revealed(settings: Settings, field: str) -> Any:
    value = getattr(settings, field)
    if isinstance(value, tuple):
        return tuple(one.get_secret_value() for one in value)
    return value and value.get_secret_value()


# Defaults and values


def test_the_defaults_are_safe() -> None:
    assert load_settings(ENOUGH).model_dump(exclude={"segment_secrets", "onesignal_api_key"}) == {
        "database_url": "sqlite:///bridge.db",
        "host": "127.0.0.1",
        "port": 8080,
        "mappings": None,
        "config": None,
        "segment_token": None,
        "segment_unsigned": "refuse",
        "segment_batches": "accept",
        "onesignal_app_id": "8a1b3c4d-0000-4000-8000-000000000001",
        "onesignal_url": "https://api.onesignal.com",
        "onesignal_api": "user-model",
        "onesignal_legacy_flags": "refuse",
        "onesignal_plan": None,
        "onesignal_platforms": ("android", "web"),
        "onesignal_upsert": "patch-first",
        "onesignal_alias_chunk": 2000,
        "onesignal_event_key": "properties",
        "devices_app": None,
        "devices_secret": None,
        "devices_jwt_keys": (),
        "devices_jwt_claim": "sub",
        "devices_jwt_audience": None,
        "devices_cookie": None,
        "devices_session_url": None,
        "devices_server_keys": (),
        "devices_origins": (),
        "devices_of_another": "move",
        "devices_expire": timedelta(days=180),
        "dry_run": "no",
        "only_users": None,
        "admin_port": None,
        "admin_token": None,
        "admin_tokens": (),
        "sso_header": None,
        "sso_from": ("127.0.0.1", "::1"),
        "sso_role": "view",
        "metrics_token": None,
        "max_body": 8_000_000,
        "drain": 8.0,
        "drop": (),
        "keep_payloads": timedelta(days=3),
        "keep_outcomes": timedelta(days=30),
        "keep_dead": timedelta(days=30),
        "keep_calls": timedelta(days=3),
        "keep_unmatched": timedelta(0),
        "log_format": "auto",
        "alert_url": None,
        "silence": timedelta(0),
        "ephemeral": None,
    }


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("DATABASE_URL", "sqlite:////data/bridge.db", "sqlite:////data/bridge.db"),
        ("HOST", "0.0.0.0", "0.0.0.0"),
        ("PORT", "0", 0),
        ("PORT", "65535", 65535),
        ("MAPPINGS", "mappings/shop", Path("mappings/shop")),
        ("MAPPINGS", "", None),
        ("SEGMENT_UNSIGNED", "allow", "allow"),
        ("SEGMENT_BATCHES", "refuse", "refuse"),
        (
            "ONESIGNAL_APP_ID",
            "00000000-0000-4000-8000-0000000000aa",
            "00000000-0000-4000-8000-0000000000aa",
        ),
        ("ONESIGNAL_URL", "http://127.0.0.1:9000", "http://127.0.0.1:9000"),
        ("ONESIGNAL_API", "user-model", "user-model"),
        ("ONESIGNAL_PLAN", "growth", "growth"),
        ("ONESIGNAL_PLATFORMS", "ios", ("ios",)),
        ("ONESIGNAL_PLATFORMS", "android, web ios", ("android", "web", "ios")),
        ("ONESIGNAL_UPSERT", "post-first", "post-first"),
        ("ONESIGNAL_ALIAS_CHUNK", "20000", 20_000),
        ("ONESIGNAL_EVENT_KEY", "payload", "payload"),
        ("DRY_RUN", "yes", "yes"),
        ("ONLY_USERS", "ann@shop.example, b c\n,d", ("ann@shop.example", "b c", "d")),
        ("MAX_BODY", "1000", 1000),
        ("DRAIN", "0.5", 0.5),
        ("KEEP_UNMATCHED", "3d", timedelta(days=3)),
        ("KEEP_PAYLOADS", "0", timedelta(0)),
        ("KEEP_OUTCOMES", "2w", timedelta(weeks=2)),
        ("KEEP_DEAD", "36h", timedelta(hours=36)),
        ("KEEP_CALLS", "90m", timedelta(minutes=90)),
        ("DROP", "context.ip, traits.email", ("context.ip", "traits.email")),
        ("LOG_FORMAT", "json", "json"),
        ("EPHEMERAL", "yes", "yes"),
    ],
)
def test_a_setting_is_read_from_its_variable(name: str, text: str, value: object) -> None:
    assert getattr(load(**{name: text}), name.lower()) == value


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("SEGMENT_SECRETS", "new,old", ("new", "old")),
        ("SEGMENT_SECRETS", " new old\nolder,", ("new", "old", "older")),
        ("ONESIGNAL_API_KEY", "new, old", ("new", "old")),
        ("SEGMENT_TOKEN", "token", "token"),
        ("SEGMENT_TOKEN", " token\n", "token"),
        ("SEGMENT_TOKEN", "", None),
        ("SEGMENT_TOKEN", " ", None),
        ("ADMIN_TOKEN", "admin", "admin"),
        ("METRICS_TOKEN", "metrics", "metrics"),
    ],
)
def test_a_secret_is_read_from_its_variable(name: str, text: str, value: object) -> None:
    assert revealed(load(**{name: text}), name.lower()) == value


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("SEGMENT_SECRETS", "new\n\n  old  \n", ("new", "old")),
        ("SEGMENT_SECRETS", "with, comma and blank\r\nold", ("with, comma and blank", "old")),
        ("SEGMENT_SECRETS", "\ufeffwritten on Windows", ("written on Windows",)),
        ("ONESIGNAL_API_KEY", "key\n", ("key",)),
        ("SEGMENT_TOKEN", "token\n", "token"),
        ("ADMIN_TOKEN", "admin", "admin"),
        ("METRICS_TOKEN", "grün\n", "grün"),
    ],
)
def test_a_secret_is_read_from_a_file_one_a_line(
    tmp_path: Path, name: str, text: str, value: object
) -> None:
    file = tmp_path / "secret"
    file.write_text(text, encoding="utf-8", newline="")
    environment = {variable: text for variable, text in ENOUGH.items() if variable != PREFIX + name}
    settings = load_settings(environment | {f"BRIDGE_{name}_FILE": str(file)})
    assert revealed(settings, name.lower()) == value


def test_what_is_not_ours_is_left_alone() -> None:
    more = {"PATH": "/bin", "BRIDGE_URL": "http://x", "BRIDGE_VAR_VIP": "y", "bridge_port": "abc"}
    assert load_settings(ENOUGH | more) == load_settings(ENOUGH)


def test_the_environment_is_read_when_none_is_given(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable, text in ENOUGH.items():
        monkeypatch.setenv(variable, text)
    monkeypatch.setenv("BRIDGE_PORT", "8081")
    assert load_settings().port == 8081


@pytest.mark.parametrize(
    ("plan", "sends", "tags"),
    [
        ("", 150, None),
        ("free", 150, 2),
        ("growth", 6000, 10),
        ("professional", 6000, 100),
        ("enterprise", 6000, None),
    ],
)
def test_a_plan_says_how_much_may_be_sent(plan: str, sends: int, tags: int | None) -> None:
    more = {"BRIDGE_ONESIGNAL_PLAN": plan} if plan else {}
    app = load_config(ENOUGH | more).apps["default"]
    assert (app.sends_per_second, app.tag_cap) == (sends, tags)


@pytest.mark.parametrize(
    ("url", "path"),
    [("sqlite:///bridge.db", "bridge.db"), ("sqlite:////data/bridge.db", "/data/bridge.db")],
)
def test_the_database_is_a_file(url: str, path: str) -> None:
    assert load(DATABASE_URL=url).database_path == Path(path)


# What is wrong


def test_an_empty_environment_misses_everything_that_is_needed() -> None:
    assert codes({}) == [
        ("sender-unproven", "BRIDGE_SEGMENT_SECRETS"),
        ("setting-missing", "BRIDGE_ONESIGNAL_API_KEY"),
        ("setting-missing", "BRIDGE_ONESIGNAL_APP_ID"),
    ]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("PORT", "eighty"),
        ("PORT", "65536"),
        ("PORT", "-1"),
        ("SEGMENT_UNSIGNED", "yes"),
        ("SEGMENT_BATCHES", "maybe"),
        ("ONESIGNAL_API", "legacy2"),
        ("ONESIGNAL_PLAN", "gold"),
        ("ONESIGNAL_PLATFORMS", "android,symbian"),
        ("ONESIGNAL_PLATFORMS", " , "),
        ("ONESIGNAL_UPSERT", "never"),
        ("ONESIGNAL_URL", "api.onesignal.com"),
        ("ONESIGNAL_ALIAS_CHUNK", "0"),
        ("ONESIGNAL_ALIAS_CHUNK", "20001"),
        ("ONESIGNAL_EVENT_KEY", "data"),
        ("DRY_RUN", "maybe"),
        ("ONLY_USERS", ""),
        ("ONLY_USERS", " ,\n"),
        ("MAX_BODY", "999"),
        ("MAX_BODY", "8 MB"),
        ("DRAIN", "-1"),
        ("DRAIN", "nan"),
        ("DRAIN", "inf"),
        ("KEEP_UNMATCHED", "-1"),
        ("KEEP_UNMATCHED", "3"),
        ("KEEP_PAYLOADS", "three days"),
        ("KEEP_OUTCOMES", "6d"),
        ("DROP", "context..ip"),
        ("DROP", "messageId"),
        ("DROP", "products[0].sku"),
        ("LOG_FORMAT", "xml"),
        ("EPHEMERAL", "true"),
    ],
)
def test_a_value_that_cannot_be_is_named_by_its_variable(name: str, text: str) -> None:
    assert codes(ENOUGH | {PREFIX + name: text}) == [("setting-invalid", PREFIX + name)]


def test_a_time_that_is_too_short_is_told_as_it_is_written() -> None:
    (finding,) = wrong(ENOUGH | {"BRIDGE_KEEP_OUTCOMES": "2d"})
    assert finding.message == "BRIDGE_KEEP_OUTCOMES: has to be at least 7d"


def test_a_week_of_outcomes_is_enough() -> None:
    assert load(KEEP_OUTCOMES="7d").keep_outcomes == timedelta(days=7)


def test_two_ports_that_are_free_are_two_ports() -> None:
    assert load(PORT="0", ADMIN_PORT="0").admin_port == 0
    assert codes(ENOUGH | {"BRIDGE_PORT": "81", "BRIDGE_ADMIN_PORT": "81"}) == [
        ("setting-invalid", "BRIDGE_ADMIN_PORT")
    ]


@pytest.mark.parametrize(
    "url", ["postgresql://db/bridge", "bridge.db", "sqlite:///", "sqlite:///:memory:", ""]
)
def test_a_database_that_is_no_sqlite_file_is_refused(url: str) -> None:
    assert codes(ENOUGH | {"BRIDGE_DATABASE_URL": url}) == [
        ("database-unsupported", "BRIDGE_DATABASE_URL")
    ]


@pytest.mark.parametrize(
    ("variable", "hint"),
    [
        ("BRIDGE_SEGMENT_SECRET", "did you mean BRIDGE_SEGMENT_SECRETS?"),
        ("BRIDGE_ONESIGNAL_KEY", "did you mean BRIDGE_ONESIGNAL_API_KEY?"),
        ("BRIDGE_ADMIN_TOKEN_FILES", "did you mean BRIDGE_ADMIN_TOKEN_FILE?"),
        ("BRIDGE_PORT_FILE", None),
        ("BRIDGE_ZZZZZZZZ", "README lists every setting"),
    ],
)
def test_an_unknown_setting_is_an_error_with_the_nearest_name(
    variable: str, hint: str | None
) -> None:
    (finding,) = wrong(ENOUGH | {variable: "value-never-shown"})
    assert finding.code == "unknown-setting"
    assert variable in finding.message
    assert "value-never-shown" not in str(finding)
    assert hint in {None, finding.hint}


@pytest.mark.parametrize("name", SECRETS)
def test_a_secret_that_is_given_twice_is_a_contradiction(tmp_path: Path, name: str) -> None:
    file = tmp_path / "secret"
    file.write_text("https://one.test/long-enough-for-any-secret")
    value = "https://two.test/long-enough-for-any-secret"
    value = "ada view a-token-of-her-own" if name == "ADMIN_TOKENS" else value
    environment = ENOUGH | {f"BRIDGE_{name}": value, f"BRIDGE_{name}_FILE": str(file)}
    assert codes(environment) == [("setting-twice", f"BRIDGE_{name}")]


@pytest.mark.parametrize("content", [b"", b" \n", "\ufeff".encode()])
def test_a_secret_file_that_is_empty_does_not_quietly_turn_the_check_off(
    tmp_path: Path, content: bytes
) -> None:
    file = tmp_path / "token"
    file.write_bytes(content)
    assert codes(ENOUGH | {"BRIDGE_SEGMENT_TOKEN_FILE": str(file)}) == [
        ("secret-file-empty", "BRIDGE_SEGMENT_TOKEN_FILE")
    ]


def test_a_secret_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    latin = tmp_path / "latin"
    latin.write_bytes(b"secret-\xff")
    found = wrong(
        ENOUGH
        | {
            "BRIDGE_SEGMENT_TOKEN_FILE": str(tmp_path / "missing"),
            "BRIDGE_ADMIN_TOKEN_FILE": str(tmp_path),
            "BRIDGE_METRICS_TOKEN_FILE": str(latin),
        }
    )
    assert [one.code for one in found] == ["secret-file-unreadable"] * 3
    assert [one.message.rpartition(": ")[2] for one in found] == [
        "No such file or directory",
        "Is a directory",
        "it is not UTF-8",
    ]


def test_everything_that_is_wrong_is_said_at_once(tmp_path: Path) -> None:
    assert codes(
        {
            "BRIDGE_PRT": "1",
            "BRIDGE_PORT": "abc",
            "BRIDGE_ONESIGNAL_PLATFORMS": "symbian",
            "BRIDGE_DRAIN": "-1",
            "BRIDGE_DATABASE_URL": "mysql://x",
            "BRIDGE_ONESIGNAL_URL": "x",
            "BRIDGE_ADMIN_TOKEN_FILE": str(tmp_path / "missing"),
            "BRIDGE_METRICS_TOKEN": "a",
            "BRIDGE_METRICS_TOKEN_FILE": "b",
        }
    ) == [
        ("database-unsupported", "BRIDGE_DATABASE_URL"),
        ("secret-file-unreadable", "BRIDGE_ADMIN_TOKEN_FILE"),
        ("sender-unproven", "BRIDGE_SEGMENT_SECRETS"),
        ("setting-invalid", "BRIDGE_DRAIN"),
        ("setting-invalid", "BRIDGE_ONESIGNAL_PLATFORMS"),
        ("setting-invalid", "BRIDGE_ONESIGNAL_URL"),
        ("setting-invalid", "BRIDGE_PORT"),
        ("setting-missing", "BRIDGE_ONESIGNAL_API_KEY"),
        ("setting-missing", "BRIDGE_ONESIGNAL_APP_ID"),
        ("setting-twice", "BRIDGE_METRICS_TOKEN"),
        ("unknown-setting", "BRIDGE_PRT"),
    ]


def test_a_token_alone_or_an_explicit_permission_is_enough() -> None:
    without = {name: text for name, text in ENOUGH.items() if "SECRETS" not in name}
    assert load_settings(without | {"BRIDGE_SEGMENT_TOKEN": "t"}).segment_secrets == ()
    assert load_settings(without | {"BRIDGE_SEGMENT_UNSIGNED": "allow"}).segment_token is None
    blank = {"BRIDGE_SEGMENT_SECRETS": " , ", "BRIDGE_SEGMENT_TOKEN": " "}
    assert [one.code for one in wrong(without | blank)] == ["sender-unproven"]


@pytest.mark.parametrize(
    "url", ["https://hooks.slack.com/services/T0/B0/x", "http://127.0.0.1:9000/x", " https://a.b/ "]
)
def test_alerts_go_where_nobody_listens_on_the_way(url: str) -> None:
    given_url = load_settings(ENOUGH | {"BRIDGE_ALERT_URL": url}).alert_url
    assert given_url is not None
    assert given_url.get_secret_value() == url.strip()


@pytest.mark.parametrize(
    "url",
    [
        "http://hooks.slack.com/s3cret",
        "ftp://a.b/s3cret",
        "s3cret",
        "https:///s3cret",
        "https://[s3cret",
    ],
)
def test_an_address_for_alerts_that_others_could_read_is_refused_and_not_shown(url: str) -> None:
    (finding,) = wrong(ENOUGH | {"BRIDGE_ALERT_URL": url})
    assert finding.code == "setting-invalid"
    assert "s3cret" not in str(finding)


# What must not be shown

secrets = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=12, max_size=40)


@given(secret=secrets, broken=st.booleans())
def test_no_secret_is_ever_shown(secret: str, *, broken: bool) -> None:
    parts = [part for part in secret.split(",") if len(part) >= 8]
    environment = ENOUGH | {PREFIX + name: secret for name in SECRETS}
    environment["BRIDGE_ALERT_URL"] = f"https://chat.test/{secret}"
    environment["BRIDGE_ADMIN_TOKENS"] = f"ada view token-of-ada-{secret}"
    for name in ("SECRET", "JWT_KEYS", "SERVER_KEYS"):
        environment[f"BRIDGE_DEVICES_{name}"] = f"{secret.replace(',', '-')}-and-{'long' * 5}"
    if broken:
        environment["BRIDGE_PORT"] = "abc"
        environment["BRIDGE_ADMIN_TOKEN_FILE"] = "/nowhere"
        shown = "".join(map(str, wrong(environment)))
    else:
        settings = load_settings(environment)
        shown = f"{settings!r}{settings}{settings.model_dump()}{settings.model_dump_json()}"
        shown += "".join(map(str, warnings(load_config(environment))))
    known = f"{ENOUGH}{Settings().model_dump()}README lists every setting"
    assert not [part for part in parts if part in shown and part not in known]


# What is allowed, and worth saying


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ({}, ["batch-half-signed"]),
        ({"SEGMENT_TOKEN": "t"}, []),
        ({"SEGMENT_BATCHES": "refuse"}, []),
        ({"SEGMENT_SECRETS": "", "SEGMENT_TOKEN": "t"}, []),
        ({"SEGMENT_SECRETS": "", "SEGMENT_UNSIGNED": "allow"}, ["sender-unproven"]),
        ({"SEGMENT_TOKEN": "t", "ONESIGNAL_URL": "http://127.0.0.1:8090"}, []),
        ({"SEGMENT_TOKEN": "t", "ONESIGNAL_URL": "http://sandbox:8090"}, ["onesignal-in-clear"]),
        ({"SEGMENT_TOKEN": "t", "ADMIN_TOKEN": "short"}, ["admin-token-short"]),
        ({"SEGMENT_TOKEN": "t", "ADMIN_TOKEN": "long-enough-to-be-one"}, []),
    ],
)
def test_what_is_allowed_and_dangerous_is_a_warning(
    more: dict[str, str], expected: list[str]
) -> None:
    environment = ENOUGH | {PREFIX + name: value for name, value in more.items()}
    found = warnings(load_config(environment))
    assert [one.code for one in found] == expected
    assert not any(one.is_error for one in found)


def test_an_app_id_that_is_no_uuid_is_told_before_a_push_dies_of_it() -> None:
    with pytest.raises(ConfigurationError) as caught:
        load_settings(ENOUGH | {"BRIDGE_ONESIGNAL_APP_ID": "my-app"})

    (finding,) = caught.value.findings
    assert "BRIDGE_ONESIGNAL_APP_ID is not an app id" in finding.message


def test_commands_find_the_admin_token_in_its_file(tmp_path: Path) -> None:
    held = tmp_path / "token"
    held.write_text("s3cret\n")

    assert admin_token({"BRIDGE_ADMIN_TOKEN_FILE": str(held)}) == "s3cret"
    assert admin_token({}) is None
