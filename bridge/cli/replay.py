"""`replay`: what was too old when its turn came, and still matters."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from bridge.cli import choosing
from bridge.cli.choosing import Choice, Yes


@choosing.options("user", "since", "until", "app")
def replay(
    choice: Choice,
    reason: Annotated[str, typer.Option(help="Why it was skipped; too_old is all there is.")],
    rule: Annotated[str, typer.Option(help="The rule whose pushes still matter.")],
    yes: Yes = False,
) -> None:
    """Do what was skipped because it was too old: planned with today's mapping, and not for its age.

    Each is done once, however often it is asked for, while its event is kept. Says how many there
    are and shows three before it asks.

    \b
    Example:
      segment-bridge replay --reason too_old --rule order-shipped --since 6h
    """
    from bridge.journal.piles import TOO_OLD

    if reason != TOO_OLD:
        raise typer.BadParameter(f"--reason is {TOO_OLD}: every other skip protects somebody")
    body, path = choice | {"reason": reason, "rule": rule}, "/api/v1/skipped/replay"
    done = choosing.act(path, body, row=_row, question="Replay", yes=yes)
    if done:
        typer.echo(f"{done['replayed']} replayed.")


def _row(one: dict[str, Any]) -> str:
    skipped = choosing.when(one["skipped_ms"])
    what = f"{one['rule']}/{one['operation']}"
    return f"{skipped}  {what:<36} {one['message_id']}"
