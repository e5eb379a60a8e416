from __future__ import annotations

from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
from hypothesis import given, strategies as st

from bridge.clock import ManualClock
from bridge.sandbox import Sandbox

APP = "0f9a1c5e-8a35-4f0e-9c1c-3a6f5a3e7d11"
KEY = "5f6c3a52-3d0b-4f57-9d5e-1f0a6f5f7c11"
DAY = 24 * 3600


def notification(key: str | None = KEY, text: str = "Hello") -> dict[str, Any]:
    return {
        "app_id": APP,
        "include_aliases": {"external_id": ["ada"]},
        "target_channel": "push",
        "contents": {"en": text},
        "idempotency_key": key,
    }


@pytest.fixture(autouse=True)
def phone(sandbox: Sandbox) -> None:
    sandbox.add_device("ada", "android", app_id=APP)


async def test_a_key_that_comes_again_gets_the_same_answer_and_no_second_push(
    client: httpx.AsyncClient, sandbox: Sandbox
) -> None:
    first = await client.post("/notifications", json=notification())
    second = await client.post("/notifications", json=notification())

    assert (second.status_code, second.json()) == (200, first.json())
    assert first.json()["external_id"] == KEY
    assert "idempotent-replayed" not in first.headers
    assert second.headers["idempotent-replayed"] == "true"
    assert [push.idempotency_key for push in sandbox.pushes] == [KEY]
    assert not sandbox.complaints


async def test_another_body_under_a_known_key_is_not_sent_and_complained_about(
    client: httpx.AsyncClient, sandbox: Sandbox
) -> None:
    first = await client.post("/notifications", json=notification())

    second = await client.post("/notifications", json=notification(text="Something else"))

    assert second.json() == first.json()
    assert [push.text for push in sandbox.pushes] == ["Hello"]
    assert dict(sandbox.ledger.complained) == {"key-reused": 1}


async def test_the_order_of_a_bodys_fields_does_not_matter(
    client: httpx.AsyncClient, sandbox: Sandbox
) -> None:
    body = notification()
    await client.post("/notifications", json=body)

    await client.post("/notifications", json=dict(reversed(body.items())))

    assert not sandbox.complaints


async def test_a_key_is_remembered_for_30_days(
    client: httpx.AsyncClient, sandbox: Sandbox, clock: ManualClock
) -> None:
    await client.post("/notifications", json=notification())

    clock.advance(30 * DAY - 1)
    await client.post("/notifications", json=notification())
    assert len(sandbox.pushes) == 1

    clock.advance(1)
    await client.post("/notifications", json=notification())
    assert len(sandbox.pushes) == 2


async def test_a_result_of_nobody_reached_is_remembered_too(
    client: httpx.AsyncClient, sandbox: Sandbox
) -> None:
    (device,) = sandbox.subscriptions
    device.enabled = False
    first = await client.post("/notifications", json=notification())
    device.enabled = True

    second = await client.post("/notifications", json=notification())

    assert first.json()["id"] == ""
    assert second.json() == first.json()
    assert not sandbox.pushes


async def test_a_refused_request_does_not_use_up_its_key(
    client: httpx.AsyncClient, sandbox: Sandbox
) -> None:
    await client.post("/notifications", json={**notification(), "contents": {}})

    await client.post("/notifications", json=notification())

    assert len(sandbox.pushes) == 1


async def test_two_apps_may_use_the_same_key(client: httpx.AsyncClient, sandbox: Sandbox) -> None:
    other = "11111111-1111-4111-8111-111111111111"
    sandbox.add_device("ada", "android", app_id=other)

    await client.post("/notifications", json=notification())
    await client.post("/notifications", json={**notification(), "app_id": other})

    assert [push.app_id for push in sandbox.pushes] == [APP, other]


async def test_a_key_in_the_header_does_nothing_but_raise_a_complaint(
    client: httpx.AsyncClient, sandbox: Sandbox
) -> None:
    for _ in range(2):
        await client.post(
            "/notifications", json=notification(key=None), headers={"Idempotency-Key": KEY}
        )

    assert len(sandbox.pushes) == 2
    assert dict(sandbox.ledger.complained) == {"key-in-header": 2}


keys = st.integers(1, 4).map(lambda number: str(UUID(int=number)))


@given(st.lists(st.none() | keys))
def test_there_are_as_many_pushes_as_different_keys_and_requests_without_one(
    sent: list[str | None],
) -> None:
    sandbox = Sandbox(clock=ManualClock())
    sandbox.add_device("ada", "android", app_id=APP)

    for key in sent:
        request = httpx.Request("POST", "http://sandbox", json=notification(key))
        sandbox.handle(
            method="POST",
            raw_path="/notifications",
            headers={"authorization": "Key x"},
            body=request.read(),
        )

    assert len(sandbox.pushes) == len({key or uuid4() for key in sent})
