"""Tags that are copied from the event: `tags_from`, with its names, globs and audiences."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from bridge.mapping.expression import Missing, Refused, as_tag
from bridge.mapping.reading import runs
from bridge.mapping.update import Copy, Glob
from bridge.onesignal.tags import LIST_LENGTH, tag_name
from bridge.plan.personal import is_personal, looks_personal
from bridge.plan.values import Draft, why


def copied_tags(copy: Copy, draft: Draft) -> Iterator[tuple[str, str]]:
    """Name and text of every tag that one selection takes, in the order of its `include`."""
    flat = dict(_flatten(_object(draft.fields, copy.root)))
    for glob in copy.include:
        for key in _chosen(glob, flat):
            name = copy.prefix + copy.rename.get(key, key)
            text = copied_text(flat[key], f"{copy.root}.{key}")
            if isinstance(text, Refused):
                draft.leave_out(f"tags.{name}", *why(text))
            elif not name:
                draft.leave_out("tags", "empty_name", f"{copy.root}.{key}")
            elif glob.pattern is not None and (is_personal(key) or looks_personal(text)):
                draft.leave_out(f"tags.{name}", "personal_data", f"{copy.root}.{key}")
            else:
                yield tag_name(name), text


def _chosen(glob: Glob, flat: dict[str, Any]) -> list[str]:
    if glob.pattern is None:
        return [glob.text] if glob.text in flat else []
    return [key for key in flat if glob.pattern.fullmatch(key)]


def audience_tag(prefix: str, draft: Draft) -> Iterator[tuple[str, str]]:
    """`"true"` on entering, "" on leaving; of a computed trait its value."""
    audience = _object(draft.fields, "audience")
    key = audience.get("key")
    if not isinstance(key, str):
        draft.leave_out("tags_from.audience", "not_an_audience")
        return
    text = _audience_text(audience, key, draft)
    if isinstance(text, str):
        yield tag_name(prefix + key), text
    else:
        draft.leave_out(f"tags.{prefix}{key}", *why(text))


def _audience_text(audience: dict[str, Any], key: str, draft: Draft) -> str | Missing | Refused:
    if isinstance(audience.get("entered"), bool):
        return "true" if audience["entered"] else ""
    if not any(key in _object(draft.fields, root) for root in ("properties", "traits")):
        return Missing(f"traits.{key}")  # absent, and so not a null that deletes
    return copied_text(audience.get("value"), "audience.value")


def copied_text(value: Any, path: str) -> str | Refused:
    """A value of an event as a tag; a list is its items with commas between them."""
    if not isinstance(value, list):
        return _checked(as_tag(value), path)
    texts = [as_tag(one) for one in value]
    if any(isinstance(text, Refused) for text in texts):
        return Refused("not_text", path)
    joined = ",".join(str(text) for text in texts if text)
    return Refused("too_long", path) if len(joined) > LIST_LENGTH else _checked(joined, path)


def _checked(text: str | Refused, path: str) -> str | Refused:
    if isinstance(text, Refused):
        return Refused(text.reason, path)
    return Refused("liquid_in_value", path) if runs(text) else text


def _object(fields: dict[str, Any], name: str) -> dict[str, Any]:
    found = fields.get(name)
    return found if isinstance(found, dict) else {}


def _flatten(tree: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Every value that is no object, under its path with `_` between the names."""
    for key, value in tree.items():
        name = prefix + key.replace(".", "_")
        if isinstance(value, dict):
            yield from _flatten(value, f"{name}_")
        else:
            yield name, value
