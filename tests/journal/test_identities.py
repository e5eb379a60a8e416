"""What the journal makes of ids that are one person's."""

from __future__ import annotations

import sqlite3
from itertools import permutations
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings, strategies as st

from bridge.journal.membership import Heard, Membership, joined, learn
from bridge.journal.records import Changed, End, Entry, Learnt, Link, Loaded
from bridge.journal.sqlite import SqliteJournal, open_sqlite
from tests.journal.making import NOW, bid, chain, entry, new_send, select

ANN, BOB, VISITOR, OTHER = 7, 8, 107, 108


def linking(message_id: str, other: int, *, user: int = ANN, **more: Any) -> Entry:
    links = [Link(other, "anonymous_id", f"id-{other}", f"user-{user}")]
    return entry(message_id, user_hash=user, links=links, **more)


async def loaded(journal: SqliteJournal, user: int = ANN) -> Loaded:
    return (await journal.chains([user], limit=50))[user]


async def execute(journal: SqliteJournal, *statements: str) -> None:
    def write(connection: sqlite3.Connection) -> None:
        for statement in statements:
            connection.execute(statement)

    await journal._write(write)


async def whose(journal: SqliteJournal) -> dict[int, int]:
    return dict(await select(journal, "SELECT id_hash, person_hash FROM identity"))


async def test_what_waits_for_the_id_is_the_persons_in_the_tail_and_out_of_it(
    tmp_path: Path,
) -> None:
    journal = open_sqlite(tmp_path / "b.db", tail_rows=2)
    await journal.append([entry("a1", user_hash=VISITOR), entry("a2", user_hash=VISITOR)])
    await journal.append([])
    await journal.append([entry("a3", user_hash=VISITOR)])
    await journal.append([linking("m", VISITOR)])
    rows = [row.message_id for row in await chain(journal, ANN)]
    assert rows == ["a1", "a2", "a3", "m"]
    assert await chain(journal, VISITOR) == []
    lanes = await select(journal, "SELECT DISTINCT lane, user_hash FROM pending")
    assert lanes == [(ANN, ANN)]
    await journal.close()
    again = open_sqlite(tmp_path / "b.db")
    assert [row.message_id for row in await chain(again, ANN)] == rows
    (late,) = await again.append([entry("a4", user_hash=VISITOR)])
    assert isinstance(late, Changed)
    assert late.kept.user_hash == ANN
    await again.close()


async def test_what_comes_with_the_link_is_the_persons_in_either_order(
    journal: SqliteJournal,
) -> None:
    batch = [
        entry("before", user_hash=VISITOR),
        linking("m", VISITOR),
        entry("after", user_hash=VISITOR),
    ]
    appended = await journal.append(batch)
    assert [isinstance(one, Changed) for one in appended] == [False, True, True]
    assert [row.message_id for row in await chain(journal, ANN)] == ["before", "m", "after"]


async def test_a_link_that_is_no_news_is_kept_as_it_would_be_without(
    journal: SqliteJournal,
) -> None:
    nothing = entry("m2", rank=None, ended=End("", "", "skipped", "no_rule"), payload=None)
    await journal.append([linking("m1", VISITOR)])
    (again,) = await journal.append([linking("m2", VISITOR, unlinked=nothing)])
    assert isinstance(again, Changed)
    assert (again.kept.rank, again.linked) == (None, [])
    assert await select(journal, "SELECT seq, reason FROM outcome") == [(2, "no_rule")]


async def test_what_is_no_news_is_told_of_the_person_whom_its_user_was_found_to_be(
    journal: SqliteJournal,
) -> None:
    await journal.append([linking("a", ANN, user=BOB), linking("b", VISITOR, user=ANN)])
    nothing = entry("c", user_hash=ANN, rank=None, ended=End("", "", "skipped", "no_rule"))
    await journal.append([linking("c", VISITOR, user=ANN, unlinked=nothing)])
    assert await select(journal, "SELECT user_hash FROM event WHERE seq = 3") == [(BOB,)]
    assert await select(journal, "SELECT user_hash FROM history WHERE seq = 3") == [(BOB,)]


@pytest.mark.parametrize("together", [True, False])
async def test_links_that_cross_end_at_the_first(journal: SqliteJournal, *, together: bool) -> None:
    entries = [linking("m1", BOB, user=ANN), linking("m2", ANN, user=BOB)]
    for some in [entries] if together else [[one] for one in entries]:
        await journal.append(some)
    assert await whose(journal) == {BOB: ANN}
    assert [merge.id_hash for merge in (await loaded(journal)).merges] == [BOB]


