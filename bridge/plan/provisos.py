"""What may still stop an operation when it is its turn: said beside every request that is planned. Pure.

A plan knows the event and the mapping, and nothing of what was sent before. What that may change is
here by name, in the order in which `guards.judge` asks, and in words with its numbers.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from bridge.mapping.terms import Rate, Terms
from bridge.onesignal.operations import (
    ByDevices,
    MergeUsers,
    Operation,
    SendNotification,
    SetPushToken,
    TrackCustomEvent,
    UpdateUser,
)


class Proviso(NamedTuple):
    """One thing that may stop an operation, or take something from it."""

    name: str
    words: str


def provisos(operation: Operation, terms: Terms | None) -> list[Proviso]:
    """Everything that may still stop it; `terms` are those of its rule."""
    if isinstance(operation, SendNotification | TrackCustomEvent):
        by = operation.devices if isinstance(operation, SendNotification) else None
        is_push = isinstance(operation, SendNotification)
        guards = [] if terms is None else list(_of_send(terms, is_push=is_push))
        return guards if by is None else [_of_devices(by), *guards]
    if isinstance(operation, MergeUsers):
        return [Proviso("linked", _LINKED), Proviso("devices", _DEVICES)]
    if isinstance(operation, SetPushToken):
        return [Proviso("unchanged", _KNOWN_PHONE), Proviso("overtaken", _OTHERS_PHONE)]
    if isinstance(operation, UpdateUser) and operation.always >= _names(operation):
        return [Proviso("overtaken", _OVERTAKEN)]
    return [Proviso("unchanged", _UNCHANGED), Proviso("overtaken", _OVERTAKEN)]


_UNCHANGED = "what OneSignal has had from us for less than 7 days is left out"
_OVERTAKEN = "what a later event has said already is left out"
_KNOWN_PHONE = (
    "what we wrote of this phone before is not said again; a new token replaces the old one"
)
_OTHERS_PHONE = "not when a later event said that the phone is somebody else's"
_LINKED = "not when it is known already whose that id is"
_DEVICES = "the devices are moved one by one when OneSignal knows both"


def _names(update: UpdateUser) -> frozenset[str]:
    return frozenset({*update.properties, *(f"tags.{name}" for name in update.tags)})


def _of_send(terms: Terms, *, is_push: bool) -> Iterator[Proviso]:
    if terms.max_age_ms is not None:
        age = duration(terms.max_age_ms)
        yield Proviso("max_age", f"not when the event is older than {age} by then")
    if terms.stay is not None:
        state = "in" if terms.stay.entered else "out of"
        words = f"once for each stay {state} {terms.stay.audience}, and only while it lasts"
        yield Proviso("membership", words)
    if terms.once is not None:
        of = f" for {terms.once.key!r}" if terms.once.key else ""
        yield Proviso("once_per", f"once in {duration(terms.once.time_ms)} for this person{of}")
    if is_push:
        yield _of_person(terms.cap)
    if terms.limit is not None:
        words = f"held for you above {_rate(terms.limit)} of this rule"
        yield Proviso("limit", words)
    yield Proviso("paused", "held while this rule or all pushes are paused")


def _of_devices(by: ByDevices) -> Proviso:
    names = ", ".join(sorted(by.platforms))
    nobody = "by its flags" if by.unknown == "flags" else "not at all"
    return Proviso(
        "devices", f"to registered devices on {names} alone; {nobody} when none is registered"
    )


def _of_person(cap: Rate | None) -> Proviso:
    if cap is None:
        return Proviso("volume_guard", "waits while rules without a cap send more than is safe")
    return Proviso("cap", f"not above {_rate(cap)} to this person, over all rules")


def _rate(rate: Rate) -> str:
    return f"{rate.max:,} in {duration(rate.per_ms)}"


def duration(ms: int) -> str:
    """`90m`, `6h`, `2d`: the largest unit that is whole, as the mapping language writes it."""
    for unit, size in (("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000)):
        if ms and ms % size == 0:
            return f"{ms // size}{unit}"
    return f"{ms}ms" if ms else "0s"
