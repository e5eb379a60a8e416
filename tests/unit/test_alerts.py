"""What is wrong, and what is said of it when."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, strategies as st

from bridge.alerts.causes import (
    Cause,
    GateState,
    HeldState,
    PauseState,
    ReachState,
    RefusalState,
    Seen,
    SourceState,
    causes,
)
from bridge.alerts.messages import messages
from bridge.clock import ManualClock
from bridge.journal.piles import AlertRow
from bridge.receive.refusals import Refusals, Refused

NOW = 1_800_000_000_000
MINUTE = 60_000
WELL = Seen(now_ms=NOW, free_bytes=10**12)


def gate(name: str = "write", **more: Any) -> GateState:
    values: dict[str, Any] = {"closed": None, "closed_seconds": 0.0, "held_seconds": 0.0}
    return GateState(app="shop", name=name, **(values | more))


def refusal(code: str, count: int, *, is_known: bool = False) -> RefusalState:
    return RefusalState(source="web", code=code, count=count, is_known=is_known)


def graves(seen: Seen, *told: str) -> list[str]:
    return [one.key for one in causes(seen, told) if one.is_grave]


def keys(seen: Seen, *told: str) -> list[str]:
    return [one.key for one in causes(seen, told)]


def test_a_bridge_that_is_well_has_no_causes() -> None:
    assert keys(WELL) == []


@pytest.mark.parametrize(
    ("seen", "key"),
    [
        ({"unready": "the disk is nearly full: 3 MB are free"}, "unready"),
        ({"gates": (gate(closed="http_403"), gate("send", closed="http_403"))}, "key/shop"),
        ({"gates": (gate(closed="http_500", closed_seconds=61.0),)}, "closed/shop"),
        ({"gates": (gate(held_seconds=3_600.0),)}, "asked/shop/write"),
        ({"oldest_seconds": 901.0}, "oldest"),
        ({"free_bytes": 500_000_000}, "disk"),
        ({"paused": (PauseState(what="pushes", reason="ios_reached", since_ms=NOW),)}, "ios_reached"),
        ({"paused": (PauseState(what="pushes", reason="paused", since_ms=NOW - 11 * MINUTE),)}, "paused/pushes"),
        ({"held": (HeldState(app="shop", rule="vip", reason="limit", count=3),)}, "held/shop/vip/limit"),
        ({"dead": {"http_400": 2}}, "dead/http_400"),
        ({"reach": (ReachState(app="shop", rule="vip", pushes=200, unreached=180),)}, "unreached/shop/vip"),
        ({"refused": ("unknown-field",)}, "refused"),
        ({"refusals": (refusal("signature-mismatch", 3, is_known=True),)}, "stranger/web/signature-mismatch"),
        ({"refusals": (refusal("token-wrong", 20),)}, "stranger/web/token-wrong"),
    ],
)  # fmt: skip
def test_what_is_worth_a_message(seen: dict[str, Any], key: str) -> None:
    assert graves(replace(WELL, **seen)) == [key]


@pytest.mark.parametrize(
    "seen",
    [
        {"unready": "draining"},
        {"gates": (gate(closed="http_500", closed_seconds=59.0),)},
        {"gates": (gate(held_seconds=1_800.0),)},
        {"paused": (PauseState(what="pushes", reason="paused", since_ms=NOW - 9 * MINUTE),)},
        {"held": (HeldState(app="shop", rule="vip", reason="paused", count=3),)},
        {"left_behind": {"old": 3}},
        {"restart": ("app shop",)},
    ],
)
def test_what_is_not_well_and_not_worth_a_message_yet(seen: dict[str, Any]) -> None:
    found = replace(WELL, **seen)
    assert keys(found) != []
    assert graves(found) == []


@pytest.mark.parametrize(
    "seen",
    [
        {"gates": (gate(held_seconds=60.0),)},
        {"held": (HeldState(app="shop", rule="vip", reason="limit", count=3, leaving=3),)},
        {"oldest_seconds": 900.0},
        {"reach": (ReachState(app="shop", rule="vip", pushes=200, unreached=179),)},
        {"reach": (ReachState(app="shop", rule="vip", pushes=199, unreached=199),)},
        {
            "refusals": (
                refusal("signature-mismatch", 2, is_known=True),
                refusal("signature-wrong", 19),
            )
        },
        {"dry_run": True, "oldest_seconds": 9e9, "gates": (gate(held_seconds=9e9),)},
    ],
)
def test_what_is_well_enough(seen: dict[str, Any]) -> None:
    assert keys(replace(WELL, **seen)) == []


def test_only_what_nobody_has_let_go_is_said_to_be_held() -> None:
    held = HeldState(app="shop", rule="vip", reason="limit", count=3, leaving=2)
    (cause,) = causes(replace(WELL, held=(held,)))
    assert cause.words == "1 held of rule vip of app shop (limit)"


def test_who_is_told_of_the_first_that_a_limit_holds_is_told_that_more_will_be() -> None:
    held = HeldState(app="shop", rule="vip", reason="limit", count=1)
    (text,) = said(list(causes(replace(WELL, held=(held,)))))
    assert text == (
        "1 held of rule vip of app shop (limit). Later ones of the rule are held, too, until somebody acts:"
        " segment-bridge held list, then held release or held discard --rule vip."
    )


def silent(minutes: float | None, *, asked: int = 60) -> Seen:
    last = None if minutes is None else round(NOW - minutes * MINUTE)
    source = SourceState(source="web", app="shop", per_minute=0, last_ms=last)
    return replace(WELL, sources=(source,), silence_ms=asked * MINUTE)


def test_a_source_is_silent_when_it_was_heard_today_and_not_for_long() -> None:
    assert keys(silent(61)) == ["silent/web"]
    assert keys(silent(59)) == keys(silent(None)) == keys(silent(61, asked=0)) == []
    assert keys(silent(25 * 60)) == []


def test_what_was_told_is_not_over_because_of_a_restart_or_a_long_night() -> None:
    assert keys(silent(None), "silent/web") == keys(silent(25 * 60), "silent/web") == ["silent/web"]
    few = replace(WELL, reach=(ReachState(app="shop", rule="vip", pushes=5, unreached=0),))
    assert keys(few, "unreached/shop/vip") == ["unreached/shop/vip"]
    assert keys(few) == []


def test_what_a_stranger_is_refused_is_over_with_the_next_event_and_what_segment_is_after_a_while() -> (
    None
):
    clock = ManualClock(NOW)
    refusals = Refusals(clock)
    for code in ("token-wrong", "signature-mismatch", "not-durable", "batch-refused"):
        refusals.add(code)
    assert [one.code for one in refusals.recent] == [
        "token-wrong",
        "signature-mismatch",
        "batch-refused",
    ]
    refusals.taken()
    assert [one.code for one in refusals.recent] == ["signature-mismatch", "batch-refused"]
    clock.advance(200.0)
    refusals.add("signature-mismatch")
    clock.advance(200.0)
    assert [(one.code, one.times) for one in refusals.recent] == [
        ("signature-mismatch", 2),
        ("batch-refused", 1),
    ]
    refusals.taken()
    assert list(refusals.recent) == [Refused("signature-mismatch", 2, is_known=True)]
    clock.advance(4 * 3600.0)
    assert list(refusals.recent) == []


def test_what_is_over_at_once_took_less_than_a_minute() -> None:
    assert said([], row("a")) == ["Over after less than a minute: a is wrong."]


def test_what_is_dead_names_the_rules_that_did_it_the_first_of_many() -> None:
    few = replace(WELL, dead={"http_400": 2}, dead_rules={"http_400": ["vip", ""]})
    many = replace(WELL, dead={"http_400": 9}, dead_rules={"http_400": ["a", "b", "c", "d"]})
    assert [one.words for one in causes(few)] == ["2 dead: http_400 of vip"]
    assert [one.words for one in causes(many)] == ["9 dead: http_400 of a, b, c, …"]


def cause(key: str, count: int = 0, *, grave: bool = True) -> Cause:
    return Cause(key=key, words=f"{key} is wrong", todo="look", count=count, is_grave=grave)


def row(key: str, *, since_ms: int = NOW, told_of: int = 0) -> AlertRow:
    return AlertRow(key, f"{key} is wrong", since_ms, since_ms, told_of)


def said(found: list[Cause], *told: AlertRow, at_ms: int = NOW) -> list[str | None]:
    return [one.text for one in messages(found, {one.key: one for one in told}, at_ms)]


def test_a_cause_is_told_when_it_begins_and_when_it_is_over() -> None:
    assert said([cause("a")]) == ["a is wrong. Look."]
    assert said([cause("a")], row("a")) == []
    assert said([], row("a"), at_ms=NOW + 12 * MINUTE) == ["Over after 12 min: a is wrong."]


def test_what_was_never_told_ends_without_a_word() -> None:
    assert said([cause("a", grave=False)]) == []
    assert said([]) == []


def test_what_was_told_is_not_over_while_it_is_only_less_grave() -> None:
    assert said([cause("a", grave=False)], row("a")) == []


def test_what_becomes_more_is_told_again_after_a_quarter_of_an_hour() -> None:
    before = row("dead", told_of=1)
    assert said([cause("dead", 9)], before, at_ms=NOW + 14 * MINUTE) == []
    assert said([cause("dead", 1)], before, at_ms=NOW + 99 * MINUTE) == []
    assert said([cause("dead", 9)], before, at_ms=NOW + 15 * MINUTE) == [
        "Still: dead is wrong. Look."
    ]


def test_what_became_less_is_news_when_it_grows_again() -> None:
    (note,) = messages([cause("dead", 2)], {"dead": row("dead", told_of=9)}, NOW)
    assert (note.text, note.becomes and note.becomes.told_of) == (None, 2)


Look = tuple[frozenset[str], frozenset[str]]
LOOKS = st.lists(
    st.tuples(st.frozensets(st.sampled_from("abc")), st.frozensets(st.sampled_from("abc")))
)


@given(looks=LOOKS)
def test_every_beginning_and_every_end_is_told_once_whatever_comes_and_goes(
    looks: list[Look],
) -> None:
    """The second set of a look are the messages that the chat does not take: they are said later."""
    told: dict[str, AlertRow] = {}
    heard: dict[str, list[str]] = {key: [] for key in "abc"}
    for number, (there, lost) in enumerate(looks):
        for one in list(messages(map(cause, sorted(there)), told, NOW + number)):
            if one.key in lost:
                continue
            heard[one.key].append("end" if one.becomes is None else "begin")
            if one.becomes is None:
                del told[one.key]
            else:
                told[one.key] = one.becomes
        known = {key for key, words in heard.items() if words[-1:] == ["begin"]}
        assert known == told.keys()
        assert known - lost == there - lost
    for words in heard.values():
        assert words == ["begin", "end"] * (len(words) // 2) + ["begin"] * (len(words) % 2)


@given(looks=st.lists(st.frozensets(st.sampled_from("abc"))))
def test_as_many_messages_as_changes(looks: list[frozenset[str]]) -> None:
    told: dict[str, AlertRow] = {}
    count, before, changes = 0, frozenset[str](), 0
    for there in looks:
        for one in list(messages(map(cause, sorted(there)), told, NOW)):
            count += one.text is not None
            told.pop(one.key, None)
            told |= {one.key: one.becomes} if one.becomes else {}
        changes += len(before ^ there)
        before = there
    assert count == changes
