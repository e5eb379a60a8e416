"""What we send, read by OneSignal's own server SDK: an independent reader of the same API.

The SDK's generated models check types, but keep any property that they do not know; `strictly`
makes an unknown property an error too, so that a misspelled field cannot pass.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
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
    IdentityObject,
    IncludeAliases,
    LanguageStringMap,
    Notification,
    UpdateUserRequest,
    User,
)

import bridge.cli
from bridge.mapping.document import SendNotification as Declared
from bridge.mapping.load import load_mapping, preset, starter
from bridge.mapping.rules import Mapping
from bridge.onesignal.operations import Operation, SendNotification
from bridge.onesignal.platforms import PLATFORMS
from bridge.onesignal.user_model import create_user, notification_body, patch_user
from bridge.plan import plan
from tests.unit.plan.planning import event_of, mapping_of, rule

APP = "8a1b3c4d-0000-4000-8000-000000000001"
KEY = "0f9a1c5e-8a35-4f0e-9c1c-3a6f5a3e7d11"
FREE = (IdentityObject, IncludeAliases)
"""Objects whose names are the customer's own: alias labels."""
TEXTS = ("contents", "headings", "subtitle")
Body = tuple[Any, dict[str, Any]]


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
        yield Notification, orjson.loads(raw)
    else:
        yield UpdateUserRequest, patch_user(operation, app_id=APP).body
        yield User, create_user(operation, app_id=APP).body


def bodies_of(mapping: Mapping, *events: dict[str, Any]) -> list[Body]:
    return [
        body
        for sent in events
        for operation in plan(event_of(sent), mapping).operations
        for body in bodies(operation)
    ]


PROFILE = {
    "type": "identify",
    "traits": {
        "plan": "pro", "tier": None, "orders": 3, "industry": True, "city": "Wien",
        "createdAt": "2026-01-01T00:00:00Z", "lastOrderAt": "2026-02-01T10:00:00+01:00",
    },
    "context": {"locale": "zh-TW", "timezone": "Europe/Vienna"},
}  # fmt: skip
ENTERED = {
    "type": "track",
    "event": "Audience Entered",
    "properties": {"audience_key": "vip", "vip": True},
    "context": {"personas": {"computation_class": "audience", "computation_key": "vip"}},
}
COMPUTED = {
    "type": "identify",
    "traits": {"ltv": 3.5},
    "context": {"personas": {"computation_class": "computed_trait", "computation_key": "ltv"}},
}
SHIPPED = {
    "type": "track",
    "event": "Order Shipped",
    "properties": {"product": "Boots", "order_id": 7},
}
DEMONSTRATION = Path(bridge.cli.__file__).parent / "demonstration" / "shop.yaml"

EVERY_FIELD: dict[str, Any] = {
    "contents": {"en": "Hi {{ properties.n }}", "de": "Hallo", "zh-Hant": "你好"},
    "headings": "{{ properties.n }}",
    "subtitle": {"en": "{{ properties.text }}"},
    "app_url": "shop://{{ properties.n }}",
    "web_url": "https://www.shop.example/",
    "url": "https://www.shop.example/",
    "image": "https://www.shop.example/{{ properties.text }}.png",
    "template_id": "5f6c3a52-3d0b-4f57-9d5e-1f0a6f5f7c11",
    "custom_data": {"product": "{{ properties.product }}", "n": 1},
    "data": {"n": "{{ properties.n }}", "list": [1, None, "{{ properties.text }}"]},
    "ttl": "28d",
    "collapse_id": "{{ properties.n }}",
    "priority": 5,
}
PICTURES = {
    "big_picture": "https://www.shop.example/1.png",
    "huawei_big_picture": "https://www.shop.example/2.png",
    "adm_big_picture": "https://www.shop.example/3.png",
    "chrome_web_image": "https://www.shop.example/4.png",
    "ios_attachments": {"one": "https://www.shop.example/5.png"},
}
FULL = {
    "type": "track",
    "event": "E",
    "properties": {"n": 7, "text": "a b", "product": {"id": 1, "tags": ["x"], "old": None}},
}


def every_field(platforms: object) -> Mapping:
    push = {"platforms": platforms, "links": ["shop://", "https://www.shop.example/"]}
    return mapping_of(
        rule("all", send_notification=EVERY_FIELD),
        rule("pictures", send_notification={"contents": "Hi", **PICTURES}),
        push=push,
        serves=PLATFORMS,
    )


@pytest.mark.parametrize(
    ("path", "count"),
    [(starter(), 2), (preset("engage-audiences"), 5), (DEMONSTRATION, 5), (starter().parent, 7)],
    ids=["starter", "engage-audiences", "demonstration", "mappings"],
)
def test_the_sdk_accepts_what_the_shipped_mappings_send(path: Path, count: int) -> None:
    mapping, _ = load_mapping(path, serves=("android", "web"))

    found = bodies_of(mapping, PROFILE, ENTERED, COMPUTED, SHIPPED)

    assert len(found) == count
    for model, body in found:
        strictly(model, body)


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
    assert {*EVERY_FIELD, *PICTURES, "platforms"} == set(Declared.model_fields)
    (_, all_of_it), (_, pictures) = bodies_of(every_field("all"), FULL)
    assert all_of_it.keys() >= EVERY_FIELD.keys() - {"image"} | PICTURES.keys()
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
