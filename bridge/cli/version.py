"""`--version`: which version of the bridge this is."""

from __future__ import annotations

from typing import Annotated

import typer

from bridge import __version__


def _tell(asked: bool) -> None:
    if asked:
        typer.echo(f"segment-bridge {__version__}")
        raise typer.Exit


Version = Annotated[
    bool,
    typer.Option("--version", callback=_tell, is_eager=True, help="Which version it is, and exit."),
]


def whole(version: Version = False) -> None:
    """Carries Segment events to OneSignal, and remembers every one."""
