"""Very much waits, because OneSignal does not answer: what it costs those who send, look, and start again.

`tests.bench.backlog` measures it, in real processes. The long part, which writes its figures to standard
output::

    .venv/bin/python -m pytest tests/faults/test_deep.py -m long -s
"""

from __future__ import annotations

from typing import Any

import pytest

from tests.bench.backlog import measured
from tests.faults.invariants import MOST_RSS

pytestmark = pytest.mark.unchecked("what waits is not delivered: it would take longer than a day")

READY_SECONDS, PAGE_MS, CLAIM_MS = 5.0, 1000.0, 50.0
ACCEPT_RATIO = 0.5
"""Of how many events are taken in a second while nothing waits."""


def holds(figures: dict[str, Any]) -> None:
    """Everything is there, and nobody notices how much that is."""
    assert figures["pending"] == figures["pending_after_kill"] == figures["events"]
    assert figures["rss_mb"] * 1e6 < MOST_RSS
    assert figures["rss_mb_after_restart"] * 1e6 < MOST_RSS
    assert figures["ready_after_kill_s"] < READY_SECONDS
    assert figures["slowest_page_ms"] < PAGE_MS, figures["slowest_page"]
    assert figures["claim_p99_ms"] < CLAIM_MS
    assert figures["accept_ratio"] >= ACCEPT_RATIO


@pytest.mark.slow
def test_what_waits_is_in_nobodys_way() -> None:
    holds(measured(12_000, 6_000))


@pytest.mark.long
def test_a_million_that_wait_are_in_nobodys_way() -> None:
    figures = measured(1_000_000, 40_000)
    print(f"\n{figures}")  # noqa: T201 — its figures are what it is run for
    holds(figures)
