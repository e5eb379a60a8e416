"""Users that wait for a time of their own: see `lanes`."""

from __future__ import annotations

import heapq
from collections.abc import Iterator

from bridge.deliver.attempts import Wait

PARKED = 50_000


class Parking:
    """Users by their hash, with the rank they came with, until the time that each waits for."""

    def __init__(self, *, size: int = PARKED) -> None:
        self.size = size
        self._users: dict[int, tuple[Wait, int]] = {}
        #: Of who has left, or comes sooner now, an alarm stays, and says nothing.
        self._alarms: list[tuple[int, int]] = []

    def __len__(self) -> int:
        return len(self._users)

    def __contains__(self, user: int) -> bool:
        return user in self._users

    def park(self, user: int, rank: int, wait: Wait) -> bool:
        """Keep a user until then; False when there is no room."""
        if len(self._users) >= self.size:
            return False
        self._users[user] = wait, rank
        heapq.heappush(self._alarms, (wait.until_ms, user))
        return True

    def hear(self, user: int, rank: int) -> None:
        """There is something new of a user who is here, which may end the wait sooner."""
        wait, parked_rank = self._users[user]
        sooner = with_news(wait)
        self._users[user] = sooner, min(rank, parked_rank)
        if sooner is not wait:
            heapq.heappush(self._alarms, (sooner.until_ms, user))

    def leave(self, user: int, rank: int) -> int:
        """The rank that the user was here with; `rank` when it was not here."""
        _, rank = self._users.pop(user, (None, rank))
        return rank

    def ready(self, now_ms: int) -> Iterator[tuple[int, int]]:
        """Users, with their rank, whose time has come; they leave as they are named."""
        while self._alarms and self._alarms[0][0] <= now_ms:
            until_ms, user = heapq.heappop(self._alarms)
            wait, rank = self._users.get(user, (None, 0))
            if wait is not None and wait.until_ms == until_ms:
                del self._users[user]
                yield user, rank

    def set_back(self, by_ms: int) -> None:
        """The clock was, and nobody waits longer for it."""
        self._users = {
            user: (wait.earlier(by_ms), rank) for user, (wait, rank) in self._users.items()
        }
        self._alarms = [(wait.until_ms, user) for user, (wait, _) in self._users.items()]
        heapq.heapify(self._alarms)

    @property
    def first_ms(self) -> int | None:
        """When the first may be ready; None when nobody waits."""
        return self._alarms[0][0] if self._alarms else None


def with_news(wait: Wait) -> Wait:
    """What is left of a wait once something new is heard."""
    if wait.news_ms is None or wait.news_ms >= wait.until_ms:
        return wait
    return Wait(until_ms=wait.news_ms)
