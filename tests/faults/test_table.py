"""The table in README names a test for every fault, and every test that it names is there."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
REQUIRED = {*range(1, 18), 21, *range(23, 32), *range(33, 36), 38, 39, 40}
_ROW = re.compile(r"^\| (\d+) \| (.+) \| (.+) \| (.+) \|$", re.MULTILINE)
_TEST = re.compile(r"`([\w/]+\.py)::(\w+)`")

pytestmark = pytest.mark.unchecked("it reads README")

ROWS = {int(number): cells for number, *cells in _ROW.findall((HERE / "README.md").read_text())}


def functions(path: Path) -> set[str]:
    tree = ast.parse(path.read_text())
    return {
        node.name for node in tree.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }


def test_every_fault_has_a_row() -> None:
    assert ROWS.keys() == REQUIRED


def test_every_row_names_tests_that_are_there() -> None:
    """By file, beside README or from the root, and function."""
    for number, (_, _, cell) in ROWS.items():
        named = _TEST.findall(cell)
        assert named, f"row {number} names no test"
        for file, function in named:
            path = ROOT / file if "/" in file else HERE / file
            assert path.is_file(), f"row {number}: {file}"
            assert function in functions(path), f"row {number}: {function}"
