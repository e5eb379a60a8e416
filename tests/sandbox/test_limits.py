from __future__ import annotations

from typing import Any

import httpx
import pytest
from hypothesis import given, strategies as st

from bridge.clock import ManualClock
from bridge.sandbox import Limits, Sandbox
from bridge.sandbox.limits import Bucket, Limiter, Window
from bridge.sandbox.wire import EndpointClass

APP = "0f9a1c5e-8a35-4f0e-9c1c-3a6f5a3e7d11"
OTHER_APP = "11111111-1111-4111-8111-111111111111"
USERS = f"/apps/{APP}/users"
ADA = f"{USERS}/by/external_id/ada"
UPDATE = {"properties": {"tags": {"a": "1"}}}


@pytest.fixture
def limits() -> Limits:
    return Limits(writes_per_second=5, sends_per_second=3, views_per_second=1, views_burst=4)


async def create(client: httpx.AsyncClient, external_id: str, app: str = APP) -> httpx.Response:
    body = {"identity": {"external_id": external_id}}
    return await client.post(f"/apps/{app}/users", json=body)


def notification(app_id: str = APP) -> dict[str, Any]:
    return {
        "app_id": app_id,
        "include_aliases": {"external_id": ["ada"]},
        "target_channel": "push",
        "contents": {"en": "Hello"},
    }


async def test_a_second_write_to_a_user_within_a_second_answers_429(
    client: httpx.AsyncClient, sandbox: Sandbox, clock: ManualClock
) -> None:
    await create(client, "ada")
    clock.advance(0.999)

    answer = await client.patch(ADA, json=UPDATE)

    assert answer.status_code == 429
    assert answer.headers["retry-after"] == "1"
    assert answer.json() == {
        "errors": ["API rate limit exceeded"],
        "limit": "Subscription/User Update Per Device",
    }
    assert sandbox.complaints[-1].code == "hurried-write"
    assert sandbox.calls[-1].applied is False


async def test_a_write_a_second_later_is_fine(
    client: httpx.AsyncClient, sandbox: Sandbox, clock: ManualClock
) -> None:
    await create(client, "ada")
    for _ in range(20):
        # Twenty times a tenth: floats that do not add up to a round second exactly.
        for _ in range(10):
            clock.advance(0.1)
        assert (await client.patch(ADA, json=UPDATE)).status_code == 202

    assert not sandbox.complaints


async def test_a_refused_write_does_not_push_the_next_one_back(
    client: httpx.AsyncClient, clock: ManualClock
) -> None:
    await create(client, "ada")
    clock.advance(0.5)
    assert (await client.patch(ADA, json=UPDATE)).status_code == 429
    clock.advance(0.5)

    assert (await client.patch(ADA, json=UPDATE)).status_code == 202


async def test_a_write_that_found_nobody_counts_for_the_create_that_follows(
    client: httpx.AsyncClient, clock: ManualClock
) -> None:
    assert (await client.patch(ADA, json=UPDATE)).status_code == 404
    assert (await create(client, "ada")).status_code == 429
    clock.advance(1)

    assert (await create(client, "ada")).status_code == 201


async def test_a_user_is_one_user_by_whichever_alias_and_subscription(
    client: httpx.AsyncClient, sandbox: Sandbox, clock: ManualClock
) -> None:
    device = sandbox.add_device("ada", "android", app_id=APP)
    user = sandbox.user("ada")
    assert user is not None
    sandbox.app(APP).link(user, {"crm": "1"})
    await client.patch(ADA, json=UPDATE)

    hurried = [
        await client.patch(f"{USERS}/by/crm/1", json=UPDATE),
        await client.patch(f"{USERS}/by/onesignal_id/{user.onesignal_id}", json=UPDATE),
        await client.patch(f"/apps/{APP}/subscriptions/{device.id}", json={"subscription": {}}),
        await client.patch(
            f"/apps/{APP}/subscriptions_by_token/AndroidPush/{device.token}", json={}
        ),
        await client.put(f"/api/v1{USERS}/ada", json={"tags": {}}),
        await client.delete(ADA),
    ]

    assert [answer.status_code for answer in hurried] == [429] * 6
    clock.advance(1)
    assert (await client.patch(f"{USERS}/by/crm/1", json=UPDATE)).status_code == 202


async def test_users_do_not_wait_for_each_other(client: httpx.AsyncClient) -> None:
    for external_id in ("ada", "grace", "linus"):
        assert (await create(client, external_id)).status_code == 201


