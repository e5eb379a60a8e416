"""What planning decides, as values: operations, skips with their reasons, notes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, NamedTuple

from bridge.mapping.expression import Missing, Refused
from bridge.mapping.rules import Rule
from bridge.mapping.terms import Stay, Terms
from bridge.onesignal.operations import Operation, Recipient
from bridge.segment.consent import AD_IDS, forbids_ad_id


class Skip(NamedTuple):
    """An operation that will not happen; rule and operation are "" for the event as a whole."""

    reason: str
    rule: str = ""
    operation: str = ""
    detail: str | None = None

    def __str__(self) -> str:
        return self.reason if self.detail is None else f"{self.reason}: {self.detail}"


class Note(NamedTuple):
    """A field or a tag that was left out of an operation that does happen."""

    rule: str
    operation: str
    field: str
    reason: str
    detail: str | None = None

    def __str__(self) -> str:
        return f"{self.field}: {self.reason}" + (f" ({self.detail})" if self.detail else "")


class Triage(NamedTuple):
    """Whom an event is about and which rules it meets, or why nothing will come of it."""

    user: Recipient | None
    rules: tuple[Rule, ...] = ()
    skip: Skip | None = None
    #: The user is to be erased, whatever the rules say.
    erases: bool = False
    #: Who is that user, too, by what the event says.
    links: tuple[Recipient, ...] = ()
    #: What it says of a membership is wanted, whatever the rules say.
    learns: bool = False
    #: Why it links nobody, though it says so.
    unlinked: Skip | None = None
    #: What it says of its phone is wanted, whatever the rules say.
    token: bool = False

    @property
    def wants(self) -> bool:
        """Something may come of it."""
        return bool(self.rules or self.links or self.learns or self.token)


class Plan(NamedTuple):
    """What comes of one event; tuples, because each event of a day makes one."""

    operations: tuple[Operation, ...] = ()
    skips: tuple[Skip, ...] = ()
    notes: tuple[Note, ...] = ()
    #: Of every rule that sends, by its name.
    terms: Mapping[str, Terms] = MappingProxyType({})
    #: What the event says of a membership, to be learnt whether or not a rule acts on it.
    stay: Stay | None = None


@dataclass(slots=True)
class Draft:
    """What one rule adds; notes and skips gather while values are resolved."""

    rule: str
    operation: str
    fields: dict[str, Any]
    notes: list[Note] = field(default_factory=list)

    def leave_out(self, name: str, reason: str, detail: str | None = None) -> None:
        reason = self._exact(reason, detail)
        self.notes.append(
            Note(rule=self.rule, operation=self.operation, field=name, reason=reason, detail=detail)
        )

    def skip(self, reason: str, detail: str | None = None) -> Skip:
        reason = self._exact(reason, detail)
        return Skip(rule=self.rule, operation=self.operation, reason=reason, detail=detail)

    def _exact(self, reason: str, detail: str | None) -> str:
        """What is missing because it may not be used is there."""
        if reason != "missing" or detail not in _AD_IDS:
            return reason
        return "ad_tracking_off" if forbids_ad_id(self.fields.get("context", {})) else reason


_AD_IDS = frozenset(f"context.device.{name}" for name in AD_IDS)


def why(found: Any) -> tuple[str, str | None]:
    """Reason and detail of a value that could not be had."""
    if isinstance(found, Missing):
        return "missing", found.path
    if isinstance(found, Refused):
        return found.reason, found.path
    return "not_usable", None
