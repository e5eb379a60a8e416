"""`plan --recent`: what the newest stored events would do, and what an edited mapping would change."""

from __future__ import annotations

from pathlib import Path

import orjson
import typer
from rich.console import Console
from rich.table import Table

from bridge.journal.recent import recent
from bridge.journal.sqlite_file import reading
from bridge.mapping.rules import Mapping
from bridge.rehearsal import newest
from bridge.rehearsal.comparison import Change, Rehearsal, Tally
from bridge.rehearsal.newest import Looked

_NARROW = 100
"""Columns of what is no terminal."""


def rehearse(
    database: Path, number: int, mapping: Mapping, other: Mapping | None, *, source: str | None
) -> tuple[Rehearsal, Looked]:
    """Play the newest events under one mapping, and under another beside it.

    Raises:
        JournalError: the database cannot be read.
    """
    with reading(database) as connection:
        return newest.rehearse(recent(connection, number), mapping, other, source=source)


def print_json(rehearsal: Rehearsal, looked: Looked) -> None:
    """One object: the events, the rules under each mapping, the changes."""
    typer.echo(orjson.dumps(newest.as_json(rehearsal, looked)).decode())


def print_tables(rehearsal: Rehearsal, looked: Looked) -> None:
    """The same for people; the rules in the order of the mapping."""
    console = Console()
    if not console.is_terminal:
        console = Console(width=_NARROW)
    gone = f", {looked.gone} of them without a payload to plan" if looked.gone else ""
    console.out(f"The newest {looked.stored} events{gone}.\n", highlight=False)
    console.print(_tally_table(_title(rehearsal.mapping), rehearsal.mapping, rehearsal.tallies))
    if rehearsal.other is not None:
        table = _tally_table(_title(rehearsal.other), rehearsal.other, rehearsal.other_tallies)
        console.print(table)
        _print_changes(console, rehearsal)
    if looked.gone:
        why = "Events that no rule wanted keep no payload; BRIDGE_KEEP_UNMATCHED keeps it from now on."
        console.out(why, highlight=False)
    console.out(
        "The record of what was sent before began empty. Nothing was sent.", highlight=False
    )


def _title(mapping: Mapping) -> str:
    return f"Under {', '.join(Path(file).name for file in mapping.files)} ({mapping.revision})"


def _tally_table(title: str, mapping: Mapping, tallies: dict[str, Tally]) -> Table:
    table = Table(title=title, title_justify="left")
    table.add_column("rule", overflow="fold")
    for name in ("events", "pushes", "custom events", "updates"):
        table.add_column(name, justify="right")
    table.add_column("skipped", overflow="fold")
    for rule in mapping.rules:
        tally = tallies.get(rule.name, Tally())
        counts = (tally.events, tally.pushes, tally.custom_events, tally.updates)
        skips = ", ".join(f"{reason} {number:,}" for reason, number in tally.skips.most_common())
        table.add_row(rule.name, *(f"{number:,}" for number in counts), skips)
    return table


def _print_changes(console: Console, rehearsal: Rehearsal) -> None:
    if not rehearsal.changes:
        console.out("The edited mapping would change nothing.\n", highlight=False)
        return
    table = Table(title="What the edited mapping would change", title_justify="left")
    for name in ("rule", "change", "for example"):
        table.add_column(name, overflow="fold")
    for rule, change in sorted(rehearsal.changes.items()):
        table.add_row(rule, _words(change), "\n".join(change.samples))
    console.print(table)


def _words(change: Change) -> str:
    parts = (
        (change.pushes_more, f"+{change.pushes_more:,} pushes"),
        (change.pushes_fewer, f"-{change.pushes_fewer:,} pushes"),
        (change.pushes_other, f"{change.pushes_other:,} pushes say something else"),
        (change.tags, f"tags of {change.tags:,} events"),
        (change.updates, f"other updates of {change.updates:,} events"),
        (change.custom_events, f"custom events of {change.custom_events:,} events"),
    )
    return "\n".join(words for number, words in parts if number)
