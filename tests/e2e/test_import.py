"""An import: rows as events of the source `import`, behind everybody, never many at once, once each."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import httpx
import orjson

from bridge.receive.importing import MOST_AT_ONCE, MOST_PENDING
from tests.e2e.test_health_and_api import ADMIN, WITH_ADMIN, problem
from tests.harness import APP_ID, Rig, rig, signature

MAPPING = """
version: 1
push: {platforms: {exclude: [ios]}}
rules:
  - name: profile
    when: type = "identify"
    do: {update_user: {tags: {tier: "{{ traits.tier }}", of: "{{ source }}"}}}
  - name: hello
    when: type = "identify"
    do: {send_notification: {contents: hello}}
"""


def rows(first: int, count: int, **more: Any) -> list[dict[str, Any]]:
    return [
        {
            "type": "identify",
            "userId": f"u{n}",
            "messageId": f"import-f-{n}",
            "replay": True,
            "traits": {"tier": f"t{n}"},
        }
        | more
        for n in range(first, first + count)
    ]


async def post(here: Rig, some: list[dict[str, Any]], **headers: str) -> httpx.Response:
    body = orjson.dumps(some)
    return await here.http.post("/api/v1/import", content=body, headers=headers or ADMIN)


def tags(here: Rig, user: str) -> dict[str, str]:
    found = here.sandbox.user(user, app_id=APP_ID)
    assert found is not None
    return found.tags


async def test_a_row_becomes_tags_of_its_user_and_never_a_push(tmp_path: Path) -> None:
    async with rig(tmp_path, MAPPING, **WITH_ADMIN) as here:
        answer = await post(here, rows(1, 3))
        assert answer.json() == {"accepted": 3, "duplicates": 0, "rejected": [], "pending": 3}
        await here.settle()
        assert tags(here, "u2") == {"tier": "t2", "of": "import"}
        assert {call.method for call in here.sandbox.calls} <= {"PATCH", "POST"}
        assert [call for call in here.sandbox.calls if call.path == "/notifications"] == []
        story = await here.http.get(
            "/api/v1/explain", params={"message_id": "import-f-2"}, headers=ADMIN
        )
        assert [one["source"] for one in story.json()["events"]] == ["import"]


async def test_what_was_imported_before_is_a_duplicate(tmp_path: Path) -> None:
    async with rig(tmp_path, MAPPING, **WITH_ADMIN) as here:
        await post(here, rows(0, 10))
        again = (await post(here, rows(5, 10))).json()
        assert (again["accepted"], again["duplicates"]) == (5, 5)
        await here.settle()


async def test_a_value_that_was_said_since_the_file_was_written_stays(tmp_path: Path) -> None:
    async with rig(tmp_path, MAPPING, **WITH_ADMIN) as here:
        await here.post({"type": "identify", "userId": "u1", "traits": {"tier": "new"}})
        await post(here, rows(1, 1, timestamp="2020-01-01T00:00:00Z"))
        await here.settle()
        assert tags(here, "u1")["tier"] == "new"


async def test_no_more_than_so_many_rows_wait_and_the_next_wait_for_room(tmp_path: Path) -> None:
    async with rig(tmp_path, MAPPING, **WITH_ADMIN) as here:
        here.means.destination.hold(60)
        for first in range(0, MOST_PENDING, MOST_AT_ONCE):
            assert (await post(here, rows(first, MOST_AT_ONCE))).status_code == 200
        asked = asyncio.ensure_future(post(here, rows(MOST_PENDING, 1)))
        await here.pass_time(30)
        full = await asked
        assert problem(full) == (429, "import-full")
        assert (await here.bridge.journal.counts()).pending == MOST_PENDING
        asked = asyncio.ensure_future(post(here, rows(MOST_PENDING, 1)))
        await here.pass_time(19)
        assert not asked.done()
        await here.settle()
        assert (await post(here, rows(MOST_PENDING, 1))).status_code == 200
        await asked
        await here.settle()


async def test_who_may_not_and_what_is_no_import_is_refused(tmp_path: Path) -> None:
    async with rig(tmp_path, MAPPING, **WITH_ADMIN) as here:
        assert problem(await post(here, rows(0, 1), authorization="Bearer no"))[0] == 401
        too_many = await post(here, rows(0, MOST_AT_ONCE + 1))
        assert problem(too_many) == (413, "too-many-events")
        broken = await here.http.post("/api/v1/import", content=b"{", headers=ADMIN)
        assert problem(broken) == (400, "not-json")
        large = await here.http.post("/api/v1/import", content=b" " * 8_000_001, headers=ADMIN)
        assert problem(large) == (413, "too-large")
        assert (await here.bridge.journal.counts()).pending == 0


async def test_nobody_posts_to_an_import_from_outside(tmp_path: Path) -> None:
    async with rig(tmp_path, MAPPING, **WITH_ADMIN) as here:
        raw = orjson.dumps(rows(0, 1)[0])
        signed = {"x-signature": signature(raw)}
        answer = await here.http.post("/v1/segment/import", content=raw, headers=signed)
        assert answer.status_code == 404


async def test_with_several_sources_it_says_what_is_missing(tmp_path: Path) -> None:
    async with rig(tmp_path, MAPPING, sources=("web", "app"), **WITH_ADMIN) as here:
        assert problem(await post(here, rows(0, 1))) == (409, "import-undecided")
