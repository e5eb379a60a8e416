"""One event and a mapping: the operations to perform, and what is left undone and why. Pure.

The whole of it is decided here, and decided again whenever the chain of the event's user comes to
the event: nothing is stored but what a send persists. `triage` is the first half, done before
Segment gets its answer: an event that nothing can use is ended there and then.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from bridge.mapping.filling import as_text
from bridge.mapping.rules import Mapping, Rule
from bridge.mapping.terms import Once, Stay, Terms
from bridge.mapping.update import Update
from bridge.onesignal.api import USER_MODEL, Api, api_named
from bridge.onesignal.operations import (
    EXTERNAL_ID,
    AddSubscription,
    CreateAlias,
    DeleteUser,
    MergeUsers,
    Operation,
    Recipient,
    RemoveSubscription,
    SendNotification,
    TrackCustomEvent,
    UpdateUser,
)
from bridge.onesignal.user_model import PROPERTIES_PER_REQUEST
from bridge.plan.contacts import plan_contacts
from bridge.plan.identities import plan_addition, plan_alias, plan_deletion, plan_removal
from bridge.plan.legacy import feasible
from bridge.plan.links import linked, may_not_link
from bridge.plan.permission import barred, may_not_send
from bridge.plan.sends import plan_push, plan_track
from bridge.plan.targets import recipient, unaddressable
from bridge.plan.tokens import carries_token, may_not_attach, plan_token
from bridge.plan.updates import plan_update
from bridge.plan.values import Draft, Note, Plan, Skip, Triage, why
from bridge.segment.deletion import DELETE
from bridge.segment.events import Event, is_onesignal_echo, routed_away

__all__ = ["Note", "Plan", "Skip", "Triage", "plan", "plan_erasure", "triage"]

Person = Callable[[Recipient], Recipient]
"""Whom somebody was found to be: the same, as far as is known."""


def triage(event: Event, mapping: Mapping) -> Triage:
    """Which rules an event meets, or the one reason why none can act."""
    fields = event.fields
    user = mapping.user(fields)
    if event.type == DELETE:
        return _erasure(user)
    if routed_away(event):
        return Triage(user, skip=Skip(reason="integration_disabled"))
    rules, links = mapping.met_by(fields), linked(event, mapping, user)
    learns = not rules and mapping.learns_memberships and stay_of(event) is not None
    token = carries_token(event, mapping)
    # By position, because every event of a day makes one.
    found = Triage(user, rules, None, False, links, learns, None, token)  # noqa: FBT003 — as above
    if not (rules or found.wants):
        return Triage(user, skip=Skip(reason="no_rule"))
    if is_onesignal_echo(event):
        found = Triage(user, tuple(rule for rule in rules if rule.echo))
        if not found.rules:
            return Triage(user, skip=Skip(reason="onesignal_echo"))
    reason = "no_external_id" if user is None else unaddressable(user.id)
    if reason is not None:
        return Triage(None, rules, Skip(reason=reason))
    return _permitted(found, event, mapping) if links or token else found


def _permitted(found: Triage, event: Event, mapping: Mapping) -> Triage:
    """Without the links and the token, if the source of the event has no say in them."""
    unlinked = may_not_link(event, mapping) if found.links else None
    unattached = may_not_attach(event, mapping) if found.token else None
    if unlinked is not None:
        found = found._replace(links=(), unlinked=unlinked)
    skip = unlinked or unattached
    wanted = found._replace(token=found.token and unattached is None)
    if skip is None or wanted.wants:
        return found
    return found._replace(skip=Skip(skip.reason, detail=skip.detail))


def _erasure(user: Recipient | None) -> Triage:
    """No rule is asked, and nobody can say that this is not for OneSignal."""
    if user is None or user.label != EXTERNAL_ID:
        return Triage(None, skip=Skip(reason="no_external_id"))
    reason = unaddressable(user.id)
    if reason is not None:
        return Triage(None, skip=Skip(reason=reason))
    return Triage(user, erases=True)


def plan_erasure(
    external_id: str, api: Api, tags: Iterable[str] = (), *, others: Iterable[Recipient] = ()
) -> Plan:
    """What it takes at OneSignal to erase a user; a step of the bridge's own, so of no rule.

    `tags` are those that were written: where nobody can be deleted they are emptied, at least.
    `others` are who the user was taken for before.
    """
    to = Recipient(EXTERNAL_ID, external_id)
    left = feasible([DeleteUser(rule="", to=one) for one in (to, *others)], api)
    empty = dict.fromkeys(tags, "")
    if left.operations or not empty:
        return Plan(operations=left.operations, skips=left.skips)
    writes = _split(UpdateUser(rules=("",), to=to, tags=empty))
    return Plan(operations=tuple(writes), skips=left.skips)


def plan(
    event: Event, mapping: Mapping, *, apart: bool = False, person: Person | None = None
) -> Plan:
    """Everything that an event means: the merge first, updates of its user, sends, deletions last.

    `apart` leaves the updates of its rules unfolded, for those who want to know which rule says what.
    `person` knows whom an id was found to be.
    """
    triaged = triage(event, mapping)
    if triaged.skip is not None or triaged.user is None:
        return Plan(skips=(triaged.skip,) if triaged.skip else ())
    if triaged.erases:
        return plan_erasure(triaged.user.id, api_named(mapping.api))
    user = triaged.user if person is None else person(triaged.user)
    drawing = _Drawing(event, mapping, user)
    drawing.merges += [MergeUsers(to=user, other=other) for other in triaged.links]
    if triaged.unlinked is not None:
        drawing.skips.append(triaged.unlinked)
    if triaged.token:
        drawing.attach()
    for rule in triaged.rules:
        drawing.add(rule)
    if mapping.api != USER_MODEL.api:
        drawing.leave_out(api_named(mapping.api))
    return drawing.plan(apart=apart)


@dataclass(slots=True)
class _Drawing:
    """The plan of one event in the making."""

    event: Event
    mapping: Mapping
    user: Recipient
    merges: list[Operation] = field(default_factory=list)
    writes: list[UpdateUser] = field(default_factory=list)
    others: list[Operation] = field(default_factory=list)
    sends: list[Operation] = field(default_factory=list)
    deletions: list[Operation] = field(default_factory=list)
    skips: list[Skip] = field(default_factory=list)
    notes: list[Note] = field(default_factory=list)
    terms: dict[str, Terms] = field(default_factory=dict)
    #: What the rules so far write, by whom it is about.
    tags: dict[Recipient, dict[str, str]] = field(default_factory=dict)

    def add(self, rule: Rule) -> None:
        """What one rule does with the event."""
        bar = barred(rule, self.event)
        if bar is not None:
            self.skips.append(bar)
            return
        if rule.update is not None:
            self._update(rule, rule.update)
        if rule.identifies:
            self._identities(rule)
        if rule.sends:
            self._send(rule)

    def attach(self) -> None:
        """What the event says of its phone."""
        said = plan_token(self.event, self.mapping, self.user)
        if said is not None:
            self._take(said, self.others)

    def leave_out(self, api: Api) -> None:
        """What the API cannot do, of everything so far."""
        updates = feasible([*self.writes, *self.others], api)
        self.writes = [one for one in updates.operations if isinstance(one, UpdateUser)]
        self.others = [one for one in updates.operations if not isinstance(one, UpdateUser)]
        sends, deletions = feasible(self.sends, api), feasible(self.deletions, api)
        self.sends, self.deletions = list(sends.operations), list(deletions.operations)
        for left in (updates, sends, deletions):
            self.skips += left.skips
            self.notes += left.notes

    def plan(self, *, apart: bool) -> Plan:
        writes = self.writes if apart or len(self.writes) < 2 else list(_folded(self.writes))
        if not apart and any(one.size > PROPERTIES_PER_REQUEST for one in writes):
            writes = [part for one in writes for part in _split(one)]
        return Plan(
            operations=(*self.merges, *writes, *self.others, *self.sends, *self.deletions),
            skips=tuple(self.skips),
            notes=tuple(self.notes),
            terms=self.terms,
            stay=stay_of(self.event),
        )

    def _draft(self, rule: Rule, operation: str) -> Draft:
        return Draft(rule.name, operation, self.event.fields, self.notes)

    def _update(self, rule: Rule, update: Update) -> None:
        draft = self._draft(rule, UpdateUser.name)
        to = recipient(update.to, self.user, draft)
        if isinstance(to, Skip):
            self.skips.append(to)
            return
        tags = self.tags.setdefault(to, {})
        write = plan_update(update, draft, to, cap=self.mapping.tag_cap, earlier=tags)
        contacts = list(plan_contacts(update.contacts, draft, to)) if update.contacts else []
        if write is not None:
            self.writes.append(_on_terms(rule, write))
            tags |= write.tags
        elif not contacts:
            self.skips.append(draft.skip("nothing_to_write"))
        self.others += contacts

    def _identities(self, rule: Rule) -> None:
        """Aliases and subscriptions; a deletion, which goes last."""
        if rule.alias is not None:
            draft = self._draft(rule, CreateAlias.name)
            self._take(plan_alias(rule.alias, draft, self.user), self.others)
        if rule.addition is not None:
            draft = self._draft(rule, AddSubscription.name)
            self._take(plan_addition(rule.addition, draft, self.user), self.others)
        if rule.removal is not None:
            draft = self._draft(rule, RemoveSubscription.name)
            self._take(plan_removal(rule.removal, draft, self.user), self.others)
        if rule.deletion is not None:
            draft = self._draft(rule, DeleteUser.name)
            self._take(plan_deletion(rule.deletion, draft, self.user), self.deletions)

    def _send(self, rule: Rule) -> None:
        reason, detail = may_not_send(rule, self.event, self.mapping.trust), None
        terms = None if reason is not None else _terms(rule, self.event)
        if isinstance(terms, Skip):
            reason, detail = terms.reason, terms.detail
        if rule.push is not None:
            draft = self._draft(rule, SendNotification.name)
            self._take(
                plan_push(rule, rule.push, draft, self.user)
                if reason is None
                else draft.skip(reason, detail),
                self.sends,
            )
        if rule.track is not None:
            draft = self._draft(rule, TrackCustomEvent.name)
            self._take(
                plan_track(rule, rule.track, draft, self.event, self.user)
                if reason is None
                else draft.skip(reason, detail),
                self.sends,
            )
        if isinstance(terms, Terms):
            self.terms[rule.name] = terms

    def _take(self, one: Operation | Skip, into: list[Operation]) -> None:
        if isinstance(one, Skip):
            self.skips.append(one)
        else:
            into.append(one)


def _on_terms(rule: Rule, update: UpdateUser) -> UpdateUser:
    if rule.unchanged == "skip" and not rule.fold_ms:
        return update
    always: frozenset[str] = frozenset()
    if rule.unchanged == "send":
        always = frozenset({*update.properties, *(f"tags.{name}" for name in update.tags)})
    return replace(update, always=always, fold_ms=rule.fold_ms)


def _terms(rule: Rule, event: Event) -> Terms | Skip:
    """The rule's terms for this event; a skip when the key of `once_per` cannot be had."""
    once: Once | None = None
    if rule.once_ms is not None:
        key = as_text("" if rule.once_key is None else rule.once_key.resolve(event.fields))
        if not isinstance(key, str):
            reason, detail = why(key)
            return Skip(rule=rule.name, reason=reason, detail=detail)
        once = Once(rule.once_ms, key)
    stay = stay_of(event)
    return (
        rule.terms if once is None and stay is None else rule.terms._replace(once=once, stay=stay)
    )


