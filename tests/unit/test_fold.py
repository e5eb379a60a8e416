"""What one call says for many updates: the fold of them by event time."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

from hypothesis import given, strategies as st

from bridge.deliver.fold import Folding, Said, fold, said_by, update_of, values_of
from bridge.deliver.state import Fact, Moment, Row, accepted, join
from bridge.onesignal.operations import Recipient, UpdateUser

NOW = 1_800_000_000_000
U1 = Recipient(label="external_id", id="u1")


def update(tags: dict[str, str], *, fold_ms: int = 0, to: Recipient = U1) -> UpdateUser:
    return UpdateUser(rules=("r",), to=to, tags=tags, fold_ms=fold_ms)


def tagged(at: int, tags: dict[str, str], seq: int = 1) -> Said:
    return said_by(update(tags), Moment(at, seq), received_ms=NOW)


def said(at: int, seq: int = 1, **tags: str) -> Said:
    return tagged(at, tags, seq)


def test_the_later_value_of_a_name_wins_and_the_others_stay() -> None:
    folded = fold({}, [said(1, tier="gold", city="Graz"), said(2, tier="silver")], NOW)
    assert folded.write == {"tags.tier": "silver", "tags.city": "Graz"}


def test_a_deletion_is_a_value() -> None:
    deleted = fold({}, [said(1, tier="gold"), said(2, tier="")], NOW)
    assert update_of(deleted.write, to=U1).tags == {"tier": ""}
    written = fold({}, [said(1, tier=""), said(2, tier="gold")], NOW)
    assert update_of(written.write, to=U1).tags == {"tier": "gold"}


def test_of_two_at_the_same_moment_the_one_that_was_accepted_later_wins() -> None:
    assert fold({}, [said(1, 7, tier="a"), said(1, 8, tier="b")], NOW).write == {"tags.tier": "b"}


def test_what_goes_with_a_different_value_is_written_even_if_it_equals_the_row() -> None:
    # The first may have been attempted before and been performed, though nobody heard of it.
    row = {"tags.tier": Fact("gold", Moment(0, 1), NOW)}
    folded = fold(row, [said(1, 2, tier="silver"), said(2, 3, tier="gold")], NOW)
    assert folded.write == {"tags.tier": "gold"}
    assert fold(row, [said(2, 3, tier="gold")], NOW).write == {}


def test_a_call_takes_100_properties_and_one_user() -> None:
    folding = Folding()
    folding.add(tagged(1, {f"t{n}": "1" for n in range(99)}))
    assert folding.takes(said(2, t5="2", t6="2"))
    assert folding.takes(said(2, more="1"))
    assert not folding.takes(said(2, more="1", still="1"))
    another = update({"t1": "1"}, to=Recipient(label="external_id", id="u2"))
    assert not folding.takes(said_by(another, Moment(2, 2), received_ms=NOW))
    skips = said_by(update({"t1": "1"}), Moment(2, 2), received_ms=NOW, unknown="skip")
    assert not folding.takes(skips)


def test_updates_wait_as_long_as_the_least_patient_of_them_and_a_full_call_does_not_wait() -> None:
    folding = Folding()
    folding.add(said_by(update({"a": "1"}, fold_ms=5000), Moment(1, 1), received_ms=NOW))
    assert folding.until_ms == NOW + 5000
    folding.add(said_by(update({"b": "1"}, fold_ms=2000), Moment(2, 2), received_ms=NOW + 1000))
    assert folding.until_ms == NOW + 3000
    many = {f"t{n}": "1" for n in range(98)}
    folding.add(said_by(update(many, fold_ms=5000), Moment(3, 3), received_ms=NOW))
    assert folding.until_ms == 0


def test_values_and_updates_say_the_same() -> None:
    one = UpdateUser(rules=(), to=U1, tags={"a": "1", "b": ""}, properties={"language": "de"})
    assert update_of(values_of(one), to=U1) == one


# The algebra -----------------------------------------------------------------------------------


values = st.sampled_from(["", "1", "2", "3"])
tags = st.dictionaries(st.sampled_from("abcd"), values, min_size=1)
times = st.integers(0, 6)


@st.composite
def updates(draw: Any, first: int = 1) -> list[Said]:
    """Updates of one user in the order of its chain."""
    found = draw(st.lists(st.tuples(times, tags), max_size=8))
    made = [tagged(at, named, first + n) for n, (at, named) in enumerate(found)]
    return sorted(made, key=lambda one: one.at)


def by_event_time(*many: list[Said]) -> dict[str, Any]:
    """The reference: one value after the other, in the order in which they happened."""
    final: dict[str, Any] = {}
    for one in sorted((one for few in many for one in few), key=lambda one: one.at):
        final |= one.values
    return final


def final(row: Row) -> dict[str, Any]:
    return {name: fact.value for name, fact in row.items()}


@given(updates())
def test_a_fold_is_what_its_updates_are_one_by_one(many: list[Said]) -> None:
    row: Row = {}
    for one in many:
        row = join(row, fold(row, [one], NOW).if_accepted)
    together = join({}, fold({}, many, NOW).if_accepted)
    assert final(row) == final(together) == by_event_time(many)
    assert {name: fact.at for name, fact in row.items()} == {
        name: fact.at for name, fact in together.items()
    }


@given(updates(), st.data())
def test_it_does_not_matter_where_a_fold_is_cut(many: list[Said], data: st.DataObject) -> None:
    cuts = data.draw(st.lists(st.integers(0, len(many)), max_size=4))
    row: Row = {}
    at_onesignal: dict[str, Any] = {}
    for start, end in pairwise(sorted([0, *cuts, len(many)])):
        folded = fold(row, many[start:end], NOW)
        at_onesignal |= folded.write
        row = join(row, folded.if_accepted)
    assert final(row) == at_onesignal == by_event_time(many)


@given(updates(), updates(first=100))
def test_what_comes_late_never_takes_back_what_is_newer(
    early: list[Said], late: list[Said]
) -> None:
    row = join({}, fold({}, early, NOW).if_accepted)
    at_onesignal = final(row)
    folded = fold(row, late, NOW)
    at_onesignal |= folded.write
    assert at_onesignal == by_event_time(early, late)
    assert final(join(row, folded.if_accepted)) == at_onesignal


def capped(at: int, cap: int, seq: int = 1, **tags: str) -> Said:
    return tagged(at, tags, seq)._replace(tag_cap=cap)


def test_a_tag_more_than_the_plan_has_is_left_out_and_the_others_are_written() -> None:
    row = accepted({"tags.a": "1", "tags.b": "2"}, Moment(1, 1), NOW)
    folded = fold(row, [capped(2, 3, a="x", c="3", d="4")], NOW)
    assert folded.write == {"tags.a": "x", "tags.c": "3"}
    assert folded.compared[0].left_out == {"tags.d": "tag_cap"}
    assert "tags.d" not in folded.if_accepted


def test_a_deletion_makes_room_for_a_tag() -> None:
    row = accepted({"tags.a": "1", "tags.b": "2"}, Moment(1, 1), NOW)
    folded = fold(row, [capped(2, 2, a=""), capped(3, 2, seq=2, c="3", d="4")], NOW)
    assert folded.write == {"tags.a": None, "tags.c": "3"}


@given(st.lists(st.dictionaries(st.sampled_from("abcdef"), st.sampled_from(["", "1", "2"]))))
def test_no_call_ever_brings_a_user_above_the_plan(updates: list[dict[str, str]]) -> None:
    row: Row = {}
    for number, tags in enumerate(updates, 1):
        row = join(row, fold(row, [capped(number, 3, number, **tags)], NOW).if_accepted)
        assert sum(fact.value is not None for fact in row.values()) <= 3
