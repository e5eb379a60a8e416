"""Many people's events, posted as signed batches; and what a bridge's process costs meanwhile."""

from __future__ import annotations

import hmac
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import httpx
import orjson

from bridge.clock import SystemClock
from tests.bench.events import SECRET
from tests.bench.processes import Served

BATCH = 200
_TRIES = 100
_CLOCK = SystemClock()


def batches(events: Iterable[dict[str, Any]], size: int = BATCH) -> Iterator[list[bytes]]:
    waiting = iter(events)
    while some := [orjson.dumps(one) for one in islice(waiting, size)]:
        yield some


def post(http: httpx.Client, some: list[bytes]) -> None:
    """A batch as Segment sends it, signed by its first event; sent again when it is asked for.

    Raises:
        SystemExit: it was not taken whole.
    """
    raw = b"[%b]" % b",".join(some)
    headers = {"x-signature": hmac.new(SECRET, some[0], "sha1").hexdigest()}
    answer = http.post("/v1/segment", content=raw, headers=headers)
    for _ in range(_TRIES):
        if answer.status_code != 503:
            break
        answer = http.post("/v1/segment", content=raw, headers=headers)
    if answer.status_code != 200 or answer.json()["accepted"] != len(some):
        raise SystemExit(f"the figures are worthless: {answer.status_code} {answer.text}")


def client(served: Served) -> httpx.Client:
    return httpx.Client(base_url=f"http://127.0.0.1:{served.port}", timeout=60, trust_env=False)


def post_all(served: Served, events: Iterable[dict[str, Any]]) -> None:
    with client(served) as http:
        for some in batches(events):
            post(http, some)


def pending(http: httpx.Client) -> int:
    """Events with something left to do, as the bridge itself counts them: while they are many, of some seconds ago."""
    for line in http.get("/metrics").text.splitlines():
        if line.startswith("bridge_pending "):
            return int(float(line.split()[1]))
    raise SystemExit("the bridge does not say what is pending")


def delivered(http: httpx.Client, rule: str) -> int:
    """Operations of a rule that OneSignal has accepted, and of which that is on disk, as of now."""
    for line in http.get("/metrics").text.splitlines():
        if line.startswith("bridge_rule_events_total{") and _tells(line, rule):
            return int(float(line.split()[-1]))
    return 0


def _tells(line: str, rule: str) -> bool:
    return f'rule="{rule}"' in line and 'outcome="delivered"' in line


def resident_mb(pid: int) -> float:
    """Memory of a process, in millions of bytes (Linux)."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024 / 1e6
    raise SystemExit(f"process {pid} is gone")


def wait(seconds: float) -> None:
    """Let real time pass: a benchmark measures it."""
    import threading

    threading.Event().wait(seconds)


def now() -> float:
    """Monotonic seconds."""
    return _CLOCK.monotonic()
