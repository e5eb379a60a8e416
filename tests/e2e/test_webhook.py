"""What `POST /v1/segment` answers, and where what it took can be found afterwards."""

from __future__ import annotations

import gzip
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest
from pydantic import SecretStr
from structlog.testing import capture_logs

from bridge.mapping.fql import Fields
from bridge.mapping.rules import Mapping
from tests.harness import SECRET, Rig, identify, rig, signature, signed, track

SHOP = """
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
TOKEN = "a-long-token"
WITH_TOKEN: dict[str, Any] = {"segment_token": SecretStr(TOKEN)}
UNSIGNED: dict[str, Any] = {"segment_secrets": (), "segment_unsigned": "allow"}
PATH = "/v1/segment/default"


async def post(here: Rig, raw: bytes, path: str = PATH, **headers: str) -> httpx.Response:
    """Post these bytes; a header `x_signature` is sent as `x-signature`."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return await here.http.post(path, content=raw, headers=named)


async def events(here: Rig) -> list[tuple[str, str, str | None]]:
    """messageId, type and name of everything that was kept."""
    sql = "SELECT message_id, type, name FROM event ORDER BY seq"
    return await here.bridge.journal._read(lambda db: db.execute(sql).fetchall())


async def dead(here: Rig) -> list[tuple[str, bytes]]:
    return [(one.reason, one.payload or b"") for one in await here.bridge.journal.dead_letters()]


def problem(answer: httpx.Response) -> tuple[int, str]:
    body = answer.json()
    assert body.keys() == {"code", "message"}
    return answer.status_code, body["code"]


# What a body may be


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH"])
@pytest.mark.parametrize("path", [PATH, "/v1/segment"])
async def test_an_event_is_taken_by_every_method_and_at_both_addresses(
    tmp_path: Path, method: str, path: str
) -> None:
    raw, headers = signed(identify("u1", "m1"))
    async with rig(tmp_path, SHOP) as here:
        answer = await here.http.request(method, path, content=raw, headers=headers)
        assert answer.status_code == 200
        assert answer.headers["content-type"] == "application/json"
        assert answer.json() == {
            "accepted": 1,
            "duplicates": 0,
            "rejected": [],
            "note": "rules that may act: profile",
        }
        assert await events(here) == [("m1", "identify", None)]


async def test_a_batch_and_a_wrapped_batch_are_taken_element_by_element(tmp_path: Path) -> None:
    batch = [identify("u1", "m1"), track("Order Shipped", "u2", "m2")]
    wrapped = [{"json": identify("u1", "m3")}, {"json": track("Order Shipped", "u2", "m4")}]
    covered = signature(orjson.dumps(wrapped[0]["json"]))
    async with rig(tmp_path, SHOP) as here:
        assert await here.post(batch) == {"accepted": 2, "duplicates": 0, "rejected": []}
        answer = await post(here, orjson.dumps(wrapped), x_signature=covered)
        assert answer.json() == {"accepted": 2, "duplicates": 0, "rejected": []}
        assert [one[0] for one in await events(here)] == ["m1", "m2", "m3", "m4"]


async def test_an_empty_batch_is_nothing_to_accept(tmp_path: Path) -> None:
    async with rig(tmp_path, SHOP, **UNSIGNED) as here:
        answer = await post(here, b"[]")
        assert (answer.status_code, answer.json()["accepted"]) == (200, 0)


@pytest.mark.parametrize(
    ("encoding", "packed"),
    [
        ("gzip", gzip.compress),
        ("GZIP", gzip.compress),
        ("x-gzip", gzip.compress),
        ("identity", bytes),
    ],
)
async def test_a_signature_covers_the_body_as_it_was_before_packing(
    tmp_path: Path, encoding: str, packed: Any
) -> None:
    raw, headers = signed(identify("u1", "m1"))
    async with rig(tmp_path, SHOP) as here:
        answer = await post(here, packed(raw), content_encoding=encoding, **headers)
        assert answer.status_code == 200
        assert await events(here) == [("m1", "identify", None)]


EVENT = orjson.dumps(identify("u1", "m1"))


