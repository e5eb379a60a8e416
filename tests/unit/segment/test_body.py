"""From a request's bytes to its elements."""

from __future__ import annotations

import json
from typing import Any

import orjson
import pytest
from hypothesis import given, strategies as st

from bridge.segment.body import (
    Element,
    Misread,
    NotJson,
    cut,
    is_array,
    one_by_one,
    read_body,
)

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)
OBJECTS = st.dictionaries(
    st.text() | st.sampled_from(["messageId", "json", "type"]), JSON, max_size=4
)


def elements(body: bytes) -> list[Element]:
    read = read_body(body)
    assert not isinstance(read, NotJson)
    return read


def code(body: bytes) -> str:
    read = read_body(body)
    assert isinstance(read, NotJson)
    return read.code


def compact(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


def test_an_object_is_one_element_with_its_own_bytes() -> None:
    body = b' {"type": "track", "n": 1.50}\n'
    assert elements(body) == [({"type": "track", "n": 1.5}, body.strip())]


def test_an_array_is_one_element_each() -> None:
    body = compact([{"messageId": "a"}, {"messageId": "b"}])
    assert [e.value["messageId"] for e in elements(body)] == ["a", "b"]
    assert [orjson.loads(e.raw) for e in elements(body)] == [e.value for e in elements(body)]


def test_an_empty_array_has_no_elements() -> None:
    assert elements(b"[]") == elements(b" [ ]") == []


def test_the_wrapper_of_extensible_webhooks_is_taken_off() -> None:
    body = b'[{"json":{"messageId":"a"}},{"json":{"n":1e2}},{ "json" : {"b" : 2} }]'
    assert elements(body) == [
        ({"messageId": "a"}, b'{"messageId":"a"}'),
        ({"n": 100.0}, b'{"n":1e2}'),
        ({"b": 2}, b'{"b" : 2}'),
    ]


@pytest.mark.parametrize(
    "element", [b'{"json":{"a":1},"type":"track"}', b'{"json":[1]}', b'{"json":"text"}', b"{}"]
)
def test_what_only_looks_like_a_wrapper_is_left_alone(element: bytes) -> None:
    assert elements(element) == [(orjson.loads(element), element)]


def test_of_two_wrapped_events_under_one_name_the_last_counts() -> None:
    assert elements(b'{"json":{"a":1},"json":{"a":2}}') == [({"a": 2}, b'{"a":2}')]


def test_of_two_members_of_one_name_the_last_counts() -> None:
    assert elements(b'{"a":1,"a":2}')[0].value == {"a": 2}
    assert elements(b'{"a":1,"a":NaN,"a":3}')[0].value == {"a": 3}


def test_elements_without_a_message_id_keep_their_exact_bytes() -> None:
    body = b'[{"messageId":"a"}, {"x" : 1e2,"y":"\\u00e9"} ,{"messageId":""}, 7]'
    assert [e.raw for e in elements(body)] == [
        b'{"messageId":"a"}',
        b'{"x" : 1e2,"y":"\\u00e9"}',
        b'{"messageId":""}',
        b"7",
    ]


def test_an_empty_message_id_is_none_and_leaves_the_bytes_alone() -> None:
    odd = b'{ "messageId" : "", "x":1e2}'
    assert [e.raw for e in elements(b'[{"messageId":"a"},' + odd + b"]")][1] == odd


def test_an_element_has_the_same_bytes_wherever_it_stands() -> None:
    one = b'{"x" : 1e2}'
    alone, beside_an_odd_one = elements(b"[" + one + b"]"), elements(b'[{"n":NaN},' + one + b"]")
    assert elements(one)[0].raw == alone[0].raw == beside_an_odd_one[1].raw == one


@pytest.mark.parametrize(
    ("body", "value"),
    [
        (b'{"a":"\\ud800 \\ude00\\ud83d\\ude00"}', {"a": "\ufffd \ufffd\U0001f600"}),
        (b'{"a":"\\\\ud800"}', {"a": "\\ud800"}),
        (b'{"a":"\xed\xa0\x80"}', {"a": "\ufffd"}),
        (b'{"a":NaN,"b":-Infinity,"c":1e999,"d":%s}' % (b"9" * 5000), dict.fromkeys("abcd")),
        (b'{"a":NaN,"b":18446744073709551615,"c":18446744073709551616}',
         {"a": None, "b": 2**64 - 1, "c": 2.0**64}),
        (b'{"a":NaN,"b":-9223372036854775808,"c":-9223372036854775809}',
         {"a": None, "b": -(2**63), "c": -(2.0**63)}),
        (b'\xef\xbb\xbf {"a":1}', {"a": 1}),
    ],
)  # fmt: skip
def test_what_orjson_refuses_is_read_and_written_for_it(body: bytes, value: object) -> None:
    assert elements(body) == [(value, elements(body)[0].raw)]
    assert orjson.loads(elements(body)[0].raw) == value


@pytest.mark.parametrize(
    "body",
    [
        b"", b" ", b"hello", b"{", b'{"a"}', b"[1,]", b"[,]", b"[1,,2]", b'[{"a":[}],1]', b"[1] x",
        b"a=1&b=2", b'{"a":"\xff"}', b"\x00", b"[NaN,]", b"{'a':1}", b'{"a":"\n"}',
        '{"a":1}'.encode("utf-16"),
    ],
)  # fmt: skip
def test_what_is_not_json_is_said_to_be_not_json(body: bytes) -> None:
    assert code(body) == "not-json"


@pytest.mark.parametrize("body", [b"1", b'"text"', b"null", b"true", b"NaN", b"1e999"])
def test_other_json_is_neither_object_nor_array(body: bytes) -> None:
    assert code(body) == "neither-object-nor-array"


@pytest.mark.parametrize("depth", [230, 260, 1000, 1030, 100_000])
def test_one_element_too_deep_does_not_cost_its_neighbours(depth: int) -> None:
    deep = b'{"messageId":"deep","a":' + b"[" * depth + b"]" * depth + b"}"
    read = elements(b'[{"messageId":"a"},' + deep + b',{"messageId":"b"}]')
    assert [read[0].value, read[2].value] == [{"messageId": "a"}, {"messageId": "b"}]
    assert read[1].raw == deep or orjson.loads(read[1].raw) == orjson.loads(deep)
    assert elements(deep)[0].raw == deep


@pytest.mark.parametrize("body", [b"[" * 100_000, b'{"a":' * 100_000, b"[" * 1000 + b"}" * 1000])
def test_depth_without_an_end_is_not_json(body: bytes) -> None:
    assert code(body) == "not-json"


@given(
    value=OBJECTS | st.lists(OBJECTS | JSON, max_size=4),
    ascii_only=st.booleans(),
    indent=st.sampled_from([None, 1]),
)
def test_whatever_the_standard_library_reads_is_read(
    *, value: Any, ascii_only: bool, indent: int | None
) -> None:
    body = json.dumps(value, ensure_ascii=ascii_only, indent=indent).encode()
    read = elements(body)
    assert len(read) == (len(value) if isinstance(value, list) else 1)
    for element in read:
        assert orjson.loads(element.raw) == element.value


@given(st.binary() | st.text('[]{}",:\\ud8dNa1-.e \n', max_size=40).map(str.encode))
def test_no_bytes_make_it_raise_and_only_json_is_taken(body: bytes) -> None:
    read = read_body(body)
    if not isinstance(read, NotJson):
        json.loads(body.decode("utf-8-sig", "surrogatepass"))


# One element at a time


def each(body: bytes) -> list[Element]:
    pieces = cut(body, most=100)
    assert pieces is not None
    return list(one_by_one(pieces))


def test_a_batch_can_be_read_one_element_at_a_time_each_with_its_own_bytes() -> None:
    one, other = b'{"type":"track","n":1.50,"list":[{"a":1},{"a":2}]}', b'{"type" : "page"}'
    body = b"[%b,%b,%b]" % (one, one, other)
    assert [(e.value, e.raw) for e in each(body)] == [
        (orjson.loads(raw), raw) for raw in (one, one, other)
    ]


def test_the_wrapper_is_taken_off_one_element_at_a_time_too() -> None:
    body = b'[{"json":{"messageId":"a"}},{"json":{"n":1e2}},{ "json" : {"b" : 2} }]'
    assert each(body) == elements(body)


def test_elements_that_begin_in_different_ways_are_told_apart() -> None:
    body = b'[{"a":1},{"b":"},{\\"c\\":"},7,{"a":{"a":[{"c":{}},{"b":1}]}} , {"c":3}]'
    assert [e.raw for e in each(body)] == [
        b'{"a":1}', b'{"b":"},{\\"c\\":"}', b"7", b'{"a":{"a":[{"c":{}},{"b":1}]}}', b'{"c":3}',
    ]  # fmt: skip


@pytest.mark.parametrize(
    "body",
    [
        # What looks like the beginning of an element stands within one.
        b'[{"a":1},{"a":[{"a":1},{"a":2}]}]',
        # What orjson refuses, at any place.
        b'[{"a":1},{"a":NaN}]',
        b'[{"a":1},{"a":"\\ud800"},{"a":2}]',
        b'[{"a":1},{"a":%b}]' % (b"[" * 2000 + b"]" * 2000),
        # No JSON.
        b'[{"a":1},,{"a":2}]',
        b'[{"a":1}{"a":2}]',
        b'[{"a":1},{"a":}]',
        b'[{"a":]}]',
    ],
)
def test_a_batch_that_was_cut_wrongly_is_left_to_those_who_read_all_of_it(body: bytes) -> None:
    with pytest.raises(Misread):
        each(body)


@pytest.mark.parametrize(
    "body",
    [b"", b"[]", b"[7]", b'{"a":1}', b' [{"a":1}]', b'[{"a":1}]\n', b"[{}]", b'[{"a' + b"a" * 200 + b'":1}]'],
)  # fmt: skip
def test_what_does_not_begin_and_end_as_a_batch_does_is_not_cut(body: bytes) -> None:
    assert cut(body, most=100) is None


def test_a_batch_of_more_than_so_many_is_not_cut() -> None:
    assert len(cut(compact([{"a": 1}] * 100), most=100) or ()) == 100
    assert cut(compact([{"a": 1}] * 101), most=100) is None


@given(value=st.lists(OBJECTS, min_size=1, max_size=5), ascii_only=st.booleans())
def test_one_at_a_time_or_all_at_once_the_elements_are_the_same(
    *, value: Any, ascii_only: bool
) -> None:
    body = json.dumps(value, ensure_ascii=ascii_only, separators=(",", ":")).encode()
    pieces = cut(body, most=100)
    if pieces is None:
        return
    assert b"[%b]" % b",".join(pieces) == body
    try:
        read = list(one_by_one(pieces))
    except Misread:
        return
    assert [e.value for e in read] == [e.value for e in elements(body)]
    assert [orjson.loads(e.raw) for e in read] == [e.value for e in read]


def test_a_batch_of_one_is_an_array() -> None:
    assert is_array(b' [{"a":1}]')
    assert is_array(b'\xef\xbb\xbf\n[{"a":1}]')
    assert not is_array(b'{"a":[1]}')
