from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
import uvicorn
from pydantic import ValidationError
from starlette.applications import Starlette

from bridge.clock import ManualClock
from bridge.sandbox import Sandbox

APP = "0f9a1c5e-8a35-4f0e-9c1c-3a6f5a3e7d11"
USERS = f"/apps/{APP}/users"


async def create(client: httpx.AsyncClient, external_id: str = "ada") -> httpx.Response:
    return await client.post(USERS, json={"identity": {"external_id": external_id}})


async def ticks(count: int = 20) -> None:
    """Let tasks that are ready run."""
    for _ in range(count):
        await ManualClock().sleep(0)


async def test_a_scripted_status_is_answered_and_nothing_is_done(
    client: httpx.AsyncClient, sandbox: Sandbox
) -> None:
    fault = {"status": 429, "headers": {"Retry-After": "7"}, "body": {"errors": ["slow down"]}}
    sandbox.faults.script({"answers": [fault]})

    answer = await create(client)

    assert answer.status_code == 429
    assert answer.headers["retry-after"] == "7"
    assert answer.json() == {"errors": ["slow down"]}
    assert sandbox.users == []
    assert (sandbox.calls[-1].fault, sandbox.calls[-1].applied) == ("status 429", False)
    assert (await create(client)).status_code == 201


async def test_a_text_body_and_no_body_are_sent_as_they_are(
    client: httpx.AsyncClient, sandbox: Sandbox
) -> None:
    html = {"content-type": "text/html"}
    sandbox.faults.script(
        {"answers": [{"status": 520, "headers": html, "body": "<h1>520</h1>"}, {"status": 503}]}
    )

    page, nothing = await create(client), await create(client)

    assert (page.text, page.headers["content-type"]) == ("<h1>520</h1>", "text/html")
    assert (nothing.status_code, nothing.content) == (503, b"")


async def test_answers_come_in_order_and_as_often_as_asked(
    client: httpx.AsyncClient, sandbox: Sandbox
) -> None:
    running = sandbox.faults.script({"answers": [{"status": 500}, {"ordinary": True}], "times": 2})

    statuses = [(await create(client, f"u{number}")).status_code for number in range(5)]

    assert statuses == [500, 201, 500, 201, 201]
    assert (running.used, running.left) == (4, 0)


async def test_a_script_can_last_until_it_is_cleared(
    client: httpx.AsyncClient, sandbox: Sandbox
) -> None:
    sandbox.faults.script({"answers": [{"status": 503}], "times": "until_cleared"})
    assert [(await create(client)).status_code for _ in range(5)] == [503] * 5

    sandbox.faults.clear()

    assert (await create(client)).status_code == 201


@pytest.mark.parametrize(
    ("match", "status"),
    [
        ({}, 500),
        ({"method": "POST"}, 500),
        ({"method": "PATCH"}, 201),
        ({"path": "/apps/*/users"}, 500),
        ({"path": "/notifications"}, 201),
        ({"class": "write"}, 500),
        ({"class": "send"}, 201),
        ({"method": "POST", "class": "view"}, 201),
    ],
)
async def test_a_script_meets_the_requests_that_fit_all_of_its_match(
    match: dict[str, Any], status: int, client: httpx.AsyncClient, sandbox: Sandbox
) -> None:
    sandbox.faults.script({"match": match, "answers": [{"status": 500}]})

    assert (await create(client)).status_code == status


async def test_the_first_script_that_fits_counts_and_then_the_next(
    client: httpx.AsyncClient, sandbox: Sandbox
) -> None:
    sandbox.faults.script({"match": {"class": "send"}, "answers": [{"status": 500}]})
    sandbox.faults.script({"answers": [{"status": 502}]})
    sandbox.faults.script({"answers": [{"status": 504}]})

    statuses = [(await create(client)).status_code for _ in range(3)]

    assert statuses == [502, 504, 201]


async def test_a_path_is_matched_without_the_legacy_prefix(
    client: httpx.AsyncClient, sandbox: Sandbox
) -> None:
    sandbox.faults.script({"match": {"path": "/notifications"}, "answers": [{"status": 500}]})

    answer = await client.post("/api/v1/notifications", json={"app_id": APP})

    assert answer.status_code == 500


async def test_a_reset_closes_the_connection_and_nothing_is_done(
    client: httpx.AsyncClient, sandbox: Sandbox
) -> None:
    sandbox.faults.script({"answers": [{"reset": True}]})

    with pytest.raises(ConnectionResetError):
        await create(client)

    assert sandbox.users == []
    assert (sandbox.calls[-1].status, sandbox.calls[-1].fault) == (0, "reset")


