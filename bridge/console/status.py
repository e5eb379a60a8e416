"""`/api/v1/status` and `/api/v1/mappings`: is all well, and what is in force.

`well` is what a person would call so: nothing waits for a person (what a person has let go little by
little does not), nothing waits for long, OneSignal answers, and what was edited is in force. `causes` says why not, and what to do; see `bridge.alerts`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from bridge.alerts.causes import Cause, Seen, causes
from bridge.config.reload import Reloader
from bridge.console.api import Accessible, answer, guarded
from bridge.errors import Finding
from bridge.journal import Journal

EARLIER = 20
"""Versions of mappings that are told."""


@dataclass(slots=True, kw_only=True)
class StatusApi:
    access: Accessible
    #: Looks at the bridge.
    see: Callable[[], Awaitable[Seen]]
    reloader: Reloader
    journal: Journal

    def routes(self) -> list[Route]:
        return [
            Route("/api/v1/status", guarded(self.access, "view", self._status), methods=["GET"]),
            Route(
                "/api/v1/mappings", guarded(self.access, "view", self._mappings), methods=["GET"]
            ),
        ]

    async def _mappings(self, _: Request) -> Response:
        earlier = [one._asdict() for one in await self.journal.looks.revisions(EARLIER)]
        return answer(in_force(self.reloader) | {"earlier": earlier})

    async def _status(self, _: Request) -> Response:
        seen = await self.see()
        restraint = self.reloader.config.restraint
        return answer(
            at_this_moment(seen, list(causes(seen)))
            | {
                "mappings": in_force(self.reloader),
                "dry_run": restraint.dry_run,
                "only_users": None if restraint.only is None else len(restraint.only),
            }
        )


def at_this_moment(seen: Seen, found: Sequence[Cause]) -> dict[str, Any]:
    """A bridge that was looked at, and what of it is not well."""
    return {
        "well": not found,
        "problems": [one.words for one in found],
        "causes": [{"key": one.key, "words": one.words, "todo": one.todo} for one in found],
        "now_ms": seen.now_ms,
        "unready": seen.unready,
        "events_per_minute": sum(one.per_minute for one in seen.sources),
        "pending": seen.pending,
        "oldest_waiting_seconds": seen.oldest_seconds,
        "waiting_for_nobody": seen.left_behind,
        "held": sum(one.count for one in seen.held),
        "leaving": sum(one.leaving for one in seen.held),
        "dead": sum(seen.dead.values()),
        "gates": [asdict(gate) for gate in seen.gates],
        "calls_out": [asdict(one) for one in seen.calls_out],
        "paused": [one.what for one in seen.paused],
        "sources": [asdict(source) for source in seen.sources],
    }


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
