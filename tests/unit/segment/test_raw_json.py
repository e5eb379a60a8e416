"""JSON text cut at its own commas."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, strategies as st

from bridge.segment import raw_json

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)
BLANKS = st.text(" \n\r\t", max_size=2)


def text_of(value: Any, *, indent: int | None) -> bytes:
    return json.dumps(value, ensure_ascii=False, indent=indent).encode()


@given(st.lists(JSON, max_size=5), st.sampled_from([None, 0, 2]))
def test_an_array_is_cut_into_its_elements(values: list[Any], indent: int | None) -> None:
    parts = raw_json.split(text_of(values, indent=indent))
    assert parts is not None
    assert [json.loads(part) for part in parts] == values


@given(st.dictionaries(st.text(), JSON, max_size=5), st.sampled_from([None, 2]))
def test_an_object_is_cut_into_its_members(value: dict[str, Any], indent: int | None) -> None:
    parts = raw_json.split(text_of(value, indent=indent))
    assert parts is not None
    members = [raw_json.member(part) for part in parts]
    assert {json.loads(m[0]): json.loads(m[1]) for m in members if m} == value
    assert len(members) == len(value)


@given(st.lists(JSON, min_size=1, max_size=5), st.sampled_from([None, 2]))
def test_the_parts_joined_are_the_text_again(values: list[Any], indent: int | None) -> None:
    text = text_of(values, indent=indent)
    parts = raw_json.split(text)
    assert parts is not None
    assert b"[" + b",".join(parts) + b"]" == text


@given(st.lists(JSON, min_size=1, max_size=4), BLANKS)
def test_the_first_element_is_found_without_the_others(values: list[Any], blanks: str) -> None:
    text = text_of(values, indent=None).replace(b"[", b"[" + blanks.encode(), 1)
    assert raw_json.first(text) == text_of(values[0], indent=None)
    assert raw_json.first(text[:-1] + b", and so on") == text_of(values[0], indent=None)


def test_an_empty_array_has_no_parts() -> None:
    assert raw_json.split(b"[ ]") == []
    assert raw_json.first(b"[ ]") is None


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"[",
        b"{",
        b"]",
        b"[}",
        b"[1}",
        b"{]",
        b'["',
        b'["]',
        b"[1] ",
        b"[1],",
        b"[[1]",
        b'["\\"]',
    ],
)
def test_brackets_that_do_not_pair_up_are_noticed(text: bytes) -> None:
    assert raw_json.split(text) is None


@given(st.binary(max_size=60) | st.text('[]{}",\\:1 ', max_size=40).map(str.encode))
def test_no_bytes_make_it_raise(text: bytes) -> None:
    parts = raw_json.split(text)
    assert parts is None or b",".join(parts) == text[1:-1] or not text[1:-1].strip()
    first = raw_json.first(text)
    assert first is None or first in text
    member = raw_json.member(text)
    assert member is None or all(piece in text for piece in member)


def test_depth_is_counted_in_brackets_outside_strings() -> None:
    deepest = raw_json.DEEPEST
    assert not raw_json.is_too_deep(b"[" * deepest + b"]" * deepest)
    assert raw_json.is_too_deep(b"[" * (deepest + 1) + b"]" * (deepest + 1))
    assert not raw_json.is_too_deep(b"[" + b",".join([b"[]"] * 1000) + b"]")
    assert not raw_json.is_too_deep(b'["' + b"[" * 1000 + b'"]')
    assert not raw_json.is_too_deep(b'["\\"' + b"{" * 1000 + b'"]')
