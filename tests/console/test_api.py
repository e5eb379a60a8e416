"""What a page shows and does, a program is told and can do: the same, as the description has it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
import schemathesis

from bridge.console.openapi import document
from tests.console.visiting import SETTINGS, SHOP, TOKENS
from tests.harness import APP_ID, Rig, identify, rig, track

REFUSES = {"match": {"class": "send"}, "answers": [{"status": 400}], "times": 1}
DRAFT = SHOP.replace("is on its way", "has left").replace("price < 20", "price < 50")


class Program:
    """Something that asks the API with the token of a role; every answer is as it is described."""

    def __init__(self, here: Rig, role: str) -> None:
        self._http = here.http
        self._headers = {"authorization": f"Bearer {TOKENS[role]}"}
        self._described: Any = schemathesis.openapi.from_dict(document())

    async def ask(self, method: str, path: str, *, status: int = 200, **more: Any) -> Any:
        answer = await self._http.request(method, path, headers=self._headers, **more)
        assert answer.status_code == status, (path, answer.text[:2000])
        self._check(method, path, answer)
        return answer.json()

    async def get(self, path: str, *, status: int = 200, **query: Any) -> Any:
        return await self.ask("GET", path, status=status, params=query)

    def _check(self, method: str, path: str, answer: httpx.Response) -> None:
        pattern = next(
            one for one in [path, *_patterns(path)] if one in self._described.raw_schema["paths"]
        )
        self._described[pattern][method].validate_response(answer)


def _patterns(path: str) -> list[str]:
    head = path.rpartition("/")[0]
    return [f"{head}/{{{name}}}" for name in ("seq", "source", "external_id", "id", "key")]


@asynccontextmanager
async def shop(folder: Path, mapping: str = SHOP) -> AsyncIterator[Rig]:
    """Something of everything: delivered, dead, held, skipped, reaching nobody."""
    (folder / "shop.yaml").write_text(mapping)
    kept: dict[str, Any] = {"keep_unmatched": timedelta(days=1)}
    async with rig(folder, folder / "shop.yaml", **(SETTINGS | kept)) as here:
        here.sandbox.add_device("u1", "android", app_id=APP_ID)
        await here.post(
            [identify("u1", tier="gold"), track("Order Shipped", "u1", properties={"id": "A1"})]
        )
        await here.settle()
        here.sandbox.faults.script(REFUSES)
        await here.post(track("Order Shipped", "u2", properties={"id": "A2"}))
        await here.settle()
        await here.post([track("Signed Up", user) for user in ("u3", "u4")])
        await here.post(track("Price Dropped", "u1", properties={"sku": "K", "price": 30}))
        await here.post(
            track("Order Shipped", "u5", timestamp="2020-01-01T00:00:00Z", properties={"id": "old"})
        )
        await here.settle()
        yield here


def of_rule(found: dict[str, Any], name: str) -> dict[str, Any]:
    rule: dict[str, Any] = next(one for one in found["rules"] if one["rule"] == name)
    return rule


async def test_rules_say_what_they_did_and_why_they_do_nothing(tmp_path: Path) -> None:
    async with shop(tmp_path) as here:
        found = await Program(here, "operate").get("/api/v1/rules")
        shipped = of_rule(found, "shipped")
        assert (shipped["matched"], shipped["pushed"], shipped["dead"]) == (3, 1, 1)
        assert shipped["skipped"][0]["reason"] == "too_old"
        assert sum(shipped["hours"]) == 3
        assert shipped["push"]["text"] == "old is on its way"
        assert (shipped["push_from"], of_rule(found, "welcome")["held"]) == (7, 1)
        assert of_rule(found, "cheap")["never_matched"]["is_heard"]
        later = await Program(here, "view").get("/api/v1/rules", since_ms=0)
        # Who sees no values sees the push as it is written.
        assert of_rule(later, "shipped")["push"]["text"] == "{{ properties.id }} is on its way"
        await Program(here, "view").get("/api/v1/rules", status=400, since_ms="soon")


async def test_the_overview_counts_what_went_in_and_out_and_names_what_is_wrong(
    tmp_path: Path,
) -> None:
    async with shop(tmp_path) as here:
        program = Program(here, "view")
        found = await program.get("/api/v1/overview")
        assert not found["well"]
        assert {one["key"].partition("/")[0] for one in found["causes"]} == {"dead", "held"}
        assert found["hour"]["events"] == sum(found["hour"]["steps"]["events"]) == 7
        assert (len(found["hour"]["steps"]["calls"]), found["day"]["failed_calls"]) == (60, 1)
        status = await program.get("/api/v1/status")
        assert status["problems"] == found["problems"]


async def test_events_are_listed_narrowed_and_told(tmp_path: Path) -> None:
    async with shop(tmp_path) as here:
        program = Program(here, "operate")
        found = await program.get("/api/v1/events")
        assert [one["seq"] for one in found["events"]] == [7, 6, 5, 4, 3, 2, 1]
        assert (found["next"], found["among"], found["events"][-1]["who"]) == (None, 10_000, "u1")
        for query, seqs in (
            ({"user": "u1"}, [6, 2, 1]),
            ({"user": "nobody"}, []),
            ({"event": "Signed Up"}, [5, 4]),
            ({"state": "dead"}, [3]),
            ({"rule": "shipped", "reason": "too_old"}, [7]),
            ({"type": "identify"}, [1]),
            ({"before": 3}, [2, 1]),
            ({"until_ms": 1}, []),
        ):
            found = await program.get("/api/v1/events", **query)
            assert [one["seq"] for one in found["events"]] == seqs, query
        for query in ({"state": "nice"}, {"nmae": "x"}, {"before": "x"}, {"since_ms": "soon"}):
            refused = await program.get("/api/v1/events", status=400, **query)
            assert refused["code"] == "choice-invalid"
        misspelt = await program.get("/api/v1/events", status=404, rule="shiped")
        assert misspelt["code"] == "unknown-rule"
        assert misspelt["message"].endswith("did you mean shipped?")
        story = await program.get("/api/v1/events/2")
        assert (story["operations"][0]["status"], story["push"]["text"]) == (
            "delivered",
            "A1 is on its way",
        )
        assert story["calls"][0]["status"] == 200
        assert (await program.get("/api/v1/events/99", status=404))["code"] == "no-such-event"
        told = await program.get("/api/v1/explain", message_id="m-Order Shipped-u2")
        assert told["events"][0]["state"] == "dead"


async def test_a_person_is_told_with_devices_when_onesignal_is_asked(tmp_path: Path) -> None:
    async with shop(tmp_path) as here:
        program = Program(here, "operate")
        found = await program.get("/api/v1/users/u1")
        assert [(one["name"], one["value"]) for one in found["tags"]] == [("tier", "gold")]
        assert found["pushes"][0]["push"]["text"] == "A1 is on its way"
        assert found["pushes"][0]["push"]["platforms"].startswith("Android")
        assert (found["is_known"], found["at_onesignal"]) == (True, None)
        asked = await program.get("/api/v1/users/u1", ask="yes")
        assert asked["at_onesignal"] == {
            "devices": [{"kind": "Android", "is_on": True, "model": "Pixel 8"}],
            "problem": None,
        }
        assert not (await program.get("/api/v1/users/nobody"))["is_known"]
        await program.get("/api/v1/users/u1", status=404, app="another")
        await program.get("/api/v1/users/u1", status=400, ask="please")


async def test_who_only_looks_is_told_no_value_of_anybodys(tmp_path: Path) -> None:
    async with shop(tmp_path) as here:
        program = Program(here, "view")
        somebody = await program.get("/api/v1/users/u1")
        assert somebody["tags"][0]["value"] == "•••"
        assert somebody["pushes"][0]["push"] == dict.fromkeys(somebody["pushes"][0]["push"]) | {
            "platforms": "Android and the web; not iPhones, because Segment pushes there",
            "languages": [],
            "buttons": [],
        }
        await program.get("/api/v1/users/u1", status=403, ask="yes")
        assert {one["who"] for one in (await program.get("/api/v1/events"))["events"]} == {"•••"}
        story = await program.get("/api/v1/events/2")
        assert story["push"] is None
        assert story["payload"]["userId"] == "•••"


async def test_what_waits_says_what_to_do_and_shows_the_push_before_anything_acts(
    tmp_path: Path,
) -> None:
    async with shop(tmp_path) as here:
        program = Program(here, "operate")
        dead = await program.get("/api/v1/dead")
        assert dead["advice"]["http_400"]["replan"]
        looked = await program.ask("POST", "/api/v1/dead/replay", json={"dry_run": True})
        assert (looked["count"], looked["push"]["text"]) == (1, "A2 is on its way")
        held = await program.get("/api/v1/held")
        assert "Was it meant?" in held["advice"]["limit"]["todo"]
        looked = await program.ask("POST", "/api/v1/held/release", json={"dry_run": True})
        assert (looked["count"], looked["push"]["text"]) == (1, "Hello you")
        looked = await program.ask(
            "POST", "/api/v1/skipped/replay", json={"dry_run": True, "rule": "shipped"}
        )
        assert (looked["count"], looked["gone"], looked["push"]) == (1, 0, None)


async def test_who_looks_for_events_of_a_misspelt_source_is_told_so(tmp_path: Path) -> None:
    async with shop(tmp_path) as here:
        program = Program(here, "view")
        refused = await program.get("/api/v1/events", status=404, source="defualt")
        assert refused == {
            "code": "unknown-source",
            "message": "There is no source defualt: no setting names it, and none of the newest"
            " events came through it; did you mean default?",
        }
        # It is one whether anything came through it or not.
        found = await program.get("/api/v1/events", source="default", event="Never Heard")
        assert found["events"] == []


async def test_a_source_that_is_configured_no_more_is_one_as_long_as_its_events_are_here(
    tmp_path: Path,
) -> None:
    async with shop(tmp_path) as here:
        here.bridge.config = replace(here.bridge.config, sources={})
        here.bridge.importing = None
        program = Program(here, "view")
        found = await program.get("/api/v1/events", source="default", event="Never Heard")
        assert found["events"] == []
        await program.get("/api/v1/events", status=404, source="import")


async def test_events_are_tried_under_what_runs_and_under_a_draft(tmp_path: Path) -> None:
    async with shop(tmp_path) as here:
        program = Program(here, "view")
        files = await program.get("/api/v1/mappings/default")
        assert files["files"] == [{"name": "shop.yaml", "text": SHOP}]
        event = track("Order Shipped", "u9", properties={"id": "A9"})
        found = await program.ask("POST", "/api/v1/try", json={"event": event})
        line = found["running"][0]["lines"][0]
        assert (line["request"]["path"], line["push"]["text"]) == (
            "/notifications",
            "A9 is on its way",
        )
        assert (found["draft"], found["change"]) == (None, None)
        draft = {"file": "shop.yaml", "text": DRAFT}
        calls = len(here.sandbox.calls)
        found = await program.ask(
            "POST", "/api/v1/try", json={"event": [event, 7], "draft": draft, "newest": 100}
        )
        assert found["draft"]["tried"][0]["lines"][0]["push"]["text"] == "A9 has left"
        assert found["draft"]["tried"][1]["lines"][0]["skip"]["reason"] == "not_an_object"
        assert found["change"]["events"] == 7
        assert {
            rule: one["pushes_more"] + one["pushes_other"]
            for rule, one in found["change"]["changes"].items()
        } == {"cheap": 1, "shipped": 2}
        assert len(here.sandbox.calls) == calls


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"event": "no"}, 400, "choice-invalid"),
        ({"events": []}, 400, "choice-invalid"),
        ({"event": {}, "source": "another"}, 404, "unknown-source"),
        ({"event": {}, "draft": {"file": "../../etc/passwd", "text": ""}}, 404, "no-such-file"),
        ({"event": {}, "draft": {"file": "shop.yaml"}}, 400, "choice-invalid"),
        ({"event": {}, "newest": -1}, 400, "choice-invalid"),
        ({"event": {"a": "x" * 900_000}}, 413, "too-large"),
    ],
)
async def test_what_cannot_be_tried_is_refused(
    tmp_path: Path, body: Any, status: int, code: str
) -> None:
    async with shop(tmp_path) as here:
        refused = await Program(here, "view").ask("POST", "/api/v1/try", json=body, status=status)
        assert refused["code"] == code


async def test_a_draft_that_cannot_run_is_answered_with_its_findings(tmp_path: Path) -> None:
    async with shop(tmp_path) as here:
        draft = {
            "file": "shop.yaml",
            "text": "version: 1\nrules: [{name: a, when: 'event ~ 1', do: {}}]",
        }
        body = {"event": {}, "draft": draft, "newest": 5}
        found = await Program(here, "view").ask("POST", "/api/v1/try", json=body)
        assert (found["draft"]["is_usable"], found["draft"]["tried"], found["change"]) == (
            False,
            None,
            None,
        )
        assert any(one["level"] == "error" and one["line"] for one in found["draft"]["findings"])


async def test_who_did_what_is_told_a_page_at_a_time(tmp_path: Path) -> None:
    async with shop(tmp_path) as here:
        program = Program(here, "operate")
        await program.ask("POST", "/api/v1/pause", json={"what": "pushes"})
        await program.ask("POST", "/api/v1/resume", json={"what": "pushes"})
        found = await program.get("/api/v1/audit")
        assert [(one["who"], one["what"]) for one in found["lines"]] == [
            ("otto", "let leave again"),
            ("otto", "paused"),
        ]
        older = await program.get("/api/v1/audit", before=found["lines"][0]["id"])
        assert [one["what"] for one in older["lines"]] == ["paused"]
        await program.get("/api/v1/audit", status=400, before="x")


async def test_mappings_tell_which_versions_there_were(tmp_path: Path) -> None:
    async with shop(tmp_path) as here:
        found = await Program(here, "view").get("/api/v1/mappings")
        assert [one["source"] for one in found["earlier"]] == ["default"]
        assert found["earlier"][0]["revision"] == found["sources"]["default"]["revision"]
        await Program(here, "view").get("/api/v1/mappings/another", status=404)
