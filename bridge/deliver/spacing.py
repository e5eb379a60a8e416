"""At least a second between two writes to one user, and one write to a user at a time.

A turn lasts until what came of it is on disk. And what a user's chain finds unchanged, which asks for no
turn, is nobody else's to change until that is on disk.

The chain of a user is alone with it but for messages from one user about another: those write to
somebody whose chain may be at work. While one writes, the other waits; and for a minute it is known
that a user's row may have changed under its chain.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field

from bridge.clock import Clock
from bridge.deliver.state import Moment

SPACING_SECONDS = 1.05
"""Between two writes to one user: OneSignal's limit is one a second (reference/rate-limits), as it
counts; timers that fire a little early and the way there must not add up to less."""
LATELY_SECONDS = 60.0
_PRUNE_AT = 20_000
_ALMOST = 1e-6
"""What a difference of floats may say is left; waiting for it could take no time at all."""


@dataclass(slots=True)
class Moments:
    """When something last happened to each user, for as long as it matters; monotonic seconds."""

    seconds: float
    _at: dict[int, float] = field(default_factory=dict)
    _prune_at: int = _PRUNE_AT

    def mark(self, user_hash: int, now: float) -> None:
        self._at[user_hash] = now
        if len(self._at) > self._prune_at:
            self._at = {u: at for u, at in self._at.items() if now - at < self.seconds}
            self._prune_at = max(_PRUNE_AT, 2 * len(self._at))

    def since(self, user_hash: int, now: float) -> float:
        """Seconds since then; infinite when it never happened, or long ago."""
        return now - self._at.get(user_hash, float("-inf"))

    def drop(self, user_hash: int) -> None:
        self._at.pop(user_hash, None)


@dataclass(slots=True)
class Phones:
    """Of which user's event a phone was heard last: on disk that is as soon as the event has ended."""

    _last: dict[int, tuple[int, Moment]] = field(default_factory=dict)

    def heard(self, names: Iterable[int], user_hash: int, at: Moment) -> None:
        for name in names:
            known = self._last.pop(name, None)
            is_old = known is not None and at.before(known[1])
            self._last[name] = known if known is not None and is_old else (user_hash, at)
        while len(self._last) > _PRUNE_AT:
            del self._last[next(iter(self._last))]

    def of_others(self, names: Iterable[int], user_hash: int) -> list[Moment]:
        """When it was, if it was somebody else's."""
        found = (self._last[name] for name in names if name in self._last)
        return [at for whose, at in found if whose != user_hash]


@dataclass(slots=True, kw_only=True)
class Spacing:
    clock: Clock
    #: Nobody is written to before this: what a process before us did in its last second is unknown.
    not_before: float = 0.0
    _written: Moments = field(default_factory=lambda: Moments(SPACING_SECONDS))
    _by_another: Moments = field(default_factory=lambda: Moments(LATELY_SECONDS))
    _busy: set[int] = field(default_factory=set)
    #: Of whom chains may be about to write that something was said again, and how many of them.
    _confirming: Counter[int] = field(default_factory=Counter)

    def wait(self, user_hash: int) -> float:
        """Seconds until this user may be written to; 0 when it may be now."""
        now = self.clock.monotonic()
        left = SPACING_SECONDS - self._written.since(user_hash, now)
        seconds = max(left, self.not_before - now)
        return seconds if seconds > _ALMOST else 0.0

    def busy(self, user_hash: int) -> bool:
        """Whether somebody is writing to this user."""
        return user_hash in self._busy

    def writing(self, user_hash: int) -> AbstractContextManager[None]:
        """From the comparison with what was written before until the answer is on disk."""
        return _Writing(self._busy, user_hash)

    def confirms(self, user_hash: int) -> None:
        """A chain has begun to look whether an event only says again what OneSignal has of this user."""
        self._confirming[user_hash] += 1

    def confirmed(self, user_hash: int) -> None:
        """What it found is on disk."""
        self._confirming[user_hash] -= 1
        if not self._confirming[user_hash]:
            del self._confirming[user_hash]

    def confirming(self, user_hash: int) -> int:
        """How many chains know of the user what may not be on disk yet."""
        return self._confirming.get(user_hash, 0)

    def mark(self, user_hash: int) -> None:
        """A write to this user has just been answered."""
        self._written.mark(user_hash, self.clock.monotonic())

    def by_another(self, user_hash: int) -> None:
        """What we know of this user has just been changed by somebody else's chain."""
        self._by_another.mark(user_hash, self.clock.monotonic())

    def changed_lately(self, user_hash: int) -> bool:
        return self._by_another.since(user_hash, self.clock.monotonic()) < LATELY_SECONDS


@dataclass(slots=True)
class _Writing:
    busy: set[int]
    user_hash: int

    def __enter__(self) -> None:
        self.busy.add(self.user_hash)

    def __exit__(self, *_: object) -> None:
        self.busy.discard(self.user_hash)
