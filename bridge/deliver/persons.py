"""Whom an operation names: who was found to be somebody else is that person, and who was erased is nobody.

An event's own user was looked at when the event was accepted, and is again by `erasing`; here it is about
those whom rules name beside: `to`.
"""

from __future__ import annotations

from dataclasses import replace

from bridge.deliver.means import Means
from bridge.journal.records import Waiting
from bridge.onesignal.operations import (
    EXTERNAL_ID,
    SUBSCRIPTION_ID,
    MergeUsers,
    Operation,
    Recipient,
)
from bridge.plan import Plan
from bridge.plan.restraint import leave_out


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


async def of_the_living(means: Means, planned: Plan, row: Waiting) -> Plan:
    """Nothing for those who were erased after the event: they would be created again."""
    erasures, hash_of = means.journal.erasures, means.journal.hash_of
    if not erasures.any:
        return planned
    users = {one.to: hash_of(means.destination.name, *one.to) for one in planned.operations}
    others = set(users.values()) - {row.user_hash}
    if not others:
        return planned
    gone = await erasures.gone(others)
    late = {user for user, one in gone.items() if row.event_ms <= one.before_ms}
    return leave_out(planned, lambda one: "erased" if users[one.to] in late else None)
