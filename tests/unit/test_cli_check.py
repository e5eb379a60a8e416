"""`check`: everything wrong at once, as text or JSON, and an exit code for scripts."""

from __future__ import annotations

from pathlib import Path

import orjson
import pytest
from typer.testing import CliRunner, Result

from bridge import __version__
from bridge.cli import app
from bridge.mapping.load import starter

GOOD = "version: 1\n"
WARNS = 'version: 1\npush: {links: ["https://a.example"]}\n'
BAD = "version: 1\nrulez: []\nidentity: {unknown: perhaps}\n"
SETTINGS = {
    "BRIDGE_ONESIGNAL_APP_ID": "8a1b3c4d-0000-4000-8000-000000000001",
    "BRIDGE_ONESIGNAL_API_KEY": "os_v2_app_test",
    "BRIDGE_SEGMENT_SECRETS": "abc123",
    "BRIDGE_SEGMENT_TOKEN": "token",
}


@pytest.fixture(autouse=True)
def _only_these_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    import os

    for name in [name for name in os.environ if name.startswith("BRIDGE_")]:
        monkeypatch.delenv(name)


def check(*arguments: object, env: dict[str, str] | None = None) -> Result:
    return CliRunner().invoke(app, ["check", *map(str, arguments)], env=env)


@pytest.fixture
def files(tmp_path: Path) -> dict[str, Path]:
    made = {}
    for name, text in (("good", GOOD), ("warns", WARNS), ("bad", BAD)):
        made[name] = tmp_path / f"{name}.yaml"
        made[name].write_text(text)
    return made


def test_nothing_wrong(files: dict[str, Path]) -> None:
    result = check(files["good"])

    assert result.exit_code == 0
    assert result.output == "0 errors, 0 warnings. Nothing was sent.\n"


def test_a_shipped_mapping_is_named_by_its_name() -> None:
    assert check("ecommerce").output == "0 errors, 0 warnings. Nothing was sent.\n"


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("ecomerce", "did you mean ecommerce?"),
        (
            "xyzzy",
            "shipped are anonymous-visitors, b2b-saas, ecommerce, engage-audiences, legacy-player-model, median-app, mobile-lifecycle, segment-push-tokens, starter",
        ),
        ("shop.yaml", "BRIDGE_MAPPINGS names a file or a folder of .yaml files"),
    ],
)
def test_a_mapping_that_there_is_not_says_what_there_is(name: str, hint: str) -> None:
    result = check(name)

    assert result.exit_code == 1
    assert f"hint: {hint}\n" in result.output


def test_everything_wrong_with_its_place_and_a_hint(files: dict[str, Path]) -> None:
    result = check(files["bad"])

    assert result.exit_code == 1
    assert result.output == (
        "error[unknown-field]: `rulez` is not a field\n"
        f"  --> {files['bad']}:2:1\n"
        "   |\n"
        " 2 | rulez: []\n"
        "   | ^\n"
        "  hint: did you mean `rules`?\n"
        "\n"
        "error[field-invalid]: `identity.unknown`: has to be 'create' or 'skip'\n"
        f"  --> {files['bad']}:3:12\n"
        "   |\n"
        " 3 | identity: {unknown: perhaps}\n"
        "   |            ^\n"
        "\n"
        "2 errors, 0 warnings. Nothing was sent. "
        "What a code means: segment-bridge check --explain unknown-field\n"
    )


def test_warnings_alone_are_exit_code_0(files: dict[str, Path]) -> None:
    result = check(files["warns"])

    assert result.exit_code == 0
    assert "warning[link-host-open]" in result.output
    assert "\n0 errors, 1 warnings. Nothing was sent. " in result.output


def test_several_files_are_checked_each_for_itself(files: dict[str, Path]) -> None:
    result = check(files["good"], files["warns"], files["bad"])

    assert result.exit_code == 1
    assert "\n2 errors, 1 warnings. Nothing was sent. " in result.output


