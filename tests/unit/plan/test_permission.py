"""When a rule may act on an event: starts and ends, consent, and sources that anybody can send to."""

from __future__ import annotations

from typing import Any

import pytest

from bridge.mapping.terms import Stay
from bridge.plan import Plan
from tests.unit.plan.planning import NO_IPHONES, errors_of, mapping_of, planned, rule, the_update

TAGS: dict[str, Any] = {"update_user": {"tags": {"a": "1"}}}
PUSH: dict[str, Any] = {"send_notification": {"contents": "Hi"}}
STARTS, ENDS = "2025-10-09T08:00:00Z", "2025-10-09T10:00:00+01:00"


def names(plan: Plan) -> list[str]:
    return [one.name for one in plan.operations]


def reasons(plan: Plan) -> list[tuple[str, str, str]]:
    return [(skip.rule, skip.operation, str(skip)) for skip in plan.skips]


# starts, ends


@pytest.mark.parametrize(
    ("at", "reason"),
    [
        ("2025-10-09T07:59:59.999Z", "not_started"),
        ("2025-10-09T08:00:00Z", None),
        ("2025-10-09T08:59:59.999Z", None),
        ("2025-10-09T09:00:00Z", "ended"),
    ],
)
def test_a_rule_acts_on_events_of_its_time(at: str, reason: str | None) -> None:
    mapping = mapping_of(rule(starts=STARTS, ends=ENDS, **TAGS, **PUSH), push=NO_IPHONES)

    # Received at 2025-10-09T08:53:20Z; an event is at most five minutes ahead of that.
    found = planned(mapping_of(rule(starts=STARTS, **TAGS)), timestamp=at)
    within = planned(mapping, timestamp=at if at < "2025-10-09T08:55" else "2025-10-09T08:55:00Z")

    if reason == "not_started":
        assert reasons(found) == reasons(within) == [("r", "", "not_started")]
    else:
        assert names(found) == ["update_user"]
        assert names(within) == ["update_user", "send_notification"]


def test_a_rule_that_has_ended_does_nothing() -> None:
    mapping = mapping_of(rule(ends="2025-10-09T08:50:00Z", **TAGS))

    over = planned(mapping, timestamp="2025-10-09T08:50:00Z")
    assert (reasons(over), names(over)) == ([("r", "", "ended")], [])
    assert names(planned(mapping, timestamp="2025-10-09T08:49:59Z")) == ["update_user"]


def test_a_membership_is_learnt_before_its_rule_starts() -> None:
    mapping = mapping_of(
        rule(when='audience.key = "vip"', starts="2030-01-01T00:00:00Z", **PUSH), push=NO_IPHONES
    )

    found = planned(
        mapping,
        traits={"vip": True},
        context={"personas": {"computation_class": "audience", "computation_key": "vip"}},
    )

    assert reasons(found) == [("r", "", "not_started")]
    assert isinstance(found.stay, Stay)
    assert found.stay[:2] == ("vip", True)


@pytest.mark.parametrize("moment", ["2025-10-09", "2025-10-09T08:00:00", "soon", 5, ""])
def test_a_moment_has_its_zone(moment: Any) -> None:
    (error,) = errors_of(rule(starts=moment, **TAGS))

    assert error.startswith("field-invalid: `rules.0.starts`: a moment is")


def test_a_rule_that_ends_before_it_starts_never_acts() -> None:
    errors = errors_of(rule(starts=STARTS, ends=STARTS, **TAGS))

    assert errors == ["never-acts: rule r ends before it starts"]


# consent


def given(*, consent: Any = ["Marketing"], preferences: Any) -> Plan:  # noqa: B006 — never changed
    mapping = mapping_of(rule(consent=consent, **TAGS, **PUSH), push=NO_IPHONES)
    return planned(mapping, context={"consent": {"categoryPreferences": preferences}})


def test_with_consent_a_rule_does_everything() -> None:
    assert names(given(preferences={"Marketing": True})) == ["update_user", "send_notification"]


