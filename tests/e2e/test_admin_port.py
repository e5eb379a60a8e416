"""`BRIDGE_ADMIN_PORT`: what is for those who look after the bridge, on a port of its own."""

from __future__ import annotations

import asyncio
import re
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from pydantic import SecretStr
from typer.testing import CliRunner

from bridge.cli import app
from bridge.config.load import load_config
from bridge.errors import ConfigurationError
from tests.e2e.test_process import settings
from tests.harness import Rig, identify, rig
from tests.processes import command

MAPPING = """
version: 1
rules: [{name: profile, when: type = "identify", do: {update_user: {tags: {tier: "{{ traits.tier }}"}}}}]
"""
TOKEN = "the-admin-token"
INSIDE = (
    ("GET", "/console"),
    ("GET", "/console/login"),
    ("POST", "/console/login"),
    ("GET", "/console/console.css"),
    ("GET", "/api/v1/status"),
    ("POST", "/api/v1/pause"),
    ("DELETE", "/api/v1/users/u1"),
    ("GET", "/api/v1/openapi.json"),
    ("GET", "/api/v1/nothing"),
    ("GET", "/metrics"),
)
ADDRESS, ADMIN = (re.compile(rf'"{name}":\s*"([^"]+)"') for name in ("address", "admin"))


@asynccontextmanager
async def two_ports(folder: Path) -> AsyncIterator[tuple[Rig, httpx.AsyncClient]]:
    """A bridge, and who asks its port for admins."""
    secret = SecretStr(TOKEN)
    async with rig(folder, MAPPING, admin_port=8081, admin_token=secret) as here:
        assert here.bridge.admin is not None
        way = httpx.ASGITransport(here.bridge.admin)
        headers = {"authorization": f"Bearer {TOKEN}"}
        async with httpx.AsyncClient(
            transport=way, base_url="http://inside.test", headers=headers
        ) as inside:
            yield here, inside


async def test_the_public_port_knows_nothing_of_console_api_and_metrics(tmp_path: Path) -> None:
    async with two_ports(tmp_path) as (here, _):
        headers = {"authorization": f"Bearer {TOKEN}"}
        for method, path in INSIDE:
            answer = await here.http.request(method, path, headers=headers)
            # Not even that there would be an API.
            assert (answer.status_code, answer.text) == (404, "Not Found"), path
        assert (await here.post(identify(tier="gold")))["accepted"] == 1
        assert (await here.http.get("/v1/devices")).status_code in {404, 405}


async def test_the_port_for_admins_has_all_of_it_and_takes_no_events(tmp_path: Path) -> None:
    async with two_ports(tmp_path) as (_, inside):
        for path in ("/api/v1/status", "/metrics", "/console/login"):
            assert (await inside.get(path)).status_code == 200, path
        assert (await inside.get("/api/v1/nothing")).json()["code"] == "no-such-route"
        assert (await inside.post("/v1/segment", content=b"{}")).status_code == 404
        assert (await inside.post("/v1/devices", content=b"{}")).status_code == 404


async def test_both_ports_say_whether_it_is_alive_and_ready(tmp_path: Path) -> None:
    async with two_ports(tmp_path) as (here, inside):
        for http in (here.http, inside):
            assert (await http.get("/livez")).text == (await http.get("/readyz")).text == "ok\n"
        here.bridge.drain()
        for http in (here.http, inside):
            assert (await http.get("/readyz")).status_code == 503


async def test_without_it_everything_shares_one_port(tmp_path: Path) -> None:
    async with rig(tmp_path, MAPPING, admin_token=SecretStr(TOKEN)) as here:
        assert here.bridge.admin is None
        assert (await here.http.get("/metrics")).status_code == 200


def test_it_cannot_be_the_public_port() -> None:
    environment = {"BRIDGE_PORT": "8080", "BRIDGE_ADMIN_PORT": "8080"}
    with pytest.raises(ConfigurationError) as wrong:
        load_config(environment)
    assert "BRIDGE_ADMIN_PORT is BRIDGE_PORT" in str(wrong.value)


@pytest.mark.slow
async def test_a_process_listens_on_both_says_so_and_is_found_by_commands(tmp_path: Path) -> None:
    more: dict[str, Any] = {"BRIDGE_ADMIN_PORT": "0", "BRIDGE_ADMIN_TOKEN": TOKEN}
    environment = settings(tmp_path) | more
    async with command(tmp_path, "serve", "--port", "0", **environment) as running:
        public, inside = await running.says(ADDRESS), await running.says(ADMIN)
        assert public != inside
        async with httpx.AsyncClient(trust_env=False) as http:
            assert (await http.get(f"http://{public}/metrics")).status_code == 404
            assert (await http.get(f"http://{inside}/metrics")).status_code == 200
        found = environment | {"BRIDGE_ADMIN_PORT": inside.rpartition(":")[2]}
        asked = await asyncio.to_thread(CliRunner().invoke, app, ["status"], env=found)
        assert "no bridge answers" not in asked.output
        assert asked.output.startswith("well"), asked.output
        running.process.send_signal(signal.SIGTERM)
        assert await running.ends(within=10) == 0


@pytest.mark.slow
async def test_a_port_for_admins_that_is_taken_is_said_to_be(tmp_path: Path) -> None:
    listening = await asyncio.start_server(lambda *_: None, "127.0.0.1", 0)
    port = str(listening.sockets[0].getsockname()[1])
    more = {"BRIDGE_ADMIN_PORT": port}
    async with (
        listening,
        command(tmp_path, "serve", "--port", "0", **(settings(tmp_path) | more)) as running,
    ):
        assert await running.ends(within=10) == 1
        assert "port-in-use" in running.text
        assert "BRIDGE_ADMIN_PORT=" in running.text
