"""May this rule act on this event at all? The first no, with its reason. Pure.

::

    not_started, ended    the event is outside of `starts` and `ends`
    no_consent            its person has not agreed to what the rule needs
    client_source         a source that anybody can send to, which the rule does not name (sends only)
    replay                Segment has replayed it, and the rule does not want that (sends only)

Everything here depends on the event alone, so that it is decided the same way whenever it is decided.
"""

from __future__ import annotations

from bridge.mapping.rules import Rule, Trust
from bridge.plan.values import Skip
from bridge.segment.consent import withheld
from bridge.segment.events import Event


def barred(rule: Rule, event: Event) -> Skip | None:
    """Why the rule does nothing with this event."""
    reason = rule.acts_at(event.event_ms)
    if reason is not None:
        return Skip(rule=rule.name, reason=reason)
    if rule.consent is None:
        return None
    consent = rule.consent
    category = withheld(event.context, consent.need, unknown_allows=consent.unknown_allows)
    if category is None:
        return None
    return Skip(rule=rule.name, reason="no_consent", detail=category)


def may_not_send(rule: Rule, event: Event, trust: Trust) -> str | None:
    """Why the rule sends nothing because of this event, though it may write."""
    if trust == "client" and event.source not in rule.condition.named_sources:
        return "client_source"
    return "replay" if event.is_replay and not rule.replays else None
