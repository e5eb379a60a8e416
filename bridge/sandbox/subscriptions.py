"""Subscriptions: a user's channels, of which push tokens are the ones that notifications reach.

The subscription endpoints of OneSignal's API (reference/create-subscription, update-subscription,
delete-subscription, transfer-subscription and their `subscriptions_by_token` twin).
"""

from __future__ import annotations

from typing import Any, Final

from bridge.sandbox.platforms import SUBSCRIPTION_TYPES
from bridge.sandbox.wire import Answer, JsonObject, Request, coded
from bridge.sandbox.world import App, Subscription, User, World

MAX_SUBSCRIPTIONS: Final = 20
#: `notification_types` of a subscription that the API switched off.
UNSUBSCRIBED_BY_API: Final = -31

_DETAILS: Final[JsonObject] = {
    "session_time": 0,
    "session_count": 1,
    "sdk": "",
    "device_model": "",
    "device_os": "",
    "rooted": False,
    "test_type": 0,
    "app_version": "",
    "net_type": 0,
    "carrier": "",
    "web_auth": "",
    "web_p256": "",
}


def view(app_id: str, subscription: Subscription) -> JsonObject:
    """OneSignal's subscription object."""
    return {
        "id": subscription.id,
        "app_id": app_id,
        "type": subscription.type,
        "token": subscription.token,
        "enabled": subscription.enabled,
        "notification_types": subscription.notification_types,
        **_DETAILS,
        **subscription.details,
    }


def create(world: World, request: Request) -> Answer:
    """201 for a new subscription, 202 when the token was known and now belongs to this user."""
    app = world.app(request.app_id)
    user = world.find(app.id, request.params["label"], request.params["id"])
    if user is None:
        return coded(404, "subscription-0", "User not found")
    wanted = request.body.get("subscription")
    is_known = isinstance(wanted, dict) and _known(app, wanted) is not None
    stored = subscribe_all(app, user, [wanted])
    if isinstance(stored, Answer):
        return stored
    return Answer(status=202 if is_known else 201, body={"subscription": view(app.id, stored[0])})


def update(world: World, request: Request) -> Answer:
    subscription = named_subscription(world, request)
    if isinstance(subscription, Answer):
        return subscription
    return _update(world.app(request.app_id), subscription, request, status=200)


def update_by_token(world: World, request: Request) -> Answer:
    app = world.app(request.app_id)
    subscription = app.by_token.get((request.params["token_type"], request.params["token"]))
    if subscription is None:
        return _not_found()
    return _update(app, subscription, request, status=202)


def delete(world: World, request: Request) -> Answer:
    subscription = named_subscription(world, request)
    if isinstance(subscription, Answer):
        return subscription
    world.app(request.app_id).unsubscribe(subscription)
    return Answer(status=202, body={})


def change_owner(world: World, request: Request) -> Answer:
    """200 with the new owner's identity; the body names that user by exactly one alias."""
    subscription, identity = named_subscription(world, request), request.body.get("identity")
    if isinstance(subscription, Answer):
        return subscription
    if not isinstance(identity, dict) or len(identity) != 1:
        return coded(400, "request-2", "identity must hold exactly one alias")
    ((label, alias_id),) = identity.items()
    user = world.find(request.app_id, label, str(alias_id))
    if user is None:
        return coded(404, "user-1", f"No user has the alias {label}: {alias_id}")
    if len(user.subscriptions) >= MAX_SUBSCRIPTIONS and subscription.owner is not user:
        return _too_many()
    world.app(request.app_id).move(subscription, user)
    return Answer(status=200, body={"identity": user.identity})


def named_subscription(world: World, request: Request) -> Subscription | Answer:
    found = world.app(request.app_id).subscriptions.get(request.params["subscription_id"])
    return found or _not_found()


def subscribe_all(app: App, user: User, wanted: list[Any]) -> list[Subscription] | Answer:
    """Give a user these subscriptions: all of them, or none and the reason."""
    for each in wanted:
        refusal = _bad_subscription(each)
        if refusal:
            return refusal
    known = [_known(app, each) for each in wanted]
    gained = sum(each is None or each.owner is not user for each in known)
    if len(user.subscriptions) + gained > MAX_SUBSCRIPTIONS:
        return _too_many()
    return [_subscribe(app, user, each) for each in wanted]


def _subscribe(app: App, user: User, wanted: JsonObject) -> Subscription:
    subscription = _known(app, wanted)
    if subscription is None:
        subscription = app.subscribe(user, wanted["type"], wanted["token"])
    app.move(subscription, user)
    # "Defaults to true if omitted", even for one that its owner has ended (reference/create-subscription).
    _apply(subscription, {"enabled": True} | wanted)
    return subscription


def _known(app: App, wanted: JsonObject) -> Subscription | None:
    return app.by_token.get((wanted.get("type", ""), wanted.get("token", "")))


def _update(app: App, subscription: Subscription, request: Request, *, status: int) -> Answer:
    wanted = request.body.get("subscription")
    if not isinstance(wanted, dict):
        return coded(400, "request-2", "subscription must be an object")
    refusal = _bad_fields(wanted)
    if refusal:
        return refusal
    if "token" in wanted:
        app.retoken(subscription, wanted["token"])
    _apply(subscription, wanted)
    return Answer(status=status, body={"subscription": view(app.id, subscription)})


def _apply(subscription: Subscription, wanted: JsonObject) -> None:
    if "enabled" in wanted:
        subscription.enabled = wanted["enabled"]
        subscription.notification_types = 1 if wanted["enabled"] else UNSUBSCRIBED_BY_API
    if "notification_types" in wanted:
        subscription.notification_types = wanted["notification_types"]
    subscription.details.update({key: wanted[key] for key in _DETAILS.keys() & wanted.keys()})


def _bad_subscription(wanted: Any) -> Answer | None:
    if not isinstance(wanted, dict):
        return coded(400, "request-2", "subscription must be an object")
    if wanted.get("type") not in SUBSCRIPTION_TYPES:
        return coded(400, "subscription-2", f"Unknown subscription type: {wanted.get('type')!r}")
    if not wanted.get("token"):
        return coded(400, "subscription-3", "token must not be empty")
    return _bad_fields(wanted)


def _bad_fields(wanted: JsonObject) -> Answer | None:
    kinds = {"enabled": bool, "notification_types": int, "token": str}
    for name, kind in kinds.items():
        if name in wanted and not isinstance(wanted[name], kind):
            return coded(400, "request-2", f"{name} must be of type {kind.__name__}")
    return None


def _not_found() -> Answer:
    return coded(404, "subscription-0", "Subscription not found")


def _too_many() -> Answer:
    title = f"A user has at most {MAX_SUBSCRIPTIONS} subscriptions"
    return coded(409, "subscription-1", title)