async def test_a_reset_after_applying_does_the_work_and_keeps_quiet(
    client: httpx.AsyncClient, sandbox: Sandbox
) -> None:
    sandbox.faults.script({"answers": [{"reset": True, "applied": True}]})

    with pytest.raises(ConnectionResetError):
        await create(client)

    assert sandbox.user("ada") is not None
    assert (sandbox.calls[-1].status, sandbox.calls[-1].applied) == (0, True)


@pytest.mark.parametrize(("applied", "users"), [({"applied": True}, 1), ({}, 0)])
async def test_a_timeout_waits_on_the_clock_and_never_answers(
    applied: dict[str, bool],
    users: int,
    client: httpx.AsyncClient,
    sandbox: Sandbox,
    clock: ManualClock,
) -> None:
    sandbox.faults.script({"answers": [{"timeout": 60, **applied}]})
    request = asyncio.ensure_future(create(client))
    await ticks()
    assert len(sandbox.calls) == 1
    assert clock.next_wake == 60
    assert len(sandbox.users) == users

    clock.advance(59)
    await ticks()
    assert not request.done()

    clock.advance(1)
    with pytest.raises(ConnectionResetError):
        await request


async def test_a_delay_comes_before_the_ordinary_answer(
    client: httpx.AsyncClient, clock: ManualClock, sandbox: Sandbox
) -> None:
    sandbox.faults.script({"answers": [{"delay": 5}]})
    request = asyncio.ensure_future(create(client))
    await ticks()
    assert not request.done()

    clock.advance(5)

    assert (await request).status_code == 201


async def test_a_wrong_key_and_a_limit_come_before_a_fault(
    client: httpx.AsyncClient, sandbox: Sandbox
) -> None:
    sandbox.faults.script({"answers": [{"status": 500}]})

    answer = await client.post(USERS, json={}, headers={"Authorization": "Nonsense"})

    assert answer.status_code == 403
    assert (await create(client)).status_code == 500


@pytest.mark.parametrize(
    "script",
    [
        {},
        {"answers": []},
        {"answers": [{}]},
        {"answers": [{"status": 99}]},
        {"answers": [{"status": 500, "reset": True}]},
        {"answers": [{"timeout": 1, "reset": True}]},
        {"answers": [{"status": 500, "applied": True}]},
        {"answers": [{"timeout": -1}]},
        {"answers": [{"status": 500}], "times": 0},
        {"answers": [{"status": 500}], "times": "often"},
        {"answers": [{"status": 500}], "match": {"class": "other"}},
        {"answers": [{"status": 500}], "match": {"url": "/"}},
    ],
)
def test_a_script_that_makes_no_sense_is_refused(script: dict[str, Any], sandbox: Sandbox) -> None:
    with pytest.raises(ValidationError):
        sandbox.faults.script(script)

    assert sandbox.faults.running == []


@pytest.mark.slow
async def test_on_a_real_socket_the_line_goes_dead_without_a_word_in_the_servers_log(
    app: Starlette, sandbox: Sandbox, caplog: pytest.LogCaptureFixture
) -> None:
    async with served(app) as url, httpx.AsyncClient(base_url=url) as client:
        client.headers["Authorization"] = "Key x"
        for fault in ({"reset": True}, {"reset": True, "applied": True}):
            sandbox.faults.script({"answers": [fault]})
            with pytest.raises(httpx.RemoteProtocolError, match="disconnected without sending"):
                await create(client)

        assert (await create(client)).status_code == 202

    assert caplog.text == ""


@pytest.mark.slow
async def test_a_client_that_gives_up_does_not_keep_the_server_from_stopping(
    app: Starlette, sandbox: Sandbox, clock: ManualClock
) -> None:
    sandbox.faults.script({"answers": [{"timeout": 1000}]})

    async with served(app) as url, httpx.AsyncClient(base_url=url, timeout=0.2) as client:
        client.headers["Authorization"] = "Key x"
        with pytest.raises(httpx.ReadTimeout):
            await create(client)

    assert clock.monotonic() == 0


@asynccontextmanager
async def served(app: Starlette) -> AsyncIterator[str]:
    """The application under uvicorn, on a free port of this process."""
    config = uvicorn.Config(app, port=0, lifespan="off", log_config=None, log_level="error")
    config.load()
    server = uvicorn.Server(config)
    server.lifespan = config.lifespan_class(config)
    await server.startup()
    port = server.servers[0].sockets[0].getsockname()[1]
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        await server.shutdown()
