"""docs/user-model.md says what is so: its settings, codes, skips and links are there, and its table is right."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from bridge.explain.words import SKIPS
from bridge.mapping import document
from bridge.mapping.codes import codes
from bridge.mapping.load import presets
from bridge.settings import Settings
from tests.harness import mapping_of

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "user-model.md"
TEXT = PAGE.read_text()
NAMED = set(re.findall(r"`([^`\n]+)`", TEXT))


def test_every_setting_on_it_is_one() -> None:
    named = {name.lower() for name in re.findall(r"BRIDGE_([A-Z_]+)", TEXT)}

    assert named
    assert named <= Settings.model_fields.keys()


def test_every_code_and_skip_on_it_is_one() -> None:
    kebab = {name for name in NAMED if re.fullmatch(r"legacy(-[a-z]+)+", name)}
    snake = {"legacy_api", "unknown_user", "no_devices", "only_ios"}

    assert kebab - set(presets()) <= codes().keys()
    assert kebab & codes().keys()
    assert snake <= NAMED
    assert snake <= SKIPS.keys()


def test_every_operation_is_in_its_table() -> None:
    table = TEXT[TEXT.index("| | legacy API") : TEXT.index("`segment-bridge check` names")]
    done = {"update_user", "send_notification"}

    for operation in document.Do.model_fields.keys() - done:
        assert f"`{operation}`" in table, operation


@pytest.mark.parametrize("link", re.findall(r"\]\(([^)]+)\)", TEXT))
def test_every_link_on_it_leads_somewhere(link: str) -> None:
    file, _, section = link.partition("#")
    target = (PAGE.parent / file).resolve()

    assert target.exists()
    headings = re.findall(r"^#+ (.+)$", target.read_text(), re.MULTILINE)
    assert section in {
        "",
        *(re.sub(r"[^a-z0-9 -]", "", one.lower()).replace(" ", "-") for one in headings),
    }


def test_the_readme_leads_to_it() -> None:
    assert "docs/user-model.md" in (ROOT / "README.md").read_text()


def test_the_mapping_on_it_is_one() -> None:
    (written,) = re.findall(r"^```yaml\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)
    mapping_of(f"version: 1\n{written}")
