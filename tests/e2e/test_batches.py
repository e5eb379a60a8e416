"""A batch is read one event at a time where it can be told apart, and as a whole where it cannot: nobody sees which."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson
import pytest

from bridge.receive.webhook import MAX_ELEMENTS
from tests.harness import Rig, identify, rig, signature, track

MAPPING = """
version: 1
rules:
  - name: profile
    when: type = "identify"
    do: {update_user: {tags: {tier: "{{ traits.tier }}"}}}
  - name: gold
    when: type = "identify" and traits.tier = "gold"
    do: {update_user: {tags: {gold: "yes"}}}
"""
UNSIGNED: dict[str, Any] = {"segment_secrets": (), "segment_unsigned": "allow"}


async def posted(here: Rig, *elements: bytes) -> dict[str, Any]:
    headers = {"x-signature": signature(elements[0])}
    body = b"[%b]" % b",".join(elements)
    answer = await here.http.post("/v1/segment", content=body, headers=headers)
    told: dict[str, Any] = answer.json()
    return told


async def kept(here: Rig) -> list[tuple[str, bytes | None]]:
    events = await here.bridge.journal._read(
        lambda connection: connection.execute(
            "SELECT message_id, payload FROM event ORDER BY seq"
        ).fetchall()
    )
    return [tuple(event) for event in events]


ONE, OTHER = orjson.dumps(identify("u1", "m1")), orjson.dumps(identify("u2", "m2"))


@pytest.mark.parametrize(
    "odd",
    [
        # All three stand for an event; the second and the third keep the batch from being told apart.
        b'{"messageId":"odd","type":"identify","userId":"u3"}',
        b'{"type":"identify","traits":{"list":[{"type":1},{"type":2}]},"userId":"u3","messageId":"odd"}',
        b'{"type":"identify","userId":"u3","messageId":"odd","traits":{"n":NaN}}',
    ],
)
async def test_each_event_of_a_batch_is_taken_once_however_the_batch_is_read(
    tmp_path: Path, odd: bytes
) -> None:
    async with rig(tmp_path, MAPPING) as here:
        answer = await posted(here, ONE, odd, OTHER)
        assert answer == {"accepted": 3, "duplicates": 0, "rejected": []}
        assert [name for name, _ in await kept(here)] == ["m1", "odd", "m2"]
        assert here.bridge.counting.matched.times == {"profile": 3}
        again = await posted(here, ONE, odd, OTHER)
        assert (again["accepted"], again["duplicates"]) == (0, 3)
        assert here.bridge.counting.matched.times == {"profile": 3}


async def test_events_of_a_batch_are_kept_to_the_byte(tmp_path: Path) -> None:
    spaced = b'{"type": "identify", "userId": "u3", "messageId": "m3", "traits": {"n": 1.50}}'
    async with rig(tmp_path, MAPPING) as here:
        await posted(here, ONE, spaced, OTHER)
        assert await kept(here) == [("m1", ONE), ("m3", spaced), ("m2", OTHER)]


async def test_of_a_batch_the_last_event_that_met_a_rule_is_known_with_what_the_rule_read(
    tmp_path: Path,
) -> None:
    batch = [
        identify("u1", "m1", tier="gold", mail="ann@shop.example"),
        identify("u2", "m2", tier="basic", mail="ben@shop.example"),
        7,
        track("Order Shipped", "u3", "m3"),
        identify("u1", "m1", tier="gold"),
    ]
    async with rig(tmp_path, MAPPING, drop=("traits.mail",)) as here:
        answer = await here.post(batch)
        assert (answer["accepted"], answer["duplicates"]) == (3, 1)
        times, last = here.bridge.counting.matched.take()
        assert times == {"profile": 2, "gold": 1}
        assert {name: one.seq for name, one in last.items()} == {"gold": 1, "profile": 2}
        assert last["gold"].fields["traits"] == {"tier": "gold"}
        assert last["profile"].fields["userId"] == "u2"
        assert last["profile"].fields["source"] == "default"


async def test_very_many_events_that_begin_in_another_way_than_the_first_are_refused(
    tmp_path: Path,
) -> None:
    body = b'[{"b":1},%b]' % b",".join([b'{"a":1}'] * MAX_ELEMENTS)
    async with rig(tmp_path, MAPPING, **UNSIGNED) as here:
        answer = await here.http.post("/v1/segment", content=body)
        assert (answer.status_code, answer.json()["code"]) == (413, "too-many-events")
        assert await kept(here) == []
