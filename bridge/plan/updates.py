"""What one rule writes about a user: tags in the order of their priority, language, zone, country."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from pydantic import JsonValue

from bridge.mapping.expression import Expression, Missing, Refused
from bridge.mapping.filling import as_text, resolve_raw
from bridge.mapping.update import Update
from bridge.onesignal.operations import Recipient, UpdateUser
from bridge.onesignal.tags import NORMAL, tag_name
from bridge.plan.copies import audience_tag, copied_tags
from bridge.plan.values import Draft, why


def plan_update(
    update: Update, draft: Draft, to: Recipient, *, cap: int | None, earlier: Mapping[str, str]
) -> UpdateUser | None:
    """The update; None when there is nothing to write.

    `cap` is how many tags OneSignal's plan gives a user, `earlier` what the rules before this one
    write for the same event.
    """
    found = _tags(update, draft)
    roomy = cap is None or (update.most_tags is not None and update.most_tags + len(earlier) <= cap)
    tags = dict(found if roomy or cap is None else _capped(found, draft, cap, earlier))
    properties: dict[str, JsonValue] = dict(_properties(update, draft))
    if not tags and not properties:
        return None
    return UpdateUser(rules=(draft.rule,), to=to, tags=tags, properties=properties)


def _capped(
    found: Iterator[tuple[str, str]], draft: Draft, cap: int, earlier: Mapping[str, str]
) -> Iterator[tuple[str, str]]:
    """The tags that the plan has room for, first come; a deletion takes none."""
    held = {name for name, text in earlier.items() if text}
    for name, text in found:
        if text and name not in held and len(held) >= cap:
            draft.leave_out(f"tags.{name}", "tag_cap", f"the plan has {cap} tags for a user")
            continue
        (held.add if text else held.discard)(name)
        yield name, text


def _tags(update: Update, draft: Draft) -> Iterator[tuple[str, str]]:
    """Name and text of every tag, in the order of their priority; the text "" deletes."""
    fields = draft.fields
    for (name, value), fixed in zip(update.tags, update.names, strict=True):
        text = value.resolve(fields)
        if type(text) is not str:
            text = as_text(text)
        if fixed is not None and isinstance(text, str):
            yield fixed, text
        else:
            yield from _named(name, text, draft)
    for copy in update.copies:
        yield from copied_tags(copy, draft)
    if update.audience_prefix is not None:
        yield from audience_tag(update.audience_prefix, draft)


def _named(
    name: Expression, text: str | Missing | Refused, draft: Draft
) -> Iterator[tuple[str, str]]:
    """A tag whose name the event has a part in, or whose text cannot be had."""
    named = as_text(name.resolve(draft.fields))
    if not isinstance(named, str):
        draft.leave_out(f"tags.{name.text}", *why(named))
    elif not named:
        draft.leave_out(f"tags.{name.text}", "empty_name")
    elif isinstance(text, str):
        yield tag_name(named), text
    else:
        draft.leave_out(f"tags.{named}", *why(text))


def _properties(update: Update, draft: Draft) -> Iterator[tuple[str, JsonValue]]:
    for name, value in update.properties:
        found = value.resolve(draft.fields)
        text = NORMAL[name](found) if isinstance(found, str) else None
        if text is None:
            draft.leave_out(name, *why(found))
        else:
            yield name, text
    for name, tree in update.raw:
        given = resolve_raw(tree, draft.fields, ())
        if isinstance(given, Missing | Refused):
            draft.leave_out(f"raw.{name}", *why(given))
        else:
            yield name, given
