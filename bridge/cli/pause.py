"""`pause` and `resume`: the brake. Tags go on, pushes are held."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from bridge.errors import BridgeError

if TYPE_CHECKING:
    from bridge.cli.service import Service

What = Annotated[str, typer.Argument(metavar="pushes|rule", help="All pushes, or those of a rule.")]
Name = Annotated[str | None, typer.Argument(metavar="[NAME]", help="The rule's name.")]


def pause(what: What, name: Name = None) -> None:
    """Stop pushes, or those of one rule, within a second. Tags go on; pushes are held.

    It stays so over restarts, until `resume`.

    \b
    Example:
      segment-bridge pause pushes
      segment-bridge pause rule vip-welcome
    """
    from bridge.cli.service import service

    target = _target(what, name)
    with service() as bridge:
        bridge.pause(target)
    typer.echo(
        f"Paused: {_named(target)}. Pushes are held until: segment-bridge resume {_again(what, name)}"
    )


def resume(what: What, name: Name = None) -> None:
    """Let pushes leave again, and release what was held because they were paused.

    \b
    Example:
      segment-bridge resume pushes
      segment-bridge resume rule vip-welcome
    """
    from bridge.cli.service import service

    target = _target(what, name)
    with service() as bridge:
        released = bridge.resume(target)
        typer.echo(f"Resumed: {_named(target)}. {released} released.")
        left, slowly = _held(bridge, name)
    if slowly:
        typer.echo(f"{slowly} leave little by little, as was said: segment-bridge held list")
    if left:
        typer.echo(f"{left} stay held for another reason: segment-bridge held list")


def _held(bridge: Service, rule: str | None) -> tuple[int, int]:
    """How many still are, and how many are on their way; none, too, when nobody says so any more: it is no part of what was asked."""
    import httpx

    asked = {"limit": 0} if rule is None else {"limit": 0, "rule": rule}
    try:
        found = bridge.piles("GET", "/api/v1/held", params=asked)
    except (BridgeError, httpx.HTTPError):
        return 0, 0
    held = sum(one["count"] for one in found["counts"])
    leaving = sum(one["left"] for one in found["releases"] if not one["paused"])
    return max(0, held - leaving), leaving


def _target(what: str, name: str | None) -> str:
    if what == "pushes" and name is None:
        return what
    if what == "rule" and name:
        return f"rule/{name}"
    raise typer.BadParameter("say `pushes`, or `rule` and its name")


def _named(target: str) -> str:
    return "all pushes" if target == "pushes" else f"pushes of the rule {target.partition('/')[2]}"


def _again(what: str, name: str | None) -> str:
    return what if name is None else f"{what} {name}"
