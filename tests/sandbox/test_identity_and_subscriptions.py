from __future__ import annotations

from typing import Any

import httpx
import pytest

from bridge.sandbox import Sandbox

APP = "0f9a1c5e-8a35-4f0e-9c1c-3a6f5a3e7d11"
USERS = f"/apps/{APP}/users"
ADA = f"{USERS}/by/external_id/ada"
SUBSCRIPTIONS = f"/apps/{APP}/subscriptions"
ANDROID = {"type": "AndroidPush", "token": "t1"}
NOWHERE = "00000000-0000-4000-8000-00000000dead"


@pytest.fixture(autouse=True)
async def ada(client: httpx.AsyncClient) -> None:
    for external_id in ("ada", "grace"):
        await client.post(USERS, json={"identity": {"external_id": external_id}})


async def test_identity_can_be_read(client: httpx.AsyncClient, sandbox: Sandbox) -> None:
    answer = await client.get(f"{ADA}/identity")

    user = sandbox.user("ada")
    assert user is not None
    assert answer.status_code == 200
    assert answer.json() == {"identity": user.identity}


async def test_an_alias_can_be_added_and_replaced(
    client: httpx.AsyncClient, sandbox: Sandbox
) -> None:
    await client.patch(f"{ADA}/identity", json={"identity": {"crm": "1"}})
    answer = await client.patch(f"{ADA}/identity", json={"identity": {"crm": "2"}})

    assert answer.status_code == 200
    assert answer.json()["identity"]["crm"] == "2"
    assert (await client.get(f"{USERS}/by/crm/1")).status_code == 404
    assert (await client.get(f"{USERS}/by/crm/2")).status_code == 200


async def test_an_anonymous_user_becomes_known_by_getting_an_external_id(
    client: httpx.AsyncClient, sandbox: Sandbox
) -> None:
    await client.post(USERS, json={"identity": {"segment_anonymous": "x"}})
    anonymous = f"{USERS}/by/segment_anonymous/x/identity"

    new = await client.patch(anonymous, json={"identity": {"external_id": "linus"}})
    taken = await client.patch(anonymous, json={"identity": {"external_id": "ada"}})

    assert new.status_code == 200
    assert sandbox.user("linus") is not None
    assert taken.status_code == 409
    (error,) = taken.json()["errors"]
    assert error["code"] == "user-2"
    assert error["meta"] == {"conflicting_aliases": {"external_id": "ada"}}


@pytest.mark.parametrize(
    "body",
    [{}, {"identity": {}}, {"identity": {"external_id": "NA"}}, {"identity": {"crm": 1}}],
)
async def test_a_malformed_identity_is_refused(
    body: dict[str, Any], client: httpx.AsyncClient
) -> None:
    assert (await client.patch(f"{ADA}/identity", json=body)).status_code == 400


async def test_a_user_has_at_most_20_custom_aliases(client: httpx.AsyncClient) -> None:
    twenty = {f"label{i}": "x" for i in range(20)}

    assert (await client.patch(f"{ADA}/identity", json={"identity": twenty})).status_code == 200
    more = await client.patch(f"{ADA}/identity", json={"identity": {"another": "x"}})

    assert more.status_code == 409


async def test_an_alias_can_be_deleted_once(client: httpx.AsyncClient) -> None:
    await client.patch(f"{ADA}/identity", json={"identity": {"crm": "1"}})

    first = await client.delete(f"{ADA}/identity/crm")
    second = await client.delete(f"{ADA}/identity/crm")
    impossible = await client.delete(f"{ADA}/identity/onesignal_id")

    assert first.status_code == 200
    assert first.json()["identity"].keys() == {"onesignal_id", "external_id"}
    assert second.status_code == 404
    assert impossible.status_code == 400


async def test_a_new_token_becomes_a_subscription(
    client: httpx.AsyncClient, sandbox: Sandbox
) -> None:
    answer = await client.post(f"{ADA}/subscriptions", json={"subscription": ANDROID})

    assert answer.status_code == 201
    (subscription,) = sandbox.subscriptions
    assert answer.json()["subscription"]["id"] == subscription.id
    assert subscription.owner is sandbox.user("ada")


async def test_a_known_token_moves_to_the_user_who_registers_it(
    client: httpx.AsyncClient, sandbox: Sandbox
) -> None:
    await client.post(f"{ADA}/subscriptions", json={"subscription": ANDROID})

    answer = await client.post(
        f"{USERS}/by/external_id/grace/subscriptions", json={"subscription": ANDROID}
    )

    ada, grace = sandbox.user("ada"), sandbox.user("grace")
    assert ada is not None
    assert grace is not None
    assert answer.status_code == 202
    assert (len(ada.subscriptions), len(grace.subscriptions)) == (0, 1)


async def test_a_subscription_for_an_unknown_user_answers_404(client: httpx.AsyncClient) -> None:
    answer = await client.post(
        f"{USERS}/by/external_id/linus/subscriptions", json={"subscription": ANDROID}
    )

    assert answer.status_code == 404
    assert answer.json()["errors"][0]["code"] == "subscription-0"


async def test_the_21st_subscription_answers_409(
    client: httpx.AsyncClient, sandbox: Sandbox
) -> None:
    for _ in range(19):
        sandbox.add_device("ada", "android", app_id=APP)
    another = {"subscription": {**ANDROID, "token": "t2"}}

    last = await client.post(f"{ADA}/subscriptions", json={"subscription": ANDROID})
    answer = await client.post(f"{ADA}/subscriptions", json=another)

    assert last.status_code == 201
    assert answer.status_code == 409
    assert answer.json()["errors"][0]["code"] == "subscription-1"
    assert len(sandbox.subscriptions) == 20


