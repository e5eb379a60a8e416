"""Whom an id was found to be, while events are played: as the journal keeps it (`journal.identities`)."""

from __future__ import annotations

from dataclasses import dataclass, field

from bridge.onesignal.operations import Recipient


@dataclass(slots=True)
class Persons:
    _known: dict[Recipient, Recipient] = field(default_factory=dict)

    def of(self, user: Recipient) -> Recipient:
        """Whom somebody was found to be; the same, as far as is known."""
        return self._known.get(user, user)

    def link(self, other: Recipient, person: Recipient) -> bool:
        """Whether it is news that the other is this person: an id is somebody's once and for all."""
        person = self.of(person)
        if other in self._known or other == person:
            return False
        for one, known in self._known.items():
            if known == other:
                self._known[one] = person
        self._known[other] = person
        return True
