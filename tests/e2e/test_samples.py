"""Real Segment traffic through a whole bridge, where a checkout has it beside it."""

from __future__ import annotations

import json
from collections import defaultdict
from pathlib import Path
from typing import Any

import orjson
import pytest

from tests.harness import Rig, rig, signature

SAMPLES = Path(__file__).resolve().parents[3] / "shared" / "samples"

pytestmark = pytest.mark.skipif(not SAMPLES.is_dir(), reason="no samples of real traffic here")

GENEROUS = """
version: 1
push: {platforms: {exclude: [ios]}}
rules:
  - name: track
    when: type = "track"
    do:
      update_user: {tags: {last_event: "{{ event }}"}}
      send_notification: {contents: "{{ event }}"}
  - name: identify
    when: type = "identify"
    do: {update_user: {tags_from: {traits: {include: ["*"]}}}}
  - name: page
    when: type = "page" or type = "screen"
    do: {update_user: {tags: {last_page: "{{ name }}"}}}
  - name: audience
    when: audience.class = "audience"
    do: {update_user: {tags_from: {audience: {prefix: aud_}}}}
"""
RULE_OF_TYPE = {"track": "track", "identify": "identify", "page": "page", "screen": "page"}
NAMED_BY_DESIGN = {400, 401, 413, 415}
UNSIGNED: dict[str, Any] = {"segment_secrets": (), "segment_unsigned": "allow"}


def lines(name: str) -> list[dict[str, Any]]:
    with (SAMPLES / name).open(encoding="utf-8") as file:
        return [json.loads(line) for line in file]


async def post_signed(here: Rig, event: Any) -> tuple[int, Any]:
    raw = orjson.dumps(event)
    answer = await here.http.post(
        "/v1/segment", content=raw, headers={"x-signature": signature(raw)}
    )
    return answer.status_code, answer.json()


async def ends_by_event(here: Rig) -> dict[int, list[tuple[str, str, str | None]]]:
    """Rule, status and reason of every end, by the event's seq."""
    found = defaultdict(list)
    for seq, rule, _operation, status, reason in await here.outcomes():
        found[seq].append((rule, status, reason))
    return found


async def unfinished_sends(here: Rig) -> int:
    sql = "SELECT count(*) FROM call"
    (count,) = await here.bridge.journal._read(lambda db: db.execute(sql).fetchone())
    return int(count)


@pytest.mark.slow
async def test_every_real_event_is_answered_and_every_operation_of_it_ends_once(
    tmp_path: Path,
) -> None:
    samples = lines("segment-events.ndjson")
    assert len(samples) > 50
    types: dict[int, str] = {}
    async with rig(tmp_path, GENEROUS) as here:
        for sample in samples:
            status, answer = await post_signed(here, sample["event"])
            assert status == 200 or status in NAMED_BY_DESIGN, (status, sample)
            if status == 200 and answer["accepted"]:
                types[here.bridge.journal._tail.last_seq] = str(sample["event"].get("type"))
            elif status == 200:
                assert answer["duplicates"] + len(answer["rejected"]) == 1, (answer, sample)
        await here.settle(within=86_400)

        ends = await ends_by_event(here)
        assert ends.keys() == set(range(1, here.bridge.journal._tail.last_seq + 1))
        assert (await here.bridge.journal.counts()).pending == 0
        assert await unfinished_sends(here) == 0
        for seq, kind in types.items():
            rules = {rule for rule, _, _ in ends[seq]}
            assert rules == {""} or RULE_OF_TYPE.get(kind, "audience") in rules, (seq, kind)
        statuses = {status for found in ends.values() for _, status, _ in found}
        assert statuses <= {"delivered", "no_recipients", "skipped"}
        assert "delivered" in statuses


@pytest.mark.parametrize("kind", ["engage-production-capture", "classic-webhook-capture"])
async def test_what_production_sends_is_planned_whatever_its_integrations_say(
    tmp_path: Path, kind: str
) -> None:
    samples = [one["event"] for one in lines("segment-events.ndjson") if one["kind"] == kind]
    assert len(samples) >= 2
    async with rig(tmp_path, GENEROUS) as here:
        sent: dict[int, dict[str, Any]] = {}
        for event in samples:
            status, answer = await post_signed(here, event)
            assert status == 200
            if answer["accepted"]:
                sent[here.bridge.journal._tail.last_seq] = event
        await here.settle(within=86_400)

        assert any(event.get("userId") for event in sent.values())
        ends = await ends_by_event(here)
        for seq, event in sent.items():
            if not event.get("userId"):
                assert ends[seq] == [("", "skipped", "no_external_id")]
                continue
            rules = {rule for rule, _, _ in ends[seq]}
            assert RULE_OF_TYPE[event["type"]] in rules, event
            assert ("audience" in rules) == (kind == "engage-production-capture")
            assert "delivered" in {status for _, status, _ in ends[seq]}


@pytest.mark.parametrize("tampered", [False, True])
async def test_every_signature_is_taken_or_refused_as_what_it_covers_allows(
    tmp_path: Path, *, tampered: bool
) -> None:
    vectors = lines("signature-vectors.ndjson")
    assert len(vectors) > 10
    async with rig(tmp_path, GENEROUS) as here:
        for vector in vectors:
            body = vector["body"].encode()
            sent = vector.get("headers") or {"x-signature": vector["x_signature"]}
            headers = {
                name: value
                for name, value in sent.items()
                if name not in {"host", "connection", "content-length"}
            }
            if tampered:
                headers["x-signature"] = signature(b" " + body)
            answer = await here.http.request(
                vector.get("method", "POST"), "/v1/segment", content=body, headers=headers
            )
            assert answer.status_code == expected(vector, tampered=tampered), vector["name"]
        await here.settle()


def expected(vector: dict[str, Any], *, tampered: bool) -> int:
    if vector["name"] == "x-form":
        return 415
    return 401 if tampered or vector["signature_covers"] is None else 200


async def test_every_real_webhook_is_understood(tmp_path: Path) -> None:
    webhooks = [one for one in lines("wire-captures.ndjson") if one["path"] != "/v1/batch"]
    assert webhooks
    accepted = 0
    async with rig(tmp_path, GENEROUS, **UNSIGNED) as here:
        for capture in webhooks:
            body = capture["body"].encode()
            headers = {
                name.lower(): value
                for name, value in capture["headers"].items()
                if name.lower() not in {"host", "connection", "content-length"}
            }
            answer = await here.http.request(
                capture["method"], "/v1/segment", content=body, headers=headers
            )
            if headers["content-type"] == "application/x-www-form-urlencoded":
                assert answer.status_code == 415
                continue
            result = answer.json()
            assert (answer.status_code, result["rejected"]) == (200, [])
            value = json.loads(body)
            told = result["accepted"] + result["duplicates"]
            assert told == (len(value) if isinstance(value, list) else 1)
            accepted += result["accepted"]
        await here.settle()
        # They are the same one or two events, sent in every way there is.
        assert accepted == len(await ends_by_event(here)) == 2
