"""When who of each line is due: see `groups`.

A line is those that wait for the same turns: a gate that is shut, or a flood of bulk, fills its own
line only. Who is named twice is due twice; whether that is still so is for `groups` to know.
"""

from __future__ import annotations

import heapq
import itertools
from collections import defaultdict
from collections.abc import Callable
from typing import NamedTuple

from bridge.journal.groups import Endpoint

What = bytes | str
"""A group by its id, or a call by its key."""


class Line(NamedTuple):
    """A class of endpoints, live or bulk."""

    endpoint: Endpoint
    rank: int


class Alarms:
    """Moments, by line, the first of them first."""

    def __init__(self) -> None:
        self._lines: dict[Line, list[tuple[int, int, What]]] = defaultdict(list)
        #: Those that are due together come in the order in which they were set.
        self._count = itertools.count()

    def set(self, at_ms: int, what: What, line: Line) -> bool:
        """Whether it is now the first of its line."""
        alarms = self._lines[line]
        is_first = not alarms or at_ms < alarms[0][0]
        heapq.heappush(alarms, (at_ms, next(self._count), what))
        return is_first

    def set_back(self, by_ms: int) -> None:
        """The clock was."""
        for line, alarms in self._lines.items():
            self._lines[line] = [(max(0, at - by_ms), number, what) for at, number, what in alarms]
            heapq.heapify(self._lines[line])

    def first_ms(self, moves: Callable[[Line], bool]) -> int | None:
        """When the first is due of the lines that move."""
        firsts = (alarms[0][0] for line, alarms in self._lines.items() if alarms and moves(line))
        return min(firsts, default=None)

    def lines(self) -> list[Line]:
        """Live first."""
        return sorted(self._lines, key=lambda one: one.rank)

    def pop_due(self, line: Line, now_ms: int) -> What | None:
        """The next of this line that is due; it leaves."""
        alarms = self._lines[line]
        return heapq.heappop(alarms)[2] if alarms and alarms[0][0] <= now_ms else None
