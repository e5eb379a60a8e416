"""Somebody: what we last wrote for them and from which event, devices, notifications, skips."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final

from bridge.config import Config
from bridge.console.views.events import Events
from bridge.console.views.person import (
    Facts,
    Notified,
    Skipped,
    There,
    Written,
    facts,
    may_be_erased,
    notifications,
    skips,
)
from bridge.explain.hiding import HIDDEN
from bridge.journal import Journal
from bridge.journal.devices import Device

NEWEST: Final = 30
"""Events of a person that are told."""
LONGEST_ID: Final = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Somebody:
    #: Whom this id was found to be; None: nobody else.
    person: str | None
    #: Under which ids the same person is known beside this one.
    others: list[tuple[str, str]]
    facts: Facts
    devices: list[Device]
    pushes: list[Notified]
    skips: list[Skipped]
    #: Of their newest events.
    stories: list[dict[str, Any]]
    #: When it was asked to erase them, and whether it is done; nothing for who may not know.
    erased: list[dict[str, Any]]
    may_be_erased: bool

    @property
    def is_known(self) -> bool:
        return bool(self.facts.any or self.stories or self.devices or self.person)


@dataclass(slots=True, kw_only=True)
class People:
    journal: Journal
    config: Callable[[], Config]
    events: Events
    #: Of an app and an external id: what was written.
    written: Callable[[str, str], Awaitable[list[Written]]]
    #: Their registered devices.
    devices: Callable[[str, str], Awaitable[list[Device]]]
    #: What OneSignal says of them; words when it does not.
    ask: Callable[[str, str], Awaitable[list[There] | str]]

    async def somebody(self, app: str, user: str, *, hides: bool) -> Somebody:
        """Of one app."""
        user_hash = self.journal.user_hash(app, user)
        identities = self.journal.identities
        person = await identities.person(user_hash)
        told = await self.events.told(user, None, NEWEST, hides=hides)
        own = [story for story in told["events"] if story["app"] == app]
        others = [one for one in await identities.ids(user_hash) if one.id != user]
        return Somebody(
            person=person and (HIDDEN if hides else person.external_id),
            others=[(one.label, HIDDEN if hides else one.id) for one in others],
            facts=facts(await self.written(app, user), hides=hides),
            devices=await self.devices(app, user),
            pushes=notifications(own, hides=hides),
            skips=skips(own),
            stories=own,
            erased=[one for one in told["erased"] if one["app"] == app],
            may_be_erased=may_be_erased(user),
        )