@pytest.mark.parametrize(
    ("body", "encoding", "expected"),
    [
        (EVENT, "gzip", (400, "not-gzip")),
        (gzip.compress(EVENT)[:-9], "gzip", (400, "not-gzip")),
        (gzip.compress(EVENT) + gzip.compress(EVENT), "gzip", (400, "not-gzip")),
        (gzip.compress(EVENT) + b"more", "gzip", (400, "not-gzip")),
        (gzip.compress(EVENT), "", (400, "not-json")),
        (gzip.compress(gzip.compress(EVENT)), "gzip", (400, "not-json")),
        (gzip.compress(gzip.compress(EVENT)), "gzip, gzip", (415, "encoding-unsupported")),
        (EVENT, "br", (415, "encoding-unsupported")),
        (b"", "gzip", (400, "not-gzip")),
    ],
)
async def test_a_body_that_is_not_packed_as_it_says_is_refused(
    tmp_path: Path, body: bytes, encoding: str, expected: tuple[int, str]
) -> None:
    async with rig(tmp_path, SHOP, **UNSIGNED) as here:
        assert problem(await post(here, body, content_encoding=encoding)) == expected
        assert await events(here) == []


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", "not-json"),
        (b"{", "not-json"),
        (b"hello", "not-json"),
        (b'{"type":"track"} and more', "not-json"),
        (b'[{"a":NaN},]', "not-json"),
        (b"\xff\xfe{}", "not-json"),
        (b"1", "neither-object-nor-array"),
        (b'"track"', "neither-object-nor-array"),
        (b"null", "neither-object-nor-array"),
        (b"NaN", "neither-object-nor-array"),
    ],
)
async def test_only_what_is_no_json_object_or_array_answers_400(
    tmp_path: Path, body: bytes, code: str
) -> None:
    async with rig(tmp_path, SHOP, **UNSIGNED) as here:
        assert problem(await post(here, body)) == (400, code)


@pytest.mark.parametrize(
    ("value", "kept"),
    [
        (rb'"\ud800"', "�"),
        (b'"\xed\xa0\x80"', "�"),
        (b"NaN", None),
        (b"-Infinity", None),
        (b"1e999", None),
        (b"9" * 400, None),
    ],
)
async def test_what_javascript_writes_and_strict_parsers_refuse_is_taken(
    tmp_path: Path, value: bytes, kept: object
) -> None:
    raw = b'{"type":"identify","userId":"u1","messageId":"m1","traits":{"tier":' + value + b"}}"
    async with rig(tmp_path, SHOP) as here:
        answer = await post(here, raw, x_signature=signature(raw))
        assert answer.json()["accepted"] == 1
        (payload,) = await here.bridge.journal._read(
            lambda db: db.execute("SELECT payload FROM event").fetchone()
        )
        assert json.loads(payload)["traits"]["tier"] == kept


async def test_a_form_answers_415(tmp_path: Path) -> None:
    raw = b"type=track&userId=u1"
    form = "application/x-www-form-urlencoded"
    async with rig(tmp_path, SHOP) as here:
        for kind in (form, f"{form}; charset=utf-8", form.title()):
            answer = await post(here, raw, content_type=kind, x_signature=signature(raw))
            assert problem(answer) == (415, "form-encoded")


# Who may post


async def test_an_unknown_source_answers_404(tmp_path: Path) -> None:
    raw, headers = signed(identify())
    async with rig(tmp_path, SHOP) as here:
        # What stands where a source does may be a token.
        for path in ("/v1/segment/a-token", "/v1/segment/other/a-token"):
            with capture_logs() as logs:
                answer = await post(here, raw, path, **headers)
            assert problem(answer) == (404, "source-unknown")
            assert "a-token" not in answer.text
            assert [line["reason"] for line in logs] == ["source-unknown"]
            assert "a-token" not in repr(logs)


@pytest.mark.parametrize(
    ("path", "headers"),
    [
        (PATH, {"x_bridge_token": TOKEN}),
        (PATH, {"authorization": f"Bearer {TOKEN}"}),
        (PATH, {"authorization": f"bearer  {TOKEN} "}),
        (f"{PATH}/{TOKEN}", {}),
        (f"{PATH}/{TOKEN}", {"x_bridge_token": "wrong"}),
    ],
)
async def test_a_token_is_taken_wherever_segment_can_send_one(
    tmp_path: Path, path: str, headers: dict[str, str]
) -> None:
    async with rig(tmp_path, SHOP, segment_secrets=(), **WITH_TOKEN) as here:
        answer = await post(here, EVENT, path, **headers)
        assert answer.status_code == 200


