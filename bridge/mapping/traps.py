"""Where YAML reads something else than was written: each trap with a name, a place and the way out.

`explain` names the trap behind a parser's error; `refine` the one behind a finding; `traps` finds the
silent ones, in a text that YAML reads without a word. All of them look at the raw text.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final, NamedTuple

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError
from ruamel.yaml.tokens import BlockEndToken, KeyToken, ScalarToken, Token, ValueToken


class Trap(NamedTuple):
    """One place where YAML and its reader differ; line and column from 1."""

    code: str
    message: str
    hint: str
    line: int
    column: int


_ENTRY: Final = re.compile(r"^[ ]*(?:- +)*(?P<key>[A-Za-z_][\w.-]*): +(?P<value>\S.*)$")
_CUT: Final = re.compile(r"[ \t]+#(?P<comment>.*)$")
_BANG: Final = re.compile(r"^[ ]*(?:- +)?when:[ \t]+(?P<value>!.*)$", re.MULTILINE)
_MAYBE_BANG: Final = re.compile(r"when:[ \t]+!")
_TEMPLATE: Final = re.compile(r"{{[^{}\"]+}}")
_LEADING_ZEROS: Final = re.compile(r"[-+]?0[0-9]+")
_NUMBER: Final = re.compile(
    r"[-+]?(?:0x[0-9A-Fa-f]+|0o[0-7]+|[0-9][0-9_]*(?:\.[0-9]*)?(?:[eE][-+]?[0-9]+)?)"
)

_LONGEST_NUMBER: Final = 60


def explain(text: str, error: MarkedYAMLError) -> Trap:
    """What is behind an error of the YAML parser."""
    problem = str(error.problem or error.context or "this is not YAML").splitlines()[0]
    mark = error.problem_mark or error.context_mark
    line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
    if (twice := re.search(r'duplicate key "(.*?)"', problem)) is not None:
        message = f"`{twice[1]}` is here twice"
        return Trap("key-twice", message, "keep one of the two", line, column)
    if "'\\t'" in problem:
        hint = "indent with spaces, not with tabs"
        return Trap("tab-indent", "a tab cannot begin a value or indent it", hint, line, column)
    if "quoted scalar" in str(error.context) and error.context_mark is not None:
        opened = error.context_mark
        message, hint = "the quote that opens here is not closed", "close it, or remove it"
        return Trap("yaml-invalid", message, hint, opened.line + 1, opened.column + 1)
    return _in_line(_line(text, line), line) or Trap(
        "yaml-invalid", problem, _hint(problem), line, column
    )


def _hint(problem: str) -> str:
    if "<block mapping start>" in problem or "mapping values" in problem:
        return "this line begins at another column than its neighbours: line it up with them"
    return 'a text with `: `, ` #`, `{` or a leading quote needs "quotes"'


def _in_line(line: str, number: int) -> Trap | None:
    """The trap in a line that holds one key and its value."""
    found = _ENTRY.match(line)
    if found is None:
        return None
    column = found.start("value") + 1
    if found["value"].startswith(("{{", "{%")):
        return _unquoted(found["value"], number, column)
    said = _first_sign(found["key"], found["value"])
    return None if said is None else Trap(*said, number, column)


def _first_sign(key: str, value: str) -> tuple[str, str, str] | None:
    first = value[0]
    if first == "!":
        return _bang_first(value)
    if first in "\"'":
        return _quote_first(key, value)
    if first in "%@`*&":
        message = f"`{first}` at the beginning of a value is a sign of YAML's own"
        return "text-unquoted", message, f"write {key}: {_quoted(value)}"
    if first not in "[{|>" and re.search(r":(?: |$)", value):
        message = "`: ` in a text makes it the key of another value"
        return "colon-in-text", message, f"write {key}: {_quoted(value)}"
    return None


def unquoted_template(text: str, line: int, column: int) -> Trap:
    """Of the template that begins there, or whose key does."""
    return _unquoted(_line(text, line)[column - 1 :], line, column)


def _unquoted(said: str, line: int, column: int) -> Trap:
    found = _TEMPLATE.search(said)
    return Trap(
        "unquoted-template",
        "`{{ … }}` without quotes is YAML's own syntax, not a template",
        f'write "{found[0] if found else "{{ properties.product }}"}"',
        line,
        column,
    )


def _bang_first(value: str) -> tuple[str, str, str]:
    message = "a value that begins with `!` is a tag to YAML, and its first word is lost"
    return "bang-first", message, f"write it in quotes: {_quoted(value)}"


def _quote_first(key: str, value: str) -> tuple[str, str, str]:
    message = "a value that begins with a quote ends with the next one, and here more follows"
    hint = f"put the whole value in quotes: {key}: {_quoted(value)}"
    return "quote-first", message, hint


def _quoted(value: str) -> str:
    """`value` in the quotes that it holds none of."""
    if "'" not in value:
        return f"'{value}'"
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'


def bangs(text: str) -> Iterator[Trap]:
    """Conditions that begin with `!`: YAML may drop it without a word, and turn the rule around."""
    # The whole pattern over a large file takes as long as reading all of it from what was kept.
    for found in _BANG.finditer(text) if _MAYBE_BANG.search(text) else ():
        line = text.count("\n", 0, found.start("value")) + 1
        column = found.start("value") - text.rfind("\n", 0, found.start("value"))
        yield Trap(*_bang_first(found["value"]), line, column)


def refine(text: str, line: int) -> Trap | None:
    """The trap behind a condition that cannot be read, which begins in this line."""
    found = _ENTRY.match(_line(text, line))
    if found is None or found["value"][0] in "\"'|>":
        return None
    cut = _CUT.search(found["value"])
    if cut is None:
        return None
    column = found.start("value") + cut.start() + len(cut[0]) - len(cut["comment"])
    return _cut_short(found["key"], found["value"], line, column)


def _cut_short(key: str, value: str, line: int, column: int) -> Trap:
    message = "` #` begins a comment: the rest of the line is not read"
    return Trap("text-cut-short", message, f"write {key}: {_quoted(value)}", line, column)


def traps(text: str) -> Iterator[Trap]:
    """What YAML reads without a word and nobody meant, outside of `examples`."""
    lines = text.splitlines()
    for key, token in _plain_values(text):
        mark = token.end_mark
        line = lines[mark.line] if mark.line < len(lines) else ""
        begin = token.start_mark.column if token.start_mark.line == mark.line else 0
        cut = _CUT.match(line, mark.column)
        if cut is not None and _was_meant(str(token.value), cut["comment"]):
            column = mark.column + len(cut[0]) - len(cut["comment"])
            yield _cut_short(key, line[begin:].rstrip(), mark.line + 1, column)
        elif (number := _number(str(token.value))) is not None:
            yield Trap(*number, token.start_mark.line + 1, token.start_mark.column + 1)


def _was_meant(value: str, comment: str) -> bool:
    """Whether what follows `#` is rather the rest of a text than a comment."""
    return value.count('"') % 2 == 1 or (comment[:1].isalnum() and not comment[:1].isspace())


def _number(text: str) -> tuple[str, str, str] | None:
    if len(text) > _LONGEST_NUMBER:
        return None
    if _LEADING_ZEROS.fullmatch(text):
        message = f"{text} without quotes is the number {int(text)}"
        return "leading-zeros", message, f'write "{text}" for the text'
    if not _NUMBER.fullmatch(text) or text.isdigit():
        return None
    value = _value_of(text)
    if str(value) == text:
        return None
    return (
        "number-rewritten",
        f"{text} without quotes is the number {value}",
        f'write "{text}" for the text',
    )


def _value_of(text: str) -> Any:
    digits = text.replace("_", "")
    for prefix, base in (("0x", 16), ("0o", 8)):
        if digits.lstrip("+-").startswith(prefix):
            return int(digits, base)
    return float(digits) if any(sign in digits for sign in ".eE") else int(digits)


def _plain_values(text: str) -> Iterator[tuple[str, ScalarToken]]:
    """Every value without quotes, with the key before it."""
    key, section, is_key = "", "", False
    for token in _tokens(text):
        if isinstance(token, ScalarToken):
            if is_key:
                key = str(token.value)
                section = key if token.start_mark.column == 0 else section
            elif token.plain and section != "examples":
                yield key, token
        is_key = isinstance(token, KeyToken) or (
            is_key and not isinstance(token, ValueToken | BlockEndToken)
        )


def _tokens(text: str) -> Iterator[Token]:
    yaml = YAML(typ="safe", pure=True)
    yaml.version = (1, 2)
    yield from yaml.scan(text)


def _line(text: str, number: int) -> str:
    lines = text.splitlines()
    return lines[number - 1] if 0 < number <= len(lines) else ""
