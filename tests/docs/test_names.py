"""Whatever a page, or a message of ours, tells people to type or to look for is there under that name.

Commands with their options, settings with their defaults, routes, metrics, files, and the codes, reasons and
log lines that are named: all of them on every page, and commands and settings in what the program says, too.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from datetime import timedelta
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from starlette.routing import Match, Route
from typer.main import get_command

from bridge import failpoints
from bridge.app.doors import WEBHOOK_PATHS
from bridge.cli import app
from bridge.console.openapi import document
from bridge.environment import FILES, SERVICE_URL, VARIABLES
from bridge.mapping.reference import reference
from bridge.receive.devices import PATHS as DEVICE_PATHS
from bridge.receive.webhook import METHODS
from bridge.settings import Settings
from tests.docs.test_monitoring import labels_of_metrics

TOP = Path(__file__).parents[2]
PAGES = [
    TOP / "README.md",
    TOP / "CHANGELOG.md",
    TOP / "mappings" / "README.md",
    TOP / "bridge" / "mapping" / "codes.md",
    *sorted((TOP / "docs").glob("*.md")),
    TOP / "docs" / "prometheus-alerts.yaml",
]
every_page = pytest.mark.parametrize(
    "page", PAGES, ids=[str(one.relative_to(TOP)) for one in PAGES]
)
SOURCES = [
    one
    for suffix in ("py", "j2", "sql")
    for one in sorted((TOP / "bridge").rglob(f"*.{suffix}"))
    if "presets" not in one.parts
]


@cache
def code() -> str:
    """Everything that the program is made of."""
    return "\n".join(one.read_text() for one in SOURCES)


def spans(page: Path) -> list[str]:
    """What stands between two marks of code, in a line."""
    text = re.sub(r"```.*?```", "", page.read_text(), flags=re.DOTALL)
    return [" ".join(found.split()) for found in re.findall(r"`([^`]+)`", text)]


# Commands ------------------------------------------------------------------------------------------


@cache
def commands() -> dict[str, Any]:
    """Every command by its words."""
    found: dict[str, Any] = {}
    for name, command in get_command(app).commands.items():  # type: ignore[attr-defined]  # a group, as there are several
        found[name] = command
        for below, one in getattr(command, "commands", {}).items():
            found[f"{name} {below}"] = one
    return found


def options(command: Any) -> dict[str, bool]:
    """Of a command: each option, and whether a value follows it."""
    found = {name: not one.is_flag for one in command.params if one.param_type_name == "option" for name in one.opts}  # fmt: skip
    return found | {"--help": False}


def mistake(words: list[str]) -> str | None:
    """What is wrong with a command that is told to people; None: nothing that can be seen."""
    name = words[0]
    if name.startswith("-"):
        return None if name in {"--help", "--version"} else f"no option {name}"
    if name not in commands():
        return f"no command {name}"
    rest = words[1:]
    if hasattr(commands()[name], "commands"):
        if not rest:
            return None
        name, rest = f"{name} {rest[0]}", rest[1:]
        if name not in commands():
            return f"no command {name}"
    return _wrong_rest(name, rest)


def _wrong_rest(name: str, rest: list[str]) -> str | None:
    known, named, words = options(commands()[name]), [], list(rest)
    while words:
        word, _, value = words.pop(0).partition("=")
        if not word.startswith("-") or word == "-":
            named.append(word)
        elif word not in known:
            return f"{name} has no {word}"
        elif known[word] and not value:
            if not words:
                # What is named and not shown: `--since`.
                continue
            words.pop(0)
    takes = [one for one in commands()[name].params if one.param_type_name == "argument"]
    return f"{name} takes no {named[0]}" if named and not takes else None


def told(text: str) -> Iterator[list[str]]:
    """The commands in a text that is code: after `segment-bridge`, up to whatever ends one."""
    for found in re.findall(r"segment-bridge +([^|;&#<>\n\"`)]+)", text):
        with_values = re.sub(r"\{[^}]*\}|…|\.\.\.", "X", found)
        try:
            words = shlex.split(with_values)
        except ValueError:
            words = with_values.split()
        if words:
            yield words


def in_short(span: str) -> list[str] | None:
    """A command without its first word, as pages name it: `held list`, `doctor --user ID`."""
    words = span.split()
    if not words or "segment-bridge" in words or words[0] not in commands():
        return None
    is_group = hasattr(commands()[words[0]], "commands")
    has_option = any(one.startswith("--") for one in words)
    if not (has_option or (is_group and len(words) > 1)):
        return None
    return [re.sub("…", "X", one) for one in words if one != "|"]


@every_page
def test_every_command_on_a_page_is_one(page: Path) -> None:
    text = page.read_text()
    blocks = re.findall(r"^```(?:sh|console|\w*)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    lines = [line for block in blocks for line in block.splitlines()]
    whole = [words for one in [*spans(page), *lines] for words in told(one)]
    short = [words for one in spans(page) if "|" not in one and (words := in_short(one))]
    assert [(words, wrong) for words in [*whole, *short] if (wrong := mistake(words))] == []


@every_page
def test_every_option_on_a_page_is_one_of_some_command(page: Path) -> None:
    known = {name for command in commands().values() for name in options(command)} | {"--version"}
    named = {one.split()[0] for one in spans(page) if re.match(r"--[a-z]", one)}
    others = {"--build-arg"}
    assert {re.split("[=…]", one)[0] for one in named} - known - others == set()


def test_every_command_that_the_program_tells_is_one() -> None:
    said = [words for one in SOURCES for words in told_in_code(one.read_text())]
    assert len(said) > 60
    assert [(words, wrong) for words in said if (wrong := mistake(words))] == []


def told_in_code(text: str) -> Iterator[list[str]]:
    """In examples of docstrings whole; in messages what can be told from the words around it."""
    for line in text.splitlines():
        if re.match(r" +segment-bridge ", line):
            yield from told(line.rstrip("\\"))
            continue
        for name, below, rest in re.findall(
            r"segment-bridge ([a-z]+)(?: (list|show|replay|discard|release|hold))?((?: --[a-z]+)*)",
            line,
        ):
            yield [name, *([below] if below else []), *rest.split()]


# Settings -------------------------------------------------------------------------------------------


def settings() -> set[str]:
    plain = {f"BRIDGE_{name.upper()}" for name in Settings.model_fields}
    return plain | {f"BRIDGE_{name}_FILE" for name in FILES} | {SERVICE_URL}


@pytest.mark.parametrize("page", [*PAGES, *SOURCES], ids=lambda one: str(one.relative_to(TOP)))
def test_every_setting_that_is_named_is_one(page: Path) -> None:
    # One that ends in `_` or `…` stands for several.
    named = re.findall(r"\bBRIDGE_[A-Z][A-Z_]*[A-Z]\b(?!…|_)", page.read_text())
    misspelt = {"BRIDGE_MAPPING", "BRIDGE_X_Y"}  # as examples of what is none
    known = settings() | misspelt | {failpoints.VARIABLE}
    assert {one for one in named if not one.startswith(VARIABLES)} - known == set()


@every_page
def test_a_time_beside_a_setting_is_its_default(page: Path) -> None:
    for name, days in re.findall(r"`BRIDGE_(\w+)` \((\d+) days\)", page.read_text()):
        assert Settings.model_fields[name.lower()].default == timedelta(days=int(days)), name


# Routes ---------------------------------------------------------------------------------------------

#: OneSignal's own, and addresses inside of examples.
NOT_OURS = ("/api/v1/apps/", "/api/v1/notifications", "/users", "/notifications", "/subscriptions")
BESIDE_THE_API = {
    "/livez": {"GET"}, "/readyz": {"GET"}, "/metrics": {"GET"}, "/console": {"GET"},
    "/sandbox": {"GET"}, "/sandbox/devices": {"POST"}, "/sandbox/pushes": {"GET"},
}  # fmt: skip


class Named(NamedTuple):
    methods: tuple[str, ...]
    path: str


def routes() -> list[Route]:
    def nothing() -> None: ...

    described = [
        (path, {one.upper() for one in methods}) for path, methods in document()["paths"].items()
    ]
    segment = [(f"/v1/segment{rest}", {*METHODS}) for rest in WEBHOOK_PATHS]
    devices = [(f"/v1/devices{rest}", {"POST", "DELETE", "OPTIONS"}) for rest in DEVICE_PATHS]
    return [
        Route(path, nothing, methods=list(methods))
        for path, methods in [*described, *segment, *devices, *BESIDE_THE_API.items()]
    ]


def named_routes(page: Path) -> Iterator[Named]:
    for span in spans(page):
        found = re.match(r"((?:(?:GET|POST|PUT|PATCH|DELETE),? ?)*)(/[\w/{}.…]*)", span)
        if found is None or found[2].startswith(NOT_OURS) or found[2].endswith(".js"):
            continue
        if found[1] or re.match(r"/(v1|api|livez|readyz|metrics|console)\b", found[2]):
            methods = tuple(re.findall("[A-Z]+", found[1])) or ("GET", "POST", "DELETE")
            yield Named(methods, found[2])


def is_there(named: Named) -> bool:
    path = re.sub(r"\{[^}]*\}", "x", named.path)
    if path in {"/api", "/api/v1"} or path.endswith("…"):
        return any(one.path.startswith(path.removesuffix("…")) for one in routes())
    return any(
        one.matches({"type": "http", "path": under, "method": method, "root_path": "", "headers": []})[0] is Match.FULL
        for under in (path, f"/api/v1{path}")
        for one in routes()
        for method in named.methods
    )  # fmt: skip


@every_page
def test_every_route_on_a_page_is_one(page: Path) -> None:
    assert [one for one in named_routes(page) if not is_there(one)] == []


# Metrics, files, words ------------------------------------------------------------------------------


@every_page
def test_every_metric_on_a_page_is_one_with_its_labels(page: Path) -> None:
    known = labels_of_metrics()
    for name, labels in re.findall(r"`(bridge_\w+)(?:\{([\w, ]+)\})?`", page.read_text()):
        if name == "bridge_session":
            continue
        assert name in known
        assert set(re.findall(r"\w+", labels)) <= known[name], name


@every_page
def test_every_file_on_a_page_is_there(page: Path) -> None:
    named = {
        one
        for span in spans(page)
        for one in re.findall(r"^(?:bridge|docs|mappings|tests)/[\w/.-]+$", span)
    }
    # Those of a customer's own folder stand in examples.
    missing = {one for one in named if not (TOP / one).exists()}
    assert missing <= {"mappings/shop", "mappings/club.yaml"}


#: Words of others, and of examples.
BORROWED = {
    "order-shipped", "vip-welcome", "flash-sale", "price-drop", "big-spenders", "no-store",
    "no-new-privileges", "lint-imports", "user-2", "last-active", "accept-batch", "http_5xx",
}  # fmt: skip


@every_page
def test_every_code_reason_and_log_line_on_a_page_is_the_programs(page: Path) -> None:
    """A word with a dash, or a log line: whoever searches for it finds where it is said."""
    shipped = {one.stem for one in (TOP / "mappings").glob("*.yaml")}
    written = page.read_text()
    for block in re.findall(r"```\w* ?\S*\n(.*?)```", written, re.DOTALL):
        shipped |= set(re.findall(r"[\w.-]+", block))
    known = (
        code()
        + (TOP / "bridge" / "mapping" / "codes.md").read_text()
        + " ".join(one.name for one in TOP.rglob("tests/**/*.py"))
        + " ".join(one.name for one in TOP.iterdir())
        + " ".join(labels_of_metrics())
        + reference()
    )
    words = {one for one in spans(page) if re.fullmatch(r"[a-z]+([-_.][a-z0-9]+)+", one)}
    assert {one for one in words - shipped - BORROWED if one not in known} == set()
