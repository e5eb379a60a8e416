"""Removing paths from an event before anything of it is stored. Pure.

A path is names with dots between them, `context.device.id`; a list on its way is entered, each of its
elements. What is not there is no matter, and then the event stays as it was sent, byte for byte.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import orjson

from bridge.segment import raw_json
from bridge.segment.body import Element
from bridge.segment.ids import message_id_of

Paths = Sequence[tuple[str, ...]]


def paths_of(written: Sequence[str]) -> Paths:
    return [tuple(path.split(".")) for path in written]


def without(element: Element, paths: Paths) -> Element:
    """The element without these; one that had no messageId keeps the one that its bytes made."""
    value = element.value
    if type(value) is not dict or raw_json.is_too_deep(element.raw):
        return element
    # Named by what was sent, so that a repeat is known.
    message_id = message_id_of(value, element.raw)
    if not _removed_any(value, paths):
        return element
    named = value | {"messageId": message_id}
    return Element(named, orjson.dumps(named))


def _removed_any(values: Any, paths: Paths) -> bool:
    # All of them, and not only until one was there.
    return sum(_removed(values, path) for path in paths) > 0


def _removed(value: Any, path: tuple[str, ...]) -> bool:
    """Whether it was there, and is not any more."""
    if type(value) is list:
        return sum(_removed(one, path) for one in value) > 0
    if type(value) is not dict or path[0] not in value:
        return False
    if len(path) > 1:
        return _removed(value[path[0]], path[1:])
    del value[path[0]]
    return True
