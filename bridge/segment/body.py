"""From the bytes of a request to the elements in it; the first thing after the HTTP layer.

```text
{...}                   one element                  classic and Actions webhooks
[{...},{...}]           one element each             Actions webhooks with batching
[{"json":{...}},...]    one element each, unwrapped  Extensible webhooks with batching
```

orjson reads nearly everything. What it refuses and the standard library takes (lone surrogates,
`NaN`, numbers beyond a double, a byte order mark) is read element by element, so that one odd
element does not change how its neighbours are read: lone surrogates become U+FFFD, and numbers
that no double can hold become null.

An element's bytes are always JSON that orjson reads. They are the exact text of the request when
the element has no messageId of its own (one is made from them), and may be written anew otherwise.
The exception is an element too deep to parse: its value is None and its bytes are as sent.

A batch can also be read one element at a time, `one_by_one`: what is made of an element is mostly
freed before the next is read, and so it stays near the processor, which halves what reading costs.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import orjson

from bridge.segment import raw_json


class Element(NamedTuple):
    #: Any JSON value; `read_event` judges it.
    value: Any
    #: The element as JSON text.
    raw: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class NotJson:
    """A body that holds no elements; the only reason to answer 400."""

    code: Literal["not-json", "neither-object-nor-array"]
    message: str


_NOT_JSON = NotJson(code="not-json", message="The body is not JSON.")
_NAME_BYTES = 100
_NEITHER = NotJson(
    code="neither-object-nor-array",
    message="The body is neither a JSON object nor a JSON array of them.",
)


def read_body(body: bytes) -> list[Element] | NotJson:
    """The elements of an unpacked body, in order. Never raises."""
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError:
        return _read_each(body.removeprefix(b"\xef\xbb\xbf").strip())
    if type(value) is dict:
        return [_unwrapped(value, body.strip())]
    if type(value) is list:
        return _read_batch(value, body)
    return _NEITHER


def is_array(body: bytes) -> bool:
    """Whether a body that `read_body` accepts is a batch (a batch of one is an array too)."""
    return body.lstrip(b" \t\r\n\xef\xbb\xbf").startswith(b"[")


class Misread(Exception):  # noqa: N818 — nobody's error: `read_body` reads what was cut wrongly
    """A batch was not cut between its elements."""


def cut(body: bytes, *, most: int) -> list[bytes] | None:
    """A batch, cut wherever an element may begin as the first one does; None: it is no such, or in too many.

    If each piece is JSON, the batch is these elements: joined by commas they are its text.
    """
    name_end = body.find(b'":', 3, _NAME_BYTES)
    if not body.startswith(b'[{"') or name_end < 0 or not body.endswith(b"}]"):
        return None
    begins = body[1 : name_end + 2]
    first, *others = body[1:-2].split(b"}," + begins, most)
    if len(others) >= most:
        return None
    return [first + b"}", *[b"%b%b}" % (begins, other) for other in others]]


def one_by_one(pieces: list[bytes]) -> Iterator[Element]:
    """The elements of a batch that was `cut`, each read when it is asked for.

    Raises:
        Misread: where an element only seemed to begin; what was read so far counts for nothing.
    """
    for raw in pieces:
        try:
            yield _unwrapped(orjson.loads(raw), raw)
        except orjson.JSONDecodeError:
            yield from _read_several(raw)


def _read_several(raw: bytes) -> Iterator[Element]:
    """What was not cut because it does not begin as the first element does."""
    parts = raw_json.split(b"[%b]" % raw)
    if parts is None:
        raise Misread
    for part in parts:
        try:
            yield _unwrapped(orjson.loads(part), part.strip())
        except orjson.JSONDecodeError:
            raise Misread from None


def _read_batch(values: list[Any], body: bytes) -> list[Element] | NotJson:
    inner = [value["json"] if _is_wrapped(value) else value for value in values]
    if all(map(_has_message_id, inner)):
        try:
            # Writing an element anew takes a sixth of the time of finding it in the text.
            return [Element(value, orjson.dumps(value)) for value in inner]
        except orjson.JSONEncodeError:  # too deep to write
            pass
    slices = raw_json.split(body.strip()) or []
    return [_unwrapped(value, raw.strip()) for value, raw in zip(values, slices, strict=True)]


def _has_message_id(value: object) -> bool:
    return type(value) is dict and type(sent := value.get("messageId")) is str and sent != ""


def _is_wrapped(value: object) -> bool:
    return type(value) is dict and len(value) == 1 and type(value.get("json")) is dict


def _unwrapped(value: Any, raw: bytes) -> Element:
    if not _is_wrapped(value):
        return Element(value, raw)
    if raw.startswith(b'{"json":{') and raw.count(b'"json"') == 1:
        return Element(value["json"], raw[8:-1].rstrip())
    # The last member counts, as for every parser, should the name stand there twice.
    parts = raw_json.split(raw)
    found = raw_json.member(parts[-1]) if parts else None
    return Element(value["json"], found[1] if found else raw)


def _read_each(text: bytes) -> list[Element] | NotJson:
    if not text.startswith((b"[", b"{")):
        return _NOT_JSON if _read_one(text) is None else _NEITHER
    slices = raw_json.split(text)
    if slices is None:
        return _NOT_JSON
    read = [_read_one(raw.strip()) for raw in (slices if text[:1] == b"[" else [text])]
    elements = [element for element in read if element is not None]
    return elements if len(elements) == len(read) else _NOT_JSON


def _read_one(raw: bytes) -> Element | None:
    try:
        return _unwrapped(orjson.loads(raw), raw)
    except orjson.JSONDecodeError:
        pass
    if raw_json.is_too_deep(raw) and raw_json.split(raw) is not None:
        return Element(None, raw)
    try:
        value = json.loads(
            _mended(raw), parse_int=_integer, parse_float=_number, parse_constant=_nothing
        )
        return _unwrapped(value, orjson.dumps(value))
    except (ValueError, TypeError, RecursionError):
        return None


_ESCAPE = re.compile(
    r"\\(?:u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|(u[dD][89a-fA-F][0-9a-fA-F]{2})|.)",
    re.DOTALL,
)
_SURROGATE = re.compile("[\ud800-\udfff]")


def _mended(raw: bytes) -> str:
    """The text without lone surrogates, neither escaped nor plain: no UTF-8 can hold them."""
    text = _SURROGATE.sub("\ufffd", raw.decode("utf-8", "surrogatepass"))
    return _ESCAPE.sub(lambda found: "\ufffd" if found[1] else found[0], text)


def _integer(digits: str) -> int | float | None:
    """As orjson reads it: 64 bits, signed or not, else a double."""
    if len(digits) <= 20 and -(2**63) <= (number := int(digits)) < 2**64:
        return number
    return _number(digits)


def _number(digits: str) -> float | None:
    number = float(digits)
    return number if math.isfinite(number) else None


def _nothing(_name: str) -> None:
    """`NaN`, `Infinity` and `-Infinity` are null, as JavaScript writes them."""
