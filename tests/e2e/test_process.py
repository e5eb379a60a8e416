"""The real commands, as processes: started in vain, stopped without work. Faults have a folder of their own."""

from __future__ import annotations

import re
import signal
import socket
from pathlib import Path

import pytest

from tests.harness import APP_ID, SECRET
from tests.processes import command

pytestmark = pytest.mark.slow

_SERVING = re.compile(r'"address":\s*"([^"]+)"')


def settings(folder: Path) -> dict[str, str]:
    return {
        "BRIDGE_DATABASE_URL": f"sqlite:///{folder}/bridge.db",
        "BRIDGE_SEGMENT_SECRETS": SECRET,
        "BRIDGE_ONESIGNAL_APP_ID": APP_ID,
        "BRIDGE_ONESIGNAL_API_KEY": "os_v2_app_test",
        "BRIDGE_ONESIGNAL_URL": "http://127.0.0.1:9",
        "BRIDGE_LOG_FORMAT": "json",
    }


async def test_without_work_it_stops_soon(tmp_path: Path) -> None:
    async with command(tmp_path, "serve", "--port", "0", **settings(tmp_path)) as running:
        await running.says(_SERVING)
        running.process.send_signal(signal.SIGINT)
        assert await running.ends(within=5) == 0


async def refused(folder: Path, *arguments: str, **environment: str) -> str:
    """What a `serve` says that does not start; it ends with 1, without a traceback."""
    async with command(folder, "serve", *arguments, **environment) as running:
        assert await running.ends(within=10) == 1, running.text
        assert "Traceback" not in running.text
        return running.text


async def test_a_port_that_is_taken_is_said_to_be(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        text = await refused(tmp_path, "--port", port, **settings(tmp_path))
    assert "port-in-use" in text
    assert port in text


async def test_everything_wrong_with_the_settings_is_said_at_once(tmp_path: Path) -> None:
    text = await refused(
        tmp_path,
        BRIDGE_PORTT="8080",
        BRIDGE_DRAIN="soon",
        BRIDGE_MAX_BODY="-1",
        BRIDGE_ONESIGNAL_API_KEY_FILE="/nowhere/key",
    )
    for expected in ("BRIDGE_PORTT", "BRIDGE_DRAIN", "BRIDGE_MAX_BODY", "/nowhere/key"):
        assert expected in text


async def test_what_is_missing_is_said_at_once(tmp_path: Path) -> None:
    text = await refused(tmp_path)
    for expected in ("ONESIGNAL_APP_ID", "ONESIGNAL_API_KEY", "SEGMENT_SECRETS"):
        assert f"BRIDGE_{expected}" in text
