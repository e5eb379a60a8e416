"""What one rule sends for one event, a push or a custom event; or the reason why it does not."""

from __future__ import annotations

from typing import Any

from bridge.mapping.expression import Missing, Refused
from bridge.mapping.filling import as_text, resolve
from bridge.mapping.operations import Track
from bridge.mapping.push import Push
from bridge.mapping.rules import Rule
from bridge.mapping.written_user import EVENT_NAME_LENGTH
from bridge.onesignal.operations import Recipient, SendNotification, TrackCustomEvent
from bridge.onesignal.user_model import EVENT_BYTES, custom_event
from bridge.plan.targets import recipient
from bridge.plan.values import Draft, Skip, why
from bridge.segment.events import Event

_ANY_KEY = "00000000-0000-5000-8000-000000000000"
"""As long as every key is: for measuring."""


def plan_push(rule: Rule, push: Push, draft: Draft, user: Recipient) -> SendNotification | Skip:
    to = recipient(push.to, user, draft)
    if isinstance(to, Skip):
        return to
    fields = draft.fields
    body: dict[str, Any] = {}
    for one in push.fields:
        found = one.fill(fields)
        if isinstance(found, (Missing, Refused)):
            if one.required:
                return draft.skip(*why(found))
            draft.leave_out(one.name, *why(found))
        else:
            body[one.name] = found
    return SendNotification(
        rule=rule.name,
        to=to,
        body=body | push.constant,
        flags=push.flags,
        max_age_ms=rule.max_age_ms,
        devices=push.devices,
    )


def plan_track(
    rule: Rule, track: Track, draft: Draft, event: Event, user: Recipient
) -> TrackCustomEvent | Skip:
    to = recipient(track.to, user, draft)
    if isinstance(to, Skip):
        return to
    name = as_text(track.name.resolve(draft.fields))
    if not isinstance(name, str):
        return draft.skip(*why(name))
    if not name.strip() or len(name) > EVENT_NAME_LENGTH:
        return draft.skip("too_long" if name.strip() else "empty_text", "name")
    tracked = TrackCustomEvent(
        rule=rule.name,
        to=to,
        event=name,
        properties=_properties(track, draft),
        at_ms=event.event_ms,
        max_age_ms=rule.max_age_ms,
    )
    size = len(custom_event(tracked, key=_ANY_KEY))
    if size > EVENT_BYTES:
        return draft.skip("too_long", f"{size} bytes, and OneSignal takes {EVENT_BYTES}")
    return tracked


def _properties(track: Track, draft: Draft) -> dict[str, Any]:
    properties: dict[str, Any] = {}
    for key, tree in track.properties:
        found = resolve(tree, draft.fields, (), keep_null=True)
        if isinstance(found, Missing | Refused):
            draft.leave_out(f"properties.{key}", *why(found))
        else:
            properties[key] = found
    return properties
