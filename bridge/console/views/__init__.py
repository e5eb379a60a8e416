"""What pages and the JSON API show alike: gathered here as values, by the one for people, by the other for programs.

::

    journal, mappings, counts ──> views ──┬──> web/…            pages
                                          └──> /api/v1/…        JSON

No HTML, no HTTP, and nobody is asked who they are: whoever calls says whether values of people are to be
hidden (`hides`). What has no class that looks at the journal is pure.
"""

from __future__ import annotations

from dataclasses import dataclass

from bridge.console.views.events import Events
from bridge.console.views.overview import Overview
from bridge.console.views.people import People
from bridge.console.views.rules import Rules
from bridge.console.views.trying import Trying
from bridge.console.views.waiting import Waiting


@dataclass(frozen=True, slots=True, kw_only=True)
class Views:
    """All of them, of one bridge: what they remember is remembered for pages and programs together."""

    rules: Rules
    overview: Overview
    events: Events
    people: People
    waiting: Waiting
    trying: Trying