def stay_of(event: Event) -> Stay | None:
    """What the event says of a membership; journey steps are occurrences, and say nothing of one."""
    audience = event.audience
    if audience.class_ != "audience" or audience.key is None or audience.entered is None:
        return None
    return Stay(audience.key, audience.entered, event.event_ms)


def _folded(writes: list[UpdateUser]) -> Iterator[UpdateUser]:
    """Writes of one event as few requests: one for each user; the later rule wins."""
    by_user: dict[Recipient, list[UpdateUser]] = {}
    for write in writes:
        by_user.setdefault(write.to, []).append(write)
    for to, own in by_user.items():
        tags: dict[str, str] = {}
        properties: dict[str, Any] = {}
        for write in own:
            tags |= write.tags
            properties |= write.properties
        yield UpdateUser(
            rules=tuple(write.rules[0] for write in own),
            to=to,
            tags=tags,
            properties=properties,
            always=frozenset(name for write in own for name in write.always),
            fold_ms=min(write.fold_ms for write in own),
        )


def _split(write: UpdateUser) -> Iterator[UpdateUser]:
    """A write as several of 100 properties each."""
    pairs, properties = list(write.tags.items()), write.properties
    room = PROPERTIES_PER_REQUEST - len(properties)
    while pairs or properties:
        now, pairs = pairs[:room], pairs[room:]
        yield replace(write, tags=dict(now), properties=properties)
        properties, room = {}, PROPERTIES_PER_REQUEST
