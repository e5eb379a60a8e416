"""`check`: everything wrong with settings and mappings, at once; and what each code means."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from bridge.config import Config
    from bridge.errors import Finding


def check(
    paths: Annotated[
        list[Path] | None,
        typer.Argument(
            help="Mapping files, folders, or names of shipped mappings; none: the settings too."
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One object for each finding.")] = False,
    explain: Annotated[
        bool, typer.Option("--explain", help="Say what a code means; without one, list all.")
    ] = False,
) -> None:
    """Say everything that is wrong with the settings and the mapping, with file, line and hint.

    Exits 1 when anything is an error. Nothing is sent.

    \b
    Example:
      segment-bridge check mappings/shop.yaml
      segment-bridge check --explain platforms-undecided
    """
    from bridge.cli.unread import unread_settings

    if explain:
        _explain([str(path) for path in paths or ()])
        return
    findings = [one for path in paths for one in _mapping(path)] if paths else everything()
    lines = _Lines()
    for finding in findings:
        typer.echo(_json(finding) if as_json else f"{lines.shown(finding)}\n")
    errors = sum(1 for finding in findings if finding.is_error)
    if not as_json:
        typer.echo(_summary(findings, errors))
        if not paths and (said := unread_settings()) is not None:
            typer.echo(said)
    if errors:
        raise typer.Exit(1)


def _summary(findings: list[Finding], errors: int) -> str:
    more = (
        f" What a code means: segment-bridge check --explain {findings[0].code}" if findings else ""
    )
    return f"{errors} errors, {len(findings) - errors} warnings. Nothing was sent.{more}"


def everything() -> list[Finding]:
    """What is wrong with the settings and all mappings that they name."""
    from bridge.config.load import load_config, warnings
    from bridge.errors import ConfigurationError

    try:
        config = load_config()
    except ConfigurationError as error:
        named = os.environ.get("BRIDGE_MAPPINGS")
        return [*error.findings, *(_mapping(Path(named)) if named else [])]
    return list(dict.fromkeys([*warnings(config), *_mappings(config)]))


def _mappings(config: Config) -> list[Finding]:
    """Of each mapping, once for each app that it is for."""
    from bridge.config.mappings import has_registry
    from bridge.mapping.lint import check_mapping
    from bridge.mapping.load import starter

    sources: dict[tuple[Path, str], list[str]] = {}
    for source in config.sources.values():
        key = (source.mappings or starter(), source.app)
        sources.setdefault(key, []).append(source.name)
    return [
        finding
        for (path, app), names in sources.items()
        for finding in check_mapping(
            path,
            serves=config.apps[app].platforms,
            tag_cap=config.apps[app].tag_cap,
            names=config.apps[app].vars,
            sources=names,
            clients=[name for name in names if not config.sources[name].trusted],
            dropped={path for name in names for path in config.sources[name].drop},
            spoken=config.apps[app].spoken,
            registry=has_registry(config, app),
        )
    ]


def _mapping(path: Path) -> list[Finding]:
    from bridge.cli.mapping import named, served_platforms, spoken
    from bridge.mapping.lint import check_mapping
    from bridge.settings import TAG_CAP

    caps: dict[str, int | None] = dict(TAG_CAP)
    cap = caps.get(os.environ.get("BRIDGE_ONESIGNAL_PLAN", ""))
    return check_mapping(named(path), serves=served_platforms(), tag_cap=cap, spoken=spoken())


class _Lines:
    """Findings with the line that each is about, and a caret under its place."""

    def __init__(self) -> None:
        self._of: dict[str, list[str]] = {}

    def shown(self, finding: Finding) -> str:
        place = self._place(finding)
        if place is None:
            return str(finding)
        said = str(finding).splitlines()
        above = next(number for number, line in enumerate(said) if line.startswith("  --> "))
        return "\n".join([*said[: above + 1], *place, *said[above + 1 :]])

    def _place(self, finding: Finding) -> list[str] | None:
        if finding.file is None or finding.line is None or "\n" in finding.message:
            return None  # a condition's message shows its own place
        lines = self._read(finding.file)
        if not 0 < finding.line <= len(lines):
            return None
        line = lines[finding.line - 1]
        before = line[: (finding.column or 1) - 1]
        caret = "".join("\t" if sign == "\t" else " " for sign in before) + "^"
        margin = " " * len(str(finding.line))
        return [f" {margin} |", f" {finding.line} | {line.rstrip()}", f" {margin} | {caret}"]

    def _read(self, file: str) -> list[str]:
        if file not in self._of:
            try:
                self._of[file] = Path(file).read_text(encoding="utf-8").split("\n")
            except (OSError, UnicodeDecodeError):
                self._of[file] = []
        return self._of[file]


def _explain(asked: list[str]) -> None:
    from bridge.mapping.codes import codes, nearest_code

    known = codes()
    if not asked:
        width = max(map(len, known))
        for code in known.values():
            typer.echo(f"{code.code:<{width}}  {code.title}")
    for name in asked:
        if name not in known:
            near = nearest_code(name)
            remedy = f"did you mean {near}?" if near else "without a code, --explain lists all"
            typer.echo(f"{name} is not a code; {remedy}", err=True)
            raise typer.Exit(2)
        typer.echo(known[name])


def _json(finding: Finding) -> str:
    import dataclasses

    import orjson

    return orjson.dumps(dataclasses.asdict(finding)).decode()
