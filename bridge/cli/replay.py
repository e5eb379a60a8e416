"""`replay`: what was too old when its turn came, and still matters."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from bridge.cli import choosing
from bridge.cli.choosing import App, Since, Until, User, Yes


def replay(
    reason: Annotated[str, typer.Option(help="Why it was skipped; too_old is all there is.")],
    rule: Annotated[str, typer.Option(help="The rule whose pushes still matter.")],
    user: User = None,
    since: Since = None,
    until: Until = None,
    app: App = None,
    yes: Yes = False,
) -> None:
    """Do what was skipped because it was too old: planned with today's mapping, and not for its age.

    Each is done once, however often it is asked for, while its event is kept. Says how many there
    are and shows three before it asks.

    \b
    Example:
      segment-bridge replay --reason too_old --rule order-shipped --since 6h
    """
    from bridge.cli.service import service
    from bridge.journal.piles import TOO_OLD

    if reason != TOO_OLD:
        raise typer.BadParameter(f"--reason is {TOO_OLD}: every other skip protects somebody")
    choice = choosing.chosen(app=app, rule=rule, reason=reason, user=user, since=since, until=until)
    path = "/api/v1/skipped/replay"
    with service() as bridge:
        body = choosing.agreed(bridge, path, choice, row=_row, question="Replay", yes=yes)
        if body is not None:
            typer.echo(f"{bridge.piles('POST', path, json=body)['replayed']} replayed.")


def _row(one: dict[str, Any]) -> str:
    skipped = choosing.when(one["skipped_ms"])
    what = f"{one['rule']}/{one['operation']}"
    return f"{skipped}  {what:<36} {one['message_id']}"
