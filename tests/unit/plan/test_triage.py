"""Which events come to nothing, and why; and whom an event is about."""

from __future__ import annotations

from typing import Any

import pytest

from bridge.onesignal.operations import Recipient
from bridge.plan import Skip, plan, triage
from bridge.plan.targets import unaddressable
from bridge.segment.body import NotJson, read_body
from bridge.segment.events import Event, read_event
from tests.unit.plan.planning import event_of, mapping_of, planned, rule, the_skip, the_update

TAGS: dict[str, Any] = {"update_user": {"tags": {"a": "1"}}}
ANYTHING = mapping_of(rule(**TAGS))


def test_an_event_that_no_rule_wants() -> None:
    mapping = mapping_of(rule(when='event = "Order Shipped"', **TAGS))

    skip = the_skip(planned(mapping, type="track", event="Other"))

    assert (skip.reason, skip.rule, skip.operation) == ("no_rule", "", "")


def test_an_empty_mapping_wants_nothing() -> None:
    assert the_skip(planned(mapping_of())).reason == "no_rule"


@pytest.mark.parametrize(
    ("integrations", "skipped"),
    [
        ({"OneSignal": False}, True),
        ({"OneSignal New": False}, True),
        ({"OneSignal (New)": False}, True),
        ({"All": False}, False),
        ({"All": False, "OneSignal": True}, False),
        ({"All": False, "OneSignal": {"x": 1}}, False),
        ({"OneSignal": None}, False),
        ({"OneSignal": 0}, False),
        ({"onesignal": False}, False),
        ({"Braze": False}, False),
        (False, False),
        (None, False),
    ],
)
def test_only_an_explicit_false_under_our_name_disables(integrations: Any, skipped: bool) -> None:  # noqa: FBT001 — pytest passes it
    found = planned(ANYTHING, integrations=integrations)

    assert [skip.reason for skip in found.skips] == ["integration_disabled"] * skipped
    assert len(found.operations) == (not skipped)


@pytest.mark.parametrize(
    "sent",
    [
        {"context": {"library": {"name": "OneSignal"}}},
        {"context": {"integration": {"name": "onesignal-segment"}}},
        {"type": "track", "event": "Push Clicked", "properties": {"onesignal_id": "x"}},
    ],
)
def test_what_onesignal_sends_is_an_echo_unless_a_rule_wants_it(sent: dict[str, Any]) -> None:
    wanting = mapping_of(rule("deaf", **TAGS), rule("keen", echo=True, **TAGS))

    assert the_skip(planned(ANYTHING, **sent)).reason == "onesignal_echo"
    assert the_update(planned(wanting, **sent)).rules == ("keen",)


def test_an_event_that_only_sounds_like_onesignals_is_none() -> None:
    assert planned(ANYTHING, type="track", event="Push Clicked", properties={}).operations


@pytest.mark.parametrize("user", [None, "", True, [], {}])
def test_an_event_of_nobody(user: Any) -> None:
    found = planned(ANYTHING, userId=user, anonymousId="anon-1")

    assert the_skip(found).reason == "no_external_id"


@pytest.mark.parametrize(
    "user",
    [
        "1",
        "0",
        "-1",
        "NA",
        "na",
        "NULL",
        "null",
        "undefined",
        "None",
        "NaN",
        " null ",
        1.0,
        -1.0,
        0.0,
    ],
)
def test_an_id_that_onesignal_blocks(user: Any) -> None:
    assert the_skip(planned(ANYTHING, userId=user)).reason == "blocked_external_id"


@pytest.mark.parametrize("user", ["{{ user.id }}", "{% if user %}1{% endif %}"])
def test_an_id_that_is_liquid_reaches_nobody(user: str) -> None:
    assert the_skip(planned(ANYTHING, userId=user)).reason == "liquid_in_value"


@pytest.mark.parametrize(
    ("user", "external_id"), [(42, "42"), (42.0, "42"), (1.5, "1.5"), ("042", "042")]
)
def test_a_number_is_an_id_too(user: Any, external_id: str) -> None:
    update = the_update(planned(ANYTHING, userId=user))

    assert update.to == Recipient(label="external_id", id=external_id)


@pytest.mark.parametrize(
    ("sent", "external_id"),
    [
        ({"userId": "u1", "traits": {"id": "t1"}}, "t1"),
        ({"userId": "u1", "traits": {"id": 42.0}}, "42"),
        ({"userId": "u1", "traits": {"id": ""}}, "u1"),
        ({"userId": "u1", "traits": {"id": None}}, "u1"),
        ({"userId": "u1", "traits": {"id": ["x"]}}, "u1"),
        ({"userId": "u1", "traits": {"id": True}}, "u1"),
        ({"userId": "u1"}, "u1"),
        ({"userId": None, "context": {"externalId": "c1"}}, "c1"),
    ],
)
def test_of_a_list_of_paths_the_first_present_counts(
    sent: dict[str, Any], external_id: str
) -> None:
    paths = ["{{ traits.id }}", "{{userId}}", "{{ context.externalId }}"]
    mapping = mapping_of(rule(**TAGS), identity={"external_id": paths})

    assert the_update(planned(mapping, **sent)).to.id == external_id


