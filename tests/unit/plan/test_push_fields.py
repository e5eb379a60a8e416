"""Every field of a push: what it becomes for an event, and what is wrong with it beforehand."""

from __future__ import annotations

from typing import Any

import pytest

from bridge.mapping.written import Sent
from bridge.mapping.written_push import SendNotification
from bridge.onesignal.operations import SendNotification as Planned
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

LINKS = {"links": ["shop://", "https://www.shop.example/"]}


def sent(send: dict[str, Any], **event: Any) -> Planned:
    return the_send(pushed({"contents": "Hi", **send}, push=LINKS, **event))


def wrong(send: dict[str, Any], **push: Any) -> list[str]:
    return errors_of(
        rule(send_notification={"contents": "Hi", **send}), push={**NO_IPHONES, **LINKS, **push}
    )


def kinds(*names: str) -> list[str]:
    return [
        field
        for field, declared in SendNotification.model_fields.items()
        if any(isinstance(how, Sent) and how.kind in names for how in declared.metadata)
        and field not in {"contents", "image", "ios_attachments"}
    ]


@pytest.mark.parametrize("name", kinds("text"))
def test_a_text_may_come_from_the_event_and_is_left_out_when_it_does_not(name: str) -> None:
    more = {"delayed_option": "timezone"} if name == "delivery_time_of_day" else {}
    send = {name: "{{ properties.x }}", **more}

    assert sent(send, properties={"x": "9:00AM"}).body[name] == "9:00AM"
    assert sent(send, properties={"x": 7}).body[name] == "7"
    without = pushed({"contents": "Hi", **send}, properties={})
    if name in {"template_id", "delivery_time_of_day"}:
        assert str(the_skip(without)) == "missing: properties.x"
    else:
        assert name not in the_send(without).body
        assert notes(without) == [f"{name}: missing (properties.x)"]


@pytest.mark.parametrize("name", kinds("link"))
def test_an_address_from_an_event_points_only_where_links_say(name: str) -> None:
    send = {name: "https://www.shop.example/{{ properties.x }}"}

    assert sent(send, properties={"x": "a/b c"}).body[name] == (
        "https://www.shop.example/a%2Fb%20c"
    )
    elsewhere = pushed(
        {"contents": "Hi", name: "{{ properties.x }}"},
        push=LINKS,
        properties={"x": "https://evil.example/"},
    )
    assert name not in the_send(elsewhere).body
    assert notes(elsewhere) == [f"{name}: link_not_allowed"]


@pytest.mark.parametrize("name", kinds("number"))
def test_a_number_may_come_from_the_event_but_nothing_else_does(name: str) -> None:
    more: dict[str, Any] = {"ios_badgeType": "SetTo"} if name == "ios_badgeCount" else {}
    send = {name: "{{ properties.x }}", **more}

    assert sent(send, properties={"x": 1}).body[name] == 1
    assert sent(send, properties={"x": "1"}).body[name] == 1
    for odd in ("one", True, [1], None, "", {"a": 1}):
        assert name not in sent(send, properties={"x": odd}).body


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("huawei_badge_set_num", 100, "out_of_range"),
        ("huawei_badge_set_num", -1, "out_of_range"),
        ("huawei_badge_set_num", 1.5, "not_a_number"),
        ("huawei_badge_add_num", 0, "out_of_range"),
        ("ios_relevance_score", 1.1, "out_of_range"),
        ("throttle_rate_per_minute", -1, "out_of_range"),
        ("collapse_id", "x" * 65, "too_long"),
        ("name", "x" * 129, "too_long"),
        ("send_after", "tomorrow", "not_a_date"),
        ("send_after", "2026-11-27T09:00:00", "not_a_date"),
        ("name", " ", "empty_text"),
        ("data", {"x": "y" * 2048}, "too_long"),
        ("custom_data", {"x": "y" * 2048}, "too_long"),
    ],
)
def test_what_can_never_be_sent_is_an_error_beforehand(name: str, value: Any, reason: str) -> None:
    send = {name: value, "template_id": "t"}

    assert wrong(send) == [f"field-unusable: `{name}` can never be sent: {reason}"]


def test_numbers_and_bounds_that_are_right_are_sent_as_they_are() -> None:
    body = sent(
        {
            "huawei_badge_set_num": 0,
            "huawei_badge_add_num": 99,
            "ios_relevance_score": 0.25,
            "throttle_rate_per_minute": 0,
            "ios_badgeType": "Increase",
            "ios_badgeCount": -1,
            "content_available": False,
            "enable_frequency_cap": False,
            "ttl": "0s",
            "priority": 10,
        }
    ).body

    assert body == {
        "contents": {"en": "Hi"},
        "huawei_badge_set_num": 0,
        "huawei_badge_add_num": 99,
        "ios_relevance_score": 0.25,
        "throttle_rate_per_minute": 0,
        "ios_badgeType": "Increase",
        "ios_badgeCount": -1,
        "content_available": False,
        "enable_frequency_cap": False,
        "ttl": 0,
        "priority": 10,
    }


# When it is delivered


