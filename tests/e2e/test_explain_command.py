"""`segment-bridge explain`: the same story from the running service and from the database."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import orjson
import pytest
from pydantic import SecretStr
from rich.console import Console
from typer.testing import CliRunner

from bridge.cli import app
from bridge.cli.explaining import print_stories
from bridge.cli.server import QuietServer, configuration, listen
from tests.harness import APP_ID, Rig, iso, rig, track

TOKEN = "let-me-in"
MAPPING = """
version: 1
push: {platforms: {exclude: [ios]}}
rules:
  - name: order
    when: event = "Order Shipped" and properties.total > 100
    do: {send_notification: {contents: "{{ properties.item }} is on its way"}}
  - name: other
    when: event = "Other"
    do: {update_user: {tags: {a: b}}}
  - name: big
    when: event = "Order Shipped" and properties.total > 1000
    do: {update_user: {tags: {big: "yes"}}}
"""
STORY = """
2027-01-15 08:00:00  track "Order Shipped"  m1  accepted
  received from source default for app default, live, mapping REVISION
  order send_notification: accepted at 2027-01-15 08:00:00
      accepted by OneSignal
  big: did not act
      its condition is not met: properties.total > 1000 (properties.total is 120)
  about other events: other
  2027-01-15 08:00:00  POST /notifications
