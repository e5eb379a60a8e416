"""The process ends at a named place, the mapping is edited, and another process goes on.

From the commit that writes a send on, only what was written counts: one push, the one first written.
"""

from __future__ import annotations

import re
from collections import Counter
from contextlib import closing
from pathlib import Path
from sqlite3 import connect
from typing import Any

import httpx
import pytest

from bridge.failpoints import STATUS
from tests.harness import APP_ID, SECRET, eventually, signed, track
from tests.processes import command

pytestmark = pytest.mark.slow

MAPPING = """
version: 1
push: {platforms: {exclude: [ios]}}
rules:
  - name: first
    when: event = "Go"
    do:
      update_user: {tags: {went: "{{ properties.to }}"}}
      send_notification: {contents: "first alone"}
  - name: first-group
    when: event = "Go"
    group: 1s
    do: {send_notification: {contents: "first together"}}
  - name: first-event
    when: event = "Go"
    do: {track_custom_event: {name: "first"}}
"""
EDITED = MAPPING.replace("first", "second")
PEOPLE = ["u1", "u2", "u3"]
_SERVING = re.compile(r'"address":\s*"([^"]+)"')
_SANDBOX = re.compile(r"is at (http://\S+)")

#: Place: which version of each of the three is what arrives.
BEFORE = ("send.reached", "send.writing")
AFTER = (
    "send.written",
    "group.sealing",
    "group.sealed",
    "call.leaving",
    "call.leaving:2",
    "call.answered",
    "call.answered:2",
    "send.ending",
    "group.ending",
    "event.finishing",
)


def settings(folder: Path, onesignal: str, mapping: str, **more: str) -> dict[str, str]:
    (folder / "mapping.yaml").write_text(mapping)
    return {
        "BRIDGE_DATABASE_URL": f"sqlite:///{folder}/bridge.db",
        "BRIDGE_MAPPINGS": str(folder / "mapping.yaml"),
        "BRIDGE_SEGMENT_SECRETS": SECRET,
        "BRIDGE_ONESIGNAL_APP_ID": APP_ID,
        "BRIDGE_ONESIGNAL_API_KEY": "os_v2_app_test",
        "BRIDGE_ONESIGNAL_URL": onesignal,
        "BRIDGE_LOG_FORMAT": "json",
    } | more


async def serve_until_it_ends(folder: Path, onesignal: str, place: str) -> None:
    environment = settings(folder, onesignal, MAPPING, BRIDGE_FAIL_AT=place)
    async with command(folder, "serve", "--port", "0", **environment) as running:
        url = f"http://{await running.says(_SERVING)}"
        events = [track("Go", user, f"m-{user}", properties={"to": "shop"}) for user in PEOPLE]
        raw, headers = signed(events)
        async with httpx.AsyncClient(base_url=url) as http:
            assert (await http.post("/v1/segment", content=raw, headers=headers)).status_code == 200
        assert await running.ends(within=30) == STATUS


def waiting(folder: Path) -> int:
    address = f"{(folder / 'bridge.db').as_uri()}?mode=ro"
    sql = (
        "SELECT (SELECT count(*) FROM pending) + (SELECT count(*) FROM send WHERE ended_ms IS NULL)"
    )
    with closing(connect(address, uri=True)) as connection:
        count: int = connection.execute(sql).fetchone()[0]
        return count


async def serve_until_all_is_done(folder: Path, onesignal: str) -> None:
    async with command(
        folder, "serve", "--port", "0", **settings(folder, onesignal, EDITED)
    ) as running:
        await running.says(_SERVING)

        async def look() -> bool | None:
            return True if waiting(folder) == 0 else None

        await eventually(look, within=40, every=0.1)


async def seen(http: httpx.AsyncClient, what: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = (await http.get(f"/sandbox/{what}")).json()[what]
    return found


@pytest.mark.parametrize("place", [*BEFORE, *AFTER])
async def test_one_push_each_and_the_one_first_written(tmp_path: Path, place: str) -> None:
    async with command(tmp_path, "sandbox", "--port", "0") as running:
        url = await running.says(_SANDBOX)
        async with httpx.AsyncClient(base_url=url) as http:
            for user in PEOPLE:
                device = {"external_id": user, "platform": "android", "app_id": APP_ID}
                assert (await http.post("/sandbox/devices", json=device)).status_code == 201
            await serve_until_it_ends(tmp_path, url, place)
            await serve_until_all_is_done(tmp_path, url)
            pushes = await seen(http, "pushes")
            complaints = await seen(http, "complaints")
    got = Counter((push["external_id"], push["text"].partition(" ")[2]) for push in pushes)
    assert got == Counter((user, kind) for user in PEOPLE for kind in ("alone", "together"))
    assert complaints == []
    check_versions(tmp_path, pushes, place)


def check_versions(folder: Path, pushes: list[dict[str, Any]], place: str) -> None:
    """Whose sends were written before the process ended has those, and nobody has both versions."""
    address = f"{(folder / 'bridge.db').as_uri()}?mode=ro"
    with closing(connect(address, uri=True)) as connection:
        written = connection.execute("SELECT recipient, rule FROM send").fetchall()
    versions = {
        user: {rule.partition("-")[0] for one, rule in written if one == user} for user in PEOPLE
    }
    assert all(len(found) == 1 for found in versions.values()), versions
    texts = {
        user: {p["text"].split()[0] for p in pushes if p["external_id"] == user} for user in PEOPLE
    }
    assert texts == versions
    if place in AFTER:
        assert {"first"} in versions.values()


@pytest.mark.parametrize("place", ["user.swept", "user.swept:2", "user.erasing"])
async def test_an_erasure_that_was_interrupted_is_done_at_the_next_start(
    tmp_path: Path, place: str
) -> None:
    async with command(tmp_path, "sandbox", "--port", "0") as running:
        url = await running.says(_SANDBOX)
        environment = settings(tmp_path, url, MAPPING, BRIDGE_FAIL_AT=place)
        async with command(tmp_path, "serve", "--port", "0", **environment) as serving:
            address = f"http://{await serving.says(_SERVING)}"
            events: list[dict[str, Any]] = [
                track("Go", "ann-8812", "m1", properties={"to": "shop-4711"}),
                {"type": "delete", "userId": "ann-8812", "messageId": "m2"},
            ]
            raw, headers = signed(events)
            async with httpx.AsyncClient(base_url=address) as http:
                taken = await http.post("/v1/segment", content=raw, headers=headers)
                assert taken.status_code == 200
            assert await serving.ends(within=30) == STATUS
        await serve_until_all_is_done(tmp_path, url)
        async with httpx.AsyncClient(base_url=url) as http:
            assert await seen(http, "users") == []
            assert await seen(http, "pushes") == []
    with closing(connect(tmp_path / "bridge.db")) as connection:
        trail = connection.execute("SELECT what FROM audit_trail").fetchall()
        assert trail == [("user.erased",)]
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    kept = (tmp_path / "bridge.db").read_bytes()
    assert b"ann-8812" not in kept
    assert b"shop-4711" not in kept