@pytest.mark.parametrize(
    ("at", "utc"),
    [
        ("2026-11-27T09:00:00+01:00", "2026-11-27T08:00:00Z"),
        ("2026-11-27T09:00:00.999Z", "2026-11-27T09:00:00Z"),
    ],
)
def test_a_time_to_send_after_is_told_in_utc(at: str, utc: str) -> None:
    assert (
        sent({"send_after": "{{ properties.at }}"}, properties={"at": at}).body["send_after"] == utc
    )


@pytest.mark.parametrize(
    ("properties", "reason"),
    [
        ({}, "missing: properties.at"),
        ({"at": None}, "missing: properties.at"),
        ({"at": "soon"}, "not_a_date: send_after"),
        ({"at": 1_700_000_000}, "not_a_date: send_after"),
    ],
)
def test_a_reminder_without_its_time_is_no_push_at_once(
    properties: dict[str, Any], reason: str
) -> None:
    found = pushed({"contents": "Hi", "send_after": "{{ properties.at }}"}, properties=properties)

    assert str(the_skip(found)) == reason


@pytest.mark.parametrize("text", ["9:00AM", "12:59PM", "21:45", "09:45:30", "0:00"])
def test_a_time_of_day(text: str) -> None:
    body = sent({"delayed_option": "timezone", "delivery_time_of_day": text}).body

    assert (body["delayed_option"], body["delivery_time_of_day"]) == ("timezone", text)


@pytest.mark.parametrize("text", ["9", "24:00", "13:00PM", "9:60", "noon", "9:00 AM", ""])
def test_no_time_of_day(text: str) -> None:
    (error,) = wrong({"delayed_option": "timezone", "delivery_time_of_day": text})

    assert error.startswith("field-invalid: `rules.0.do.send_notification.delivery_time_of_day`")


# Fields beside each other


@pytest.mark.parametrize(
    ("send", "code"),
    [
        ({"url": "https://www.shop.example/", "app_url": "shop://a"}, "links-contradict"),
        ({"url": "https://www.shop.example/", "web_url": "https://www.shop.example/"}, "links-contradict"),
        ({"delivery_time_of_day": "9:00AM"}, "field-alone"),
        ({"delivery_time_of_day": "9:00AM", "delayed_option": "last-active"}, "field-alone"),
        ({"ios_badgeType": "SetTo"}, "field-alone"),
        ({"ios_badgeCount": 1}, "field-alone"),
        ({"custom_data": {"a": 1}}, "field-alone"),
        ({"buttons": [{"id": str(n), "text": "t"} for n in range(4)]}, "field-invalid"),
        ({"web_buttons": [{"id": str(n), "text": "t"} for n in range(3)]}, "field-invalid"),
        ({"buttons": []}, "field-invalid"),
        ({"buttons": [{"id": "a"}]}, "field-missing"),
        ({"buttons": [{"id": "a", "text": "t", "url": "https://x.example"}]}, "unknown-field"),
        ({"huawei_category": "marketing"}, "field-invalid"),
        ({"huawei_msg_type": "both"}, "field-invalid"),
        ({"ios_interruption_level": "loud"}, "field-invalid"),
        ({"delayed_option": "later"}, "field-invalid"),
        ({"content_available": "yes"}, "yes-or-no"),
        ({"ios_badgeCount": True, "ios_badgeType": "SetTo"}, "field-invalid"),
    ],
    ids=str,
)  # fmt: skip
def test_fields_that_do_not_go_together(send: dict[str, Any], code: str) -> None:
    assert {one.partition(":")[0] for one in wrong(send)} == {code}


def test_a_push_that_wakes_an_app_needs_no_contents() -> None:
    mapping = mapping_of(
        rule(send_notification={"content_available": True, "data": {"sync": "{{ properties.n }}"}}),
        push=NO_IPHONES,
    )

    send = the_send(planned(mapping, properties={"n": 5}))

    assert send.body == {"content_available": True, "data": {"sync": 5}}
    assert errors_of(rule(send_notification={"content_available": False}), push=NO_IPHONES) == [
        "contents-missing: a push needs contents, or a template_id"
    ]


# Buttons


def test_buttons_say_what_the_event_says() -> None:
    send = {
        "buttons": [{"id": "track", "text": "Track {{ properties.id }}", "icon": "ic_box"}],
        "web_buttons": [
            {
                "id": "track",
                "text": "Track",
                "url": "https://www.shop.example/o/{{ properties.id }}",
                "icon": "https://www.shop.example/box.png",
            }
        ],
    }

    body = sent(send, properties={"id": "a b"}).body

    assert body["buttons"] == [{"id": "track", "text": "Track a b", "icon": "ic_box"}]
    assert body["web_buttons"] == [
        {
            "id": "track",
            "text": "Track",
            "url": "https://www.shop.example/o/a%20b",
            "icon": "https://www.shop.example/box.png",
        }
    ]


