"""What we send, read by OneSignal's own server SDK: an independent reader of the same API.

The SDK's generated models check types, but keep any property that they do not know; `strictly`
makes an unknown property an error too, so that a misspelled field cannot pass.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson
import pytest
from onesignal.exceptions import OpenApiException  # type: ignore[import-untyped]  # generated, without types
from onesignal.model_utils import (  # type: ignore[import-untyped]  # as above
    OpenApiModel,
    validate_and_convert_types,
)
from onesignal.models import (  # type: ignore[import-untyped]  # as above
    CustomEventsRequest,
    IdentityObject,
    IncludeAliases,
    LanguageStringMap,
    Notification,
    SubscriptionBody,
    UpdateUserRequest,
    User,
    UserIdentityBody,
)

import bridge.cli
from bridge.mapping.document import SendNotification as Declared
from bridge.mapping.load import load_mapping, preset, presets
from bridge.mapping.rules import Mapping
from bridge.onesignal.operations import (
    AddSubscription,
    CreateAlias,
    DeleteUser,
    MergeUsers,
    Operation,
    Recipient,
    RemoveSubscription,
    SendNotification,
    SetContact,
    SetPushToken,
    TrackCustomEvent,
    UpdateUser,
)
from bridge.onesignal.platforms import PLATFORMS
from bridge.onesignal.user_model import (
    create_user,
    notification_body,
    send_body,
    update_requests,
)
from bridge.plan import plan
from bridge.plan.requests import rules_of
from tests.unit.plan.planning import event_of, mapping_of, rule

APP = "8a1b3c4d-0000-4000-8000-000000000001"
KEY = "0f9a1c5e-8a35-4f0e-9c1c-3a6f5a3e7d11"
FREE = (IdentityObject, IncludeAliases)
"""Objects whose names are the customer's own: alias labels."""
TEXTS = ("contents", "headings", "subtitle")
Body = tuple[Any, dict[str, Any]]
MODELS: dict[type[Operation], Any] = {
    UpdateUser: UpdateUserRequest,
    CreateAlias: UserIdentityBody,
    AddSubscription: SubscriptionBody,
    RemoveSubscription: SubscriptionBody,
    SetContact: SubscriptionBody,
    SetPushToken: SubscriptionBody,
    MergeUsers: UserIdentityBody,
}


class UnknownFieldError(Exception):
    """A property that the SDK's model does not have."""


def strictly(model: type[OpenApiModel], body: dict[str, Any]) -> None:
    """Read a request body as the SDK does.

    Raises:
        OpenApiException: a type is not what the SDK says.
        UnknownFieldError: a field is not one of the SDK's.
    """
    _refuse_unknown(_converted(body, model))
    for field in TEXTS if model is Notification else ():
        if field in body:
            _refuse_unknown(_converted(body[field], LanguageStringMap))


def _converted(body: dict[str, Any], model: type[OpenApiModel]) -> object:
    """The SDK's model of a body: names as on the wire, types checked, nothing converted on the way."""
    as_on_the_wire = checked = True
    body = copy.deepcopy(body)  # the SDK works in place
    return validate_and_convert_types(body, (model,), ["body"], as_on_the_wire, checked)


def _refuse_unknown(value: object) -> None:
    if not isinstance(value, OpenApiModel):
        return
    stored = value._data_store
    if not isinstance(value, FREE) and (unknown := set(stored) - set(type(value).openapi_types)):
        raise UnknownFieldError(f"{type(value).__name__} has no {sorted(unknown)}")
    for inner in stored.values():
        _refuse_unknown(inner)


def bodies(operation: Operation) -> Iterator[Body]:
    """Every body that an operation may become, as parsed from its bytes."""
    if isinstance(operation, SendNotification):
        raw = notification_body(operation, app_id=APP, key=KEY, recipients=[operation.to] * 2)
        yield Notification, _as_the_sdk_has_it(orjson.loads(raw))
    elif isinstance(operation, TrackCustomEvent):
        raw = send_body(operation, app_id=APP, key=KEY, event_key="payload")
        yield CustomEventsRequest, _without_keys(orjson.loads(raw))
    else:
        for request in update_requests(operation, app_id=APP):
            yield MODELS[type(operation)], request.body
        if isinstance(operation, UpdateUser):
            yield User, create_user(operation, app_id=APP).body


