"""Who has an alias at OneSignal, as far as it is anybody of whom we know.

A user at OneSignal is known by its external id, or by another id that was found to be somebody's. Until a
merge is through, what was said of that other id is on disk under it, and not under the person.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import orjson

from bridge.deliver.means import Means
from bridge.onesignal.operations import EXTERNAL_ID, Recipient

_ONESIGNAL_ID = "onesignal_id"


class Holder(NamedTuple):
    """The user who has an alias, as OneSignal shows it."""

    #: By which ids it goes, the external id first.
    names: tuple[Recipient, ...]
    #: The ids of the user's subscriptions.
    subscriptions: tuple[str, ...] = ()

    @property
    def external_id(self) -> str | None:
        first = next(iter(self.names), None)
        return first.id if first is not None and first.label == EXTERNAL_ID else None


class Owner(NamedTuple):
    """Whose that user is."""

    #: How OneSignal knows the user.
    to: Recipient
    #: By which hash what was said under that name is known,
    id_hash: int
    #: and what was said of the person.
    person_hash: int
    person: Recipient

    @property
    def hashes(self) -> set[int]:
        return {self.id_hash, self.person_hash}


def holder_of(body: bytes) -> Holder:
    """Of the answer to a look."""
    try:
        shown = orjson.loads(body)
    except orjson.JSONDecodeError:
        shown = None
    shown = shown if isinstance(shown, dict) else {}
    identity, listed = shown.get("identity"), shown.get("subscriptions")
    subscriptions = listed if isinstance(listed, list) else []
    return Holder(
        _names(identity if isinstance(identity, dict) else {}),
        tuple(str(one["id"]) for one in subscriptions if isinstance(one, dict) and one.get("id")),
    )


def _names(identity: dict[str, Any]) -> tuple[Recipient, ...]:
    found = [
        Recipient(label, str(id_))
        for label, id_ in identity.items()
        if id_ and label != _ONESIGNAL_ID
    ]
    return tuple(sorted(found, key=lambda one: one.label != EXTERNAL_ID))


async def owner_of(means: Means, holder: Holder) -> Owner | None:
    """None: nobody who is known to be a person."""
    app, journal = means.destination.name, means.journal
    for name in holder.names:
        id_hash = journal.hash_of(app, *name)
        person = await journal.identities.person(id_hash) if journal.identities.any else None
        if person is not None:
            to = Recipient(EXTERNAL_ID, person.external_id)
            return Owner(name, id_hash, person.user_hash, to)
        if name.label == EXTERNAL_ID:
            return Owner(name, id_hash, id_hash, name)
    return None