ids = st.sampled_from([7, 8, 9, 10, 11])


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(ids, ids), max_size=8), st.data())
async def test_any_links_leave_every_id_with_one_person_who_is_nobodys(
    tmp_path_factory: pytest.TempPathFactory, pairs: list[tuple[int, int]], data: st.DataObject
) -> None:
    numbered = [linking(f"m{n}", other, user=user) for n, (user, other) in enumerate(pairs)]
    posts = []
    while numbered:
        size = data.draw(st.integers(1, len(numbered)))
        posts.append(numbered[:size])
        numbered = numbered[size:]
    # Only now, because a draw may end the example, and what is open would stay open.
    journal = open_sqlite(tmp_path_factory.mktemp("links") / "b.db")
    await journal.append([entry(f"e{user}", user_hash=user) for user in range(7, 12)])
    for post in posts:
        await journal.append(post)
    found = await whose(journal)
    assert found == _model(pairs)
    assert not found.keys() & set(found.values())
    pending = await select(journal, "SELECT DISTINCT user_hash FROM pending")
    assert not found.keys() & {user for (user,) in pending}
    names = await select(journal, "SELECT person_hash, external_id FROM identity")
    assert {name for _, name in names} == {f"user-{person}" for person, _ in names}
    await journal.close()


def _model(pairs: list[tuple[int, int]]) -> dict[int, int]:
    """Union by the first word, every id at its person."""
    person: dict[int, int] = {}
    for user, other in pairs:
        whole = person.get(user, user)
        if other in person or other == whole:
            continue
        person = {one: whole if at == other else at for one, at in person.items()}
        person[other] = whole
    return person


async def test_what_is_written_of_an_id_whose_events_moved_is_refused(
    journal: SqliteJournal,
) -> None:
    ((seq, _),) = await journal.append([entry("a1", user_hash=VISITOR)])
    await journal.append([linking("m", VISITOR)])
    assert await bid(journal, new_send(seq, "key", user_hash=VISITOR)) == []
    assert await select(journal, "SELECT count(*) FROM send") == [(0,)]


async def test_places_are_the_persons_and_who_was_reached_is_one(journal: SqliteJournal) -> None:
    rows = [
        "INSERT INTO place VALUES (107, 'default', 'r', 1, 1, 10, 100), (107, 'default', 'r', 2, 1, 10, 20)",
        "INSERT INTO place VALUES (7, 'default', 'r', 1, 2, 10, 50), (7, 'default', 'r', 2, 2, 15, 90)",
        "INSERT INTO reached VALUES (107, 'default', 5), (7, 'default', 3)",
    ]
    await execute(journal, *rows)
    await journal.append([linking("m", VISITOR)])
    places = "SELECT person_hash, once, seq, until_ms FROM place ORDER BY once, seq"
    assert await select(journal, places) == [
        (7, 1, 1, 100),
        (7, 1, 2, 50),
        (7, 2, 1, 20),
        (7, 2, 2, 90),
    ]
    assert await select(journal, "SELECT person_hash, day FROM reached") == [(7, 5)]
    days = "SELECT day, people FROM reached_day WHERE people > 0"
    assert await select(journal, days) == [(5, 1)]


async def test_devices_are_the_persons_once(journal: SqliteJournal) -> None:
    row = "INSERT INTO device (app, user_hash, platform, subscription_id, subscribed, details, at_ms, seq, first_ms, seen_ms) VALUES ('default', {}, 'web', '{}', 1, '{{}}', 0, 0, 0, 0)"
    for user, subscription in ((VISITOR, "s1"), (VISITOR, "s2"), (ANN, "s2")):
        await execute(journal, row.format(user, subscription))
    await journal.append([linking("m", VISITOR)])
    found = "SELECT user_hash, subscription_id FROM device ORDER BY subscription_id"
    assert await select(journal, found) == [(ANN, "s1"), (ANN, "s2")]
    (merge,) = (await loaded(journal)).merges
    assert sorted(merge.subscriptions or ()) == ["s1", "s2"]


# Memberships ------------------------------------------------------------------------------------

heards = st.lists(
    st.tuples(st.booleans(), st.integers(0, 9), st.booleans()), min_size=1, max_size=6
)


def _learnt(said: list[tuple[bool, int, bool]], first: int) -> Membership | None:
    known: Membership | None = None
    for seq, (entered, at, _) in enumerate(said, first):
        known = learn(known, Heard("vip", entered, at, seq), passing=False) or known
    return known


@given(heards, heards)
def test_of_two_memberships_the_last_word_counts(
    one: list[tuple[bool, int, bool]], two: list[tuple[bool, int, bool]]
) -> None:
    person, other = _learnt(one, 1), _learnt(two, 100)
    assert other is not None
    both, person_fired, other_fired = joined(person, other)
    last = max(
        [(at, seq, entered) for seq, (entered, at, _) in enumerate(one, 1)]
        + [(at, seq, entered) for seq, (entered, at, _) in enumerate(two, 100)]
    )
    assert (both.last_ms, both.last_seq, both.entered) == last
    assert person_fired or other_fired
    assert person is not None
    assert joined(other, person)[0] == both
    if person_fired and other_fired:
        assert person.entered == other.entered == both.entered


