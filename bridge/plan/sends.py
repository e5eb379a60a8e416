"""The push that one rule sends: every field resolved, or the reason why there is no push."""

from __future__ import annotations

from typing import Any

import orjson

from bridge.mapping.expression import Expression, Missing, Refused
from bridge.mapping.rules import Field, Push, Rule, Tree
from bridge.onesignal.operations import Recipient, SendNotification
from bridge.plan.values import Draft, Skip, as_text, why
from bridge.segment.events import Event

COLLAPSE_ID_LENGTH = 64
DATA_BYTES = 2048
"""Of `data` and of `custom_data` (docs/osnotification-payload, reference/push-notification)."""


def plan_send(
    rule: Rule, push: Push, draft: Draft, event: Event, to: Recipient
) -> SendNotification | Skip:
    if event.fields.get("replay") is True and not rule.replays:
        return Skip(rule=rule.name, operation=draft.operation, reason="replay")
    body: dict[str, Any] = {}
    for one in push.fields:
        found = _resolve(one, push, draft)
        if isinstance(found, Missing | Refused):
            if one.required:
                reason, detail = why(found)
                return Skip(rule=rule.name, operation=draft.operation, reason=reason, detail=detail)
            draft.leave_out(one.name, *why(found))
        else:
            body[one.name] = found
    return SendNotification(
        rule=rule.name,
        to=to,
        body=body | push.constant,
        flags=push.flags,
        max_age_ms=rule.max_age_ms,
    )


def _resolve(one: Field, push: Push, draft: Draft) -> Any:
    found = _tree(one.value, draft.fields, keep_null=one.name == "data")
    if isinstance(found, Missing | Refused):
        return found
    match one.kind:
        case "link":
            return _link(one.value, found, push.links)
        case "texts":
            return _texts(found)
        case "tree":
            return _bounded(found, one.name)
        case "text":
            return _text(found, one.name)


def _tree(tree: Tree, fields: dict[str, Any], *, keep_null: bool) -> Any:
    """The tree with every expression resolved, or the first Missing or Refused in it."""
    if isinstance(tree, Expression):
        found = tree.resolve(fields)
        if found is None and tree.is_path and not keep_null:
            return Missing(next(iter(tree.paths)))  # nobody reads null on a phone
        return found
    if isinstance(tree, dict):
        resolved = {key: _tree(child, fields, keep_null=keep_null) for key, child in tree.items()}
        values: list[Any] = list(resolved.values())
        whole: Any = resolved
    else:
        whole = values = [_tree(child, fields, keep_null=keep_null) for child in tree]
    return next((one for one in values if isinstance(one, Missing | Refused)), whole)


def _texts(found: dict[str, Any]) -> Any:
    texts = {language: _text(text, language) for language, text in found.items()}
    return next((one for one in texts.values() if isinstance(one, Refused)), texts)


def _text(found: Any, name: str) -> Any:
    text = as_text(found)
    if not isinstance(text, str):
        return Refused(reason="not_text", path=name)
    if not text.strip():
        return Refused(reason="empty_text", path=name)
    if name == "collapse_id" and len(text) > COLLAPSE_ID_LENGTH:
        return Refused(reason="too_long", path=name)
    return text


def _bounded(found: Any, name: str) -> Any:
    too_long = len(orjson.dumps(found)) > DATA_BYTES
    return Refused(reason="too_long", path=name) if too_long else found


def _link(tree: Tree, found: Any, links: tuple[str, ...]) -> Any:
    """A link or a picture; one that an event has a part in must begin as `push.links` allows."""
    if isinstance(tree, dict):
        parts = {key: _link(child, found[key], links) for key, child in tree.items()}
        refused = [one for one in parts.values() if isinstance(one, Refused)]
        return refused[0] if refused else parts
    if not isinstance(found, str):
        return Refused(reason="not_text", path=None)
    if isinstance(tree, Expression) and tree.is_literal:
        return found
    return found if found.startswith(links) else Refused(reason="link_not_allowed", path=None)
