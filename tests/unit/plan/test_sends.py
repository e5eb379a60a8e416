"""`send_notification`: its fields, and when a field or the whole push is left out."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from bridge.mapping.terms import Once
from bridge.onesignal.operations import Recipient
from bridge.onesignal.user_model import notification_body
from tests.unit.plan.planning import (
    NO_IPHONES,
    errors_of,
    mapping_of,
    notes,
    planned,
    pushed,
    rule,
    the_send,
    the_skip,
)

HELLO = {"contents": "Hello"}


def test_a_push_of_one_text() -> None:
    send = the_send(pushed(HELLO))

    assert send.rule == "r"
    assert send.to == Recipient(label="external_id", id="u1")
    assert send.body == {"contents": {"en": "Hello"}}
    assert send.flags == {"isIos": False, "isAndroid": True, "isChromeWeb": True, "isFirefox": True}
    assert send.max_age_ms == 14_400_000


def test_every_text_and_every_number_goes_where_onesignal_wants_it() -> None:
    plan = pushed(
        {
            "contents": {"en": "Order {{ properties.id }}", "de": "Bestellung {{ properties.id }}"},
            "headings": "{{ properties.count }}",
            "subtitle": {"en": "{{ properties.is_new }}"},
            "data": {"id": "{{ properties.id }}", "deep": [1, {"x": "n{{ properties.id }}"}]},
            "ttl": "2d",
            "collapse_id": "order-{{ properties.id }}",
            "priority": 10,
        },
        properties={"id": 7, "count": 3, "is_new": True},
    )

    assert the_send(plan).body == {
        "contents": {"en": "Order 7", "de": "Bestellung 7"},
        "headings": {"en": "3"},
        "subtitle": {"en": "true"},
        "data": {"id": 7, "deep": [1, {"x": "n7"}]},
        "collapse_id": "order-7",
        "ttl": 172_800,
        "priority": 10,
    }
    assert plan.notes == ()


@pytest.mark.parametrize(
    ("ttl", "seconds"), [("0s", 0), ("90s", 90), ("10m", 600), ("6h", 21_600), ("28d", 2_419_200)]
)
def test_ttl_is_in_seconds(ttl: str, seconds: int) -> None:
    assert the_send(pushed(HELLO | {"ttl": ttl})).body["ttl"] == seconds


@pytest.mark.parametrize(
    "field",
    [
        {"contents": "Hi {{ traits.name }}"},
        {"contents": {"en": "Hi", "de": "{{ traits.name }}"}},
        {"headings": "{{ traits.name }}"},
        {"headings": {"en": "Hi", "fr": "{{ traits.name | upcase }}"}},
        {"template_id": "{{ traits.name }}"},
        {"template_id": "5f6c3a52", "custom_data": {"name": "{{ traits.name }}"}},
        {"template_id": "5f6c3a52", "custom_data": {"deep": [{"name": "{{ traits.name }}"}]}},
    ],
)
@pytest.mark.parametrize("traits", [{}, {"name": None}])
def test_what_a_push_cannot_do_without_skips_it_with_the_path(
    field: dict[str, Any], traits: dict[str, Any]
) -> None:
    skip = the_skip(pushed(HELLO | field, traits=traits))

    assert (skip.rule, skip.operation) == ("r", "send_notification")
    assert str(skip) == "missing: traits.name"


@pytest.mark.parametrize(
    ("field", "name"),
    [
        ({"subtitle": "{{ traits.name }}"}, "subtitle"),
        ({"data": {"name": "{{ traits.name }}"}}, "data"),
        ({"collapse_id": "{{ traits.name }}"}, "collapse_id"),
        ({"url": "https://www.shop.example/{{ traits.name }}"}, "url"),
        ({"app_url": "{{ traits.name }}"}, "app_url"),
        ({"web_url": "{{ traits.name | default: traits.name }}"}, "web_url"),
        ({"chrome_web_image": "{{ traits.name }}"}, "chrome_web_image"),
        ({"ios_attachments": {"a": "{{ traits.name }}"}}, "ios_attachments"),
    ],
)
def test_what_a_push_can_do_without_is_left_out_with_a_note(
    field: dict[str, Any], name: str
) -> None:
    plan = pushed(HELLO | field, push={"links": ["https://www.shop.example/"]}, traits={})

    assert the_send(plan).body == {"contents": {"en": "Hello"}}
    assert notes(plan) == [f"{name}: missing (traits.name)"]


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("", "empty_text"),
        ("  ", "empty_text"),
        (["Ada"], "not_text"),
        ({"first": "Ada"}, "not_text"),
        ("{{ api_key }}", "liquid_in_value"),
        ("{% for", "liquid_in_value"),
    ],
)
@pytest.mark.parametrize("field", ["contents", "headings", "template_id"])
def test_a_text_that_is_none_skips_the_push(field: str, name: Any, reason: str) -> None:
    plan = pushed(HELLO | {field: "{{ traits.name }}"}, traits={"name": name})

    assert the_skip(plan).reason == reason


def test_a_default_saves_the_push() -> None:
    text = "Hi {{ traits.name | default: 'there' }}"

    assert the_send(pushed({"contents": text})).body["contents"] == {"en": "Hi there"}


def test_liquid_for_onesignal_passes_from_the_mapping() -> None:
    text = "{% raw %}{{ first_name | default: 'there' }}{% endraw %}, {{ traits.x }}"

    plan = pushed({"contents": text}, traits={"x": "good"})

    assert the_send(plan).body["contents"] == {"en": "{{ first_name | default: 'there' }}, good"}


def test_a_template_with_its_data_needs_no_contents() -> None:
    plan = pushed(
        {"template_id": "5f6c3a52", "custom_data": {"order": "{{ properties }}", "n": 1}},
        properties={"id": 7, "note": None},
    )

    assert the_send(plan).body == {
        "template_id": "5f6c3a52",
        "custom_data": {"order": {"id": 7, "note": None}, "n": 1},
    }


def test_null_stays_null_in_data_and_liquid_does_not_pass() -> None:
    assert the_send(
        pushed(HELLO | {"data": {"x": "{{ properties.x }}"}}, properties={"x": None})
    ).body["data"] == {"x": None}

    plan = pushed(HELLO | {"data": {"x": "{{ properties }}"}}, properties={"{{ x }}": 1})
    assert notes(plan) == ["data: liquid_in_value (properties)"]


def test_too_long_data_is_left_out_and_too_long_custom_data_skips() -> None:
    fits, too_long = "x" * 2038, "x" * 2050  # and the JSON around it

    assert the_send(pushed(HELLO | {"data": {"a": fits}})).body["data"] == {"a": fits}
    data = pushed(HELLO | {"data": {"a": "{{ properties.x }}"}}, properties={"x": too_long})
    assert "data" not in the_send(data).body
    assert notes(data) == ["data: too_long (data)"]
    custom = pushed(
        {"template_id": "t", "custom_data": {"a": "{{ properties.x }}"}}, properties={"x": too_long}
    )
    assert str(the_skip(custom)) == "too_long: custom_data"


def test_data_counts_bytes_not_characters() -> None:
    plan = pushed(HELLO | {"data": {"a": "{{ properties.x }}"}}, properties={"x": "é" * 1021})

    assert notes(plan) == ["data: too_long (data)"]


@pytest.mark.parametrize(("more", "kept"), [(0, True), (1, False)])
def test_data_has_2048_bytes(more: int, *, kept: bool) -> None:
    room = 2048 - len(orjson.dumps({"a": ""})) + more
    plan = pushed(HELLO | {"data": {"a": "{{ properties.x }}"}}, properties={"x": "x" * room})

    assert ("data" in the_send(plan).body) is kept


@pytest.mark.parametrize(("length", "kept"), [(64, True), (65, False)])
def test_a_collapse_id_has_64_characters(length: int, kept: bool) -> None:  # noqa: FBT001 — pytest passes it
    plan = pushed(HELLO | {"collapse_id": "{{ properties.x }}"}, properties={"x": "x" * length})

    assert ("collapse_id" in the_send(plan).body) is kept
    assert notes(plan) == ([] if kept else ["collapse_id: too_long (collapse_id)"])


@pytest.mark.parametrize(
    ("platforms", "fields"),
    [
        ({"exclude": ["ios"]}, {"big_picture", "chrome_web_image"}),
        ({"only": ["android"]}, {"big_picture"}),
        ({"only": ["web"]}, {"chrome_web_image"}),
        ({"only": ["ios"]}, {"ios_attachments"}),
        ({"only": ["huawei", "amazon"]}, {"huawei_big_picture", "adm_big_picture"}),
        (
            "all",
            {
                "big_picture",
                "huawei_big_picture",
                "adm_big_picture",
                "chrome_web_image",
                "ios_attachments",
            },
        ),
    ],
)
def test_an_image_is_on_every_picture_field_of_the_platforms_that_are_left(
    platforms: Any, fields: set[str]
) -> None:
    everywhere = ("android", "web", "ios", "huawei", "amazon")
    serves = ("android", "web", "ios") if platforms == {"exclude": ["ios"]} else everywhere
    picture = "https://www.shop.example/vip.png"

    plan = pushed(HELLO | {"image": picture, "platforms": platforms}, serves=serves)

    body = the_send(plan).body
    assert body.keys() - {"contents"} == fields
    for field in fields:
        assert body[field] == ({"image": picture} if field == "ios_attachments" else picture)


def test_an_image_is_for_web_apps_of_a_home_screen_too() -> None:
    send = HELLO | {"image": "https://a.example/1.png"}
    registered = {"only": ["ios_web"], "by": "devices"}

    plan = pushed(send | {"platforms": registered}, serves=("ios", "web"))

    assert the_send(plan).body.keys() == {"contents", "chrome_web_image"}
    assert the_send(plan).flags == {}


@pytest.mark.parametrize("by", [{}, {"by": "devices", "unknown_devices": "flags"}])
def test_a_push_that_no_flag_could_keep_to_its_policy_is_none(by: dict[str, str]) -> None:
    """Without a flag it would be everybody's: there is none for web apps of a home screen alone."""
    platforms = {"only": ["ios_web"], **by}

    errors = errors_of(
        rule(send_notification=HELLO | {"platforms": platforms}), serves=("ios", "web")
    )

    assert [one.partition(":")[0] for one in errors] == ["no-platform-left"]


