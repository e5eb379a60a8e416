"""`segment-bridge` with a planner that one event breaks, the way that the first argument says."""

from __future__ import annotations

import asyncio
import os
import re
import resource
import sys
import threading
from functools import partial
from pathlib import Path
from typing import Any

from bridge.cli import main
from bridge.deliver import chain, watchdog
from bridge.journal.sqlite import SqliteJournal

POISON = "Poison"


def leave() -> None:
    os._exit(9)


def hang() -> None:
    threading.Event().wait()


def hang_in_c() -> None:
    re.match(r"(a+)+$", "a" * 60 + "b")


def eat() -> None:
    """Two gigabytes, where this process may have one more."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    most = pages * resource.getpagesize() + 1_000_000_000
    resource.setrlimit(resource.RLIMIT_AS, (most, resource.RLIM_INFINITY))
    bytearray(2_000_000_000)


WAYS = {
    "leave": leave,
    "hang": hang,
    "hang-at-start": hang,
    "hang-in-c": hang_in_c,
    "eat": eat,
}


async def counts_never_come(_: SqliteJournal) -> Any:
    """What is asked for on the way to serving: the delivery is at work meanwhile."""
    await asyncio.Event().wait()


def break_planner(way: str) -> None:
    planned = vars(chain)["plan"]

    def plan(event: Any, *more: Any, **named: Any) -> Any:
        if getattr(event, "name", None) == POISON:
            WAYS[way]()
        return planned(event, *more, **named)

    vars(chain)["plan"] = plan


if __name__ == "__main__":
    asked = sys.argv.pop(1)
    break_planner(asked)
    if asked == "hang-at-start":
        setattr(SqliteJournal, "counts", counts_never_come)  # noqa: B010 — to mypy it is no method
    # A test does not wait half a minute for each end.
    watchdog.Watchdog = partial(  # type: ignore[assignment, misc]
        watchdog.Watchdog, standing=2.0, cautious=1.0, look=0.25, last_resort=3.0
    )
    main()
