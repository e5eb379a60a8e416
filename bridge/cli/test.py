"""`test`: the examples of a mapping, played; what a mapping does, proven by those who wrote it."""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from bridge.mapping.rules import Mapping


def play_examples(
    paths: Annotated[
        list[Path] | None,
        typer.Argument(
            help="Mapping files, folders, or names of shipped mappings; none: the one that serves."
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One object for each example.")] = False,
) -> None:
    """Play the examples of mappings, and say where what happens is not what they say.

    Exits 1 when an example fails. Nothing is sent.

    \b
    Example:
      segment-bridge test mappings/shop.yaml
    """
    from bridge.errors import ConfigurationError

    total = failed = 0
    broken = False
    for chosen in _chosen(paths or []):
        try:
            mapping = chosen()
        except ConfigurationError as error:
            broken = True
            for finding in error.findings:
                typer.echo(f"{finding}\n", err=as_json)
            continue
        for result in _results(mapping):
            total, failed = total + 1, failed + (not result["passed"])
            _print_json(result) if as_json else _print(result)
        if not as_json and not mapping.examples:
            typer.echo(f"{', '.join(mapping.files)} has no examples.")
    if not as_json:
        _sum_up(total, failed, named=bool(paths))
    if failed or broken:
        raise typer.Exit(1)


def _sum_up(total: int, failed: int, *, named: bool) -> None:
    """How many; and, of who has named no mapping and may believe that it was theirs, whose they were."""
    from bridge.cli.unread import unread_settings

    typer.echo(f"\n{total} examples, {failed} failed. Nothing was sent.")
    if named:
        return
    if not {"BRIDGE_CONFIG", "BRIDGE_MAPPINGS"} & os.environ.keys():
        typer.echo("note: BRIDGE_MAPPINGS is not set, so this was the starter")
    if (said := unread_settings()) is not None:
        typer.echo(said)


def _chosen(paths: list[Path]) -> list[Callable[[], Mapping]]:
    """The mappings that are named, or all that serve; each is read when it is its turn."""
    from bridge.cli.mapping import chosen_mapping, one_source_a_mapping, source_of

    if not paths:
        return [partial(chosen_mapping, None, source=name) for name in one_source_a_mapping()]
    return [partial(chosen_mapping, path, source=source_of(path)) for path in paths]


def _results(mapping: Mapping) -> Iterator[dict[str, Any]]:
    from bridge.rehearsal.examples import play
    from bridge.rehearsal.expectations import differences

    for example in mapping.examples:
        played = play(example.declared, mapping)
        found = differences(example.declared, played)
        yield {
            "name": example.declared.name,
            "file": example.file,
            "line": example.line,
            "passed": not found,
            "differences": [one._asdict() for one in found],
            "skips": [
                {"rule": skip.rule, "reason": skip.reason, "detail": skip.detail}
                for skip in played.skips
            ],
        }


def _print_json(result: dict[str, Any]) -> None:
    import orjson

    typer.echo(orjson.dumps(result).decode())


def _print(result: dict[str, Any]) -> None:
    place = f"{result['file']}:{result['line']}"
    if result["passed"]:
        typer.echo(f"{typer.style('ok', fg='green')}    {place}  {result['name']}")
        return
    typer.echo(f"{typer.style('FAIL', fg='red', bold=True)}  {place}  {result['name']}")
    for one in result["differences"]:
        typer.echo(f"        {one['where']}")
        typer.echo(f"            expected  {one['expected']}")
        typer.echo(f"            actual    {one['actual']}")
