"""Real Segment traffic, where a checkout has it beside it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from bridge.segment.body import NotJson, read_body
from bridge.segment.events import Event, read_event
from bridge.segment.signature import Variant, verify

SAMPLES = Path(__file__).resolve().parents[4] / "shared" / "samples"

pytestmark = pytest.mark.skipif(not SAMPLES.is_dir(), reason="no samples of real traffic here")

NOW = 1_795_000_000_000
COVERS = {
    "whole_body": Variant.WHOLE_BODY,
    "first_element": Variant.FIRST_ELEMENT,
    "first_element.json": Variant.FIRST_ELEMENT_JSON,
    "whole_body_minus_extras": Variant.WHOLE_MINUS_EXTRAS,
    "first_element_minus_extras": Variant.FIRST_MINUS_EXTRAS,
    "JSON.stringify(data)": None,  # of a form; not to be had from the body
    None: None,
}


def lines(name: str) -> list[dict[str, Any]]:
    with (SAMPLES / name).open(encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def read(body: bytes) -> list[Event]:
    elements = read_body(body)
    assert not isinstance(elements, NotJson)
    events = [
        read_event(element.value, raw=element.raw, source="s", received_ms=NOW)
        for element in elements
    ]
    found = [event for event in events if isinstance(event, Event)]
    assert len(found) == len(events)
    return found


def test_every_signature_is_accepted_for_what_it_covers() -> None:
    vectors = lines("signature-vectors.ndjson")
    assert len(vectors) > 10
    for vector in vectors:
        body, secret = vector["body"].encode(), vector["secret"].encode()
        found = verify(body, vector["x_signature"], [b"another", secret])
        assert found is COVERS[vector["signature_covers"]], vector["name"]
        assert verify(body, vector["x_signature"], [b"another"]) is None, vector["name"]


def test_every_event_is_read() -> None:
    samples = lines("segment-events.ndjson")
    assert len(samples) > 50
    for sample in samples:
        sent = sample["event"]
        (event,) = read(json.dumps(sent).encode())
        assert event.type == sent.get("type", "")
        assert event.fields.items() >= {"source": "s", "messageId": event.message_id}.items()
        assert event.user_id == (str(sent["userId"]) if sent.get("userId") else None)
        assert "timestamp" not in sent or event.event_ms <= NOW, sample


def test_every_audience_of_engage_is_told() -> None:
    events = [
        read(json.dumps(sample["event"]).encode())[0]
        for sample in lines("segment-events.ndjson")
        if sample["kind"] == "engage-audience"
    ]
    assert events
    for event in events:
        if event.context["personas"].get("computation_key"):
            assert event.audience.class_ in {"audience", "journey_step"}
            assert event.audience.entered in {True, False}


def test_every_webhook_is_split() -> None:
    captures = lines("wire-captures.ndjson")
    webhooks = [capture for capture in captures if not capture["path"].startswith("/v1/")]
    assert webhooks
    for capture in webhooks:
        body = capture["body"].encode()
        if capture["path"] == "/x-form":
            assert isinstance(read_body(body), NotJson)
            continue
        events = read(body)
        assert [event.message_id for event in events] == [f"m{n + 1}" for n in range(len(events))]
        assert all(event.audience.key == "vip" for event in events)


def test_what_the_client_libraries_post_is_json_to_us() -> None:
    for capture in lines("wire-captures.ndjson"):
        if capture["path"].startswith("/v1/"):
            elements = read_body(capture["body"].encode())
            assert not isinstance(elements, NotJson)
            assert [bool(element.value["batch"]) for element in elements] == [True]