def _as_the_sdk_has_it(body: dict[str, Any]) -> dict[str, Any]:
    """A moment where it has a moment, a text where the documentation has a number, and not what it lacks."""
    assert isinstance(body.pop("enable_frequency_cap", True), bool)
    if "send_after" in body:
        body["send_after"] = datetime.fromisoformat(body["send_after"])
    if "throttle_rate_per_minute" in body:
        body["throttle_rate_per_minute"] = str(body["throttle_rate_per_minute"])
    return body


def _without_keys(body: dict[str, Any]) -> dict[str, Any]:
    """The SDK has no idempotency keys of custom events; the documentation has."""
    for event in body["events"]:
        assert event.pop("idempotency_key") == KEY
        # On the wire a text, in the SDK's model a moment.
        event["timestamp"] = datetime.fromisoformat(event["timestamp"])
    return body


def bodies_of(mapping: Mapping, *events: dict[str, Any]) -> list[Body]:
    return [
        body
        for sent in events
        for operation in plan(event_of(sent), mapping).operations
        for body in bodies(operation)
    ]


SHIPPED = {
    "type": "track",
    "event": "Order Shipped",
    "properties": {"product": "Boots", "order_id": 7},
}
DEMONSTRATION = Path(bridge.cli.__file__).parent / "demonstration" / "shop.yaml"

EVERY_FIELD: dict[str, Any] = {
    "template_id": "5f6c3a52-3d0b-4f57-9d5e-1f0a6f5f7c11",
    "contents": {"en": "Hi {{ properties.n }}", "de": "Hallo", "zh-Hant": "你好"},
    "headings": "{{ properties.n }}",
    "subtitle": {"en": "{{ properties.text }}"},
    "name": "{{ properties.text }}",
    "custom_data": {"product": "{{ properties.product }}", "n": 1},
    "data": {"n": "{{ properties.n }}", "list": [1, None, "{{ properties.text }}"]},
    "app_url": "shop://{{ properties.n }}",
    "web_url": "https://www.shop.example/",
    "target_content_identifier": "scene",
    "buttons": [
        {"id": "a", "text": "{{ properties.text }}", "icon": "ic"},
        {"id": "b", "text": "B"},
    ],
    "web_buttons": [
        {"id": "a", "text": "A", "url": "https://www.shop.example/{{ properties.text }}"},
        {"id": "b", "text": "B"},
    ],
    "image": "https://www.shop.example/{{ properties.text }}.png",
    "small_icon": "ic_small",
    "huawei_small_icon": "ic_small",
    "adm_small_icon": "ic_small",
    "large_icon": "https://www.shop.example/{{ properties.n }}",
    "huawei_large_icon": "https://www.shop.example/l.png",
    "adm_large_icon": "https://www.shop.example/l.png",
    "chrome_web_icon": "https://www.shop.example/i.png",
    "chrome_web_badge": "https://www.shop.example/b.png",
    "firefox_icon": "https://www.shop.example/i.png",
    "android_channel_id": "5f6c3a52-3d0b-4f57-9d5e-1f0a6f5f7c11",
    "existing_android_channel_id": "orders",
    "huawei_channel_id": "5f6c3a52-3d0b-4f57-9d5e-1f0a6f5f7c11",
    "huawei_existing_channel_id": "orders",
    "huawei_category": "EXPRESS",
    "huawei_msg_type": "message",
    "huawei_bi_tag": "{{ properties.text }}",
    "huawei_badge_class": "com.example.MainActivity",
    "huawei_badge_set_num": "{{ properties.n }}",
    "huawei_badge_add_num": 1,
    "android_accent_color": "FF00FF00",
    "huawei_accent_color": "FF00FF00",
    "ios_sound": "bell.wav",
    "ios_badgeType": "Increase",
    "ios_badgeCount": "{{ properties.n }}",
    "ios_category": "order",
    "ios_interruption_level": "active",
    "ios_relevance_score": 0.5,
    "apns_push_type_override": "voip",
    "content_available": True,
    "thread_id": "{{ properties.n }}",
    "android_group": "orders",
    "adm_group": "orders",
    "collapse_id": "{{ properties.n }}",
    "web_push_topic": "{{ properties.text }}",
    "ttl": "28d",
    "priority": 5,
    "send_after": "{{ properties.at }}",
    "delayed_option": "timezone",
    "delivery_time_of_day": "9:00AM",
    "throttle_rate_per_minute": 100,
    "enable_frequency_cap": False,
    "raw": {"mutable_content": True, "summary_arg": "{{ properties.text }}"},
}
PICTURES = {
    "url": "https://www.shop.example/",
    "big_picture": "https://www.shop.example/1.png",
    "huawei_big_picture": "https://www.shop.example/2.png",
    "adm_big_picture": "https://www.shop.example/3.png",
    "chrome_web_image": "https://www.shop.example/4.png",
    "global_image": "https://www.shop.example/6.png",
    "ios_attachments": {"one": "https://www.shop.example/5.png"},
}
FULL = {
    "type": "track",
    "event": "E",
    "properties": {
        "n": 7,
        "text": "a b",
        "at": "2026-11-27T09:00:00+01:00",
        "product": {"id": 1, "tags": ["x"], "old": None},
    },
}


