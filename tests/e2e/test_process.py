"""The real commands, as processes: killed, stopped, started twice, misconfigured."""

from __future__ import annotations

import asyncio
import itertools
import re
import signal
import socket
import sqlite3
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest

from bridge.clock import SystemClock
from tests.harness import APP_ID, SECRET, eventually, identify, signed, track
from tests.processes import Command, command

pytestmark = pytest.mark.slow

MAPPING = """
version: 1
push: {platforms: {exclude: [ios]}, cap: {max: 7, per: 1s}}
rules:
  - name: profile
    when: type = "identify"
    do: {update_user: {tags: {tier: "{{ traits.tier }}"}}}
  - name: ping
    when: event = "Ping"
    do: {send_notification: {contents: "{{ messageId }}"}}
"""
USERS = [f"u{n}" for n in range(400)]
"""So many that nobody gets more pushes than a person may."""
_SERVING = re.compile(r'"address":\s*"([^"]+)"')
_SANDBOX = re.compile(r"is at (http://\S+)")


def settings(folder: Path, onesignal: str, **more: str) -> dict[str, str]:
    (folder / "mapping.yaml").write_text(MAPPING)
    return {
        "BRIDGE_DATABASE_URL": f"sqlite:///{folder}/bridge.db",
        "BRIDGE_MAPPINGS": str(folder / "mapping.yaml"),
        "BRIDGE_SEGMENT_SECRETS": SECRET,
        "BRIDGE_ONESIGNAL_APP_ID": APP_ID,
        "BRIDGE_ONESIGNAL_API_KEY": "os_v2_app_test",
        "BRIDGE_ONESIGNAL_URL": onesignal,
        "BRIDGE_LOG_FORMAT": "json",
    } | more


@asynccontextmanager
async def serving(folder: Path, onesignal: str) -> AsyncIterator[tuple[Command, str]]:
    """A bridge that serves, and its address."""
    async with command(folder, "serve", "--port", "0", **settings(folder, onesignal)) as running:
        yield running, f"http://{await running.says(_SERVING)}"


@asynccontextmanager
async def sandbox(folder: Path) -> AsyncIterator[httpx.AsyncClient]:
    """A sandbox with a phone for everybody; asked through the client."""
    async with command(folder, "sandbox", "--port", "0") as running:
        url = await running.says(_SANDBOX)
        async with httpx.AsyncClient(base_url=url) as http:
            for user in USERS:
                device = {"external_id": user, "platform": "android", "app_id": APP_ID}
                assert (await http.post("/sandbox/devices", json=device)).status_code == 201
            yield http