def test_a_picture_field_of_its_own_wins_over_image() -> None:
    plan = pushed(
        HELLO | {"image": "https://a.example/1.png", "big_picture": "https://a.example/2"}
    )

    assert the_send(plan).body["big_picture"] == "https://a.example/2"
    assert the_send(plan).body["chrome_web_image"] == "https://a.example/1.png"


def test_the_platforms_of_an_operation_win_over_those_of_the_mapping() -> None:
    plan = pushed(HELLO | {"platforms": {"only": ["web"]}})

    assert the_send(plan).flags == {"isIos": False, "isChromeWeb": True, "isFirefox": True}


def test_nothing_that_an_event_brings_becomes_a_flag_or_a_target() -> None:
    evil = {
        "isIos": True,
        "included_segments": ["All"],
        "include_aliases": {"external_id": ["victim"]},
        "target_channel": "sms",
        "idempotency_key": "x",
        "app_id": "other",
    }
    plan = pushed(
        HELLO
        | {"data": {"all": "{{ properties }}"}, "headings": "{{ properties.app_id }}", "ttl": "1h"},
        properties=evil,
    )

    send = the_send(plan)
    body = orjson.loads(notification_body(send, app_id="app", key="key", recipients=[send.to]))
    assert body.keys() == {
        "app_id", "contents", "headings", "data", "ttl", "isIos", "isAndroid", "isChromeWeb",
        "isFirefox", "include_aliases", "target_channel", "idempotency_key",
    }  # fmt: skip
    assert body["isIos"] is False
    assert body["app_id"] == "app"
    assert body["include_aliases"] == {"external_id": ["u1"]}


