"""Which ids are one person's, by what an event says. Pure.

::

    identify with a user id and an anonymous id     whoever was known by the anonymous id is that user
    alias, previousId and userId                    whoever was known by the previous id is

A previous id may be an anonymous one or a user's, and does not say which: with `anonymous: alias`
both are meant. With `anonymous: skip` nobody is made one with anybody.
"""

from __future__ import annotations

from collections.abc import Iterator

from bridge.mapping.rules import Mapping
from bridge.onesignal.api import USER_MODEL
from bridge.onesignal.operations import EXTERNAL_ID, MergeUsers, Recipient
from bridge.plan.targets import unaddressable
from bridge.plan.values import Skip
from bridge.segment.events import Event

_LINKING = frozenset({"identify", "alias"})


def linked(event: Event, mapping: Mapping, user: Recipient | None) -> tuple[Recipient, ...]:
    """Who is the user of this event, too; nobody who cannot be named, and not the user."""
    if mapping.anonymous == "skip" or event.type not in _LINKING or user is None:
        return ()
    if user.label != EXTERNAL_ID or mapping.known(event.fields) is None:
        return ()
    return tuple(one for one in _named(event, mapping) if one != user and not unaddressable(one.id))


def _named(event: Event, mapping: Mapping) -> Iterator[Recipient]:
    other = event.anonymous_id if event.type == "identify" else event.previous_id
    nobody = mapping.nobody_yet(other)
    if nobody is not None:
        yield nobody
    if event.type == "alias" and other is not None and mapping.anonymous == "alias":
        yield Recipient(EXTERNAL_ID, other)


def may_not_link(event: Event, mapping: Mapping) -> Skip | None:
    """Why nobody is made one because of this event, though it says so."""
    if mapping.api != USER_MODEL.api:
        return Skip("legacy_api", operation=MergeUsers.name, detail="merging of users")
    # Anybody can send as a client: another's devices would be theirs for the asking.
    if mapping.trust != "client" or event.source in mapping.merging_clients:
        return None
    return Skip("client_source", operation=MergeUsers.name, detail="identity.clients")
