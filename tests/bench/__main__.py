"""Benchmarks: `python -m tests.bench NAME`; lines for people, and one JSON object last."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from typing import Any

import orjson

from tests.bench.accept import accept, accept_batch
from tests.bench.backlog import backlog
from tests.bench.console import console
from tests.bench.drain import drain
from tests.bench.live import live
from tests.bench.plan import plan
from tests.bench.push import push
from tests.bench.reload import reload
from tests.bench.trace import trace

Benchmark = Callable[[float, int, int | None], dict[str, Any]]
BENCHMARKS: dict[str, Benchmark] = {
    "accept": accept,
    "accept-batch": accept_batch,
    "plan": plan,
    "push": push,
    "drain": drain,
    "trace": trace,
    "live": live,
    "backlog": backlog,
    "reload": reload,
    "console": console,
}


def main() -> None:
    """Run one benchmark."""
    asked = _arguments()
    figures = BENCHMARKS[asked.name](asked.seconds, asked.rounds, asked.connections)
    if not asked.json:
        for line in _lines(figures):
            sys.stdout.write(f"{line}\n")
    sys.stdout.write(orjson.dumps({"benchmark": asked.name} | figures).decode() + "\n")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("name", choices=list(BENCHMARKS))
    parser.add_argument("--seconds", type=float, default=2.5, help="of one round")
    parser.add_argument("--rounds", type=int, default=5, help="the figures are their medians")
    parser.add_argument("--connections", type=int, help="64 for accept, 8 for accept-batch")
    parser.add_argument("--json", action="store_true", help="only the JSON object")
    asked = parser.parse_args()
    asked.seconds = min(60.0, max(0.1, asked.seconds))
    asked.rounds = min(100, max(1, asked.rounds))
    return asked


def _lines(figures: dict[str, Any], before: str = "") -> list[str]:
    lines = []
    for name, value in figures.items():
        if isinstance(value, dict):
            lines += _lines(value, f"{before}{name}.")
        else:
            lines.append(f"{before + name:<40} {value}")
    return lines


if __name__ == "__main__":
    main()
