"""OneSignal's two APIs: what each says, what the legacy one cannot, and whose a written call is."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from hypothesis import given, strategies as st

from bridge.onesignal import legacy, user_model
from bridge.onesignal.api import Api, alone, api_named, api_of, path_of, recipients_of
from bridge.onesignal.operations import (
    AddSubscription,
    CreateAlias,
    DeleteUser,
    Operation,
    Recipient,
    RemoveSubscription,
    SendNotification,
    SetContact,
    TrackCustomEvent,
    UpdateUser,
)

APP = "8a1b3c4d-0000-4000-8000-000000000001"
KEY = "0f9a1c5e-8a35-4f0e-9c1c-3a6f5a3e7d11"
ANA = Recipient("external_id", "ana")
CRM = Recipient("crm", "17")
PHONE = Recipient("subscription_id", "4b1c2d3e-0000-4000-8000-000000000009")
every_api = pytest.mark.parametrize("api", [user_model, legacy])


def update(to: Recipient = ANA, tags: Any = None, **properties: Any) -> UpdateUser:
    return UpdateUser(
        rules=("r",), to=to, tags={"tier": "gold"} if tags is None else tags, properties=properties
    )


def push(to: Recipient = ANA) -> SendNotification:
    flags = {"isIos": False, "isAndroid": True}
    return SendNotification(
        rule="r", to=to, body={"contents": {"en": "Hi"}}, flags=flags, max_age_ms=None
    )


def tracked() -> TrackCustomEvent:
    return TrackCustomEvent(rule="r", to=ANA, event="bought", properties={}, at_ms=0, max_age_ms=0)


EVERYTHING: list[Operation] = [
    update(language="de"),
    push(),
    push(CRM),
    tracked(),
    CreateAlias(rule="r", to=ANA, label="crm", id="17"),
    AddSubscription(rule="r", to=ANA, type="Email", token="a@b.example"),
    RemoveSubscription(rule="r", to=ANA, type="Email", token="a@b.example"),
    SetContact(rule="r", to=ANA, type="SMS", address="+43123456", opted_in=None),
    DeleteUser(rule="r", to=ANA),
]


def test_each_is_found_by_its_name() -> None:
    assert [api_named(name).NAME for name in ("user-model", "legacy")] == ["user-model", "legacy"]


@pytest.mark.parametrize("operation", EVERYTHING, ids=str)
def test_the_user_model_can_do_everything(operation: Operation) -> None:
    assert user_model.able(operation) == (operation, ())


@pytest.mark.parametrize(
    ("operation", "left", "cannot"),
    [
        (update(), update(), ()),
        (update(language="de", country="AT"), update(), ("language", "country")),
        (update(tags={}, language="de"), None, ("language",)),
        (update(CRM), None, ("aliases",)),
        (push(), push(), ()),
        (push(PHONE), push(PHONE), ()),
        (push(CRM), None, ("aliases",)),
        (tracked(), None, ("custom events",)),
        (EVERYTHING[4], None, ("aliases",)),
        (EVERYTHING[5], None, ("subscriptions to add",)),
        (EVERYTHING[6], None, ("subscriptions to remove",)),
        (EVERYTHING[7], None, ("phone",)),
        (EVERYTHING[8], None, ("deletion of users",)),
    ],
)
def test_the_legacy_api_knows_tags_and_pushes_alone(
    operation: Operation, left: Operation | None, cannot: tuple[str, ...]
) -> None:
    assert legacy.able(operation) == (left, cannot)


def test_what_is_written_again_and_when_survives_what_is_left_out() -> None:
    whole = UpdateUser(
        rules=("a", "b"), to=ANA, tags={"tier": ""}, properties={"language": "de"},
        always=frozenset({"tags.tier", "language"}), fold_ms=5,
    )  # fmt: skip

    assert legacy.able(whole).operation == UpdateUser(
        rules=("a", "b"), to=ANA, tags={"tier": ""}, always=frozenset({"tags.tier"}), fold_ms=5
    )


@pytest.mark.parametrize(
    ("id_", "path"),
    [
        ("ana", f"/api/v1/apps/{APP}/users/ana"),
        ("a/b?c", f"/api/v1/apps/{APP}/users/a%2Fb%3Fc"),
        ("é", f"/api/v1/apps/{APP}/users/%C3%A9"),
    ],
)
def test_tags_are_edited_by_external_id(id_: str, path: str) -> None:
    asked = legacy.patch_user(
        update(Recipient("external_id", id_), {"tier": "gold", "shoe": ""}), app_id=APP
    )

    assert (asked.method, asked.path) == ("PUT", path)
    assert asked.body == {"tags": {"tier": "gold", "shoe": ""}}
    assert asked.endpoint_class == "write"


def test_what_it_cannot_do_asks_for_nothing() -> None:
    assert legacy.update_requests(DeleteUser(rule="r", to=ANA), app_id=APP) == ()
    assert len(legacy.update_requests(update(), app_id=APP)) == 1


def test_a_push_to_a_person_names_the_external_id_and_its_channel() -> None:
    body = orjson.loads(legacy.send_body(push(), app_id=APP, key=KEY))

    assert legacy.send_path(push(), app_id=APP) == "/api/v1/notifications"
    assert body == {
        "app_id": APP,
        "contents": {"en": "Hi"},
        "isIos": False,
        "isAndroid": True,
        "include_external_user_ids": ["ana"],
        "channel_for_external_user_ids": "push",
        "idempotency_key": KEY,
    }


def test_a_push_to_a_player_has_no_flags_that_would_be_ignored() -> None:
    body = orjson.loads(legacy.send_body(push(PHONE), app_id=APP, key=KEY))

    assert body == {
        "app_id": APP,
        "contents": {"en": "Hi"},
        "include_player_ids": [PHONE.id],
        "idempotency_key": KEY,
    }


def test_a_custom_event_is_the_user_models_whoever_is_asked() -> None:
    asked = legacy.send_body(tracked(), app_id=APP, key=KEY, event_key="payload")

    assert legacy.send_path(tracked(), app_id=APP) == f"/apps/{APP}/custom_events"
    assert asked == user_model.send_body(tracked(), app_id=APP, key=KEY, event_key="payload")


@every_api
def test_a_notification_is_viewed_where_it_was_created(api: Api) -> None:
    path = api.notification_path("a/b", app_id=APP)

    assert path == f"{api.NOTIFICATIONS_PATH}/a%2Fb?app_id={APP}"


# What is written ------------------------------------------------------------------------------------


@every_api
def test_a_written_call_is_known_by_its_path(api: Api) -> None:
    assert api_of(api.NOTIFICATIONS_PATH) is api
    assert api_of(api.patch_user(update(), app_id=APP).path) is api


@every_api
@pytest.mark.parametrize("to", [ANA, PHONE], ids=str)
def test_a_written_push_is_known_by_what_it_says(api: Api, to: Recipient) -> None:
    if api is user_model or to is ANA:
        assert path_of(api.send_body(push(to), app_id=APP, key=KEY)) == api.NOTIFICATIONS_PATH


@given(
    st.sampled_from([user_model, legacy]),
    st.sampled_from(["external_id", "subscription_id"]),
    st.lists(st.text(min_size=1), min_size=1, unique=True),
    st.data(),
)
def test_one_of_many_is_what_it_would_have_been_alone(
    api: Any, label: str, ids: list[str], data: st.DataObject
) -> None:
    content = api.notification_content(push(Recipient(label, ids[0])), app_id=APP)
    together = api.notification_for(content, label=label, ids=ids, key="k")
    one = data.draw(st.sampled_from(ids))

    assert recipients_of(together) == ids
    assert alone(together, [one], key=KEY) == api.notification_for(
        content, label=label, ids=[one], key=KEY
    )
