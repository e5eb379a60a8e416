from __future__ import annotations

from typing import Any

import httpx
import pytest

from bridge.clock import ManualClock
from bridge.sandbox import Sandbox

APP = "0f9a1c5e-8a35-4f0e-9c1c-3a6f5a3e7d11"
EVENTS = f"/apps/{APP}/custom_events"
KEY = "5f6c3a52-3d0b-4f57-9d5e-1f0a6f5f7c11"


@pytest.fixture(autouse=True)
async def ada(client: httpx.AsyncClient) -> None:
    await client.post(f"/apps/{APP}/users", json={"identity": {"external_id": "ada"}})


def event(**fields: Any) -> dict[str, Any]:
    return {"name": "Order Completed", "external_id": "ada", **fields}


async def post(client: httpx.AsyncClient, *events: Any) -> httpx.Response:
    return await client.post(EVENTS, json={"events": events})


@pytest.mark.parametrize("path", [EVENTS, f"/apps/{APP}/integrations/custom_events"])
@pytest.mark.parametrize("key", ["properties", "payload"])
async def test_an_event_of_a_known_user_is_accepted_under_both_paths_and_names(
    path: str, key: str, client: httpx.AsyncClient, sandbox: Sandbox
) -> None:
    timestamp = "2026-10-01T12:00:00Z"
    body = {"events": [event(**{key: {"total": 7}}, timestamp=timestamp, idempotency_key=KEY)]}

    answer = await client.post(path, json=body)

    assert (answer.status_code, answer.json()) == (202, {})
    (accepted,) = sandbox.events
    assert (accepted.name, accepted.external_id) == ("Order Completed", "ada")
    assert (accepted.payload, accepted.timestamp) == ({"total": 7}, timestamp)


async def test_an_event_can_name_its_user_by_onesignal_id(
    client: httpx.AsyncClient, sandbox: Sandbox
) -> None:
    user = sandbox.user("ada")
    assert user is not None

    answer = await post(client, {"name": "x", "onesignal_id": user.onesignal_id})

    assert answer.json() == {}
    assert sandbox.events[0].onesignal_id == user.onesignal_id


async def test_events_of_unknown_users_fail_alone(
    client: httpx.AsyncClient, sandbox: Sandbox
) -> None:
    answer = await post(client, event(), event(external_id="nobody", idempotency_key=KEY))

    assert answer.status_code == 202
    (error,) = answer.json()["errors"]
    assert (error["event_user_id"], error["event_id"]) == ("nobody", KEY)
    assert "failed to find a onesignal_id" in error["error"]["title"]
    assert len(sandbox.events) == 1


async def test_a_key_is_remembered_for_four_hours(
    client: httpx.AsyncClient, sandbox: Sandbox, clock: ManualClock
) -> None:
    for seconds in (0, 3 * 3600, 3599):
        clock.advance(seconds)
        assert (await post(client, event(idempotency_key=KEY))).json() == {}
    assert len(sandbox.events) == 1

    clock.advance(1)
    await post(client, event(idempotency_key=KEY))

    assert len(sandbox.events) == 2


async def test_keys_of_long_ago_are_forgotten(
    client: httpx.AsyncClient, sandbox: Sandbox, clock: ManualClock
) -> None:
    await post(client, event(idempotency_key=KEY))
    clock.advance(4 * 3600)

    await post(client, event(idempotency_key="00000000-0000-4000-8000-000000000001"))

    assert list(sandbox.app(APP).event_keys) == ["00000000-0000-4000-8000-000000000001"]


async def test_a_key_whose_user_was_unknown_is_still_free(
    client: httpx.AsyncClient, sandbox: Sandbox
) -> None:
    await post(client, event(external_id="nobody", idempotency_key=KEY))

    await post(client, event(idempotency_key=KEY))

    assert len(sandbox.events) == 1


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"events": []},
        {"events": event()},
        {"events": ["x"]},
        {"events": [event(name="")]},
        {"events": [event(name="x" * 129)]},
        {"events": [event(name=None)]},
        {"events": [{"name": "x"}]},
        {"events": [event(onesignal_id="both")]},
        {"events": [event(external_id=7)]},
        {"events": [event(properties=[])]},
        {"events": [event(idempotency_key="order-7")]},
        {"events": [event(timestamp="yesterday")]},
        {"events": [event(properties={"x": "y" * 2024})]},
    ],
)
async def test_a_malformed_request_answers_400_and_an_empty_object(
    body: dict[str, Any], client: httpx.AsyncClient, sandbox: Sandbox
) -> None:
    answer = await client.post(EVENTS, json=body)

    assert (answer.status_code, answer.json()) == (400, {})
    assert sandbox.complaints[-1].code == "custom-events-refused"
    assert not sandbox.events


async def test_a_request_above_one_megabyte_is_refused(
    client: httpx.AsyncClient, sandbox: Sandbox
) -> None:
    big = event(properties={"x": "y" * 1800})

    assert (await post(client, *[big] * 500)).status_code == 202
    assert (await post(client, *[big] * 550)).status_code == 400
    assert len(sandbox.events) == 500