@pytest.mark.parametrize(
    ("path", "headers"),
    [
        (PATH, {}),
        (PATH, {"x_bridge_token": ""}),
        (PATH, {"x_bridge_token": TOKEN[:-1]}),
        (PATH, {"authorization": f"Basic {TOKEN}"}),
        (PATH, {"authorization": TOKEN}),
        (f"{PATH}/{TOKEN.upper()}", {}),
    ],
)
async def test_a_wrong_token_answers_401_and_repeats_nothing_of_the_request(
    tmp_path: Path, path: str, headers: dict[str, str]
) -> None:
    raw, proof = signed(identify("u-secret", "m-secret"))
    async with rig(tmp_path, SHOP, **WITH_TOKEN) as here:
        answer = await post(here, raw, path, **proof, **headers)
        assert problem(answer) == (401, "token-wrong")
        assert "secret" not in answer.text
        assert TOKEN.lower() not in answer.text.lower()
        assert await events(here) == []


@pytest.mark.parametrize("offered", ["", "zz", "00" * 20, signature(EVENT, "another")])
async def test_a_wrong_signature_answers_401_and_repeats_nothing_of_the_request(
    tmp_path: Path, offered: str
) -> None:
    async with rig(tmp_path, SHOP) as here:
        answer = await post(here, EVENT, x_signature=offered)
        assert problem(answer) == (401, "signature-wrong")
        assert "u1" not in answer.text
        assert await events(here) == []


@pytest.mark.parametrize("offered", ["", "00" * 20])
async def test_a_wrong_signature_beside_the_right_token_asks_segment_to_keep_the_events(
    tmp_path: Path, offered: str
) -> None:
    async with rig(tmp_path, SHOP, **WITH_TOKEN) as here:
        answer = await post(here, EVENT, x_bridge_token=TOKEN, x_signature=offered)
        assert problem(answer) == (503, "signature-mismatch")
        assert answer.headers["retry-after"] == "60"
        assert await events(here) == []


async def test_every_secret_of_a_rotation_is_good(tmp_path: Path) -> None:
    secrets = (SecretStr("new"), SecretStr(SECRET))
    async with rig(tmp_path, SHOP, segment_secrets=secrets) as here:
        for number, secret in enumerate(("new", SECRET)):
            raw, headers = signed(identify("u1", f"m{number}"), secret)
            assert (await post(here, raw, **headers)).status_code == 200
        raw, headers = signed(identify(), "newabc123")
        assert (await post(here, raw, **headers)).status_code == 401


async def test_a_source_that_refuses_batches_takes_one_event_alone_or_in_an_array(
    tmp_path: Path,
) -> None:
    async with rig(tmp_path, SHOP, segment_batches="refuse") as here:
        raw, headers = signed([identify("u1", "m1"), identify("u2", "m2")])
        assert problem(await post(here, raw, **headers)) == (401, "batch-refused")
        assert await events(here) == []
        assert (await here.post([identify("u1", "m1")]))["accepted"] == 1
        assert (await here.post(identify("u1", "m2")))["accepted"] == 1


# What becomes of the elements


async def test_what_is_no_event_is_kept_as_dead_alone_or_in_a_batch(tmp_path: Path) -> None:
    deep = b"[" * 201 + b"]" * 201
    raw = (
        b'[{"type":"identify","userId":"u1","messageId":"m1"},7,"x",null,{"body":"a=1"},%b]' % deep
    )
    async with rig(tmp_path, SHOP) as here:
        covered = signature(b'{"type":"identify","userId":"u1","messageId":"m1"}')
        answer = (await post(here, raw, x_signature=covered)).json()
        assert (answer["accepted"], answer["duplicates"]) == (1, 0)
        codes = [(one["index"], one["code"]) for one in answer["rejected"]]
        assert codes == [
            (1, "not-an-object"),
            (2, "not-an-object"),
            (3, "not-an-object"),
            (4, "form-encoded"),
            (5, "event-too-deep"),
        ]
        alone = await here.post({"body": "a=1&b=x"})
        assert [one["code"] for one in alone["rejected"]] == ["form-encoded"]
        assert alone["accepted"] == 0
        assert await dead(here) == [
            ("not_an_object", b"7"),
            ("not_an_object", b'"x"'),
            ("not_an_object", b"null"),
            ("form_encoded", b'{"body":"a=1"}'),
            ("event_too_deep", deep),
            ("form_encoded", b'{"body":"a=1&b=x"}'),
        ]


