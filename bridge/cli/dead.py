"""`dead`: what could not be done, and doing it again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from bridge.cli.service import Service

app = typer.Typer(
    help="Dead letters: list them, look at one, replay them.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

Reason = Annotated[str | None, typer.Option(help="Only this reason, such as http_400.")]
Rule = Annotated[str | None, typer.Option(help="Only this rule.")]
_SAMPLE = 3


@app.command("list")
def list_(
    reason: Reason = None,
    rule: Rule = None,
    as_json: Annotated[bool, typer.Option("--json", help="One object for each.")] = False,
) -> None:
    """Show what is dead, newest last.

    \b
    Example:
      segment-bridge dead list --reason http_400
    """
    from bridge.cli.service import service

    with service() as bridge:
        letters = list(bridge.dead(reason=reason, rule=rule))
    for letter in letters:
        typer.echo(_json(letter) if as_json else _row(letter))
    if not as_json:
        typer.echo(f"{len(letters)} dead. segment-bridge dead show ID shows one.")


@app.command()
def show(dead_id: Annotated[int, typer.Argument(metavar="ID")]) -> None:
    """Show one with its event, the request and the answer. It may contain personal data.

    \b
    Example:
      segment-bridge dead show 7
    """
    import orjson

    from bridge.cli.service import service

    with service() as bridge:
        letter = bridge.dead_letter(dead_id)
    typer.echo(orjson.dumps(letter, option=orjson.OPT_INDENT_2).decode())


@app.command()
def replay(
    ids: Annotated[list[int] | None, typer.Argument(metavar="ID...")] = None,
    reason: Reason = None,
    rule: Rule = None,
    everything: Annotated[bool, typer.Option("--all", help="All that are dead.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Try dead operations again: updates planned anew, pushes as they were written.

    Says how many there are and shows three before it asks.

    \b
    Example:
      segment-bridge dead replay --reason http_400 --rule order-shipped
    """
    from bridge.cli.service import service

    if not (ids or reason or rule or everything):
        raise typer.BadParameter("name ids, --reason, --rule or --all")
    with service() as bridge:
        chosen = ids or [int(one["id"]) for one in bridge.dead(reason=reason, rule=rule)]
        _preview(bridge, chosen)
        if chosen and (yes or typer.confirm(f"Replay {len(chosen)}?")):
            _replay(bridge, chosen)


def _preview(bridge: Service, chosen: list[int]) -> None:
    typer.echo(f"{len(chosen)} to replay" + (", among them:" if chosen else "."))
    for dead_id in chosen[:_SAMPLE]:
        typer.echo(_row(bridge.dead_letter(dead_id)))


def _replay(bridge: Service, chosen: list[int]) -> None:
    failures = 0
    for dead_id in chosen:
        problem = bridge.replay(dead_id)
        if problem is not None:
            failures += 1
            typer.echo(f"{dead_id}: {problem}", err=True)
    typer.echo(f"{len(chosen) - failures} replayed, {failures} not.")
    if failures:
        raise typer.Exit(1)


def _row(letter: dict[str, Any]) -> str:
    from datetime import UTC, datetime

    died = datetime.fromtimestamp(letter["died_ms"] / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S")
    what = f"{letter['rule'] or '-'}/{letter['operation'] or 'event'}"
    return f"{letter['id']:>6}  {died}  {letter['reason']:<18} {what:<36} {letter['message_id']}"


def _json(letter: dict[str, Any]) -> str:
    import orjson

    return orjson.dumps(letter).decode()
