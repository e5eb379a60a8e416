"""A thread that notices when the event loop stands still, and ends the process.

A loop that stands answers nobody, and no supervisor sees it: the process lives. What stands is in
all likelihood one event, which the next start, being cautious, finds out. The time is counted in
looks of this thread and not by a clock: while the machine sleeps, or the process is stopped, it
takes no looks. A loop that stands inside C code may keep every thread from running; for that there
is `faulthandler`, which needs none, with more patience.
"""

from __future__ import annotations

import asyncio
import faulthandler
import os
import sys
import threading
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field

from bridge.telemetry import log

STANDING_SECONDS = 30
CAUTIOUS_SECONDS = 5
"""While events begin alone none of them takes this long; several starts may be needed to name one."""
LAST_RESORT_SECONDS = 120
EXIT_CODE = 70
_LOOK_SECONDS = 1.0


@dataclass(slots=True)
class Hand:
    """The event that the loop works on, or worked on last."""

    message_id: str | None = None


@dataclass(slots=True, kw_only=True)
class Watchdog:
    """Watches the running loop from `start` to `stop`."""

    hand: Hand
    is_cautious: Callable[[], bool]
    standing: float = STANDING_SECONDS
    cautious: float = CAUTIOUS_SECONDS
    look: float = _LOOK_SECONDS
    #: Whether a fatal hang in C code ends the process too.
    last_resort: float | None = LAST_RESORT_SECONDS
    end: Callable[[int], object] = os._exit
    _ticked: bool = True
    _stopped: threading.Event = field(default_factory=threading.Event)
    _loop: asyncio.AbstractEventLoop | None = None
    _loop_thread: int = 0
    _timer: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Call it on the loop's own thread."""
        self._loop = asyncio.get_running_loop()
        self._loop_thread = threading.get_ident()
        self._tick()
        threading.Thread(target=self._watch, name="watchdog", daemon=True).start()

    def stop(self) -> None:
        self._stopped.set()
        if self._timer is not None:
            self._timer.cancel()
        if self.last_resort is not None:
            faulthandler.cancel_dump_traceback_later()

    def _tick(self) -> None:
        self._ticked = True
        if self.last_resort is not None:
            faulthandler.dump_traceback_later(self.last_resort, exit=True)
        assert self._loop is not None  # noqa: S101 — for the types: set by `start`
        self._timer = self._loop.call_later(self.look / 2, self._tick)

    def _watch(self) -> None:
        stood = 0.0
        while not self._stopped.wait(self.look):
            stood = 0.0 if self._ticked else stood + self.look
            self._ticked = False
            if stood >= (self.cautious if self.is_cautious() else self.standing):
                self._give_up(stood)
                return

    def _give_up(self, stood: float) -> None:
        """Say where it stands: places in the code, and no values."""
        try:
            self._tell(stood)
        finally:
            self.end(EXIT_CODE)

    def _tell(self, stood: float) -> None:
        frame = sys._current_frames().get(self._loop_thread)  # noqa: SLF001 — there is no public way to another thread's frame
        stack = traceback.extract_stack(frame) if frame is not None else []
        log().critical(
            "loop.standing",
            seconds=stood,
            message_id=self.hand.message_id,
            where=[f"{one.filename}:{one.lineno} {one.name}" for one in stack],
        )
        sys.stderr.flush()
