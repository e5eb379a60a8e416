"""Paths are removed before anything is stored, and nothing else of an event is touched."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from hypothesis import given, strategies as st

from bridge.segment.body import Element, read_body
from bridge.segment.dropping import paths_of, without
from bridge.segment.ids import message_id_of

EVENT = {
    "messageId": "m1",
    "context": {"ip": "1.2.3.4", "device": {"id": "d"}},
    "properties": {"products": [{"sku": "a", "price": 1}, {"sku": "b"}, 7]},
}


def dropped(event: dict[str, Any], *paths: str) -> Element:
    elements = read_body(orjson.dumps(event))
    assert isinstance(elements, list)
    return without(elements[0], paths_of(paths))


@pytest.mark.parametrize(
    ("path", "gone"),
    [
        ("context.ip", {"context": {"device": {"id": "d"}}}),
        ("context.device", {"context": {"ip": "1.2.3.4"}}),
        ("context.device.id", {"context": {"ip": "1.2.3.4", "device": {}}}),
        ("context", None),
        ("properties.products.sku", {"properties": {"products": [{"price": 1}, {}, 7]}}),
    ],
)
def test_what_a_path_names_is_removed_with_all_that_is_in_it(
    path: str, gone: dict[str, Any] | None
) -> None:
    expected = {**EVENT, **(gone or {})}
    if gone is None:
        del expected["context"]
    found = dropped(EVENT, path)
    assert found.value == expected
    assert orjson.loads(found.raw) == expected


@pytest.mark.parametrize("path", ["traits.email", "context.ip.x", "properties.products.sku.x", "x"])
def test_what_is_not_there_leaves_every_byte_as_it_was_sent(path: str) -> None:
    raw = b'{ "messageId":"m1", "context": {"ip" : "1.2.3.4"}, "properties":{"products":[{"sku":"a"}]}}'
    (element,) = read_body(raw)  # type: ignore[misc]
    assert without(element, paths_of([path])) is element
    assert element.raw == raw


def test_an_event_without_a_messageid_is_named_by_what_was_sent() -> None:
    event = {key: value for key, value in EVENT.items() if key != "messageId"}
    sent = orjson.dumps(event)
    found = dropped(event, "context.ip")
    assert orjson.loads(found.raw)["messageId"] == message_id_of({}, sent)


@pytest.mark.parametrize("value", [None, 7, "text", [1], [{"context": {"ip": 1}}]])
def test_what_is_no_event_is_left_alone(value: Any) -> None:
    element = Element(value, orjson.dumps(value))
    assert without(element, paths_of(["context.ip"])) is element


def test_what_is_too_deep_for_an_event_is_left_to_be_refused() -> None:
    raw = b'{"context":{"ip":1},"a":' + b"[" * 300 + b"]" * 300 + b"}"
    (element,) = read_body(raw)  # type: ignore[misc]
    assert without(element, paths_of(["context.ip"])) is element


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner),
    max_leaves=12,
)


@given(
    st.dictionaries(st.sampled_from("abc"), _JSON),
    st.lists(st.lists(st.sampled_from("abc"), min_size=1, max_size=3), max_size=3),
)
def test_dropping_twice_is_dropping_once(event: dict[str, Any], names: list[list[str]]) -> None:
    paths = [tuple(one) for one in names]
    event["messageId"] = "m"
    once = without(Element(event, orjson.dumps(event)), paths)
    again = without(Element(orjson.loads(once.raw), once.raw), paths)
    assert again.raw == once.raw
