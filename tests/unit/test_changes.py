"""What of an edit comes into force while the service runs, and what is told to take a restart."""

from __future__ import annotations

from pathlib import Path

import pytest

from bridge.config import Config
from bridge.config.changes import live, restart_needed
from bridge.config.load import load_config

SHOP, CLUB = "8a1b3c4d-0000-4000-8000-000000000001", "8a1b3c4d-0000-4000-8000-000000000002"
BEFORE = f"""
apps:
  shop: {{app_id: {SHOP}, api_key: k1, platforms: [android], vars: {{v: old}}}}
  club: {{app_id: {CLUB}, api_key: c}}
sources:
  backend: {{app: shop, secrets: s1, token: t1, mappings: a, drop: [context.ip]}}
"""


def load(folder: Path, text: str = BEFORE, **environment: str) -> Config:
    file = folder / "bridge.yaml"
    file.write_text(text)
    more = {f"BRIDGE_{name}": value for name, value in environment.items()}
    return load_config({"BRIDGE_CONFIG": str(file)} | more)


def edited(folder: Path, old: str, new: str) -> tuple[Config, Config]:
    assert BEFORE.count(old) == 1
    return load(folder), load(folder, BEFORE.replace(old, new))


def test_what_an_app_says_comes_into_force(tmp_path: Path) -> None:
    before, after = edited(
        tmp_path,
        "k1, platforms: [android], vars: {v: old}",
        "[k2, k1], platforms: [web], vars: {v: new}",
    )
    app = live(before, after).apps["shop"]
    assert app == after.apps["shop"]
    assert ([key.get_secret_value() for key in app.api_keys], app.platforms, app.vars) == (
        ["k2", "k1"],
        ("web",),
        {"v": "new"},
    )
    assert restart_needed(before, after) == ()


@pytest.mark.parametrize(
    "more",
    [
        "url: https://proxy.example",
        "api: legacy",
        "plan: growth",
        "upsert: post-first",
        "alias_chunk: 500",
        "event_key: payload",
    ],
)
def test_what_an_app_is_made_of_takes_a_restart(tmp_path: Path, more: str) -> None:
    before, after = edited(tmp_path, "api_key: k1", f"{more}, api_key: k1")
    assert after.apps != before.apps
    assert live(before, after).apps == before.apps
    assert restart_needed(before, after) == ("app shop",)


def test_what_a_source_says_comes_into_force(tmp_path: Path) -> None:
    before, after = edited(
        tmp_path,
        "s1, token: t1, mappings: a, drop: [context.ip]",
        "s2, mappings: b, batches: refuse, trust: client, drop: [traits], reverse_etl: {mode: add, key: k}",
    )
    source = live(before, after).sources["backend"]
    assert source == after.sources["backend"]
    assert (source.token, source.batches, source.trusted) == (None, False, False)
    assert restart_needed(before, after) == ()


@pytest.mark.parametrize("new", ["app: club, bulk: false", "app: shop, bulk: true"])
def test_where_a_source_goes_and_with_what_rank_takes_a_restart(tmp_path: Path, new: str) -> None:
    before, after = edited(tmp_path, "app: shop", new)
    assert live(before, after).sources == before.sources
    assert restart_needed(before, after) == ("source backend",)


def test_sources_and_apps_that_come_and_go_take_a_restart(tmp_path: Path) -> None:
    before, after = edited(tmp_path, "backend:", "other:")
    assert live(before, after).sources == before.sources
    assert restart_needed(before, after) == ("source backend", "source other")


def test_who_may_come_in_and_who_may_be_written_to_comes_into_force(tmp_path: Path) -> None:
    said = {
        "ONLY_USERS": "u1",
        "ADMIN_TOKEN": "a" * 16,
        "ADMIN_TOKENS": f"ada view {'b' * 16}",
        "SSO_HEADER": "X-User",
        "SSO_FROM": "10.0.0.7",
        "SSO_ROLE": "admin",
    }
    before, after = load(tmp_path), load(tmp_path, **said)
    settings = live(before, after).settings
    for name in said:
        assert getattr(settings, name.lower()) == getattr(after.settings, name.lower())
        assert getattr(settings, name.lower()) != getattr(before.settings, name.lower())
    assert live(before, after).restraint.only == frozenset({"u1"})
    assert restart_needed(before, after) == ()


@pytest.mark.parametrize(
    ("name", "value"),
    [("METRICS_TOKEN", "m"), ("ALERT_URL", "https://chat.example/x"), ("SILENCE", "1h")],
)
def test_other_settings_take_a_restart_and_are_named(tmp_path: Path, name: str, value: str) -> None:
    before, after = load(tmp_path), load(tmp_path, **{name: value})
    assert live(before, after).settings == before.settings
    assert restart_needed(before, after) == (f"setting {name.lower()}",)


def test_a_registry_of_an_app_that_is_not_there_yet_waits_for_the_restart(tmp_path: Path) -> None:
    secret = {"DEVICES_SECRET": "s" * 16}
    before = load(tmp_path, **secret, DEVICES_APP="shop")
    new = BEFORE.replace(CLUB, SHOP.replace("1", "3")).replace("club:", "bar:")
    after = load(tmp_path, new, **secret, DEVICES_APP="bar")
    assert live(before, after).registry == before.registry
    moved = load(tmp_path, **secret, DEVICES_APP="club")
    assert live(before, moved).registry == moved.registry


def test_files_that_an_edit_names_are_watched_from_then_on(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("t")
    before, after = edited(tmp_path, "token: t1", "token_file: token")
    assert tmp_path / "token" not in before.files
    assert tmp_path / "token" in live(before, after).files
