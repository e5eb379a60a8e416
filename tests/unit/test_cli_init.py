"""`init`: what it writes can be served, checked and tested, holds real secrets, and overwrites nothing."""

from __future__ import annotations

import os
import re
import stat
import subprocess
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML
from typer.testing import CliRunner, Result

from bridge.cli import app
from bridge.cli.setup import answers as reading
from bridge.config import Config
from bridge.config.load import load_config
from bridge.config.mappings import load_mappings
from bridge.mapping.load import presets

APP_ID = "8a1b3c4d-0000-4000-8000-000000000001"
KEY = "os_v2_app_abcdefgh"
GIVEN = {
    "--url": "https://bridge.shop.example",
    "--app-id": APP_ID,
    "--api-key": KEY,
    "--iphones": "segment",
}


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("BRIDGE_")]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)


def init(*more: str, typed: str = "", without: str = "", **given: str) -> Result:
    flags = GIVEN | {f"--{name.replace('_', '-')}": value for name, value in given.items()}
    flags.pop(without, None)
    arguments = [part for flag in flags.items() for part in flag]
    return CliRunner().invoke(app, ["init", "--no-input", *arguments, *more])


def asked(*lines: str) -> Result:
    return CliRunner().invoke(app, ["init"], input="".join(f"{line}\n" for line in lines))


