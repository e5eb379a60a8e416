"""Memberships: the last word by event time, whatever the order, and a rule fires once for a stay."""

from __future__ import annotations

from hypothesis import given, strategies as st

from bridge.journal.membership import Heard, Membership, is_another_stay, joined, learn


def enters(event_ms: int, seq: int = 1) -> Heard:
    return Heard(audience="vip", entered=True, event_ms=event_ms, seq=seq)


def leaves(event_ms: int, seq: int = 1) -> Heard:
    return Heard(audience="vip", entered=False, event_ms=event_ms, seq=seq)


def after(*events: Heard) -> Membership:
    known: Membership | None = None
    for one in events:
        known = learn(known, one, passing=False) or known
    assert known is not None
    return known


def test_a_stay_begins_with_its_first_event() -> None:
    assert after(enters(10), enters(20, 2)).since_ms == 10
    assert after(enters(20), enters(10, 2)).since_ms == 10
    assert after(enters(10), leaves(20, 2), enters(30, 3)).since_ms == 30


def test_an_event_that_comes_late_does_not_change_the_last_word() -> None:
    assert after(leaves(20), enters(10, 2)) == after(leaves(20))


def test_among_events_of_one_moment_the_one_accepted_last_counts() -> None:
    assert after(enters(10, 1), leaves(10, 2)).entered is False
    assert after(leaves(10, 2), enters(10, 1)).entered is False


def test_what_a_later_event_already_contradicts_is_no_news() -> None:
    out = learn(None, enters(10), passing=True)
    assert out is not None
    assert (out.entered, out.quiet) == (False, True)
    stays_out = learn(out, leaves(20, 2), passing=False)
    assert stays_out is not None
    assert (stays_out.entered, stays_out.quiet) == (False, True)
    again = learn(stays_out, enters(30, 3), passing=False)
    assert again is not None
    assert (again.entered, again.quiet) == (True, False)


def test_a_stay_that_was_interrupted_before_anybody_was_told_is_no_news_any_more() -> None:
    out = learn(None, leaves(10), passing=False)
    assert out is not None
    assert not out.quiet
    passing = learn(out, enters(20, 2), passing=True)
    assert passing is not None
    assert (passing.entered, passing.since_ms, passing.quiet) == (False, 10, True)


def test_of_two_who_are_one_a_stay_is_no_news_when_it_was_none_for_either() -> None:
    loud = Membership(entered=True, since_ms=10, last_ms=20, last_seq=2, quiet=False)
    quiet = Membership(entered=True, since_ms=5, last_ms=15, last_seq=1, quiet=True)
    for one, other in ((loud, quiet), (quiet, loud)):
        assert joined(one, other) == (loud._replace(since_ms=5, quiet=True), True, True)


events = st.lists(st.tuples(st.booleans(), st.integers(0, 20)), min_size=1, max_size=12).map(
    lambda found: [Heard("vip", *one, seq) for seq, one in enumerate(found)]
)


def stays(events: list[Heard]) -> int:
    """How many stays there were, as one sees who waits for all events."""
    count, before = 0, None
    for one in sorted(events, key=lambda each: (each.event_ms, each.seq)):
        count += one.entered is not before
        before = one.entered
    return count


@given(events, st.data())
def test_in_any_order_with_any_repeats_the_last_word_is_that_of_the_latest(
    told: list[Heard], data: st.DataObject
) -> None:
    repeated = told + data.draw(st.lists(st.sampled_from(told), max_size=5))
    order = data.draw(st.permutations(repeated))
    fired, known, count = False, None, 0
    for one in order:
        new = learn(known, one, passing=False)
        if new is not None:
            fired = fired and not is_another_stay(known, new)
            known = new
        assert known is not None
        if known.entered == one.entered and not fired:
            fired, count = True, count + 1
    latest = max(told, key=lambda one: (one.event_ms, one.seq))
    assert known is not None
    assert (known.entered, known.last_ms) == (latest.entered, latest.event_ms)
    assert 1 <= count <= stays(told)


@given(events)
def test_in_their_order_every_stay_fires_once(told: list[Heard]) -> None:
    fired, known, count = False, None, 0
    for one in sorted(told, key=lambda each: (each.event_ms, each.seq)):
        new = learn(known, one, passing=False)
        if new is not None:
            fired = fired and not is_another_stay(known, new)
            known = new
        count, fired = count + (not fired), True
    assert count == stays(told)


@given(events)
def test_events_that_are_all_known_at_once_tell_of_the_last_only(told: list[Heard]) -> None:
    """What passes is no news, and a person who is where they were before is none either."""
    order = sorted(told, key=lambda each: (each.event_ms, each.seq))
    fired, known, count = False, None, 0
    for number, one in enumerate(order):
        passing = any(later.entered != one.entered for later in order[number + 1 :])
        new = learn(known, one, passing=passing)
        if new is not None:
            fired = fired and not is_another_stay(known, new)
            known = new
        assert known is not None
        if not passing and not known.quiet and not fired:
            fired, count = True, count + 1
    assert known is not None
    assert known.entered == order[-1].entered
    assert count == (order[0].entered == order[-1].entered)
