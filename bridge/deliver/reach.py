"""Of each rule's last pushes, how many reached nobody. In memory: a restart begins anew."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field

LAST = 200
_FIGURED = frozenset({"delivered", "no_recipients"})


@dataclass(slots=True)
class Reach:
    _last: dict[str, deque[bool]] = field(default_factory=dict)

    def ended(self, rule: str, status: str) -> None:
        """A push of the rule has ended so."""
        if status in _FIGURED:
            last = self._last.get(rule)
            if last is None:
                last = self._last[rule] = deque(maxlen=LAST)
            last.append(status == "no_recipients")

    def figures(self) -> Iterator[tuple[str, int, int]]:
        """Rule, its last pushes, and how many of them reached nobody."""
        for rule, last in self._last.items():
            yield rule, len(last), sum(last)