def every_field(platforms: object) -> Mapping:
    push = {"platforms": platforms, "links": ["shop://", "https://www.shop.example/"]}
    return mapping_of(
        rule("all", send_notification=EVERY_FIELD),
        rule("pictures", send_notification={"contents": "Hi", **PICTURES}),
        push=push,
        serves=PLATFORMS,
    )


def examples_of(mapping: Mapping) -> list[dict[str, Any]]:
    """Every event of a mapping's examples."""
    return [one.event for example in mapping.examples for one in example.declared.sequence]


@pytest.mark.parametrize("serves", [("android", "web"), PLATFORMS], ids=len)
@pytest.mark.parametrize("name", presets())
def test_the_sdk_accepts_everything_that_a_preset_says_of_its_examples(
    name: str, serves: tuple[str, ...]
) -> None:
    mapping, _ = load_mapping(preset(name), serves=serves)
    events = examples_of(mapping)
    said = {
        rule
        for event in events
        for operation in plan(event_of(event), mapping).operations
        for rule in rules_of(operation)
    }

    found = bodies_of(mapping, *events)

    # Merges and push tokens are of no rule.
    assert said - {""} == {rule.name for rule in mapping.rules}
    for model, body in found:
        strictly(model, body)


def test_the_sdk_accepts_what_the_demonstration_sends() -> None:
    mapping, _ = load_mapping(DEMONSTRATION, serves=("android", "web"))
    (found,) = bodies_of(mapping, SHIPPED)

    strictly(*found)


@pytest.mark.parametrize(
    "platforms",
    ["all", {"exclude": ["ios"]}, *({"only": [name]} for name in PLATFORMS if name != "ios_web")],
    ids=str,
)
def test_the_sdk_accepts_a_push_with_every_field_on_every_platform(platforms: object) -> None:
    found = bodies_of(every_field(platforms), FULL)

    assert [model for model, _ in found] == [Notification, Notification]
    for model, body in found:
        strictly(model, body)


def test_no_field_of_the_language_is_left_out_of_that_push() -> None:
    assert {*EVERY_FIELD, *PICTURES, "platforms", "to"} == set(Declared.model_fields)
    (_, all_of_it), (_, pictures) = bodies_of(every_field("all"), FULL)
    shown = PICTURES.keys() - {"url", "global_image"}
    assert all_of_it.keys() >= EVERY_FIELD.keys() - {"image", "raw", "enable_frequency_cap"} | shown
    assert pictures.keys() >= PICTURES.keys()


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"isIOS": False}, UnknownFieldError),
        ({"include_external_user_ids": ["u"]}, UnknownFieldError),
        ({"bogus": 1}, UnknownFieldError),
        ({"contents": {"en": "Hi", "klingon": "Hi"}}, UnknownFieldError),
        ({"contents": {"en": 5}}, OpenApiException),
        ({"headings": {"en": ["Hi"]}}, OpenApiException),
        ({"isIos": "false"}, OpenApiException),
        ({"ttl": "60"}, OpenApiException),
        ({"ttl": 60.5}, OpenApiException),
        ({"data": "text"}, OpenApiException),
        ({"custom_data": ["x"]}, OpenApiException),
        ({"priority": "10"}, OpenApiException),
        ({"collapse_id": 7}, OpenApiException),
        ({"ios_attachments": "https://x.example"}, OpenApiException),
        ({"big_picture": {"a": "b"}}, OpenApiException),
        ({"include_aliases": ["u"]}, OpenApiException),
        ({"target_channel": "pigeon"}, OpenApiException),
    ],
    ids=str,
)
def test_the_check_bites_on_a_wrong_notification(
    change: dict[str, Any], error: type[Exception]
) -> None:
    (model, right), _ = bodies_of(every_field("all"), FULL)
    strictly(model, right)

    with pytest.raises(error):
        strictly(model, right | change)