@dataclass
class Sender:
    """Posts events as Segment does, and knows which ones were answered 200."""

    numbers: Callable[[], int]
    acknowledged: list[str] = field(default_factory=list)

    async def post(self, http: httpx.AsyncClient) -> bool:
        number = self.numbers()
        message_id = f"m{number}"
        if number % 10:
            event = track("Ping", USERS[number % len(USERS)], message_id)
        else:
            # In turn, because a user is written to once a second.
            event = identify(USERS[number // 10 % len(USERS)], message_id, tier=str(number))
        raw, headers = signed(event)
        try:
            answer = await http.post("/v1/segment", content=raw, headers=headers)
        except httpx.TransportError:
            return False
        if answer.status_code == 200:
            self.acknowledged.append(message_id)
        return answer.status_code == 200

    async def load(self, url: str, *, pause: float = 0.02) -> None:
        """Post until nobody answers any more."""
        async with httpx.AsyncClient(base_url=url) as http:
            while await self.post(http):
                await SystemClock().sleep(pause)


def rows(folder: Path, sql: str) -> list[Any]:
    address = f"{(folder / 'bridge.db').as_uri()}?mode=ro"
    with closing(sqlite3.connect(address, uri=True)) as connection:
        return connection.execute(sql).fetchall()


async def settled(folder: Path) -> None:
    async def look() -> bool | None:
        return True if rows(folder, "SELECT count(*) FROM pending") == [(0,)] else None

    await eventually(look, within=60, every=0.2)


async def check(folder: Path, http: httpx.AsyncClient, sender: Sender) -> None:
    """Nothing acknowledged is lost, and nobody was pushed twice."""
    sql = "SELECT message_id, status FROM event JOIN outcome USING (seq)"
    outcomes = dict(rows(folder, sql))
    assert set(sender.acknowledged) <= outcomes.keys()
    assert set(outcomes.values()) == {"delivered"}

    found = (await http.get("/sandbox/pushes", params={"limit": 100_000})).json()["pushes"]
    pushes = Counter(push["text"] for push in found)
    assert set(pushes.values()) == {1}
    pings = {one for one in sender.acknowledged if not one.endswith("0")}
    assert pings <= pushes.keys() <= outcomes.keys()
    complaints = (await http.get("/sandbox/complaints")).json()["complaints"]
    assert complaints == []


# Ends ------------------------------------------------------------------------------------------


async def test_killed_twenty_times_under_load_nothing_is_lost_and_nothing_sent_twice(
    tmp_path: Path,
) -> None:
    async with sandbox(tmp_path) as http:
        await http.post(
            "/sandbox/faults",
            json={
                "match": {"class": "send"},
                "answers": [{"ordinary": True}] * 8 + [{"reset": True, "applied": True}],
                "times": "until_cleared",
            },
        )
        sender = Sender(itertools.count(1).__next__)
        for number in range(20):
            async with serving(tmp_path, str(http.base_url)) as (running, url):
                loads = [asyncio.create_task(sender.load(url)) for _ in range(3)]
                # Not always at the same moment after the start.
                await SystemClock().sleep(0.2 + 0.03 * number)
                running.process.kill()
                await asyncio.gather(*loads)
        async with serving(tmp_path, str(http.base_url)):
            await settled(tmp_path)
        assert len(sender.acknowledged) > 200
        await check(tmp_path, http, sender)


async def test_stopped_under_load_it_ends_well_and_in_time_and_loses_nothing(
    tmp_path: Path,
) -> None:
    async with sandbox(tmp_path) as http:
        slow = {"match": {"class": "send"}, "answers": [{"delay": 1}], "times": "until_cleared"}
        await http.post("/sandbox/faults", json=slow)
        sender = Sender(itertools.count(1).__next__)
        async with serving(tmp_path, str(http.base_url)) as (running, url):
            loads = [asyncio.create_task(sender.load(url)) for _ in range(3)]
            await SystemClock().sleep(1.5)
            async with httpx.AsyncClient(base_url=url) as asking:
                assert (await asking.get("/readyz")).status_code == 200
                before = len(sender.acknowledged)
                running.process.send_signal(signal.SIGTERM)
                await eventually(lambda: unready(asking), within=1, every=0.02)
            assert await running.ends(within=10) == 0
            await asyncio.gather(*loads)
            # It went on taking events while the load balancer looked elsewhere.
            assert len(sender.acknowledged) > before
            assert '"event": "bridge.stopped"' in running.text
            assert "Traceback" not in running.text
        assert rows(tmp_path, "SELECT count(*) FROM pending") != [(0,)]

        await http.delete("/sandbox/faults")
        async with serving(tmp_path, str(http.base_url)):
            await settled(tmp_path)
        await check(tmp_path, http, sender)


async def unready(http: httpx.AsyncClient) -> bool | None:
    return True if (await http.get("/readyz")).status_code == 503 else None


async def test_a_second_signal_ends_it_at_once(tmp_path: Path) -> None:
    async with (
        sandbox(tmp_path) as http,
        serving(tmp_path, str(http.base_url)) as (running, url),
        httpx.AsyncClient(base_url=url) as asking,
    ):
        running.process.send_signal(signal.SIGTERM)
        await eventually(lambda: unready(asking), within=1, every=0.02)
        running.process.send_signal(signal.SIGTERM)
        assert await running.ends(within=5) == 1


async def test_without_work_it_stops_soon(tmp_path: Path) -> None:
    async with serving(tmp_path, "http://127.0.0.1:9") as (running, _):
        running.process.send_signal(signal.SIGINT)
        assert await running.ends(within=5) == 0


# Beginnings ------------------------------------------------------------------------------------


async def refused(folder: Path, *arguments: str, **environment: str) -> str:
    """What a `serve` says that does not start; it ends with 1, without a traceback."""
    async with command(folder, "serve", *arguments, **environment) as running:
        assert await running.ends(within=10) == 1, running.text
        assert "Traceback" not in running.text
        return running.text


async def test_a_second_process_on_the_same_database_is_refused(tmp_path: Path) -> None:
    async with serving(tmp_path, "http://127.0.0.1:9") as (running, url):
        environment = settings(tmp_path, "http://127.0.0.1:9")
        text = await refused(tmp_path, "--port", "0", **environment)
        assert "another process is using the database" in text
        assert str(tmp_path / "bridge.db") in text
        assert running.process.returncode is None
        async with httpx.AsyncClient(base_url=url) as http:
            assert await Sender(itertools.count(1).__next__).post(http)


async def test_a_port_that_is_taken_is_said_to_be(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        environment = settings(tmp_path, "http://127.0.0.1:9")
        text = await refused(tmp_path, "--port", port, **environment)
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


def overwrite(path: Path) -> None:
    with path.open("r+b") as file:
        file.seek(4096)
        file.write(b"\xff" * 8192)


def empty(path: Path) -> None:
    path.write_bytes(b"")


def replace(path: Path) -> None:
    path.write_bytes(b"These are not the bytes of a database. " * 200)


@pytest.mark.parametrize("damage", [overwrite, empty, replace])
async def test_a_damaged_database_is_neither_used_nor_replaced(
    tmp_path: Path, damage: Callable[[Path], None]
) -> None:
    async with serving(tmp_path, "http://127.0.0.1:9") as (running, url):
        async with httpx.AsyncClient(base_url=url) as http:
            assert await Sender(itertools.count(1).__next__).post(http)
        running.process.send_signal(signal.SIGTERM)
        assert await running.ends(within=10) == 0
    path = tmp_path / "bridge.db"
    damage(path)
    before = path.read_bytes()
    text = await refused(tmp_path, "--port", "0", **settings(tmp_path, "http://127.0.0.1:9"))
    assert "bridge.db" in text
    assert "hint" in text
    assert path.read_bytes() == before
