"""One Segment event, however it was sent."""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given, strategies as st

from bridge.onesignal.operations import is_blocked_external_id
from bridge.segment.audience import ReverseEtl
from bridge.segment.events import (
    CLOCK_TOLERANCE_MS,
    Event,
    Rank,
    Unusable,
    is_onesignal_echo,
    parse_timestamp,
    rank_of,
    read_event,
    routed_away,
)
from bridge.segment.ids import id_text

NOW = 1_780_000_000_000
AT = "2026-05-28T20:26:40.000Z"  # the same moment

ANY_TEXT = st.text(st.characters(exclude_categories=()))
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | ANY_TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(ANY_TEXT, inner, max_size=3),
    max_leaves=8,
)
NAMES = [
    "type", "event", "name", "messageId", "userId", "anonymousId", "groupId", "previousId", "replay",
    "timestamp", "context", "properties", "traits", "integrations", "Previous ID", "User ID",
]  # fmt: skip
CONTEXTS = st.fixed_dictionaries(
    {}, optional=dict.fromkeys(["personas", "library", "device", "os", "page", "integration"], JSON)
)
LIKELY = st.fixed_dictionaries(
    {}, optional={**dict.fromkeys(NAMES, JSON), "context": CONTEXTS | JSON}
)


def read(element: object, **more: Any) -> Event | Unusable:
    arguments: dict[str, Any] = {"raw": b"{}", "source": "backend", "received_ms": NOW, **more}
    return read_event(element, **arguments)


def event(sent: dict[str, Any] | None = None, **more: Any) -> Event:
    found = read({"type": "track", "messageId": "m", "timestamp": AT} | (sent or {}), **more)
    assert isinstance(found, Event)
    return found


def refusal(element: object, **more: Any) -> str:
    found = read(element, **more)
    assert isinstance(found, Unusable)
    return found.code


# Reading


def test_an_event_is_read() -> None:
    found = event({"event": "Order Shipped", "userId": "u1", "anonymousId": "a1"})
    assert (found.type, found.name, found.message_id) == ("track", "Order Shipped", "m")
    assert (found.user_id, found.anonymous_id, found.source) == ("u1", "a1", "backend")
    assert (found.event_ms, found.received_ms, found.is_test) == (NOW, NOW, False)


def test_an_event_without_anything_is_an_event_still() -> None:
    found = read({})
    assert isinstance(found, Event)
    assert (found.type, found.name, found.user_id, found.event_ms) == ("", None, None, NOW)


@pytest.mark.parametrize(
    ("sent", "name"),
    [
        ({"type": "track", "event": "A", "name": "B"}, "A"),
        ({"type": "page", "event": "A", "name": "B"}, "B"),
        ({"type": "screen", "name": "B"}, "B"),
        ({"type": None, "event": "A"}, "A"),
        ({"type": "checkout", "event": "A"}, "A"),
        ({"type": "identify"}, None),
        ({"type": "track", "event": {"a": 1}}, None),
    ],
)
def test_the_name_is_the_event_or_the_page(sent: dict[str, Any], name: str | None) -> None:
    assert event(sent).name == name


@pytest.mark.parametrize("kind", ["delete", "Track", "checkout", ""])
def test_types_pass_as_sent(kind: str) -> None:
    assert event({"type": kind}).type == kind


@pytest.mark.parametrize("kind", [None, 7, ["track"], {"track": 1}])
def test_a_type_that_is_no_text_is_none(kind: object) -> None:
    assert event({"type": kind}).type == ""


@pytest.mark.parametrize(
    ("element", "what"),
    [(None, "null"), (True, "a boolean"), (7, "a number"), (0.5, "a number"), ("x", "a string"), ([], "a list")],
)  # fmt: skip
def test_what_is_no_object_is_unusable(element: object, what: str) -> None:
    found = read(element)
    assert isinstance(found, Unusable)
    assert found.code == "not-an-object"
    assert what in found.message


def test_a_form_from_an_extensible_webhook_is_unusable() -> None:
    assert refusal({"body": "type=track&userId=u1"}) == "form-encoded"
    assert event({"body": "a text of one's own"}).type == "track"
    assert isinstance(read({"body": "a text", "userId": "u1"}), Event)


def test_too_deep_an_event_is_unusable_whatever_the_parser_made_of_it() -> None:
    raw = b'{"a":' + b"[" * 200 + b"]" * 200 + b"}"
    assert refusal(None, raw=raw) == refusal(json.loads(raw), raw=raw) == "event-too-deep"
    assert refusal(None) == "not-an-object"