async def test_what_is_taken_refused_and_heard_before_is_counted_one_by_one(tmp_path: Path) -> None:
    batch = [identify("u1", "m1"), identify("u2", "m1"), identify("u1", "m1"), 7, 8]
    async with rig(tmp_path, SHOP) as here:
        answer = await here.post(batch)
        assert (answer["accepted"], answer["duplicates"], len(answer["rejected"])) == (1, 2, 2)
        metrics = here.bridge.metrics
        counted = {
            "taken": metrics.events.labels("default", "live"),
            "heard before": metrics.dedupe_hits,
            "dead": metrics.dead.labels("not_an_object"),
            "refused": metrics.refused.labels("default", "not_an_object"),
        }
        assert {name: one._value.get() for name, one in counted.items()} == {
            "taken": 1,
            "heard before": 2,
            "dead": 2,
            "refused": 2,
        }


async def test_the_same_message_id_is_a_duplicate_in_one_batch_and_in_the_next(
    tmp_path: Path,
) -> None:
    async with rig(tmp_path, SHOP) as here:
        first = await here.post([identify("u1", "m1"), identify("u2", "m1"), identify("u1", "m2")])
        assert (first["accepted"], first["duplicates"]) == (2, 1)
        again = await here.post(identify("u1", "m2"))
        assert again == {"accepted": 0, "duplicates": 1, "rejected": [], "note": "heard before"}
        met, _ = here.bridge.counting.matched.take()
        assert met == {"profile": 2}
        assert [one[0] for one in await events(here)] == ["m1", "m2"]


async def test_events_of_segments_own_tester_are_never_duplicates(tmp_path: Path) -> None:
    async with rig(tmp_path, SHOP) as here:
        for _ in range(2):
            answer = await here.post(identify("u1", "segment-test-message-abc"))
            assert (answer["accepted"], answer["duplicates"]) == (1, 0)
        await here.settle()
        assert len(await events(here)) == 2


async def test_without_a_message_id_the_same_bytes_are_the_same_event(tmp_path: Path) -> None:
    event = identify("u1", tier="gold")
    del event["messageId"]
    spaced = json.dumps(event).encode()
    async with rig(tmp_path, SHOP) as here:
        assert (await here.post(event))["accepted"] == 1
        assert (await here.post([event, event | {"userId": "u2"}]))["duplicates"] == 1
        answer = await post(here, spaced, x_signature=signature(spaced))
        assert answer.json()["accepted"] == 1
        ids = [one[0] for one in await events(here)]
        assert len(set(ids)) == 3
        assert all(one.startswith("sha-") and len(one) == 68 for one in ids)


@pytest.mark.parametrize(
    ("event", "note"),
    [
        (track("Order Shipped"), "rules that may act: shipped"),
        (
            track("Order Shiped"),
            "no rule wants this event; the nearest event name in the mapping is Order Shipped",
        ),
        (track("Zebra"), "no rule wants this event"),
        (
            {"order_id": "A-7"},
            "no rule wants this event: it has no `type`. Does the webhook's mapping send the whole event ($.)?",
        ),
        (track("x" * 2_000_000), "no rule wants this event"),
        (identify(""), "skipped: no_external_id"),
        (identify("NULL"), "skipped: blocked_external_id"),
        (
            track("Order Shipped", integrations={"OneSignal": False}),
            "skipped: integration_disabled",
        ),
        (track("Order Shipped", context={"library": "onesignal"}), "skipped: onesignal_echo"),
    ],
    ids=lambda value: value["event"][:20] if isinstance(value, dict) and "event" in value else None,
)
async def test_the_answer_to_one_event_says_what_will_come_of_it(
    tmp_path: Path, event: dict[str, Any], note: str
) -> None:
    async with rig(tmp_path, SHOP) as here:
        assert (await here.post(event))["note"] == note


