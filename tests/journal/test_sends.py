"""What every journal does with sends: what they are judged by, what holds them, what they share.

Written against the protocol, as `test_conformance` is.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from bridge.journal.groups import Member, MemberEnd, OpenGroup, Sealing
from bridge.journal.piles import Choice, Volume
from bridge.journal.records import SENDS_DECIDED, SendGroup, Status
from bridge.journal.sends import Guard, Known, Ruling
from bridge.journal.sqlite import SqliteJournal, open_sqlite
from tests.journal.making import (
    NOW,
    bid,
    chain,
    change,
    death,
    end,
    entry,
    new_send,
    outcomes,
    select,
)

# Guards ------------------------------------------------------------------------------------------

WAIT = Ruling("wait", "volume_guard", NOW + 5000)
STOP = Ruling("stop", "person_cap")


async def known_of(journal: SqliteJournal, guard: Guard, **more: Any) -> Known:
    """What a send of another event would be judged by; it is stopped."""
    found: list[Known] = []

    def decide(_: int, known: Known) -> Ruling:
        found.append(known)
        return STOP

    name = f"asks-{guard}-{more}"
    ((seq, _),) = await journal.append([entry(name)])
    send = new_send(
        seq, name, **{one: more.pop(one) for one in ("rule", "person_hash") if one in more}
    )
    await bid(journal, send, guard=guard, decide=decide, **more)
    return found[0]


async def test_an_event_of_which_the_sends_are_decided_says_so(journal: SqliteJournal) -> None:
    (one, other) = await journal.append([entry("m1"), entry("m2")])
    await bid(journal, new_send(one.seq))
    await bid(journal, new_send(other.seq, "key-1"), decide=lambda *_: WAIT)
    first, second = (await journal.chains([7], limit=9))[7].rows
    assert SENDS_DECIDED in first.done
    assert (second.done, second.not_before_ms) == (frozenset(), NOW + 5000)


async def test_a_place_is_seen_by_other_events_of_the_same_person_and_key(
    journal: SqliteJournal,
) -> None:
    ((seq, _),) = await journal.append([entry("m1")])
    guard = Guard(once=5, once_ms=1000)
    await bid(journal, new_send(seq, once=5, once_ms=1000), guard=guard)
    assert (await known_of(journal, guard)).once_taken_ms == NOW
    assert (await known_of(journal, Guard(once=6, once_ms=1000))).once_taken_ms is None
    assert (await known_of(journal, guard, person_hash=8)).once_taken_ms is None
    assert (await known_of(journal, guard, rule="other")).once_taken_ms is None
    await journal.end_send(seq, "key-0", end("no_recipients"), death=None, at_ms=NOW)
    assert (await known_of(journal, guard)).once_taken_ms is None


ONCE = Guard(once=5, once_ms=1000)


async def two_sends_of_one_event(journal: SqliteJournal, *, is_held: bool = False) -> int:
    """One firing of a rule, as `key-0` and `key-1`, of which the second may be held; its event."""
    ((seq, _),) = await journal.append([entry("m1")])
    both = [new_send(seq, f"key-{n}", operation=f"send-{n}", once=5, once_ms=1000) for n in (0, 1)]
    found: list[int | None] = []

    def decide(number: int, known: Known) -> Ruling:
        found.append(known.once_taken_ms)
        return Ruling("hold", "paused") if is_held and number else Ruling("go")

    await bid(journal, *both, guard=ONCE, decide=decide)
    assert found == [None, None]
    return seq


@pytest.mark.parametrize("other", ["waits", "arrived", "is held"])
async def test_two_sends_of_one_firing_share_its_place_until_neither_of_them_needs_it(
    journal: SqliteJournal, other: str
) -> None:
    seq = await two_sends_of_one_event(journal, is_held=other == "is held")
    if other == "arrived":
        arrived = end(operation="send-1", key="key-1")
        await journal.end_send(seq, "key-1", arrived, death=None, at_ms=NOW)
    unreached = end("no_recipients", operation="send-0")
    await journal.end_send(seq, "key-0", unreached, death=None, at_ms=NOW)
    assert (await known_of(journal, ONCE)).once_taken_ms == NOW


async def test_the_place_of_a_firing_is_free_when_all_of_it_reached_nobody(
    journal: SqliteJournal,
) -> None:
    seq = await two_sends_of_one_event(journal)
    # Of another rule of the same event, which has arrived: it has nothing to do with the place.
    await bid(journal, new_send(seq, "key-2", rule="other"))
    await journal.end_send(seq, "key-2", end(rule="other", key="key-2"), death=None, at_ms=NOW)
    for number in (0, 1):
        key = f"key-{number}"
        unreached = end("no_recipients", operation=f"send-{number}", key=key)
        await journal.end_send(seq, key, unreached, death=None, at_ms=NOW)
    assert (await known_of(journal, ONCE)).once_taken_ms is None


async def test_a_place_that_another_event_has_taken_since_is_not_given_back(
    journal: SqliteJournal,
) -> None:
    (first, second) = await journal.append([entry("m1"), entry("m2")])
    await bid(journal, new_send(first.seq, once=5, once_ms=1000), guard=ONCE)
    later = new_send(second.seq, "key-1", once=5, once_ms=1000)
    await bid(journal, later, guard=ONCE, now_ms=NOW + 1000)
    await journal.end_send(first.seq, "key-0", end("no_recipients"), death=None, at_ms=NOW + 1001)
    # Under way, so that it is as if it were taken now.
    known = await known_of(journal, ONCE, now_ms=NOW + 5000)
    assert known.once_taken_ms == NOW + 5000
    sent = end(key="key-1")
    await journal.end_send(second.seq, "key-1", sent, death=None, at_ms=NOW + 6000)
    known = await known_of(journal, ONCE, now_ms=NOW + 6500)
    assert known.once_taken_ms == NOW + 6000


async def test_what_a_rule_has_sent_is_counted_by_its_own_time(journal: SqliteJournal) -> None:
    (long, short) = await journal.append([entry("m1"), entry("m2")])
    hour, second = Guard(limit_ms=3_600_000), Guard(limit_ms=1000)
    await bid(journal, new_send(long.seq, rule="long"), guard=hour)
    await bid(
        journal, new_send(short.seq, "key-1", rule="short"), guard=second, now_ms=NOW + 60_000
    )
    known = await known_of(journal, hour, rule="long", now_ms=NOW + 60_000)
    assert known.rule_sends == 1


async def test_what_was_written_before_the_clock_was_set_back_counts_beside_the_rest(
    journal: SqliteJournal,
) -> None:
    guard = Guard(limit_ms=600_000)
    (one, other) = await journal.append([entry("m1"), entry("m2")])
    await bid(journal, new_send(one.seq), guard=guard)
    await bid(journal, new_send(other.seq, "key-1"), guard=guard, now_ms=NOW + 20_000)
    await journal.set_back(by_ms=20_000, now_ms=NOW)
    assert (await known_of(journal, guard)).rule_sends == 2
    assert (await known_of(journal, guard, now_ms=NOW + 620_000)).rule_sends == 0


async def test_places_that_are_over_do_not_gather(journal: SqliteJournal) -> None:
    appended = await journal.append([entry(f"m{n}") for n in range(20)])
    for number, (seq, _) in enumerate(appended):
        send = new_send(seq, f"key-{number}", person_hash=number, once=5, once_ms=1000)
        now_ms = NOW + number * 500
        await bid(journal, send, guard=Guard(once=5, once_ms=1000), now_ms=now_ms)
        sent = end(key=f"key-{number}")
        await journal.end_send(seq, f"key-{number}", sent, death=None, at_ms=now_ms)
    assert (await select(journal, "SELECT count(*) FROM place"))[0][0] <= 3


async def test_a_place_is_taken_for_all_of_its_time_whoever_takes_others(
    journal: SqliteJournal,
) -> None:
    appended = await journal.append([entry(f"m{n}") for n in range(5)])
    for number, (seq, _) in enumerate(appended):
        send = new_send(seq, f"key-{number}", person_hash=number, once=5, once_ms=1000)
        await bid(journal, send, guard=ONCE, now_ms=NOW + number)
    for number in range(5):
        known = await known_of(journal, ONCE, person_hash=number)
        assert known.once_taken_ms is not None


async def test_what_is_held_for_another_reason_says_nothing_of_a_limit(
    journal: SqliteJournal,
) -> None:
    ((seq, _),) = await journal.append([entry("m1")])
    guard = Guard(limit_ms=1000, volume_ms=1000)
    await bid(journal, new_send(seq), guard=guard, decide=lambda *_: Ruling("hold", "paused"))
    known = await known_of(journal, guard)
    assert (known.rule_held, known.rule_sends, known.volume_sends) == (False, 0, 0)


async def test_pushes_under_way_and_those_that_just_arrived_are_counted(
    journal: SqliteJournal,
) -> None:
    appended = await journal.append([entry(f"m{n}") for n in range(4)])
    for number, (seq, _) in enumerate(appended):
        await bid(journal, new_send(seq, f"key-{number}", counted=number < 3))
    guard = Guard(cap_ms=1000)
    assert (await known_of(journal, guard)).person_sends == 3
    seq = appended[0].seq
    await journal.end_send(seq, "key-0", end(key="key-0"), death=None, at_ms=NOW)
    assert (await known_of(journal, guard)).person_sends == 3
    assert (await known_of(journal, guard, now_ms=NOW + 1000)).person_sends == 2
    refused = end("dead", key="key-1")
    died = death(key="key-1")
    await journal.end_send(appended[1].seq, "key-1", refused, death=died, at_ms=NOW)
    assert (await known_of(journal, guard, now_ms=NOW + 1000)).person_sends == 1


async def test_a_push_counts_for_its_person_from_when_it_arrived(journal: SqliteJournal) -> None:
    ((seq, _),) = await journal.append([entry("m1")])
    await bid(journal, new_send(seq, counted=True))
    await journal.end_send(seq, "key-0", end(), death=None, at_ms=NOW + 5000)
    guard = Guard(cap_ms=1000)
    assert (await known_of(journal, guard, now_ms=NOW + 5999)).person_sends == 1
    assert (await known_of(journal, guard, now_ms=NOW + 6000)).person_sends == 0


async def test_what_is_held_or_was_discarded_takes_no_place_of_its_person(
    journal: SqliteJournal,
) -> None:
    ((seq, _),) = await journal.append([entry("m1")])
    held = new_send(seq, counted=True)
    await bid(journal, held, decide=lambda *_: Ruling("hold", "paused"))
    guard = Guard(cap_ms=1000)
    assert (await known_of(journal, guard)).person_sends == 0
    assert await journal.sends.discard(Choice(app="default"), limit=9, at_ms=NOW) == 1
    assert (await known_of(journal, guard, now_ms=NOW + 1)).person_sends == 0


async def test_people_reached_are_counted_once_and_for_thirty_days(journal: SqliteJournal) -> None:
    appended = await journal.append([entry(f"m{n}") for n in range(3)])
    for number, (seq, _) in enumerate(appended):
        key = f"key-{number}"
        await bid(journal, new_send(seq, key, person_hash=number // 2))
        at_ms = NOW + number * 86_400_000
        await journal.end_send(seq, key, end(key=key), death=None, at_ms=at_ms)
    guard = Guard(volume_ms=1000)
    # And the one that asks.
    assert (await known_of(journal, guard, person_hash=99)).people == 3
    assert (await known_of(journal, guard, person_hash=1)).people == 2
    later = NOW + 31 * 86_400_000
    assert (await known_of(journal, guard, person_hash=99, now_ms=later)).people == 2
    days = await select(journal, "SELECT people FROM reached_day ORDER BY day")
    assert days == [(0,), (1,), (1,)]


async def test_who_was_reached_later_is_not_forgotten_for_a_clock_that_was_set_back(
    journal: SqliteJournal,
) -> None:
    day = 86_400_000
    appended = await journal.append([entry("m1"), entry("m2")])
    for number, at_ms in enumerate((NOW + 10 * day, NOW)):
        await bid(journal, new_send(appended[number].seq, f"key-{number}"))
        key = f"key-{number}"
        await journal.end_send(appended[number].seq, key, end(key=key), death=None, at_ms=at_ms)
    later = NOW + 39 * day
    assert (await known_of(journal, Guard(volume_ms=1000), now_ms=later)).people == 1
    people = await known_of(journal, Guard(volume_ms=1000), person_hash=99, now_ms=later)
    assert people.people == 2


async def tallies_agree(journal: SqliteJournal, held: int) -> None:
    """What is kept of how many are held is what they are when they are counted."""
    since = Choice(since_ms=0)
    counted = await journal.sends.held_counts(since)
    assert await journal.sends.held_counts() == counted
    assert (await journal.counts()).held == sum(count for *_, count in counted) == held


async def test_what_is_held_is_listed_released_and_discarded(journal: SqliteJournal) -> None:
    appended = await journal.append([entry(f"m{n}", user_hash=n + 1) for n in range(3)])
    for number, (seq, _) in enumerate(appended):
        send = new_send(seq, f"key-{number}", user_hash=number + 1, expires_ms=NOW + 5)
        await bid(journal, send, decide=lambda *_: Ruling("hold", "limit", first=True))
        await journal.finish(seq, [], deaths=[], at_ms=NOW)
    assert (await journal.counts())[:3] == (0, 0, 3)
    assert [one.key for one in await journal.sends.held()] == ["key-0", "key-1", "key-2"]
    assert (await known_of(journal, Guard(limit_ms=1000))).rule_held
    await tallies_agree(journal, 3)

    released = await journal.sends.release(Choice(app="default", rule="welcome"), limit=2)
    assert (released.sends, released.users) == (2, frozenset({1, 2}))
    (row,) = await chain(journal, 1)
    assert [(send.key, send.expires_ms) for send in row.sends] == [("key-0", None)]
    await tallies_agree(journal, 1)
    assert await journal.sends.discard(Choice(app="default"), limit=9, at_ms=NOW) == 1
    await tallies_agree(journal, 0)
    assert (appended[2].seq, "welcome", "send_notification", "discarded", "by_person") in (
        await outcomes(journal)
    )
    assert not (
        await known_of(journal, Guard(limit_ms=1000), rule="welcome", now_ms=NOW + 1)
    ).rule_held
    assert await select(journal, "SELECT key FROM call ORDER BY key") == [("key-0",), ("key-1",)]


# Groups ------------------------------------------------------------------------------------------

GROUP = SendGroup(b"g", "default", "send", 256, 0, "external_id", "POST", "/notifications", b"{}")


async def grouped(journal: SqliteJournal, count: int, **more: Any) -> list[int]:
    """Events that are over but for a send that waits in a group; their seqs."""
    appended = await journal.append([entry(f"g{n}", user_hash=n + 1) for n in range(count)])
    for number, (seq, _) in enumerate(appended):
        key = f"key-{number}"
        whose = {"user_hash": number + 1, "recipient": f"u{number}"}
        send = new_send(seq, key, group=GROUP, body=b"", **whose, **more)
        await bid(journal, send, last=True)
    return [seq for seq, _ in appended]


def made(_: SendGroup, members: Sequence[Member]) -> tuple[str, bytes]:
    names = "+".join(sorted(member.key for member in members))
    return names, names.encode()


async def seal(journal: SqliteJournal, limit: int = 10, now_ms: int = NOW) -> Sealing:
    def sift(_: SendGroup, one: Member) -> MemberEnd | None:
        is_old = one.expires_ms is not None and now_ms > one.expires_ms
        return MemberEnd("skipped", "too_old") if is_old else None

    return await journal.groups.seal(
        GROUP.id,
        sift=sift,
        choose=lambda _, found: found,
        make=made,
        limit=limit,
        now_ms=now_ms,
    )


async def test_an_event_whose_sends_all_wait_in_groups_is_no_business_of_its_chain(
    journal: SqliteJournal,
) -> None:
    await grouped(journal, 2)
    assert await chain(journal, 1) == []
    assert (await journal.counts()).pending == 2
    groups, calls = await journal.groups.waiting("default", limit=9)
    assert (groups, calls) == ([OpenGroup(GROUP.id, "send", 0, 2)], [])
    assert await journal.groups.waiting("other", limit=9) == ([], [])


async def test_sealing_takes_the_oldest_and_ends_the_old(journal: SqliteJournal) -> None:
    await grouped(journal, 3, expires_ms=NOW + 10)
    sealing = await seal(journal, limit=2)
    assert sealing.call is not None
    assert (sealing.call.key, sealing.call.members, sealing.taken) == ("key-0+key-1", 2, 2)
    assert await journal.groups.call(sealing.call.key) == sealing.call
    late = await seal(journal, now_ms=NOW + 11)
    old = MemberEnd("skipped", "too_old")
    assert (late.call, late.taken, late.ended) == (None, 1, [("welcome", old, 1)])
    assert (await outcomes(journal))[0][3:] == ("skipped", "too_old")


async def test_a_call_is_too_old_when_the_first_of_its_members_is(journal: SqliteJournal) -> None:
    appended = await journal.append([entry(f"g{n}", user_hash=n + 1) for n in range(3)])
    for number, expires_ms in enumerate((NOW + 20, NOW + 10, None)):
        seq, key = appended[number].seq, f"key-{number}"
        whose = {"user_hash": number + 1, "recipient": f"u{number}"}
        send = new_send(seq, key, group=GROUP, body=b"", expires_ms=expires_ms, **whose)
        await bid(journal, send, last=True)
    sealing = await seal(journal)
    assert sealing.call is not None
    assert sealing.call.expires_ms == NOW + 10
    assert await journal.groups.call(sealing.call.key) == sealing.call


@pytest.mark.parametrize(("status", "counted"), [("delivered", 1), ("no_recipients", 0)])
async def test_a_member_that_reached_nobody_takes_no_place_of_its_person(
    journal: SqliteJournal, status: Status, counted: int
) -> None:
    await grouped(journal, 1, counted=True)
    sealing = await seal(journal)
    assert sealing.call is not None
    assert (await known_of(journal, Guard(cap_ms=1000))).person_sends == 1
    await journal.groups.end_some(
        sealing.call.key, end_of=lambda _: MemberEnd(status, None, 200), at_ms=NOW
    )
    assert (await known_of(journal, Guard(cap_ms=1000), now_ms=NOW + 1)).person_sends == counted


async def test_a_member_that_may_have_arrived_keeps_the_place_of_its_person(
    journal: SqliteJournal,
) -> None:
    await grouped(journal, 1, counted=True)
    sealing = await seal(journal)
    assert sealing.call is not None
    unknown = MemberEnd("dead", "unknown_outcome", None, death(uncertain=True))
    await journal.groups.end_some(sealing.call.key, end_of=lambda _: unknown, at_ms=NOW)
    assert (await known_of(journal, Guard(cap_ms=1000), now_ms=NOW + 1)).person_sends == 1


async def test_who_is_reached_by_a_shared_call_is_reached(journal: SqliteJournal) -> None:
    await grouped(journal, 2)
    sealing = await seal(journal)
    assert sealing.call is not None
    await journal.groups.end_some(
        sealing.call.key, end_of=lambda _: MemberEnd("delivered", None, 200), at_ms=NOW
    )
    # And the one that asks.
    assert (await known_of(journal, Guard(volume_ms=1000), person_hash=99)).people == 2


async def test_a_group_of_which_all_is_too_old_is_there_no_more(journal: SqliteJournal) -> None:
    await grouped(journal, 2, expires_ms=NOW + 10)
    assert (await seal(journal, now_ms=NOW + 11)).call is None
    assert await select(journal, "SELECT count(*) FROM send_group") == [(0,)]


@pytest.mark.parametrize("counted", [False, True])
async def test_what_is_released_counts_for_those_without_a_cap_when_it_has_none(
    journal: SqliteJournal, *, counted: bool
) -> None:
    ((seq, _),) = await journal.append([entry("m1")])
    held = new_send(seq, counted=counted)
    await bid(journal, held, decide=lambda *_: Ruling("hold", "paused"))
    await journal.sends.release(Choice(app="default"), limit=9, volume=Volume(NOW, 900_000))
    assert (await known_of(journal, Guard(volume_ms=900_000))).volume_sends == (not counted)


async def test_a_call_ends_with_the_last_of_its_members_and_its_group_with_it(
    journal: SqliteJournal,
) -> None:
    await grouped(journal, 600)
    sealing = await seal(journal, limit=600)
    assert sealing.call is not None
    ends, more = 0, True
    while more:
        some, more = await journal.groups.end_some(
            sealing.call.key, end_of=lambda _: MemberEnd("delivered", None, 200), at_ms=NOW
        )
        ends += len(some)
    assert ends == 600
    assert (await journal.counts()).pending == 0
    for table in ("call", "send_group"):
        assert await select(journal, f"SELECT count(*) FROM {table}") == [(0,)]
    assert {row[3] for row in await outcomes(journal)} == {"delivered"}


async def test_a_group_of_which_all_is_discarded_is_there_no_more(journal: SqliteJournal) -> None:
    await grouped(journal, 2)
    assert await journal.groups.hold_unsealed(GROUP.id, "paused") == 2
    assert await journal.sends.discard(Choice(app="default"), limit=1, at_ms=NOW) == 1
    assert await select(journal, "SELECT count(*) FROM send_group") == [(1,)]
    assert await journal.sends.discard(Choice(app="default"), limit=1, at_ms=NOW) == 1
    assert await select(journal, "SELECT count(*) FROM send_group") == [(0,)]


async def test_the_members_of_a_call_that_was_not_made_wait_again(journal: SqliteJournal) -> None:
    await grouped(journal, 2)
    first = await seal(journal)
    assert first.call is not None
    await journal.groups.unseal(first.call.key)
    assert await journal.groups.call(first.call.key) is None
    assert (await seal(journal)).call == first.call


async def test_a_refused_call_becomes_two(journal: SqliteJournal) -> None:
    await grouped(journal, 3)
    sealing = await seal(journal)
    assert sealing.call is not None
    halves = await journal.groups.split(sealing.call.key, make=made, now_ms=NOW)
    assert [half.key for half in halves] == ["key-0", "key-1+key-2"]
    assert await journal.groups.waiting("default", limit=9) == ([], halves)


async def test_a_call_of_another_run_may_have_been_performed(tmp_path: Path) -> None:
    first = open_sqlite(tmp_path / "b.db")
    await grouped(first, 2)
    sealing = await seal(first)
    assert sealing.call is not None
    assert not sealing.call.uncertain
    await first.close()
    second = open_sqlite(tmp_path / "b.db")
    call = await second.groups.call(sealing.call.key)
    assert call is not None
    assert (call.body, bool(call.uncertain)) == (sealing.call.body, True)
    await second.close()


async def test_members_that_died_of_an_unknown_outcome_are_revived_together(
    journal: SqliteJournal,
) -> None:
    await grouped(journal, 3)
    sealing = await seal(journal)
    assert sealing.call is not None
    key = sealing.call.key

    def dies(member: Member) -> MemberEnd:
        died = death(key=member.key, uncertain=True, reason="unknown_outcome")
        return MemberEnd("dead", "unknown_outcome", None, died)

    assert not (await journal.groups.end_some(key, end_of=dies, at_ms=NOW)).more
    letters = await journal.dead_letters()
    assert len(letters) == 3
    again = new_send(letters[0].seq, letters[0].send_key or "")
    assert await journal.revive(letters[0].id, send=again, at_ms=NOW)
    assert await journal.dead_letters() == []
    call = await journal.groups.call(key)
    assert call is not None
    assert (call.body, call.members, bool(call.uncertain)) == (sealing.call.body, 3, True)
    assert await outcomes(journal) == []


async def test_a_send_is_no_less_certain_for_another_of_its_event(journal: SqliteJournal) -> None:
    ((seq, _),) = await journal.append([entry("m1")])
    await bid(journal, new_send(seq), new_send(seq, "key-1", rule="other"))
    doubtful = death(uncertain=True, reason="unknown_outcome")
    await journal.end_send(seq, "key-0", end("dead"), death=doubtful, at_ms=NOW)
    refused = death(key="key-1", rule="other")
    await journal.end_send(
        seq, "key-1", end("dead", rule="other", key="key-1"), death=refused, at_ms=NOW
    )
    letters = {one.send_key: one.uncertain for one in await journal.dead_letters()}
    assert letters == {"key-0": True, "key-1": False}


async def test_what_may_have_been_sent_once_is_uncertain_whatever_is_answered_later(
    journal: SqliteJournal,
) -> None:
    (told,) = await journal.append([entry("m1")])
    found = []
    for uncertain, key in ((True, "key-0"), (False, "key-0"), (False, "key-1")):
        dead = death(uncertain=uncertain, key=key)
        await journal.finish(told.seq, [], deaths=[dead], at_ms=NOW)
        found += [(one.send_key, bool(one.uncertain)) for one in await journal.dead_letters()]
        await change(journal, "UPDATE dead SET state = 'replayed', left_ms = 1")
    assert found == [("key-0", True), ("key-0", True), ("key-1", False)]
