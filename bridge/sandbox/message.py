"""Reading the body of a create-notification request: what OneSignal refuses, what it swallows.

Pure. Targeting is `audience`'s business; this module knows content, lifetime and keys
(reference/push-notification of OneSignal's API).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, Final

import orjson

from bridge.sandbox.audience import BY_ALIAS, BY_EXTERNAL_ID, flags_count, flags_of
from bridge.sandbox.platforms import FLAGS
from bridge.sandbox.wire import Answer, JsonObject, Request, is_uuid, refused
from bridge.sandbox.world import Behaviour

MAX_TTL: Final = 2_419_200
MAX_DATA_BYTES: Final = 2_048
#: "To avoid truncation, keep payloads under 3500 bytes" (docs/osnotification-payload).
MAX_PAYLOAD_BYTES: Final = 3_500

_FIELD_NAMES: Final = """
adm_big_picture adm_group adm_large_icon adm_small_icon android_accent_color
android_channel_id android_group apns_push_type_override app_id app_url big_picture buttons
channel_for_external_user_ids chrome_web_badge chrome_web_icon chrome_web_image collapse_id
content_available contents custom_data data delayed_option delivery_time_of_day
enable_frequency_cap excluded_segments existing_android_channel_id filters firefox_icon
global_image headings huawei_accent_color huawei_badge_add_num huawei_badge_class
huawei_badge_set_num huawei_bi_tag huawei_big_picture huawei_category huawei_channel_id
huawei_existing_channel_id huawei_large_icon huawei_msg_type huawei_small_icon idempotency_key
include_aliases include_external_user_ids include_player_ids include_subscription_ids
included_segments ios_attachments ios_badgeCount ios_badgeType ios_category
ios_interruption_level ios_relevance_score ios_sound large_icon name priority send_after
small_icon subtitle target_channel target_content_identifier template_id thread_id
throttle_rate_per_minute ttl url web_buttons web_push_topic web_url
"""
_FIELDS: Final = frozenset(_FIELD_NAMES.split())


def content_refusal(body: JsonObject) -> Answer | None:
    """The 400 for a body whose content cannot be sent; None when it can."""
    if not _has_content(body):
        return refused("Message Notifications must have English language content")
    for name, (is_right, expectation) in _CHECKS.items():
        value = body.get(name)
        if value is not None and not is_right(value):
            return refused(f"{name} must be {expectation}")
    return None


def send_at_ms(body: JsonObject, now_ms: int) -> int:
    """When the notification leaves: `send_after`, or now when that is absent or past."""
    moment = _moment(body.get("send_after"))
    return max(now_ms, round(moment.timestamp() * 1000)) if moment else now_ms


def remarks(request: Request, method: str, behaviour: Behaviour) -> list[tuple[str, str]]:
    """(code, text) of everything that OneSignal would swallow, to the client's disadvantage."""
    body = request.body
    found = [
        *_flag_remarks(body, is_heard=flags_count(method, behaviour)),
        *_key_remarks(request),
        *_label_remarks(body, method),
    ]
    unknown = sorted(body.keys() - _FIELDS - FLAGS - {"external_id"})
    if unknown:
        found.append(("unknown-field", f"A notification has no field {', '.join(unknown)}"))
    size = len(orjson.dumps([body.get(key) for key in ("contents", "headings", "data")]))
    if size > MAX_PAYLOAD_BYTES:
        found.append(("large-payload", f"Text and data have {size} bytes and may be cut off"))
    return found


def _flag_remarks(body: JsonObject, *, is_heard: bool) -> list[tuple[str, str]]:
    flags = flags_of(body)
    found = [
        ("flag-not-boolean", f"{name} must be true or false")
        for name in sorted(FLAGS & body.keys() - flags.keys())
        if body[name] is not None
    ]
    if is_heard and flags and not any(flags.values()):
        names = ", ".join(sorted(flags))
        found.append(("false-flag-alone", f"{names}: a false without any true excludes nothing"))
    return found


def _key_remarks(request: Request) -> list[tuple[str, str]]:
    found = []
    if "external_id" in request.body:
        found.append(("deprecated-key", "external_id is a deprecated key, and not a target"))
    if "idempotency-key" in request.headers:
        found.append(("key-in-header", "The header Idempotency-Key does nothing; use the body"))
    return found


def _label_remarks(body: JsonObject, method: str) -> list[tuple[str, str]]:
    if method == BY_EXTERNAL_ID and body.get("channel_for_external_user_ids") != "push":
        text = "include_external_user_ids wants channel_for_external_user_ids: push"
        return [("no-channel", text)]
    return [
        ("misspelt-label", f"{label} is not external_id and reaches nobody")
        for label in (body[method] if method == BY_ALIAS else ())
        if label != "external_id" and "".join(filter(str.isalnum, label)).lower() in _NEAR_MISSES
    ]


_NEAR_MISSES: Final = frozenset({"externalid", "externalids", "externaluserid", "externaluserids"})


def _has_content(body: JsonObject) -> bool:
    if body.get("template_id") or (body.get("content_available") and "contents" not in body):
        return True
    contents = body.get("contents")
    return isinstance(contents, dict) and bool(contents.get("en"))


def _is_integer(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_text(value: Any, limit: int | None = None) -> bool:
    return isinstance(value, str) and (limit is None or len(value) <= limit)


def _is_translations(value: Any) -> bool:
    return isinstance(value, dict) and all(isinstance(text, str) for text in value.values())


def _is_small_object(value: Any) -> bool:
    return isinstance(value, dict) and len(orjson.dumps(value)) <= MAX_DATA_BYTES


def _moment(value: Any) -> datetime | None:
    """A time as OneSignal reads `send_after`: ISO 8601, or `2026-09-24 14:00:00 GMT-0700`."""
    try:
        moment = datetime.fromisoformat(value.replace(" GMT", ""))
    except (AttributeError, ValueError):
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


_CHECKS: Final[Mapping[str, tuple[Callable[[Any], bool], str]]] = {
    "idempotency_key": (is_uuid, "a UUID"),
    "template_id": (is_uuid, "a UUID"),
    "contents": (_is_translations, "an object of texts by language"),
    "headings": (_is_translations, "an object of texts by language"),
    "subtitle": (_is_translations, "an object of texts by language"),
    "data": (_is_small_object, f"an object of at most {MAX_DATA_BYTES} bytes"),
    "custom_data": (_is_small_object, f"an object of at most {MAX_DATA_BYTES} bytes"),
    "ttl": (lambda value: _is_integer(value) and 0 <= value <= MAX_TTL, "0 to 2419200 seconds"),
    "priority": (lambda value: _is_integer(value) and value in {5, 10}, "10 or 5"),
    "collapse_id": (lambda value: _is_text(value, 64), "a text of at most 64 characters"),
    "name": (lambda value: _is_text(value, 128), "a text of at most 128 characters"),
    "url": (_is_text, "a text"),
    "app_url": (_is_text, "a text"),
    "web_url": (_is_text, "a text"),
    "send_after": (lambda value: _moment(value) is not None, "an ISO 8601 time"),
}
