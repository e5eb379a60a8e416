"""`held`: pushes that wait for a person, because of a rule's limit or the brake."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from bridge.cli.service import Service

app = typer.Typer(
    help="Held pushes: list them, release them, discard them.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

Rule = Annotated[str | None, typer.Option(help="Only this rule.")]
Reason = Annotated[str | None, typer.Option(help="Only this reason: limit or paused.")]
Everything = Annotated[bool, typer.Option("--all", help="All that are held.")]
Yes = Annotated[bool, typer.Option("--yes", help="Do not ask.")]
_SAMPLE = 3


@app.command("list")
def list_(
    rule: Rule = None,
    reason: Reason = None,
    as_json: Annotated[bool, typer.Option("--json", help="One object for each.")] = False,
) -> None:
    """Show how many are held, by rule and reason.

    \b
    Example:
      segment-bridge held list
    """
    import orjson

    from bridge.cli.service import service

    with service() as bridge:
        counts = bridge.held(rule=rule, reason=reason, limit=0)["counts"]
    for one in counts:
        typer.echo(orjson.dumps(one).decode() if as_json else _row(one))
    if not as_json:
        total = sum(one["count"] for one in counts)
        typer.echo(f"{total} held. segment-bridge held release --rule NAME lets them go.")


@app.command()
def release(
    rule: Rule = None, reason: Reason = None, everything: Everything = False, yes: Yes = False
) -> None:
    """Let held pushes go, oldest first, however old they are. Re-arms the rule's limit.

    Says how many there are and shows three before it asks.

    \b
    Example:
      segment-bridge held release --rule vip-welcome
    """
    from bridge.cli.service import service

    _need_a_choice(rule, reason, everything)
    with service() as bridge:
        if _agreed(bridge, rule, reason, "Release", yes=yes):
            typer.echo(f"{bridge.release_held(rule=rule, reason=reason)} released.")


@app.command()
def discard(
    rule: Rule = None, reason: Reason = None, everything: Everything = False, yes: Yes = False
) -> None:
    """End held pushes, unsent. Re-arms the rule's limit.

    Says how many there are and shows three before it asks.

    \b
    Example:
      segment-bridge held discard --rule flash-sale
    """
    from bridge.cli.service import service

    _need_a_choice(rule, reason, everything)
    with service() as bridge:
        if _agreed(bridge, rule, reason, "Discard", yes=yes):
            typer.echo(f"{bridge.discard_held(rule=rule, reason=reason)} discarded.")


def _need_a_choice(rule: str | None, reason: str | None, everything: bool) -> None:
    if not (rule or reason or everything):
        raise typer.BadParameter("name --rule, --reason or --all")


def _agreed(bridge: Service, rule: str | None, reason: str | None, verb: str, *, yes: bool) -> bool:
    """Show what it is about; whether to go on."""
    found = bridge.held(rule=rule, reason=reason, limit=_SAMPLE)
    count = sum(one["count"] for one in found["counts"])
    typer.echo(f"{count} held" + (", among them:" if count else "."))
    for one in found["held"]:
        typer.echo(_sample(one))
    return count > 0 and (yes or typer.confirm(f"{verb} {count}?"))


def _row(one: dict[str, Any]) -> str:
    return f"{one['count']:>8}  {one['reason']:<8} {one['app']:<16} {one['rule']}"


def _sample(one: dict[str, Any]) -> str:
    from datetime import UTC, datetime

    written = datetime.fromtimestamp(one["written_ms"] / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S")
    return f"  {written}  {one['rule']:<24} {one['message_id']}"
