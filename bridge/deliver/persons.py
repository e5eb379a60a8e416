"""Whom an operation names: who was found to be somebody else is that person."""

from __future__ import annotations

from dataclasses import replace

from bridge.deliver.means import Means
from bridge.onesignal.operations import (
    EXTERNAL_ID,
    SUBSCRIPTION_ID,
    MergeUsers,
    Operation,
    Recipient,
)
from bridge.plan import Plan


async def as_persons(means: Means, planned: Plan, user_hash: int) -> Plan:
    """The plan of an event of this user, of which an operation may be about others."""
    if not means.journal.identities.any:
        return planned
    found = {one.to: await _person(means, one.to, user_hash) for one in planned.operations}
    if all(to == person for to, person in found.items()):
        return planned
    operations = tuple(_about(one, found[one.to]) for one in planned.operations)
    return planned._replace(operations=operations)


async def _person(means: Means, to: Recipient, user_hash: int) -> Recipient:
    if to.label == SUBSCRIPTION_ID:
        return to
    id_hash = means.journal.hash_of(means.destination.name, *to)
    found = None if id_hash == user_hash else await means.journal.identities.person(id_hash)
    return to if found is None else Recipient(EXTERNAL_ID, found.external_id)


def _about(one: Operation, to: Recipient) -> Operation:
    return one if isinstance(one, MergeUsers) or one.to == to else replace(one, to=to)
