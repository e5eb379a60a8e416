"""What one rule writes about a user: tags in the order of their priority, language, zone, country."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from pydantic import JsonValue

from bridge.mapping.expression import Expression, Missing, Refused
from bridge.mapping.filling import as_text, resolve
from bridge.mapping.update import Update
from bridge.onesignal.operations import Recipient, UpdateUser
from bridge.onesignal.tags import country_code, language_code, tag_name
from bridge.plan.copies import audience_tag, copied_tags
from bridge.plan.values import Draft, why

_ZONE = re.compile(r"UTC|[A-Za-z][A-Za-z_]+(?:/[A-Za-z0-9_+-]+){1,2}")


def plan_update(
    update: Update, draft: Draft, to: Recipient, *, cap: int | None, earlier: Mapping[str, str]
) -> UpdateUser | None:
    """The update; None when there is nothing to write.

    `cap` is how many tags OneSignal's plan gives a user, `earlier` what the rules before this one
    write for the same event.
    """
    tags: dict[str, str] = {}
    for name, value in _tags(update, draft):
        if value and not _fits(name, {**earlier, **tags}, cap):
            draft.leave_out(f"tags.{name}", "tag_cap", f"the plan has {cap} tags for a user")
        else:
            tags[name] = value
    properties: dict[str, JsonValue] = dict(_properties(update, draft))
    if not tags and not properties:
        return None
    return UpdateUser(rules=(draft.rule,), to=to, tags=tags, properties=properties)


def _fits(name: str, tags: dict[str, str], cap: int | None) -> bool:
    """Whether one more tag may be written; a deletion takes no place."""
    return cap is None or bool(tags.get(name)) or sum(map(bool, tags.values())) < cap


def _tags(update: Update, draft: Draft) -> Iterator[tuple[str, str]]:
    """Name and text of every tag, in the order of their priority; the text "" deletes."""
    for name, value in update.tags:
        yield from _tag(name, value, draft)
    for copy in update.copies:
        yield from copied_tags(copy, draft)
    if update.audience_prefix is not None:
        yield from audience_tag(update.audience_prefix, draft)


def _tag(name: Expression, value: Expression, draft: Draft) -> Iterator[tuple[str, str]]:
    named = as_text(name.resolve(draft.fields))
    if not isinstance(named, str):
        draft.leave_out(f"tags.{name.text}", *why(named))
        return
    if not named:
        draft.leave_out(f"tags.{name.text}", "empty_name")
        return
    text = as_text(value.resolve(draft.fields))
    if isinstance(text, str):
        yield tag_name(named), text
    else:
        draft.leave_out(f"tags.{named}", *why(text))


def _properties(update: Update, draft: Draft) -> Iterator[tuple[str, JsonValue]]:
    for name, value, normal in (
        ("language", update.language, language_code),
        ("timezone_id", update.timezone, _timezone),
        ("country", update.country, country_code),
    ):
        if value is None:
            continue
        found = value.resolve(draft.fields)
        text = normal(found) if isinstance(found, str) else None
        if text is None:
            draft.leave_out(name, *why(found))
        else:
            yield name, text
    for name, tree in update.raw:
        given = resolve(tree, draft.fields, ())
        if isinstance(given, Missing | Refused):
            draft.leave_out(f"raw.{name}", *why(given))
        else:
            yield name, given


def _timezone(text: str) -> str | None:
    return text if _ZONE.fullmatch(text) else None
