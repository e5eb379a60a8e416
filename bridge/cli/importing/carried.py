"""The rows on their way to the running service, a few hundred at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from bridge.cli.importing.rows import Bad, Row

_ROWS = 250
_BYTES = 4_000_000


@dataclass(slots=True)
class Carried:
    """What became of the rows so far."""

    accepted: int = 0
    duplicates: int = 0
    bad: int = 0
    pending: int = 0

    @property
    def rows(self) -> int:
        return self.accepted + self.duplicates + self.bad


def carry(
    rows: Iterable[Row | Bad],
    send: Callable[[bytes], dict[str, Any]],
    report: Callable[[Bad], None],
) -> Iterator[Carried]:
    """Send them in their order; after each request, what has become of all so far.

    `send` posts a JSON array and returns the service's answer, however long that takes.
    """
    so_far = Carried()
    for some in _lots(rows):
        for one in some:
            if isinstance(one, Bad):
                so_far.bad += 1
                report(one)
        _send([one for one in some if isinstance(one, Row)], so_far, send, report)
        yield so_far


def _send(
    rows: list[Row],
    so_far: Carried,
    send: Callable[[bytes], dict[str, Any]],
    report: Callable[[Bad], None],
) -> None:
    if not rows:
        return
    answer = send(b"[%b]" % b",".join([row.event for row in rows]))
    so_far.accepted += answer["accepted"]
    so_far.duplicates += answer["duplicates"]
    so_far.pending = answer["pending"]
    for one in answer["rejected"]:
        so_far.bad += 1
        report(Bad(rows[one["index"]].number, one["code"], one["message"]))


def _lots(rows: Iterable[Row | Bad]) -> Iterator[list[Row | Bad]]:
    lot: list[Row | Bad] = []
    size = 0
    for row in rows:
        lot.append(row)
        size += len(row.event) if isinstance(row, Row) else 0
        if len(lot) == _ROWS or size >= _BYTES:
            yield lot
            lot, size = [], 0
    if lot:
        yield lot
