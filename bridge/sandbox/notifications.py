"""Notifications: create, look up, cancel; and what each device shows in the end.

::

    create ──> refused (400, 403)
       │  ──> replayed: a known key answers as it did the first time, and nothing is sent
       └─────> audience ──> nobody (200, id "") | pushes now | waiting for `send_after`
                                                                 └──> canceled, or pushes then

Success, partial success and "not sent" are all 200 (reference/create-message).
"""

from __future__ import annotations

import hashlib
from collections import Counter
from dataclasses import dataclass, field, replace
from typing import Any, Final
from uuid import uuid4

import orjson

from bridge.sandbox.audience import (
    BY_ALIAS,
    BY_EXTERNAL_ID,
    Audience,
    against_flags,
    audience_of,
    targeting,
)
from bridge.sandbox.ledger import Push
from bridge.sandbox.message import content_refusal, remarks, send_at_ms
from bridge.sandbox.platforms import BROWSERS, MAKES, Platform
from bridge.sandbox.wire import Answer, JsonObject, Request, refused
from bridge.sandbox.world import App, Subscription, User, World

NOT_SUBSCRIBED: Final = "All included players are not subscribed"
#: Keys are remembered, and messages can be looked up, for 30 days.
KEPT_MS: Final = 30 * 24 * 3600 * 1000
_KEPT_NOTIFICATIONS: Final = 100_000
#: More than ten pushes per subscription within this time disable the app.
VOLUME_SECONDS: Final = 15 * 60
VOLUME_FACTOR: Final = 10


@dataclass(slots=True, kw_only=True, eq=False)
class Notification:
    id: str
    app_id: str
    body: JsonObject
    queued_ms: int
    send_ms: int
    waiting: list[Subscription] = field(default_factory=list)
    #: Pushes by key of `platform_delivery_stats`.
    sent: Counter[str] = field(default_factory=Counter)
    canceled: bool = False

    @property
    def is_over(self) -> bool:
        return self.canceled or not self.waiting


@dataclass(frozen=True, slots=True, kw_only=True)
class Replay:
    """What a key answered, and a digest of the body that it came with."""

    at_ms: int
    digest: bytes
    answer: Answer


def create(world: World, request: Request) -> Answer:
    app = world.app(request.app_id)
    method = targeting(request.body, world.behaviour)
    if isinstance(method, Answer):
        return method
    refusal = content_refusal(request.body)
    if refusal:
        return refusal
    for code, text in remarks(request, method, world.behaviour):
        world.ledger.complain(request, code, text)
    replayed = _replayed(world, app, request)
    if replayed:
        return replayed
    if app.disabled:
        return refused("App is disabled: it sent too many messages in 15 minutes", status=403)
    answer = _send(world, app, request, method)
    _remember(app, request, answer)
    return answer


def read(world: World, request: Request) -> Answer:
    notification = _find(world, request)
    return Answer(status=200, body=_view(notification)) if notification else _not_found()


def cancel(world: World, request: Request) -> Answer:
    """200 while the notification waits for `send_after`; 400 once it is sent."""
    notification = _find(world, request)
    if notification is None:
        return _not_found()
    if notification.is_over:
        return refused("Notification has already been sent to all recipients")
    notification.canceled = True
    world.scheduled.remove(notification)
    return Answer(status=200, body={"success": True})


def release_due(world: World) -> None:
    """Send what waited for a time that has come."""
    if not world.scheduled:
        return
    now_ms = world.clock.now_ms()
    due = [each for each in world.scheduled if each.send_ms <= now_ms]
    for notification in sorted(due, key=lambda each: each.send_ms):
        world.scheduled.remove(notification)
        _deliver(world, notification)


def _find(world: World, request: Request) -> Notification | None:
    return world.app(request.app_id).notifications.get(request.params["notification_id"])


def _not_found() -> Answer:
    return refused("Notification not found", status=404)


def _send(world: World, app: App, request: Request, method: str) -> Answer:
    audience = audience_of(app, request.body, method, world.behaviour)
    if against_flags(request.body, audience):
        text = "Platform flags did nothing here: a device that they leave out was reached"
        world.ledger.complain(request, "flags-ignored", text)
    if not audience.reached:
        return Answer(status=200, body={"id": "", "errors": [NOT_SUBSCRIBED]})
    notification = Notification(
        id=str(uuid4()),
        app_id=app.id,
        body=request.body,
        queued_ms=request.at_ms,
        send_ms=send_at_ms(request.body, request.at_ms),
        waiting=audience.reached,
    )
    _keep(app, notification)
    world.scheduled.append(notification)
    release_due(world)
    return Answer(status=200, body=_success(notification, audience, method))


def _success(notification: Notification, audience: Audience, method: str) -> JsonObject:
    key = notification.body.get("idempotency_key")
    body: JsonObject = {"id": notification.id, "external_id": key}
    if audience.unsubscribed:
        body["errors"] = _unsubscribed(audience, method)
    return body


