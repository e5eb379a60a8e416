"""What the terms of a rule make of what was sent before, to the millisecond and the last push."""

from __future__ import annotations

from typing import Any

import pytest

from bridge.mapping.terms import Once, Rate, Stay, Terms
from bridge.plan.guards import Go, Hold, Standing, Stop, judge

AT = 1_000_000
IN, OUT = Stay("vip", entered=True, event_ms=AT), Stay("vip", entered=False, event_ms=AT)
FULL = {"person_sends": 5, "rule_sends": 2000, "once_taken_ms": AT, "fired": True, "paused": True}
STRICT = Terms(
    max_age_ms=1000,
    once=Once(1000, "key"),
    limit=Rate(2000, 600_000),
    cap=Rate(5, 900_000),
    stay=IN,
)


def judged(terms: Terms, now_ms: int = AT, **standing: Any) -> str:
    found = judge(terms, Standing(**standing), event_ms=AT, now_ms=now_ms)
    return "go" if isinstance(found, Go) else found.reason


@pytest.mark.parametrize(("age", "said"), [(999, "go"), (1000, "go"), (1001, "too_old")])
def test_an_event_is_too_old_when_it_is_older_than_its_age(age: int, said: str) -> None:
    assert judged(Terms(max_age_ms=1000), AT + age) == said


@pytest.mark.parametrize(("since", "said"), [(0, "once_per"), (999, "once_per"), (1000, "go")])
def test_a_place_is_free_again_when_its_time_is_over(since: int, said: str) -> None:
    assert judged(Terms(once=Once(1000, "")), AT + since, once_taken_ms=AT) == said


def test_a_place_that_was_never_taken_is_free() -> None:
    assert judged(Terms(once=Once(1000, "")), once_taken_ms=None) == "go"
    assert judged(Terms(), once_taken_ms=AT) == "go"


@pytest.mark.parametrize(("sent", "said"), [(4, "go"), (5, "person_cap"), (6, "person_cap")])
def test_a_person_gets_as_many_as_the_cap_allows(sent: int, said: str) -> None:
    assert judged(Terms(cap=Rate(5, 900_000)), person_sends=sent) == said
    assert judged(Terms(cap=None), person_sends=sent) == "go"


@pytest.mark.parametrize(("sent", "said"), [(1999, "go"), (2000, "limit"), (2001, "limit")])
def test_a_rule_sends_as_many_as_its_limit_allows(sent: int, said: str) -> None:
    assert judged(Terms(limit=Rate(2000, 600_000)), rule_sends=sent) == said
    assert judged(Terms(limit=None), rule_sends=sent) == "go"


def test_a_rule_that_met_its_limit_stays_held_until_it_is_released() -> None:
    assert judged(Terms(limit=Rate(2000, 600_000)), rule_sends=0, rule_held=True) == "limit"
    assert judged(Terms(limit=None), rule_sends=0, rule_held=True) == "go"


@pytest.mark.parametrize(
    ("stay", "membership", "fired", "said"),
    [
        (IN, None, False, "go"),
        (IN, IN, False, "go"),
        (IN, IN, True, "same_membership"),
        (IN, OUT, False, "membership_over"),
        (IN, OUT, True, "membership_over"),
        (OUT, IN, False, "membership_over"),
        (OUT, OUT, True, "same_membership"),
        (None, IN, True, "go"),
    ],
)
def test_a_stay_is_answered_once_and_while_it_lasts(
    stay: Stay | None, membership: Stay | None, said: str, *, fired: bool
) -> None:
    assert judged(Terms(stay=stay), membership=membership, fired=fired) == said


def test_the_first_no_is_the_answer() -> None:
    """Everything that says no, taken away one by one."""
    standing: dict[str, Any] = {"membership": OUT, **FULL}
    assert judged(STRICT, AT + 1001, **standing) == "too_old"
    assert judged(STRICT, **standing) == "membership_over"
    standing["membership"] = IN
    assert judged(STRICT, **standing) == "same_membership"
    standing["fired"] = False
    assert judged(STRICT, **standing) == "once_per"
    standing["once_taken_ms"] = None
    assert judged(STRICT, **standing) == "person_cap"
    standing["person_sends"] = 0
    assert judged(STRICT, **standing) == "paused"
    standing["paused"] = False
    assert judged(STRICT, **standing) == "limit"
    standing["rule_sends"] = 0
    assert judged(STRICT, **standing) == "go"


def test_what_is_held_waits_and_what_is_stopped_does_not() -> None:
    now = {"event_ms": AT, "now_ms": AT}
    assert judge(STRICT, Standing(paused=True), **now) == Hold(reason="paused")
    assert judge(STRICT, Standing(rule_held=True), **now) == Hold(reason="limit")
    assert judge(STRICT, Standing(person_sends=5), **now) == Stop(reason="person_cap")
