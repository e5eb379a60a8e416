from __future__ import annotations

from typing import Any

import httpx
import pytest

from bridge.clock import ManualClock
from bridge.sandbox import DEFAULT_APP_ID, Sandbox
from bridge.sandbox.platforms import Platform

APP = "0f9a1c5e-8a35-4f0e-9c1c-3a6f5a3e7d11"
USERS = f"/apps/{APP}/users"


async def push(client: httpx.AsyncClient, external_id: str, text: str = "Hello") -> None:
    await client.post(
        "/notifications",
        json={
            "app_id": APP,
            "include_aliases": {"external_id": [external_id]},
            "target_channel": "push",
            "contents": {"en": text},
            "idempotency_key": "5f6c3a52-3d0b-4f57-9d5e-1f0a6f5f7c11",
        },
    )


@pytest.mark.parametrize("platform", list(Platform))
async def test_a_device_of_every_platform_can_be_added_and_is_recognised(
    platform: Platform, client: httpx.AsyncClient, sandbox: Sandbox
) -> None:
    body = {"external_id": "ada", "platform": platform, "app_id": APP}

    answer = await client.post("/sandbox/devices", json=body)

    assert answer.status_code == 201
    (subscription,) = sandbox.subscriptions
    assert subscription.platform is platform
    assert answer.json() == {
        "subscription_id": subscription.id,
        "onesignal_id": subscription.owner.onesignal_id,
        "external_id": "ada",
        "platform": platform.value,
        "type": subscription.type,
        "token": subscription.token,
        "enabled": True,
        "pushes": 0,
    }
    assert (await client.get("/sandbox/devices")).json()["devices"] == [answer.json()]


@pytest.mark.parametrize(
    ("word", "platform"), [("web", Platform.WEB_CHROME), ("ios_web", Platform.IOS_WEB)]
)
async def test_a_browser_may_be_called_what_mappings_call_it(
    word: str, platform: Platform, client: httpx.AsyncClient, sandbox: Sandbox
) -> None:
    await client.post("/sandbox/devices", json={"external_id": "ada", "platform": word})
    assert [one.platform for one in sandbox.subscriptions] == [platform]


async def test_a_device_goes_to_the_only_app_or_to_the_default_app(
    client: httpx.AsyncClient, sandbox: Sandbox
) -> None:
    await client.post("/sandbox/devices", json={"external_id": "ada", "platform": "ios"})
    assert list(sandbox.world.apps) == [DEFAULT_APP_ID]

    sandbox.reset()
    await client.get(f"/apps/{APP}")
    await client.post("/sandbox/devices", json={"platform": "ios", "enabled": False})

    assert list(sandbox.world.apps) == [APP]
    (user,) = sandbox.users
    assert user.external_id is None
    assert not sandbox.subscriptions[0].is_reachable


@pytest.mark.parametrize(
    ("path", "body", "word"),
    [
        ("devices", {"platform": "nokia"}, "platform"),
        ("devices", {"external_id": "ada"}, "platform"),
        ("devices", {"platform": "ios", "colour": "red"}, "colour"),
        ("devices", {"platform": "ios", "external_id": "NULL"}, "blocked"),
        ("devices", {"platform": "ios", "app_id": "x"}, "UUID"),
        ("devices", [], "object"),
        ("faults", {"answers": []}, "answers"),
    ],
)
async def test_a_request_that_does_not_fit_is_told_what_is_wrong(
    path: str, body: Any, word: str, client: httpx.AsyncClient
) -> None:
    answer = await client.post(f"/sandbox/{path}", json=body)

    assert answer.status_code == 400
    assert word in answer.json()["errors"][0]


async def test_a_21st_device_is_refused(client: httpx.AsyncClient, sandbox: Sandbox) -> None:
    for _ in range(20):
        sandbox.add_device("ada", "ios")

    answer = await client.post("/sandbox/devices", json={"external_id": "ada", "platform": "ios"})

    assert answer.status_code == 400


async def test_users_are_listed_by_app_with_tags_and_devices(
    client: httpx.AsyncClient, sandbox: Sandbox
) -> None:
    body = {"identity": {"external_id": "ada"}, "properties": {"tags": {"plan": "pro"}}}
    await client.post(USERS, json=body)
    sandbox.add_device("ada", "ios", app_id=APP)
    sandbox.add_device("grace", "ios", app_id=DEFAULT_APP_ID)

    every = (await client.get("/sandbox/users")).json()["users"]
    (ada,) = (await client.get(f"/sandbox/users?app_id={APP}")).json()["users"]

    assert len(every) == 2
    assert ada["app_id"] == APP
    assert ada["identity"]["external_id"] == "ada"
    assert ada["tags"] == ada["properties"]["tags"] == {"plan": "pro"}
    assert [device["platform"] for device in ada["devices"]] == ["ios"]


