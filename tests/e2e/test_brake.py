"""The brake: pushes stop within a second and stay stopped, tags go on, and nothing is lost."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr
from typer.testing import CliRunner

from bridge.cli import app
from tests.harness import Rig, rig

SHOP = """
version: 1
push: {platforms: {exclude: [ios]}}
rules:
  - name: profile
    when: type = "identify"
    do: {update_user: {tags: {tier: "{{ traits.tier }}"}}}
  - name: shipped
    when: event = "Order Shipped"
    max_age: 30d
    do: {send_notification: {contents: "{{ properties.id }} is on its way"}}
  - name: welcome
    when: event = "Signed Up"
    do: {send_notification: {contents: "Welcome"}}
"""
TOKEN = "let-me-in"
ADMIN = {"authorization": f"Bearer {TOKEN}"}
WITH_ADMIN: dict[str, Any] = {"admin_token": SecretStr(TOKEN)}
ALL = {"what": "pushes"}


async def api(here: Rig, path: str, body: Any = None) -> tuple[int, dict[str, Any]]:
    """POST when there is a body, else GET."""
    method = "GET" if body is None else "POST"
    answer = await here.http.request(method, f"/api/v1/{path}", json=body, headers=ADMIN)
    return answer.status_code, answer.json()


def rule(name: str) -> dict[str, str]:
    return {"what": "rule", "rule": name}


# What is paused --------------------------------------------------------------------------------


async def test_what_is_paused_is_told_and_kept_over_a_restart(tmp_path: Path) -> None:
    async with rig(tmp_path, SHOP, **WITH_ADMIN) as here:
        assert await api(here, "pause") == (200, {"paused": []})
        status, told = await api(here, "pause", rule("shipped"))
        since = here.clock.now_ms()
        assert (status, told["paused"]) == (
            200,
            [{"what": "rule/shipped", "reason": "paused", "since_ms": since}],
        )
        assert here.bridge.brake.paused("shipped")
        assert not here.bridge.brake.paused("welcome")
    async with rig(tmp_path, SHOP, **WITH_ADMIN) as here:
        assert here.bridge.brake.paused("shipped")
        assert (await api(here, "pause"))[1] == told
        assert (await api(here, "resume", rule("shipped")))[0] == 200
    async with rig(tmp_path, SHOP, **WITH_ADMIN) as here:
        assert not here.bridge.brake.paused("shipped")


async def test_pausing_pushes_pauses_every_rule(tmp_path: Path) -> None:
    async with rig(tmp_path, SHOP, **WITH_ADMIN) as here:
        await api(here, "pause", ALL)
        assert here.bridge.brake.paused("shipped")
        assert here.bridge.brake.paused("welcome")
        await api(here, "resume", ALL)
        assert not here.bridge.brake.paused("shipped")


async def test_a_rule_that_does_not_exist_is_said_to_be_a_slip(tmp_path: Path) -> None:
    async with rig(tmp_path, SHOP, **WITH_ADMIN) as here:
        status, told = await api(here, "pause", rule("shiped"))
        assert (status, told["code"]) == (404, "unknown-rule")
        assert "did you mean shipped?" in told["message"]
        assert (await api(here, "pause"))[1] == {"paused": []}


async def test_what_is_not_paused_cannot_be_resumed(tmp_path: Path) -> None:
    async with rig(tmp_path, SHOP, **WITH_ADMIN) as here:
        status, told = await api(here, "resume", ALL)
        assert (status, told["code"]) == (409, "not-paused")


@pytest.mark.parametrize(
    "body", [[], 7, {}, {"what": "rule"}, {"what": "rule", "rule": ""}, {"what": "tags"}]
)
async def test_a_target_that_is_none_changes_nothing(tmp_path: Path, body: Any) -> None:
    async with rig(tmp_path, SHOP, **WITH_ADMIN) as here:
        status, told = await api(here, "pause", body)
        assert (status, told["code"]) == (400, "target-invalid")
        assert (await api(here, "pause"))[1] == {"paused": []}


# Commands --------------------------------------------------------------------------------------


def run(folder: Path, *arguments: str) -> tuple[int, str]:
    env = {"BRIDGE_DATABASE_URL": f"sqlite:///{folder}/bridge.db", "BRIDGE_PORT": "9"}
    result = CliRunner().invoke(app, list(arguments), env=env)
    return result.exit_code, result.output + str(result.exception or "")


async def test_when_nothing_runs_the_commands_change_the_database(tmp_path: Path) -> None:
    import asyncio

    async with rig(tmp_path, SHOP):
        pass
    code, said = await asyncio.to_thread(run, tmp_path, "pause", "rule", "shipped")
    assert code == 0, said
    assert "segment-bridge resume rule shipped" in said
    async with rig(tmp_path, SHOP) as here:
        assert here.bridge.brake.paused("shipped")
    code, said = await asyncio.to_thread(run, tmp_path, "resume", "rule", "shipped")
    assert (code, said) == (0, "Resumed: pushes of the rule shipped. 0 released.\n")
    code, said = await asyncio.to_thread(run, tmp_path, "resume", "pushes")
    assert code == 1
    assert "pushes is not paused" in said


@pytest.mark.parametrize("arguments", [["pushes", "x"], ["rule"], ["tags"]])
def test_a_target_that_is_none_is_a_usage_error(tmp_path: Path, arguments: list[str]) -> None:
    assert run(tmp_path, "pause", *arguments)[0] == 2