def test_a_replayed_event_pushes_only_where_the_rule_says_so() -> None:
    mapping = mapping_of(
        rule("quiet", send_notification=HELLO, update_user={"tags": {"a": "1"}}),
        rule("loud", send_notification=HELLO, replays=True),
        push=NO_IPHONES,
    )

    plan = planned(mapping, replay=True)

    assert [type(one).__name__ for one in plan.operations] == ["UpdateUser", "SendNotification"]
    assert the_send(plan).rule == "loud"
    assert [(skip.rule, skip.reason) for skip in plan.skips] == [("quiet", "replay")]
    assert planned(mapping, replay="yes").skips == ()


def test_a_rule_that_may_fire_once_for_a_key_needs_the_key() -> None:
    once = {"time": "7d", "key": "{{ properties.sku }}"}
    mapping = mapping_of(rule(once_per=once, send_notification={"contents": "Hi"}), push=NO_IPHONES)

    known = planned(mapping, properties={"sku": 7})
    unknown = planned(mapping, properties={})

    assert known.terms["r"].once == Once(7 * 86_400_000, "7")
    assert str(the_skip(unknown)) == "missing: properties.sku"
    assert unknown.terms == {}


def test_the_age_a_push_may_have_comes_from_its_rule() -> None:
    mapping = mapping_of(rule(send_notification=HELLO, max_age="30m"), push=NO_IPHONES)

    assert the_send(planned(mapping)).max_age_ms == 1_800_000


def test_updates_come_before_sends_whatever_the_order_of_the_rules() -> None:
    mapping = mapping_of(
        rule("push", send_notification=HELLO),
        rule("tags", update_user={"tags": {"a": "1"}}),
        push=NO_IPHONES,
    )

    assert [one.name for one in planned(mapping).operations] == ["update_user", "send_notification"]


def test_planning_twice_gives_the_same_plan() -> None:
    sent: dict[str, Any] = {"traits": {"name": "Ada"}, "timestamp": "2026-01-01T00:00:00Z"}

    assert pushed({"contents": "Hi {{ traits.name }}"}, **sent) == pushed(
        {"contents": "Hi {{ traits.name }}"}, **sent
    )