def test_a_blocked_id_does_not_fall_through_to_the_next_path() -> None:
    mapping = mapping_of(
        rule(**TAGS), identity={"external_id": ["{{ traits.id }}", "{{ userId }}"]}
    )

    for id_ in ("null", 0, 1, -1.0):
        assert the_skip(planned(mapping, traits={"id": id_})).reason == "blocked_external_id"


@pytest.mark.parametrize(
    ("length", "reason"), [(511, None), (512, None), (513, "external_id_too_long")]
)
def test_an_id_has_up_to_512_characters(length: int, reason: str | None) -> None:
    assert unaddressable("x" * length) == reason


def test_a_membership_that_no_rule_acts_on_is_learnt_and_nothing_else_is() -> None:
    entering = 'audience.key = "vip" and audience.entered = true'
    pushing = mapping_of(
        rule(when=entering, send_notification={"contents": "Hi", "platforms": "all"})
    )
    tagging = mapping_of(rule(when=entering, **TAGS))
    left = event_of(
        {
            "traits": {"vip": False},
            "context": {"personas": {"computation_class": "audience", "computation_key": "vip"}},
        }
    )

    assert (triage(left, pushing).skip, triage(left, pushing).learns) == (None, True)
    assert triage(left, tagging).skip == Skip("no_rule")
    tracking = mapping_of(rule(when=entering, track_custom_event={"name": "entered"}))
    assert triage(left, tracking).learns
    assert triage(event_of({}), pushing).skip == Skip("no_rule")


def test_a_journey_step_says_nothing_of_a_membership() -> None:
    step = {"computation_class": "journey_step", "computation_key": "welcome"}
    joined = {"computation_class": "audience", "computation_key": "vip"}

    assert planned(ANYTHING, context={"personas": step}).stay is None
    found = planned(ANYTHING, traits={"vip": True}, context={"personas": joined}).stay
    assert found is not None
    assert found.audience == "vip"


def test_what_is_not_for_onesignal_is_not_whoever_it_is_about() -> None:
    nobodys = planned(ANYTHING, userId=None, integrations={"OneSignal": False})

    assert the_skip(nobodys).reason == "integration_disabled"


def test_a_path_may_have_a_hyphen() -> None:
    mapping = mapping_of(rule(**TAGS), identity={"external_id": "{{ traits.user-id }}"})

    assert the_update(planned(mapping, traits={"user-id": "h1"})).to.id == "h1"


def test_triage_and_plan_agree_and_name_the_rules() -> None:
    mapping = mapping_of(rule("a", **TAGS), rule("b", when="false", **TAGS), rule("c", **TAGS))
    event = event_of({})

    triaged = triage(event, mapping)

    assert [one.name for one in triaged.rules] == ["a", "c"]
    assert triaged.skip is None
    assert triaged.user == Recipient("external_id", "u1")
    assert the_update(plan(event, mapping)).rules == ("a", "c")


@pytest.mark.parametrize(
    ("when", "sent", "matches"),
    [
        ("replay = true", {"replay": True}, True),
        ("replay = true", {"replay": "true"}, False),
        ('source = "default"', {}, True),
        ('source = "default"', {"source": "backend"}, True),
        ('source = "backend"', {"source": "backend"}, False),
        ('device.platform = "ios"', {"context": {"device": {"type": "ios"}}}, True),
        ("audience.key = null", {}, True),
        (
            'audience.key = "vip" and audience.entered = true',
            {
                "traits": {"vip": "true"},
                "context": {
                    "personas": {"computation_class": "audience", "computation_key": "vip"}
                },
            },
            True,
        ),
        ('audience.key = "vip"', {"audience": {"key": "vip"}}, False),
    ],
)
def test_conditions_read_the_computed_fields_and_never_what_an_event_calls_so(
    when: str,
    sent: dict[str, Any],
    matches: bool,  # noqa: FBT001 — pytest passes it
) -> None:
    assert bool(planned(mapping_of(rule(when=when, **TAGS)), **sent).operations) is matches


@pytest.mark.parametrize("raw", [b"{}", b'{"type":5,"userId":"u1"}', b'{"traits":"x","context":7}'])
def test_the_oddest_event_is_planned_without_a_fuss(raw: bytes) -> None:
    body = read_body(raw)
    assert not isinstance(body, NotJson)
    event = read_event(body[0].value, raw=raw, source="default", received_ms=0)
    assert isinstance(event, Event)

    found = plan(event, ANYTHING)

    assert len(found.operations) + len(found.skips) == 1
