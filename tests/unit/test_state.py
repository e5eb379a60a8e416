"""What was written for a user: compared, joined, kept."""

from __future__ import annotations

from typing import Any

from hypothesis import given, strategies as st

from bridge.deliver.fold import Folded, Said, fold, said_by
from bridge.deliver.state import (
    ACCEPTED_FOR_MS,
    DELETED,
    FACTS_PER_USER,
    NOTES_PER_USER,
    Fact,
    Moment,
    Row,
    accepted,
    asked,
    compare,
    confirmed,
    decode,
    doubted,
    encode,
    forgotten,
    join,
    overwritten,
)
from bridge.onesignal.operations import Recipient, UpdateUser

NOW = 1_800_000_000_000
U1 = Recipient(label="external_id", id="u1")
GOLD = {"tags.tier": Fact("gold", Moment(100, 1, "m1"), NOW)}


def test_an_older_value_that_was_written_after_a_newer_one_is_seen() -> None:
    older, newer = Moment(50, 9), Moment(200, 2)
    assert overwritten(GOLD, accepted({"tags.tier": "wood"}, older, NOW + 1)) == ["tags.tier"]
    # As it should be; of another name; and what was only said again, or not accepted.
    assert overwritten(GOLD, accepted({"tags.tier": "wood"}, newer, NOW + 1)) == []
    assert overwritten(GOLD, accepted({"tags.city": "Graz"}, older, NOW + 1)) == []
    assert overwritten(GOLD, {"tags.tier": Fact("gold", older, NOW - 5)}) == []
    assert overwritten(GOLD, {"tags.tier": Fact("gold", older, None)}) == []
    doubtful = {"tags.tier": Fact("gold", newer, None)}
    assert overwritten(doubtful, accepted({"tags.tier": "wood"}, older, NOW + 1)) == []


def test_an_equal_value_is_left_out_while_its_acceptance_is_fresh() -> None:
    values, at = {"tags.tier": "gold"}, Moment(200, 2)
    fresh = compare(GOLD, values, at, NOW + ACCEPTED_FOR_MS - 1)
    assert (fresh.write, fresh.left_out) == ({}, {"tags.tier": "unchanged"})
    assert compare(GOLD, values, at, NOW + ACCEPTED_FOR_MS).write == values
    assert compare(GOLD, values, at, NOW, always=frozenset(values)).write == values


def test_an_older_event_writes_no_value_that_is_known_and_any_that_is_not() -> None:
    older = compare(GOLD, {"tags.tier": "silver", "tags.city": "Graz"}, Moment(50, 9), NOW)
    assert older.write == {"tags.city": "Graz"}
    assert older.left_out == {"tags.tier": "overtaken"}
    assert older.reason == "overtaken"


def test_ties_go_by_seq_and_an_event_does_not_overtake_itself() -> None:
    row = {"tags.tier": Fact("gold", Moment(100, 5), NOW)}
    assert not compare(row, {"tags.tier": "x"}, Moment(100, 4), NOW).write
    assert compare(row, {"tags.tier": "x"}, Moment(100, 5), NOW).write
    assert compare(row, {"tags.tier": "x"}, Moment(100, 6), NOW).write


def test_what_was_accepted_meanwhile_is_what_a_user_that_is_created_again_gets() -> None:
    earlier, later = Moment(10, 1), Moment(20, 2)
    # Who was refused had seen a row without it.
    refused = forgotten({}, {"tags.tier": "silver"}, later)
    row = join(accepted({"tags.tier": "gold"}, earlier, 15), refused)
    assert row == {"tags.tier": Fact("gold", later, None)}


