"""What `status` says, what the API says is in force, and edits under load and in a real process."""

from __future__ import annotations

import asyncio
import os
import re
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest
from pydantic import SecretStr

from bridge.app import running
from bridge.cli.status import line
from bridge.clock import ManualClock
from bridge.config.load import load_config
from bridge.config.mappings import load_mappings
from bridge.sandbox import create_sandbox
from tests.harness import APP_ID, SECRET, Rig, identify, rig, signed, track
from tests.processes import Command, command

ADMIN = {"authorization": "Bearer let-me-in"}
WITH_ADMIN: dict[str, Any] = {"admin_token": SecretStr("let-me-in")}
MAPPING = """
version: 1
push: {platforms: {exclude: [ios]}}
rules:
  - name: profile
    when: type = "identify"
    do: {update_user: {tags: {tier: "{{ traits.tier }}"}}}
  - name: ping
    when: event = "Ping"
    do: {send_notification: {contents: Ping}}
"""
BAD = "version: 1\nrulez: []\n"


async def status(here: Rig) -> dict[str, Any]:
    answer = await here.http.get("/api/v1/status", headers=ADMIN)
    assert answer.status_code == 200
    found: dict[str, Any] = answer.json()
    return found


# Status


async def test_a_bridge_with_nothing_to_do_is_well(tmp_path: Path) -> None:
    async with rig(tmp_path, MAPPING, **WITH_ADMIN) as here:
        found = await status(here)
        assert (found["well"], found["problems"]) == (True, [])
        assert re.fullmatch(
            r"well \| 0 events/min \| 0 waiting \| 0 held, 0 dead \| gates open"
            r" \| last event: default none since the start \| mapping 1 \([0-9a-f]+\)",
            line(found),
        )


async def test_the_rate_and_the_last_event_of_each_source_are_told(tmp_path: Path) -> None:
    async with rig(tmp_path, MAPPING, sources=("a", "b"), **WITH_ADMIN) as here:
        for number in range(5):
            await here.post(track("Ping", message_id=f"m{number}"), "/v1/segment/a")
        await here.post(track("Ping", message_id="m0"), "/v1/segment/a")
        await here.settle()
        await here.pass_time(30)
        found = await status(here)
        assert found["events_per_minute"] == 5
        assert "last event: a 30 s ago, b none since the start" in line(found)
        await here.pass_time(90)
        assert (await status(here))["events_per_minute"] == 0


@pytest.mark.parametrize(
    ("answer", "problem"),
    [
        (
            {"status": 403, "body": {"errors": ["no"]}},
            "OneSignal refuses the API key of app default (http_403)",
        ),
        ({"status": 400, "body": {"errors": ["no"]}}, "1 dead: http_400 of profile"),
        ({"status": 503}, "the oldest event waits for 20 minutes"),
        (
            {"status": 429, "headers": {"Retry-After": "3000"}},
            "gate default/write held for 1800 s",
        ),
    ],
)
async def test_what_a_person_should_look_at_is_not_well(
    tmp_path: Path, answer: dict[str, Any], problem: str
) -> None:
    async with rig(tmp_path, MAPPING, **WITH_ADMIN) as here:
        here.sandbox.faults.script(
            {"match": {"class": "write"}, "answers": [answer], "times": "until_cleared"}
        )
        await here.post(identify("u1", tier="gold"))
        await here.pass_time(1200)
        found = await status(here)
        assert not found["well"]
        assert problem in found["problems"]
        assert line(found).startswith("NOT WELL: ")


async def test_a_pause_and_an_edit_that_was_refused_are_not_well(tmp_path: Path) -> None:
    async with rig(tmp_path, MAPPING, **WITH_ADMIN) as here:
        await here.bridge.brake.pull("pushes")
        bad = tmp_path / "bad.yaml"
        bad.write_text(BAD)
        environment = {
            "BRIDGE_MAPPINGS": str(bad),
            "BRIDGE_SEGMENT_SECRETS": SECRET,
            "BRIDGE_ONESIGNAL_APP_ID": APP_ID,
            "BRIDGE_ONESIGNAL_API_KEY": "os_v2_app_test",
        }
        here.bridge.reloader.read = lambda: load_config(environment)
        await here.bridge.reloader.reload()
        found = await status(here)
        assert found["problems"][:1] == ["paused: pushes"]
        refused = f"an edit was refused: unknown-field, `rulez` is not a field at {bad}:2:1"
        assert refused in found["problems"]
        mappings = (await here.http.get("/api/v1/mappings", headers=ADMIN)).json()
        (finding,) = mappings["last_refused"]["findings"]
        assert (finding["code"], finding["line"]) == ("unknown-field", 2)
        assert mappings["sources"]["default"]["rules"] == ["profile", "ping"]