async def test_the_answer_says_that_a_membership_is_learnt_though_no_rule_acts(
    tmp_path: Path,
) -> None:
    entering = "audience.key = 'vip' and audience.entered = true"
    push = "{send_notification: {contents: hello, platforms: all}}"
    rule = f'{{name: hello, when: "{entering}", do: {push}}}'
    left = track("Audience Exited", properties={"audience_key": "vip", "vip": False})
    async with rig(tmp_path, f"version: 1\nrules: [{rule}]\n") as here:
        assert (await here.post(left))["note"] == (
            "no rule acts on this event; what it says of an audience is remembered"
        )


@pytest.mark.parametrize("path", ["/v1/segment", "/v1/segment/default", "/v1/segment/nobody/token"])
async def test_a_browser_at_the_address_is_told_what_it_is_and_not_whose(
    tmp_path: Path, path: str
) -> None:
    async with rig(tmp_path, SHOP) as here:
        answer = await here.http.get(path)
        assert (answer.status_code, answer.headers["allow"]) == (405, "POST, PUT, PATCH")
        assert answer.json() == {
            "code": "method-not-allowed",
            "message": "This is the address that Segment posts events to.",
        }
        assert (await here.http.delete(path)).status_code == 405


async def test_the_answer_to_a_test_event_says_what_the_nearest_rule_lacks(tmp_path: Path) -> None:
    rule = "{name: cart, when: event = 'Cart' and properties.price >= 50, do: {update_user: {tags: {a: b}}}}"
    async with rig(tmp_path, f"version: 1\nrules:\n  - {rule}\n") as here:
        answer = await here.post(track("Cart", messageId="segment-test-message-1"))
        assert answer["note"] == (
            "no rule wants this event; nearest is cart, which wants properties.price >= 50"
        )
        # To look takes a while, and nobody reads the answers to what is no test.
        assert (await here.post(track("Cart")))["note"] == "no rule wants this event"


async def test_what_nothing_can_use_ends_when_it_is_accepted_and_leaves_no_payload(
    tmp_path: Path,
) -> None:
    async with rig(tmp_path, SHOP) as here:
        await here.post([track("Zebra"), identify("", "m2"), track("Order Shipped", "null", "m3")])
        assert [one[3:] for one in await here.outcomes()] == [
            ("skipped", "no_rule"),
            ("skipped", "no_external_id"),
            ("skipped", "blocked_external_id"),
        ]
        kept = await here.bridge.journal._read(
            lambda db: db.execute("SELECT count(payload) FROM event").fetchone()
        )
        assert kept == (0,)


# Webhook Audiences


CREATE = orjson.dumps({"audienceName": "VIP", "list": "a"})
GET = orjson.dumps({"externalId": "aud-7", "list": "a"})


@pytest.mark.parametrize(
    ("settings", "headers"),
    [
        ({}, {}),
        (WITH_TOKEN, {"x_bridge_token": TOKEN}),
        (WITH_TOKEN | {"segment_secrets": ()}, {"x_bridge_token": TOKEN}),
        (UNSIGNED, {}),
    ],
    ids=["secret", "secret-and-token", "token", "nothing"],
)
async def test_creating_and_getting_an_audience_needs_no_signature_and_keeps_nothing(
    tmp_path: Path, settings: dict[str, Any], headers: dict[str, str]
) -> None:
    async with rig(tmp_path, SHOP, **settings) as here:
        created = [(await post(here, CREATE, **headers)).json() for _ in range(2)]
        assert created[0] == created[1]
        assert created[0]["externalId"].startswith("aud-")
        got = await post(here, GET, **headers)
        assert (got.status_code, got.json()) == (200, {"externalId": "aud-7"})
        assert await events(here) == []


async def test_an_audience_call_needs_the_token_where_there_is_one(tmp_path: Path) -> None:
    async with rig(tmp_path, SHOP, **WITH_TOKEN) as here:
        assert problem(await post(here, CREATE)) == (401, "token-wrong")


async def test_what_is_signed_is_an_event_even_if_it_looks_like_an_audience_call(
    tmp_path: Path,
) -> None:
    async with rig(tmp_path, SHOP) as here:
        answer = await post(here, GET, x_signature=signature(GET))
        assert answer.json()["accepted"] == 1
        assert len(await events(here)) == 1


