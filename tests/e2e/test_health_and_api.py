"""`/livez`, `/readyz`, `/metrics` and `/api/v1`: who may ask, and what they are told."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest
from prometheus_client.parser import text_string_to_metric_families
from pydantic import SecretStr

from bridge.journal.sqlite import open_sqlite
from bridge.receive import health
from tests.harness import Rig, identify, rig, signature, track

MAPPING = """
version: 1
push: {platforms: {exclude: [ios]}}
rules:
  - name: profile
    when: type = "identify"
    do: {update_user: {tags: {tier: "{{ traits.tier }}"}}}
  - name: shipped
    when: event = "Order Shipped"
    do: {send_notification: {contents: "{{ properties.id }} is on its way"}}
"""
ADMIN = {"authorization": "Bearer the-admin-token"}
WITH_ADMIN: dict[str, Any] = {"admin_token": SecretStr("the-admin-token")}
REFUSES = {"match": {"class": "write"}, "answers": [{"status": 400}], "times": "until_cleared"}


async def metrics(here: Rig, **headers: str) -> dict[str, float]:
    """Every sample by `name{label=value,…}`."""
    answer = await here.http.get("/metrics", headers=headers)
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/plain")
    return {
        f"{one.name}{{{','.join(f'{k}={v}' for k, v in sorted(one.labels.items()))}}}": one.value
        for family in text_string_to_metric_families(answer.text)
        for one in family.samples
    }


def problem(answer: httpx.Response) -> tuple[int, str]:
    body = answer.json()
    assert body.keys() == {"code", "message"}
    return answer.status_code, body["code"]


# Health


async def test_a_running_bridge_is_alive_and_ready_whatever_onesignal_does(tmp_path: Path) -> None:
    async with rig(tmp_path, MAPPING) as here:
        here.sandbox.faults.script({**REFUSES, "answers": [{"status": 503}]})
        await here.post(identify(tier="gold"))
        await here.still()
        for path in ("/livez", "/readyz"):
            answer = await here.http.get(path)
            assert (answer.status_code, answer.text) == (200, "ok\n")


async def test_a_draining_bridge_is_alive_and_not_ready_and_still_accepts(tmp_path: Path) -> None:
    async with rig(tmp_path, MAPPING) as here:
        here.bridge.drain()
        ready = await here.http.get("/readyz")
        assert (ready.status_code, ready.text) == (503, "draining\n")
        assert (await here.http.get("/livez")).status_code == 200
        assert (await here.post(identify()))["accepted"] == 1
        await here.settle()


async def test_a_broken_journal_is_not_ready(tmp_path: Path) -> None:
    async with rig(tmp_path, MAPPING) as here:
        here.bridge.journal._opened._break("the database failed (SQLITE_IOERR)")
        ready = await here.http.get("/readyz")
        assert (ready.status_code, ready.text) == (503, "the database failed (SQLITE_IOERR)\n")


async def test_metrics_count_what_was_accepted_refused_and_done(tmp_path: Path) -> None:
    async with rig(tmp_path, MAPPING) as here:
        await here.post([identify("u1", "m1", tier="a"), identify("u1", "m1"), track("Zebra"), 7])
        await here.http.post("/v1/segment", content=b"{}", headers={"x-signature": "00"})
        await here.settle()
        found = await metrics(here)
        expected = {
            "bridge_accept_total{result=200}": 1,
            "bridge_accept_total{result=401}": 1,
            "bridge_events_total{rank=live,source=default}": 1,
            "bridge_dedupe_hits_total{}": 1,
            "bridge_refused_total{reason=signature-wrong,source=default}": 1,
            "bridge_refused_total{reason=not_an_object,source=default}": 1,
            "bridge_dead_total{reason=not_an_object}": 1,
            "bridge_rule_events_total{outcome=delivered,reason=,rule=profile}": 1,
            "bridge_rule_events_total{outcome=skipped,reason=no_rule,rule=}": 1,
            "bridge_pending{}": 0,
            "bridge_oldest_pending_seconds{}": 0,
            "bridge_accept_seconds_count{}": 2,
        }
        assert {name: found.get(name) for name in expected} == expected
        assert found["bridge_disk_free_bytes{}"] > 0


async def test_much_that_waits_is_counted_every_few_seconds_and_not_at_every_scrape(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(health, "MANY", 1)
    async with rig(tmp_path, MAPPING) as here:
        here.sandbox.faults.script({**REFUSES, "answers": [{"status": 503}]})
        await here.post(identify("u1", tier="gold"))
        await here.still()
        assert (await metrics(here))["bridge_pending{}"] == 1
        await here.post(identify("u2", tier="gold"))
        await here.still()
        assert (await metrics(here))["bridge_pending{}"] == 1
        await here.pass_time(health.COUNT_SECONDS)
        found = await metrics(here)
        assert found["bridge_pending{}"] == 2
        assert found["bridge_oldest_pending_seconds{}"] >= health.COUNT_SECONDS


async def test_metrics_say_whether_lanes_were_left_in_order(tmp_path: Path) -> None:
    name = "bridge_lane_takeovers_total{clean=%s}"
    async with rig(tmp_path, MAPPING) as here:
        assert not [
            one for one in await metrics(here) if one.startswith("bridge_lane_takeovers_total")
        ]
    async with rig(tmp_path, MAPPING) as here:
        assert (await metrics(here))[name % "yes"] == 256
    journal = open_sqlite(tmp_path / "bridge.db")
    await journal.begin_work()
    await journal.close()
    async with rig(tmp_path, MAPPING) as here:
        assert (await metrics(here))[name % "no"] == 256


async def test_metrics_say_what_shares_a_call_what_is_held_and_how_old_a_push_is(
    tmp_path: Path,
) -> None:
    async with rig(tmp_path, MAPPING, **WITH_ADMIN) as here:
        here.clock.advance(100)
        await here.post(track("Order Shipped", properties={"id": "A1"}))
        await here.settle()
        here.clock.advance(7)
        await here.http.post("/api/v1/pause", json={"what": "pushes"}, headers=ADMIN)
        await here.post(track("Order Shipped", "u2", properties={"id": "A2"}))
        await here.still()
        found = await metrics(here)
        assert found["bridge_held{rule=shipped}"] == 1
        assert found["bridge_last_event_seconds{source=default}"] == 0
        assert found["bridge_lanes_owned{}"] == 256
        assert found["bridge_events_per_call_count{class=send}"] >= 1
        assert found["bridge_commit_seconds_count{}"] == found["bridge_commit_rows_count{}"] > 1
        await here.http.post("/api/v1/resume", json={"what": "pushes"}, headers=ADMIN)
        await here.settle()
        assert "bridge_held{rule=shipped}" not in await metrics(here)


async def test_metrics_say_how_long_the_oldest_event_waits(tmp_path: Path) -> None:
    async with rig(tmp_path, MAPPING) as here:
        here.sandbox.faults.script({**REFUSES, "answers": [{"status": 503}]})
        await here.post(identify(tier="gold"))
        await here.still()
        here.clock.advance(30)
        found = await metrics(here)
        assert found["bridge_pending{}"] == 1
        assert found["bridge_oldest_pending_seconds{}"] == 30
        here.sandbox.faults.clear()
        await here.settle()


async def test_metrics_want_their_token_where_there_is_one(tmp_path: Path) -> None:
    token = SecretStr("the-metrics-token")
    async with rig(tmp_path, MAPPING, metrics_token=token) as here:
        for headers in ({}, {"authorization": "Bearer wrong"}, {"authorization": "Bearer "}, ADMIN):
            answer = await here.http.get("/metrics", headers=headers)
            assert answer.status_code == 401
            assert "bridge_" not in answer.text
        assert "bridge_pending{}" in await metrics(here, authorization="Bearer the-metrics-token")


# Dead letters over the API

DEAD = "/api/v1/dead"


async def dead_update(here: Rig, message_id: str = "m1") -> int:
    """An identify whose update OneSignal refuses; the id of its dead letter."""
    here.sandbox.faults.script(REFUSES)
    await here.post(identify("u1", message_id, tier="gold"))
    await here.settle()
    here.sandbox.faults.clear()
    letters = (await here.http.get(DEAD, headers=ADMIN)).json()["dead"]
    return int(letters[-1]["id"])


@pytest.mark.parametrize(
    ("method", "path"), [("GET", DEAD), ("GET", f"{DEAD}/1"), ("POST", f"{DEAD}/1/replay")]
)
async def test_the_api_answers_nobody_without_the_admin_token(
    tmp_path: Path, method: str, path: str
) -> None:
    async with rig(tmp_path, MAPPING, segment_token=SecretStr("segment")) as here:
        assert problem(await here.http.request(method, path, headers=ADMIN)) == (
            403,
            "admin-token-unset",
        )
    wrong: list[dict[str, str]] = [
        {},
        {"authorization": ""},
        {"authorization": "Bearer "},
        {"authorization": "Bearer segment"},
        {"authorization": "Bearer the-admin-toke"},
        {"x-bridge-token": "the-admin-token"},
    ]
    async with rig(tmp_path, MAPPING, segment_token=SecretStr("segment"), **WITH_ADMIN) as here:
        for headers in wrong:
            answer = await here.http.request(method, path, headers=headers)
            assert problem(answer) == (401, "token-wrong")


async def test_a_list_of_dead_letters_says_what_died_and_nothing_of_what_was_sent(
    tmp_path: Path,
) -> None:
    async with rig(tmp_path, MAPPING, **WITH_ADMIN) as here:
        dead_id = await dead_update(here)
        answer = await here.http.get(DEAD, headers=ADMIN)
        body = answer.json()
        assert answer.headers["content-type"] == "application/json"
        (letter,) = body["dead"]
        assert letter == {
            "id": dead_id,
            "reason": "http_400",
            "rule": "profile",
            "operation": "update_user",
            "app": "default",
            "source": "default",
            "message_id": "m1",
            "event": None,
            "http": 400,
            "attempts": letter["attempts"],
            "died_ms": letter["died_ms"],
        }
        assert body["next"] is None
        assert body["counts"] == [
            {"reason": "http_400", "rule": "profile", "count": 1, "newest": body["dead"][0]["id"]}
        ]
        assert "gold" not in answer.text


async def test_a_dead_letter_shows_the_event_the_request_and_the_answer(tmp_path: Path) -> None:
    async with rig(tmp_path, MAPPING, **WITH_ADMIN) as here:
        dead_id = await dead_update(here)
        letter = (await here.http.get(f"{DEAD}/{dead_id}", headers=ADMIN)).json()
        assert letter["payload"] == identify("u1", "m1", tier="gold")
        assert letter["request"]["method"] == "PATCH"
        assert letter["request"]["body"] == {"properties": {"tags": {"tier": "gold"}}}
        assert letter["uncertain"] is False
        assert isinstance(letter["answer"], str)


async def test_a_replay_does_it_again_once(tmp_path: Path) -> None:
    async with rig(tmp_path, MAPPING, **WITH_ADMIN) as here:
        dead_id = await dead_update(here)
        answer = await here.http.post(f"{DEAD}/{dead_id}/replay", headers=ADMIN)
        assert (answer.status_code, answer.json()) == (200, {"replayed": dead_id})
        await here.settle()
        assert [one[3] for one in await here.outcomes()] == ["delivered"]
        again = await here.http.post(f"{DEAD}/{dead_id}/replay", headers=ADMIN)
        assert problem(again) == (404, "not-dead")
        assert (await here.http.get(DEAD, headers=ADMIN)).json()["dead"] == []


@pytest.mark.parametrize(
    "raw",
    [b"7", b'"text"', b"null", b"[%b1%b]" % (b"[" * 400, b"]" * 400), b"[" * 3000 + b"]" * 3000],
    ids=["number", "text", "null", "deep", "deeper-than-any-parser"],
)
async def test_what_was_never_an_event_is_shown_as_it_came_and_cannot_be_replayed(
    tmp_path: Path, raw: bytes
) -> None:
    body = b"[%b]" % raw
    async with rig(tmp_path, MAPPING, **WITH_ADMIN) as here:
        posted = await here.http.post(
            "/v1/segment", content=body, headers={"x-signature": signature(raw)}
        )
        assert len(posted.json()["rejected"]) == 1
        letter = await here.http.get(f"{DEAD}/1", headers=ADMIN)
        assert letter.status_code == 200
        shown = letter.json()["payload"]
        assert shown == (raw.decode() if len(raw) > 100 else orjson.loads(raw))
        replayed = await here.http.post(f"{DEAD}/1/replay", headers=ADMIN)
        assert problem(replayed) == (409, "not-an-event")


@pytest.mark.parametrize(
    "number", ["0", "-1", "abc", "1.5", "9" * 18, "9" * 19, "9" * 5000, "\u0661"]
)
async def test_an_id_that_no_dead_letter_has_answers_404(tmp_path: Path, number: str) -> None:
    async with rig(tmp_path, MAPPING, **WITH_ADMIN) as here:
        for method, path in (("GET", f"{DEAD}/{number}"), ("POST", f"{DEAD}/{number}/replay")):
            answer = await here.http.request(method, path, headers=ADMIN)
            assert problem(answer) == (404, "not-dead")


@pytest.mark.parametrize("after", ["", "x", "-1", "9" * 30, "%D9%A1"])
async def test_a_page_after_no_id_answers_400(tmp_path: Path, after: str) -> None:
    async with rig(tmp_path, MAPPING, **WITH_ADMIN) as here:
        answer = await here.http.get(f"{DEAD}?after={after}", headers=ADMIN)
        assert problem(answer) == (400, "after-invalid")


async def test_a_long_list_comes_in_pages_and_can_be_narrowed(tmp_path: Path) -> None:
    async with rig(tmp_path, MAPPING, **WITH_ADMIN) as here:
        await here.post([identify(), *range(130)])
        await dead_update(here, "m2")
        seen: list[Any] = []
        after: int | None = 0
        while after is not None:
            page = (await here.http.get(f"{DEAD}?after={after}", headers=ADMIN)).json()
            seen += page["dead"]
            after = page["next"]
        assert len(seen) == len({one["id"] for one in seen}) == 131

        only = (await here.http.get(f"{DEAD}?reason=http_400", headers=ADMIN)).json()["dead"]
        assert [one["message_id"] for one in only] == ["m2"]
        only = (await here.http.get(f"{DEAD}?rule=profile", headers=ADMIN)).json()["dead"]
        assert [one["message_id"] for one in only] == ["m2"]
