"""What every journal does, whatever it is built on.

Written against the protocol. Where the protocol shows too little (`outcome` rows), the file is read.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from bridge.errors import JournalError
from bridge.journal.piles import Choice
from bridge.journal.records import BULK, LANES, LIVE, Acked, End, Entry, Learnt, lane_of
from bridge.journal.sqlite import SqliteJournal, open_sqlite
from tests.journal.making import (
    NOW,
    at_once,
    chain,
    change,
    dead_send,
    death,
    end,
    entry,
    mark,
    new_send,
    outcomes,
    select,
    seqs_of_all_lanes,
    the_dead,
    write,
)

# Appending ----------------------------------------------------------------------------------------


async def test_events_are_kept_in_the_order_in_which_they_came(journal: SqliteJournal) -> None:
    first = await journal.append([entry(f"a{n}") for n in range(200)])
    second = await journal.append([entry(f"b{n}") for n in range(3)])
    seqs = [one.seq for one in first + second]
    assert seqs == sorted(set(seqs))
    rows = await chain(journal, limit=300)
    assert [row.seq for row in rows] == seqs
    assert [row.message_id for row in rows[:3]] == ["a0", "a1", "a2"]
    assert [row.message_id for row in rows[200:]] == ["b0", "b1", "b2"]


async def test_a_pending_event_comes_back_as_it_was_given(journal: SqliteJournal) -> None:
    given = entry("m1", user_hash=2**63 - 1, payload=b"\x00\xff", rank=BULK)
    (kept,) = await journal.append([given])
    (row,) = await chain(journal, given.user_hash)
    assert row.seq == kept.seq
    assert (row.lane, row.rank) == (255, BULK)
    assert (row.source, row.message_id, row.payload) == ("web", "m1", b"\x00\xff")
    assert (row.event_ms, row.received_ms) == (NOW - 5, NOW)
    assert (row.done, row.only, row.sends) == (frozenset(), None, ())
    assert (row.attempt, row.not_before_ms, row.first_try_ms) == (0, 0, None)


async def test_nothing_appended_is_nothing_kept(journal: SqliteJournal) -> None:
    assert await journal.append([]) == []
    assert (await journal.counts()).pending == 0


@pytest.mark.parametrize("count", [1, 2, 8, 9, 31, 33, 127, 129, 297, 1001])
async def test_a_batch_of_any_size_is_kept_whole(journal: SqliteJournal, count: int) -> None:
    appended = await journal.append([entry(f"m{n}") for n in range(count)])
    again = await journal.append([entry(f"m{n}") for n in range(count)])
    assert len(appended) == count
    assert [one.seq for one in again] == [one.seq for one in appended]
    assert all(one.duplicate for one in again)
    assert (await journal.counts()).pending == count


async def test_a_message_twice_in_one_batch_is_one_event(journal: SqliteJournal) -> None:
    first, second, third = await journal.append([entry("m1"), entry("m1"), entry("m2")])
    assert (first.duplicate, second.duplicate, third.duplicate) == (False, True, False)
    assert second.seq == first.seq < third.seq
    assert (await journal.counts()).pending == 2


async def test_a_message_fifty_times_at_once_is_one_event(journal: SqliteJournal) -> None:
    answers = await at_once(*(journal.append([entry("m1")]) for _ in range(50)))
    kept = [one for (one,) in answers]
    assert [one.duplicate for one in kept].count(False) == 1
    assert len({one.seq for one in kept}) == 1
    assert (await journal.counts()).pending == 1


async def test_a_message_is_known_after_a_restart_and_no_seq_comes_twice(tmp_path: Path) -> None:
    first = open_sqlite(tmp_path / "bridge.db")
    (before,) = await first.append([entry("m1")])
    await first.close()
    second = open_sqlite(tmp_path / "bridge.db")
    again, new = await second.append([entry("m1"), entry("m2")])
    await second.close()
    assert (again.seq, again.duplicate) == (before.seq, True)
    assert new.seq > before.seq


async def test_hashes_stay_the_same_over_a_restart(tmp_path: Path) -> None:
    first = open_sqlite(tmp_path / "bridge.db")
    assert first.is_new
    hashes = first.user_hash("a", "u1"), first.dedupe_key("s", "m1")
    await first.close()
    second = open_sqlite(tmp_path / "bridge.db")
    assert not second.is_new
    assert (second.user_hash("a", "u1"), second.dedupe_key("s", "m1")) == hashes
    await second.close()


async def test_a_user_hash_is_keyed_and_the_users_of_two_apps_are_two(
    journal: SqliteJournal, tmp_path: Path
) -> None:
    other = open_sqlite(tmp_path / "other.db")
    assert other.user_hash("a", "u1") != journal.user_hash("a", "u1")
    await other.close()
    assert journal.user_hash("a", "u1") != journal.user_hash("b", "u1")
    assert 0 < journal.user_hash("a", "\ud800") < 2**63


async def test_the_same_id_from_another_source_is_another_event(journal: SqliteJournal) -> None:
    assert journal.dedupe_key("web", "m1") != journal.dedupe_key("app", "m1")
    keys = {source: journal.dedupe_key(source, "m1") for source in ("web", "app")}
    entries = [entry("m1", source=name, dedupe_key=key) for name, key in keys.items()]
    assert [one.duplicate for one in await journal.append(entries)] == [False, False]


async def test_an_event_without_a_key_is_never_a_duplicate(journal: SqliteJournal) -> None:
    appended = await journal.append([entry("m1", dedupe_key=None), entry("m1", dedupe_key=None)])
    appended += await journal.append([entry("m1", dedupe_key=None)])
    assert len({one.seq for one in appended}) == 3
    assert not any(one.duplicate for one in appended)


async def test_an_event_that_ends_at_once_is_no_work(journal: SqliteJournal) -> None:
    skipped = entry("m1", rank=None, payload=None, ended=End("", "", "skipped", "no_rule", "why"))
    ((seq, _),) = await journal.append([skipped])
    assert await chain(journal) == []
    assert await seqs_of_all_lanes(journal, rank=LIVE) == set()
    assert await outcomes(journal) == [(seq, "", "", "skipped", "no_rule")]
    assert await journal.dead_letters() == []
    assert (await journal.append([skipped]))[0].duplicate


async def test_an_event_that_is_dead_at_once_keeps_what_was_sent(journal: SqliteJournal) -> None:
    ended = End("", "", "dead", "not_an_object", "it is a number")
    ((seq, _),) = await journal.append(
        [entry("", dedupe_key=None, rank=None, payload=b"7", ended=ended)]
    )
    assert await outcomes(journal) == [(seq, "", "", "dead", "not_an_object")]
    dead = await the_dead(journal)
    assert (dead.seq, dead.payload, dead.reason) == (seq, b"7", "not_an_object")
    assert (dead.answer, dead.died_ms, dead.send_key) == ("it is a number", NOW, None)
    assert (await journal.counts())[:2] == (0, 1)


@pytest.mark.parametrize(
    "wrong",
    [
        entry("bad", rank=7),
        entry("bad", rank=None, ended=End("", "", "skipped", None)),
        entry("bad", rank=None, ended=End("", "", "lost", "why")),  # type: ignore[arg-type] # a state that there is not
    ],
)
async def test_what_contradicts_the_journal_is_refused_whole(
    journal: SqliteJournal, wrong: Entry
) -> None:
    with pytest.raises(JournalError, match="contradicts"):
        await journal.append([entry("good"), wrong])
    assert (await journal.counts()).pending == 0
    (good,) = await journal.append([entry("good")])
    assert not good.duplicate


# Finding work -------------------------------------------------------------------------------------


async def test_a_lane_shows_its_users_by_rank_from_its_cursor_on(journal: SqliteJournal) -> None:
    users = [5, 5 + 256, 6]
    live = await journal.append([entry(f"l{n}", user_hash=users[n % 3]) for n in range(6)])
    bulk = await journal.append([entry("b", user_hash=5, rank=BULK)])
    (five, six) = await journal.heads([5, 6], app="default", rank=LIVE, after=[0, 0], limit=10)
    assert [(head.seq, head.user_hash) for head in five] == [
        (live[0].seq, 5), (live[1].seq, 261), (live[3].seq, 5), (live[4].seq, 261),
    ]  # fmt: skip
    assert [head.seq for head in six] == [live[2].seq, live[5].seq]
    (page,) = await journal.heads([5], app="default", rank=LIVE, after=[live[1].seq], limit=1)
    assert [head.seq for head in page] == [live[3].seq]
    (slow,) = await journal.heads([5], app="default", rank=BULK, after=[0], limit=10)
    assert [(head.seq, head.not_before_ms) for head in slow] == [(bulk[0].seq, 0)]
    assert lane_of(261) == 5


async def test_every_lane_shows_its_own_users_and_no_others(journal: SqliteJournal) -> None:
    await journal.append([entry(f"m{n}", user_hash=n) for n in range(2 * LANES)])
    found = await journal.heads(range(LANES), app="default", rank=LIVE, after=[0] * LANES, limit=10)
    users = [[head.user_hash for head in heads] for heads in found]
    assert users == [[lane, lane + LANES] for lane in range(LANES)]


async def test_a_lane_without_work_shows_nobody(journal: SqliteJournal) -> None:
    await journal.append([entry("m1", user_hash=5)])
    assert await journal.heads([9], app="default", rank=LIVE, after=[0], limit=10) == [[]]


async def test_a_chain_holds_all_of_a_user_whatever_its_rank(journal: SqliteJournal) -> None:
    appended = await journal.append(
        [
            entry("m1", rank=BULK),
            entry("m2"),
            entry("other", user_hash=7 + 256),
            entry("m3", rank=BULK),
        ]
    )
    found = await journal.chains([7, 99], limit=2)
    assert [row.seq for row in found[7].rows] == [appended[0].seq, appended[1].seq]
    assert found[99].rows == []


async def test_counts_tell_how_much_waits_and_since_when(journal: SqliteJournal) -> None:
    assert await journal.counts() == (0, 0, 0, None)
    await journal.append([entry("m1", received_ms=NOW + 7), entry("m2", received_ms=NOW + 9)])
    assert await journal.counts() == (2, 0, 0, NOW + 7)


async def test_the_user_of_an_event_is_known_and_of_none_is_not(journal: SqliteJournal) -> None:
    ((seq, _),) = await journal.append([entry("m1", user_hash=77)])
    assert await journal.user_of(seq) == ("default", 77)
    assert await journal.user_of(seq + 1) is None


# Updates ------------------------------------------------------------------------------------------


async def test_a_postponed_event_keeps_the_time_of_its_first_try(journal: SqliteJournal) -> None:
    ((seq, _),) = await journal.append([entry("m1")])
    await journal.postpone(seq, not_before_ms=NOW + 10, attempt=1, error="503", now_ms=NOW + 1)
    await journal.postpone(seq, not_before_ms=NOW + 30, attempt=2, error="503", now_ms=NOW + 11)
    (row,) = await chain(journal)
    assert (row.not_before_ms, row.attempt, row.first_try_ms) == (NOW + 30, 2, NOW + 1)
    ((head,),) = await journal.heads([7], app="default", rank=LIVE, after=[0], limit=10)
    assert head.not_before_ms == NOW + 30


async def test_a_finished_event_is_work_no_more_and_its_ends_are_kept(
    journal: SqliteJournal,
) -> None:
    ((seq, _),) = await journal.append([entry("m1")])
    ends = [End("tags", "update_user", "delivered", http=200), end("skipped", reason="too_old")]
    await journal.finish(seq, ends, deaths=[], at_ms=NOW)
    assert await chain(journal) == []
    assert (await journal.counts()).pending == 0
    assert await outcomes(journal) == [
        (seq, "tags", "update_user", "delivered", None),
        (seq, "welcome", "send_notification", "skipped", "too_old"),
    ]


async def test_a_dead_update_is_a_dead_letter_with_its_event(journal: SqliteJournal) -> None:
    ((seq, _),) = await journal.append([entry("m1")])
    died = death(rule="tags", operation="update_user", key=None, request=b"PATCH", uncertain=True)
    dead_end = End("tags", "update_user", "dead", "refused", http=400)
    await journal.finish(seq, [dead_end], deaths=[died], at_ms=NOW + 3)
    dead = await the_dead(journal)
    assert await journal.dead_letter(dead.id) == dead
    assert (dead.seq, dead.rule, dead.operation, dead.reason) == (
        seq,
        "tags",
        "update_user",
        "refused",
    )
    assert (dead.source, dead.message_id, dead.name) == ("web", "m1", "Order Completed")
    assert (dead.payload, dead.request, dead.answer, dead.http) == (
        b'{"type":"track"}',
        b"PATCH",
        "no",
        400,
    )
    assert (dead.attempt, dead.died_ms, dead.uncertain) == (1, NOW + 3, True)


# Sends --------------------------------------------------------------------------------------------


async def test_a_send_waits_with_its_bytes_until_it_ends(journal: SqliteJournal) -> None:
    ((seq, _),) = await journal.append([entry("m1")])
    new = new_send(seq, expires_ms=NOW + 60_000)
    assert await write(journal, new)
    (row,) = await chain(journal)
    assert row.done == {mark(new)}
    (send,) = row.sends
    assert (send.key, send.call_key, send.rule, send.operation) == (
        new.key,
        new.key,
        new.rule,
        new.operation,
    )
    assert (send.method, send.path, send.body) == (new.method, new.path, new.body)
    assert (send.expires_ms, send.created_ms, send.attempt) == (NOW + 60_000, NOW, 0)
    kept = await journal.send(new.key)
    assert kept is not None
    assert (kept.state, kept.recipient, kept.revision, kept.generation) == (
        "pending",
        "u1",
        "r1",
        0,
    )
    assert await journal.send("unknown") is None


async def test_the_ends_before_a_send_are_written_with_it(journal: SqliteJournal) -> None:
    ((seq, _),) = await journal.append([entry("m1")])
    tags = End("tags", "update_user", "dead", "refused")
    died = death(rule="tags", operation="update_user", key=None)
    new = new_send(seq)
    done = [mark(tags), mark(new)]
    assert await write(journal, new, ends=[tags], deaths=[died], done=done)
    assert await outcomes(journal) == [(seq, "tags", "update_user", "dead", "refused")]
    assert (await the_dead(journal)).rule == "tags"
    assert (await chain(journal))[0].done == set(done)


async def test_a_send_that_another_event_wrote_before_is_skipped(
    journal: SqliteJournal,
) -> None:
    (one, other) = await journal.append([entry("m1"), entry("m1", source="app")])
    assert await write(journal, new_send(one.seq))
    tags = End("tags", "update_user", "delivered")
    assert not await write(journal, new_send(other.seq, body=b"other"), ends=[tags])
    first, second = await chain(journal)
    assert (len(first.sends), first.sends[0].body) == (1, new_send(one.seq).body)
    assert (second.sends, second.done) == ((), frozenset({mark(new_send(1))}))
    assert await outcomes(journal) == [
        (other.seq, "tags", "update_user", "delivered", None),
        (other.seq, "welcome", "send_notification", "skipped", "already_sent"),
    ]


async def test_a_send_that_the_event_wrote_itself_is_left_as_it_is(journal: SqliteJournal) -> None:
    ((seq, _),) = await journal.append([entry("m1")])
    assert await write(journal, new_send(seq))
    assert not await write(journal, new_send(seq, body=b"other"))
    (row,) = await chain(journal)
    assert [send.body for send in row.sends] == [new_send(seq).body]
    assert await outcomes(journal) == []


async def test_a_send_whose_ends_are_impossible_is_not_written(journal: SqliteJournal) -> None:
    ((seq, _),) = await journal.append([entry("m1")])
    with pytest.raises(JournalError):
        await write(journal, new_send(seq), ends=[End("tags", "update_user", "skipped", None)])
    (row,) = await chain(journal)
    assert (row.sends, row.done) == ((), frozenset())
    assert await journal.send("key-0") is None
    assert await write(journal, new_send(seq))


async def test_a_call_that_failed_waits_with_its_attempts(journal: SqliteJournal) -> None:
    ((seq, _),) = await journal.append([entry("m1")])
    await write(journal, new_send(seq))
    await journal.retry_call(
        "key-0", not_before_ms=NOW + 9, attempt=3, uncertain=True, error="timeout"
    )
    (send,) = (await chain(journal))[0].sends
    assert (send.not_before_ms, send.attempt, send.body) == (NOW + 9, 3, new_send(seq).body)


@pytest.mark.parametrize("status", ["delivered", "no_recipients", "skipped", "dead"])
async def test_a_send_that_ended_is_over_and_told(journal: SqliteJournal, status: str) -> None:
    ((seq, _),) = await journal.append([entry("m1")])
    await write(journal, new_send(seq))
    died = death() if status == "dead" else None
    await journal.end_send(seq, "key-0", end(status), death=died, at_ms=NOW)
    (row,) = await chain(journal)
    assert row.sends == ()
    assert row.done == {"welcome/send_notification"}
    kept = await journal.send("key-0")
    assert kept is not None
    assert kept.state == status
    assert [row[3] for row in await outcomes(journal)] == [status]
    assert len(await journal.dead_letters()) == (1 if died else 0)
    assert await select(journal, "SELECT key FROM call") == []


@pytest.mark.parametrize(
    ("was", "becomes"),
    [
        ("delivered", "dead"), ("delivered", "skipped"), ("delivered", "no_recipients"),
        ("no_recipients", "delivered"), ("skipped", "delivered"), ("dead", "delivered"),
        ("dead", "skipped"), ("dead", "no_recipients"),
    ],
)  # fmt: skip
async def test_a_send_that_ended_ends_no_other_way(
    journal: SqliteJournal, was: str, becomes: str
) -> None:
    ((seq, _),) = await journal.append([entry("m1")])
    await write(journal, new_send(seq))
    await journal.end_send(seq, "key-0", end(was), death=None, at_ms=NOW)
    with pytest.raises(JournalError, match="a send cannot make this move"):
        await journal.end_send(seq, "key-0", end(becomes), death=None, at_ms=NOW)
    assert [row[3] for row in await outcomes(journal)] == [was]


async def test_a_waiting_send_cannot_be_discarded(journal: SqliteJournal) -> None:
    ((seq, _),) = await journal.append([entry("m1")])
    await write(journal, new_send(seq))
    with pytest.raises(JournalError, match="cannot make this move"):
        await journal.end_send(seq, "key-0", end("discarded"), death=None, at_ms=NOW)
    assert len((await chain(journal))[0].sends) == 1


async def test_a_state_that_there_is_not_is_refused(journal: SqliteJournal) -> None:
    ((seq, _),) = await journal.append([entry("m1")])
    await write(journal, new_send(seq))
    with pytest.raises(JournalError):
        await journal.end_send(seq, "key-0", end("gone"), death=None, at_ms=NOW)
    assert len((await chain(journal))[0].sends) == 1


async def two_in_one_call(journal: SqliteJournal) -> list[int]:
    """Two events whose sends share a call; their seqs."""
    seqs = [one.seq for one in await journal.append([entry("m1"), entry("m2")])]
    for number, seq in enumerate(seqs):
        await write(journal, new_send(seq, f"key-{number}"))
    await change(journal, "UPDATE send SET call_key = 'shared'")
    await change(journal, "UPDATE call SET key = 'shared' WHERE key = 'key-0'")
    await change(journal, "DELETE FROM call WHERE key = 'key-1'")
    return seqs


async def test_a_call_ends_with_the_last_of_its_members(journal: SqliteJournal) -> None:
    first, second = await two_in_one_call(journal)
    await journal.end_send(first, "key-0", end(key="shared"), death=None, at_ms=NOW)
    rows = await chain(journal)
    assert [[send.key for send in row.sends] for row in rows] == [[], ["key-1"]]
    await journal.end_send(second, "key-1", end(key="shared"), death=None, at_ms=NOW)
    assert await select(journal, "SELECT key FROM call") == []


async def test_a_held_member_keeps_its_call(journal: SqliteJournal) -> None:
    first, _ = await two_in_one_call(journal)
    await change(journal, "UPDATE send SET state = 'held', hold = 'limit' WHERE key = 'key-1'")
    await journal.end_send(first, "key-0", end(key="shared"), death=None, at_ms=NOW)
    assert await select(journal, "SELECT key FROM call") == [("shared",)]
    assert (await journal.counts()).held == 1


async def test_a_member_revived_with_its_own_key_gets_a_call_of_its_own(
    journal: SqliteJournal,
) -> None:
    first, _ = await two_in_one_call(journal)
    await journal.end_send(first, "key-0", end("dead", key="shared"), death=death(), at_ms=NOW)
    await journal.revive((await the_dead(journal)).id, send=new_send(first), at_ms=NOW)
    revived, other = await chain(journal)
    assert [(send.key, send.call_key) for send in revived.sends] == [("key-0", "key-0")]
    assert [(send.key, send.call_key) for send in other.sends] == [("key-1", "shared")]


# Dead letters -------------------------------------------------------------------------------------


async def test_dead_letters_come_in_pages_and_by_reason_and_rule(journal: SqliteJournal) -> None:
    appended = await journal.append([entry(f"m{n}") for n in range(5)])
    for number, (seq, _) in enumerate(appended):
        died = death(
            rule=f"rule-{number % 2}", reason="refused" if number < 3 else "gave_up", key=None
        )
        ends = [end("dead", rule=died.rule)]
        await journal.finish(seq, ends, deaths=[died], at_ms=NOW)
    everyone = await journal.dead_letters()
    assert [dead.seq for dead in everyone] == [one.seq for one in appended]
    page = await journal.dead_letters(after=everyone[1].id, limit=2)
    assert [dead.seq for dead in page] == [appended[2].seq, appended[3].seq]
    by_both = await journal.dead_letters(Choice(reason="refused", rule="rule-0"))
    assert [dead.message_id for dead in by_both] == ["m0", "m2"]
    most, *_ = counts = await journal.dead_counts()
    assert most[:3] == ("refused", "rule-0", 2)
    assert most.newest == by_both[-1].id
    assert sum(one.many for one in counts) == 5
    assert await journal.dead_letter(10_000) is None


async def dead_update(journal: SqliteJournal, message_id: str = "m1") -> int:
    ((seq, _),) = await journal.append([entry(message_id)])
    died = death(rule="tags", operation="update_user", key=None)
    ends = [End("tags", "update_user", "dead", "refused"), End("more", "update_user", "delivered")]
    await journal.finish(seq, ends, deaths=[died], at_ms=NOW)
    return seq


async def test_a_revived_update_is_work_again_and_nothing_else_of_its_event(
    journal: SqliteJournal,
) -> None:
    seq = await dead_update(journal)
    dead = await the_dead(journal)
    assert await journal.revive(dead.id, send=None, at_ms=NOW)
    (row,) = await chain(journal)
    assert (row.seq, row.only, row.done) == (seq, frozenset({"tags/update_user"}), frozenset())
    # There may be a great many: what is live goes first.
    assert row.rank == BULK
    assert [one[1] for one in await outcomes(journal)] == ["more"]
    assert await journal.dead_letters() == []
    assert await journal.dead_letter(dead.id) is None


async def test_what_is_revived_twice_is_done_once(journal: SqliteJournal) -> None:
    await dead_update(journal)
    dead = await the_dead(journal)
    answers = await at_once(*(journal.revive(dead.id, send=None, at_ms=NOW) for _ in range(5)))
    assert sorted(answers) == [False, False, False, False, True]
    assert len(await chain(journal)) == 1
    assert not await journal.revive(999, send=None, at_ms=NOW)


async def test_a_revived_operation_can_die_again(journal: SqliteJournal) -> None:
    seq = await dead_update(journal)
    first = await the_dead(journal)
    await journal.revive(first.id, send=None, at_ms=NOW)
    died = death(rule="tags", operation="update_user", key=None, answer="again")
    ends = [End("tags", "update_user", "dead", "refused")]
    await journal.finish(seq, ends, deaths=[died], at_ms=NOW)
    second = await the_dead(journal)
    assert (second.answer, second.payload) == ("again", first.payload)
    assert second.id > first.id


async def test_a_send_revived_with_its_own_key_is_the_same_send(journal: SqliteJournal) -> None:
    seq = await dead_send(journal)
    dead = await the_dead(journal)
    assert await journal.revive(dead.id, send=new_send(seq), at_ms=NOW)
    (row,) = await chain(journal)
    assert row.only == row.done == {"welcome/send_notification"}
    assert [send.key for send in row.sends] == ["key-0"]
    kept = await journal.send("key-0")
    assert kept is not None
    assert kept.state == "pending"
    await journal.end_send(seq, "key-0", end(), death=None, at_ms=NOW)
    await journal.finish(seq, [], deaths=[], at_ms=NOW)
    assert [one[3] for one in await outcomes(journal)] == ["delivered"]
    assert await chain(journal) == []


async def test_a_send_revived_with_a_new_key_takes_the_place_of_the_old(
    journal: SqliteJournal,
) -> None:
    seq = await dead_send(journal)
    dead = await the_dead(journal)
    again = new_send(seq, "key-1", generation=1)
    assert await journal.revive(dead.id, send=again, at_ms=NOW)
    assert not await journal.revive(dead.id, send=again, at_ms=NOW)
    (row,) = await chain(journal)
    assert [send.key for send in row.sends] == ["key-1"]
    old, new = await journal.send("key-0"), await journal.send("key-1")
    assert old is not None
    assert new is not None
    assert (old.state, new.state, new.generation) == ("replayed", "pending", 1)


async def test_an_event_that_could_not_be_planned_is_revived_as_a_whole(
    journal: SqliteJournal,
) -> None:
    ((seq, _),) = await journal.append([entry("m1")])
    await write(journal, new_send(seq))
    await journal.end_send(seq, "key-0", end(), death=None, at_ms=NOW)
    unplanned = death(rule="", operation="", reason="plan_failed", key=None)
    ends = [End("", "", "dead", "plan_failed")]
    await journal.finish(seq, ends, deaths=[unplanned], at_ms=NOW)
    assert await journal.revive((await the_dead(journal)).id, send=None, at_ms=NOW)
    (row,) = await chain(journal)
    assert row.only is None, "every operation of it is to be done"
    assert row.done == {"welcome/send_notification"}, "but for what ended before"


async def test_the_event_of_a_dead_letter_comes_back_when_it_was_dropped(
    journal: SqliteJournal,
) -> None:
    seq = await dead_update(journal)
    dead = await the_dead(journal)
    await change(journal, "DELETE FROM event WHERE seq = ?", seq)
    assert await journal.revive(dead.id, send=None, at_ms=NOW)
    (row,) = await chain(journal)
    assert (row.seq, row.payload, row.message_id, row.event_ms) == (
        seq,
        dead.payload,
        "m1",
        NOW - 5,
    )
    ((fresh, _),) = await journal.append([entry("m2")])
    assert fresh > seq


async def two_operations(journal: SqliteJournal) -> int:
    """An event with a dead update and a send that still waits; its seq."""
    ((seq, _),) = await journal.append([entry("m1")])
    died = death(rule="tags", operation="update_user", key=None)
    tags = End("tags", "update_user", "dead", "refused")
    new = new_send(seq)
    await write(journal, new, ends=[tags], deaths=[died], done=[mark(tags), mark(new)])
    return seq


async def test_a_replay_joins_what_still_waits_of_its_event(journal: SqliteJournal) -> None:
    await two_operations(journal)
    assert await journal.revive((await the_dead(journal)).id, send=None, at_ms=NOW)
    (row,) = await chain(journal)
    assert row.only is None
    assert row.done == {"welcome/send_notification"}
    assert len(row.sends) == 1


async def test_two_replays_of_one_event_are_about_both(journal: SqliteJournal) -> None:
    ((seq, _),) = await journal.append([entry("m1")])
    names = ("one", "two")
    deaths = [death(rule=name, operation="update_user", key=None) for name in names]
    ends = [End(name, "update_user", "dead", "refused") for name in names]
    await journal.finish(seq, ends, deaths=deaths, at_ms=NOW)
    for dead in await journal.dead_letters():
        assert await journal.revive(dead.id, send=None, at_ms=NOW)
    (row,) = await chain(journal)
    assert row.only == frozenset({"one/update_user", "two/update_user"})


async def test_a_replay_is_not_lost_when_its_event_finishes_meanwhile(
    journal: SqliteJournal,
) -> None:
    """Who works on the event loaded it before the replay, and thinks that nothing is left."""
    seq = await two_operations(journal)
    await journal.revive((await the_dead(journal)).id, send=None, at_ms=NOW)
    await journal.end_send(seq, "key-0", end(), death=None, at_ms=NOW)
    await journal.finish(seq, [], deaths=[], at_ms=NOW)
    (row,) = await chain(journal)
    assert (row.only, row.done) == (frozenset({"tags/update_user"}), frozenset())
    assert row.sends == ()
    await journal.finish(seq, [End("tags", "update_user", "delivered")], deaths=[], at_ms=NOW)
    assert await chain(journal) == []
    assert [one[3] for one in await outcomes(journal)] == ["delivered", "delivered"]


async def test_what_was_replayed_meanwhile_is_tried_at_once_and_as_often_as_what_is_new(
    journal: SqliteJournal,
) -> None:
    seq = await two_operations(journal)
    await journal.postpone(
        seq, not_before_ms=NOW + 9000, attempt=9, error="http_503", now_ms=NOW, learnt=[]
    )
    await journal.revive((await the_dead(journal)).id, send=None, at_ms=NOW)
    await journal.end_send(seq, "key-0", end(), death=None, at_ms=NOW)
    await journal.finish(seq, [], deaths=[], at_ms=NOW)
    (row,) = await chain(journal)
    assert (row.attempt, row.first_try_ms, row.not_before_ms) == (0, None, 0)


async def test_a_replayed_send_is_not_lost_when_its_event_finishes_meanwhile(
    journal: SqliteJournal,
) -> None:
    ((seq, _),) = await journal.append([entry("m1")])
    await write(journal, new_send(seq))
    await journal.end_send(seq, "key-0", end("dead"), death=death(), at_ms=NOW)
    await journal.revive((await the_dead(journal)).id, send=new_send(seq), at_ms=NOW)
    await journal.finish(seq, [End("tags", "update_user", "delivered")], deaths=[], at_ms=NOW)
    (row,) = await chain(journal)
    assert row.only == row.done == {"welcome/send_notification"}
    assert [send.key for send in row.sends] == ["key-0"]


async def test_a_replay_that_was_seen_ends_with_its_event(journal: SqliteJournal) -> None:
    seq = await two_operations(journal)
    await journal.revive((await the_dead(journal)).id, send=None, at_ms=NOW)
    await journal.end_send(seq, "key-0", end(), death=None, at_ms=NOW)
    await journal.finish(seq, [End("tags", "update_user", "delivered")], deaths=[], at_ms=NOW)
    assert await chain(journal) == []


async def test_a_replay_is_not_marked_as_done_by_who_does_not_know_of_it(
    journal: SqliteJournal,
) -> None:
    seq = await two_operations(journal)
    await journal.revive((await the_dead(journal)).id, send=None, at_ms=NOW)
    late = new_send(seq, "late", rule="late")
    stale = ["tags/update_user", "welcome/send_notification", mark(late)]
    assert await write(journal, late, done=stale)
    (row,) = await chain(journal)
    assert row.done == {"welcome/send_notification", mark(late)}


async def test_reading_after_the_end_says_that_the_journal_is_closed(tmp_path: Path) -> None:
    journal = open_sqlite(tmp_path / "bridge.db")
    await journal.close()
    waits: list[Any] = [journal.counts(), journal.append([entry("m1")]), journal.send("key")]
    answers = await at_once(*waits)
    assert {getattr(answer, "code", None) for answer in answers} == {"journal-unavailable"}


# What was written for a user ----------------------------------------------------------------------


def appended_to(text: str) -> Learnt:
    """A row that grows by a text, whatever it is by then."""
    return Learnt(7, lambda blob: (blob or b"") + text.encode())


async def test_a_call_ends_many_events_at_once_and_teaches_what_it_did(
    journal: SqliteJournal,
) -> None:
    seqs = [one.seq for one in await journal.append([entry(f"m{n}") for n in range(3)])]
    delivered = End("profile", "update_user", "delivered")
    dead = End("profile", "update_user", "dead", "http_400")
    await journal.ack(
        [
            Acked(seqs[0], [delivered]),
            Acked(seqs[1], [dead], [death(rule="profile", operation="update_user", key=None)]),
            Acked(seqs[2], [delivered], done=["profile/update_user"]),
        ],
        learnt=[appended_to("x")],
        at_ms=NOW,
    )
    (left,) = await chain(journal)
    assert left.seq == seqs[2]
    assert left.done == {"profile/update_user"}
    assert [status for _, _, _, status, _ in await outcomes(journal)] == [
        "delivered",
        "dead",
        "delivered",
    ]
    assert (await the_dead(journal)).rule == "profile"
    assert (await journal.chains([7], limit=5))[7].state == b"x"


async def test_what_is_learnt_joins_what_is_on_disk_by_then(journal: SqliteJournal) -> None:
    await at_once(*(journal.ack([], learnt=[appended_to(c)], at_ms=NOW) for c in "abc"))
    await journal.append([entry("m")])
    (waiting,) = await chain(journal)
    await journal.postpone(
        waiting.seq,
        not_before_ms=NOW,
        attempt=1,
        error="x",
        now_ms=NOW,
        learnt=[appended_to("d")],
    )
    assert await journal.state(7) == b"abcd"
    assert await journal.state(8) is None


async def test_what_cannot_be_learnt_ends_nothing(journal: SqliteJournal) -> None:
    ((seq, _),) = await journal.append([entry("m")])

    def broken(blob: bytes | None) -> bytes:
        raise ZeroDivisionError

    ended = Acked(seq, [End("profile", "update_user", "delivered")])
    with pytest.raises(ZeroDivisionError):
        await journal.ack([ended], learnt=[Learnt(7, broken)], at_ms=NOW)
    assert [row.seq for row in await chain(journal)] == [seq]
    assert await outcomes(journal) == []


async def test_what_was_not_used_for_long_is_dropped_piece_by_piece(journal: SqliteJournal) -> None:
    for user in range(1, 8):
        await journal.ack(
            [], learnt=[Learnt(user, lambda _: b"x")], at_ms=NOW if user % 2 else NOW - 1000
        )
    after: int | None = 0
    seen = []
    while after is not None:
        after = await journal.drop_unused(after=after, before_ms=NOW, limit=3)
        seen.append(after)
    assert seen == [3, 6, 7, None]
    assert [user for user in range(1, 8) if await journal.state(user)] == [1, 3, 5, 7]