async def test_how_long_the_oldest_call_is_out_is_told_of_each_app_that_has_one(
    tmp_path: Path,
) -> None:
    async with rig(tmp_path, MAPPING, **WITH_ADMIN) as here:
        here.sandbox.faults.script(
            {"match": {"class": "write"}, "answers": [{"delay": 60}], "times": 2}
        )
        await here.post(identify("u1", tier="gold"))
        await here.still()
        here.clock.advance(20)
        await here.post(identify("u2", tier="gold"))
        await here.still()
        here.clock.advance(5)
        await here.still()
        found = await status(here)
        assert found["calls_out"] == [{"app": "default", "count": 2, "oldest_seconds": 25.0}]
        assert " | calls out to default: 2, the oldest for 25 s | " in line(found)
        await here.settle()
        assert (await status(here))["calls_out"] == []


async def test_a_call_that_is_given_up_is_not_out(tmp_path: Path) -> None:
    async with rig(tmp_path, MAPPING, **WITH_ADMIN) as here:
        here.sandbox.faults.script({"match": {"class": "write"}, "answers": [{"reset": True}]})
        await here.post(identify("u1", tier="gold"))
        await here.settle()
        here.sandbox.faults.script({"match": {"class": "write"}, "answers": [{"delay": 600}]})
        await here.post(identify("u2", tier="gold"))
        await here.still()
        assert len(here.means.calls_out) == 1
    assert len(here.means.calls_out) == 0


async def test_restraint_is_shown(tmp_path: Path) -> None:
    async with rig(tmp_path, MAPPING, dry_run="yes", only_users=("a", "b"), **WITH_ADMIN) as here:
        found = await status(here)
        assert (found["dry_run"], found["only_users"]) == (True, 2)
        assert line(found).endswith("DRY RUN | ONLY 2 USERS")
        assert found["well"]
        metrics = (await here.http.get("/metrics")).text
        assert "bridge_dry_run 1.0" in metrics
        assert "bridge_only_users 2.0" in metrics


@pytest.mark.parametrize("path", ["/api/v1/status", "/api/v1/mappings"])
async def test_only_the_admin_token_is_answered(tmp_path: Path, path: str) -> None:
    async with rig(tmp_path, MAPPING, **WITH_ADMIN) as here:
        assert (await here.http.get(path)).status_code == 401


# Edits while events come


@asynccontextmanager
async def of_files(folder: Path) -> AsyncIterator[Rig]:
    """A bridge that reads its files again when it is asked to."""
    (folder / "secrets").write_text(SECRET)
    (folder / "key").write_text("os_v2_app_test")
    (folder / "mapping.yaml").write_text(MAPPING)
    environment = {
        "BRIDGE_DATABASE_URL": f"sqlite:///{folder}/bridge.db",
        "BRIDGE_MAPPINGS": str(folder / "mapping.yaml"),
        "BRIDGE_SEGMENT_SECRETS_FILE": str(folder / "secrets"),
        "BRIDGE_ONESIGNAL_APP_ID": APP_ID,
        "BRIDGE_ONESIGNAL_API_KEY_FILE": str(folder / "key"),
        "BRIDGE_ONESIGNAL_URL": "http://onesignal.test",
    }
    config = load_config(environment)
    clock = ManualClock()
    app = create_sandbox(clock=clock, api_keys=["os_v2_app_test"])
    transport = httpx.ASGITransport(app)
    mappings, _ = load_mappings(config)
    async with running(config, mappings, clock=clock, transport=transport) as bridge:
        bridge.reloader.read = lambda: load_config(environment)
        made = Rig(bridge, app.state.sandbox, clock)
        yield made
        await made.http.aclose()


async def test_a_secret_can_be_rotated_while_requests_come_in(tmp_path: Path) -> None:
    async with of_files(tmp_path) as here:

        async def post(number: int, secret: str) -> int:
            raw, headers = signed(track("Ping", message_id=f"{secret}{number}"), secret)
            answer = await here.http.post("/v1/segment/default", content=raw, headers=headers)
            return answer.status_code

        async def rotate(text: str) -> None:
            (tmp_path / "secrets").write_text(text)
            await here.bridge.reloader.reload()

        async def under(text: str, *secrets: str) -> list[int]:
            """The answers to many requests with these secrets while `text` comes into force."""
            work = asyncio.ensure_future(rotate(text))
            answers: list[int] = []
            while not work.done():
                answers += await asyncio.gather(
                    *(post(len(answers) + n, secret) for n, secret in enumerate(secrets))
                )
            await work
            return answers

        assert set(await under(f"new\n{SECRET}", SECRET)) == {200}
        assert await post(9_001, "new") == 200
        assert set(await under("new", "new")) == {200}
        assert await post(9_002, SECRET) == 401


async def test_an_event_is_planned_with_the_mapping_that_is_in_force_when_its_turn_comes(
    tmp_path: Path,
) -> None:
    async with of_files(tmp_path) as here:
        here.means.destination.writes.hold(60)
        await here.post(identify("u1", "m1", tier="gold"))
        await here.still()
        (tmp_path / "mapping.yaml").write_text(MAPPING.replace("{tier:", "{level:"))
        await here.bridge.reloader.reload()
        await here.post(identify("u2", "m2", tier="bronze"))
        await here.settle()
        users = [here.sandbox.user(name, app_id=APP_ID) for name in ("u1", "u2")]
        assert [user and dict(user.tags) for user in users] == [
            {"level": "gold"},
            {"level": "bronze"},
        ]


