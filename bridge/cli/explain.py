"""`explain`: why somebody did or did not get a push, from the event to OneSignal's answer."""

from __future__ import annotations

from typing import Annotated

import typer

NEWEST = 20


def explain(
    user: Annotated[
        str | None, typer.Option(help="A user, by the External ID: Segment's userId.")
    ] = None,
    message_id: Annotated[str | None, typer.Option(help="An event, by its messageId.")] = None,
    limit: Annotated[
        int, typer.Option(help="With --user: the newest so many events.", min=1, max=500)
    ] = NEWEST,
    payload: Annotated[
        bool, typer.Option("--payload", help="Show the events as they came.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="All of it, as one object.")] = False,
) -> None:
    """Tell what became of a user's newest events, or of one: what was asked, answered, not done and why.

    Shows personal data: what was sent to OneSignal for this person. Changes and sends nothing.

    \b
    Example:
      segment-bridge explain --user u-4711
      segment-bridge explain --message-id ajs-7a1c --json
    """
    if bool(user) is bool(message_id):
        raise typer.BadParameter("name --user or --message-id")
    import orjson

    from bridge.cli.service import service

    with service(looks=True) as bridge:
        found = bridge.explain(user=user, message_id=message_id, limit=limit)
    if as_json:
        typer.echo(orjson.dumps(found).decode())
    else:
        from rich.console import Console

        from bridge.cli.explaining import print_stories

        print_stories(found, Console(), payload=payload)
    if not (found["events"] or found.get("erased")):
        raise typer.Exit(1)
