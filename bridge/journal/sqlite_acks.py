"""What the works of a group say has ended, and what was learnt by it: written together, with few statements.

Ends, the rows of `pending` that are done with, and what is known of users: each is a statement for many
events, because a statement costs more than a row does. They are the last that a group writes. Who else
writes in the group cannot tell: what is asked for at the same time may come in any order.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Any

from bridge import failpoints
from bridge.journal import sqlite_rows as rows
from bridge.journal.records import Acked, Death, End, Learnt

BESIDE_ENDS = 50
"""So many are written by the disk's thread, while the loop goes on; see `sqlite_tail.BESIDE_ROWS`."""


class Acks:
    """Of a group that is not committed yet; only the writer's group changes it."""

    def __init__(self) -> None:
        self._ends: list[tuple[Any, ...]] = []
        self._finished: list[int] = []
        self._learnt: list[tuple[Learnt, int]] = []

    def __repr__(self) -> str:
        return f"<Acks: {len(self._finished)} events finished, {len(self._learnt)} users learnt of>"

    @property
    def are_many(self) -> bool:
        return len(self._finished) + len(self._learnt) >= BESIDE_ENDS

    def ack(self, connection: sqlite3.Connection, acked: Sequence[Acked], at_ms: int) -> None:
        """What has ended of these events; one of which something is left is written at once."""
        for one in acked:
            if one.done is None:
                self.finish(connection, one.seq, one.ends, one.deaths, at_ms)
            else:
                rows.insert_ends(connection, one.seq, one.ends, one.deaths, at_ms)
                rows.mark_done(connection, one.seq, one.done)
        failpoints.reached("event.acking")

    def finish(
        self,
        connection: sqlite3.Connection,
        seq: int,
        ends: Sequence[End],
        deaths: Sequence[Death],
        at_ms: int,
    ) -> None:
        """Nothing is left of an event."""
        self._ends += [(seq, *end, at_ms) for end in ends]
        rows.insert_deaths(connection, seq, deaths, at_ms)
        self._finished.append(seq)

    def learn(self, learnt: Sequence[Learnt], at_ms: int) -> None:
        """What is known of users from now on."""
        self._learnt += [(one, at_ms) for one in learnt]

    def flush(self, connection: sqlite3.Connection) -> None:
        """Write it, before the group's commit."""
        put = rows.insert_beside if self.are_many else rows.insert
        put(connection, "append_outcome", self._ends)
        if self._finished:
            rows.finish(connection, self._finished)
        if self._learnt:
            rows.learn_all(connection, self._learnt, put=put)
        self.undo()

    def undo(self) -> None:
        """The group is not committed: who asked for it hears so, and asks again."""
        self._ends, self._finished, self._learnt = [], [], []