async def test_pushes_can_be_listed_and_are_counted_per_device(
    client: httpx.AsyncClient, sandbox: Sandbox, clock: ManualClock
) -> None:
    sandbox.add_device("ada", "android", app_id=APP)
    await push(client, "ada")

    (shown,) = (await client.get("/sandbox/pushes")).json()["pushes"]
    (device,) = (await client.get("/sandbox/devices")).json()["devices"]

    assert (shown["platform"], shown["text"]) == ("android", "Hello")
    assert (shown["external_id"], shown["at_ms"]) == ("ada", clock.now_ms())
    assert device["pushes"] == 1


async def test_calls_are_recorded_in_order_and_inspection_is_not(
    client: httpx.AsyncClient, sandbox: Sandbox
) -> None:
    sandbox.add_device("ada", "android", app_id=APP)
    await client.patch(f"{USERS}/by/external_id/ada", json={"properties": {}})
    await client.get("/sandbox/calls")
    await push(client, "ada")

    answer = (await client.get("/sandbox/calls")).json()
    (last,) = (await client.get("/sandbox/calls?limit=1")).json()["calls"]

    assert answer["total"] == 2
    assert [call["method"] for call in answer["calls"]] == ["PATCH", "POST"]
    assert last == answer["calls"][1]
    assert (last["path"], last["status"], last["user"]) == ("/notifications", 200, "ada")
    assert (last["endpoint_class"], last["app_id"]) == ("send", APP)
    assert last["idempotency_key"] == "5f6c3a52-3d0b-4f57-9d5e-1f0a6f5f7c11"
    assert last["body"]["contents"] == {"en": "Hello"}


async def test_a_call_for_several_users_names_none_of_them(
    client: httpx.AsyncClient, sandbox: Sandbox
) -> None:
    body = {"app_id": APP, "include_aliases": {"external_id": ["ada", "grace"]}}
    await client.post("/notifications", json=body)
    events = [{"name": "x", "external_id": who} for who in ("ada", "grace")]
    await client.post(f"/apps/{APP}/custom_events", json={"events": events})

    assert [call.user for call in sandbox.calls] == [None, None]


@pytest.mark.parametrize(
    "body",
    [
        {"include_subscription_ids": ["a"]},
        {"include_external_user_ids": ["a"]},
        {"include_aliases": {"crm": ["a"]}},
    ],
)
async def test_a_call_for_one_addressee_names_it(
    body: dict[str, Any], client: httpx.AsyncClient, sandbox: Sandbox
) -> None:
    await client.post("/notifications", json={"app_id": APP, **body})

    assert sandbox.calls[-1].user == "a"


async def test_complaints_and_events_can_be_listed(
    client: httpx.AsyncClient, sandbox: Sandbox
) -> None:
    await client.post(USERS, json={"identity": {"external_id": "ada"}})
    event = {"name": "Signed Up", "external_id": "ada"}
    await client.post(f"/apps/{APP}/custom_events", json={"events": [event]})
    await client.get("/players")

    (complaint,) = (await client.get("/sandbox/complaints")).json()["complaints"]
    (shown,) = (await client.get("/sandbox/events")).json()["events"]

    assert (complaint["code"], complaint["path"]) == ("unknown-path", "/players")
    assert shown["name"] == "Signed Up"


async def test_counts_add_up(client: httpx.AsyncClient, sandbox: Sandbox) -> None:
    sandbox.add_device("ada", "android", app_id=APP)
    await push(client, "ada")
    await client.post("/notifications", json={"app_id": APP})

    counts = (await client.get("/sandbox/counts")).json()

    assert counts["pushes"] == 1
    assert counts["statuses"]["send"] == {"200": 1, "400": 1}
    assert counts["busiest_second"]["send"] == 2


