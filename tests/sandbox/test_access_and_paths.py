from __future__ import annotations

from urllib.parse import quote

import httpx
import pytest
from hypothesis import given, strategies as st

from bridge.clock import ManualClock
from bridge.sandbox import Sandbox, create_sandbox
from bridge.sandbox.routes import ROUTES, find_route

APP = "0f9a1c5e-8a35-4f0e-9c1c-3a6f5a3e7d11"
USERS = f"/apps/{APP}/users"


def strict_client() -> httpx.AsyncClient:
    app = create_sandbox(clock=ManualClock(), api_keys=["right", "old"])
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://sandbox")


@pytest.mark.parametrize("header", ["Key right", "Basic right", "key old"])
async def test_a_right_key_is_let_in(header: str) -> None:
    async with strict_client() as client:
        answer = await client.get(f"/apps/{APP}", headers={"Authorization": header})

    assert answer.status_code == 200


@pytest.mark.parametrize("path", [f"/apps/{APP}", f"{USERS}/by/external_id/ada"])
@pytest.mark.parametrize("header", ["Key wrong", "Bearer right", "right", "Key"])
async def test_a_wrong_key_answers_403_with_the_documented_words(header: str, path: str) -> None:
    async with strict_client() as client:
        answer = await client.get(path, headers={"Authorization": header})

    assert answer.status_code == 403
    assert answer.json()["errors"][0].startswith("Access denied.  Please include an 'Authorization")


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("POST", USERS, 401),
        ("PATCH", f"{USERS}/by/external_id/ada", 401),
        ("DELETE", f"/apps/{APP}/subscriptions/x", 401),
        ("PATCH", f"/apps/{APP}/subscriptions_by_token/iOSPush/x", 401),
        ("POST", "/notifications", 403),
        ("GET", f"/apps/{APP}", 403),
    ],
)
async def test_no_key_at_all_is_refused_even_where_any_key_would_do(
    method: str, path: str, status: int, client: httpx.AsyncClient
) -> None:
    del client.headers["Authorization"]

    answer = await client.request(method, path)

    assert answer.status_code == status
    if status == 401:
        assert answer.json()["errors"][0]["code"] == "auth-1"


async def test_custom_events_without_a_key_answer_an_empty_text(client: httpx.AsyncClient) -> None:
    del client.headers["Authorization"]

    answer = await client.post(f"/apps/{APP}/custom_events", json={"events": []})

    assert (answer.status_code, answer.content) == (401, b"")
    assert answer.headers["content-type"].startswith("text/plain")


@pytest.mark.parametrize(
    "external_id", ["a/b", "ada@example.com", "ü 日本", "a%2Fb", "a?b#c", ".."]
)
async def test_ids_in_the_path_may_hold_anything_that_is_url_encoded(
    external_id: str, client: httpx.AsyncClient, sandbox: Sandbox
) -> None:
    body = {"identity": {"external_id": external_id}}
    await client.post(USERS, json=body)
    path = f"{USERS}/by/external_id/{quote(external_id, safe='').replace('.', '%2E')}"

    answer = await client.get(path)

    assert answer.status_code == 200
    assert answer.json()["identity"]["external_id"] == external_id
    assert sandbox.calls[-1].user == external_id


@given(st.text(min_size=1), st.text(min_size=1))
def test_every_label_and_id_survives_the_path(label: str, alias_id: str) -> None:
    path = f"/apps/{APP}/users/by/{quote(label, safe='')}/{quote(alias_id, safe='')}"

    found = find_route("PATCH", path)

    assert found is not None
    assert found[1] == {"app_id": APP, "label": label, "id": alias_id}


def test_every_route_is_found_by_its_own_path() -> None:
    for route in ROUTES:
        path = "/" + "/".join(route.segments).replace("{", "").replace("}", "")

        for is_legacy in (False, True):
            found = find_route(route.method, path, is_legacy=is_legacy)

            assert (found[0] if found else None) is (route if is_legacy in route.apis else None)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/"),
        ("GET", "/players"),
        ("PUT", "/notifications"),
        ("GET", f"{USERS}/by/external_id/"),
        ("POST", f"{USERS}/"),
        ("GET", f"{USERS}/by/external_id/a/b/c"),
    ],
)
async def test_an_unknown_path_answers_404_and_is_complained_about(
    method: str, path: str, client: httpx.AsyncClient, sandbox: Sandbox
) -> None:
    answer = await client.request(method, path)

    assert answer.status_code == 404
    assert dict(sandbox.ledger.complained) == {"unknown-path": 1}
    assert sandbox.calls[-1].endpoint_class == "unknown"


@pytest.mark.parametrize(
    ("method", "path", "content"),
    [
        ("POST", "/notifications", b"not json"),
        ("POST", "/notifications", b""),
        ("POST", "/notifications", b"[]"),
        ("PATCH", f"{USERS}/by/external_id/ada", b'"x"'),
    ],
)
async def test_a_body_that_is_no_json_object_answers_400(
    method: str, path: str, content: bytes, client: httpx.AsyncClient
) -> None:
    assert (await client.request(method, path, content=content)).status_code == 400


@pytest.mark.parametrize("app_id", [None, "", "my-app", 7])
async def test_an_app_id_that_is_no_uuid_is_refused(
    app_id: object, client: httpx.AsyncClient, sandbox: Sandbox
) -> None:
    send = await client.post("/notifications", json={"app_id": app_id})
    read = await client.get("/apps/my-app/users/by/external_id/ada")

    assert send.status_code == 400
    assert "app_id" in send.json()["errors"][0]
    assert read.status_code == 400
    assert read.json()["errors"][0]["meta"] == {"app_id": "my-app"}
    assert not sandbox.world.apps


async def test_an_app_tells_its_name_and_its_push_platforms(
    client: httpx.AsyncClient, sandbox: Sandbox
) -> None:
    sandbox.add_device("ada", "android", app_id=APP)
    sandbox.add_device("ada", "ios", enabled=False, app_id=APP)

    answer = await client.get(f"/apps/{APP}")

    body = answer.json()
    assert answer.status_code == 200
    assert (body["id"], body["players"], body["messageable_players"]) == (APP, 2, 1)
    assert body["channels"]["push"]["enabled"] is True
    assert {"ios", "android"} <= set(body["channels"]["push"]["platforms"])