@given(JSON | LIKELY, st.binary(max_size=20))
def test_no_json_makes_reading_raise(element: Any, raw: bytes) -> None:
    found = read(element, raw=raw, reverse_etl=ReverseEtl(mode="upsert", key="vip"))
    if isinstance(found, Unusable):
        assert found.message
        return
    assert found.fields["messageId"] == found.message_id != ""
    assert 0 < found.event_ms <= NOW + CLOCK_TOLERANCE_MS
    assert found.fields["audience"].keys() == {"class", "key", "entered", "value"}
    assert rank_of(found, now_ms=NOW, source_is_bulk=False) in Rank
    assert is_onesignal_echo(found) in {True, False}
    assert routed_away(found) in {True, False}
    for name in ("userId", "anonymousId", "groupId", "previousId"):
        assert name not in found.fields or (
            isinstance(found.fields[name], str) and found.fields[name]
        )


# Ids


@pytest.mark.parametrize(
    ("sent", "text"),
    [
        ("u1", "u1"), (" ", " "), (42, "42"), (-1, "-1"), (1.0, "1"), (1.5, "1.5"), (1e20, "1" + "0" * 20),
        (2**64 - 1, "18446744073709551615"), (-0.0, "0"), ("", None), (None, None), (True, None),
        ([], None), ({"id": 1}, None), (float("nan"), None), (float("inf"), None), (10**400, None),
    ],
)  # fmt: skip
def test_ids_become_text(sent: object, text: str | None) -> None:
    assert id_text(sent) == text
    assert event({"userId": sent}).user_id == text


def test_the_ids_that_conditions_read_are_text_or_left_out() -> None:
    sent = {"userId": 7, "anonymousId": "", "groupId": 8.0, "previousId": None}
    assert event(sent).fields.items() >= {"userId": "7", "groupId": "8"}.items()
    assert not event(sent).fields.keys() & {"anonymousId", "previousId"}


def test_an_alias_may_spell_its_ids_as_the_documentation_does() -> None:
    found = event({"type": "alias", "Previous ID": "old", "User ID": 7})
    assert (found.previous_id, found.user_id) == ("old", "7")
    assert found.fields.items() >= {"previousId": "old", "userId": "7"}.items()
    usual = event(
        {"type": "alias", "previousId": "a", "userId": "b", "Previous ID": "c", "User ID": "d"}
    )
    assert (usual.previous_id, usual.user_id) == ("a", "b")


def test_only_an_alias_may() -> None:
    found = event({"Previous ID": "old", "User ID": "u"})
    assert (found.previous_id, found.user_id) == (None, None)


@pytest.mark.parametrize("sent", [None, "", [], {}, True])
def test_a_missing_message_id_is_made_from_the_bytes(sent: object) -> None:
    raw = b'{"type":"track"}'
    expected = "sha-" + hashlib.sha256(raw).hexdigest()
    assert event({"messageId": sent}, raw=raw).message_id == expected
    assert event({"messageId": sent}, raw=raw + b" ").message_id != expected


def test_a_message_id_may_be_a_number() -> None:
    assert event({"messageId": 12}).message_id == "12"


def test_a_message_id_of_over_100_characters_is_made_shorter_from_itself() -> None:
    assert event({"messageId": "m" * 100}).message_id == "m" * 100
    long = event({"messageId": "m" * 101}, raw=b"1").message_id
    assert long.startswith("sha-")
    assert len(long) <= 100
    assert long == event({"messageId": "m" * 101}, raw=b"2").message_id
    assert long != event({"messageId": "m" * 102}).message_id


def test_events_of_segments_tester_are_known() -> None:
    assert event({"messageId": "segment-test-message-1"}).is_test
    assert not event({"messageId": "test-message-1"}).is_test
    assert not event({"messageId": "my-segment-test-message-1"}).is_test


@pytest.mark.parametrize(
    "external_id", ["1", "0", "-1", "NA", "NULL", "null", "undefined", " null"]
)
def test_ids_that_onesignal_blocks_are_known(external_id: str) -> None:
    assert is_blocked_external_id(external_id)


@pytest.mark.parametrize("external_id", ["2", "10", "nora", "undefined-1", "a null"])
def test_other_ids_are_not_blocked(external_id: str) -> None:
    assert not is_blocked_external_id(external_id)


# Fields


def test_fields_hold_the_event_and_what_is_computed() -> None:
    fields = event(
        {"replay": True, "context": {"device": {"type": "iOS"}}, "source": "theirs", "device": 1}
    ).fields
    assert fields["type"] == "track"
    assert fields["source"] == "backend"
    assert fields["replay"] is True
    assert fields["device"] == {"platform": "ios"}
    assert fields["audience"] == {"class": None, "key": None, "entered": None, "value": None}
    assert event().fields["replay"] is event({"replay": "yes"}).fields["replay"] is False


@pytest.mark.parametrize("name", ["context", "properties", "traits", "integrations"])
@pytest.mark.parametrize("odd", ["text", None, 7, ["a"], False])
def test_what_should_be_an_object_and_is_not_is_left_out(name: str, odd: object) -> None:
    assert name not in event({name: odd}).fields
    assert event({name: {"a": 1}}).fields[name] == {"a": 1}