def _unsubscribed(audience: Audience, method: str) -> JsonObject:
    """One entry per unsubscribed subscription, so that an id may be there several times."""
    if method == BY_ALIAS:
        by_label: dict[str, list[str]] = {}
        for label, name in audience.unsubscribed:
            by_label.setdefault(label, []).append(name)
        return {"invalid_aliases": by_label}
    name = "invalid_external_user_ids" if method == BY_EXTERNAL_ID else "invalid_player_ids"
    return {name: [each for _, each in audience.unsubscribed]}


def _keep(app: App, notification: Notification) -> None:
    app.notifications[notification.id] = notification
    while len(app.notifications) > _KEPT_NOTIFICATIONS or (
        notification.queued_ms - next(iter(app.notifications.values())).queued_ms > KEPT_MS
    ):
        del app.notifications[next(iter(app.notifications))]


def _deliver(world: World, notification: Notification) -> None:
    app = world.app(notification.app_id)
    subscriptions, notification.waiting = notification.waiting, []
    for subscription in subscriptions:
        push = _push(notification, subscription)
        world.ledger.delivered(push)
        notification.sent[MAKES[push.platform].stats] += 1
    _count_volume(world, app, len(subscriptions))


def _push(notification: Notification, subscription: Subscription) -> Push:
    body, user, platform = notification.body, subscription.owner, subscription.platform
    assert platform is not None, "an audience holds push subscriptions"  # noqa: S101 - for the types
    return Push(
        at_ms=notification.send_ms,
        app_id=notification.app_id,
        notification_id=notification.id,
        subscription_id=subscription.id,
        external_id=user.external_id,
        platform=platform,
        title=_translated(body.get("headings"), user),
        text=_translated(body.get("contents"), user) or _templated(body),
        url=body.get("url") or body.get("web_url" if platform in BROWSERS else "app_url"),
        image=_picture(body, platform),
        data=body.get("data"),
        idempotency_key=body.get("idempotency_key"),
    )


_PICTURES: Final = {
    Platform.ANDROID: "big_picture",
    Platform.HUAWEI: "huawei_big_picture",
    Platform.AMAZON: "adm_big_picture",
    Platform.WEB_CHROME: "chrome_web_image",
}


def _picture(body: JsonObject, platform: Platform) -> str | None:
    attached = body.get("ios_attachments") if platform is Platform.IOS else None
    own = next(iter(attached.values()), None) if attached else body.get(_PICTURES.get(platform, ""))
    found: str | None = own or body.get("global_image")
    return found


def _translated(texts: Any, user: User) -> str | None:
    if not texts:
        return None
    text: str | None = texts.get(user.fields.get("language") or "en", texts.get("en"))
    return text


def _templated(body: JsonObject) -> str:
    return f"(template {body['template_id']})" if body.get("template_id") else ""


def _count_volume(world: World, app: App, pushes: int) -> None:
    now = world.clock.monotonic()
    app.volume.append((now, pushes))
    if world.behaviour.disable_over_volume:
        app.disabled |= recent_volume(app, now) > VOLUME_FACTOR * app.subscribed()
    while app.volume[0][0] <= now - VOLUME_SECONDS:
        app.volume.popleft()


def recent_volume(app: App, now: float) -> int:
    """Pushes of the last 15 minutes."""
    return sum(pushes for at, pushes in app.volume if at > now - VOLUME_SECONDS)


def _replayed(world: World, app: App, request: Request) -> Answer | None:
    replay = app.replays.get(request.body.get("idempotency_key") or "")
    if replay is None or request.at_ms - replay.at_ms >= KEPT_MS:
        return None
    if replay.digest != _digest(request.body):
        text = "The body differs from the one that this key came with; the first one counts"
        world.ledger.complain(request, "key-reused", text)
    return replace(replay.answer, headers={"Idempotent-Replayed": "true"})


def _remember(app: App, request: Request, answer: Answer) -> None:
    key = request.body.get("idempotency_key")
    if key is None:
        return
    app.replays.pop(key, None)
    app.replays[key] = Replay(at_ms=request.at_ms, digest=_digest(request.body), answer=answer)
    while request.at_ms - next(iter(app.replays.values())).at_ms >= KEPT_MS:
        del app.replays[next(iter(app.replays))]


def _digest(body: JsonObject) -> bytes:
    return hashlib.sha256(orjson.dumps(body, option=orjson.OPT_SORT_KEYS)).digest()


def _view(notification: Notification) -> JsonObject:
    successful, is_over = notification.sent.total(), notification.is_over
    shown = ("name", "contents", "headings", "data", "url", "app_url", "web_url", "template_id")
    return {
        "id": notification.id,
        "app_id": notification.app_id,
        **{key: notification.body.get(key) for key in shown},
        "queued_at": notification.queued_ms // 1000,
        "send_after": notification.send_ms // 1000,
        "completed_at": notification.send_ms // 1000 if is_over else None,
        "canceled": notification.canceled,
        "remaining": 0 if is_over else len(notification.waiting),
        **_tally(successful),
        "platform_delivery_stats": {key: _tally(sent) for key, sent in notification.sent.items()},
        "outcomes": [],
    }


def _tally(successful: int) -> JsonObject:
    return {"successful": successful, "failed": 0, "errored": 0, "converted": 0, "received": 0}
