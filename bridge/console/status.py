"""`/api/v1/status` and `/api/v1/mappings`: is all well, and what is in force.

`well` is what a person would call so: nothing waits for a person, nothing waits for long, OneSignal
answers, and what was edited is in force.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from bridge.clock import Clock
from bridge.config import Config
from bridge.config.reload import Reloader
from bridge.console.api import answer, guarded
from bridge.errors import Finding
from bridge.journal import Journal

LONG_SECONDS = 15 * 60
"""What waits longer is not well, and a gate that is held for longer than a minute neither."""
_HELD_SECONDS = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class GateState:
    app: str
    name: str
    #: Why it lets only one call at a time through; None: it is open.
    closed: str | None
    held_seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceState:
    source: str
    app: str
    per_minute: int
    #: None: nothing since the start.
    last_ms: int | None


@dataclass(slots=True, kw_only=True)
class StatusApi:
    token: bytes | None
    journal: Journal
    clock: Clock
    reloader: Reloader
    unready: Callable[[], str | None]
    gates: Callable[[], list[GateState]]
    sources: Callable[[], list[SourceState]]
    #: What the brake stops: `pushes`, `rule/NAME`.
    paused: Callable[[], list[str]]

    def routes(self) -> list[Route]:
        return [
            Route("/api/v1/status", guarded(self.token, self._status), methods=["GET"]),
            Route("/api/v1/mappings", guarded(self.token, self._mappings), methods=["GET"]),
        ]

    async def _mappings(self, _: Request) -> Response:
        return answer(in_force(self.reloader))

    async def _left_behind(self) -> dict[str, int]:
        return left_behind(await self.journal.pending_apps(), self.reloader.config)

    async def _status(self, _: Request) -> Response:
        counts = await self.journal.counts()
        oldest = 0 if counts.oldest_ms is None else self.clock.now_ms() - counts.oldest_ms
        restraint = self.reloader.config.restraint
        status = {
            "now_ms": self.clock.now_ms(),
            "unready": self.unready(),
            "events_per_minute": sum(one.per_minute for one in self.sources()),
            "pending": counts.pending,
            "oldest_waiting_seconds": max(0, oldest) / 1000,
            "waiting_for_nobody": await self._left_behind(),
            "held": counts.held,
            "dead": counts.dead,
            "gates": [asdict(gate) for gate in self.gates()],
            "paused": self.paused(),
            "sources": [asdict(source) for source in self.sources()],
            "mappings": in_force(self.reloader),
            "dry_run": restraint.dry_run,
            "only_users": None if restraint.only is None else len(restraint.only),
        }
        problems = list(problems_of(status))
        return answer({"well": not problems, "problems": problems} | status)


def left_behind(waiting: dict[str, int], config: Config) -> dict[str, int]:
    """How many events wait for each app that is not configured any more."""
    return {app: count for app, count in waiting.items() if app not in config.apps}


def problems_of(status: dict[str, Any]) -> Iterator[str]:
    """Why a person should look, the gravest first."""
    if status["unready"]:
        yield f"unready: {status['unready']}"
    if not status["dry_run"]:
        yield from (told for gate in status["gates"] if (told := _gate(gate)) is not None)
        if status["oldest_waiting_seconds"] > LONG_SECONDS:
            yield f"the oldest event waits for {status['oldest_waiting_seconds'] / 60:.0f} minutes"
    for app, count in status["waiting_for_nobody"].items():
        yield f"{count} events wait for app {app}, which is not configured"
    yield from (f"paused: {what}" for what in status["paused"])
    yield from (f"{status[what]} {what}" for what in ("held", "dead") if status[what])
    yield from _edits(status["mappings"])


def _edits(mappings: dict[str, Any]) -> Iterator[str]:
    """What was edited and is not in force."""
    refused = mappings["last_refused"]
    if refused is not None:
        errors = [one for one in refused["findings"] if one["level"] == "error"]
        more = f" (and {len(errors) - 1} more)" if len(errors) > 1 else ""
        yield f"an edit was refused: {_refused(errors[0])}{more}"
    if mappings["restart"]:
        yield f"restart needed: {', '.join(mappings['restart'])}"


def _refused(finding: dict[str, Any]) -> str:
    """The first thing that is wrong, with the place where it is to be mended."""
    parts = (finding[part] for part in ("file", "line", "column"))
    place = ":".join(str(part) for part in parts if part is not None)
    return f"{finding['code']}, {finding['message']}{' at ' if place else ''}{place}"


def _gate(gate: dict[str, Any]) -> str | None:
    named = f"gate {gate['app']}/{gate['name']}"
    if gate["closed"] is not None:
        return f"{named} closed: {gate['closed']}"
    if gate["held_seconds"] > _HELD_SECONDS:
        return f"{named} held for {gate['held_seconds']:.0f} s"
    return None


def in_force(reloader: Reloader) -> dict[str, Any]:
    """What is loaded, since when, and the edit that was refused."""
    record = reloader.record
    refused = record.last_refused
    return {
        "version": record.version,
        "loaded_ms": record.loaded_ms,
        "sources": {
            source: {
                "revision": one.revision,
                "files": list(one.files),
                "rules": [rule.name for rule in one.rules],
            }
            for source, one in reloader.mappings.items()
        },
        "warnings": [_finding(one) for one in record.warnings],
        "last_refused": None
        if refused is None
        else {"at_ms": refused.at_ms, "findings": [_finding(one) for one in refused.findings]},
        "restart": list(record.restart),
    }


def _finding(finding: Finding) -> dict[str, Any]:
    return asdict(finding)
