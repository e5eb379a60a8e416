"""README says what is so: its commands, its settings, its mapping, what the demo prints."""

from __future__ import annotations

import re
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest
from typer.main import get_command
from typer.testing import CliRunner

from bridge.cli import app
from bridge.cli.demonstration.table import DEVICES
from bridge.config.document import AppEntry, SourceEntry
from bridge.config.load import load_config
from bridge.environment import SECRETS
from bridge.settings import Settings
from tests.docs.test_names import commands
from tests.harness import mapping_of

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
HEAVY = ("httpx", "starlette", "uvicorn", "lark", "liquid", "pydantic", "rich", "sqlite3")


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)


def test_it_opens_with_the_demo_and_the_tests() -> None:
    demo, tests = blocks("sh")[0].splitlines()

    assert demo.endswith("segment-bridge demo")
    assert tests.endswith("-m pytest")
    assert README.index(demo) < 400


def test_every_setting_is_in_the_table_and_nothing_else() -> None:
    table = README[README.index("### Settings") : README.index("### Answers to Segment")]
    named = set(re.findall(r"`BRIDGE_([A-Z_]+)`", table))

    assert named == {name.upper() for name in Settings.model_fields}


def test_every_secret_setting_exists() -> None:
    assert {name.lower() for name in SECRETS} <= set(Settings.model_fields)


def test_every_default_in_the_table_is_the_default() -> None:
    rows = re.findall(r"^\| `BRIDGE_([A-Z_]+)` \| `([^`]+)` \|", README, re.MULTILINE)
    assert len(rows) >= 8

    for name, written in rows:
        default = Settings.model_fields[name.lower()].default
        shown = ",".join(default) if isinstance(default, tuple) else f"{default}"
        if isinstance(default, timedelta):
            shown = f"{default.days}d" if default else "0"
        assert shown.removesuffix(".0") == written, name


def test_the_mapping_in_it_has_no_findings_and_is_what_it_says() -> None:
    mapping = mapping_of(blocks("yaml")[0])

    assert [rule.name for rule in mapping.rules] == ["profile", "audience-tags", "order-shipped"]


def test_the_bridge_yaml_in_it_is_one(tmp_path: Path) -> None:
    file = tmp_path / "bridge.yaml"
    file.write_text(blocks("yaml")[1])
    (tmp_path / "secrets").mkdir()
    for name in ("shop", "club", "backend", "token", "web", "warehouse"):
        (tmp_path / "secrets" / name).write_text("secret")
    config = load_config({"BRIDGE_CONFIG": str(file)})

    assert {source.name: source.app for source in config.sources.values()} == {
        "backend": "shop",
        "web": "club",
        "warehouse": "shop",
    }


def test_every_field_of_the_bridge_yaml_is_named() -> None:
    section = README[README.index("### Several sources") : README.index("### Health, metrics")]

    for field in (*AppEntry.model_fields, *SourceEntry.model_fields):
        assert field == "api" or f"`{field}`" in section, field


def test_every_command_is_in_the_table_and_nothing_else() -> None:
    table = README[README.index("## Commands") : README.index("## How it works")]
    named = set(re.findall(r"^\| `segment-bridge ([a-z]+)", table, re.MULTILINE))

    assert named == set(get_command(app).commands)  # type: ignore[attr-defined]  # a group, as the table has several


@pytest.mark.parametrize(
    "command", [name for name, one in commands().items() if not hasattr(one, "commands")]
)
def test_help_of_a_command_shows_an_example(command: str) -> None:
    result = CliRunner().invoke(app, [*command.split(), "--help"])

    assert result.exit_code == 0
    assert f"segment-bridge {command}" in result.output[result.output.index("Example:") :]


@pytest.mark.slow
def test_help_loads_nothing_heavy() -> None:
    script = (
        "import sys\nsys.argv = ['segment-bridge', '--help']\nfrom bridge.cli import main\n"
        "try:\n    main()\nexcept SystemExit:\n    pass\n"
        f"print([name for name in {HEAVY!r} if name in sys.modules], file=sys.stderr)"
    )
    result = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=ROOT
    )

    assert "Usage: segment-bridge" in result.stdout
    assert result.stderr.strip() == "[]"


@pytest.mark.slow
def test_the_demo_prints_the_table_in_the_readme_and_ends_well() -> None:
    result = subprocess.run(
        [sys.executable, "-m", "bridge", "demo"],
        capture_output=True,
        check=False,
        text=True,
        cwd=ROOT,
        timeout=60,
    )
    shown = next(block for block in blocks("text") if "Who received what" in block)

    assert result.returncode == 0, result.stdout + result.stderr
    printed = [line.rstrip() for line in result.stdout.splitlines()]
    assert [line for line in shown.splitlines() if line not in printed] == []
    assert all(name in shown for name in DEVICES.values())


def test_the_lock_file_has_versions_and_hashes_and_no_address() -> None:
    lock = (ROOT / "requirements.lock").read_text()
    pinned = re.findall(r"^([a-z0-9._-]+)(?:\[[a-z]+\])?==\S+ \\$", lock, re.MULTILINE)

    assert "://" not in lock
    assert "--index-url" not in lock
    assert "--find-links" not in lock
    assert lock.count("--hash=sha256:") >= len(pinned) > 20


def test_every_dependency_is_in_the_lock_file() -> None:
    project = (ROOT / "pyproject.toml").read_text()
    runtime = project[project.index("dependencies = [") : project.index("[project.optional")]
    names = re.findall(r'^ +"([a-zA-Z0-9._-]+)', runtime, re.MULTILINE)
    lock = (ROOT / "requirements.lock").read_text()

    missing = [name for name in names if not re.search(rf"^{name}(\[|==)", lock, re.MULTILINE)]
    assert names
    assert not missing
