"""What a user is created with: what is written now, and all that was written for it before. Pure."""

from __future__ import annotations

from typing import NamedTuple

from pydantic import JsonValue

from bridge.deliver.state import Row, Values
from bridge.onesignal.user_model import PROPERTIES_PER_REQUEST

ALIAS, SUBSCRIPTION, CONTACT = "alias.", "subscription.", "contact."


class Restored(NamedTuple):
    """The parts of a user to be created; `later` does not fit into the request."""

    values: dict[str, JsonValue]
    aliases: dict[str, str]
    subscriptions: list[dict[str, JsonValue]]
    later: dict[str, JsonValue]

    @property
    def bare(self) -> Restored:
        """Without what may have become somebody else's meanwhile."""
        return self._replace(aliases={}, subscriptions=[])

    @property
    def names(self) -> set[str]:
        """The facts that the request carries."""
        return {
            *self.values,
            *(f"{ALIAS}{label}" for label in self.aliases),
            *(f"{SUBSCRIPTION}{one['type']}.{one['token']}" for one in self.subscriptions),
        }


def restored(row: Row, write: Values) -> Restored:
    """What is written now comes first; of the rest as much as a request holds."""
    before = {
        name: fact.value
        for name, fact in row.items()
        if fact.value is not None and name not in write
    }
    values = {name: value for name, value in before.items() if _is_property(name)}
    room = max(0, PROPERTIES_PER_REQUEST - sum(map(_is_property, write)))
    names = list(values)
    return Restored(
        values={name: values[name] for name in names[:room]},
        aliases={
            name.removeprefix(ALIAS): str(value)
            for name, value in before.items()
            if name.startswith(ALIAS)
        },
        subscriptions=[one for name in before for one in _subscriptions(name)],
        later={name: values[name] for name in names[room:]},
    )


def chunks(values: Values) -> list[dict[str, JsonValue]]:
    """As many requests as it takes."""
    pairs = list(values.items())
    size = PROPERTIES_PER_REQUEST
    return [dict(pairs[at : at + size]) for at in range(0, len(pairs), size)]


def _is_property(name: str) -> bool:
    return bool(name) and not name.startswith((ALIAS, SUBSCRIPTION, CONTACT))


def _subscriptions(name: str) -> list[dict[str, JsonValue]]:
    if name.startswith(SUBSCRIPTION):
        kind, _, token = name.removeprefix(SUBSCRIPTION).partition(".")
        return [{"type": kind, "token": token}]
    return []
