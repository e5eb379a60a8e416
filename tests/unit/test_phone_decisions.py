"""What is done about a phone: once, in order, and never again when nothing is new."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, strategies as st

from bridge.deliver.phones import Elsewhere, Phone, fact_name, phone_of, phone_steps
from bridge.deliver.state import ACCEPTED_FOR_MS, Fact, Moment, Row
from bridge.deliver.steps import Decided, Step
from bridge.onesignal.operations import Recipient, SetPushToken

NOW = Moment(1_000_000, 5)
SAID = SetPushToken(to=Recipient("external_id", "u1"), type="iOSPush", device="p1", token="new")
NAME = fact_name(SAID)


EARLIER = Moment(1, 1)


def row(phone: Phone | None, at: Moment = EARLIER, accepted_ms: int | None = 1) -> Row:
    return {NAME: Fact(None if phone is None else phone.value, at, accepted_ms)}


def decided(known: Row, said: SetPushToken = SAID, elsewhere: Elsewhere | None = None) -> Decided:
    return phone_steps(known, said, NOW, NOW.event_ms, elsewhere, app_id="app")


def told(steps: tuple[Step, ...]) -> list[str]:
    """Each request as `give new`, `new on`, `new off`, `old > new` or `mark new`."""
    return [_told(step) for step in steps]


def _told(step: Step) -> str:
    body = step.request.body["subscription"]
    assert isinstance(body, dict)
    token = body["token"]
    if step.request.method == "POST":
        return f"give {token}" + ("" if body.get("enabled", True) else " off")
    old = step.request.path.rpartition("/")[2]
    if old != token:
        return f"{old} > {token}" + ("" if body.get("enabled", True) else " off")
    if "enabled" in body:
        return f"{token} on" if body["enabled"] else f"{token} off"
    return f"mark {token}"


ON, OFF, OLD = Phone("new"), Phone("new", on=False), Phone("old")
OTHER = Elsewhere(Moment(2, 2))
OTHERS_OLD = Elsewhere(Moment(2, 2), ((9, NAME),), ("old",))
YES, NO = replace(SAID, allowed=True), replace(SAID, allowed=False)
OUT = replace(SAID, leaves=True)


@pytest.mark.parametrize(
    ("known", "said", "elsewhere", "done"),
    [
        ({}, SAID, None, ["give new"]),
        ({}, YES, None, ["give new"]),
        ({}, NO, None, ["give new off"]),
        (row(None), SAID, None, ["give new"]),
        (row(ON), SAID, None, []),
        (row(ON), YES, None, []),
        (row(ON, accepted_ms=None), SAID, None, ["give new"]),
        (row(ON), NO, None, ["new off"]),
        (row(ON), replace(NO, token=None), None, ["new off"]),
        (row(OFF), SAID, None, []),
        (row(OFF), NO, None, []),
        (row(OFF, accepted_ms=None), NO, None, ["new off"]),
        (row(OFF), YES, None, ["new on"]),
        (row(OLD), SAID, None, ["old > new"]),
        (row(OLD), NO, None, ["old > new off"]),
        (row(OLD._replace(on=False)), SAID, None, ["old > new off"]),
        (row(ON), replace(SAID, test=1), None, ["mark new"]),
        (row(ON), replace(SAID, test=0), None, []),
        (row(ON._replace(test=1)), replace(SAID, test=0), None, ["mark new"]),
        (row(ON._replace(off=("old",))), SAID, None, ["old off"]),
        ({}, SAID, OTHER, ["give new"]),
        (row(ON), SAID, OTHER, ["give new"]),
        (row(OFF), SAID, OTHER, ["give new"]),
        (row(OLD), SAID, OTHER, ["give new", "old off"]),
        ({}, SAID, OTHERS_OLD, ["give new", "old off"]),
        ({}, replace(NO, token=None), None, []),
        (row(ON), OUT, None, ["new off"]),
        (row(OLD), OUT, None, ["old off", "new off"]),
        (row(None), OUT, None, []),
        ({}, replace(OUT, token=None), None, []),
        (row(ON), OUT, OTHER, []),
    ],
)
def test_what_is_done(
    known: Row, said: SetPushToken, elsewhere: Elsewhere | None, done: list[str]
) -> None:
    assert told(decided(known, said, elsewhere).steps) == done


@pytest.mark.parametrize(
    ("known", "elsewhere"),
    [
        (row(ON, at=Moment(2_000_000, 1)), None),
        (row(None, at=Moment(2_000_000, 1)), None),
        ({"": Fact(None, Moment(2_000_000, 1), 1)}, None),
        ({}, Elsewhere(Moment(2_000_000, 1))),
        ({}, Elsewhere(Moment(NOW.event_ms, NOW.seq + 1))),
    ],
)
def test_what_a_later_event_has_said_stands(known: Row, elsewhere: Elsewhere | None) -> None:
    found = decided(known, SAID, elsewhere)
    assert (found.steps, found.reason) == ((), "overtaken")


def test_a_token_that_was_refused_is_tried_again_a_week_later() -> None:
    refused = Phone("old", refused="new")
    assert decided(row(refused, accepted_ms=NOW.event_ms - ACCEPTED_FOR_MS + 1)).steps == ()
    assert told(decided(row(refused, accepted_ms=NOW.event_ms - ACCEPTED_FOR_MS)).steps) == [
        "old > new"
    ]
    assert decided(row(refused, accepted_ms=NOW.event_ms), YES).steps != ()


@pytest.mark.parametrize("value", [None, "text", 7, [], {}, {"token": 7, "off": 1, "test": "x"}])
def test_a_fact_that_says_nothing_is_a_phone_of_which_nothing_is_known(value: Any) -> None:
    assert phone_of(value) == Phone()


_TOKENS = st.sampled_from(["new", "old", "older"])
_PHONES = st.builds(
    Phone,
    token=_TOKENS,
    on=st.booleans(),
    test=st.none() | st.integers(0, 1),
    off=st.lists(_TOKENS, max_size=2, unique=True).map(tuple),
)
_SAID = st.builds(
    SetPushToken,
    to=st.just(SAID.to),
    type=st.just("iOSPush"),
    device=st.just("p1"),
    token=st.none() | _TOKENS,
    allowed=st.none() | st.booleans(),
    test=st.none() | st.integers(0, 1),
    leaves=st.booleans(),
)


@given(_PHONES)
def test_a_phone_is_the_same_once_it_is_on_disk(phone: Phone) -> None:
    assert phone_of(phone.value) == phone


@given(st.none() | _PHONES, _SAID)
def test_what_is_said_twice_is_done_once(known: Phone | None, said: SetPushToken) -> None:
    first = decided({} if known is None else row(known), said)
    after = {name: Fact(value, NOW, NOW.event_ms) for name, value in first.facts.items()}
    assert phone_steps(after, said, NOW, NOW.event_ms, None, app_id="app").steps == ()


@given(_PHONES, _SAID, st.data())
def test_after_any_step_the_rest_is_still_to_be_done(
    known: Phone, said: SetPushToken, data: st.DataObject
) -> None:
    """A crash between two steps: the same event asks for what was not done, and for no more."""
    steps = decided(row(known), said).steps
    if len(steps) < 2 or said.leaves:
        return
    done = data.draw(st.integers(1, len(steps) - 1))
    facts = steps[done - 1].facts
    after = {name: Fact(value, NOW, NOW.event_ms) for name, value in facts.items()}
    left = phone_steps(after, said, NOW, NOW.event_ms, None, app_id="app").steps
    assert told(left) == told(steps[done:])