async def test_a_body_that_nobody_vouches_for_is_not_read_when_it_is_large(tmp_path: Path) -> None:
    async with rig(tmp_path, SHOP) as here:
        for size, status in ((65_536, 200), (65_537, 401)):
            padding = "x" * (size - len(CREATE) - len(',"padding":""'))
            large = CREATE[:-1] + b',"padding":"%b"}' % padding.encode()
            assert len(large) == size
            assert (await post(here, large)).status_code == status
        assert await events(here) == []


async def test_a_batch_is_never_an_audience_call(tmp_path: Path) -> None:
    async with rig(tmp_path, SHOP, **UNSIGNED) as here:
        assert (await post(here, b"[" + CREATE + b"]")).json()["accepted"] == 1
        assert len(await events(here)) == 1


# When it cannot be kept


async def test_a_closed_journal_answers_503_and_asks_to_come_again(tmp_path: Path) -> None:
    raw, headers = signed(identify("u-secret", "m-secret", tier="t-secret"))
    async with rig(tmp_path, SHOP) as here:
        await here.bridge.journal._writer.close()
        with capture_logs() as logs:
            answer = await post(here, raw, **headers)
        assert problem(answer) == (503, "not-durable")
        assert int(answer.headers["retry-after"]) > 0
        assert [line["event"] for line in logs] == ["accept.unavailable", "request.refused"]
        assert "secret" not in repr(logs) + answer.text


async def test_a_full_disk_answers_503_and_the_event_is_taken_when_there_is_room(
    tmp_path: Path,
) -> None:
    event = identify("u1", "m1", tier="x" * 200_000)
    raw, headers = signed(event)
    async with rig(tmp_path, SHOP) as here:
        journal = here.bridge.journal
        await journal._write(lambda db: db.execute("PRAGMA max_page_count = 1").fetchone())
        answer = await post(here, raw, **headers)
        assert problem(answer) == (503, "not-durable")
        assert answer.headers["retry-after"] == "10"
        assert await events(here) == []

        await journal._write(lambda db: db.execute("PRAGMA max_page_count = 100000").fetchone())
        assert await here.post(event) == {
            "accepted": 1,
            "duplicates": 0,
            "rejected": [],
            "note": "rules that may act: profile",
        }


# When we are wrong ourselves


async def test_an_event_that_we_cannot_read_becomes_a_dead_letter_and_stops_no_neighbour(
    tmp_path: Path,
) -> None:
    async with rig(tmp_path, SHOP) as here:
        broken = _failing_for("poison", here.bridge.mappings["default"])
        here.bridge.mappings["default"] = broken
        answer = await here.post([track("poison", "u1"), identify("u2", tier="gold")])
        assert (answer["accepted"], answer["rejected"]) == (2, [])
        await here.settle()
        assert [one[3:] for one in await here.outcomes()] == [
            ("dead", "plan_failed"),
            ("delivered", None),
        ]


def _failing_for(event: str, mapping: Mapping) -> Mapping:
    """The mapping, as if a rule of it had a bug that one event finds."""
    rule = mapping.rules[0]

    def condition(fields: Fields) -> bool:
        if fields.get("event") == event:
            raise ZeroDivisionError
        return rule.condition(fields)

    bad = replace(rule.condition, test=condition, pins={})
    return replace(mapping, rules=(replace(rule, condition=bad), *mapping.rules[1:]))


async def test_an_address_that_ends_in_a_slash_is_not_redirected(tmp_path: Path) -> None:
    raw, headers = signed(track("Order Shipped"))
    async with rig(tmp_path, SHOP) as here:
        answer = await here.http.post("/v1/segment/default/", content=raw, headers=headers)
        assert answer.status_code == 200
        assert answer.json()["accepted"] == 1


async def test_an_element_that_is_no_event_is_one_dead_letter_however_often_it_comes(
    tmp_path: Path,
) -> None:
    batch = [track("Order Shipped"), "nonsense"]
    async with rig(tmp_path, SHOP) as here:
        first, again = await here.post(batch), await here.post(batch)
        assert (first["accepted"], len(first["rejected"])) == (1, 1)
        assert (again["accepted"], again["duplicates"], len(again["rejected"])) == (0, 1, 1)
        assert len(await here.bridge.journal.dead_letters()) == 1
