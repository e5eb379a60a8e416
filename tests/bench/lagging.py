"""`python -m bridge`, as it comes, and beside it a look at how long its event loop is ever blocked.

Every few milliseconds it should come by; by how much it is late is what something has blocked the loop
for. The longest of each half second is a line of the file that `BENCH_LAG_FILE` names.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import bridge.app
from bridge.cli import main

STEP_SECONDS = 0.004
_LINE_SECONDS = 0.5


async def _look(file: Path) -> None:
    longest, since = 0.0, time.perf_counter()
    while True:
        began = time.perf_counter()
        await asyncio.sleep(STEP_SECONDS)  # noqa: TID251 — real time is what is measured
        ended = time.perf_counter()
        longest = max(longest, ended - began - STEP_SECONDS)
        if ended - since >= _LINE_SECONDS:
            with file.open("a") as lines:
                lines.write(f"{1000 * longest:.2f}\n")
            longest, since = 0.0, ended


def _watched(running: Any) -> Any:
    @contextlib.asynccontextmanager
    async def watched(*given: Any, **named: Any) -> AsyncIterator[Any]:
        async with running(*given, **named) as served:
            looking = asyncio.create_task(_look(Path(os.environ["BENCH_LAG_FILE"])))
            try:
                yield served
            finally:
                looking.cancel()

    return watched


if __name__ == "__main__":
    bridge.app.running = _watched(bridge.app.running)
    main()
