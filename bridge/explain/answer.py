"""What is asked of `explain`, and the whole of the answer as JSON: `GET /api/v1/explain`, `--json`."""

from __future__ import annotations

from collections.abc import Mapping as Named
from dataclasses import asdict
from typing import Any

from bridge.config import App, Source
from bridge.explain.story import Around, stories
from bridge.journal.trace import Asked, Traces
from bridge.mapping.rules import Mapping

NEWEST = 20
"""Events that are told unless somebody asks for more."""
MOST = 500


def asked_of(
    user: str | None,
    message_id: str | None,
    limit: int,
    *,
    apps: Named[str, App],
    sources: Named[str, Source],
) -> Asked:
    return Asked(user, message_id, list(apps), list(sources), min(limit, MOST))


def answer_of(
    asked: Asked,
    traces: Traces,
    *,
    apps: Named[str, App],
    sources: Named[str, Source],
    mappings: Named[str, Mapping],
    now_ms: int,
) -> dict[str, Any]:
    """`events`, newest first, each with what became of it; `more`: there are older ones."""
    around = Around(
        now_ms=now_ms,
        mapping=mappings.get,
        app_id=lambda app: apps[app].app_id if app in apps else "",
        is_bulk=lambda source: source in sources and sources[source].bulk,
    )
    return {
        "user": asked.user,
        "message_id": asked.message_id,
        "now_ms": now_ms,
        "events": [asdict(story) for story in stories(traces, around)],
        "more": traces.more,
    }
