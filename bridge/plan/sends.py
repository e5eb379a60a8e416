"""The push that one rule sends: every field resolved, or the reason why there is no push."""

from __future__ import annotations

from typing import Any

import orjson

from bridge.mapping.expression import Expression, Missing, Refused
from bridge.mapping.rules import Field, Push, Rule, Tree
from bridge.onesignal.operations import Recipient, SendNotification
from bridge.plan.updates import tag_text
from bridge.plan.values import Draft, Skip, why
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
        elif found is not None:
            body[one.name] = found
    return SendNotification(
        rule=rule.name,
        to=to,
        body=body | push.constant,
        flags=push.flags,
        max_age_ms=rule.max_age_ms,
    )


def _resolve(one: Field, push: Push, draft: Draft) -> Any:
    found = _tree(one.value, draft.fields)
    if isinstance(found, Missing | Refused):
        return found
    match one.kind:
        case "link":
            return _link(one.value, found, push.links)
        case "tree" if one.name in {"contents", "headings", "subtitle"}:
            return _texts(found)
        case "tree":
            return _bounded(found)
        case "text":
            return _text(found, one.name)


def _tree(tree: Tree, fields: dict[str, Any]) -> Any:
    """The tree with every expression resolved, or the first Missing or Refused in it."""
    if isinstance(tree, Expression):
        return tree.resolve(fields)
    if isinstance(tree, dict):
        resolved = {key: _tree(child, fields) for key, child in tree.items()}
        values: list[Any] = list(resolved.values())
        whole: Any = resolved
    else:
        whole = values = [_tree(child, fields) for child in tree]
    return next((one for one in values if isinstance(one, Missing | Refused)), whole)


def _texts(found: dict[str, Any]) -> Any:
    texts = {language: tag_text(text) for language, text in found.items()}
    for language, text in texts.items():
        if text is None:
            return Refused(reason="not_text", path=language)
        if not text.strip():
            return Refused(reason="empty_text", path=language)
    return texts


def _text(found: Any, name: str) -> Any:
    text = tag_text(found)
    if text is None:
        return Refused(reason="not_text", path=None)
    if name == "collapse_id" and len(text) > COLLAPSE_ID_LENGTH:
        return Refused(reason="too_long", path=name)
    return text or None


def _bounded(found: Any) -> Any:
    too_long = len(orjson.dumps(found)) > DATA_BYTES
    return Refused(reason="too_long", path=None) if too_long else found


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