@pytest.mark.parametrize(
    ("properties", "error"),
    [
        ({"timezone": "Europe/Vienna"}, UnknownFieldError),
        ({"tag": {"a": "1"}}, UnknownFieldError),
        ({"tags": "a"}, OpenApiException),
        ({"tags": ["a"]}, OpenApiException),
        ({"language": 5}, OpenApiException),
        ({"country": None}, OpenApiException),
    ],
    ids=str,
)
def test_the_check_bites_on_a_wrong_update(
    properties: dict[str, Any], error: type[Exception]
) -> None:
    for model, right in (
        (UpdateUserRequest, {"properties": {"tags": {"a": "1"}}}),
        (User, {"identity": {"external_id": "u"}, "properties": {"tags": {"a": "1"}}}),
    ):
        strictly(model, right)
        with pytest.raises(error):
            strictly(model, right | {"properties": properties})


ADA = Recipient(label="external_id", id="ada/1")


@pytest.mark.parametrize(
    ("operation", "lines"),
    [
        (
            CreateAlias(rule="r", to=ADA, label="crm", id="7"),
            ["PATCH /apps/{app}/users/by/external_id/ada%2F1/identity"],
        ),
        (
            AddSubscription(rule="r", to=ADA, type="AndroidPush", token="t:1"),
            ["POST /apps/{app}/users/by/external_id/ada%2F1/subscriptions"],
        ),
        (
            RemoveSubscription(rule="r", to=ADA, type="SMS", token="+4312345678"),
            ["PATCH /apps/{app}/subscriptions_by_token/SMS/%2B4312345678"],
        ),
        (
            SetContact(rule="r", to=ADA, type="Email", address="a@shop.example", opted_in=False),
            ["POST /apps/{app}/users/by/external_id/ada%2F1/subscriptions"],
        ),
        (SetContact(rule="r", to=ADA, type="Email", address=None, opted_in=None), []),
        (DeleteUser(rule="r", to=ADA), ["DELETE /apps/{app}/users/by/external_id/ada%2F1"]),
    ],
    ids=lambda one: one.name if isinstance(one, CreateAlias) else None,
)
def test_an_update_is_one_request_at_most_and_the_sdk_accepts_its_body(
    operation: Any, lines: list[str]
) -> None:
    requests = update_requests(operation, app_id=APP)

    assert [f"{one.method} {one.path}" for one in requests] == [
        line.format(app=APP) for line in lines
    ]
    for request in requests if not isinstance(operation, DeleteUser) else ():
        strictly(MODELS[type(operation)], request.body)


@pytest.mark.parametrize(("opted_in", "enabled"), [(True, None), (None, None), (False, False)])
def test_only_a_refusal_is_said_of_a_new_address(opted_in: Any, enabled: Any) -> None:
    contact = SetContact(rule="r", to=ADA, type="Email", address="a@x.example", opted_in=opted_in)

    (request,) = update_requests(contact, app_id=APP)

    subscription: Any = request.body["subscription"]
    assert subscription.get("enabled") is enabled


def test_the_sdk_accepts_a_custom_event_under_the_name_that_it_has_for_properties() -> None:
    event = TrackCustomEvent(
        rule="r", to=ADA, event="cart", properties={"n": [1, None]}, at_ms=1_760_000_000_123,
        max_age_ms=None,
    )  # fmt: skip

    ((model, body),) = bodies(event)

    strictly(model, body)
    assert body["events"] == [
        {
            "name": "cart",
            "external_id": "ada/1",
            "timestamp": datetime(2025, 10, 9, 8, 53, 20, 123_000, UTC),
            "payload": {"n": [1, None]},
        }
    ]
