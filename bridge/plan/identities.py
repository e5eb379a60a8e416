"""Aliases, subscriptions and deletions that one rule means for one event."""

from __future__ import annotations

from bridge.mapping.expression import Refused
from bridge.mapping.filling import as_text
from bridge.mapping.operations import Alias, Deletion, Subscription
from bridge.onesignal.operations import (
    EXTERNAL_ID_LENGTH,
    AddSubscription,
    CreateAlias,
    DeleteUser,
    Recipient,
    RemoveSubscription,
)
from bridge.plan.contacts import token
from bridge.plan.targets import recipient, unaddressable
from bridge.plan.values import Draft, Skip, why

TOKEN_LENGTH = 4096


def plan_alias(alias: Alias, draft: Draft, user: Recipient) -> CreateAlias | Skip:
    to = recipient(alias.to, user, draft)
    if isinstance(to, Skip):
        return to
    text = as_text(alias.id.resolve(draft.fields))
    if not isinstance(text, str):
        return draft.skip(*why(text))
    if not text.strip() or len(text) > EXTERNAL_ID_LENGTH:
        return draft.skip("too_long" if text.strip() else "empty_text", "id")
    reason = unaddressable(text)
    if reason is not None:
        return draft.skip(reason, "id")
    return CreateAlias(rule=draft.rule, to=to, label=alias.label, id=text)


def plan_addition(added: Subscription, draft: Draft, user: Recipient) -> AddSubscription | Skip:
    to = recipient(added.to, user, draft)
    if isinstance(to, Skip):
        return to
    found = _token(added, draft)
    if isinstance(found, Skip):
        return found
    return AddSubscription(rule=draft.rule, to=to, type=added.type, token=found)


def plan_removal(removed: Subscription, draft: Draft, user: Recipient) -> RemoveSubscription | Skip:
    found = _token(removed, draft)
    if isinstance(found, Skip):
        return found
    return RemoveSubscription(rule=draft.rule, to=user, type=removed.type, token=found)


def plan_deletion(deletion: Deletion, draft: Draft, user: Recipient) -> DeleteUser | Skip:
    to = recipient(deletion.to, user, draft)
    return to if isinstance(to, Skip) else DeleteUser(rule=draft.rule, to=to)


def _token(subscription: Subscription, draft: Draft) -> str | Skip:
    text = as_text(subscription.token.resolve(draft.fields))
    if not isinstance(text, str):
        return draft.skip(*why(text))
    if not text.strip():
        return draft.skip("empty_text", "token")
    found = token(subscription.type, text)
    if isinstance(found, Refused) or len(found) > TOKEN_LENGTH:
        return draft.skip(found.reason if isinstance(found, Refused) else "too_long", "token")
    return found
