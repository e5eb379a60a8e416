"""What is asked of `explain`, and the whole of the answer as JSON: `GET /api/v1/explain`, `--json`."""

from __future__ import annotations

from collections.abc import Mapping as Named
from dataclasses import asdict
from typing import Any

from bridge.config import IMPORT, App, Source
from bridge.explain.hiding import hidden_story
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
    mappings: Named[str, Mapping],
    hides: bool = False,
) -> Asked:
    """`hides`: who asks about a user does not hear that the user was erased, or is being."""
    names = list(dict.fromkeys([*sources, IMPORT]))
    labels = {one.anonymous_label for one in mappings.values() if one.anonymous == "alias"}
    most = min(limit, MOST)
    return Asked(
        user,
        message_id,
        list(apps),
        names,
        most,
        labels=sorted(labels),
        erasures=user is None or not hides,
    )


def answer_of(
    asked: Asked,
    traces: Traces,
    *,
    apps: Named[str, App],
    sources: Named[str, Source],
    mappings: Named[str, Mapping],
    now_ms: int,
    hides: bool = False,
) -> dict[str, Any]:
    """`events`, newest first, each with what became of it; `more`: there are older ones; `erased`: the user was.

    `hides`: who asks may not see what customers are called or say.
    """
    around = Around(
        now_ms=now_ms,
        mapping=lambda source: _mapping_of(source, mappings),
        app_id=lambda app: apps[app].app_id if app in apps else "",
        is_bulk=lambda source: source == IMPORT or (source in sources and sources[source].bulk),
        hides=hides,
    )
    told = [asdict(story) for story in stories(traces, around)]
    return {
        "user": asked.user,
        "message_id": asked.message_id,
        "now_ms": now_ms,
        "events": [hidden_story(one) for one in told] if hides else told,
        "more": traces.more,
        "erased": [one._asdict() for one in traces.erased],
    }


def _mapping_of(source: str, mappings: Named[str, Mapping]) -> Mapping | None:
    """The rows of an import have the mapping of the only source, unless they have one of their own."""
    only = next(iter(mappings.values())) if source == IMPORT and len(mappings) == 1 else None
    return mappings.get(source, only)
