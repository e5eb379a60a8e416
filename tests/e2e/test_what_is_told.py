"""Logs, errors and metrics: every fault is told, and nobody's data with it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson
import structlog
from pydantic import SecretStr

from tests.harness import Rig, identify, rig, signature, signed, track

MAPPING = """
version: 1
push: {platforms: {exclude: [ios]}, links: ["shop://"]}
rules:
  - name: profile
    when: type = "identify"
    do:
      update_user:
        tags: {tier: "{{ traits.tier }}", email: "{{ traits.email }}", at: "{{ traits.at | unix }}"}
        language: "{{ traits.language }}"
  - name: shipped
    when: event = "Order Shipped"
    do: {send_notification: {contents: "{{ properties.id }} is on its way", app_url: "shop://{{ properties.id }}"}}
"""
SECRETS = ("s3gment-one", "s3gment-two", "t0ken-of-segment", "adm1n-token", "metr1cs-token", "k3y")
PERSONAL = ("user-zq7", "zoe@zq.example", "trait-zq9", "property-zq4", "zq-language")
#: Sent by people who are not who they say they are.
GUESSES = ("guess-zq1", "guess-zq2")
SETTINGS: dict[str, Any] = {
    "segment_secrets": (SecretStr("s3gment-one"), SecretStr("s3gment-two")),
    "segment_token": SecretStr("t0ken-of-segment"),
    "admin_token": SecretStr("adm1n-token"),
    "metrics_token": SecretStr("metr1cs-token"),
    "onesignal_api_key": (SecretStr("k3y"),),
    "max_body": 5000,
}
PERSON = identify(
    "user-zq7",
    "m1",
    email="zoe@zq.example",
    tier="trait-zq9",
    at="trait-zq9",
    language="zq-language",
)
SHIPPED = track("Order Shipped", "user-zq7", "m2", properties={"id": "property-zq4"})


async def everything_goes_wrong(here: Rig) -> list[str]:
    """Post what is refused, rejected, retried and dead; the bodies of all answers."""
    said = []

    async def post(body: Any, path: str = "/v1/segment", **headers: str) -> None:
        raw, proof = signed(body, "s3gment-two")
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        answer = await here.http.post(path, content=raw, headers=proof | named)
        said.append(f"{answer.status_code} {answer.text}")

    token = {"x_bridge_token": "t0ken-of-segment"}
    await post(PERSON)
    await post(PERSON, x_bridge_token="guess-zq1")
    await post(PERSON, "/v1/segment/default/guess-zq1")
    await post(PERSON, "/v1/segment/guess-zq2", **token)
    await post(PERSON, x_signature="guess-zq2", **token)
    await post(PERSON, content_encoding="gzip", **token)
    await post(PERSON, content_encoding="guess-zq2", **token)
    await post(PERSON, content_type="application/x-www-form-urlencoded", **token)
    await post(PERSON | {"more": ["trait-zq9"] * 600}, **token)
    await post("trait-zq9", **token)
    raw = b'{"userId": "user-zq7",'
    answer = await here.http.post(
        "/v1/segment/default/t0ken-of-segment",
        content=raw,
        headers={"x-signature": signature(raw, "s3gment-one")},
    )
    said.append(answer.text)
    await post([PERSON | {"messageId": "m0"}, "trait-zq9", {"body": "zoe@zq.example"}], **token)

    faults = here.sandbox.faults
    faults.script({"match": {"class": "write"}, "answers": [{"status": 503}, {"status": 400}]})
    faults.script({"match": {"class": "send"}, "answers": [{"status": 500}, {"status": 400}]})
    await post([PERSON, SHIPPED], **token)
    await here.settle(within=86_400)

    api = {"authorization": "Bearer adm1n-token"}
    for path in ("/api/v1/dead", "/api/v1/dead/user-zq7", "/api/v1/dead?after=user-zq7"):
        said.append((await here.http.get(path, headers=api)).text)
        said.append((await here.http.get(path)).text)
    said.append((await here.http.get("/metrics")).text)
    return said


async def test_no_secret_and_nobodys_data_is_in_logs_answers_or_metrics(tmp_path: Path) -> None:
    with structlog.testing.capture_logs() as logged:
        async with rig(tmp_path, MAPPING, **SETTINGS) as here:
            said = await everything_goes_wrong(here)
            metrics = await here.http.get(
                "/metrics", headers={"authorization": "Bearer metr1cs-token"}
            )
            shown = (repr(here.bridge), repr(here.bridge.settings))

    # The run did go wrong in every way: otherwise there is nothing to look for.
    statuses = {one[:3] for one in said}
    assert {"200", "400", "401", "404", "413", "415", "503"} <= statuses
    events = {line["event"] for line in logged}
    assert {"request.refused", "elements.rejected", "update.failed", "operation.dead"} <= events
    assert metrics.status_code == 200

    everything = [*map(repr, logged), *said, metrics.text, *shown]
    for private in (*SECRETS, *PERSONAL, *GUESSES):
        assert not [text for text in everything if private in text], private


async def test_one_request_is_one_line_however_many_elements_it_rejects(tmp_path: Path) -> None:
    with structlog.testing.capture_logs() as logged:
        async with rig(tmp_path, MAPPING) as here:
            await here.post([{}, *range(500)])
    lines = [line for line in logged if line["event"] == "elements.rejected"]
    assert lines == [
        {
            "event": "elements.rejected",
            "log_level": "warning",
            "source": "default",
            "reason": "not_an_object",
            "count": 500,
        }
    ]


async def test_a_refused_request_is_told_with_its_reason_and_an_alarm_for_what_waits(
    tmp_path: Path,
) -> None:
    raw = orjson.dumps(PERSON)
    token = {"x-bridge-token": "t0ken-of-segment"}
    with structlog.testing.capture_logs() as logged:
        async with rig(tmp_path, MAPPING, **SETTINGS) as here:
            await here.http.post("/v1/segment", content=raw)
            await here.http.post("/v1/segment/nobody", content=raw)
            await here.http.post("/v1/segment", content=raw, headers=token)
    refused = [line for line in logged if line["event"] == "request.refused"]
    assert [(line["reason"], line["log_level"]) for line in refused] == [
        ("token-wrong", "warning"),
        ("source-unknown", "warning"),
        ("signature-mismatch", "error"),
    ]
