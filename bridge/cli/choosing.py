"""What `dead`, `held` and `replay` share: which of a pile is meant, and asking before anything happens."""

from __future__ import annotations

import functools
import inspect
import re
from collections.abc import Callable
from inspect import Parameter
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from bridge.cli.service import Service

Rule = Annotated[str | None, typer.Option(help="Only this rule.")]
Reason = Annotated[str | None, typer.Option(help="Only this reason.")]
User = Annotated[str | None, typer.Option(help="Only of this user (Segment's userId).")]
App = Annotated[str | None, typer.Option(help="Only of this app.")]
Since = Annotated[
    str | None,
    typer.Option(
        help="Only since then: so long ago (2h), or an ISO time such as 2026-05-01T08:00Z."
    ),
]
Until = Annotated[str | None, typer.Option(help="Only until then, written like --since.")]
Everything = Annotated[bool, typer.Option("--all", help="All there are.")]
Ids = Annotated[list[int] | None, typer.Argument(metavar="[ID]...")]
Keys = Annotated[list[str] | None, typer.Argument(metavar="[KEY]...")]
Yes = Annotated[bool, typer.Option("--yes", help="Do not ask.")]
Json = Annotated[bool, typer.Option("--json", help="One object for each.")]

Choice = dict[str, Any]
"""As the API takes it."""

_UNITS = {"s": 1, "m": 60, "min": 60, "h": 3600, "d": 86_400, "w": 604_800}
_DURATION = re.compile(r"(\d{1,6})\s*(s|m|min|h|d|w)")
_FILTERS: dict[str, Any] = {
    "reason": Reason,
    "rule": Rule,
    "user": User,
    "since": Since,
    "until": Until,
    "app": App,
}


def options(
    *names: str, ids: Any = None, acts: bool = False, **other: Any
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Gives a command the filters by which some of a pile are chosen; it is called with their `choice`.

    Args:
        names: those of the filters that it has; none named: all of them.
        ids: what names single ones, when they can be named.
        acts: whoever names nothing has to say --all.
        other: filters whose help is the command's own.
    """
    filters: dict[str, Any] = {name: _FILTERS[name] for name in names or _FILTERS} | other
    named = ({"ids": ids} if ids is not None else {}) | filters

    def give(command: Callable[..., None]) -> Callable[..., None]:
        own = inspect.signature(command, eval_str=True).parameters.values()

        @functools.wraps(command)
        def choosing(**given: Any) -> None:
            choice = chosen(**{name: given.pop(name) for name in named})
            if acts:
                need_a_choice(choice, everything=given.pop("everything"))
            command(choice=choice, **given)

        parameters = [
            *(_option(name, one, default=None) for name, one in named.items()),
            *([_option("everything", Everything, default=False)] if acts else []),
            *(one.replace(kind=Parameter.KEYWORD_ONLY) for one in own if one.name != "choice"),
        ]
        choosing.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]  # typer reads it of any function
        choosing.__annotations__ = {one.name: one.annotation for one in parameters}
        return choosing

    return give


def _option(name: str, annotation: Any, *, default: Any) -> Parameter:
    return Parameter(name, Parameter.KEYWORD_ONLY, default=default, annotation=annotation)


def chosen(*, since: str | None = None, until: str | None = None, **named: Any) -> Choice:
    """The choice that the options make.

    Raises:
        typer.BadParameter: a time is none.
    """
    times = {"since_ms": moment(since, "--since"), "until_ms": moment(until, "--until")}
    return {name: value for name, value in (named | times).items() if value not in (None, [])}


def need_a_choice(choice: Choice, *, everything: bool) -> None:
    if not (choice or everything):
        raise typer.BadParameter("say which: --rule, --reason, --user, --since …, or --all")


def moment(text: str | None, option: str) -> int | None:
    """So long ago, or an ISO time, in milliseconds since 1970."""
    from datetime import UTC, datetime

    from bridge.clock import SystemClock

    if text is None:
        return None
    ago = _DURATION.fullmatch(text.strip().removesuffix("ago").strip())
    if ago is not None:
        return SystemClock().now_ms() - int(ago[1]) * _UNITS[ago[2]] * 1000
    try:
        found = datetime.fromisoformat(text.strip())
    except ValueError:
        raise typer.BadParameter(
            f"{option} is a time ago (30m, 2h, 3d) or an ISO time, not {text}"
        ) from None
    # A time without a zone is taken as UTC, which is what everything here is printed in.
    return round((found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp() * 1000)


Row = Callable[[dict[str, Any]], str]
"""How one of a pile is shown in a line."""


def act(path: str, body: dict[str, Any], *, row: Row, question: str, yes: bool) -> dict[str, Any]:
    """Show how many it is about and three of them, ask, and do it; what came of it, nothing when it was not done."""
    from bridge.cli.service import service

    with service() as bridge:
        agreed = _agreed(bridge, path, body, row=row, question=question, yes=yes)
        return {} if agreed is None else bridge.piles("POST", path, json=agreed)


def more(path: str, body: dict[str, Any]) -> int:
    """How many have come meanwhile."""
    from bridge.cli.service import ServiceError, service
    from bridge.console.naming import CODES

    with service() as bridge:
        try:
            return int(bridge.piles("POST", path, json=body | {"dry_run": True})["count"])
        except ServiceError as error:
            if error.code in CODES:  # it was known by what waited, which has gone
                return 0
            raise


def _agreed(
    bridge: Service, path: str, body: dict[str, Any], *, row: Row, question: str, yes: bool
) -> dict[str, Any] | None:
    """The body with which to act, or None.

    What comes to be in the pile between the question and the answer is not what was asked about.
    """
    found = bridge.piles("POST", path, json=body | {"dry_run": True})
    count = found["count"]
    typer.echo(f"{count} chosen" + (", among them:" if count else "."))
    for one in found["sample"]:
        typer.echo(f"  {row(one)}")
    if found.get("gone"):
        typer.echo(f"{found['gone']} more cannot be planned: their payload is no longer kept.")
    if count == 0 or not (yes or typer.confirm(f"{question} {count}?")):
        return None
    return body | {"until_ms": found["until_ms"]}


def when(ms: int) -> str:
    from datetime import UTC, datetime

    return datetime.fromtimestamp(ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S")


def as_json(value: Any) -> str:
    import orjson

    return orjson.dumps(value).decode()


def shown(value: Any) -> str:
    """For reading."""
    import orjson

    return orjson.dumps(value, option=orjson.OPT_INDENT_2).decode()
