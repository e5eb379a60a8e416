"""An app's calls that are out: asked of OneSignal, and not answered. For people, who ask what takes so long."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from bridge.clock import Clock


@dataclass(slots=True)
class CallsOut:
    clock: Clock
    #: When each began, by its number: oldest first.
    _began: dict[int, float] = field(default_factory=dict)
    _last: int = 0

    def __len__(self) -> int:
        return len(self._began)

    @contextmanager
    def one_more(self) -> Iterator[None]:
        """Within the block a call is out; whoever gives it up leaves the block, too."""
        self._last = number = self._last + 1
        self._began[number] = self.clock.monotonic()
        try:
            yield
        finally:
            del self._began[number]

    @property
    def oldest_seconds(self) -> float | None:
        """For how long the oldest is; None: none is."""
        began = next(iter(self._began.values()), None)
        return None if began is None else self.clock.monotonic() - began
