"""Whom one operation is about, for one event: the event's user, or whom `to` names."""

from __future__ import annotations

from bridge.mapping.reading import runs
from bridge.mapping.targets import Target
from bridge.onesignal.operations import EXTERNAL_ID_LENGTH, Recipient, is_blocked_external_id
from bridge.plan.values import Draft, Skip, why
from bridge.segment.ids import id_text


def recipient(target: Target | None, user: Recipient, draft: Draft) -> Recipient | Skip:
    """The one that is meant; a skip when the event does not say who, or nobody can be called so."""
    if target is None:
        return user
    found = target.id.resolve(draft.fields)
    text = id_text(found) if isinstance(found, str | int | float) else None
    if text is None:
        return draft.skip(*_why_nobody(found, target))
    reason = unaddressable(text)
    return draft.skip(reason, "to") if reason else Recipient(label=target.label, id=text)


def unaddressable(external_id: str) -> str | None:
    """Why nothing can be sent to this id, if so."""
    if is_blocked_external_id(external_id):
        return "blocked_external_id"
    if len(external_id) > EXTERNAL_ID_LENGTH:
        return "external_id_too_long"
    # A page that sent its template instead of what it renders to.
    return "liquid_in_value" if runs(external_id) else None


def _why_nobody(found: object, target: Target) -> tuple[str, str | None]:
    path = next(iter(target.id.paths), target.id.text)
    if found is None or found == "":
        return "missing", path
    if isinstance(found, list):
        return "many_recipients", path  # a list would be a message to a crowd
    return ("not_text", path) if isinstance(found, bool | dict) else why(found)
