"""Custom events: accepted one by one, with the failures listed in a 202.

Sizes, answers and the 4 hours of deduplication are those of reference/create-custom-events. A
refused request answers `{}` there, which tells the client nothing: the reason is in the complaints.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final

import orjson

from bridge.sandbox.ledger import CustomEvent
from bridge.sandbox.wire import Answer, JsonObject, Request, is_uuid
from bridge.sandbox.world import EXTERNAL_ID, ONESIGNAL_ID, App, World

MAX_EVENT_BYTES: Final = 2_024
MAX_REQUEST_BYTES: Final = 1_000_000
MAX_NAME: Final = 128
REMEMBERED_MS: Final = 4 * 3600 * 1000


def create(world: World, request: Request) -> Answer:
    """202 `{}`, or 202 with the events whose user is unknown; 400 `{}` for a malformed request."""
    events = request.body.get("events")
    problem = _problem(events, len(request.raw_body))
    if problem:
        world.ledger.complain(request, "custom-events-refused", problem)
        return Answer(status=400, body={})
    app = world.app(request.app_id)
    errors = [error for event in events if (error := _accept(world, app, event, request.at_ms))]
    return Answer(status=202, body={"errors": errors} if errors else {})


def _accept(world: World, app: App, event: JsonObject, now_ms: int) -> JsonObject | None:
    """Keep one event; the error entry when its user does not exist."""
    label = EXTERNAL_ID if EXTERNAL_ID in event else ONESIGNAL_ID
    user, key = app.find(label, event[label]), event.get("idempotency_key")
    if user is None:
        title = f"failed to find a onesignal_id for user_id {event[label]}"
        error = {"code": "not found", "title": title}
        return {"event_user_id": event[label], "event_id": key, "error": error}
    if not _is_repeat(app, key, now_ms):
        world.ledger.events.append(
            CustomEvent(
                at_ms=now_ms,
                app_id=app.id,
                name=event["name"],
                onesignal_id=user.onesignal_id,
                external_id=user.external_id,
                timestamp=event.get("timestamp"),
                payload=event.get("properties", event.get("payload")),
                idempotency_key=key,
            )
        )
    return None


def _is_repeat(app: App, key: str | None, now_ms: int) -> bool:
    if key is None:
        return False
    seen_ms = app.event_keys.get(key)
    if seen_ms is not None and now_ms - seen_ms < REMEMBERED_MS:
        return True
    app.event_keys.pop(key, None)
    app.event_keys[key] = now_ms
    while now_ms - (oldest := next(iter(app.event_keys.items())))[1] >= REMEMBERED_MS:
        del app.event_keys[oldest[0]]
    return False


def _problem(events: Any, size: int) -> str | None:
    if size > MAX_REQUEST_BYTES:
        return f"The request has {size} bytes, and 1 MB is the limit"
    if not isinstance(events, list) or not events:
        return "events must be a list with at least one event"
    return next((problem for event in events if (problem := _event_problem(event))), None)


def _event_problem(event: Any) -> str | None:
    if not isinstance(event, dict):
        return "An event must be an object"
    size = len(orjson.dumps(event))
    if size > MAX_EVENT_BYTES:
        return f"An event has {size} bytes, and {MAX_EVENT_BYTES} is the limit"
    name = event.get("name")
    if not isinstance(name, str) or not 0 < len(name) <= MAX_NAME:
        return f"An event needs a name of 1 to {MAX_NAME} characters"
    ids = [event[label] for label in (EXTERNAL_ID, ONESIGNAL_ID) if label in event]
    if len(ids) != 1 or not isinstance(ids[0], str):
        return "An event names its user by external_id or by onesignal_id"
    return _field_problem(event)


def _field_problem(event: JsonObject) -> str | None:
    payload = event.get("properties", event.get("payload", {}))
    if not isinstance(payload, dict):
        return "properties must be an object"
    key = event.get("idempotency_key")
    if key is not None and not is_uuid(key):
        return "idempotency_key must be a UUID"
    if "timestamp" in event and not _is_iso(event["timestamp"]):
        return "timestamp must be an ISO 8601 time"
    return None


def _is_iso(text: Any) -> bool:
    try:
        return isinstance(text, str) and bool(datetime.fromisoformat(text))
    except ValueError:
        return False