async def test_writes_of_an_app_are_limited_and_say_so_in_the_shape_of_the_users_api(
    client: httpx.AsyncClient, clock: ManualClock
) -> None:
    for number in range(5):
        assert (await create(client, f"u{number}")).status_code == 201

    over = await create(client, "u5")
    other_app = await create(client, "u5", OTHER_APP)
    clock.advance(1)
    later = await create(client, "u5")

    assert over.status_code == 429
    assert over.json()["errors"][0]["code"] == "Rate Limit Exceeded"
    assert over.headers["retry-after"] == "1"
    assert (other_app.status_code, later.status_code) == (201, 201)


async def test_sends_of_an_app_are_limited_and_cancellations_count(
    client: httpx.AsyncClient, clock: ManualClock
) -> None:
    for _ in range(2):
        assert (await client.post("/notifications", json=notification())).status_code == 200
    await client.delete(f"/notifications/{OTHER_APP}?app_id={APP}")

    over = await client.post("/notifications", json=notification())
    other_app = await client.post("/notifications", json=notification(OTHER_APP))
    clock.advance(1)
    later = await client.post("/notifications", json=notification())

    assert (over.status_code, over.json()) == (429, {"errors": ["API rate limit exceeded"]})
    assert int(over.headers["retry-after"]) >= 1
    assert (other_app.status_code, later.status_code) == (200, 200)


async def test_views_have_a_burst_and_then_one_per_second(
    client: httpx.AsyncClient, clock: ManualClock
) -> None:
    burst = [(await client.get(ADA)).status_code for _ in range(5)]
    clock.advance(1)
    then = [(await client.get(f"/apps/{APP}")).status_code for _ in range(2)]

    assert burst == [404] * 4 + [429]
    assert then == [200, 429]


async def test_custom_events_have_no_published_limit(client: httpx.AsyncClient) -> None:
    body = {"events": [{"name": "x", "external_id": "ada"}]}

    for _ in range(20):
        assert (await client.post(f"/apps/{APP}/custom_events", json=body)).status_code == 202


@pytest.mark.parametrize("limits", [Limits(enforced=False, writes_per_second=1)])
async def test_limits_that_are_not_enforced_still_notice_hurried_writes(
    client: httpx.AsyncClient, sandbox: Sandbox
) -> None:
    await create(client, "ada")
    answers = [(await client.patch(ADA, json=UPDATE)).status_code for _ in range(3)]

    assert answers == [202, 202, 202]
    assert sandbox.ledger.complained["hurried-write"] == 3


async def test_the_busiest_second_is_known_per_class(
    client: httpx.AsyncClient, sandbox: Sandbox, clock: ManualClock
) -> None:
    for number in range(5):
        await create(client, f"u{number}")
    clock.advance(10)
    await create(client, "late")

    assert sandbox.ledger.peak(EndpointClass.WRITE) == 5
    assert sandbox.ledger.per_second[EndpointClass.WRITE].total() == 6
    assert sandbox.ledger.peak(EndpointClass.SEND) == 0


async def test_idle_users_are_forgotten_and_busy_ones_are_not(
    client: httpx.AsyncClient, clock: ManualClock
) -> None:
    limiter = Limiter(Limits(writes_per_second=10**6))
    for number in range(9_999):
        limiter.admit(APP, EndpointClass.WRITE, f"u{number}", 0.0)
    limiter.admit(APP, EndpointClass.WRITE, "busy", 1.5)

    limiter.admit(APP, EndpointClass.WRITE, "one more", 2.0)

    assert limiter._users.keys() == {"busy", "one more"}
    assert limiter.admit(APP, EndpointClass.WRITE, "busy", 2.0).refusal is not None


gaps = st.lists(st.floats(0, 2, allow_nan=False), max_size=60)


@given(gaps, st.integers(1, 5))
def test_a_window_never_admits_more_than_its_size_in_any_second(
    gaps: list[float], size: int
) -> None:
    window, now, admitted = Window(size), 0.0, list[float]()
    for gap in gaps:
        now += gap
        if not window.wait(now):
            window.take(now)
            admitted.append(now)

    for first, last in zip(admitted, admitted[size:], strict=False):
        assert last - first >= 1 - 1e-5


@given(gaps, st.integers(1, 5))
def test_waiting_as_long_as_a_window_asks_is_enough(gaps: list[float], size: int) -> None:
    window, now = Window(size), 0.0
    for gap in gaps:
        now += gap
        now += window.wait(now)
        assert window.wait(now) == 0
        window.take(now)


@given(gaps)
def test_waiting_as_long_as_a_bucket_asks_is_enough_and_it_holds_its_rate(
    gaps: list[float],
) -> None:
    bucket, now = Bucket(rate=2, burst=3), 0.0
    admitted = list[float]()
    for gap in gaps:
        now += gap
        now += bucket.wait(now)
        assert bucket.wait(now) == 0
        bucket.take(now)
        admitted.append(now)

    for index, first in enumerate(admitted):
        within = [at for at in admitted[index:] if at <= first + 2]
        assert len(within) <= 3 + 2 * 2 + 1
