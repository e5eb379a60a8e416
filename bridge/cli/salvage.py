"""`salvage`: save what can be read of a damaged database."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from bridge.journal.salvage import Saved

Damaged = Annotated[
    Path | None,
    typer.Argument(metavar="[FILE]", help="The damaged database; without it the settings'."),
]
To = Annotated[Path | None, typer.Option(help="The new one; without it FILE.salvaged.")]


def salvage(file: Damaged = None, to: To = None) -> None:
    """Save what can be read of a damaged database in a new one.

    The damaged one stays as it is. Events that had not ended are worked on again when the bridge runs on
    the new one: an update may be written twice, a push keeps its key. Needs three times its room.

    \b
    Example:
      segment-bridge salvage
      segment-bridge salvage /data/bridge.db --to /data/salvaged.db
    """
    from bridge.cli.service import database_path
    from bridge.journal.salvage import salvage as save

    path = file or database_path()
    target = to or path.with_name(f"{path.name}.salvaged")
    _tell(save(path, target))
    typer.echo(
        f"To go on with it: mv {path} {path}.damaged, remove {path}-wal, {path}-shm and {path}.lock,"
        f" and mv {target} {path}. Nothing was sent."
    )


def _tell(saved: Saved) -> None:
    rows = saved.rows
    typer.echo(
        f"saved {rows['event']} events, {rows['pending']} of them still to be worked on,"
        f" {rows['send']} pushes and {rows['dead']} dead letters"
    )
    if saved.damaged:
        typer.echo(f"not all could be read of: {', '.join(saved.damaged)}")
        typer.echo(
            "What had ended may be among what is still to be worked on: pushes that were sent keep their"
            " keys, but what was skipped or discarded may leave now. To look at it first: once the new one"
            " is in its place, segment-bridge pause pushes, start the bridge, held list, and resume pushes."
        )