@pytest.mark.parametrize(
    "preferences",
    [{"Marketing": False}, {}, None, [], {"Analytics": True}, {"marketing": True}, {"Marketing": "true"},
     {"Marketing": 1}, {"Marketing": None}],
    ids=str,
)  # fmt: skip
def test_without_it_nothing(preferences: Any) -> None:
    found = given(preferences=preferences)

    assert reasons(found) == [("r", "", "no_consent: Marketing")]
    assert found.operations == ()


@pytest.mark.parametrize("context", [{}, {"consent": True}, {"consent": {}}, "odd"], ids=str)
def test_an_event_that_says_nothing_of_consent(context: Any) -> None:
    strict = mapping_of(rule(consent={"need": ["A"]}, **TAGS))
    lax = mapping_of(rule(consent={"need": ["A"], "unknown": "allow"}, **TAGS))

    assert reasons(planned(strict, context=context)) == [("r", "", "no_consent: A")]
    assert names(planned(lax, context=context)) == ["update_user"]


@pytest.mark.parametrize(
    ("preferences", "missing"),
    [({"A": True, "B": True}, None), ({"A": True}, None), ({"A": True, "B": False}, "B"),
     ({"A": False, "B": True}, "A"), ({"A": "no"}, "A")],
    ids=str,
)  # fmt: skip
def test_a_refusal_counts_even_where_silence_is_leave(
    preferences: dict[str, Any], missing: str | None
) -> None:
    found = given(consent={"need": ["A", "B"], "unknown": "allow"}, preferences=preferences)

    assert reasons(found) == ([("r", "", f"no_consent: {missing}")] if missing else [])


@pytest.mark.parametrize("consent", [[], {"need": []}, "Marketing", [""], {"unknown": "allow"}])
def test_consent_that_is_written_wrong(consent: Any) -> None:
    assert errors_of(rule(consent=consent, **TAGS))


# trust


@pytest.mark.parametrize(
    ("when", "sends"),
    [
        ("true", False),
        ('type = "identify"', False),
        ('source != "backend"', False),
        ('source = "default"', True),
        ('type = "identify" and source = "default"', True),
        ('source in ["default", "app"]', True),
        ('source = "default" or source = "app"', True),
        ('source = "default" or type = "identify"', False),
        ('!( source = "backend" )', False),
        ('match(source, "def*")', False),
        ('( source = "default" and type = "identify" ) or ( source = "app" )', True),
    ],
)
def test_what_anybody_can_send_pushes_only_where_the_rule_names_the_source(
    when: str,
    sends: bool,  # noqa: FBT001 — pytest passes it
) -> None:
    everything = rule(when=when, **TAGS, **PUSH, track_custom_event={"name": "e"})
    mapping = mapping_of(everything, push=NO_IPHONES, trust="client")

    found = planned(mapping)

    assert the_update(found).tags == {"a": "1"}
    if sends:
        assert names(found) == ["update_user", "send_notification", "track_custom_event"]
    else:
        assert reasons(found) == [
            ("r", "send_notification", "client_source"),
            ("r", "track_custom_event", "client_source"),
        ]
        assert found.terms == {}


def test_a_source_of_our_own_servers_needs_no_naming() -> None:
    assert names(planned(mapping_of(rule(**PUSH), push=NO_IPHONES))) == ["send_notification"]


# anonymous


def test_an_anonymous_event_is_nobodys_unless_the_mapping_says_so() -> None:
    skipping = mapping_of(rule(**TAGS))
    counting = mapping_of(rule(**TAGS), identity={"anonymous": "external_id"})
    anonymous = {"userId": None, "anonymousId": "anon-1"}

    assert reasons(planned(skipping, **anonymous)) == [("", "", "no_external_id")]
    assert the_update(planned(counting, **anonymous)).to.id == "anon-1"
    assert the_update(planned(counting, anonymousId="anon-1")).to.id == "u1"
    assert reasons(planned(counting, userId=None)) == [("", "", "no_external_id")]
    assert reasons(planned(counting, userId=None, anonymousId="null")) == [
        ("", "", "blocked_external_id")
    ]