def test_a_folder_is_checked_as_one_mapping(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / f"{name}.yaml").write_text("version: 1\npush: {platforms: all}\n")

    result = check(tmp_path)

    assert result.exit_code == 1
    assert "error[section-twice]" in result.output


def test_json_is_one_object_for_each_finding_and_nothing_else(files: dict[str, Path]) -> None:
    result = check("--json", files["bad"], files["warns"])

    assert result.exit_code == 1
    found = [orjson.loads(line) for line in result.output.splitlines()]
    assert [(one["level"], one["code"], one["line"], one["column"]) for one in found] == [
        ("error", "unknown-field", 2, 1),
        ("error", "field-invalid", 3, 12),
        ("warning", "link-host-open", 2, 16),
    ]
    assert found[0].keys() == {"code", "message", "level", "file", "line", "column", "hint"}


def test_json_of_nothing_wrong_is_nothing(files: dict[str, Path]) -> None:
    result = check("--json", files["good"])

    assert (result.exit_code, result.output) == (0, "")


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    result = check(tmp_path / "absent.yaml")

    assert result.exit_code == 1
    assert "error[mapping-unreadable]" in result.output


def test_a_wrong_option_is_exit_code_2() -> None:
    assert check("--nonsense").exit_code == 2


def test_the_platforms_of_the_environment_decide_whether_anyone_is_left(tmp_path: Path) -> None:
    file = tmp_path / "only.yaml"
    file.write_text(
        "version: 1\npush: {platforms: {only: [huawei]}}\n"
        'rules: [{name: r, when: "true", do: {send_notification: {contents: Hi}}}]\n'
    )

    assert "error[no-platform-left]" in check(file).output
    assert check(file, env={"BRIDGE_ONESIGNAL_PLATFORMS": "android,huawei"}).exit_code == 0


# --- without a path: the settings too ---------------------------------------------------------------


def test_settings_and_mapping_that_are_right() -> None:
    result = check(env=SETTINGS)

    assert result.exit_code == 0
    assert result.output == "0 errors, 0 warnings. Nothing was sent.\n"


def test_settings_that_are_missing_are_all_said() -> None:
    result = check()

    assert result.exit_code == 1
    for said in ("BRIDGE_ONESIGNAL_APP_ID", "BRIDGE_ONESIGNAL_API_KEY", "error[sender-unproven]"):
        assert said in result.output


def test_settings_that_lie_here_unread_are_pointed_at(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "bridge.env").write_text("BRIDGE_CONFIG=bridge.yaml\n")

    assert check().output.endswith(
        "note: bridge.env in this folder was not read: set -a; . ./bridge.env; set +a\n"
    )
    assert "note: " not in check(env=SETTINGS).output


def test_a_config_that_is_not_there_says_where_it_was_looked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    assert f"{tmp_path}/bridge.yaml" in check(env={"BRIDGE_CONFIG": "bridge.yaml"}).output


def test_the_version_is_said() -> None:
    result = CliRunner().invoke(app, ["--version"])

    assert result.output == f"segment-bridge {__version__}\n"


def test_warnings_of_the_settings_and_of_the_mapping_come_together(files: dict[str, Path]) -> None:
    settings = SETTINGS | {"BRIDGE_MAPPINGS": str(files["warns"])}
    del settings["BRIDGE_SEGMENT_TOKEN"]

    result = check(env=settings)

    assert result.exit_code == 0
    assert "warning[batch-half-signed]" in result.output
    assert "warning[link-host-open]" in result.output
    assert "\n0 errors, 2 warnings. Nothing was sent. " in result.output


def test_a_mapping_that_the_settings_name_is_checked(files: dict[str, Path]) -> None:
    result = check(env=SETTINGS | {"BRIDGE_MAPPINGS": str(files["bad"])})

    assert result.exit_code == 1
    assert f"{files['bad']}:2:1" in result.output


def test_the_key_is_never_said() -> None:
    result = check(env=SETTINGS | {"BRIDGE_ONESIGNAL_URL": "ftp://x"})

    assert result.exit_code == 1
    assert "os_v2_app_test" not in result.output
    assert "abc123" not in result.output


