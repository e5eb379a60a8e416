"""`plan`: what events would do, without doing it; or, once and after asking, to one phone."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from bridge.mapping.rules import Mapping
    from bridge.segment.events import Event, Unusable


def plan(
    files: Annotated[
        list[str] | None,
        typer.Argument(help="An event, an array, NDJSON or a webhook's body; - is standard input."),
    ] = None,
    mapping: Annotated[
        Path | None,
        typer.Option("-m", "--mapping", help="A file, a folder, or the name of a shipped mapping."),
    ] = None,
    source: Annotated[
        str | None, typer.Option(help="The source that the events come from; `default` else.")
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="One object for each request or skip.")
    ] = False,
    send: Annotated[
        bool,
        typer.Option("--send", help="Send the one push of these events, to --to, after asking."),
    ] = False,
    to: Annotated[
        str | None, typer.Option(help="With --send: the External ID of your own phone.")
    ] = None,
    rule: Annotated[
        str | None, typer.Option(help="With --send: the rule whose push it is.")
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="With --send: do not ask.")] = False,
    recent: Annotated[
        int | None,
        typer.Option(help="Instead of files: the newest so many stored events.", min=1),
    ] = None,
    diff: Annotated[
        Path | None,
        typer.Option(help="With --recent: an edited mapping, and what it would change."),
    ] = None,
) -> None:
    """Show the requests that events would make, and why others would not. Sends nothing.

    Only --send sends: one push, to the user that you name, after it has shown it and asked.

    \b
    Example:
      segment-bridge plan -m shop.yaml order-shipped.json
      segment-bridge plan -m shop.yaml order-shipped.json --send --to my-user-id
      segment-bridge plan --recent 1000 --diff shop-edited.yaml
    """
    files = files or []
    _refuse_what_does_not_go_together(files, recent, diff, send, to, rule, yes)
    if recent is not None:
        _recent(recent, mapping, diff, source=source, as_json=as_json)
    elif send and to:
        _send(files, mapping, source=source, to=to, rule=rule, yes=yes)
    else:
        _show(files, mapping, source=source, as_json=as_json)


def _refuse_what_does_not_go_together(
    files: list[str],
    recent: int | None,
    diff: Path | None,
    send: bool,
    to: str | None,
    rule: str | None,
    yes: bool,
) -> None:
    wrong = (
        (bool(files) == (recent is not None), "name the events: FILE…, or --recent N"),
        (diff is not None and recent is None, "--diff goes with --recent"),
        (send and recent is not None, "--send goes with a file, not with --recent"),
        (send and not to, "--send needs --to USER, the External ID of your own phone"),
        (not send and bool(to or rule or yes), "--to, --rule and --yes go with --send"),
        (send and not yes and "-" in files, "standard input cannot be asked: use a file, or --yes"),
    )
    for is_wrong, message in wrong:
        if is_wrong:
            raise typer.BadParameter(message)


def _show(files: list[str], path: Path | None, *, source: str | None, as_json: bool) -> None:
    from bridge.cli.mapping import chosen_mapping, chosen_source
    from bridge.plan.lines import planned

    chosen, app = chosen_mapping(path, source=source), chosen_source(source)[1]
    events = [planned(event, chosen, app=app.name) for event in _events(files, source)]
    if as_json:
        import orjson

        for line in (line for event in events for line in event.lines):
            typer.echo(orjson.dumps(line.as_json()).decode())
    else:
        from rich.console import Console

        from bridge.cli.planning.table import print_plan

        print_plan(events, Console())


def _events(files: list[str], source: str | None) -> list[Event | Unusable]:
    from bridge.cli.mapping import chosen_source
    from bridge.cli.planning.events import read_events

    found, _ = chosen_source(source)
    return [event for file in files for event in read_events(file, source=found)]


def _send(
    files: list[str], path: Path | None, *, source: str | None, to: str, rule: str | None, yes: bool
) -> None:
    from bridge.cli.mapping import chosen_mapping, chosen_source
    from bridge.cli.planning.send import send, the_push
    from bridge.config.load import load_config

    restraint = load_config().restraint
    _, app = chosen_source(source)
    mapping = chosen_mapping(path, source=source)
    trial = the_push(_events(files, source), mapping, app=app, user=to, rule=rule)
    if not send(trial, app, restraint, confirm=lambda question: yes or typer.confirm(question)):
        raise typer.Exit(1)


def _recent(
    number: int, path: Path | None, diff: Path | None, *, source: str | None, as_json: bool
) -> None:
    from bridge.cli.mapping import chosen_mapping
    from bridge.cli.planning.recent import print_json, print_tables, rehearse

    mapping = chosen_mapping(path, source=source)
    other: Mapping | None = None if diff is None else chosen_mapping(diff, source=source)
    rehearsal, looked = rehearse(_database(), number, mapping, other, source=source)
    (print_json if as_json else print_tables)(rehearsal, looked)


def _database() -> Path:
    from bridge.environment import read_environment

    return read_environment().settings.database_path
