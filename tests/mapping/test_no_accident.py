"""No mapping, however it is written, says who gets a message but by `to` and `platforms`."""

from __future__ import annotations

from typing import Any

import orjson
from hypothesis import HealthCheck, given, settings, strategies as st

from bridge.errors import ConfigurationError, Finding
from bridge.mapping.load import Source, compile_mapping
from bridge.mapping.rules import Mapping
from bridge.mapping.written_push import SendNotification as Written
from bridge.onesignal.operations import Send, SendNotification
from bridge.onesignal.platforms import FLAGS, PLATFORMS
from bridge.onesignal.reserved import reserved
from bridge.onesignal.user_model import send_body, update_requests
from bridge.plan import plan
from bridge.segment.events import Event, read_event

APP, KEY = "8a1b3c4d-0000-4000-8000-000000000001", "0f9a1c5e-8a35-4f0e-9c1c-3a6f5a3e7d11"
OURS = frozenset(
    {"app_id", "idempotency_key", "include_aliases", "include_subscription_ids", "target_channel"}
)

EVIL = st.sampled_from(
    ["app_id", "App_Id", "included_segments", "excluded_segments", "include_aliases", "includeAliases",
     "include_subscription_ids", "include_player_ids", "include_external_user_ids", "filters", "Filters",
     "target_channel", "targetChannel", "email_to", "include_phone_numbers", "idempotency_key",
     "external_id", "isIos", "isios", "is_ios", "isAndroid", "isAnyWeb", "isSafari", "isWP", "include_new",
     "url", "contents", "to", "platforms", "raw", "image", "mutable_content", "new_field", " isIos", "isIos "]
)  # fmt: skip
TEXTS = st.sampled_from(
    ["All", "x", "{{ properties.v }}", "{{ properties.list }}", "{{ properties.object }}", "{{ userId }}",
     "a {{ properties.v }}", "{{ properties.v | upcase }}", "{% if properties.v %}x{% endif %}",
     "https://www.shop.example/{{ properties.v }}", "2026-01-01T00:00:00Z", "9:00AM", "{{ vars.v }}"]
)  # fmt: skip
SCALARS = TEXTS | st.booleans() | st.integers(-5, 200) | st.none()
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(EVIL, inner, max_size=2),
    max_leaves=4,
)
FIELDS = st.sampled_from(sorted(Written.model_fields))
POLICIES = st.sampled_from(
    ["all", *({"exclude": [name]} for name in PLATFORMS), *({"only": [name]} for name in PLATFORMS)]
)
PEOPLE = st.sampled_from(
    [{"external_id": "{{ properties.v }}"}, {"external_id": "{{ userId }}"}, {"external_id": "{{ properties.list }}"},
     {"alias": {"crm": "{{ properties.v }}"}}, {"alias": {"included_segments": "All"}},
     {"subscription_id": "{{ properties.v }}"}, {"included_segments": ["All"]}, ["a", "b"]]
)  # fmt: skip


RIGHT: dict[str, st.SearchStrategy[Any]] = {
    "headings": TEXTS,
    "name": TEXTS,
    "app_url": TEXTS,
    "image": TEXTS,
    "collapse_id": TEXTS,
    "thread_id": TEXTS,
    "ios_badgeCount": TEXTS | st.integers(0, 9),
    "priority": st.sampled_from([5, 10]),
    "content_available": st.booleans(),
    "buttons": st.lists(
        st.fixed_dictionaries({"id": TEXTS, "text": TEXTS}), min_size=1, max_size=3
    ),
    "data": st.dictionaries(EVIL, VALUES, max_size=3),
    "raw": st.dictionaries(st.sampled_from(["mutable_content", "new_field"]), TEXTS, max_size=2),
}


@st.composite
def pushes(draw: st.DrawFn) -> dict[str, Any]:
    """A push that is mostly right, with fields and names in it that must not be."""
    send: dict[str, Any] = {"contents": "Hi"}
    for name in draw(st.lists(st.sampled_from(sorted(RIGHT)), max_size=4, unique=True)):
        send[name] = draw(RIGHT[name])
    match draw(st.sampled_from(["right", "right", "right", "field", "raw", "to"])):
        case "field":
            send[draw(FIELDS | EVIL)] = draw(VALUES)
        case "raw":
            send["raw"] = draw(st.dictionaries(EVIL, VALUES, min_size=1, max_size=2))
        case "to":
            send["to"] = draw(PEOPLE)
        case _:
            pass
    if draw(st.booleans()):
        send["platforms"] = draw(POLICIES)
    return send