async def test_what_fired_for_the_stay_that_goes_on_has_fired(journal: SqliteJournal) -> None:
    for order in permutations((VISITOR, ANN)):
        name = str(order[0])
        rows = [
            f"INSERT INTO membership VALUES ({order[0]}, 'default', 'vip{name}', 1, 10, 20, 1, 0)",
            f"INSERT INTO membership VALUES ({order[1]}, 'default', 'vip{name}', 0, 5, 5, 2, 0)",
            f"INSERT INTO fired VALUES ({order[0]}, 'default', 'vip{name}', 'in', 1)",
            f"INSERT INTO fired VALUES ({order[1]}, 'default', 'vip{name}', 'out', 2)",
        ]
        await execute(journal, *rows)
    await journal.append([linking("m", VISITOR)])
    fired = await select(journal, "SELECT user_hash, audience, rule FROM fired ORDER BY audience")
    assert fired == [(ANN, "vip107", "in"), (ANN, "vip7", "in")]
    known = await select(journal, "SELECT user_hash, entered, since_ms FROM membership")
    assert known == [(ANN, 1, 10), (ANN, 1, 10)]


# Upkeep -----------------------------------------------------------------------------------------


async def test_an_id_of_somebody_who_is_not_heard_of_any_more_is_forgotten(
    journal: SqliteJournal,
) -> None:
    await journal.append([linking("m1", VISITOR), linking("m2", OTHER, user=BOB)])
    for merge in (*(await loaded(journal)).merges, *(await loaded(journal, BOB)).merges):
        await execute(journal, f"DELETE FROM merge WHERE id_hash = {merge.id_hash}")
    for row in (await loaded(journal)).rows + (await loaded(journal, BOB)).rows:
        await journal.finish(row.seq, [], deaths=[], at_ms=NOW)
    kept = Learnt(BOB, lambda _: b"[[],{}]")
    await journal.ack([], learnt=[kept], at_ms=NOW)
    after: int | None = 0
    while after is not None:
        after = await journal.retention.ids(after=after, before_ms=NOW + 1, limit=1)
    assert await whose(journal) == {OTHER: BOB}


@pytest.mark.parametrize("together", [True, False])
@pytest.mark.parametrize("erased", [ANN, VISITOR])
async def test_nobody_is_found_to_be_another_while_either_is_being_erased(
    journal: SqliteJournal, erased: int, *, together: bool
) -> None:
    nothing = entry("m", rank=None, ended=End("", "", "skipped", "no_rule"), payload=None)
    entries = [
        entry("d", user_hash=erased, type="delete", erases_ms=NOW),
        linking("m", VISITOR, event_ms=NOW + 1, unlinked=nothing),
    ]
    for some in [entries] if together else [[one] for one in entries]:
        await journal.append(some)
    assert await whose(journal) == {}
    assert [row.message_id for row in await chain(journal, erased)] == ["d"]
    assert await select(journal, "SELECT seq, reason FROM outcome") == [(2, "erased")]


async def test_who_was_erased_is_found_to_be_another_by_a_later_word_only(
    journal: SqliteJournal,
) -> None:
    await journal.append([entry("d", user_hash=VISITOR, type="delete", erases_ms=NOW)])
    await execute(journal, "UPDATE erased SET done_ms = 1")
    await journal.append([linking("before", VISITOR, event_ms=NOW)])
    assert await whose(journal) == {}
    await journal.append([linking("after", VISITOR, event_ms=NOW + 1)])
    assert await whose(journal) == {VISITOR: ANN}
    (late,) = await journal.append([entry("late", user_hash=VISITOR, event_ms=NOW)])
    assert isinstance(late, Changed)
    assert late.kept.rank is None


@pytest.mark.parametrize("together", [True, False])
async def test_an_older_request_to_erase_somebody_takes_nothing_back(
    journal: SqliteJournal, *, together: bool
) -> None:
    entries = [
        entry("d1", user_hash=ANN, type="delete", erases_ms=NOW),
        entry("d2", user_hash=ANN, type="delete", erases_ms=NOW - 100),
        entry("m", user_hash=ANN, event_ms=NOW - 50),
    ]
    for some in [entries] if together else [[one] for one in entries]:
        await journal.append(some)
    assert await select(journal, "SELECT seq, reason FROM outcome") == [(3, "erased")]


@pytest.mark.parametrize("erased", [ANN, VISITOR])
@pytest.mark.parametrize("together", [True, False])
async def test_what_comes_late_of_somebody_who_was_erased_under_either_id_is_not_taken(
    journal: SqliteJournal, erased: int, *, together: bool
) -> None:
    """A visitor's events are the person's, who may be erased; the id may have been before it was anybody's."""
    await journal.append([linking("l", VISITOR)])
    for merge in (await loaded(journal)).merges:
        await execute(journal, f"DELETE FROM merge WHERE id_hash = {merge.id_hash}")
    entries = [
        entry("d", user_hash=erased, type="delete", erases_ms=NOW),
        entry("m", user_hash=VISITOR, event_ms=NOW - 50),
    ]
    for some in [entries] if together else [[one] for one in entries]:
        await journal.append(some)
    assert (3, "erased") in await select(journal, "SELECT seq, reason FROM outcome")
