"""JSON text cut along its own commas: the bytes of one element or member, never parsed or rewritten.

A signature covers bytes, and a missing messageId is made from bytes, so both need the exact text
that Segment sent. Nothing here recurses: depth costs a counter, not a stack frame. Time is linear
in the length of the text, for text that is not JSON too (every repetition is possessive).

Only strings and brackets are understood. Whether the pieces are JSON is for a parser to say.
"""

from __future__ import annotations

import re

#: Deeper events are refused. orjson writes 254 levels, and Segment's own events stay below 20.
DEEPEST = 200

_STRING = rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"'
_TO_BRACKET = re.compile(
    rb'[^"\[\]{}]*+(?:' + _STRING + rb'[^"\[\]{}]*+)*+[\[\]{}]',
    re.DOTALL,
)
_TO_BRACKET_OR_COMMA = re.compile(
    rb'[^"\[\]{},]*+(?:' + _STRING + rb'[^"\[\]{},]*+)*+[\[\]{},]',
    re.DOTALL,
)
_NAME = re.compile(rb"\s*(" + _STRING + rb")\s*:", re.DOTALL)

#: Nobody's data nests like this; counting to the end of it would only cost time.
_DEEPEST_COUNTED = 200_000

_OPENING = b"[{"
_PAIRS = (b"[]", b"{}")


def split(container: bytes) -> list[bytes] | None:
    """The elements of an array, or the members of an object, each with the blanks around it.

    Joining them with commas inside the same brackets gives `container` back, byte by byte.
    `container` must begin and end with its brackets; None when they do not pair up.
    """
    found: list[bytes] = []
    at, end = 1, 0
    while True:
        end = _end_of_part(container, at)
        if end < 0:
            return None
        found.append(container[at:end])
        if container[end] != 0x2C:
            break
        at = end + 1
    if container[:1] + container[end:] not in _PAIRS:
        return None
    return [] if found[1:] == [] and not found[0].strip() else found


def first(array: bytes) -> bytes | None:
    """The first element of an array, without reading the others; None when there is none."""
    end = _end_of_part(array, 1)
    return array[1:end].strip() or None if end > 0 else None


def member(part: bytes) -> tuple[bytes, bytes] | None:
    """A member of an object as (name in its quotes, value), both as they stand in the text."""
    found = _NAME.match(part)
    return (found[1], part[found.end() :].strip()) if found else None


def is_too_deep(text: bytes) -> bool:
    """Whether brackets nest deeper than `DEEPEST`."""
    if text.count(b"{") + text.count(b"[") <= DEEPEST:
        return False
    depth = at = 0
    while depth <= DEEPEST and (found := _TO_BRACKET.match(text, at)):
        at = found.end()
        depth += 1 if text[at - 1] in _OPENING else -1
    return depth > DEEPEST


def _end_of_part(text: bytes, at: int) -> int:
    """Where the comma or bracket stands that ends the part which begins at `at`; -1 without one."""
    while found := _TO_BRACKET_OR_COMMA.match(text, at):
        at = found.end()
        if text[at - 1] not in _OPENING:
            return at - 1
        at = _after_closing(text, at)
        if at < 0:
            break
    return -1


def _after_closing(text: bytes, at: int) -> int:
    """The position after the bracket that closes the one before `at`; -1 without one."""
    depth = 1
    while depth < _DEEPEST_COUNTED and (found := _TO_BRACKET.match(text, at)):
        at = found.end()
        depth += 1 if text[at - 1] in _OPENING else -1
        if not depth:
            return at
    return -1