def test_a_button_that_leads_elsewhere_takes_the_buttons_with_it_and_not_the_push() -> None:
    found = pushed(
        {"contents": "Hi", "web_buttons": [{"id": "a", "text": "t", "url": "{{ properties.u }}"}]},
        push=LINKS,
        properties={"u": "https://evil.example/"},
    )

    assert the_send(found).body == {"contents": {"en": "Hi"}}
    assert notes(found) == ["web_buttons: link_not_allowed"]


def test_a_button_whose_address_comes_from_an_event_needs_links() -> None:
    button = {"id": "a", "text": "t", "url": "https://x.example/{{ properties.u }}"}

    assert wrong({"web_buttons": [button]}, links=[]) == [
        "links-undecided: web_buttons comes from an event, and nothing says where it may point"
    ]


# Raw


def test_raw_passes_a_field_on_that_is_not_known_yet() -> None:
    send = {"raw": {"mutable_content": True, "apns_alert": {"title-loc-key": "{{ properties.k }}"}}}

    body = sent(send, properties={"k": "HELLO"}).body

    assert body["mutable_content"] is True
    assert body["apns_alert"] == {"title-loc-key": "HELLO"}


def test_a_raw_field_that_is_missing_is_left_out() -> None:
    found = pushed({"contents": "Hi", "raw": {"summary_arg": "{{ properties.k }}"}})

    assert the_send(found).body == {"contents": {"en": "Hi"}}
    assert notes(found) == ["summary_arg: missing (properties.k)"]


@pytest.mark.parametrize(
    "name", ["isIos", "is_ios", "include_aliases", "Included_Segments", "idempotency_key", "app_id"]
)
@pytest.mark.parametrize(
    "raw", [{"new": "{{ properties.o }}"}, {"new": [{"x": "{{ properties.o }}"}]}]
)
def test_an_object_of_an_event_brings_no_name_into_raw_that_a_mapping_may_not_write(
    raw: dict[str, Any], name: str
) -> None:
    found = pushed(
        {"contents": "Hi", "raw": raw}, properties={"o": {"deep": [{"fine": 1}, {name: True}]}}
    )

    assert the_send(found).body == {"contents": {"en": "Hi"}}
    assert notes(found) == ["new: reserved_name"]


@pytest.mark.parametrize(
    "address", ["https://evil.example/", "javascript:alert(1)", " //evil.example", "HTTP:evil"]
)
def test_an_address_in_a_raw_field_is_held_to_links_too(address: str) -> None:
    found = pushed(
        {"contents": "Hi", "raw": {"new": {"deep": ["{{ properties.u }}"]}}},
        push=LINKS,
        properties={"u": address},
    )

    assert "new" not in the_send(found).body
    assert notes(found) == ["new: link_not_allowed"]
    fine = sent({"raw": {"new": "{{ properties.u }}"}}, properties={"u": "shop://a"})
    assert fine.body["new"] == "shop://a"


@pytest.mark.parametrize(
    ("raw", "code"),
    [
        *(
            ({name: ["x"]}, "one-person-per-event")
            for name in (
                "included_segments", "excluded_segments", "include_aliases", "include_subscription_ids",
                "include_external_user_ids", "include_player_ids", "include_ios_tokens", "filters",
                "target_channel", "channel_for_external_user_ids", "email_to", "includeAliases",
                "INCLUDED_SEGMENTS", "include_phone_numbers", "include_anything_new", "exclude_aliases",
            )
        ),
        *(
            ({name: True}, "platform-flag")
            for name in ("isIos", "is_ios", "isAndroid", "isAnyWeb", "isWP_WNS", "isSafari", "isVisionOS")
        ),
        ({"idempotency_key": "k"}, "key-not-yours"),
        ({"external_id": "k"}, "key-not-yours"),
        ({"idempotencyKey": "k"}, "key-not-yours"),
        ({"app_id": "a"}, "app-not-yours"),
        ({"app_ids": ["a"]}, "app-not-yours"),
        ({"new": {"deep": [{"filters": []}]}}, "one-person-per-event"),
        ({"new": {"isIos": True}}, "platform-flag"),
        ({"contents": {"en": "x"}}, "raw-declared"),
        ({"url": "https://x.example"}, "raw-declared"),
        ({"": 1}, "field-invalid"),
        ({"app_id ": 1}, "field-invalid"),
        ({"a b": 1}, "field-invalid"),
    ],
    ids=str,
)  # fmt: skip
def test_what_raw_may_not_write(raw: dict[str, Any], code: str) -> None:
    assert [one.partition(":")[0] for one in wrong({"raw": raw})] == [code]


# Pictures


def test_what_an_image_is_on_each_platform_may_be_said_otherwise() -> None:
    found = pushed(
        {
            "contents": "Hi",
            "image": "https://www.shop.example/{{ properties.n }}.png",
            "chrome_web_image": "https://www.shop.example/wide.png",
        },
        push=LINKS,
        properties={"n": 1},
    )

    body = the_send(found).body
    assert body["big_picture"] == "https://www.shop.example/1.png"
    assert body["chrome_web_image"] == "https://www.shop.example/wide.png"
    assert "ios_attachments" not in body
    assert "image" not in body
