from __future__ import annotations

from typing import Any

import httpx
import pytest

from bridge.clock import ManualClock
from bridge.sandbox import Behaviour, Sandbox

APP = "0f9a1c5e-8a35-4f0e-9c1c-3a6f5a3e7d11"
USERS = f"/apps/{APP}/users"
ADA = f"{USERS}/by/external_id/ada"


async def create(client: httpx.AsyncClient, **identity: str) -> httpx.Response:
    return await client.post(USERS, json={"identity": identity})


async def test_a_new_external_id_answers_201_with_a_onesignal_id(
    client: httpx.AsyncClient, sandbox: Sandbox
) -> None:
    body = {"identity": {"external_id": "ada"}, "properties": {"tags": {"plan": "free"}}}

    answer = await client.post(USERS, json=body)

    user = sandbox.user("ada")
    assert user is not None
    assert answer.status_code == 201
    assert answer.json() == {
        "identity": {"onesignal_id": user.onesignal_id, "external_id": "ada"},
        "subscriptions": [],
        "properties": {"tags": {"plan": "free"}},
    }
    assert user.tags == {"plan": "free"}


async def test_a_known_external_id_answers_202_and_its_tags_are_merged(
    client: httpx.AsyncClient, sandbox: Sandbox
) -> None:
    async def create_with(**tags: str) -> httpx.Response:
        body = {"identity": {"external_id": "ada"}, "properties": {"tags": tags}}
        return await client.post(USERS, json=body)

    await create_with(plan="free", city="Paris")
    answer = await create_with(plan="pro", city="", cart="2")

    assert answer.status_code == 202
    (user,) = sandbox.users
    assert user.tags == {"plan": "pro", "cart": "2"}


async def test_a_create_adds_aliases_and_subscriptions_to_the_user_it_finds(
    client: httpx.AsyncClient, sandbox: Sandbox
) -> None:
    await create(client, external_id="ada")
    body = {
        "identity": {"external_id": "ada", "crm": "17"},
        "subscriptions": [{"type": "AndroidPush", "token": "t1", "device_os": "14"}],
    }

    answer = await client.post(USERS, json=body)

    assert answer.status_code == 202
    assert answer.json()["identity"]["crm"] == "17"
    (subscription,) = answer.json()["subscriptions"]
    assert subscription["token"] == "t1"
    assert subscription["device_os"] == "14"
    assert subscription["enabled"] is True
    assert subscription["app_id"] == APP
    (user,) = sandbox.users
    assert list(user.subscriptions) == [subscription["id"]]


async def test_aliases_of_two_users_answer_409_with_the_conflict(
    client: httpx.AsyncClient,
) -> None:
    await create(client, external_id="ada")
    await create(client, crm="17")

    answer = await create(client, external_id="ada", crm="17")

    assert answer.status_code == 409
    (error,) = answer.json()["errors"]
    assert error["code"] == "Conflict"
    assert error["meta"] == {"conflicting_aliases": {"external_id": "ada", "crm": "17"}}


async def test_an_alias_of_a_user_with_another_external_id_answers_409(
    client: httpx.AsyncClient, sandbox: Sandbox
) -> None:
    await create(client, external_id="ada", crm="17")

    answer = await create(client, external_id="grace", crm="17")

    assert answer.status_code == 409
    assert answer.json()["errors"][0]["meta"] == {"conflicting_aliases": {"crm": "17"}}
    assert sandbox.user("grace") is None


@pytest.mark.parametrize("blocked", ["", "0", "1", "-1", "NA", "NULL", "null", "undefined"])
async def test_a_blocked_external_id_is_refused(
    blocked: str, client: httpx.AsyncClient, sandbox: Sandbox
) -> None:
    answer = await create(client, external_id=blocked)

    assert answer.status_code == 400
    assert answer.json()["errors"][0]["code"]
    assert sandbox.users == []


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"identity": {}},
        {"identity": "ada"},
        {"identity": {"external_id": 7}},
        {"identity": {"external_id": "ada"}, "subscriptions": {}},
        {"identity": {"external_id": "ada"}, "subscriptions": ["token"]},
        {"identity": {"external_id": "ada"}, "subscriptions": [{"type": "Fax", "token": "t"}]},
        {"identity": {"external_id": "ada"}, "subscriptions": [{"type": "iOSPush", "token": ""}]},
        {"identity": {"external_id": "ada"}, "properties": "x"},
        {"identity": {"external_id": "ada"}, "properties": {"tags": "x"}},
    ],
)
async def test_a_create_that_is_malformed_is_refused_and_leaves_no_user(
    body: dict[str, Any], client: httpx.AsyncClient, sandbox: Sandbox
) -> None:
    answer = await client.post(USERS, json=body)

    assert answer.status_code == 400
    assert answer.json()["errors"][0].keys() >= {"code", "title"}
    assert sandbox.users == []


