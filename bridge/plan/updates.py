"""What one rule writes about a user: tags in the order of their priority, language, zone, country."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import orjson
from pydantic import JsonValue

from bridge.mapping.expression import Expression, Missing, Refused
from bridge.mapping.rules import Copy, Update
from bridge.onesignal.operations import Recipient, UpdateUser
from bridge.onesignal.tags import LIST_LENGTH, country_code, language_code, tag_name
from bridge.plan.values import Draft, Skip, why


def plan_update(update: Update, draft: Draft, to: Recipient, cap: int | None) -> UpdateUser | Skip:
    tags: dict[str, str] = {}
    for name, value in _tags(update, draft):
        if value and cap is not None and name not in tags and _written(tags) >= cap:
            draft.leave_out(f"tags.{name}", "tag_cap", f"the plan has {cap} tags for a user")
            continue
        tags[name] = value
    properties: dict[str, JsonValue] = dict(_properties(update, draft))
    if not tags and not properties:
        return Skip(rule=draft.rule, operation=draft.operation, reason="nothing_to_write")
    return UpdateUser(rules=(draft.rule,), to=to, tags=tags, properties=properties)


def _written(tags: dict[str, str]) -> int:
    return sum(1 for value in tags.values() if value)


def _tags(update: Update, draft: Draft) -> Iterator[tuple[str, str]]:
    """Name and text of every tag, in the order of their priority; the text "" deletes."""
    for name, value in update.tags:
        yield from _tag(name, value, draft)
    for copy in update.copies:
        yield from _copied(copy, draft)
    if update.audience_prefix is not None:
        yield from _audience_tag(update.audience_prefix, draft)


def _tag(name: Expression, value: Expression, draft: Draft) -> Iterator[tuple[str, str]]:
    named = name.resolve(draft.fields)
    if not isinstance(named, str) or not named:
        draft.leave_out(f"tags.{name.text}", *why(named))
        return
    found = value.resolve(draft.fields)
    if isinstance(found, Missing | Refused):
        draft.leave_out(f"tags.{named}", *why(found))
        return
    text = tag_text(found)
    if text is None:
        draft.leave_out(f"tags.{named}", "not_text")
        return
    yield tag_name(named), text


def tag_text(value: Any) -> str | None:
    """A value as a tag says it: null deletes, and a list or an object has no text."""
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    if isinstance(value, bool | int | float):
        return orjson.dumps(value).decode() if _fits_json(value) else str(value)
    return None


def _fits_json(value: float) -> bool:
    return not isinstance(value, int) or -(2**63) <= value < 2**64


def _copied(copy: Copy, draft: Draft) -> Iterator[tuple[str, str]]:
    root = draft.fields.get(copy.root)
    flat = dict(_flatten(root if isinstance(root, dict) else {}))
    for glob in copy.include:
        if glob.pattern is None:
            keys = [glob.text.replace(".", "_")]
        else:
            pattern = glob.pattern
            keys = [key for key in flat if pattern.fullmatch(key) and not is_personal(key)]
        for key in keys:
            if key not in flat:
                continue
            text = _copied_text(flat[key])
            renamed = copy.rename.get(key, copy.rename.get(glob.text, key))
            if text is None or "{{" in text or "{%" in text:
                reason = "not_text" if text is None else "liquid_in_value"
                draft.leave_out(f"tags.{renamed}", reason, f"{copy.root}.{key}")
                continue
            yield tag_name(copy.prefix + renamed), text


def _copied_text(value: Any) -> str | None:
    if isinstance(value, list):
        texts = [tag_text(one) for one in value]
        if any(text is None for text in texts):
            return None
        joined = ",".join(text for text in texts if text)
        return joined if len(joined) <= LIST_LENGTH else None
    return tag_text(value)


def _flatten(tree: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in tree.items():
        name = f"{prefix}{key}"
        if isinstance(value, dict):
            yield from _flatten(value, f"{name}_")
        else:
            yield name, value


_PERSONAL = frozenset(
    {
        "email", "phone", "mobile", "name", "firstname", "lastname", "fullname", "middlename",
        "username", "birthday", "birthdate", "dateofbirth", "dob", "street", "address", "address1",
        "address2", "postalcode", "zip", "zipcode", "ip", "ipaddress", "ssn", "passport", "iban",
        "latitude", "longitude", "lat", "lng", "lon", "gender", "avatar", "idfa", "gaid",
        "advertisingid", "token", "password", "creditcard", "phonenumber", "emailaddress", "surname",
    }
)  # fmt: skip


def is_personal(key: str) -> bool:
    """Personal data by its name: passed on only where a mapping names it in full, never by a glob."""
    words = key.replace("-", "_").split("_")
    joined = {
        "".join(words[i:j]).lower() for i in range(len(words)) for j in range(i + 1, len(words) + 1)
    }
    return bool(joined & _PERSONAL)


def _audience_tag(prefix: str, draft: Draft) -> Iterator[tuple[str, str]]:
    audience = draft.fields.get("audience")
    key = audience.get("key") if isinstance(audience, dict) else None
    if not isinstance(audience, dict) or not isinstance(key, str):
        draft.leave_out("tags_from.audience", "not_an_audience")
        return
    if isinstance(audience.get("entered"), bool):
        yield tag_name(prefix + key), "true" if audience["entered"] else ""
    elif (text := tag_text(audience.get("value"))) is not None:
        yield tag_name(prefix + key), text


def _properties(update: Update, draft: Draft) -> Iterator[tuple[str, str]]:
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


def _timezone(text: str) -> str | None:
    return text if "/" in text or text == "UTC" else None
