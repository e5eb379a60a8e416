"""What is known of the users that one chain writes to: its own, loaded with its events, and others."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial

from bridge.deliver.means import Means
from bridge.deliver.spacing import LATELY_SECONDS
from bridge.deliver.state import Fact, Row, decode, encode, join, joined, overwritten
from bridge.journal.records import Learnt
from bridge.onesignal.operations import Recipient
from bridge.telemetry import log


@dataclass(slots=True)
class Known:
    means: Means
    user_hash: int
    #: The row as it was loaded; read when it is first asked for.
    blob: bytes | None
    loaded: float = field(init=False)
    _row: Row | None = None
    #: What was learnt without a call, and is not on disk: it goes with whatever is written next.
    _owed: dict[int, dict[str, Fact]] = field(default_factory=dict)
    #: Whom no other chain may write to, or take anything off, until that is on disk.
    _confirms: set[int] = field(default_factory=set)
    _turns: list[ExitStack] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.loaded = self.means.clock.monotonic()

    def hash_of(self, to: Recipient) -> int:
        """Whom a write is about. A user who goes by several names is known by each apart."""
        return self.means.journal.hash_of(self.means.destination.name, *to)

    async def row(self, user_hash: int) -> Row:
        """What we wrote for a user, as of now."""
        if user_hash != self.user_hash:
            return decode(await self.means.journal.state(user_hash))
        if self._may_have_changed():
            # Of before the look: what changes while it is under way is looked at again.
            self.loaded = self.means.clock.monotonic()
            self.blob, self._row = await self.means.journal.state(user_hash), None
        if self._row is None:
            self._row = decode(self.blob)
        return self._row

    async def read(self, user_hash: int) -> Row:
        """The same, as it is on disk."""
        self.forget()
        return await self.row(user_hash)

    def forget(self) -> None:
        """What was loaded is not what there is any more."""
        self.loaded = float("-inf")

    def _may_have_changed(self) -> bool:
        if self.means.clock.monotonic() - self.loaded > LATELY_SECONDS:
            return True
        return self.means.spacing.changed_lately(self.user_hash)

    @property
    def owes(self) -> bool:
        """Something is to be written with the next transaction, or others wait for what is."""
        return bool(self._owed or self._confirms or self._turns)

    def owing(self) -> list[Learnt]:
        """All of it, of whomever it was learnt."""
        for user_hash in self._owed.keys() - {self.user_hash}:
            self.means.spacing.by_another(user_hash)
        return [one for user_hash in list(self._owed) for one in self.learnt(user_hash, {})]

    def learnt(self, user_hash: int, delta: Row) -> list[Learnt]:
        """What is to be written of a delta, in the transaction that it belongs to."""
        whole = join(self._owed.pop(user_hash, {}), delta)
        return [Learnt(user_hash, partial(self._join, user_hash, delta=whole))] if whole else []

    def _join(self, user_hash: int, blob: bytes | None, *, delta: Row) -> bytes:
        """In the transaction, with the row as it is on disk: whether the order was kept is seen here."""
        row = decode(blob)
        for name in overwritten(row, delta):
            self.means.metrics.order_violations.inc()
            # Of a subscription the name holds whose it is.
            kind = name.partition(".")[0]
            log().error("order.violated", user=f"{user_hash:016x}", what=kind)
        return encode(join(row, delta))

    def doubt(self, user_hash: int, delta: Row) -> list[Learnt]:
        """What is to be written when an attempt may have been performed."""
        return [Learnt(user_hash, partial(joined, delta=delta))] if delta else []

    def owe(self, user_hash: int, delta: Row) -> None:
        """Something was learnt that is worth no transaction of its own."""
        self._owed[user_hash] = join(self._owed.get(user_hash, {}), delta)
        if user_hash == self.user_hash and self._row is not None:
            self._row = join(self._row, delta)

    def is_said_elsewhere(self, user_hash: int) -> bool:
        """Whether another chain knows of the user what may not be on disk yet."""
        return self.means.spacing.confirming(user_hash) > (user_hash in self._confirms)

    def may_write(self, user_hash: int) -> bool:
        """Whether no other chain writes to the user, or may be about to say again what the user has."""
        return not (self.means.spacing.busy(user_hash) or self.is_said_elsewhere(user_hash))

    def confirms(self, user_hash: int) -> None:
        """An event may say again what the user has: from before the row is read until that is on disk."""
        if user_hash not in self._confirms:
            self._confirms.add(user_hash)
            self.means.spacing.confirms(user_hash)

    def keeps(self, turn: ExitStack) -> None:
        """The turn to write to a user is over once what came of it is on disk."""
        self._turns.append(turn)

    def settled(self) -> None:
        """All that was learnt is on disk, or the chain has ended and will learn it again."""
        while self._turns:
            self._turns.pop().close()
        while self._confirms:
            self.means.spacing.confirmed(self._confirms.pop())

    def remember(self, user_hash: int, delta: Row) -> None:
        """That transaction is on disk, or comes before anything else of this chain."""
        if user_hash != self.user_hash:
            self.means.spacing.by_another(user_hash)
        elif self._row is not None:
            self._row = join(self._row, delta)
