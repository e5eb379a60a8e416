"""docs/security.md says what is so: its settings and links are there, and its bounds are those of the code."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from bridge.cli import connections
from bridge.config.access import LEAST_TOKEN, ROLES
from bridge.console import api, importing
from bridge.console.views import trying
from bridge.console.web import door, overview, sessions, visit
from bridge.journal import sqlite_file
from bridge.mapping import fql, fql_glob, liquid_filters, tree
from bridge.receive import webhook
from bridge.settings import Settings

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "security.md"
TEXT = PAGE.read_text()


def test_every_setting_on_it_is_one() -> None:
    named = set(re.findall(r"BRIDGE_([A-Z_]+[A-Z])", TEXT)) - {"URL", "DEVICES"}
    assert len(named) > 10
    assert {name.lower() for name in named} <= Settings.model_fields.keys()


def test_every_role_is_told() -> None:
    assert re.findall(r"^\| `(\w+)` \| [a-z]", TEXT, re.MULTILINE)[: len(ROLES)] == list(ROLES)


@pytest.mark.parametrize("link", re.findall(r"\]\(([^)]+)\)", TEXT))
def test_every_link_on_it_leads_somewhere(link: str) -> None:
    file, _, section = link.partition("#")
    target = (PAGE.parent / file).resolve()
    headings = re.findall(r"^#+ (.+)$", target.read_text(), re.MULTILINE)
    kept = [re.sub(r"[^a-z0-9 -]", "", one.lower()).replace(" ", "-") for one in headings]
    assert section in {"", *kept}


@pytest.mark.parametrize(
    ("words", "figures", "true"),
    [
        ("connections | {}, of which", ["10,000"], connections.MOST),
        ("{} s for a head, {} s more for a body to begin", ["30", "30"], connections.HEAD_SECONDS),
        ("{} s for it to end", ["60"], connections.BODY_SECONDS),
        ("unpacked, {} events", ["10,000"], webhook.MAX_ELEMENTS),
        ("{} values in a file", ["200,000"], tree.MOST_VALUES),
        ("{} brackets deep", ["50"], tree.MOST_BRACKETS),
        ("templates of {} rounds", ["10,000"], liquid_filters.MAX_ITEMS),
        ("rounds and {} characters", ["100,000"], liquid_filters.MAX_INTERMEDIATE),
        ("tokens of people have {} characters", ["16"], LEAST_TOKEN),
        ("{} at once for all", ["25"], overview.STREAMS),
    ],
)
def test_its_bounds_are_those_of_the_code(words: str, figures: list[str], true: float) -> None:
    assert words.format(*figures) in TEXT.replace("\n", " ")
    assert {float(one.replace(",", "")) for one in figures} == {true}


def test_its_sizes_and_times_are_those_of_the_code() -> None:
    assert "64 kB of head" in TEXT
    assert connections.HEAD_BYTES == 64 * 1024
    assert (
        "16 kB for signing in, 1 MB for forms and acts, 8 MB for imports, 4 kB of address" in TEXT
    )
    assert door.LONGEST_SIGN_IN == 16 * 1024
    assert visit.LONGEST_FORM == api.LONGEST_BODY == 1_000_000
    assert importing.MOST_BYTES == 8_000_000
    assert visit.LONGEST_QUERY == 4_000
    assert "256 kB" in TEXT
    assert trying.LONGEST_DRAFT == 256 * 1024
    assert "patterns of 5 kB" in TEXT
    assert fql.LONGEST == fql_glob.LONGEST == 5 * 1024
    assert "| lasts | 12 hours" in TEXT
    assert sessions.LASTS_SECONDS == 12 * 3600
    assert "ends after 5 minutes" in TEXT
    assert overview.LASTS_SECONDS == 300
    assert "mode 0600" in TEXT
    assert sqlite_file.ITS_OWNERS == 0o600
