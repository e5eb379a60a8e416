"""How many events may be in memory, or users at work, at once, and whose. Pure.

No rank takes more than nine tenths while the other wants some: live goes first and bulk is never
kept out, and a flood of bulk leaves room for what is live.
"""

from __future__ import annotations

from bridge.journal.records import BULK, LIVE


class Credit:
    """A number of events, or of places, lent to users at work."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._share = max(1, size * 9 // 10)
        self._lent: dict[int, tuple[int, int]] = {}
        self._total = {LIVE: 0, BULK: 0}

    def __repr__(self) -> str:
        return f"<Credit: {self.lent} of {self._size} events>"

    @property
    def lent(self) -> int:
        """Events in memory."""
        return self._total[LIVE] + self._total[BULK]

    def lent_to(self, rank: int) -> int:
        """What users of this rank have of it."""
        return self._total[rank]

    def room(self, rank: int) -> int:
        """Events of this rank that may still come into memory."""
        return max(0, min(self._size - self.lent, self._share - self._total[rank]))

    def lend(self, user_hash: int, rank: int, events: int) -> None:
        """So many events of this user are in memory now, instead of what was lent before."""
        self.give_back(user_hash)
        self._lent[user_hash] = rank, events
        self._total[rank] += events

    def give_back(self, user_hash: int) -> None:
        rank, events = self._lent.pop(user_hash, (LIVE, 0))
        self._total[rank] -= events