""".strip()


def environment(folder: Path, port: int, **more: str) -> dict[str, str]:
    (folder / "mapping.yaml").write_text(MAPPING)
    return {
        "BRIDGE_DATABASE_URL": f"sqlite:///{folder / 'bridge.db'}",
        "BRIDGE_MAPPINGS": str(folder / "mapping.yaml"),
        "BRIDGE_ONESIGNAL_APP_ID": APP_ID,
        "BRIDGE_PORT": str(port),
        **more,
    }


async def run(env: dict[str, str], *arguments: str) -> tuple[int, str]:
    result = await asyncio.to_thread(CliRunner().invoke, app, ["explain", *arguments], env=env)
    return result.exit_code, result.output + str(result.exception or "")


@asynccontextmanager
async def shipped(folder: Path) -> AsyncIterator[Rig]:
    """A bridge that has sent a push to u1."""
    async with rig(folder, MAPPING, admin_token=SecretStr(TOKEN)) as here:
        here.sandbox.add_device("u1", "android", app_id=APP_ID)
        properties = {"item": "Kettle", "total": 120}
        at = iso(here.clock.now_ms())
        await here.post(track("Order Shipped", "u1", "m1", properties=properties, timestamp=at))
        await here.settle()
        yield here


@asynccontextmanager
async def serving(here: Rig) -> AsyncIterator[int]:
    """The bridge at a port of loopback."""
    listening = listen("127.0.0.1", 0)
    server = QuietServer(configuration(here.bridge.app))
    task = asyncio.get_running_loop().create_task(server.serve(sockets=[listening]))
    try:
        yield listening.getsockname()[1]
    finally:
        server.should_exit = True
        await task


def story_of(said: str) -> str:
    """What was printed, but for the mapping's revision and what follows the call's first line."""
    lines = said.splitlines()
    end = next(n for n, line in enumerate(lines) if "POST /notifications" in line) + 1
    return "\n".join(
        line.partition(", mapping ")[0] + ", mapping REVISION" if ", mapping " in line else line
        for line in lines[:end]
    )


async def test_the_service_tells_it_while_it_runs(tmp_path: Path) -> None:
    async with shipped(tmp_path) as here, serving(here) as port:
        env = environment(tmp_path, port, BRIDGE_ADMIN_TOKEN=TOKEN)
        code, said = await run(env, "--user", "u1")
        assert (code, story_of(said)) == (0, STORY)
        assert said.endswith("To ask sends nothing.\n")
        code, said = await run(env, "--message-id", "m1", "--json")
        assert (code, orjson.loads(said)["events"][0]["state"]) == (0, "delivered")
        code, said = await run(env | {"BRIDGE_ADMIN_TOKEN": "wrong"}, "--user", "u1")
        assert code == 1
        assert "admin token" in said


async def test_the_database_tells_it_beside_a_service_that_wants_a_token(tmp_path: Path) -> None:
    async with shipped(tmp_path) as here, serving(here) as port:
        # Its own token is not known here; the file can be read all the same.
        code, said = await run(environment(tmp_path, port), "--user", "u1")
        assert (code, story_of(said)) == (0, STORY)


async def test_the_database_tells_it_when_nothing_runs(tmp_path: Path) -> None:
    async with shipped(tmp_path):
        pass
    env = environment(tmp_path, 1)
    code, said = await run(env, "--user", "u1")
    assert (code, story_of(said)) == (0, STORY)
    before = (tmp_path / "bridge.db").read_bytes()
    code, said = await run(env, "--message-id", "m1", "--payload")
    assert code == 0
    assert '"item":"Kettle"' in said
    assert (tmp_path / "bridge.db").read_bytes() == before


async def test_a_mapping_that_is_broken_spoils_no_more_than_it_must(tmp_path: Path) -> None:
    async with shipped(tmp_path):
        pass
    env = environment(tmp_path, 1)
    (tmp_path / "mapping.yaml").write_text("version: 1\nrules: [{name: x}]\n")
    code, said = await run(env, "--user", "u1")
    assert code == 0
    assert "accepted by OneSignal" in said


async def test_nobody_and_nothing_is_said_so(tmp_path: Path) -> None:
    async with shipped(tmp_path):
        pass
    env = environment(tmp_path, 1)
    code, said = await run(env, "--user", "u2")
    assert code == 1
    assert said.startswith("Nothing was heard of user u2")
    code, said = await run(env, "--message-id", "m2")
    assert code == 1
    assert said.startswith("No event has the messageId m2")
    assert (await run(env))[0] == 2
    assert (await run(env, "--user", "u1", "--message-id", "m1"))[0] == 2


EVENT_KEYS = {
    "seq", "state", "source", "app", "message_id", "type", "event", "received_ms", "event_ms", "rank", "payload",
    "planned_with", "mapping_today", "operations", "left_out", "rules_not_met", "calls", "remarks",
}  # fmt: skip
OPERATION_KEYS = {
    "rule", "operation", "status", "reason", "detail", "words", "at_ms", "http", "attempts", "key", "planned", "todo",
}  # fmt: skip
CALL_KEYS = {
    "at_ms", "operation", "method", "path", "body", "status", "failure", "answer", "took_ms", "events", "key",
}  # fmt: skip


async def test_who_was_erased_is_said_to_have_been(tmp_path: Path) -> None:
    async with shipped(tmp_path) as here:
        here.sandbox.faults.script(
            {"match": {}, "answers": [{"status": 503}], "times": "until_cleared"}
        )
        answer = await here.http.delete(
            "/api/v1/users/u1", headers={"authorization": f"Bearer {TOKEN}"}
        )
        assert answer.status_code == 202
        env = environment(tmp_path, 9)
        asked = "in the app default, was asked for at 2027-01-15 08:00:00 UTC, and is under way."
        said = (await run(env, "--user", "u1"))[1]
        assert f"To erase this user, {asked}" in said
        # That nobody sent it is no fault of a mapping's.
        assert "is not configured any more" not in said
        assert "cannot be planned" not in said
        here.sandbox.faults.clear()
        await here.settle()
    code, said = await run(env, "--user", "u1")
    assert code == 0
    assert said == (
        "This user was erased in the app default, as was asked for at 2027-01-15 08:00:00 UTC: what was before"
        " is kept no more, and what comes late of it is not taken.\n"
    )


async def test_the_json_has_one_shape(tmp_path: Path) -> None:
    async with shipped(tmp_path):
        pass
    _, said = await run(environment(tmp_path, 1), "--user", "u1", "--json")
    found: dict[str, Any] = orjson.loads(said)
    assert set(found) == {"user", "message_id", "now_ms", "events", "more", "erased"}
    (event,) = found["events"]
    assert set(event) == EVENT_KEYS
    assert set(event["operations"][0]) == OPERATION_KEYS
    assert set(event["calls"][0]) == CALL_KEYS
    assert set(event["rules_not_met"][0]) == {"rule", "words", "other_event"}


@pytest.mark.parametrize("width", [40, 60, 120])
async def test_on_a_terminal_nothing_is_cut_and_nothing_is_wider(
    tmp_path: Path, width: int, capsys: pytest.CaptureFixture[str]
) -> None:
    async with shipped(tmp_path):
        pass
    _, said = await run(environment(tmp_path, 1), "--user", "u1", "--json")
    capsys.readouterr()
    console = Console(width=width, force_terminal=True, no_color=True, color_system=None)
    print_stories(orjson.loads(said), console, payload=True)
    shown = capsys.readouterr().out
    assert max(map(len, shown.splitlines())) <= width
    assert "accepted by OneSignal" in shown
    assert APP_ID in "".join(line.strip() for line in shown.splitlines())