def test_a_forgotten_value_keeps_its_time_and_what_was_accepted_last() -> None:
    row = join(GOLD, forgotten(GOLD, {"tags.tier": "silver", "tags.city": "Graz"}, Moment(200, 2)))
    assert row["tags.tier"] == Fact("gold", Moment(200, 2), None)
    assert row["tags.city"] == Fact(None, Moment(200, 2), None)
    assert compare(row, {"tags.tier": "gold"}, Moment(300, 3), NOW).write
    assert compare(row, {"tags.city": None}, Moment(300, 3), NOW).write
    assert not compare(row, {"tags.tier": "bronze"}, Moment(150, 3), NOW).write


def test_a_doubt_is_a_doubt_however_late_it_is_written() -> None:
    later = join(GOLD, accepted({"tags.tier": "silver"}, Moment(200, 2), NOW))
    assert join(later, doubted(GOLD, ["tags.tier"]))["tags.tier"] == Fact(
        "silver", Moment(200, 2), None
    )


def test_what_is_said_again_only_moves_forward() -> None:
    assert confirmed(GOLD, ["tags.tier"], Moment(50, 1)) == {}
    moved = join(GOLD, confirmed(GOLD, ["tags.tier"], Moment(300, 3)))
    assert moved["tags.tier"] == Fact("gold", Moment(300, 3), NOW)


def test_a_deletion_takes_what_was_before_it_and_lets_nothing_older_back() -> None:
    newer = join(GOLD, accepted({"tags.city": "Graz"}, Moment(300, 3), NOW))
    row = join(newer, accepted({DELETED: None}, Moment(200, 2), NOW))
    assert set(row) == {"tags.city", DELETED}
    assert not compare(row, {"tags.shoe": "42"}, Moment(150, 9), NOW).write


def test_what_was_asked_for_goes_with_the_answer_and_what_was_asked_later_stays() -> None:
    row: dict[str, Fact] = {}
    for number, at in [(7, 100), (8, 200), (9, 300)]:
        row = join(row, accepted({asked("alias.crm", f"c{number}"): True}, Moment(at, at), NOW))
    row = join(row, accepted({asked("alias.crm.x", "c7"): True}, Moment(100, 100), NOW))
    assert len(join(row, forgotten(row, {"alias.crm": "c9"}, Moment(300, 300)))) == 5
    known = join(row, accepted({"alias.crm": "c8"}, Moment(200, 200), NOW))
    assert set(known) == {"alias.crm", "asked.alias.crm/c9", "asked.alias.crm.x/c7"}


def test_what_was_asked_for_is_no_word_that_another_could_take_back() -> None:
    row = accepted({asked("alias.crm", "c7"): True}, Moment(200, 2), NOW)
    assert not overwritten(row, accepted(dict.fromkeys(row, True), Moment(100, 1), NOW + 1))


def test_an_id_that_was_refused_is_not_kept_and_of_the_open_ones_the_latest_are() -> None:
    row = dict(GOLD)
    for number in range(NOTES_PER_USER + 5):
        name, at = asked("alias.crm", f"c{number}"), Moment(1000 + number, number)
        row = join(row, accepted({name: "x"}, at, NOW))
        row = join(row, accepted({f"{name}-refused": None}, at, NOW))
    kept = decode(encode(row))
    assert len(kept) == len(GOLD) + NOTES_PER_USER
    assert asked("alias.crm", "c4") not in kept
    assert all(fact.value is not None for fact in kept.values())


def test_what_is_asked_for_and_what_is_gone_can_be_said_at_once() -> None:
    """Off whom it is taken may have it still."""
    has = accepted({"alias.crm": "c7"}, Moment(100, 1), NOW)
    name, gone = asked("alias.crm", "c7"), accepted({"alias.crm": None}, Moment(100, 1), NOW)
    row = join(has, gone | accepted({name: "c7"}, Moment(100, 1), NOW))
    assert (row["alias.crm"].value, row[name].value) == (None, "c7")
    assert set(join(row, gone)) == {"alias.crm"}


