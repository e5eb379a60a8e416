"""mappings/README.md: every snippet of what is written by hand in it runs, and is as it says.

A block that is named after a file (`yaml shop.yaml`) is that file, until the next of the name; a `console`
block is played in a folder with the files so far, and `…` in it stands for lines that are not shown.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from typer.testing import CliRunner

from bridge.cli import app
from bridge.mapping import document
from bridge.mapping.fql import compile_condition
from bridge.mapping.lint import check_texts
from bridge.mapping.load import Source, presets
from bridge.rehearsal.examples import play
from bridge.rehearsal.expectations import differences
from tests.harness import mapping_of

TEXT = (Path(__file__).parents[2] / "mappings" / "README.md").read_text()
WRITTEN = TEXT[: TEXT.index("## Reference")]


class Block(NamedTuple):
    language: str
    file: str
    text: str


BLOCKS = [
    Block(*found)
    for found in re.findall(r"^```(\w+) ?(\S*)\n(.*?)^```$", WRITTEN, re.MULTILINE | re.DOTALL)
]
MAPPINGS = [block for block in BLOCKS if block.language == "yaml"]
every_mapping = pytest.mark.parametrize(
    "block", MAPPINGS, ids=[str(number) for number in range(1, len(MAPPINGS) + 1)]
)


def a_file(block: Block) -> str:
    """The block as a whole file."""
    return block.text if block.text.startswith("version:") else f"version: 1\n{block.text}"


def test_every_block_is_of_a_kind_that_is_tested() -> None:
    assert {block.language for block in BLOCKS} == {"yaml", "json", "console"}
    assert len(MAPPINGS) >= 8


@every_mapping
def test_every_mapping_in_it_is_right(block: Block) -> None:
    found = check_texts(
        [Source(name="a.yaml", text=a_file(block))], serves=("android", "ios", "web")
    )

    assert {one.code for one in found} <= {"no-examples"}


@every_mapping
def test_every_example_in_it_passes(block: Block) -> None:
    mapping = mapping_of(a_file(block))

    for example in mapping.examples:
        assert differences(example.declared, play(example.declared, mapping)) == []


def test_the_commands_print_what_it_shows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith("BRIDGE_")]:
        monkeypatch.delenv(name)
    played = 0
    for block in BLOCKS:
        if block.file:
            (tmp_path / block.file).write_text(block.text)
        elif block.language == "console":
            for command, shown in _commands(block.text):
                printed = CliRunner().invoke(app, command.split()[1:]).output
                assert re.fullmatch(_pattern(shown), printed), f"{command}\n{printed}"
                played += 1

    assert played == 5


def _commands(text: str) -> Iterator[tuple[str, str]]:
    for part in re.split(r"^\$ ", text, flags=re.MULTILINE)[1:]:
        command, _, shown = part.partition("\n")
        yield command, shown


def _pattern(shown: str) -> str:
    return "".join(
        "(?:.*\n)*" if line == "…" else f"{re.escape(line)}\n" for line in shown.splitlines()
    )


def test_every_shipped_mapping_is_in_the_table_and_nothing_else() -> None:
    assert sorted(re.findall(r"^\| `([a-z0-9-]+)` \|", WRITTEN, re.MULTILINE)) == list(presets())


def test_every_condition_in_the_table_is_one() -> None:
    table = WRITTEN[WRITTEN.index("| condition |") : WRITTEN.index("## Values")]
    conditions = re.findall(r"^\| `([^`]+)` \|", table, re.MULTILINE)

    assert len(conditions) >= 7
    for condition in conditions:
        compile_condition(condition)


def test_every_field_beside_when_and_do_is_in_its_table() -> None:
    section = WRITTEN[WRITTEN.index("## When a rule may act") : WRITTEN.index("### Audiences")]
    elsewhere = {"name", "when", "do", "unchanged", "echo"}

    for field in document.Rule.model_fields.keys() - elsewhere:
        assert f"`{field}:" in section, field
