"""What a person has agreed to: ad tracking, and subscriptions of addresses, numbers and tokens."""

from __future__ import annotations

from typing import Any

import pytest

from bridge.segment.consent import forbids_ad_id, subscribed, without_ad_id
from tests.unit.plan.planning import mapping_of, notes, planned, rule, the_update, updated

ADA = "ada@shop.example"


def subscriptions(*said: tuple[Any, str, Any]) -> dict[str, Any]:
    names = ("key", "type", "status")
    return {"messaging_subscriptions": [dict(zip(names, one, strict=True)) for one in said]}


@pytest.mark.parametrize(
    ("device", "forbidden"),
    [
        ({"adTrackingEnabled": False}, True),
        ({"adTrackingEnabled": "false"}, True),
        ({"adTrackingEnabled": True}, False),
        ({"adTrackingEnabled": None}, False),
        ({"adTrackingEnabled": [0]}, False),
        ({}, False),
        ("ios", False),
        (None, False),
    ],
)
def test_only_a_no_forbids_the_advertising_id(device: Any, *, forbidden: bool) -> None:
    assert forbids_ad_id({"device": device}) is forbidden


def test_what_may_not_be_used_is_not_there_and_all_else_is() -> None:
    device = {"adTrackingEnabled": False, "advertisingId": "7A43", "idfa": "7A43", "model": "x"}
    ids = [
        {"id": "7A43", "type": "ios.idfa"},
        {"id": "7A43", "type": "android.idfa"},
        {"id": "v", "type": "ios.id"},
        "odd",
    ]
    sent = {"device": device, "externalIds": ids, "locale": "de"}
    assert without_ad_id(sent) == {
        "device": {"adTrackingEnabled": False, "model": "x"},
        "externalIds": [{"id": "v", "type": "ios.id"}, "odd"],
        "locale": "de",
    }
    assert sent["device"] is device
    assert without_ad_id({"device": {"advertisingId": "7A43"}}) == {
        "device": {"advertisingId": "7A43"}
    }


@pytest.mark.parametrize(
    ("said", "status"),
    [
        ([(ADA, "EMAIL", "SUBSCRIBED")], "SUBSCRIBED"),
        ([(ADA, "email", "unsubscribed")], "UNSUBSCRIBED"),
        ([(ADA, "EMAIL", "did-not-subscribe")], "DID_NOT_SUBSCRIBE"),
        ([(ADA, "EMAIL", "SUBSCRIBED"), (ADA, "EMAIL", "UNSUBSCRIBED")], "UNSUBSCRIBED"),
        ([("other@shop.example", "EMAIL", "UNSUBSCRIBED")], None),
        ([(ADA, "SMS", "UNSUBSCRIBED")], None),
        ([(ADA, "EMAIL", "")], None),
        ([(ADA, "EMAIL", None)], None),
        ([], None),
    ],
)
def test_what_is_said_of_an_address(said: list[tuple[Any, str, Any]], status: str | None) -> None:
    assert subscribed(subscriptions(*said), "EMAIL", ADA) == status


@pytest.mark.parametrize("odd", [None, "x", {"a": 1}, [1, None, "x"], [{"type": 5}]])
def test_whatever_is_said_it_is_read(odd: Any) -> None:
    assert subscribed({"messaging_subscriptions": odd}, "EMAIL", ADA) is None


def test_of_the_only_one_of_its_kind_no_key_is_asked() -> None:
    assert subscribed(subscriptions((None, "IOS_PUSH", "SUBSCRIBED")), "IOS_PUSH", None)
    two = subscriptions(("a", "IOS_PUSH", "SUBSCRIBED"), ("b", "IOS_PUSH", "SUBSCRIBED"))
    assert subscribed(two, "IOS_PUSH", None) is None


# What rules make of it -----------------------------------------------------------------------------

NO_TRACKING = {"device": {"type": "ios", "adTrackingEnabled": False, "advertisingId": "7A43"}}


def test_an_advertising_id_that_may_not_be_used_is_in_no_tag_and_it_is_said_why() -> None:
    update = {
        "tags": {"ad": "{{ context.device.advertisingId }}", "kind": "{{ context.device.type }}"},
        "tags_from": {"context": {"include": ["device_*"]}},
    }
    found = updated(update, context=NO_TRACKING)
    assert "7A43" not in str(the_update(found).tags)
    assert the_update(found).tags["kind"] == "ios"
    assert notes(found) == ["tags.ad: ad_tracking_off (context.device.advertisingId)"]


def test_nor_does_a_condition_or_a_push_read_it() -> None:
    mapping = mapping_of(
        rule("a", when="context.device.advertisingId != null", update_user={"tags": {"a": "1"}}),
        rule("b", send_notification={"contents": "{{ context.device.advertisingId }}"}),
        push={"platforms": "all"},
    )
    found = planned(mapping, context=NO_TRACKING)
    assert found.operations == ()
    assert [str(skip) for skip in found.skips] == ["ad_tracking_off: context.device.advertisingId"]


def test_where_tracking_is_allowed_it_is_a_value_like_others() -> None:
    context = {"device": NO_TRACKING["device"] | {"adTrackingEnabled": True}}
    found = updated({"tags": {"ad": "{{ context.device.advertisingId }}"}}, context=context)
    assert the_update(found).tags == {"ad": "7A43"}