async def test_a_subscription_can_be_switched_off_and_on(
    client: httpx.AsyncClient, sandbox: Sandbox
) -> None:
    subscription = sandbox.add_device("ada", "android", app_id=APP)
    address = f"{SUBSCRIPTIONS}/{subscription.id}"

    off = await client.patch(address, json={"subscription": {"enabled": False}})
    assert off.status_code == 200
    assert (subscription.is_reachable, subscription.notification_types) == (False, -31)

    await client.patch(address, json={"subscription": {"enabled": True}})
    assert (subscription.is_reachable, subscription.notification_types) == (True, 1)


async def test_notification_types_below_one_make_a_subscription_unreachable(
    client: httpx.AsyncClient, sandbox: Sandbox
) -> None:
    subscription = sandbox.add_device("ada", "android", app_id=APP)

    await client.patch(
        f"{SUBSCRIPTIONS}/{subscription.id}", json={"subscription": {"notification_types": -2}}
    )

    assert subscription.enabled
    assert not subscription.is_reachable


async def test_a_subscription_can_be_found_by_its_token(
    client: httpx.AsyncClient, sandbox: Sandbox
) -> None:
    subscription = sandbox.add_device("ada", "android", app_id=APP)
    by_token = f"/apps/{APP}/subscriptions_by_token/AndroidPush"
    change = {"subscription": {"token": "new/token", "device_model": "Pixel 9"}}

    known = await client.patch(f"{by_token}/{subscription.token}", json=change)
    renamed = await client.patch(f"{by_token}/new%2Ftoken", json=change)
    unknown = await client.patch(f"{by_token}/nothing", json=change)

    assert (known.status_code, renamed.status_code, unknown.status_code) == (202, 202, 404)
    assert subscription.token == "new/token"
    assert subscription.details["device_model"] == "Pixel 9"


async def test_a_subscription_can_be_deleted_once(
    client: httpx.AsyncClient, sandbox: Sandbox
) -> None:
    subscription = sandbox.add_device("ada", "android", app_id=APP)

    first = await client.delete(f"{SUBSCRIPTIONS}/{subscription.id}")
    second = await client.delete(f"{SUBSCRIPTIONS}/{subscription.id}")

    assert (first.status_code, first.json()) == (202, {})
    assert second.status_code == 404
    assert second.json()["errors"][0]["code"] == "subscription-0"
    assert sandbox.subscriptions == []


async def test_a_subscription_can_change_its_owner(
    client: httpx.AsyncClient, sandbox: Sandbox
) -> None:
    subscription = sandbox.add_device("ada", "android", app_id=APP)
    address = f"{SUBSCRIPTIONS}/{subscription.id}/owner"

    answer = await client.patch(address, json={"identity": {"external_id": "grace"}})

    grace = sandbox.user("grace")
    assert grace is not None
    assert answer.status_code == 200
    assert answer.json() == {"identity": grace.identity}
    assert subscription.owner is grace


@pytest.mark.parametrize(
    ("identity", "status"),
    [
        ({}, 400),
        ({"external_id": "grace", "crm": "1"}, 400),
        (None, 400),
        ({"external_id": "linus"}, 404),
    ],
)
async def test_the_new_owner_is_named_by_exactly_one_alias_of_a_known_user(
    identity: object, status: int, client: httpx.AsyncClient, sandbox: Sandbox
) -> None:
    subscription = sandbox.add_device("ada", "android", app_id=APP)
    address = f"{SUBSCRIPTIONS}/{subscription.id}/owner"

    answer = await client.patch(address, json={"identity": identity})

    assert answer.status_code == status
    assert subscription.owner is sandbox.user("ada")


async def test_the_identity_behind_a_subscription_can_be_read_and_extended(
    client: httpx.AsyncClient, sandbox: Sandbox
) -> None:
    subscription = sandbox.add_device("ada", "android", app_id=APP)
    address = f"{SUBSCRIPTIONS}/{subscription.id}/user/identity"

    changed = await client.patch(address, json={"identity": {"crm": "1"}})
    read = await client.get(address)

    assert (changed.status_code, read.status_code) == (200, 200)
    assert read.json() == changed.json()
    assert read.json()["identity"]["crm"] == "1"


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("PATCH", ""),
        ("DELETE", ""),
        ("PATCH", "/owner"),
        ("GET", "/user/identity"),
        ("PATCH", "/user/identity"),
    ],
)
async def test_an_unknown_subscription_answers_404(
    method: str, path: str, client: httpx.AsyncClient
) -> None:
    answer = await client.request(method, f"{SUBSCRIPTIONS}/{NOWHERE}{path}", json={})

    assert answer.status_code == 404


@pytest.mark.parametrize(
    "change", [None, "off", {"enabled": "no"}, {"notification_types": "1"}, {"token": 5}]
)
async def test_a_malformed_subscription_change_is_refused(
    change: object, client: httpx.AsyncClient, sandbox: Sandbox
) -> None:
    subscription = sandbox.add_device("ada", "android", app_id=APP)

    answer = await client.patch(f"{SUBSCRIPTIONS}/{subscription.id}", json={"subscription": change})

    assert answer.status_code == 400
    assert subscription.is_reachable
