"""What people are shown of a running bridge, made once for its pages and its API."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING, Any

from bridge.app import people
from bridge.app.seeing import see
from bridge.console.views import Views
from bridge.console.views.events import Events
from bridge.console.views.overview import Overview
from bridge.console.views.people import People
from bridge.console.views.rules import Rules
from bridge.console.views.trying import Trying
from bridge.journal.recent import recent
from bridge.mapping.rules import Mapping
from bridge.rehearsal import newest

if TYPE_CHECKING:
    from bridge.app.bridge import Bridge


def views_of(bridge: Bridge) -> Views:
    events = Events(
        journal=bridge.journal,
        clock=bridge.clock,
        config=lambda: bridge.config,
        mappings=lambda: bridge.mappings,
    )
    return Views(
        rules=Rules(
            journal=bridge.journal,
            mappings=lambda: bridge.mappings,
            fresh=lambda: bridge.counting.fresh,
            paused=lambda: list(bridge.brake.pauses),
        ),
        overview=Overview(
            journal=bridge.journal,
            see=lambda: see(bridge),
            fresh=lambda: bridge.counting.fresh,
        ),
        events=events,
        people=People(
            journal=bridge.journal,
            config=lambda: bridge.config,
            events=events,
            written=partial(people.written, bridge),
            devices=partial(people.devices, bridge),
            ask=partial(people.ask, bridge),
        ),
        waiting=bridge.piles.waiting,
        trying=Trying(
            clock=bridge.clock,
            config=lambda: bridge.config,
            mappings=lambda: bridge.mappings,
            rehearse=partial(_rehearse, bridge),
        ),
    )


async def _rehearse(
    bridge: Bridge, source: str, mapping: Mapping, other: Mapping, number: int
) -> dict[str, Any]:
    """Of the newest so many events, what the other mapping would make of a source's."""
    kept = await bridge.journal.looks.look(lambda connection: list(recent(connection, number)))
    played = await asyncio.to_thread(newest.rehearse, kept, mapping, other, source=source)
    return newest.as_json(*played)
