"""What one answer means for all the gates of an app, and what a restart finds."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, strategies as st

from bridge.clock import ManualClock
from bridge.deliver.gate import Gate
from bridge.deliver.gates import Gates, Keys, make_gates
from bridge.deliver.lots import Lots
from bridge.errors import JournalUnavailableError
from bridge.journal.sqlite import SqliteJournal
from bridge.onesignal.verdict import Accepted, Closed, Failed, Postponed, Verdict

FINE = Accepted(status=200)
FORBIDDEN = Closed(status=403, detail="")
DOWN = Failed(reason="http_503", status=503, detail="", certain=False)


def gates_of(journal: SqliteJournal, clock: ManualClock, *, keys: int = 1) -> Gates:
    return make_gates(app="shop", journal=journal, clock=clock, sends_per_second=150, keys=keys)


async def hear(gates: Gates, name: str, verdict: Verdict, *, key: int = 0) -> None:
    gate = next(one for one in gates if one.name == name)
    now = gates.clock.monotonic()
    await gates.heard(gate, verdict, key=key, asked_at=now)


def states(gates: Gates) -> dict[str, str | None]:
    return {gate.name: gate.closed for gate in gates}


def asked(seconds: float | None, *, capped: bool = False) -> Postponed:
    return Postponed(scope="class", after_seconds=seconds, capped=capped)


# Being asked to wait ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("seconds", "held"), [(30.0, 30.0), (0.0, 1.0), (None, 5.0), (3600.0, 3600.0), (0.2, 1.0)]
)
async def test_one_class_is_held_and_for_a_second_at_least(
    journal: SqliteJournal, clock: ManualClock, seconds: float | None, held: float
) -> None:
    gates = gates_of(journal, clock)
    await hear(gates, "write", asked(seconds))
    assert {gate.name: gate.held_seconds for gate in gates} == {
        "write": held, "send": 0, "view": 0, "event": 0,
    }  # fmt: skip


async def test_being_asked_for_longer_than_an_hour_is_an_alert(
    journal: SqliteJournal, clock: ManualClock, capsys: pytest.CaptureFixture[str]
) -> None:
    await hear(gates_of(journal, clock), "write", asked(3600.0, capped=True))
    assert "error" in capsys.readouterr().out


# Keys ------------------------------------------------------------------------------------------


async def test_a_refused_key_closes_every_gate_of_the_app(
    journal: SqliteJournal, clock: ManualClock
) -> None:
    gates = gates_of(journal, clock)
    await hear(gates, "send", FORBIDDEN)
    assert set(states(gates).values()) == {"http_403"}


async def test_a_probe_that_succeeds_opens_its_gate_and_those_that_only_followed(
    journal: SqliteJournal, clock: ManualClock
) -> None:
    gates = gates_of(journal, clock)
    await hear(gates, "send", FORBIDDEN)
    clock.advance(60)
    await hear(gates, "write", FINE)
    assert states(gates) == {"write": None, "send": "http_403", "view": None, "event": None}

    # An app that may not send is asked again, and holds nobody else up.
    await hear(gates, "send", FORBIDDEN)
    assert states(gates)["write"] is None
    clock.advance(60)
    await hear(gates, "send", FINE)
    assert set(states(gates).values()) == {None}


async def test_what_an_app_may_not_do_does_not_open_with_a_key_that_is_right_again(
    journal: SqliteJournal, clock: ManualClock
) -> None:
    """It would be refused at once, and close every gate for another minute."""
    gates = gates_of(journal, clock)
    await hear(gates, "send", FORBIDDEN)
    clock.advance(60)
    await hear(gates, "write", FINE)
    await hear(gates, "write", FORBIDDEN)
    clock.advance(60)
    await hear(gates, "write", FINE)
    assert states(gates) == {"write": None, "send": "http_403", "view": None, "event": None}


async def test_what_may_be_done_again_follows_the_others_again(
    journal: SqliteJournal, clock: ManualClock
) -> None:
    gates = gates_of(journal, clock)
    await hear(gates, "send", FORBIDDEN)
    for name in ("write", "send"):
        clock.advance(60)
        await hear(gates, name, FINE)
    await hear(gates, "write", FORBIDDEN)
    clock.advance(60)
    await hear(gates, "write", FINE)
    assert set(states(gates).values()) == {None}


async def test_a_key_that_was_refused_before_another_worked_is_asked_with_again(
    journal: SqliteJournal, clock: ManualClock
) -> None:
    gates = gates_of(journal, clock, keys=2)
    await hear(gates, "write", FORBIDDEN, key=0)
    await hear(gates, "write", FINE, key=1)
    await hear(gates, "write", FORBIDDEN, key=1)
    assert gates.keys["write"].current == 0
    assert set(states(gates).values()) == {None}


async def test_an_answer_to_a_call_from_before_says_nothing_of_the_key_now(
    journal: SqliteJournal, clock: ManualClock
) -> None:
    gates = gates_of(journal, clock)
    clock.advance(10)
    await hear(gates, "write", FORBIDDEN)
    early = gates.by_class["write"]
    await gates.heard(early, FINE, key=0, asked_at=9.0)
    assert early.closed == "http_403"


async def test_a_key_that_was_replaced_is_not_missed_when_its_last_calls_are_refused(
    journal: SqliteJournal, clock: ManualClock
) -> None:
    gates = gates_of(journal, clock)
    clock.advance(10)
    gates.rekey(1)
    await gates.heard(gates.by_class["send"], FORBIDDEN, key=0, asked_at=9.0)
    assert set(states(gates).values()) == {None}
    await gates.heard(gates.by_class["send"], FORBIDDEN, key=0, asked_at=11.0)
    assert set(states(gates).values()) == {"http_403"}


async def test_the_next_key_is_asked_with_before_anything_closes(
    journal: SqliteJournal, clock: ManualClock
) -> None:
    gates = gates_of(journal, clock, keys=2)
    await hear(gates, "write", FORBIDDEN, key=0)
    assert set(states(gates).values()) == {None}
    assert gates.keys["write"].current == 1
    # Others that were on their way with the old one.
    await hear(gates, "write", FORBIDDEN, key=0)
    assert gates.keys["write"].current == 1
    assert set(states(gates).values()) == {None}
    await hear(gates, "write", FORBIDDEN, key=1)
    assert set(states(gates).values()) == {"http_403"}


@given(st.integers(1, 5), st.data())
def test_some_key_is_found_when_one_is_right(count: int, data: st.DataObject) -> None:
    right, keys = data.draw(st.integers(0, count - 1)), Keys(count)
    keys.current = data.draw(st.integers(0, count - 1))
    for _ in range(count):
        if keys.current == right:
            break
        assert keys.refused(keys.current)
    assert keys.current == right


@given(st.integers(1, 5))
def test_when_all_keys_are_wrong_it_is_said_once_a_round(count: int) -> None:
    keys = Keys(count)
    for _ in range(3):
        assert [keys.refused(keys.current) for _ in range(count)] == [True] * (count - 1) + [False]


# Restarts --------------------------------------------------------------------------------------


async def test_what_was_shut_is_shut_after_a_restart_for_what_is_left_of_it(
    journal: SqliteJournal, clock: ManualClock
) -> None:
    gates = gates_of(journal, clock)
    await hear(gates, "send", asked(600.0))
    for _ in range(20):
        await hear(gates, "write", DOWN)
    clock.advance(4)

    again = gates_of(journal, clock)
    await again.load()
    held = {gate.name: round(gate.held_seconds) for gate in again}
    assert held == {"write": 1, "send": 596, "view": 0, "event": 0}
    assert states(again) == {"write": "http_503", "send": None, "view": None, "event": None}


async def test_what_opened_again_is_open_after_a_restart(
    journal: SqliteJournal, clock: ManualClock
) -> None:
    gates = gates_of(journal, clock)
    await hear(gates, "write", FORBIDDEN)
    clock.advance(60)
    await hear(gates, "write", FINE)
    assert await journal.gates() == []


async def test_a_clock_that_was_set_back_holds_nothing_for_longer_than_an_hour(
    tmp_path: Path, journal: SqliteJournal, clock: ManualClock
) -> None:
    await hear(gates_of(journal, clock), "write", asked(3600.0))
    earlier = ManualClock(clock.now_ms() - 86_400_000)
    again = gates_of(journal, earlier)
    await again.load()
    assert again.by_class["write"].held_seconds == 3600


async def test_a_gate_that_cannot_be_kept_holds_all_the_same(
    journal: SqliteJournal, clock: ManualClock
) -> None:
    class Full:
        async def set_gate(self, gate: object) -> None:
            raise JournalUnavailableError("disk full")

    gates = gates_of(Full(), clock)  # type: ignore[arg-type]  # all of a journal that it meets
    await hear(gates, "write", asked(30.0))
    assert gates.by_class["write"].held_seconds == 30


# Lots ------------------------------------------------------------------------------------------


def one_lot(clock: ManualClock, size: int = 10) -> tuple[Gate, Lots]:
    gate = Gate("send", per_second=100, clock=clock)
    return gate, Lots([gate], size=size)


def nobody(_: int) -> bool:
    return False


def test_when_the_gate_opens_all_may_come_in_their_order(clock: ManualClock) -> None:
    gate, lots = one_lot(clock)
    gate.hold(30)
    for user in (3, 1, 2):
        assert lots.park("send", user, 0)
    assert list(lots.ready(nobody)) == []
    assert lots.seconds() == 30
    clock.advance(30)
    assert [user for user, _ in lots.ready(nobody)] == [3, 1, 2]
    assert len(lots) == 0


def test_while_the_gate_is_closed_one_at_a_time_is_sent_to_ask(clock: ManualClock) -> None:
    gate, lots = one_lot(clock)
    gate.close("http_503", 5)
    for user in (1, 2, 3):
        lots.park("send", user, 0)
    clock.advance(5)
    assert [user for user, _ in lots.ready(nobody)] == [1]
    assert list(lots.ready(lambda user: user == 1)) == []
    assert [user for user, _ in lots.ready(nobody)] == [2]


def test_a_full_lot_takes_nobody_and_an_urgent_event_makes_its_user_urgent(
    clock: ManualClock,
) -> None:
    gate, lots = one_lot(clock, size=2)
    gate.hold(30)
    assert [lots.park("send", user, 1) for user in (1, 2, 3)] == [True, True, False]
    lots.raise_rank(1, 0)
    lots.leave(2)
    assert 2 not in lots
    clock.advance(30)
    assert list(lots.ready(nobody)) == [(1, 0)]
