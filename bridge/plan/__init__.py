"""One event and a mapping: the operations to perform, and what is left undone and why. Pure.

The whole of it is decided here, and decided again whenever the chain of the event's user comes to
the event: nothing is stored but what a send persists. `triage` is the first half, done before
Segment gets its answer: an event that nothing can use is ended there and then.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from bridge.mapping.reading import runs
from bridge.mapping.rules import Mapping, Rule
from bridge.mapping.terms import Once, Stay, Terms
from bridge.onesignal.operations import (
    EXTERNAL_ID_LENGTH,
    Operation,
    Recipient,
    Send,
    SendNotification,
    UpdateUser,
    is_blocked_external_id,
)
from bridge.onesignal.user_model import PROPERTIES_PER_REQUEST
from bridge.plan.sends import plan_send
from bridge.plan.updates import plan_update
from bridge.plan.values import Draft, Note, Plan, Skip, Triage, as_text, why
from bridge.segment.events import Event, is_onesignal_echo, routed_away

__all__ = ["Note", "Plan", "Skip", "Triage", "plan", "triage"]


def triage(event: Event, mapping: Mapping) -> Triage:
    """Which rules an event meets, or the one reason why none can act."""
    external_id = mapping.external_id(event.fields)
    if routed_away(event):
        return Triage(external_id=external_id, skip=Skip(reason="integration_disabled"))
    rules = tuple(rule for rule in mapping.rules if rule.condition(event.fields))
    if not rules and not (mapping.learns_memberships and stay_of(event) is not None):
        return Triage(external_id=external_id, skip=Skip(reason="no_rule"))
    if is_onesignal_echo(event):
        rules = tuple(rule for rule in rules if rule.echo)
        if not rules:
            return Triage(external_id=external_id, skip=Skip(reason="onesignal_echo"))
    if (reason := _unaddressable(external_id)) is not None:
        return Triage(external_id=None, rules=rules, skip=Skip(reason=reason))
    return Triage(external_id=external_id, rules=rules)


def _unaddressable(external_id: str | None) -> str | None:
    """Why nothing can be sent to this id, if so."""
    if external_id is None:
        return "no_external_id"
    if is_blocked_external_id(external_id):
        return "blocked_external_id"
    if len(external_id) > EXTERNAL_ID_LENGTH:
        return "external_id_too_long"
    # A page that sent its template instead of what it renders to.
    return "liquid_in_value" if runs(external_id) else None


def plan(event: Event, mapping: Mapping, *, apart: bool = False) -> Plan:
    """Everything that an event means: updates of its user first, then sends.

    `apart` leaves the updates of its rules unfolded, for those who want to know which rule says what.
    """
    triaged = triage(event, mapping)
    if triaged.skip is not None or triaged.external_id is None:
        return Plan(skips=(triaged.skip,) if triaged.skip else ())
    to = Recipient(label="external_id", id=triaged.external_id)
    tags: dict[str, str] = {}
    found: list[Operation | Skip | Note] = []
    for rule in triaged.rules:
        planned = _plan_rule(rule, event, to, cap=mapping.tag_cap, earlier=tags)
        for one in planned:
            if isinstance(one, UpdateUser):
                tags |= one.tags
        found += planned
    updates = [one for one in found if isinstance(one, UpdateUser)]
    sends = [one for one in found if isinstance(one, Send)]
    stay = stay_of(event)
    terms = {rule.name: _terms(rule, event, stay) for rule in triaged.rules if rule.sends}
    return Plan(
        operations=(*(updates if apart else _fold(updates)), *sends),
        skips=tuple(one for one in found if isinstance(one, Skip)),
        notes=tuple(one for one in found if isinstance(one, Note)),
        terms={name: one for name, one in terms.items() if isinstance(one, Terms)},
        stay=stay,
    )


def _plan_rule(
    rule: Rule, event: Event, to: Recipient, *, cap: int | None, earlier: dict[str, str]
) -> list[Operation | Skip | Note]:
    found: list[Operation | Skip | Note] = []
    if rule.update is not None:
        draft = Draft(rule.name, UpdateUser.name, event.fields)
        update = plan_update(rule.update, draft, to, cap=cap, earlier=earlier)
        found.append(_on_terms(rule, update) if isinstance(update, UpdateUser) else update)
        found += draft.notes
    if rule.push is not None:
        draft = Draft(rule.name, SendNotification.name, event.fields)
        unkeyed = _terms(rule, event, None)
        if isinstance(unkeyed, Skip):
            found.append(replace(unkeyed, operation=draft.operation))
            return found
        found.append(plan_send(rule, rule.push, draft, event, to))
        found += draft.notes
    return found


def _on_terms(rule: Rule, update: UpdateUser) -> UpdateUser:
    always: frozenset[str] = frozenset()
    if rule.unchanged == "send":
        always = frozenset({*update.properties, *(f"tags.{name}" for name in update.tags)})
    return replace(update, always=always, fold_ms=rule.fold_ms)


def _terms(rule: Rule, event: Event, stay: Stay | None) -> Terms | Skip:
    """The rule's terms for this event; a skip when the key of `once_per` cannot be had."""
    once: Once | None = None
    if rule.once_ms is not None:
        key = as_text("" if rule.once_key is None else rule.once_key.resolve(event.fields))
        if not isinstance(key, str):
            reason, detail = why(key)
            return Skip(rule=rule.name, reason=reason, detail=detail)
        once = Once(rule.once_ms, key)
    return rule.terms._replace(once=once, stay=stay)


def stay_of(event: Event) -> Stay | None:
    """What the event says of a membership; journey steps are occurrences, and say nothing of one."""
    audience = event.audience
    if audience.class_ != "audience" or audience.key is None or audience.entered is None:
        return None
    return Stay(audience.key, audience.entered, event.event_ms)


def _fold(updates: list[UpdateUser]) -> Iterator[UpdateUser]:
    """Updates of one event as few requests: the later rule wins, 100 properties in each."""
    tags: dict[str, str] = {}
    properties: dict[str, Any] = {}
    for update in updates:
        tags |= update.tags
        properties |= update.properties
    rules = tuple(update.rules[0] for update in updates)
    always = frozenset(name for update in updates for name in update.always)
    fold_ms = min((update.fold_ms for update in updates), default=0)
    pairs = list(tags.items())
    room = PROPERTIES_PER_REQUEST - len(properties)
    while pairs or properties:
        now, pairs = pairs[:room], pairs[room:]
        yield UpdateUser(
            rules=rules,
            to=updates[0].to,
            tags=dict(now),
            properties=properties,
            always=always,
            fold_ms=fold_ms,
        )
        properties, room = {}, PROPERTIES_PER_REQUEST
