"""`/api/v1/skipped`: what was not done because it was too old, and may still matter.

::

    GET  /api/v1/skipped           {"counts": [{"app", "rule", "reason", "count", "gone"}]}
    POST /api/v1/skipped/replay    {"rule", …, "dry_run"?}: it is planned again, and not for its age

`gone` are those of which the payload is no longer kept. A choice is as for `dead`; `rule` has to be
named, and the only reason there is is `too_old`: every other skip protects somebody.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from bridge.console.api import Accessible, answer, guarded, problem, who
from bridge.console.choosing import SAMPLE, asked, looked, no_reason, sought
from bridge.console.naming import Naming
from bridge.console.views.waiting import Waiting
from bridge.journal import Journal
from bridge.journal.piles import TOO_OLD, Choice, Skipped


@dataclass(slots=True, kw_only=True)
class SkippedApi:
    access: Accessible
    journal: Journal
    waiting: Waiting
    naming: Naming
    #: Of a choice; and who asks.
    replay: Callable[[Choice, str], Awaitable[int]]

    def routes(self) -> list[Route]:
        return [
            Route("/api/v1/skipped", guarded(self.access, "view", self._list), methods=["GET"]),
            Route(
                "/api/v1/skipped/replay",
                guarded(self.access, "operate", self._replay),
                methods=["POST"],
            ),
        ]

    async def _list(self, request: Request) -> Response:
        choice = await sought(request.query_params, self.naming)
        if isinstance(choice, Response):
            return choice
        if not _is_possible(choice):
            return no_reason(choice.reason, (TOO_OLD,))
        counts = await self.journal.piles.skipped_counts(choice)
        return answer(
            {
                "counts": [
                    {
                        "app": one.app,
                        "rule": one.rule,
                        "reason": TOO_OLD,
                        "count": one.kept,
                        "gone": one.gone,
                    }
                    for one in counts
                ]
            }
        )

    async def _replay(self, request: Request) -> Response:
        wanted = await asked(request, self.naming)
        if isinstance(wanted, Response):
            return wanted
        if not _is_possible(wanted.choice):
            return no_reason(wanted.choice.reason, (TOO_OLD,))
        choice = wanted.choice
        if choice.rule is None:
            return problem(400, "rule-missing", "Name the rule whose events are to be tried again.")
        if wanted.dry_run:
            return looked(await self.waiting.skipped(choice, sample=SAMPLE), summary)
        return answer({"replayed": await self.replay(choice, who(request))})


def _is_possible(choice: Choice) -> bool:
    return choice.reason in {None, TOO_OLD} and choice.ids is None


def summary(skipped: Skipped) -> dict[str, Any]:
    """A skip without whom it is about: safe for a list."""
    return {
        "app": skipped.app,
        "rule": skipped.rule,
        "operation": skipped.operation,
        "reason": TOO_OLD,
        "source": skipped.source,
        "message_id": skipped.message_id,
        "event": skipped.name,
        "event_ms": skipped.event_ms,
        "skipped_ms": skipped.at_ms,
    }
