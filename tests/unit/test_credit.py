"""How many events may be in memory, and whose."""

from __future__ import annotations

from hypothesis import given, strategies as st

from bridge.deliver.credit import Credit
from bridge.journal.records import BULK, LIVE

RANKS = st.sampled_from([LIVE, BULK])


@given(st.integers(1, 50), st.lists(st.tuples(st.integers(1, 9), RANKS, st.integers(0, 60))))
def test_what_is_lent_and_what_is_left_never_exceed_the_credit(
    size: int, wishes: list[tuple[int, int, int]]
) -> None:
    credit, lent = Credit(size), dict[int, int]()
    for user, rank, wish in wishes:
        credit.give_back(user)
        lent[user] = min(wish, credit.room(rank))
        credit.lend(user, rank, lent[user])
        assert credit.lent == sum(lent.values()) <= size


@given(st.integers(2, 5000), RANKS)
def test_one_rank_alone_leaves_a_tenth_to_the_other(size: int, rank: int) -> None:
    credit = Credit(size)
    credit.lend(1, rank, credit.room(rank))
    assert credit.room(rank) == 0
    other = BULK if rank == LIVE else LIVE
    assert credit.room(other) >= max(1, size // 10)


def test_even_the_smallest_credit_lets_one_event_in() -> None:
    assert Credit(1).room(LIVE) == Credit(1).room(BULK) == 1


def test_what_is_lent_again_replaces_what_was_lent() -> None:
    credit = Credit(10)
    credit.lend(1, LIVE, 5)
    credit.lend(1, BULK, 2)
    assert repr(credit) == "<Credit: 2 of 10 events>"
    credit.give_back(1)
    credit.give_back(1)
    assert credit.lent == 0