def test_the_event_as_sent_is_not_changed() -> None:
    sent = {"type": "track", "messageId": 1, "userId": 2, "context": None}
    found = event(sent)
    assert found.fields["userId"] == "2"
    assert sent == {"type": "track", "messageId": 1, "userId": 2, "context": None}
    assert found.fields is found.fields


def test_the_repr_tells_no_user_id() -> None:
    assert "secret-user" not in repr(event({"userId": "secret-user", "anonymousId": "secret-user"}))


# Times


@pytest.mark.parametrize(
    "text",
    [
        AT, "2026-05-28T20:26:40Z", "2026-05-28T20:26:40z", "2026-05-28T20:26:40.000000999Z",
        "2026-05-28T20:26:40", "2026-05-28 20:26:40", "2026-05-28T20:26:40.000Z[GMT]",
        "2026-05-28T22:26:40.000+02:00", "2026-05-28T22:26:40+0200", "2026-05-28T15:56:40-04:30",
        "2026-05-28T22:26:40+02:00[Europe/Berlin]", "2026-05-28 20:26:40 UTC", " 2026-05-28T20:26:40Z\n",
        "20260528T202640Z", 1_780_000_000, 1_780_000_000.0, NOW, float(NOW), NOW * 10**3, NOW * 10**6,
        "1780000000", "1780000000.000", str(NOW),
    ],
    ids=repr,
)  # fmt: skip
def test_times_are_read_however_they_are_written(text: object) -> None:
    assert parse_timestamp(text) == NOW


def test_fractions_are_cut_to_milliseconds() -> None:
    assert parse_timestamp("2026-05-28T20:26:40.066179717Z") == NOW + 66
    assert parse_timestamp("2026-05-28T20:26:40.9999Z") == NOW + 999
    assert parse_timestamp(1_780_000_000.066) == NOW + 66
    assert parse_timestamp("2026-05-28") == NOW - NOW % 86_400_000
    assert parse_timestamp("1970-01-01T00:00:00Z") == 0


@pytest.mark.parametrize(
    "text",
    [
        None, True, "", "soon", [], {}, "0001-01-01T00:00:00Z", "1969-12-31T23:59:59Z", "10000-01-01T00:00:00Z",
        "2026-13-01T00:00:00Z", "2026-02-30T00:00:00Z", "-1", 0, 7, "2026", -1, 1e300, 10**400, float("nan"),
        float("inf"), "9" * 500, "\ud800", "2026-05-28T20:26:40Z" + " " * 500 + "x", "[GMT]", "Z", "\u0662\u0660\u0662\u0666-05-28",
        "1780000000\u0660",
    ],
    ids=ascii,
)  # fmt: skip
def test_what_is_no_time_is_none(text: object) -> None:
    assert parse_timestamp(text) is None


@pytest.mark.parametrize(
    ("number", "ms"),
    [
        (99_999_999, None), (100_000_000, 10**11), (99_999_999_999, 99_999_999_999_000), (10**11, 10**11),
        (10**14 - 1, 10**14 - 1), (10**14, 10**11), (10**17 - 1, 10**14 - 1), (10**17, 10**11),
        (10**19 - 1, 10**13 - 1), (10**19, None),
    ],
)  # fmt: skip
def test_the_unit_of_a_number_is_told_by_its_size(number: int, ms: int | None) -> None:
    assert parse_timestamp(number) == parse_timestamp(str(number)) == ms


@given(
    st.datetimes(datetime(1970, 1, 2), datetime(9999, 12, 30)),  # noqa: DTZ001 - hypothesis adds the zone itself
    st.integers(-23 * 60, 23 * 60),
)
def test_every_moment_with_every_offset_is_read(moment: datetime, offset: int) -> None:
    zoned = moment.replace(tzinfo=timezone(timedelta(minutes=offset)))
    expected = (zoned - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1)
    assert parse_timestamp(zoned.isoformat()) == expected


@given(JSON | ANY_TEXT | st.text("0123456789-:.TZz+[]GM ", max_size=30))
def test_no_text_makes_the_clock_raise(text: Any) -> None:
    found = parse_timestamp(text)
    assert found is None or 0 <= found < 253_402_300_800_000


@pytest.mark.parametrize("sent", [None, "soon", 0, "1970-01-01T00:00:00Z", "0001-01-01T00:00:00Z"])
def test_the_receipt_counts_when_there_is_no_readable_time(sent: object) -> None:
    assert event({"timestamp": sent}).event_ms == NOW


def test_a_clock_that_is_ahead_is_believed_for_five_minutes() -> None:
    tolerated = NOW + 5 * 60_000
    assert tolerated == NOW + CLOCK_TOLERANCE_MS
    assert event({"timestamp": tolerated - 1}).event_ms == tolerated - 1
    assert event({"timestamp": tolerated + 1}).event_ms == tolerated
    assert event({"timestamp": "2031-01-01T00:00:00Z"}).event_ms == tolerated
