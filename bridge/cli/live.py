"""What `serve` shows on a terminal: one quiet line at its bottom, which log lines push up and never break.

::

    well | 12.0 events/s in, 9.5 calls/s out | 31 waiting, the oldest for 2 s | 0 held, 0 dead | gates open

Nowhere else: not where standard output is a pipe or a file, and not in a container.
"""

from __future__ import annotations

import os
import sys
import threading
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple, TextIO

from bridge.cli.status import gates, waiting

if TYPE_CHECKING:
    from bridge.app import Bridge
    from bridge.settings import Settings

EVERY_SECONDS = 1.0
LATE_SECONDS = LOOK_EVERY = 5
"""Rates are from memory; at tables it looks only so seldom."""
_CLEAR, _DIM, _BRIGHT, _PLAIN = "\r\x1b[2K", "\x1b[2m", "\x1b[1m", "\x1b[0m"


class StatusLine:
    """The last line of a terminal; of whatever threads write to it one does at a time."""

    def __init__(self, terminal: TextIO) -> None:
        self._terminal = terminal
        self._lock = threading.RLock()
        self._shown = ""

    def show(self, text: str, *, well: bool = True) -> None:
        """This instead of what it showed; as much as fits, so that it stays one line."""
        fits = text[: max(1, _width(self._terminal) - 1)]
        with self._lock:
            self._shown = f"{_DIM if well else _BRIGHT}{fits}{_PLAIN}" if fits else ""
            self._draw()

    def end(self) -> None:
        self.show("")

    def above(self, stream: TextIO) -> Above:
        return Above(stream, self)

    def write_above(self, stream: TextIO, text: str) -> None:
        with self._lock:
            self._terminal.write(_CLEAR)
            self._terminal.flush()
            stream.write(text)
            stream.flush()
            self._draw()

    def _draw(self) -> None:
        self._terminal.write(f"{_CLEAR}{self._shown}")
        self._terminal.flush()


class Above:
    """A stream of whole lines, each written above the status line of the same terminal."""

    def __init__(self, stream: TextIO, line: StatusLine) -> None:
        self._stream = stream
        self._line = line
        self._begun = ""

    def write(self, text: str) -> int:
        whole, end, self._begun = (self._begun + text).rpartition("\n")
        if end:
            self._line.write_above(self._stream, whole + end)
        return len(text)

    def flush(self) -> None:
        """Whole lines are flushed as they are written."""


def _width(terminal: TextIO) -> int:
    try:
        return os.get_terminal_size(terminal.fileno()).columns or 80
    except (OSError, ValueError):
        return 80


def status_line(settings: Settings) -> StatusLine | None:
    """None: nobody would see it, or it would be kept among the logs of a container."""
    is_container = settings.ephemeral is not None
    is_seen = sys.stdout.isatty() and os.environ.get("TERM", "dumb") != "dumb"
    return StatusLine(sys.stdout) if is_seen and not is_container else None


class Rates(NamedTuple):
    """A second, of late."""

    events: float
    calls: float


@dataclass(slots=True, kw_only=True)
class Live:
    """Keeps the line of a running bridge up to date, until it is cancelled."""

    bridge: Bridge
    line: StatusLine
    #: How many calls were made by when.
    _calls: deque[tuple[float, int]] = field(default_factory=lambda: deque(maxlen=LATE_SECONDS + 1))
    _found: dict[str, Any] = field(default_factory=dict)

    async def run(self) -> None:
        round_ = 0
        try:
            while True:
                if round_ % LOOK_EVERY == 0:
                    await self._look()
                round_ += 1
                self.line.show(words(self._found, self._rates()), well=self._found["well"])
                await self.bridge.clock.sleep(EVERY_SECONDS)
        finally:
            self.line.end()

    async def _look(self) -> None:
        from bridge.alerts.causes import causes
        from bridge.app.seeing import see
        from bridge.console.status import at_this_moment

        seen = await see(self.bridge)
        self._found = at_this_moment(seen, list(causes(seen)))

    def _rates(self) -> Rates:
        bridge = self.bridge
        events = sum(one.pulse.within(LATE_SECONDS) for one in bridge.intakes.values())
        self._calls.append((bridge.clock.monotonic(), bridge.metrics.calls_made))
        (then, before), (now, calls) = self._calls[0], self._calls[-1]
        return Rates(events / LATE_SECONDS, (calls - before) / max(now - then, EVERY_SECONDS))


def words(found: dict[str, Any], rates: Rates) -> str:
    """What `status` would say, in a line that is looked at and not read."""
    problems, paused = len(found["problems"]), found["paused"]
    state = "well" if found["well"] else f"{problems} to look at (segment-bridge status)"
    parts = [
        state,
        f"{rates.events:,.1f} events/s in, {rates.calls:,.1f} calls/s out",
        waiting(found),
        f"{found['held']:,} held, {found['dead']:,} dead",
        gates(found),
    ]
    if paused:
        parts.append(f"PAUSED: {', '.join(paused)}")
    return " | ".join(parts)