def test_help_shows_an_example_and_the_starter_passes() -> None:
    assert "segment-bridge check mappings/shop.yaml" in check("--help").output
    assert check(starter()).exit_code == 0


def test_a_mapping_is_checked_for_the_plan_and_the_source_that_it_is_for(tmp_path: Path) -> None:
    file = tmp_path / "shop.yaml"
    file.write_text(
        'version: 1\nrules:\n  - name: r\n    when: source = "backend"\n'
        "    do: {update_user: {tags: {a: 1, b: 2, c: 3}}}\n"
    )
    env = {"BRIDGE_ONESIGNAL_PLAN": "free"}

    assert "warning[tags-above-cap]" in check(file, env=env).output
    assert "warning[" not in check(file).output
    together = check(env=SETTINGS | env | {"BRIDGE_MAPPINGS": str(file)})
    assert together.exit_code == 0
    assert "warning[tags-above-cap]" in together.output
    assert 'warning[unknown-source]: there is no source "backend"' in together.output


def test_the_caret_stands_under_the_place_though_a_tab_is_before_it(tmp_path: Path) -> None:
    file = tmp_path / "tab.yaml"
    file.write_text("version: 1\npush: {links: [x://,\t'http://a.example/']}\n")

    said = check(file).output

    shown, caret = (line for line in said.splitlines() if " | " in line)
    assert shown.endswith("'http://a.example/']}")
    assert caret.index("^") == shown.index("'http")
    assert caret[: caret.index("^")].count("\t") == 1


# --- what a code means ------------------------------------------------------------------------------


def test_a_code_is_explained_with_what_it_means_and_an_example() -> None:
    result = check("--explain", "platforms-undecided")

    assert result.exit_code == 0
    assert result.output.startswith("platforms-undecided: A push, and nobody said")
    assert "before:\n    version: 1\n" in result.output
    assert "after:\n    version: 1\n    push: {platforms: {exclude: [ios]}}\n" in result.output


def test_without_a_code_all_are_listed() -> None:
    result = check("--explain")

    assert result.exit_code == 0
    assert len(result.output.splitlines()) > 60
    assert any(line.startswith("unknown-field ") for line in result.output.splitlines())


@pytest.mark.parametrize(
    ("code", "remedy"),
    [("unknown-feild", "did you mean unknown-field?"), ("xyzzy", "--explain lists all")],
)
def test_a_code_that_there_is_not_is_a_wrong_command(code: str, remedy: str) -> None:
    result = check("--explain", code)

    assert result.exit_code == 2
    assert remedy in result.stderr


# --- several sources and apps -----------------------------------------------------------------------


def test_each_mapping_is_checked_for_the_sources_and_the_app_that_it_is_for(tmp_path: Path) -> None:
    rule = "{name: r, when: %s, do: {send_notification: {contents: Hi}}}"
    for name, when in (("shop", 'source = "web"'), ("site", 'event = "X"')):
        text = f"version: 1\npush: {{platforms: all}}\nrules:\n  - {rule % when}\n"
        (tmp_path / f"{name}.yaml").write_text(text)
    config = tmp_path / "bridge.yaml"
    config.write_text(
        "apps:\n"
        "  one: {app_id: 8a1b3c4d-0000-4000-8000-000000000001, api_key: k}\n"
        "sources:\n"
        "  backend: {secrets: s, token: t, app: one, mappings: shop.yaml}\n"
        "  web: {secrets: s2, token: t2, app: one, mappings: site.yaml, trust: client}\n"
    )

    result = check("--json", env={"BRIDGE_CONFIG": str(config)})

    found = [orjson.loads(line) for line in result.output.splitlines()]
    said = {(one["code"], Path(one["file"] or "").name) for one in found}
    assert result.exit_code == 0
    assert ("unknown-source", "shop.yaml") in said, "web is not a source of this mapping"
    assert ("client-never-sends", "site.yaml") in said
    assert ("client-never-sends", "shop.yaml") not in said
