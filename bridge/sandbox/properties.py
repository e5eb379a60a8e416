"""Reading the `properties` of a user update: what it changes, or why it is refused.

Pure. What OneSignal refuses comes back as an `Answer`; what it would swallow, to the client's
disadvantage, comes back as remarks beside the changes.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import orjson

from bridge.sandbox.wire import Answer, coded
from bridge.sandbox.world import Changes

#: "Up to 100 property updates per request" (reference/rate-limits).
MAX_PROPERTIES: Final = 100
#: docs/add-user-data-tags: names that mean something else inside a message.
RESERVED_TAGS: Final = frozenset(
    {
        "message", "notification", "subscription", "user", "template", "app", "org",
        "dynamic_content", "data_feed", "journey", "custom_data",
    }
)  # fmt: skip
_LEGAL_TAG: Final = re.compile(r"[A-Za-z0-9_]+")

_FIELD_TYPES: Final[Mapping[str, type | tuple[type, ...]]] = {
    "language": str,
    "timezone_id": str,
    "lat": (int, float),
    "long": (int, float),
    "country": str,
    "first_active": int,
    "last_active": int,
    "test_user_name": str,
    "amount_spent": (int, float),
    "purchases": list,
    "ip": str,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """An update that is accepted, with (code, text) remarks on what is wrong with it all the same."""

    changes: Changes
    remarks: tuple[tuple[str, str], ...] = ()


def read_properties(properties: Any) -> Reading | Answer:
    """What `properties` of a request body changes; 400 for what OneSignal refuses."""
    if not properties:
        return Reading(changes=Changes())
    if not isinstance(properties, dict):
        return _invalid("properties must be an object")
    tags = properties.get("tags") or {}
    if not isinstance(tags, dict):
        return _invalid("tags must be an object")
    refusal = _refusal(tags, len(tags) + len(properties) - ("tags" in properties))
    return refusal or _reading(tags, properties)


def too_many_tags(cap: int) -> Answer:
    return coded(400, "tags-1", f"App is limited to a maximum of {cap} tags on a given player")


def _refusal(tags: dict[str, Any], count: int) -> Answer | None:
    if count > MAX_PROPERTIES:
        return _invalid(f"Please limit your tag updates to 100 per request ({count} were sent)")
    reserved = RESERVED_TAGS.intersection(tags)
    if reserved:
        return _invalid(f"Tag names are reserved: {', '.join(sorted(reserved))}")
    return None


def _reading(tags: dict[str, Any], properties: dict[str, Any]) -> Reading:
    remarks: list[tuple[str, str]] = []
    kept = {key: _tag_text(key, value, remarks) for key, value in tags.items()}
    fields = {key: value for key, value in properties.items() if key != "tags"}
    for key, value in fields.items():
        _check_field(key, value, remarks)
    return Reading(
        changes=Changes(
            tags={key: text for key, text in kept.items() if key and text is not None},
            fields={key: value for key, value in fields.items() if key in _FIELD_TYPES},
        ),
        remarks=tuple(remarks),
    )


def _tag_text(key: str, value: Any, remarks: list[tuple[str, str]]) -> str | None:
    """The text that is stored; None leaves the tag as it is."""
    if not key:
        remarks.append(("empty-tag-name", "A tag without a name is lost"))
    elif not _LEGAL_TAG.fullmatch(key):
        remarks.append(
            ("unusual-tag-name", f"Tag {key!r}: only letters, digits and _ work in a message")
        )
    if isinstance(value, str):
        return value
    remarks.append(("non-string-tag", f"Tag {key!r} is not a string: {_as_text(value)}"))
    # Whether null deletes is not documented for this API, so nobody may rely on it.
    return None if value is None else _as_text(value)


def _check_field(key: str, value: Any, remarks: list[tuple[str, str]]) -> None:
    expected = _FIELD_TYPES.get(key)
    if expected is None:
        remarks.append(("unknown-property", f"A user has no property {key!r}"))
    elif value is not None and (not isinstance(value, expected) or isinstance(value, bool)):
        remarks.append(("wrong-property-type", f"Property {key!r} has a value of the wrong type"))


def _as_text(value: Any) -> str:
    return orjson.dumps(value).decode()


def _invalid(title: str) -> Answer:
    return coded(400, "request-2", title)
