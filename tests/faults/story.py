"""A mapping, and what its events owe: worked out here again, without the bridge's own reading of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tests.faults.canary import email, person, trait
from tests.harness import track

Event = dict[str, Any]
Operation = tuple[str, str]
"""A rule and what it does."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Story:
    """A mapping, and what follows from an event by it.

    What is None is not known, and not checked; an event that owes nothing is skipped.
    """

    mapping: str
    #: Which operations an event is to have ended.
    owes: Callable[[Event], set[Operation]] | None = None
    #: Which tags an event writes for its user; None as a value: it deletes them.
    tags: Callable[[Event], dict[str, str | None]] | None = None
    #: Whether every push says the messageId of its event, and nothing else.
    says_message_id: bool = False
    #: So many pushes for a person in so many milliseconds.
    cap: tuple[int, int] | None = (5, 900_000)
    #: Whether iPhones are left out.
    without_ios: bool = True


SHOP_MAPPING = """
version: 1
push: {platforms: {exclude: [ios]}}
rules:
  - name: profile
    when: type = "identify"
    do: {update_user: {tags: {tier: "{{ traits.tier }}", mail: "{{ traits.email }}"}}}
  - name: ping
    when: event = "Ping"
    max_age: 30d
    limit: off
    do: {send_notification: {contents: "{{ messageId }}"}}
  - name: order
    when: event = "Order"
    max_age: 30d
    limit: off
    do:
      update_user: {tags: {order: "{{ properties.order }}"}}
      send_notification: {contents: "{{ messageId }}"}
"""
_TAGS = {"identify": {"tier": "tier", "mail": "email"}, "Order": {"order": "order"}}
_OWES: dict[str, set[Operation]] = {
    "identify": {("profile", "update_user")},
    "Ping": {("ping", "send_notification")},
    "Order": {("order", "update_user"), ("order", "send_notification")},
}


def _kind(event: Event) -> str:
    return str(event.get("event") or event["type"])


def _shop_owes(event: Event) -> set[Operation]:
    return _OWES.get(_kind(event), set())


def _shop_tags(event: Event) -> dict[str, str | None]:
    said = event.get("traits") or event.get("properties") or {}
    names = _TAGS.get(_kind(event), {})
    # Three spaces are no value; null and "" delete.
    return {tag: said[name] or None for tag, name in names.items() if name in said}


SHOP = Story(mapping=SHOP_MAPPING, owes=_shop_owes, tags=_shop_tags, says_message_id=True)
"""Profiles, pushes, and events that do both: enough for most faults."""


def profile(number: int, message_id: str, **more: Any) -> Event:
    """An identify call whose values only this one says."""
    traits = {"tier": trait(message_id), "email": email(number)}
    return {
        "type": "identify",
        "userId": person(number),
        "messageId": message_id,
        "traits": traits,
        **more,
    }


def ping(number: int, message_id: str, **more: Any) -> Event:
    """An event that pushes its messageId."""
    return track("Ping", person(number), message_id, **more)


def order(number: int, message_id: str, **more: Any) -> Event:
    """An event that writes a tag, and pushes."""
    properties = {"order": trait(message_id)}
    return track("Order", person(number), message_id, properties=properties, **more)


SALE = Story(
    mapping="""
version: 1
push: {platforms: {exclude: [ios]}}
rules:
  - name: sale
    when: event = "Sale"
    limit: off
    group: 3s
    do: {send_notification: {contents: "Everything must go"}}
""",
    owes=lambda event: {("sale", "send_notification")},
)
"""One push, the same for everybody, in as few calls as can be."""
