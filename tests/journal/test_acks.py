"""What the works of a group have ended is written together, and each of them is written whole or not at all."""

from __future__ import annotations

import asyncio

import pytest

from bridge.errors import JournalError
from bridge.journal.records import Acked, End, Learnt
from bridge.journal.sqlite import SqliteJournal
from bridge.journal.sqlite_acks import BESIDE_ENDS
from tests.journal.making import NOW, entry, select

DONE = End("tags", "update_user", "delivered", http=202)
UNREASONED = End("tags", "update_user", "skipped")


def adding(text: bytes) -> Learnt:
    return Learnt(7, lambda before: (before or b"") + text)


async def appended(journal: SqliteJournal, count: int) -> list[int]:
    entries = [entry(f"m{number}", user_hash=7 + number) for number in range(count)]
    return [one.seq for one in await journal.append(entries)]


@pytest.mark.parametrize("count", [3, 2 * BESIDE_ENDS])
async def test_many_that_end_at_once_are_all_written(journal: SqliteJournal, count: int) -> None:
    seqs = await appended(journal, count)
    acks = [
        journal.ack([Acked(seq, [DONE])], learnt=[adding(b"%d;" % number)], at_ms=NOW)
        for number, seq in enumerate(seqs)
    ]
    await asyncio.gather(*acks)
    assert await select(journal, "SELECT count(*) FROM pending") == [(0,)]
    assert await select(journal, "SELECT count(*) FROM history") == [(count,)]
    assert await select(journal, "SELECT seq, status FROM outcome") == [
        (seq, "delivered") for seq in seqs
    ]
    assert await journal.state(7) == b"".join(b"%d;" % number for number in range(count))


@pytest.mark.parametrize("count", [3, 2 * BESIDE_ENDS])
async def test_one_that_cannot_be_written_sinks_none_of_the_others(
    journal: SqliteJournal, count: int
) -> None:
    seqs = await appended(journal, count)
    ends = {seqs[1]: UNREASONED}
    acks = [
        journal.ack([Acked(seq, [ends.get(seq, DONE)])], learnt=[adding(b".")], at_ms=NOW)
        for seq in seqs
    ]
    heard = await asyncio.gather(*acks, return_exceptions=True)
    assert [number for number, one in enumerate(heard) if isinstance(one, JournalError)] == [1]
    assert await select(journal, "SELECT seq FROM pending") == [(seqs[1],)]
    assert await select(journal, "SELECT count(*) FROM outcome") == [(count - 1,)]
    assert await journal.state(7) == b"." * (count - 1)
