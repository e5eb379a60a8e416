"""`check`: everything wrong with settings and mappings, at once."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from bridge.errors import Finding


def check(
    paths: Annotated[
        list[Path] | None, typer.Argument(help="Mapping files or folders; none: the settings too.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One object for each finding.")] = False,
) -> None:
    """Say everything that is wrong with the settings and the mapping, with file, line and hint.

    Exits 1 when anything is an error. Nothing is sent.

    \b
    Example:
      segment-bridge check mappings/shop.yaml
    """
    findings = [one for path in paths for one in _mapping(path)] if paths else _everything()
    for finding in findings:
        typer.echo(_json(finding) if as_json else f"{finding}\n")
    errors = sum(1 for finding in findings if finding.is_error)
    if not as_json:
        warnings = len(findings) - errors
        typer.echo(f"{errors} errors, {warnings} warnings. Nothing was sent.")
    if errors:
        raise typer.Exit(1)


def _everything() -> list[Finding]:
    from bridge.config.load import load_config, warnings
    from bridge.config.mappings import load_mappings
    from bridge.errors import ConfigurationError

    try:
        config = load_config()
    except ConfigurationError as error:
        named = os.environ.get("BRIDGE_MAPPINGS")
        return [*error.findings, *(_mapping(Path(named)) if named else [])]
    try:
        _, findings = load_mappings(config)
    except ConfigurationError as error:
        findings = list(error.findings)
    return [*warnings(config), *findings]


def _mapping(path: Path) -> list[Finding]:
    from bridge.cli.mapping import served_platforms
    from bridge.errors import ConfigurationError
    from bridge.mapping.load import load_mapping

    try:
        _, findings = load_mapping(path, serves=served_platforms())
    except ConfigurationError as error:
        return list(error.findings)
    return findings


def _json(finding: Finding) -> str:
    import dataclasses

    import orjson

    return orjson.dumps(dataclasses.asdict(finding)).decode()
