"""`status`: is all well, in one line."""

from __future__ import annotations

from typing import Annotated, Any

import typer


def status(
    as_json: Annotated[bool, typer.Option("--json", help="All of it, as one object.")] = False,
) -> None:
    """Say in one line whether all is well; exits 1 when it is not.

    Not well: a dead letter, a held push that is not being released, a pause, a closed gate, an event
    that waits for over 15 minutes, pushes that reach nobody, a silent source, a wrong clock, a nearly
    full disk, an edit that was refused, or no bridge that runs. --json has what to do about each.

    \b
    Example:
      segment-bridge status
    """
    import orjson

    from bridge.cli.service import service

    with service() as bridge:
        found = bridge.status()
    typer.echo(orjson.dumps(found).decode() if as_json else line(found))
    if not found["well"]:
        raise typer.Exit(1)


def line(status: dict[str, Any]) -> str:
    parts = ["well" if status["well"] else f"NOT WELL: {'; '.join(status['problems'])}"]
    if "events_per_minute" in status:
        parts.append(f"{status['events_per_minute']} events/min")
    parts.append(waiting(status))
    parts.append(f"{status['held']} held{_leaving(status)}, {status['dead']} dead")
    if "sources" in status:
        parts += _running(status)
    return " | ".join(parts)


def waiting(status: dict[str, Any]) -> str:
    oldest = f", the oldest for {_age(status['oldest_waiting_seconds'])}"
    return f"{status['pending']} waiting" + (oldest if status["pending"] else "")


def _leaving(status: dict[str, Any]) -> str:
    leaving = status.get("leaving", 0)
    return f" ({leaving} leaving little by little)" if leaving else ""


def gates(status: dict[str, Any]) -> str:
    shut = [one for one in status["gates"] if one["closed"] or one["held_seconds"] > 0]
    names = ", ".join(f"{one['app']}/{one['name']}" for one in shut)
    return f"gates shut: {names}" if names else "gates open"


def _running(status: dict[str, Any]) -> list[str]:
    heard = ", ".join(_heard(one, status["now_ms"]) for one in status["sources"])
    mappings = status["mappings"]
    revisions = dict.fromkeys(one["revision"] for one in mappings["sources"].values())
    parts = [
        gates(status),
        *(_calls(one) for one in status.get("calls_out", ())),
        f"last event: {heard}",
        f"mapping {mappings['version']} ({', '.join(revisions)})",
    ]
    if status["dry_run"]:
        parts.append("DRY RUN")
    if status["only_users"] is not None:
        parts.append(f"ONLY {status['only_users']} USERS")
    return parts


def _calls(out: dict[str, Any]) -> str:
    oldest = _age(out["oldest_seconds"])
    return f"calls out to {out['app']}: {out['count']}, the oldest for {oldest}"


def _heard(source: dict[str, Any], now_ms: int) -> str:
    last = source["last_ms"]
    ago = "none since the start" if last is None else f"{_age((now_ms - last) / 1000)} ago"
    return f"{source['source']} {ago}"


def _age(seconds: float) -> str:
    for size, unit in ((86_400, "d"), (3600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds / size:.0f} {unit}"
    return f"{max(0.0, seconds):.0f} s"
