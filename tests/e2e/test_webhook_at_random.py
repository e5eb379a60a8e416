"""Whatever is posted: never a 5xx, and everything that was answered 200 is in exactly one place."""

from __future__ import annotations

import gzip
import json
import tempfile
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from tests.harness import Rig, rig

MAPPING = """
version: 1
identity: {external_id: ["{{ userId }}", "{{ traits.id }}"]}
rules:
  - name: profile
    when: type = "identify" or audience.entered = true
    do: {update_user: {tags: {tier: "{{ traits.tier }}", n: "{{ traits.n | plus: 1 }}"}}}
  - name: odd
    when: match(event, "a*") or contains(properties.a, "b") or length(properties.b) > 1
    do: {update_user: {tags: {a: "{{ properties.a }}"}, language: "{{ context.locale }}"}}
  - name: numbers
    when: properties.n > 3 and typeof(timestamp) = "string"
    do: {update_user: {tags_from: {properties: {include: ["*"]}, audience: {prefix: aud_}}}}
"""
CODES = {200, 400, 413, 415}

leaves = (
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from(
        ["identify", "track", "alias", "delete", "2026-01-01T00:00:00Z", "\ud800", "NULL", "\0"]
    )
)
values = st.recursive(
    leaves,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3)
    ),
    max_leaves=8,
)
names = st.sampled_from(["tier", "n", "a", "b", "id", "vip", "audience_key", "personas", "locale"])
objects = st.dictionaries(names, values, max_size=4)
events = st.fixed_dictionaries(
    {},
    optional={
        "type": st.sampled_from(["identify", "track", "page", "alias", "delete"]) | values,
        "event": st.sampled_from(["abc", "Audience Entered"]) | values,
        "userId": st.sampled_from(["u1", "u2", "NULL"]) | values,
        "anonymousId": values,
        "messageId": st.sampled_from(["m1", "m2", "segment-test-message-1"]) | values,
        "timestamp": st.sampled_from(["2026-01-01T00:00:00Z"]) | values,
        "properties": objects | values,
        "traits": objects | values,
        "context": objects
        | values
        | st.just({"personas": {"computation_key": "vip", "computation_class": "audience"}}),
        "integrations": objects | values,
        "replay": values,
        "externalId": values,
        "audienceName": values,
        "json": values,
    },
)
elements = events | events.map(lambda event: {"json": event}) | values
bodies = st.binary(max_size=60) | (elements | st.lists(elements, max_size=5)).map(
    lambda value: json.dumps(value).encode()
)
headers = st.lists(
    st.tuples(
        st.sampled_from([b"content-type", b"content-encoding", b"content-length", b"x-signature"])
        | st.binary(min_size=1, max_size=8),
        st.sampled_from(
            [b"application/json", b"application/x-www-form-urlencoded", b"gzip", b"identity", b"12"]
        )
        | st.binary(max_size=12),
    ),
    max_size=3,
)


@st.composite
def requests(draw: st.DrawFn) -> tuple[bytes, list[tuple[bytes, bytes]]]:
    body, sent = draw(bodies), draw(headers)
    if draw(st.booleans()):
        return gzip.compress(body), [(b"content-encoding", b"gzip"), *sent]
    return body, sent


async def post(here: Rig, body: bytes, sent: list[tuple[bytes, bytes]]) -> tuple[int, Any]:
    answered: list[Any] = []

    async def receive() -> Any:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: Any) -> None:
        answered.append(message)

    scope = {"type": "http", "method": "POST", "path": "/v1/segment", "query_string": b""}
    await here.bridge.app(scope | {"headers": sent}, receive, send)
    return answered[0]["status"], orjson.loads(answered[1]["body"])


def count(body: bytes, sent: list[tuple[bytes, bytes]]) -> int:
    """The elements of a body that was accepted, as the standard library reads it."""
    if dict(reversed(sent)).get(b"content-encoding", b"").strip().lower() == b"gzip":
        body = gzip.decompress(body)
    value = json.loads(body.decode("utf-8-sig", "surrogatepass"))
    return len(value) if isinstance(value, list) else 1


async def places(here: Rig) -> tuple[int, int, int]:
    """How many events were kept, how many of them are nowhere, and how many are both done and to be done."""
    sql = """
        SELECT count(*), coalesce(sum(is_pending + has_ended = 0), 0), coalesce(sum(is_pending + has_ended = 2), 0)
        FROM (SELECT seq IN (SELECT seq FROM pending) AS is_pending,
                     seq IN (SELECT seq FROM outcome) AS has_ended FROM event)
    """
    kept, lost, both = await here.bridge.journal._read(lambda db: db.execute(sql).fetchone())
    return kept, lost, both


@pytest.mark.slow
@given(posted=st.lists(requests(), min_size=1, max_size=25))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
async def test_whatever_is_posted_is_refused_or_accounted_for(
    posted: list[tuple[bytes, list[tuple[bytes, bytes]]]],
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        async with rig(Path(folder), MAPPING, segment_secrets=(), segment_unsigned="allow") as here:
            kept = refused = 0
            for body, sent in posted:
                status, answer = await post(here, body, sent)
                assert status in CODES, (status, answer)
                if status != 200 or "externalId" in answer:
                    continue
                rejected = len(answer["rejected"])
                told = answer["accepted"] + answer["duplicates"] + rejected
                assert told == count(body, sent)
                kept += answer["accepted"]
                refused += rejected
                # What is no event is kept once, by its bytes, however often it is rejected.
                total, lost, _ = await places(here)
                assert kept + bool(refused) <= total <= kept + refused
                assert lost == 0
            before, *_ = await places(here)
            await here.settle()
            # While an erasure is swept up, what it did is written, and it is not over.
            assert await places(here) == (before, 0, 0)
            assert (await here.bridge.journal.counts()).pending == 0
