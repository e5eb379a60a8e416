"""The legacy API of the sandbox: the same people and devices, in older words."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import httpx
import pytest

from bridge.clock import ManualClock
from bridge.sandbox import Limits, Sandbox, create_sandbox

APP = "0f9a1c5e-8a35-4f0e-9c1c-3a6f5a3e7d11"
OLD_KEY = "NGEwMGZmMjItY2NkNy0xMWUzLTk5ZDUtMDAwYzI5NDBlNjJj"
TAGS = f"/api/v1/apps/{APP}/users"
PUSHES = "/api/v1/notifications"


def to(*ids: str, **more: Any) -> dict[str, Any]:
    return {
        "app_id": APP,
        "include_external_user_ids": list(ids),
        "channel_for_external_user_ids": "push",
        "contents": {"en": "Hi"},
        **more,
    }


def to_players(*ids: str, **more: Any) -> dict[str, Any]:
    return {"app_id": APP, "include_player_ids": list(ids), "contents": {"en": "Hi"}, **more}


# Tags -----------------------------------------------------------------------------------------------


async def test_tags_are_edited_for_whoever_has_a_device(
    client: httpx.AsyncClient, sandbox: Sandbox, clock: ManualClock
) -> None:
    sandbox.add_device("ada", "android", app_id=APP)
    await client.put(f"{TAGS}/ada", json={"tags": {"plan": "free", "shoe": "42"}})
    clock.advance(1)

    answer = await client.put(f"{TAGS}/ada", json={"tags": {"plan": "pro", "shoe": ""}})

    assert (answer.status_code, answer.json()) == (200, {"success": True})
    user = sandbox.user("ada")
    assert user is not None
    assert user.tags == {"plan": "pro"}
    assert not sandbox.complaints


async def test_who_has_no_device_is_unknown_and_nobody_is_created(
    client: httpx.AsyncClient, sandbox: Sandbox
) -> None:
    await client.post(f"/apps/{APP}/users", json={"identity": {"external_id": "grace"}})

    for external_id in ("ada", "grace"):
        answer = await client.put(f"{TAGS}/{external_id}", json={"tags": {"plan": "pro"}})
        assert (answer.status_code, answer.json()) == (404, {"success": False})
    assert sandbox.user("ada") is None


async def test_an_id_is_url_encoded(client: httpx.AsyncClient, sandbox: Sandbox) -> None:
    sandbox.add_device("a/b", "android", app_id=APP)

    assert (await client.put(f"{TAGS}/a%2Fb", json={"tags": {"x": "1"}})).status_code == 200


@pytest.mark.parametrize(
    ("tags", "cap", "text"),
    [
        (
            {f"t{number}": "1" for number in range(101)},
            None,
            "Please limit your tag updates to 100 per request",
        ),
        ({"a": "1", "b": "1"}, 1, "App is limited to a maximum of 1 tags on a given player"),
    ],
)
async def test_too_many_tags_are_refused_in_plain_words(
    tags: dict[str, str], cap: int | None, text: str, client: httpx.AsyncClient, sandbox: Sandbox
) -> None:
    sandbox.add_device("ada", "android", app_id=APP)
    sandbox.app(APP).tag_cap = cap

    answer = await client.put(f"{TAGS}/ada", json={"tags": tags})

    assert answer.status_code == 400
    (said,) = answer.json()["errors"]
    assert said.startswith(text)


async def test_what_is_no_tag_is_complained_about(
    client: httpx.AsyncClient, sandbox: Sandbox
) -> None:
    sandbox.add_device("ada", "android", app_id=APP)

    await client.put(f"{TAGS}/ada", json={"tags": {}, "language": "de"})

    assert dict(sandbox.ledger.complained) == {"unknown-field": 1}


@pytest.mark.parametrize("limits", [Limits(writes_per_second=1)])
async def test_who_is_too_fast_hears_it_in_plain_words(
    client: httpx.AsyncClient, sandbox: Sandbox
) -> None:
    for external_id in ("ada", "grace"):
        sandbox.add_device(external_id, "android", app_id=APP)
    await client.put(f"{TAGS}/ada", json={"tags": {}})

    app = await client.put(f"{TAGS}/grace", json={"tags": {}})

    assert (app.status_code, app.json()) == (429, {"errors": ["API rate limit exceeded"]})
    assert app.headers["retry-after"] == "1"


@pytest.mark.parametrize("limits", [Limits()])
async def test_one_person_is_written_to_once_a_second_by_both_apis_together(
    client: httpx.AsyncClient, sandbox: Sandbox, clock: ManualClock
) -> None:
    sandbox.add_device("ada", "android", app_id=APP)
    await client.patch(f"/apps/{APP}/users/by/external_id/ada", json={"properties": {}})

    answer = await client.put(f"{TAGS}/ada", json={"tags": {}})

    assert answer.status_code == 429
    assert answer.json()["limit"] == "Subscription/User Update Per Device"
    clock.advance(1)
    assert (await client.put(f"{TAGS}/ada", json={"tags": {}})).status_code == 200


# Pushes ---------------------------------------------------------------------------------------------


async def test_a_person_and_players_are_reached_once_each(
    client: httpx.AsyncClient, sandbox: Sandbox
) -> None:
    phone = sandbox.add_device("ada", "android", app_id=APP)
    browser = sandbox.add_device("ada", "web-chrome", app_id=APP)

    person = await client.post(PUSHES, json=to("ada", "ada", "nobody"))
    player = await client.post(PUSHES, json=to_players(phone.id, phone.id, str(uuid4())))

    assert person.json()["id"] != player.json()["id"] != ""
    reached = [push.subscription_id for push in sandbox.pushes]
    assert reached == [phone.id, browser.id, phone.id]
    assert all(call.is_legacy for call in sandbox.calls)


async def test_players_who_are_not_subscribed_are_named(
    client: httpx.AsyncClient, sandbox: Sandbox
) -> None:
    on = sandbox.add_device("ada", "android", app_id=APP)
    off = sandbox.add_device("ada", "android", app_id=APP, enabled=False)

    part = await client.post(PUSHES, json=to_players(on.id, off.id))
    none = await client.post(PUSHES, json=to_players(off.id))

    assert part.json()["errors"] == {"invalid_player_ids": [off.id]}
    assert none.status_code == 200
    assert none.json() == {"id": "", "errors": ["All included players are not subscribed"]}


async def test_flags_beside_ids_do_nothing_unless_this_onesignal_obeys_them(
    client: httpx.AsyncClient, sandbox: Sandbox
) -> None:
    for platform in ("ios", "android"):
        sandbox.add_device("ada", platform, app_id=APP)
    body = to("ada", isIos=False, isAndroid=True)

    await client.post(PUSHES, json=body)
    await client.patch("/sandbox/behaviour", json={"external_user_ids_ignore_flags": False})
    await client.post(PUSHES, json=body)

    assert [push.platform.value for push in sandbox.pushes] == ["ios", "android", "android"]
    assert dict(sandbox.ledger.complained) == {"flags-ignored": 1}


async def test_flags_that_leave_nobody_out_are_no_complaint(
    client: httpx.AsyncClient, sandbox: Sandbox
) -> None:
    sandbox.add_device("ada", "ios", app_id=APP)

    await client.post(PUSHES, json=to("ada", isIos=True, isAndroid=True))

    assert not sandbox.complaints


@pytest.mark.parametrize("body", [to, to_players])
async def test_more_than_2000_ids_are_refused_whatever_aliases_may_be(
    body: Any, client: httpx.AsyncClient
) -> None:
    ids = [str(uuid4()) for _ in range(2_001)]

    refused = await client.post(PUSHES, json=body(*ids))
    taken = await client.post(PUSHES, json=body(*ids[:2_000]))

    assert (refused.status_code, taken.status_code) == (400, 200)
    assert "2000" in refused.json()["errors"][0]


async def test_a_key_is_known_whichever_api_it_came_by(
    client: httpx.AsyncClient, sandbox: Sandbox
) -> None:
    sandbox.add_device("ada", "android", app_id=APP)
    body = to("ada", idempotency_key=str(uuid4()))

    first = await client.post(PUSHES, json=body)
    again = await client.post("/notifications", json=body)

    assert again.json() == first.json()
    assert again.headers["idempotent-replayed"] == "true"
    assert len(sandbox.pushes) == 1


async def test_a_notification_is_looked_up_and_tells_the_platforms(
    client: httpx.AsyncClient, sandbox: Sandbox
) -> None:
    sandbox.add_device("ada", "ios", app_id=APP)
    sent = (await client.post(PUSHES, json=to("ada"))).json()["id"]

    shown = await client.get(f"{PUSHES}/{sent}", params={"app_id": APP})

    assert shown.json()["platform_delivery_stats"]["ios"]["successful"] == 1


# Keys, paths, players -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("header", "is_right"),
    [
        (f"Basic {OLD_KEY}", True),
        ("Key os_v2_app_x", True),
        (f"Key {OLD_KEY}", False),
        ("Basic os_v2_app_x", False),
        ("Basic wrong", False),
        ("", False),
    ],
)
async def test_a_key_that_is_wrong_or_shown_the_wrong_way_is_400_in_older_words(
    header: str, *, is_right: bool
) -> None:
    app = create_sandbox(clock=ManualClock(), api_keys=[OLD_KEY, "os_v2_app_x"])
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://sandbox") as client:
        answer = await client.post(PUSHES, json=to("ada"), headers={"authorization": header})
        modern = await client.post(
            "/notifications", json=to("ada"), headers={"authorization": header}
        )

    assert answer.status_code == (200 if is_right else 400)
    assert modern.status_code == (200 if is_right else 403)
    if not is_right:
        (said,) = answer.json()["errors"]
        assert said.startswith("Please include a case-sensitive header of Authorization: Basic")


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", f"/api/v1/apps/{APP}/users"),
        ("PATCH", f"/api/v1/apps/{APP}/users/by/external_id/ada"),
        ("POST", f"/api/v1/apps/{APP}/custom_events"),
        ("PUT", f"/apps/{APP}/users/ada"),
        ("GET", "/players"),
    ],
)
async def test_each_api_has_its_own_paths(
    method: str, path: str, client: httpx.AsyncClient, sandbox: Sandbox
) -> None:
    assert (await client.request(method, path, json={})).status_code == 404
    assert dict(sandbox.ledger.complained) == {"unknown-path": 1}


async def test_an_app_id_that_is_none_is_refused_in_plain_words(client: httpx.AsyncClient) -> None:
    answer = await client.put("/api/v1/apps/shop/users/ada", json={"tags": {}})

    assert (answer.status_code, answer.json()) == (400, {"errors": ["Invalid UUID"]})


async def test_a_player_is_a_subscription_with_the_persons_id_and_tags(
    client: httpx.AsyncClient, sandbox: Sandbox
) -> None:
    device = sandbox.add_device("ada", "ios", app_id=APP)
    sandbox.add_device(None, "android", app_id=APP, enabled=False)
    await client.put(f"{TAGS}/ada", json={"tags": {"plan": "pro"}})

    one = await client.get(f"/api/v1/players/{device.id}", params={"app_id": APP})
    listed = await client.get("/api/v1/players", params={"app_id": APP})
    none = await client.get(f"/api/v1/players/{uuid4()}", params={"app_id": APP})

    shown = one.json()
    assert (shown["id"], shown["identifier"]) == (device.id, device.token)
    assert (shown["device_type"], shown["external_user_id"]) == (0, "ada")
    assert (shown["tags"], shown["invalid_identifier"]) == ({"plan": "pro"}, False)
    assert [each["external_user_id"] for each in listed.json()["players"]] == ["ada", None]
    assert none.status_code == 404


async def test_people_and_devices_are_the_same_for_both_apis(
    client: httpx.AsyncClient, sandbox: Sandbox
) -> None:
    await client.post(
        "/sandbox/devices", json={"external_id": "ada", "platform": "android", "app_id": APP}
    )
    await client.put(f"{TAGS}/ada", json={"tags": {"plan": "pro"}})
    await client.post(PUSHES, json=to("ada"))

    (user,) = (await client.get("/sandbox/users")).json()["users"]
    seen = await client.get(f"/apps/{APP}/users/by/external_id/ada")

    assert user["tags"] == seen.json()["properties"]["tags"] == {"plan": "pro"}
    assert [each["pushes"] for each in user["devices"]] == [1]
