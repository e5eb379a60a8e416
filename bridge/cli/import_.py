"""`import`: users and their traits from a file, as events that take the ordinary way."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from typing import Self

    from bridge.cli.importing.carried import Carried
    from bridge.cli.importing.forecast import Forecast
    from bridge.cli.importing.rows import Bad, Reading, Row

_TOLD_EVERY = 50_000


def import_file(
    file: Annotated[
        Path,
        typer.Argument(
            help="A CSV file with names in its first line, or NDJSON.", exists=True, dir_okay=False
        ),
    ],
    user_id: Annotated[
        str | None,
        typer.Option(help="The column of the external id; else external_id, userId, user_id, id."),
    ] = None,
    at: Annotated[
        str | None,
        typer.Option(help="When what the rows say was true, ISO 8601; else when the file changed."),
    ] = None,
    run: Annotated[
        str, typer.Option(help="Another name imports rows again that were imported before.")
    ] = "",
    plan: Annotated[bool, typer.Option("--plan", help="Only say what it would mean.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Backfill users and tags: each row becomes an identify event of the source `import`.

    Says first what that means: calls, minutes, tags that do not fit. Then the rows wait behind all
    live events, at most 2,000 at a time, and never push. Stopped anywhere, the same command goes on
    where it was; a value that an event has said since the file was written is left as it is.

    \b
    Example:
      segment-bridge import users.csv --plan
      segment-bridge import users.ndjson --user-id customer_id
    """
    from bridge.cli.importing.rows import Reading

    reading = Reading(path=file, user_column=user_id, at_ms=_moment(file, at), run=run)
    found = _forecast(reading)
    for line in found.lines():
        typer.echo(line)
    if plan:
        typer.echo("Nothing was sent.")
        return
    if not (yes or typer.confirm(f"Import {found.rows:,} rows?")):
        raise typer.Exit(1)
    if _carry(reading, found.rows).bad:
        raise typer.Exit(1)


def _moment(file: Path, at: str | None) -> int:
    from bridge.segment.events import parse_timestamp

    if at is None:
        return int(file.stat().st_mtime * 1000)
    found = parse_timestamp(at)
    if found is None:
        raise typer.BadParameter("--at is like 2026-11-01T00:00:00Z")
    return found


def _forecast(reading: Reading) -> Forecast:
    from bridge.cli.importing.forecast import forecast
    from bridge.cli.mapping import importing_mapping
    from bridge.clock import SystemClock

    mapping = importing_mapping()
    with _progress("planning", None) as told:
        return forecast(told(reading.rows()), mapping, now_ms=SystemClock().now_ms())


def _carry(reading: Reading, total: int) -> Carried:
    from bridge.cli.importing.carried import Carried, carry
    from bridge.cli.service import service

    errors = _Errors(reading.path.with_name(reading.path.name + ".errors.ndjson"))
    so_far = Carried()
    with service() as bridge, errors, _progress("importing", total) as told:
        for so_far in carry(told(reading.rows()), bridge.import_rows, errors.add):  # noqa: B007 — the last one counts
            pass
    typer.echo(
        f"{so_far.accepted:,} rows accepted, {so_far.duplicates:,} were imported before,"
        f" {so_far.bad:,} are no events{errors.where}. The service goes on with those that wait:"
        " segment-bridge status"
    )
    return so_far


class _Errors:
    """Where rows that cannot be imported are listed: by number, without a value of theirs."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._count = 0

    def __enter__(self) -> None:
        self._file = self._path.open("w", encoding="utf-8")

    def __exit__(self, *_: object) -> None:
        self._file.close()
        if not self._count:
            self._path.unlink()

    @property
    def where(self) -> str:
        return f", see {self._path}" if self._count else ""

    def add(self, bad: Bad) -> None:
        import json

        self._count += 1
        row = {"row": bad.number, "code": bad.code, "message": bad.message}
        self._file.write(json.dumps(row) + "\n")


class _Told:
    """Rows that pass through, counted in plain lines."""

    def __init__(self, doing: str, total: int | None) -> None:
        self._doing, self._of = doing, "" if total is None else f" of {total:,}"

    def __call__(self, rows: Iterable[Row | Bad]) -> Iterator[Row | Bad]:
        for number, row in enumerate(rows, 1):
            yield row
            if number % _TOLD_EVERY == 0:
                typer.echo(f"{self._doing}: {number:,}{self._of}", err=True)


@contextmanager
def _progress(doing: str, total: int | None) -> Iterator[_Told | _Bar]:
    """A bar on a terminal, plain lines elsewhere."""
    import sys

    if not sys.stderr.isatty():
        yield _Told(doing, total)
        return
    with _Bar(doing, total) as bar:
        yield bar


class _Bar:
    """Rows that pass through, as a progress bar."""

    def __init__(self, doing: str, total: int | None) -> None:
        from rich.console import Console
        from rich.progress import (
            BarColumn,
            MofNCompleteColumn,
            Progress,
            TextColumn,
            TimeRemainingColumn,
        )

        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            console=Console(stderr=True),
        )
        self._task = self._progress.add_task(doing, total=total)

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def __call__(self, rows: Iterable[Row | Bad]) -> Iterator[Row | Bad]:
        for number, row in enumerate(rows, 1):
            yield row
            if number % 250 == 0:
                self._progress.update(self._task, completed=number)