async def test_a_user_can_be_read_by_any_alias(client: httpx.AsyncClient, sandbox: Sandbox) -> None:
    await create(client, external_id="ada", crm="17")
    sandbox.add_device("ada", "android", app_id=APP)
    user = sandbox.user("ada")
    assert user is not None

    for label, alias_id in user.identity.items():
        answer = await client.get(f"{USERS}/by/{label}/{alias_id}")

        assert answer.status_code == 200
        assert answer.json()["identity"] == user.identity
        assert answer.json()["properties"]["tags"] == {}
        assert answer.json()["properties"]["first_active"] == user.created_ms // 1000
        (subscription,) = answer.json()["subscriptions"]
        assert subscription["type"] == "AndroidPush"


@pytest.mark.parametrize("method", ["GET", "PATCH", "DELETE"])
async def test_an_unknown_external_id_answers_404(method: str, client: httpx.AsyncClient) -> None:
    answer = await client.request(method, ADA, json={"properties": {}})

    assert answer.status_code == 404
    assert "ada" in answer.json()["errors"][0]["title"]


async def test_an_update_answers_202_with_the_properties_it_took(
    client: httpx.AsyncClient, sandbox: Sandbox
) -> None:
    await create(client, external_id="ada")
    properties = {"tags": {"plan": "pro"}, "language": "fr", "country": "FR"}

    answer = await client.patch(ADA, json={"properties": properties})

    assert answer.status_code == 202
    assert answer.json() == {"properties": properties}
    user = sandbox.user("ada")
    assert user is not None
    assert user.tags == {"plan": "pro"}
    assert user.fields["language"] == "fr"
    assert not sandbox.ledger.complained["wrong-property-type"]


async def test_an_update_shows_when_its_delay_is_over_and_not_before(
    client: httpx.AsyncClient, sandbox: Sandbox, clock: ManualClock
) -> None:
    await create(client, external_id="ada")
    sandbox.behaviour = Behaviour(update_delay_seconds=60)
    await client.patch(ADA, json={"properties": {"tags": {"a": "1", "b": "1"}}})
    clock.advance(30)
    await client.patch(ADA, json={"properties": {"tags": {"a": "2"}}})

    clock.advance(29)
    assert (await client.get(ADA)).json()["properties"]["tags"] == {}
    clock.advance(1)
    assert (await client.get(ADA)).json()["properties"]["tags"] == {"a": "1", "b": "1"}
    clock.advance(30)
    assert (await client.get(ADA)).json()["properties"]["tags"] == {"a": "2", "b": "1"}


async def test_sessions_and_purchases_add_up(client: httpx.AsyncClient, sandbox: Sandbox) -> None:
    await create(client, external_id="ada")
    purchase = {"sku": "lamp", "iso": "EUR", "amount": "20.00", "count": 1}

    for _ in range(2):
        deltas = {"session_count": 1, "session_time": 30, "purchases": [purchase]}
        await client.patch(ADA, json={"deltas": deltas})

    user = sandbox.user("ada")
    assert user is not None
    assert (user.fields["session_count"], user.fields["session_time"]) == (2, 60)
    assert user.fields["purchases"] == [purchase, purchase]


async def test_an_update_that_says_nothing_is_complained_about(
    client: httpx.AsyncClient, sandbox: Sandbox
) -> None:
    await create(client, external_id="ada")

    answer = await client.patch(ADA, json={"tags": {"a": "1"}})

    assert answer.status_code == 202
    assert sandbox.ledger.complained["empty-update"] == 1


async def test_a_deleted_user_is_gone_with_aliases_and_subscriptions(
    client: httpx.AsyncClient, sandbox: Sandbox
) -> None:
    await create(client, external_id="ada", crm="17")
    sandbox.add_device("ada", "ios", app_id=APP)
    user = sandbox.user("ada")
    assert user is not None

    answer = await client.delete(ADA)

    assert answer.status_code == 202
    assert answer.json() == {"identity": {"onesignal_id": user.onesignal_id}}
    assert (sandbox.users, sandbox.subscriptions) == ([], [])
    assert (await client.get(f"{USERS}/by/crm/17")).status_code == 404
