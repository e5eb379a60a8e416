"""A plan as people read it: wrapped and coloured on a terminal, plain lines everywhere else."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import orjson
from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from bridge.plan.lines import Line, Planned

_OURS = "disables the address that was written before, if there is one"


def print_plan(events: Sequence[Planned], console: Console) -> None:
    """Every request with its body, what was left out of it, and what may still stop it."""
    for event in events:
        if len(events) > 1:
            console.print(Text(f"# {event.title}", style="bold"), soft_wrap=not console.is_terminal)
        for line in event.lines:
            if console.is_terminal:
                console.print(_wrapped(line))
            else:
                for text in _plain(line):
                    console.out(text, highlight=False)
    lines = [line for event in events for line in event.lines]
    requests = sum(1 for line in lines if line.skip is None)
    total = f"{requests} requests, {len(lines) - requests} skips. Nothing was sent."
    console.out(f"\n{total}", highlight=False)


def _name(line: Line) -> str:
    return line.rule or "(event)"


def _what(line: Line) -> str:
    return _OURS if line.request is None else f"{line.request['method']} {line.request['path']}"


def _body(line: Line) -> str:
    body = line.request["body"] if line.request else None
    return orjson.dumps(body, option=orjson.OPT_INDENT_2).decode() if body else ""


def _remarks(line: Line) -> Iterator[tuple[str, str]]:
    for note in line.notes:
        yield "left out", note
    for guard in line.guards:
        yield "guard", f"{guard.name}: {guard.words}"


def _plain(line: Line) -> Iterator[str]:
    if line.skip is not None:
        yield f"{_name(line):<20} skipped  {line.skip}"
        return
    yield f"{_name(line):<20} {_what(line)}"
    for text in _body(line).splitlines():
        yield f"    {text}"
    for label, text in _remarks(line):
        yield f"    {label:<8}  {text}"


def _wrapped(line: Line) -> RenderableType:
    table = Table.grid(padding=(0, 2))
    table.add_column(min_width=12, max_width=24, overflow="fold")
    table.add_column(overflow="fold")
    if line.skip is not None:
        table.add_row(
            Text(_name(line), style="bold"), Text(f"skipped  {line.skip}", style="yellow")
        )
        return table
    remarks = Table.grid(padding=(0, 2))
    for label, text in _remarks(line):
        remarks.add_row(Text(label, style="dim"), Text(text, style="dim", overflow="fold"))
    body = Padding(Text(_body(line), overflow="fold"), (0, 0, 0, 2))
    what = Text(_what(line), style="green", overflow="fold")
    table.add_row(
        Text(_name(line), style="bold"), Group(what, body, Padding(remarks, (0, 0, 1, 2)))
    )
    return table