def settings(folder: Path) -> dict[str, str]:
    """What a shell makes of the file, as the command that is printed reads it."""
    shown = subprocess.run(
        ["sh", "-c", "set -a; . ./bridge.env; set +a; env"],
        cwd=folder,
        env={"PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        check=True,
    )
    pairs = (line.split("=", 1) for line in shown.stdout.splitlines() if line.startswith("BRIDGE_"))
    return {name: value for name, value in pairs}  # noqa: C416 — mypy knows a pair only when it is named


def config(folder: Path) -> Config:
    return load_config(settings(folder))


def test_what_it_writes_is_what_serve_needs(tmp_path: Path) -> None:
    result = init(plan="growth")

    assert result.exit_code == 0, result.output
    made = config(tmp_path)
    (source,) = made.sources.values()
    (app_made,) = made.apps.values()
    assert (app_made.app_id, app_made.plan, app_made.platforms) == (
        APP_ID,
        "growth",
        ("android", "web"),
    )
    assert app_made.api_keys[0].get_secret_value() == KEY
    assert source.name == "default"
    mappings, findings = load_mappings(made)
    assert findings == []
    assert not any(rule.sends for rule in mappings["default"].rules)
    assert "checked: 0 errors, 0 warnings, 2 examples, 0 failed" in result.output
    assert result.output.endswith("Nothing was sent.\n")


def test_secrets_are_long_and_never_twice_the_same(tmp_path: Path) -> None:
    made = []
    for name in ("a", "b"):
        assert init(folder=name).exit_code == 0
        made.append(settings(tmp_path / name))

    for name in ("BRIDGE_SEGMENT_SECRETS", "BRIDGE_SEGMENT_TOKEN", "BRIDGE_ADMIN_TOKEN"):
        first, second = (one[name] for one in made)
        assert len(first) >= 40
        assert first != second


@pytest.mark.parametrize("sources", ["default", "backend,web:client,space:engage"])
def test_only_the_owner_reads_what_is_written(tmp_path: Path, sources: str) -> None:
    init("--source", sources, folder="made")

    files = [path for path in (tmp_path / "made").rglob("*") if path.is_file()]
    assert len(files) >= 2
    assert {stat.S_IMODE(path.stat().st_mode) for path in files} == {0o600}


def test_nothing_that_is_there_is_overwritten(tmp_path: Path) -> None:
    (tmp_path / "mapping.yaml").write_text("mine")

    result = init()

    assert result.exit_code == 1
    assert str(result.exception) == "there already: mapping.yaml"
    assert (tmp_path / "mapping.yaml").read_text() == "mine"
    assert not (tmp_path / "bridge.env").exists()


def test_force_overwrites_and_takes_the_rights_of_others_away(tmp_path: Path) -> None:
    (tmp_path / "bridge.env").write_text("old")
    (tmp_path / "bridge.env").chmod(0o644)

    assert init("--force").exit_code == 0
    assert stat.S_IMODE((tmp_path / "bridge.env").stat().st_mode) == 0o600
    assert settings(tmp_path)["BRIDGE_ONESIGNAL_APP_ID"] == APP_ID


@pytest.mark.parametrize(
    ("iphones", "policy", "platforms"),
    [
        ("segment", "all but ios", ("android", "web")),
        ("nobody", "all but ios", ("android", "web")),
        ("onesignal", "all platforms", ("android", "ios", "web")),
    ],
)
def test_who_pushes_iphones_decides_the_platforms_of_the_mapping(
    tmp_path: Path, iphones: str, policy: str, platforms: tuple[str, ...]
) -> None:
    init(iphones=iphones)
    (made,) = config(tmp_path).apps.values()

    assert made.platforms == platforms
    first = uncommented(tmp_path / "mapping.yaml")
    mappings, _ = load_mappings(config(tmp_path))
    assert first == ["order-shipped"]
    assert [str(rule.push.policy) for rule in mappings["default"].rules if rule.push] == [policy]


def uncommented(path: Path) -> list[str]:
    """Take the `# ` of the first push away, as the file says; the rules that are new then."""
    text = path.read_text()
    before = {rule["name"] for rule in YAML(typ="safe").load(text)["rules"]}
    path.write_text(re.sub(r"^  # (?=- name|  )", "  ", text, flags=re.MULTILINE))
    after = [rule["name"] for rule in YAML(typ="safe").load(path.read_text())["rules"]]
    return [name for name in after if name not in before]


def test_several_sources_are_a_bridge_yaml(tmp_path: Path) -> None:
    result = init("--source", "backend", "--source", "web:client", "--source", "space:engage")

    assert result.exit_code == 0, result.output
    made = config(tmp_path)
    assert list(made.sources) == ["backend", "web", "space"]
    assert [source.trusted for source in made.sources.values()] == [True, False, True]
    assert all(source.secrets and source.token for source in made.sources.values())
    secrets = {source.secrets[0].get_secret_value() for source in made.sources.values()}
    assert len(secrets) == 3
    mappings, findings = load_mappings(made)
    assert findings == []
    assert [rule.name for rule in mappings["space"].rules] == ["audience-tags", "computed-traits"]
    assert [rule.name for rule in mappings["web"].rules] == ["profile"]


def test_the_first_push_of_an_engage_mapping_is_right_when_it_is_taken(tmp_path: Path) -> None:
    init("--source", "space:engage", "--source", "backend")

    assert uncommented(tmp_path / "mappings" / "space.yaml") == ["vip-welcome"]
    load_mappings(config(tmp_path))


@pytest.mark.parametrize("source", ["default", "default:engage", "backend", "default:client"])
def test_each_kind_of_a_single_source_is_served(tmp_path: Path, source: str) -> None:
    result = init("--source", source)

    assert result.exit_code == 0, result.output
    assert list(config(tmp_path).sources) == [source.partition(":")[0]]


@pytest.mark.parametrize("iphones", ["segment", "onesignal"])
@pytest.mark.parametrize("name", [name for name in presets() if name != "starter"])
def test_a_shipped_mapping_is_taken_by_its_name_and_rehearses(
    tmp_path: Path, name: str, iphones: str
) -> None:
    result = init("--source", f"default:{name}", iphones=iphones)

    assert result.exit_code == 0, result.output
    assert ", 0 failed" in result.output
    assert settings(tmp_path)["BRIDGE_DRY_RUN"] == "yes"
    assert "take the line BRIDGE_DRY_RUN=yes out of bridge.env" in result.output
    mappings, _ = load_mappings(config(tmp_path))
    pushes = [rule.push for rule in mappings["default"].rules if rule.push]
    assert pushes
    wanted = "all platforms" if iphones == "onesignal" else "all but ios"
    if name in {"median-app", "legacy-player-model"}:
        wanted = "all but ios, by registered devices"
    assert {str(push.policy) for push in pushes} == {wanted}


@pytest.mark.parametrize("source", ["default:starter", "default:client:starter", "default:engage"])
def test_what_pushes_nobody_does_not_rehearse(tmp_path: Path, source: str) -> None:
    assert init("--source", source).exit_code == 0
    assert "BRIDGE_DRY_RUN" not in settings(tmp_path)


@pytest.mark.parametrize(
    ("source", "why"),
    [
        ("shop:ecomerce", "it is one of server, client, engage, anonymous-visitors, b2b-saas"),
        ("shop:client:engage", "a source is of one kind"),
        ("shop:ecommerce:starter", "has one mapping"),
        ("app:client:mobile-lifecycle", "Write app:mobile-lifecycle if you accept that"),
    ],
)
def test_what_a_source_cannot_be_is_said(source: str, why: str) -> None:
    result = init("--source", source)

    assert result.exit_code == 2
    assert why in " ".join(re.sub(r"[│|]", " ", result.output).split())


def test_check_and_test_pass_in_the_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    init("--source", "backend", "--source", "space:engage")
    for name, value in settings(tmp_path).items():
        monkeypatch.setenv(name, value)

    for command in ("check", "test"):
        result = CliRunner().invoke(app, [command])
        assert result.exit_code == 0, result.output


# --- what is printed -------------------------------------------------------------------------------


def test_the_values_for_segment_are_those_that_were_written(tmp_path: Path) -> None:
    result = init("--source", "backend", "--source", "space:engage")

    made = config(tmp_path)
    for source in made.sources.values():
        assert source.token is not None
        assert f"https://bridge.shop.example/v1/segment/{source.name}\n" in result.output
        assert f"Shared Secret   {source.secrets[0].get_secret_value()}\n" in result.output
        assert f"X-Bridge-Token: {source.token.get_secret_value()}\n" in result.output
    assert "Data                    $." in result.output
    assert "Batch size              1000" in result.output


def test_the_key_of_onesignal_is_not_printed(tmp_path: Path) -> None:
    assert KEY not in init().output


def test_the_command_that_starts_it_is_printed(tmp_path: Path) -> None:
    here, there = init().output, init(folder="made").output

    assert "  set -a; . ./bridge.env; set +a\n" in here
    assert "  cd made\n" not in here
    assert "  cd made\n" in there


# --- questions -------------------------------------------------------------------------------------


def test_it_asks_until_the_answer_is_one(tmp_path: Path) -> None:
    result = asked(
        "bridge.shop.example",
        "http://bridge.shop.example",
        "https://bridge.shop.example/",
        "my-app",
        APP_ID,
        "two words",
        KEY,
        "gold",
        "growth",
        "me",
        "segment",
        "a/b",
        "backend, backend",
        "",
    )

    assert result.exit_code == 0, result.output
    for wrong in (
        "write it as https://bridge.shop.example",
        "it begins with https://, with a certificate that is not self-signed",
        "an app id is 8-4-4-4-12 hexadecimal digits",
        "an app API key is one word",
        "gold: it is one of free, growth, professional, enterprise, unknown",
        "me: it is one of segment, onesignal, nobody",
        "a/b: a name is letters, digits",
        "two sources have the same name",
    ):
        assert wrong in result.output
    assert KEY not in result.output
    assert "[default]" in result.output
    assert config(tmp_path).apps["default"].plan == "growth"


def test_what_is_given_is_not_asked(tmp_path: Path) -> None:
    flags = [part for flag in GIVEN.items() for part in flag]

    result = CliRunner().invoke(app, ["init", *flags], input="free\n\n")

    assert result.exit_code == 0, result.output
    assert "1. Where" not in result.output
    assert "3. OneSignal plan" in result.output


def test_whoever_stops_answering_has_nothing_written(tmp_path: Path) -> None:
    result = asked("https://bridge.shop.example")

    assert result.exit_code == 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("missing", ["--url", "--app-id", "--api-key", "--iphones"])
def test_without_questions_what_is_missing_is_exit_code_2(tmp_path: Path, missing: str) -> None:
    result = init(without=missing)

    assert result.exit_code == 2
    assert f"{missing}" in result.output
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("flag", "value"),
    [("url", "ftp://x"), ("app_id", "x"), ("api_key", "x"), ("plan", "x"), ("iphones", "x")],
)
def test_a_wrong_flag_is_exit_code_2(tmp_path: Path, flag: str, value: str) -> None:
    assert init(**{flag: value}).exit_code == 2
    assert list(tmp_path.iterdir()) == []


def test_the_key_comes_from_a_file_or_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "key.txt").write_text(f"{KEY}\n")
    from_file = init("--api-key-file", "key.txt", without="--api-key", folder="file")
    monkeypatch.setenv("BRIDGE_ONESIGNAL_API_KEY", KEY)
    from_environment = init(without="--api-key", folder="environment")

    for result, name in ((from_file, "file"), (from_environment, "environment")):
        assert result.exit_code == 0, result.output
        assert settings(tmp_path / name)["BRIDGE_ONESIGNAL_API_KEY"] == KEY


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("https://a.example", "https://a.example"),
        (" https://a.example/hooks/ ", "https://a.example/hooks"),
        ("http://localhost:8080", "http://localhost:8080"),
        ("http://a.example", None),
        ("https://a.example?x=1", None),
        ("https://user@a.example", None),
        ("https://[", None),
        ("", None),
    ],
)
def test_what_is_a_public_address(text: str, url: Any) -> None:
    if url is None:
        with pytest.raises(ValueError, match="https://"):
            reading.public_url(text)
    else:
        assert reading.public_url(text) == url
