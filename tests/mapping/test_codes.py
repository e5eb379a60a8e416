"""Every code that is said is explained, and every explanation is of a code that is said."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from bridge.mapping import codes as registry
from bridge.mapping.codes import Code, codes, nearest_code

ROOT = Path(registry.__file__).parents[1]
SAYERS = ("mapping", "config", "cli", "environment.py", "errors.py")
"""Where findings are made; other parts of the bridge answer HTTP, with codes of its own."""
MAKERS = {
    "Finding", "Problem", "ExpressionError", "WithheldTagError", "Mismatch", "Trap", "ConfigurationError",
    "warn", "_warning", "refusal", "report",
}  # fmt: skip
KEBAB = re.compile(r"[a-z]+(?:-[a-z]+)+")


def sources() -> Iterator[Path]:
    for name in SAYERS:
        yield from [ROOT / name] if name.endswith(".py") else sorted((ROOT / name).rglob("*.py"))


def constants(*nodes: ast.expr) -> Iterator[str]:
    """The codes that an argument is: itself, or one of two."""
    for node in nodes:
        if isinstance(node, ast.IfExp):
            yield from constants(node.body, node.orelse)
        elif isinstance(node, ast.Constant) and KEBAB.fullmatch(str(node.value)):
            yield str(node.value)


def said_in(tree: ast.AST) -> Iterator[str]:
    kinds = {id(node.slice) for node in ast.walk(tree) if isinstance(node, ast.Subscript)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            yield from constants(*arguments(node))
        elif isinstance(node, ast.Tuple) and len(node.elts) >= 3 and id(node) not in kinds:
            yield from constants(*node.elts[:2])
        elif isinstance(node, ast.ClassDef):
            lines = [line for line in node.body if isinstance(line, ast.Assign)]
            yield from constants(*(x.value for x in lines if ast.unparse(x.targets[0]) == "code"))


def arguments(call: ast.Call) -> list[ast.expr]:
    """Where a call that makes a finding may have the code."""
    if getattr(call.func, "id", getattr(call.func, "attr", "")) not in MAKERS:
        return []
    return [*call.args[:2], *(word.value for word in call.keywords if word.arg == "code")]


def said() -> set[str]:
    return {code for path in sources() for code in said_in(ast.parse(path.read_text()))}


def test_the_walk_finds_codes_in_every_way_they_are_written() -> None:
    text = (
        "Problem((), 'a-one', 'm')\nFinding(code='b-two' if x else 'b-three', message='')\n"
        "def f(): return 'c-four', message, hint\nclass E(B):\n    code = 'd-five'\n"
        "x: Literal['no-code', 'nor-this', 'nor-that']\nother('no-code', 1)\n"
    )

    assert set(said_in(ast.parse(text))) == {"a-one", "b-two", "b-three", "c-four", "d-five"}


def test_every_code_that_is_said_is_explained() -> None:
    assert said() - codes().keys() == set()


def test_every_code_that_is_explained_is_said() -> None:
    assert codes().keys() - said() == set()


def test_every_section_is_read() -> None:
    text = (Path(registry.__file__).parent / "codes.md").read_text(encoding="utf-8")

    assert re.findall(r"^## (.*)$", text, re.MULTILINE) == list(codes())


@pytest.mark.parametrize("code", codes().values(), ids=lambda code: code.code)
def test_an_explanation_is_whole(code: Code) -> None:
    assert not code.title.endswith(".")
    assert code.meaning.endswith(".")
    assert code.before != code.after
    assert "→" not in code.after
    assert all(len(line) <= 120 for line in str(code).splitlines())


def test_a_misspelt_code_has_a_nearest() -> None:
    assert nearest_code("unknown-feild") == "unknown-field"
    assert nearest_code("xyzzy") is None