async def test_behaviour_and_apps_can_be_changed_field_by_field(
    client: httpx.AsyncClient, sandbox: Sandbox
) -> None:
    change = {"update_delay_seconds": 5}
    first = await client.patch("/sandbox/behaviour", json=change)
    await client.patch("/sandbox/behaviour", json={"max_recipients": 2000})
    capped = await client.patch(f"/sandbox/apps/{APP}", json={"tag_cap": 2})
    await client.patch(f"/sandbox/apps/{APP}", json={"disabled": True})

    assert first.json()["update_delay_seconds"] == 5
    assert (sandbox.behaviour.update_delay_seconds, sandbox.behaviour.max_recipients) == (5, 2000)
    assert (await client.get("/sandbox/behaviour")).json()["max_recipients"] == 2000
    assert capped.json()["tag_cap"] == 2
    (app,) = (await client.get("/sandbox/apps")).json()["apps"]
    assert (app["tag_cap"], app["disabled"]) == (2, True)


async def test_faults_can_be_scripted_listed_and_cleared(client: httpx.AsyncClient) -> None:
    script = {"match": {"class": "view"}, "answers": [{"status": 503}], "times": "until_cleared"}

    added = await client.post("/sandbox/faults", json=script)
    assert added.status_code == 201
    assert (await client.get(f"/apps/{APP}")).status_code == 503
    (listed,) = (await client.get("/sandbox/faults")).json()["faults"]
    assert listed == {**script, "used": 1, "left": None}

    await client.delete("/sandbox/faults")
    assert (await client.get("/sandbox/faults")).json() == {"faults": []}
    assert (await client.get(f"/apps/{APP}")).status_code == 200


async def test_a_reset_forgets_everything(client: httpx.AsyncClient, sandbox: Sandbox) -> None:
    sandbox.add_device("ada", "android", app_id=APP)
    await push(client, "ada")
    sandbox.faults.script({"answers": [{"status": 500}]})

    await client.post("/sandbox/reset")

    assert (sandbox.users, sandbox.subscriptions) == ([], [])
    assert not sandbox.pushes
    assert not sandbox.calls
    assert not sandbox.faults.running
    assert repr(sandbox) == "<Sandbox <World 0 apps, 0 users, 0 pushes>, 0 calls, 0 complaints>"


async def test_the_empty_page_says_what_to_do(client: httpx.AsyncClient) -> None:
    answer = await client.get("/sandbox")

    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/html")
    assert "/sandbox/devices" in answer.text
    assert DEFAULT_APP_ID in answer.text


async def test_the_page_shows_phones_notifications_and_tags_without_trusting_them(
    client: httpx.AsyncClient, sandbox: Sandbox
) -> None:
    body = {"identity": {"external_id": "<ada>"}, "properties": {"tags": {"plan": "<pro>"}}}
    await client.post(USERS, json=body)
    for platform in ("android", "ios", "web-chrome"):
        sandbox.add_device("<ada>", platform, app_id=APP)
    await push(client, "<ada>", "<script>alert(1)</script>")

    text = (await client.get("/sandbox")).text

    assert "&lt;ada&gt;" in text
    assert "&lt;pro&gt;" in text
    assert text.count("&lt;script&gt;alert(1)&lt;/script&gt;") == 3
    assert "<script>alert" not in text
    for name in ("iPhone", "Android", "Chrome"):
        assert f"<span>{name}</span><span>1 received</span>" in text


async def test_the_page_loads_nothing_from_elsewhere(
    client: httpx.AsyncClient, sandbox: Sandbox
) -> None:
    sandbox.add_device("ada", "android")

    answer = await client.get("/sandbox")

    assert answer.headers["content-security-policy"].startswith("default-src 'none'")
    for outside in ("src=", "@import", "url(", "<link", "https://", "http://"):
        assert outside not in answer.text


async def test_the_page_tells_of_faults_complaints_and_disabled_apps(
    client: httpx.AsyncClient, sandbox: Sandbox
) -> None:
    sandbox.app(APP).disabled = True
    await client.get("/players")
    sandbox.faults.script({"answers": [{"status": 500}]})

    text = (await client.get("/sandbox")).text

    assert f"App <code>{APP}</code> is disabled" in text
    assert "1 complaint about the client" in text
    assert "1 fault script is waiting" in text


async def test_the_page_shows_a_few_cards_per_phone_and_counts_the_rest(
    client: httpx.AsyncClient, sandbox: Sandbox
) -> None:
    sandbox.add_device("ada", "android", app_id=APP)
    for number in range(6):
        body = {
            "app_id": APP,
            "include_aliases": {"external_id": ["ada"]},
            "target_channel": "push",
            "contents": {"en": f"Number {number}"},
        }
        await client.post("/notifications", json=body)

    text = (await client.get("/sandbox")).text

    assert [f"Number {number}" in text for number in range(6)] == [False] * 2 + [True] * 4
    assert "and 2 before" in text
    assert "6 received" in text
