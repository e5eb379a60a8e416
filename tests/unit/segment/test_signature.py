"""Signatures, made in these tests as Segment makes them: over JSON.stringify of the data."""

from __future__ import annotations

import hashlib
import hmac
import json
from typing import Any

import pytest
from hypothesis import given, strategies as st

from bridge.segment.signature import Variant, verify

SECRET = b"a shared secret"

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)  # fmt: skip
DATA = st.dictionaries(st.text(), JSON, min_size=1, max_size=5)


def stringify(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


def signed(text: bytes, secret: bytes = SECRET) -> str:
    return hmac.new(secret, text, hashlib.sha1).hexdigest()


def array(*elements: bytes) -> bytes:
    return b"[" + b",".join(elements) + b"]"


def wrapped(element: bytes) -> bytes:
    return b'{"json":' + element + b"}"


def flipped(body: bytes, at: int, bits: int) -> bytes:
    return body[:at] + bytes([body[at] ^ bits]) + body[at + 1 :]


@given(DATA)
def test_a_single_event_is_signed_as_a_whole(data: dict[str, Any]) -> None:
    body = stringify(data)
    assert verify(body, signed(body), [SECRET]) is Variant.WHOLE_BODY


@given(DATA, st.lists(DATA, max_size=3))
def test_a_batch_is_signed_by_its_first_event(first: dict[str, Any], rest: list[Any]) -> None:
    body = stringify([first, *rest])
    assert verify(body, signed(stringify(first)), [SECRET]) is Variant.FIRST_ELEMENT


@given(DATA, st.lists(DATA, max_size=3))
def test_an_extensible_batch_is_signed_by_the_first_inner_event(
    first: dict[str, Any], rest: list[Any]
) -> None:
    body = stringify([{"json": data} for data in [first, *rest]])
    assert verify(body, signed(stringify(first)), [SECRET]) is Variant.FIRST_ELEMENT_JSON


@given(st.lists(DATA, min_size=1, max_size=3))
def test_a_batch_signed_as_a_whole_is_accepted_too(events: list[Any]) -> None:
    body = stringify(events)
    assert verify(body, signed(body), [SECRET]) is Variant.WHOLE_BODY


@given(DATA, st.data(), st.integers(1, 255))
def test_no_byte_of_a_single_event_can_change(
    data: dict[str, Any], draw: st.DataObject, bits: int
) -> None:
    body = stringify(data)
    at = draw.draw(st.integers(0, len(body) - 1))
    assert verify(flipped(body, at, bits), signed(body), [SECRET]) is None


@given(DATA, DATA, st.data(), st.integers(1, 255), st.sampled_from([(1, bytes), (9, wrapped)]))
def test_no_byte_of_the_first_event_of_a_batch_can_change(
    first: dict[str, Any], second: dict[str, Any], draw: st.DataObject, bits: int, form: Any
) -> None:
    start, wrap = form
    text = stringify(first)
    body = array(wrap(text), wrap(stringify(second)))
    at = draw.draw(st.integers(start, start + len(text) - 1))
    assert verify(flipped(body, at, bits), signed(text), [SECRET]) is None


def test_the_other_events_of_a_batch_are_covered_by_nothing() -> None:
    first = stringify({"messageId": "a"})
    assert verify(array(first, b'{"messageId":"anything"}'), signed(first), [SECRET]) is not None


def test_only_a_wrapper_and_nothing_beside_it_is_signed_by_what_it_wraps() -> None:
    inner = stringify({"messageId": "a", "userId": "me"})
    assert verify(array(wrapped(inner)), signed(inner), [SECRET]) is Variant.FIRST_ELEMENT_JSON
    beside = b'{"json":' + inner + b',"type":"delete","userId":"you"}'
    assert verify(array(beside), signed(inner), [SECRET]) is None


# Webhook Audiences


def with_extras(extras: object, **more: object) -> dict[str, Any]:
    return {
        "type": "track",
        **more,
        "context": {"personas": {"audience_settings": {"extras": extras}}},
    }


@given(data=DATA, extras=DATA, draw=st.data(), as_text=st.booleans(), batch=st.booleans())
def test_extras_are_cut_out_wherever_they_were_merged_in(
    *, data: dict[str, Any], extras: dict[str, Any], draw: st.DataObject, as_text: bool, batch: bool
) -> None:
    extras = {name: extras[name] for name in extras if name not in {*data, "type", "context"}}
    extras = extras or {"a name of its own": 1}
    data = data | with_extras(json.dumps(extras, indent=1) if as_text else extras)
    # JavaScript puts integer-like names first, so a merged member may stand anywhere.
    members = list(data.items())
    for item in extras.items():
        members.insert(draw.draw(st.integers(0, len(members))), item)
    merged = stringify(dict(members))
    body = array(merged, b"{}") if batch else merged
    found = verify(body, signed(stringify(data)), [SECRET])
    assert found is (Variant.FIRST_MINUS_EXTRAS if batch else Variant.WHOLE_MINUS_EXTRAS)
    for at in (1, len(merged) // 2):
        # The members that were cut are held against the signed extras, so they are covered as well.
        changed = flipped(merged, at, 0x11)
        assert (
            verify(array(changed) if batch else changed, signed(stringify(data)), [SECRET]) is None
        )


@pytest.mark.parametrize("value", [b'"bad"', b"1", b"true", b'{"a":1}', b'["ok"]', b"null"])
def test_an_extra_with_another_value_than_the_signed_one_is_refused(value: bytes) -> None:
    data = stringify(with_extras('{"nice":"ok"}'))
    assert verify(data[:-1] + b',"nice":"ok"}', signed(data), [SECRET]) is not None
    assert verify(data[:-1] + b',"nice":' + value + b"}", signed(data), [SECRET]) is None


def test_an_extra_of_one_is_not_true() -> None:
    data = stringify(with_extras({"n": 1}))
    assert verify(data[:-1] + b',"n":1}', signed(data), [SECRET]) is Variant.WHOLE_MINUS_EXTRAS
    assert verify(data[:-1] + b',"n":true}', signed(data), [SECRET]) is None


def test_an_extras_number_is_compared_as_javascript_writes_it() -> None:
    data = stringify(with_extras('{"n": 1.0, "m": 12345678901234567890}'))
    body = data[:-1] + b',"n":1,"m":12345678901234567000}'
    assert verify(body, signed(data), [SECRET]) is Variant.WHOLE_MINUS_EXTRAS


def test_an_extra_object_may_have_its_members_in_another_order() -> None:
    # JavaScript, which parsed the extras and wrote the body, puts integer-like names first.
    data = stringify(with_extras('{"o":{"b":1,"2":3}}'))
    body = data[:-1] + b',"o":{"2":3,"b":1}}'
    assert verify(body, signed(data), [SECRET]) is Variant.WHOLE_MINUS_EXTRAS


def test_members_that_extras_do_not_name_are_not_cut() -> None:
    data = stringify(with_extras('{"nice":"ok"}'))
    assert verify(data[:-1] + b',"nice":"ok","userId":"me"}', signed(data), [SECRET]) is None


@pytest.mark.parametrize(
    "extras", ["not json", "[1]", "", "{}", 7, None, [], {}, "9" * 5000, "[" * 100_000]
)
def test_extras_that_are_no_object_cut_nothing(extras: object) -> None:
    data = stringify(with_extras(extras))
    assert verify(data[:-1] + b',"nice":"ok"}', signed(data), [SECRET]) is None


def test_extras_are_not_searched_in_what_is_too_large_for_an_event() -> None:
    data = stringify(with_extras('{"nice":"ok"}', padding="x" * (1 << 20)))
    assert verify(data[:-1] + b',"nice":"ok"}', signed(data), [SECRET]) is None


def test_a_first_event_too_large_for_segment_is_not_searched_for() -> None:
    first = stringify({"padding": "x" * (1 << 20)})
    assert verify(array(first), signed(first), [SECRET]) is None
    assert verify(array(first), signed(array(first)), [SECRET]) is Variant.WHOLE_BODY


# Headers and secrets


@pytest.mark.parametrize("wrap", [str.upper, " {} \n".format, str.encode])
def test_the_header_is_read_with_tolerance(wrap: Any) -> None:
    assert verify(b"{}", wrap(signed(b"{}")), [SECRET]) is Variant.WHOLE_BODY


@pytest.mark.parametrize(
    "header",
    [None, "", "override", "é" * 40, "\ud800" * 40, "\uff10" * 40, "0" * 39, "0" * 41, b"\xff" * 40, "sha1=" + "0" * 40],
)  # fmt: skip
def test_a_header_that_is_no_signature_is_refused(header: str | bytes | None) -> None:
    assert verify(b"{}", header, [SECRET]) is None


@given(st.text() | st.binary(), st.binary())
def test_no_header_and_no_body_make_it_raise(header: str | bytes, body: bytes) -> None:
    assert verify(body, header, [SECRET]) is None


@given(st.binary() | st.text('[]{}",:\\json', max_size=30).map(str.encode))
def test_a_body_that_is_not_json_is_still_signed_as_a_whole(body: bytes) -> None:
    assert verify(body, signed(body), [SECRET]) is Variant.WHOLE_BODY
    assert verify(body, "0" * 40, [SECRET]) is None


@pytest.mark.parametrize("body", [b'"extras"', b'["extras"]', b'[["extras"]]', b"{}", b'{"extras"'])
def test_a_body_that_only_speaks_of_extras_does_not_make_it_raise(body: bytes) -> None:
    assert verify(body, "0" * 40, [SECRET]) is None


def test_any_of_several_secrets_will_do() -> None:
    body = b'{"a":1}'
    assert verify(body, signed(body, b"old"), [b"new", b"old"]) is Variant.WHOLE_BODY
    assert verify(body, signed(body, b"older"), [b"new", b"old"]) is None
    assert verify(array(body), signed(body, b"old"), [b"new", b"old"]) is Variant.FIRST_ELEMENT


def test_an_empty_secret_opens_nothing() -> None:
    assert verify(b"{}", signed(b"{}", b""), [b"", SECRET]) is None
    assert verify(b"{}", signed(b"{}"), []) is None


def test_lone_surrogates_are_verified_as_they_stand() -> None:
    body = b'{"s":"\\ud800"}'
    assert verify(array(body), signed(body), [SECRET]) is Variant.FIRST_ELEMENT
