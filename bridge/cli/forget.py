"""`forget`: erase users, at OneSignal and here."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Users = Annotated[
    list[str] | None,
    typer.Argument(metavar="[USER]…", help="External ids, as OneSignal knows them."),
]
File = Annotated[
    Path | None,
    typer.Option("--file", help="A file of them, one a line.", exists=True, dir_okay=False),
]
App = Annotated[str | None, typer.Option(help="Only in this app; without it in all.")]
Yes = Annotated[bool, typer.Option("--yes", help="Do not ask.")]


def forget(users: Users = None, file: File = None, app: App = None, yes: Yes = False) -> None:
    """Erase users: at OneSignal, and every trace of them here.

    What waits for them is discarded. For 30 days a keyed hash stays, so that events which come
    late do not bring them back. Says how many there are before it asks. It cannot be undone.

    \b
    Example:
      segment-bridge forget user-4711
      segment-bridge forget --file requests.txt --app shop
    """
    from bridge.cli.service import service
    from bridge.console.views.person import may_be_erased

    named = [*(users or ()), *(_lines(file) if file else ())]
    chosen = list(dict.fromkeys(named))
    if not chosen:
        raise typer.BadParameter("name a user, or --file")
    if wrong := [one for one in chosen if not may_be_erased(one)]:
        raise typer.BadParameter(f"{len(wrong)} of {len(chosen)} are no ids of OneSignal's")
    count = "1 user" if len(chosen) == 1 else f"{len(chosen)} users"
    where = f"app {app}" if app else "every app"
    if not (yes or typer.confirm(f"Erase {count} in {where}, at OneSignal and here?")):
        raise typer.Exit(1)
    with service() as bridge:
        for number, user in enumerate(chosen, 1):
            bridge.forget(user, app=app)
            if number % 1000 == 0:
                typer.echo(f"{number} of {len(chosen)} …")
        typer.echo(f"{count}: {bridge.forgetting}")


def _lines(file: Path) -> list[str]:
    text = file.read_text(encoding="utf-8-sig")
    return [line.strip() for line in text.splitlines() if line.strip()]
