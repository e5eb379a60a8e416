"""What a user is created with: what is written now, and all that was written for it before. Pure."""

from __future__ import annotations

from typing import NamedTuple

from pydantic import JsonValue

from bridge.deliver.contacts import contact_of
from bridge.deliver.fold import update_of
from bridge.deliver.state import Row, Values, is_note
from bridge.onesignal.operations import Recipient, Request
from bridge.onesignal.user_model import PROPERTIES_PER_REQUEST, create_user

ALIAS, SUBSCRIPTION, CONTACT, DEVICE = "alias.", "subscription.", "contact.", "device."


class Whole(NamedTuple):
    """The parts of a user to be created; `later` are properties that do not fit into the request."""

    properties: dict[str, JsonValue]
    aliases: dict[str, str]
    subscriptions: list[dict[str, JsonValue]]
    #: The facts of the row that the request carries.
    carried: frozenset[str]
    later: dict[str, JsonValue]

    def request(self, to: Recipient, *, app_id: str) -> Request:
        return create_user(
            update_of(self.properties, to=to),
            app_id=app_id,
            aliases=self.aliases,
            subscriptions=self.subscriptions,
        )


def whole(row: Row, write: Values, *, identities: bool = True, aliases: bool = True) -> Whole:
    """What is written now comes first; of the rest as much as a request holds.

    Without `identities` the row's aliases and subscriptions, which may be somebody else's by now,
    are left out; without `aliases` those alone, also the one that is written now.
    """
    before = {
        name: fact.value
        for name, fact in row.items()
        if fact.value is not None and name not in write and (identities or is_property(name))
        if not is_note(name)
    }
    everything = {**write, **before}
    if not aliases:
        everything = {n: value for n, value in everything.items() if not n.startswith(ALIAS)}
    properties = [name for name in everything if is_property(name)]
    fitting = properties[:PROPERTIES_PER_REQUEST]
    later = properties[PROPERTIES_PER_REQUEST:]
    return Whole(
        properties={name: everything[name] for name in fitting},
        aliases={
            name.removeprefix(ALIAS): str(value)
            for name, value in everything.items()
            if name.startswith(ALIAS)
        },
        subscriptions=[one for item in everything.items() for one in _subscription(*item)],
        carried=frozenset(before).intersection(everything).difference(later),
        later={name: everything[name] for name in later},
    )


def chunks(values: Values) -> list[dict[str, JsonValue]]:
    """As many requests as it takes."""
    pairs = list(values.items())
    size = PROPERTIES_PER_REQUEST
    return [dict(pairs[at : at + size]) for at in range(0, len(pairs), size)]


def is_property(name: str) -> bool:
    if is_note(name):
        return False
    return bool(name) and not name.startswith((ALIAS, SUBSCRIPTION, CONTACT, DEVICE))


def _subscription(name: str, value: JsonValue) -> list[dict[str, JsonValue]]:
    if name.startswith(SUBSCRIPTION) and value is not None:
        kind, _, token = name.removeprefix(SUBSCRIPTION).partition(".")
        return [{"type": kind, "token": token}]
    if name.startswith(DEVICE):
        kind = name.removeprefix(DEVICE).partition(".")[0]
        return [] if not isinstance(value, dict) else _phone(kind, value)
    contact = contact_of(value)
    if name.startswith(CONTACT) and contact.address is not None:
        kind = name.removeprefix(CONTACT)
        one: dict[str, JsonValue] = {"type": kind, "token": contact.address}
        # Only a "no" is said aloud.
        return [one if contact.is_on else one | {"enabled": False}]
    return []


def _phone(kind: str, value: dict[str, JsonValue]) -> list[dict[str, JsonValue]]:
    """A phone that was given by its push token."""
    if not isinstance(value.get("token"), str):
        return []
    one: dict[str, JsonValue] = {"type": kind, "token": value["token"]}
    if value.get("test"):
        one["test_type"] = value["test"]
    return [one if value.get("on") is not False else one | {"enabled": False}]
