"""`/api/v1/rules`: of every rule what it did, why it does nothing, and the push that it would send.

::

    GET /api/v1/rules?since_ms=…    {"since_ms", "rules": [in the order of the mappings]}

Without `since_ms` it is since midnight, UTC. `hours` are events that met the rule in each of the last 24
hours, the newest last.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from bridge.clock import Clock
from bridge.console.api import Accessible, answer, guarded, moment, person_of, problem
from bridge.console.views.cards import Card, Never
from bridge.console.views.rules import Rules
from bridge.console.views.words import reason
from bridge.journal.tallies import DAY_MS


@dataclass(slots=True, kw_only=True)
class RulesApi:
    access: Accessible
    clock: Clock
    rules: Rules

    def routes(self) -> list[Route]:
        return [Route("/api/v1/rules", guarded(self.access, "view", self._list), methods=["GET"])]

    async def _list(self, request: Request) -> Response:
        now_ms = self.clock.now_ms()
        since_ms = moment(request.query_params.get("since_ms", str(now_ms // DAY_MS * DAY_MS)))
        if since_ms is None:
            return problem(400, "time-invalid", "`since_ms` is in milliseconds since 1970.")
        hides = not person_of(request).may("operate")
        cards = await self.rules.cards(since_ms=since_ms, now_ms=now_ms, hides=hides)
        return answer({"since_ms": since_ms, "rules": [told(card) for card in cards]})


def told(card: Card) -> dict[str, Any]:
    return {
        "rule": card.rule.name,
        "sources": card.sources,
        "does": card.does,
        "on": card.on,
        "condition": card.rule.condition.text,
        "pushes": card.pushes,
        "paused": card.paused,
        "matched": card.met,
        "pushed": card.pushed,
        "written": card.written,
        "custom_events": card.tracked,
        "no_recipients": card.nobody,
        "dead": card.dead,
        "held": card.held,
        "skipped": [
            {"reason": name, "count": count, "words": reason(name)} for name, count in card.skipped
        ],
        "hours": card.hours,
        "never_matched": card.never and _never(card.never),
        "never_found": [{"path": path, "events": looked} for path, looked in card.missing],
        "push": card.push and asdict(card.push),
        "push_from": card.drawn_from,
    }


def _never(never: Never) -> dict[str, Any]:
    near = never.near and {"wanted": never.near[0], "heard": never.near[1]}
    return {"wants": list(never.wants), "is_heard": never.heard, "nearest": near}
