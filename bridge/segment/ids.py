"""What counts as an id in Segment's events, and the id of an event that came without one."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from typing import Any

import orjson

#: Segment's own limit. [segment-docs connections/spec/common]
_LONGEST_MESSAGE_ID = 100


def message_id_of(sent: Mapping[str, Any], raw: bytes) -> str:
    """An event's messageId; `sha-` and a hash when there is none, or one of over 100 characters.

    Args:
        sent: The event's JSON object.
        raw: Its text. The same bytes sent again give the same id.
    """
    text = id_text(sent.get("messageId"))
    if text is None:
        return "sha-" + hashlib.sha256(raw).hexdigest()
    if len(text) > _LONGEST_MESSAGE_ID:
        return "sha-" + hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
    return text


def id_text(value: object) -> str | None:
    """An id as text; None for "", null, and what is no id (booleans, lists, objects).

    Numbers are written as JavaScript prints them where ids are concerned: `1.0` is "1", and whole
    numbers have no exponent below 1e21.
    """
    if type(value) is str:
        return value or None
    if type(value) is int:
        return str(value) if value.bit_length() <= 64 else None
    if type(value) is not float or not math.isfinite(value):
        return None
    if value.is_integer() and abs(value) < 1e21:
        return str(int(value))
    return orjson.dumps(value).decode()
