"""`dead`: what could not be done, and doing it again."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bridge.cli import choosing
from bridge.cli.choosing import Choice, Ids, Json, Yes

if TYPE_CHECKING:
    from bridge.cli.service import Service

app = typer.Typer(
    help="Dead letters: list them, look at one, replay them, discard them.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

Replan = Annotated[
    bool,
    typer.Option(
        "--replan",
        help="Plan pushes with today's mapping. What may have been sent is sent as it was.",
    ),
]


_NOT = {
    "no_events": "what was sent is no event",
    "forgotten": "they may have been sent, and after 30 days OneSignal would not know a repeat; discard them",
}
"""Why some are not replayed."""
_AT_A_GLANCE = 10
"""More of them are summed up by reason and rule."""


@app.command("list")
@choosing.options()
def list_(choice: Choice, as_json: Json = False) -> None:
    """Show what is dead, newest last.

    \b
    Example:
      segment-bridge dead list --reason http_400 --since 2h
    """
    from bridge.cli.service import service

    counts: Counter[tuple[str, str]] = Counter()
    with service() as bridge:
        for letter in _letters(bridge, choice):
            counts[letter["reason"], letter["rule"]] += 1
            typer.echo(choosing.as_json(letter) if as_json else _row(letter))
    if not as_json:
        _sum_up(counts)


def _sum_up(counts: Counter[tuple[str, str]]) -> None:
    if (count := counts.total()) > _AT_A_GLANCE:
        for (reason, rule), number in counts.most_common():
            typer.echo(f"{number:>6}  of them {reason} of {rule or 'no rule'}")
    typer.echo(f"{count} dead. segment-bridge dead show ID shows one." if count else "0 dead.")


def _letters(bridge: Service, choice: Choice) -> Iterator[dict[str, Any]]:
    after: int | None = 0
    while after is not None:
        page = bridge.piles("GET", "/api/v1/dead", params=choice | {"after": after})
        yield from page["dead"]
        after = page["next"]


@app.command()
def show(dead_id: Annotated[int, typer.Argument(metavar="ID")]) -> None:
    """Show one with its event, the request and the answer. It may contain personal data.

    \b
    Example:
      segment-bridge dead show 7
    """
    from bridge.cli.service import service

    with service() as bridge:
        typer.echo(choosing.shown(bridge.piles("GET", f"/api/v1/dead/{dead_id}")))


@app.command()
@choosing.options(ids=Ids, acts=True)
def replay(choice: Choice, replan: Replan = False, yes: Yes = False) -> None:
    """Try dead operations again: updates planned anew, pushes as they were written.

    Each is replayed once, however often it is asked for. Says how many there are and shows three
    before it asks.

    \b
    Example:
      segment-bridge dead replay --reason http_400 --rule order-shipped --replan
    """
    body = choice | {"replan": replan}
    done = choosing.act("/api/v1/dead/replay", body, row=_row, question="Replay", yes=yes)
    if done:
        typer.echo(f"{done['replayed']} replayed.")
    for name, why in _NOT.items():
        if done.get(name):
            typer.echo(f"{done[name]} not: {why}.", err=True)
    if any(done.get(name) for name in _NOT):
        raise typer.Exit(1)


@app.command()
@choosing.options(ids=Ids, acts=True)
def discard(choice: Choice, yes: Yes = False) -> None:
    """End dead operations for good.

    Says how many there are and shows three before it asks.

    \b
    Example:
      segment-bridge dead discard --rule flash-sale
    """
    done = choosing.act("/api/v1/dead/discard", choice, row=_row, question="Discard", yes=yes)
    if done:
        typer.echo(f"{done['discarded']} discarded.")


def _row(letter: dict[str, Any]) -> str:
    died = choosing.when(letter["died_ms"])
    what = f"{letter['rule'] or '-'}/{letter['operation'] or 'event'}"
    return f"{letter['id']:>6}  {died}  {letter['reason']:<18} {what:<36} {letter['message_id']}"
