"""Whom a notification is for: one targeting method, the platform flags, and who can be reached.

Pure, over the state of an app. Platform flags do nothing when the request names subscriptions
(`include_subscription_ids`, `include_player_ids`): it has chosen its devices already.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from bridge.sandbox.platforms import EVERYWHERE, FLAGS, Platform, platforms_reached
from bridge.sandbox.wire import Answer, JsonObject, is_uuid, refused
from bridge.sandbox.world import EXTERNAL_ID, App, Behaviour, Subscription

BY_ALIAS: Final = "include_aliases"
BY_EXTERNAL_ID: Final = "include_external_user_ids"
BY_SEGMENT: Final = "included_segments"
BY_PLAYER: Final = "include_player_ids"
BY_ID: Final = frozenset({"include_subscription_ids", BY_PLAYER})
#: Ids in one call that names them in the legacy way (reference/create-notification, 2022).
MAX_LEGACY_IDS: Final = 2_000
#: Real targeting methods that this sandbox does not play.
NOT_PLAYED: Final = frozenset(
    {
        "filters", "include_email_tokens", "email_to", "include_phone_numbers",
        "include_ios_tokens", "include_android_reg_ids", "include_chrome_web_reg_ids",
        "include_chrome_reg_ids", "include_amazon_reg_ids", "include_wp_wns_uris",
    }
)  # fmt: skip
METHODS: Final = frozenset({BY_ALIAS, BY_EXTERNAL_ID, BY_SEGMENT, *BY_ID, *NOT_PLAYED})
#: The segments that every app has.
WHOLE_APP: Final = frozenset({"All", "Subscribed Users", "Total Subscriptions"})


@dataclass(slots=True, kw_only=True)
class Audience:
    """`reached` holds each subscription once; `unsubscribed` names the ids behind the others."""

    reached: list[Subscription] = field(default_factory=list)
    unsubscribed: list[tuple[str, str]] = field(default_factory=list)


def targeting(body: JsonObject, behaviour: Behaviour) -> str | Answer:
    """The one targeting method of a request; 400 for none, several, or one that is malformed."""
    methods = sorted(METHODS & {key for key, value in body.items() if value})
    if not methods:
        return refused(
            "You must include which players, segments, or tags you wish to send this notification to."
        )
    if len(methods) > 1:
        return refused(f"Only one targeting method at a time: {', '.join(methods)}")
    return _malformed(methods[0], body, behaviour) or methods[0]


def flags_of(body: JsonObject) -> dict[str, bool]:
    """The platform flags that are set to true or false."""
    return {key: body[key] for key in FLAGS & body.keys() if isinstance(body[key], bool)}


def flags_count(method: str, behaviour: Behaviour) -> bool:
    """Whether platform flags have any effect with this targeting method."""
    return (
        method not in BY_ID
        and not behaviour.ignore_flags
        and not (method == BY_EXTERNAL_ID and behaviour.external_user_ids_ignore_flags)
    )


def audience_of(app: App, body: JsonObject, method: str, behaviour: Behaviour) -> Audience:
    """Who gets the notification; unknown ids are passed over in silence, as OneSignal does."""
    is_push = body.get("target_channel", "push") == "push"
    platforms = platforms_reached(flags_of(body)) if flags_count(method, behaviour) else EVERYWHERE
    seen: set[str] = set()
    audience = Audience()
    for label, name, subscription in _candidates(app, body, method) if is_push else ():
        if subscription.id in seen or not _is_on(subscription, platforms):
            continue
        seen.add(subscription.id)
        if subscription.is_reachable:
            audience.reached.append(subscription)
        else:
            audience.unsubscribed.append((label, name))
    return audience


def against_flags(body: JsonObject, audience: Audience) -> bool:
    """Whether a device is reached that the flags leave out."""
    meant = platforms_reached(flags_of(body))
    return any(each.platform not in meant for each in audience.reached)


def _is_on(subscription: Subscription, platforms: frozenset[Platform]) -> bool:
    return subscription.platform in platforms


def _candidates(app: App, body: JsonObject, method: str) -> Iterator[tuple[str, str, Subscription]]:
    """(alias label, the id by which the request named it, subscription)."""
    if method in BY_ID:
        for each in body[method]:
            if each in app.subscriptions:
                yield method, each, app.subscriptions[each]
    elif method == BY_SEGMENT:
        if not WHOLE_APP.isdisjoint(body[method]):
            for subscription in app.subscriptions.values():
                yield method, subscription.id, subscription
    else:
        yield from _by_alias(app, aliases_of(body, method))


def aliases_of(body: JsonObject, method: str) -> Mapping[str, list[str]]:
    return {EXTERNAL_ID: body[method]} if method == BY_EXTERNAL_ID else body[method]


def _by_alias(
    app: App, aliases: Mapping[str, list[str]]
) -> Iterator[tuple[str, str, Subscription]]:
    for label, names in aliases.items():
        for name in names:
            user = app.find(label, name)
            for subscription in user.subscriptions.values() if user else ():
                yield label, name, subscription


def _malformed(method: str, body: JsonObject, behaviour: Behaviour) -> Answer | None:
    if method in NOT_PLAYED:
        return refused(f"The sandbox does not play {method}")
    named = body[method]
    if method == BY_ALIAS:
        return _malformed_aliases(body, named, behaviour)
    if not _is_names(named):
        return refused(f"{method} must be a list of strings")
    if method in BY_ID:
        bad = next((each for each in named if not is_uuid(each)), None)
        if bad is not None:
            return refused(
                f"Incorrect subscription_id format in {method} (not a valid UUID): {bad}"
            )
    return _too_many(method, len(named), behaviour)


def _malformed_aliases(body: JsonObject, named: object, behaviour: Behaviour) -> Answer | None:
    if not isinstance(named, dict) or not all(map(_is_names, named.values())):
        return refused("include_aliases must map labels to lists of strings")
    if body.get("target_channel") not in {"push", "email", "sms"}:
        return refused("include_aliases needs target_channel: push, email or sms")
    return _too_many(BY_ALIAS, sum(map(len, named.values())), behaviour)


def _too_many(method: str, count: int, behaviour: Behaviour) -> Answer | None:
    most = behaviour.max_recipients
    if method in {BY_EXTERNAL_ID, BY_PLAYER}:
        most = min(most, MAX_LEGACY_IDS)
    if count <= most:
        return None
    return refused(f"{method} has {count} entries, and {most} is the limit")


def _is_names(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(each, str) for each in value)
