"""The newest events of a journal, for a look back beside the service; nothing is changed."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from typing import NamedTuple

from bridge.journal.queries import queries


class Kept(NamedTuple):
    """An event as it was heard; `payload` is None when it was not kept, or is no more."""

    seq: int
    source: str
    message_id: str
    received_ms: int
    payload: bytes | None


def recent(connection: sqlite3.Connection, number: int) -> Iterator[Kept]:
    """The newest so many events, the oldest of them first; from `sqlite_file.reading`."""
    last: int = connection.execute(queries()["last_seq"]).fetchone()[0]
    for row in connection.execute(queries()["recent"], {"after": last - number}):
        yield Kept(*row)
