"""`held`: pushes that wait for a person, because of a rule's limit or the brake."""

from __future__ import annotations

import re
from typing import Annotated, Any

import typer

from bridge.cli import choosing
from bridge.cli.choosing import Choice, Json, Keys, Yes

app = typer.Typer(
    help="Held pushes: list them, look at one, release them, discard them.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

Reason = Annotated[str | None, typer.Option(help="Only this reason: limit, paused or ios_reached.")]
Rate = Annotated[
    str | None, typer.Option(help="Little by little: 500/m is 500 a minute, 10/s ten a second.")
]
_LISTED = 20
_PER_MINUTE = {"s": 60.0, "m": 1.0, "min": 1.0, "h": 1 / 60}


@app.command("list")
@choosing.options(reason=Reason)
def list_(choice: Choice, as_json: Json = False) -> None:
    """Show how many are held, by rule and reason, what is being released, and the oldest of them.

    \b
    Example:
      segment-bridge held list
    """
    from bridge.cli.service import service

    with service() as bridge:
        found = bridge.piles("GET", "/api/v1/held", params=choice | {"limit": _LISTED})
    if as_json:
        for one in found["counts"]:
            typer.echo(choosing.as_json(one))
        return
    for one in found["counts"]:
        typer.echo(_count(one))
    for one in found["releases"]:
        typer.echo(_release(one))
    for one in found["held"]:
        typer.echo(f"  {_row(one)}")
    total = sum(one["count"] for one in found["counts"])
    leaving = min(total, sum(one["left"] for one in found["releases"] if not one["paused"]))
    on_their_way = f", {leaving} of them on their way" if leaving else ""
    if 0 < leaving == total:
        more = " segment-bridge held hold --rule NAME stops them."
    else:
        more = _way_out({one["reason"] for one in found["counts"]})
    typer.echo(f"{total} held{on_their_way}.{more}")


def _way_out(reasons: set[str]) -> str:
    """What lets them go, by why they are held."""
    if not reasons:
        return ""
    if reasons == {"paused"}:
        return " segment-bridge resume pushes, or rule NAME, lets them go."
    paused = "; what is paused leaves when it is resumed" if "paused" in reasons else ""
    return f" segment-bridge held release --rule NAME lets them go{paused}."


@app.command()
def show(key: Annotated[str, typer.Argument(metavar="KEY")]) -> None:
    """Show one with its event and what would be sent. It may contain personal data.

    \b
    Example:
      segment-bridge held show 6f1d1c0e-5d6a-5e0b-9b57-0a4f1f1f9c11
    """
    from urllib.parse import quote

    from bridge.cli.service import service

    with service() as bridge:
        found = bridge.piles("GET", f"/api/v1/held/{quote(key, safe='')}")
    typer.echo(choosing.shown(found))


@app.command()
@choosing.options(ids=Keys, acts=True, reason=Reason)
def release(choice: Choice, rate: Rate = None, yes: Yes = False) -> None:
    """Let held pushes go, oldest first, however old they are. Re-arms the rule's limit.

    What is paused leaves when it is resumed, and not before. Says how many there are and shows three before it asks; what comes to be held until it is done
    is asked about afterwards, because the rule stays held while anything of it is. With --rate they
    go little by little, also over restarts, until `held hold` stops it; what comes meanwhile stays.

    \b
    Example:
      segment-bridge held release --rule vip-welcome --rate 500/m
    """
    slowly = {} if rate is None else {"per_minute": per_minute(rate)}
    body, path = choice | slowly, "/api/v1/held/release"
    done = choosing.act(path, body, row=_row, question="Release", yes=yes)
    if "releasing" in done:
        then = ", as soon as they are resumed" if done["paused"] else ""
        typer.echo(f"{done['releasing']} are released, {done['per_minute']} a minute{then}.")
    elif done:
        typer.echo(f"{done['released']} released.")
        _with_the_latest(path, choice, yes=yes)


def _with_the_latest(path: str, choice: Choice, *, yes: bool) -> None:
    """What came to be held while the others were asked about: all of it, until none is left."""
    from bridge.cli.service import service

    count = 0 if "ids" in choice else choosing.more(path, choice)
    if count and (yes or typer.confirm(f"{count} more came to be held. Release them, too?")):
        with service() as bridge:
            done = bridge.piles("POST", path, json=choice)
        typer.echo(f"{done['released']} more released, which came to be held meanwhile.")


@app.command()
@choosing.options("rule", "app", acts=True, reason=Reason)
def hold(choice: Choice, yes: Yes = False) -> None:  # noqa: ARG001 — it asks nothing, and takes what its neighbours take
    """Stop what is released little by little; what has not left stays held. Does not ask.

    \b
    Example:
      segment-bridge held hold --rule vip-welcome
    """
    from bridge.cli.service import service

    with service() as bridge:
        stopped = bridge.piles("POST", "/api/v1/held/hold", json=choice)["stopped"]
    if not stopped:
        typer.echo("Nothing was leaving little by little.")
        return
    what = "1 release" if stopped == 1 else f"{stopped} releases"
    typer.echo(f"{what} stopped: what has not left yet is held until it is released again.")


@app.command()
@choosing.options(ids=Keys, acts=True, reason=Reason)
def discard(choice: Choice, yes: Yes = False) -> None:
    """End held pushes, unsent. Re-arms the rule's limit.

    Says how many there are and shows three before it asks.

    \b
    Example:
      segment-bridge held discard --rule flash-sale
    """
    done = choosing.act("/api/v1/held/discard", choice, row=_row, question="Discard", yes=yes)
    if done:
        typer.echo(f"{done['discarded']} discarded.")


def per_minute(rate: str) -> int:
    """How many a minute a rate such as 500/m is.

    Raises:
        typer.BadParameter: it is none, or less than one a minute.
    """
    found = re.fullmatch(r"(\d{1,6})\s*/\s*(s|m|min|h)", rate.strip())
    many = 0 if found is None else round(int(found[1]) * _PER_MINUTE[found[2]])
    if many < 1:
        raise typer.BadParameter(f"--rate is like 500/m, and at least one a minute, not {rate}")
    return many


def _count(one: dict[str, Any]) -> str:
    return f"{one['count']:>8}  {one['reason']:<8} {one['app']:<16} {one['rule']}"


def _release(one: dict[str, Any]) -> str:
    minutes = -(-one["left"] // one["per_minute"])
    then = ", as soon as it is resumed" if one["paused"] else ""
    return (
        f"releasing {one['rule']} ({one['reason']}, {one['app']}): {one['per_minute']} a minute,"
        f" {one['left']} left, for {minutes} min{then}"
    )


def _row(one: dict[str, Any]) -> str:
    written = choosing.when(one["written_ms"])
    return f"{written}  {one['rule']:<24} {one['message_id']:<24} {one['key']}"