def test_a_row_is_the_same_after_the_disk_and_its_oldest_facts_go_first() -> None:
    row = {f"tags.t{n}": Fact(str(n), Moment(n, n, f"m{n}"), NOW) for n in range(20)}
    row |= {
        "alias.crm": Fact(None, Moment(7, 7, "ü|\x00"), None),
        "lat": Fact(4.5, Moment(1, 1), 0),
    }
    assert decode(encode(row)) == row
    assert decode(None) == {}
    many = {f"tags.t{n}": Fact("x", Moment(n, n), NOW) for n in range(FACTS_PER_USER + 5)}
    kept = decode(encode(many))
    assert len(kept) == FACTS_PER_USER
    assert "tags.t4" not in kept


def test_what_was_written_together_is_kept_together() -> None:
    row = accepted({f"tags.tag_{n}": "value" for n in range(20)}, Moment(NOW, 1, "m" * 36), NOW)
    assert len(encode(row)) < 20 * 30 + 100


# Any interleaving ------------------------------------------------------------------------------


class Played:
    """A user, its events and its row; what OneSignal has, and what it should have.

    It should have what the delivered events say, each name as the latest of them by event time.
    """

    def __init__(self) -> None:
        self.disk = encode({})
        self.now = NOW
        self.pending: list[Said] = []
        self.attempted: set[Moment] = set()
        self.has: dict[str, Any] = {}
        self.delivered: dict[str, tuple[Moment, Any]] = {}

    def heard(self, event_ms: int, tags: dict[str, str]) -> None:
        update = UpdateUser(rules=("r",), to=U1, tags=tags)
        at = Moment(event_ms, len(self.attempted) + self.now)
        self.pending.append(said_by(update, at, received_ms=NOW))
        self.pending.sort(key=lambda one: one.at)

    def call(self, answer: str, most: int) -> None:
        """One call for so many of the events, and what comes of it."""
        few, row = self.pending[:most], decode(self.disk)
        folded = fold(row, few, self.now)
        if answer == "refused":
            few = few[:1]
            folded = fold(row, few, self.now)
            if any(one.at in self.attempted for one in few):
                return  # it may have been performed: nobody can say what OneSignal has
            self.disk = encode(join(row, folded.if_not))
            del self.pending[:1]
        elif answer == "accepted" or not folded.write:
            self.has |= folded.write
            self._acked(row, few, folded)
        elif answer in {"performed, again", "crash"}:
            self.has |= folded.write
            self.attempted.update(one.at for one in few)
            if answer != "crash":
                self.disk = encode(join(row, doubted(row, folded.write)))

    def _acked(self, row: Row, few: list[Said], folded: Folded) -> None:
        self.disk = encode(join(row, folded.if_accepted))
        del self.pending[: len(few)]
        for one, compared in zip(few, folded.compared, strict=True):
            for name in [*compared.write, *compared.unchanged]:
                self._delivered(name, one.at, one.values[name])

    def _delivered(self, name: str, at: Moment, value: Any) -> None:
        known = self.delivered.get(name)
        if known is None or not at.before(known[0]):
            self.delivered[name] = at, value


names = st.sampled_from(["a", "b", "c"])
said = st.dictionaries(names, st.sampled_from(["", "1", "2"]), min_size=1)
answers = st.sampled_from(["accepted", "accepted", "refused", "again", "performed, again", "crash"])
steps = st.lists(
    st.one_of(
        st.tuples(st.just("event"), st.integers(0, 20), said),
        st.tuples(answers, st.integers(1, 4), st.none()),
    ),
    max_size=40,
)


@given(steps)
def test_whatever_is_heard_answered_and_lost_the_end_is_what_the_latest_delivered_say(
    played: list[Any],
) -> None:
    here = Played()
    for kind, number, tags in played:
        here.now += 1000
        if kind == "event":
            here.heard(number, tags)
        elif here.pending:
            here.call(kind, number)
    while here.pending:
        here.call("accepted", 4)
    assert here.has == {name: value for name, (_, value) in here.delivered.items()}