@st.composite
def documents(draw: st.DrawFn) -> dict[str, Any]:
    do: dict[str, Any] = {"send_notification": draw(pushes())}
    if draw(st.booleans()):
        do["update_user"] = {
            "tags": draw(st.dictionaries(EVIL, TEXTS, max_size=2)),
            "raw": draw(st.just({}) | st.dictionaries(EVIL, VALUES, max_size=1)),
        }
    if draw(st.booleans()):
        do["track_custom_event"] = {
            "name": draw(TEXTS),
            "properties": draw(st.dictionaries(EVIL, VALUES, max_size=2)),
        }
    push = {"platforms": draw(POLICIES), "links": ["https://www.shop.example/"]}
    rules = [{"name": "r", "when": "true", "do": do}]
    return {"version": 1, "vars": {"v": "x"}, "push": push, "rules": rules}


EVENTS: tuple[dict[str, Any], ...] = (
    {"type": "track", "userId": "u", "properties": {"v": "All", "list": ["a", "b"], "object": {"isIos": True}}},
    {"type": "track", "userId": "u", "properties": {"v": {"included_segments": ["All"]}, "list": [{"app_id": "x"}]}},
    {"type": "track", "userId": "u", "properties": {"v": '","isIos":true,"x":"', "object": {"filters": []}}},
    {"type": "track", "userId": "u", "isIos": True, "filters": [], "properties": {}},
)  # fmt: skip


def compiled(document: dict[str, Any]) -> tuple[Mapping | None, list[Finding]]:
    """The mapping, or None and what is wrong with it."""
    source = Source(name="a.yaml", text=orjson.dumps(document).decode())
    try:
        return compile_mapping([source], serves=PLATFORMS)
    except ConfigurationError as refusal:
        return None, list(refusal.findings)


def event_of(sent: dict[str, Any]) -> Event:
    event = read_event(sent, raw=orjson.dumps(sent), source="default", received_ms=0)
    assert isinstance(event, Event)
    return event


@settings(max_examples=600, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(documents())
def test_no_request_has_a_target_a_flag_or_a_key_of_the_mappings_own(
    document: dict[str, Any],
) -> None:
    mapping, _ = compiled(document)
    for sent in EVENTS if mapping is not None else ():
        assert mapping is not None
        for operation in plan(event_of(sent), mapping).operations:
            if isinstance(operation, SendNotification):
                _is_ours_alone(operation)
            elif isinstance(operation, Send):
                body = orjson.loads(send_body(operation, app_id=APP, key=KEY))
                assert set(body) == {"events"}
                (event,) = body["events"]
                assert set(event) == {
                    "name", "external_id", "timestamp", "idempotency_key", "properties",
                }  # fmt: skip
                assert (event["external_id"], event["idempotency_key"]) == ("u", KEY)
            else:
                for request in update_requests(operation, app_id=APP):
                    assert set(request.body) == {"properties"}
                    properties: Any = request.body["properties"]
                    assert not any(reserved(name) for name in properties)


def _is_ours_alone(send: SendNotification) -> None:
    body = orjson.loads(send_body(send, app_id=APP, key=KEY))
    theirs = {name: value for name, value in body.items() if name not in OURS | FLAGS}
    assert not any(reserved(name) for name in theirs)
    assert (body["app_id"], body["idempotency_key"]) == (APP, KEY)
    flags = {name: value for name, value in body.items() if name in FLAGS}
    if send.to.label == "subscription_id":
        assert body["include_subscription_ids"] == [send.to.id]
        assert not flags
        assert "include_aliases" not in body
    else:
        assert flags == send.flags
        assert True in flags.values()
        assert body["include_aliases"] == {send.to.label: [send.to.id]}
        assert body["target_channel"] == "push"
        assert "include_subscription_ids" not in body


@given(documents())
@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_whatever_is_refused_is_refused_with_a_place(document: dict[str, Any]) -> None:
    _, findings = compiled(document)

    assert all(finding.line == 1 and finding.column for finding in findings)
    assert all(finding.code and finding.message for finding in findings)
