"""The reference of the mapping language says what the declarations say, and is in the file."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from bridge.mapping.mistakes import declared
from bridge.mapping.reference import BEGIN, END, reference, with_reference

FILE = Path(__file__).parents[2] / "mappings" / "README.md"


def test_the_file_says_what_the_declarations_say() -> None:
    text = FILE.read_text(encoding="utf-8")

    assert text == with_reference(text), "python -m bridge.mapping.reference mappings/README.md"


def test_every_field_has_a_row_with_a_value_and_a_meaning() -> None:
    rows = re.findall(r"^\| `([^`]+)` \| (.*) \| (.*) \|$", reference(), re.MULTILINE)

    assert {name for name, _, _ in rows} == {
        name for model in declared() for name in model.model_fields
    }
    assert all(value and meaning for _, value, meaning in rows)


def test_every_declaration_has_a_section_where_it_is_first_used() -> None:
    titles = re.findall(r"^### (.*)$", reference(), re.MULTILINE)

    assert len(titles) == len(set(titles)) == len(declared())
    assert titles[0] == "The file"
    assert {"`rules`", "`rules.do.send_notification`", "`push.cap`", "`examples.events`"} < set(
        titles
    )


@pytest.mark.parametrize(
    "row",
    [
        "| `max_age` | duration; `4h` if left out | ",
        "| `when` | text; needed | ",
        "| `platforms` | `all` or `{only: […]}` or `{exclude: […]}` | ",
        "| `limit` | object or `off` | ",
        "| `tags` | names with texts or literals | ",
    ],
)
def test_a_value_is_said_in_a_few_words(row: str) -> None:
    assert row in reference()


def test_what_is_around_the_marks_stays() -> None:
    text = with_reference(f"before\n{BEGIN}\nold\n{END}\nafter\n")

    assert text.startswith(f"before\n{BEGIN}\n\n### The file")
    assert text.endswith(f"\n{END}\nafter\n")
    assert "old" not in text.splitlines()
    assert with_reference(text) == text


def test_a_file_without_the_marks_is_left_alone() -> None:
    with pytest.raises(ValueError, match="reference"):
        with_reference("nothing here")


@pytest.mark.slow
def test_the_command_in_the_mark_rewrites_the_file(tmp_path: Path) -> None:
    file = tmp_path / "README.md"
    file.write_text(f"{BEGIN}\n{END}\n", encoding="utf-8")

    run = subprocess.run(
        [sys.executable, "-m", "bridge.mapping.reference", str(file)],
        capture_output=True,
        check=False,
    )

    assert (run.returncode, run.stderr) == (0, b"")
    assert "### `rules.do.update_user`" in file.read_text(encoding="utf-8")
