"""What a person has agreed to, as an event says it, in three places of its context.

`consent.categoryPreferences`: Segment's consent wrappers stamp every event with the categories that
its owner named and a boolean for each. A category that an event does not mention is neither granted
nor refused. [segment-docs privacy/consent-management/consent-in-segment-connections]

`device.adTrackingEnabled`: false means that the device's advertising id is not to be used. Nothing
reads it then. [segment-docs connections/spec/common]

`messaging_subscriptions`: of each address, number or push token whether it may be written to.
[segment-docs engage/user-subscriptions; analytics-swift-engage, analytics-kotlin-engage]
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Literal

AD_IDS = ("advertisingId", "advertising_id", "idfa")
"""What a device's advertising id is called in `context.device`."""

Subscribed = Literal["SUBSCRIBED", "UNSUBSCRIBED", "DID_NOT_SUBSCRIBE"]
_STATUSES: dict[str, Subscribed] = {
    "SUBSCRIBED": "SUBSCRIBED",
    "UNSUBSCRIBED": "UNSUBSCRIBED",
    "DID_NOT_SUBSCRIBE": "DID_NOT_SUBSCRIBE",
}


def withheld(
    context: Mapping[str, Any], need: Iterable[str], *, unknown_allows: bool
) -> str | None:
    """The first category of `need` that is not granted; None when all are.

    Args:
        context: The event's context.
        need: Categories, as the source calls them.
        unknown_allows: Whether a category that the event does not mention counts as granted.
    """
    consent = context.get("consent")
    preferences = consent.get("categoryPreferences") if isinstance(consent, dict) else None
    said = preferences if isinstance(preferences, dict) else {}
    for category in need:
        granted = said.get(category)
        if granted is not True and (granted is not None or not unknown_allows):
            return category
    return None


def forbids_ad_id(context: Mapping[str, Any]) -> bool:
    """Whether the device's advertising id is not to be used."""
    device = context.get("device")
    if type(device) is not dict:
        return False
    said = device.get("adTrackingEnabled")
    return said is False or said == "false"


def without_ad_id(context: dict[str, Any]) -> dict[str, Any]:
    """The context as it may be read."""
    if not forbids_ad_id(context):
        return context
    device = {name: value for name, value in context["device"].items() if name not in AD_IDS}
    ids = context.get("externalIds")
    if type(ids) is not list:
        return context | {"device": device}
    return context | {"device": device, "externalIds": [one for one in ids if not _is_ad_id(one)]}


def _is_ad_id(external: object) -> bool:
    return type(external) is dict and str(external.get("type", "")).endswith(".idfa")


def subscribed(context: Mapping[str, Any], kind: str, key: str | None) -> Subscribed | None:
    """What is said of one address, number or token; `key` None: of the only one of its kind."""
    said = context.get("messaging_subscriptions")
    entries = said if type(said) is list else []
    found = [
        one
        for one in entries
        if type(one) is dict
        and str(one.get("type")).upper() == kind
        and (key is None or one.get("key") in {key, None})
    ]
    if key is None and len(found) != 1:
        return None
    # Of two that say different things of one address the last is the newest.
    status = str(found[-1].get("status")).upper() if found else ""
    return _STATUSES.get(status.replace("-", "_"))