async def test_a_new_api_key_is_shown_from_the_next_call_on(tmp_path: Path) -> None:
    async with of_files(tmp_path) as here:
        await here.post(identify("u1", "m1", tier="gold"))
        await here.settle()
        here.sandbox.api_keys = frozenset({"os_v2_app_new"})
        await here.post(identify("u2", "m2", tier="gold"))
        await here.pass_time(5)
        assert {gate.closed for gate in here.means.destination.gates} == {"http_403"}
        (tmp_path / "key").write_text("os_v2_app_new\nos_v2_app_test\n")
        await here.bridge.reloader.reload()
        await here.settle(within=120)
        assert [one[3] for one in await here.outcomes()] == ["delivered", "delivered"]


# A real process

_SERVING = re.compile(r'"address":\s*"([^"]+)"')
_LOADED = re.compile(r'("event": "mapping.loaded".*"version": 2|"version": 2.*"mapping.loaded")')
_UNCHANGED = re.compile(r"(mapping\.unchanged)")
_REFUSED = re.compile(r"(mapping\.refused)")


@asynccontextmanager
async def serving(folder: Path) -> AsyncIterator[tuple[Command, dict[str, str]]]:
    (folder / "mapping.yaml").write_text(MAPPING)
    environment = {
        "BRIDGE_DATABASE_URL": f"sqlite:///{folder}/bridge.db",
        "BRIDGE_MAPPINGS": str(folder / "mapping.yaml"),
        "BRIDGE_SEGMENT_SECRETS": SECRET,
        "BRIDGE_ONESIGNAL_APP_ID": APP_ID,
        "BRIDGE_ONESIGNAL_API_KEY": "os_v2_app_test",
        "BRIDGE_ONESIGNAL_URL": "http://127.0.0.1:9",
        "BRIDGE_ADMIN_TOKEN": "let-me-in",
        "BRIDGE_LOG_FORMAT": "json",
    }
    async with command(folder, "serve", "--port", "0", **environment) as server:
        address = await server.says(_SERVING)
        yield server, environment | {"BRIDGE_URL": f"http://{address}"}


async def said(folder: Path, environment: dict[str, str], *arguments: str) -> tuple[int, str]:
    async with command(folder, "status", *arguments, **environment) as asked:
        return await asked.ends(within=20), asked.text


@pytest.mark.slow
async def test_a_hangup_reads_everything_again_and_ends_nothing(tmp_path: Path) -> None:
    async with serving(tmp_path) as (server, environment):
        os.kill(server.process.pid, signal.SIGHUP)
        await server.says(_UNCHANGED)
        (tmp_path / "mapping.yaml").write_text(MAPPING.replace("name: ping", "name: pong"))
        os.kill(server.process.pid, signal.SIGHUP)
        await server.says(_LOADED)
        assert "rule-renamed" in server.text
        code, text = await said(tmp_path, environment)
        assert (code, text.startswith("well | ")) == (0, True)
        assert "mapping 2 (" in text


@pytest.mark.slow
async def test_an_edit_is_noticed_without_a_hangup_and_a_bad_one_makes_status_fail(
    tmp_path: Path,
) -> None:
    async with serving(tmp_path) as (server, environment):
        (tmp_path / "mapping.yaml").write_text(MAPPING + "# edited\n")
        await server.says(_LOADED)
        (tmp_path / "mapping.yaml").write_text(BAD)
        await server.says(_REFUSED)
        code, text = await said(tmp_path, environment, "--json")
        found = orjson.loads(text)
        assert (code, found["well"]) == (1, False)
        (problem,) = found["problems"]
        assert problem.startswith("an edit was refused: unknown-field, `rulez` is not a field at ")
        assert problem.endswith("mapping.yaml:2:1")
        assert found["mappings"]["version"] == 2
        assert server.process.returncode is None


@pytest.mark.slow
async def test_without_a_service_status_reads_the_database_and_is_not_well(tmp_path: Path) -> None:
    async with serving(tmp_path) as (server, environment):
        url = environment.pop("BRIDGE_URL")
        raw, headers = signed(track("Ping", message_id="m1"))
        async with httpx.AsyncClient(base_url=url) as http:
            answer = await http.post("/v1/segment", content=raw, headers=headers)
            assert answer.status_code == 200
        server.process.terminate()
        assert await server.ends(within=20) == 0
    code, text = await said(tmp_path, environment | {"BRIDGE_PORT": "1"})
    assert code == 1
    assert re.match(
        r"NOT WELL: no bridge answers at http://127.0.0.1:1 "
        r"\| 1 waiting, the oldest for \d+ s \| 0 held, 0 dead",
        text,
    )
