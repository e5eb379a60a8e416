"""As many schedules as are asked for, on all cores."""

from __future__ import annotations

import multiprocessing
import os
import traceback
from collections import Counter
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from itertools import count as numbers, islice
from pathlib import Path

from bridge.clock import SystemClock
from tests.faults.orders.run import Report, folder, run

AT_ONCE = 50
"""Schedules that a process plays before it says what came of them."""


@dataclass(slots=True)
class Played:
    schedules: int = 0
    #: By seed.
    wrong: dict[int, list[str]] = field(default_factory=dict)
    met: Counter[str] = field(default_factory=Counter)

    def add(self, report: Report) -> None:
        self.schedules += 1
        self.met.update(report.met)
        if report.wrong:
            self.wrong[report.seed] = report.wrong

    def __str__(self) -> str:
        lines = [
            f"{self.schedules} schedules, {len(self.wrong)} of them wrong; met: {dict(self.met)}"
        ]
        for seed, wrong in self.wrong.items():
            lines += [f"seed {seed}: {'; '.join(wrong[:3])}"]
            lines += [f"  play it again: python -m tests.faults.orders --seed {seed}"]
        return "\n".join(lines)


def played(seeds: Iterable[int], where: Path) -> Iterator[Report]:
    """Each in its turn; what breaks the run itself is wrong, too."""
    for seed in seeds:
        try:
            yield run(seed, where)
        except Exception:  # noqa: BLE001 — whatever it is, its seed has to be said
            yield Report(seed=seed, wrong=[traceback.format_exc()], met=Counter())


def _some(first: int, count: int) -> list[Report]:
    with folder() as where:
        # What was seen is large, and only of use to who looks at one.
        return [
            Report(seed=one.seed, wrong=one.wrong, met=one.met)
            for one in played(range(first, first + count), where)
        ]


def many(first: int, *, count: int | None = None, minutes: float | None = None) -> Played:
    """So many schedules, or for so many minutes, from this seed on."""
    clock, result = SystemClock(), Played()
    until = None if minutes is None else clock.monotonic() + minutes * 60
    batches: Iterator[int] = islice(numbers(), None if count is None else -(-count // AT_ONCE))
    workers = os.cpu_count() or 1
    with ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn")) as pool:
        out = [
            pool.submit(_some, first + n * AT_ONCE, AT_ONCE) for n in islice(batches, workers + 1)
        ]
        while out:
            for report in out.pop(0).result():
                result.add(report)
            if until is None or clock.monotonic() < until:
                out += [
                    pool.submit(_some, first + n * AT_ONCE, AT_ONCE) for n in islice(batches, 1)
                ]
    return result
