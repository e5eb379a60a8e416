"""When the journal takes no more events: the sender keeps them and comes back.

Only `append` asks. Work on what was accepted goes on, because it is what makes room again.
"""

from __future__ import annotations

import math
import os
import sys
from collections.abc import Callable
from pathlib import Path

from bridge.clock import Clock
from bridge.errors import JournalUnavailableError
from bridge.journal.writer import Queued

MAX_QUEUED_ROWS = 50_000
"""2 to 3 s of writing on a slow disk; Segment waits 5 s for an answer."""
MAX_QUEUED_BYTES = 64 * 1024 * 1024
"""They are in memory until they are written; a process may use 300 MB in all."""
MIN_FREE_BYTES = 64 * 1024 * 1024
"""Room for the write-ahead log at its size limit, so that the ends of accepted work still fit."""
_SECONDS_BETWEEN_LOOKS = 1.0


def free_bytes(path: Path) -> int:
    """Bytes that this user may still write beside `path`; without end where nobody says."""
    found = os.statvfs(path.parent)
    # Some file systems in user space give no sizes at all.
    return found.f_bavail * found.f_frsize if found.f_blocks else sys.maxsize


class Pressure:
    """Refuses events when too many wait for the disk, or the disk is nearly full."""

    def __init__(self, path: Path, *, clock: Clock, free: Callable[[Path], int]) -> None:
        self._path = path
        self._clock = clock
        self._free = free
        self._free_bytes = 0
        self._looked = -math.inf

    def check(self, queued: Queued) -> None:
        """Return when there is room for more.

        Raises:
            JournalUnavailableError: there is none; the message says of what.
        """
        if queued.rows > MAX_QUEUED_ROWS or queued.bytes > MAX_QUEUED_BYTES:
            raise JournalUnavailableError(
                f"the disk is slower than what comes in: {queued.rows} writes wait for it",
                hint="put the database on a faster disk, or send less at once",
            )
        if self._free_now() < MIN_FREE_BYTES:
            raise JournalUnavailableError(
                f"the disk is nearly full: {self._free_bytes // 1_000_000} MB are free",
                hint=f"free {MIN_FREE_BYTES // 1_000_000} MB beside {self._path}; what was accepted is kept",
            )

    def reason(self, queued: Queued) -> str | None:
        """Why events would be refused now; None when they would not."""
        try:
            self.check(queued)
        except JournalUnavailableError as error:
            return error.message
        return None

    def _free_now(self) -> int:
        now = self._clock.monotonic()
        if now - self._looked >= _SECONDS_BETWEEN_LOOKS:
            self._free_bytes, self._looked = self._free(self._path), now
        return self._free_bytes
