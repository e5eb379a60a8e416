"""What a person has agreed to, as an event says it: `context.consent.categoryPreferences`.

Segment's consent wrappers stamp every event with the categories that its owner named and a boolean
for each. A category that an event does not mention is neither granted nor refused.
[segment-docs privacy/consent-management/consent-in-segment-connections]
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any


def withheld(
    context: Mapping[str, Any], need: Iterable[str], *, unknown_allows: bool
) -> str | None:
    """The first category of `need` that is not granted; None when all are.

    Args:
        context: The event's context.
        need: Categories, as the source calls them.
        unknown_allows: Whether a category that the event does not mention counts as granted.
    """
    consent = context.get("consent")
    preferences = consent.get("categoryPreferences") if isinstance(consent, dict) else None
    said = preferences if isinstance(preferences, dict) else {}
    for category in need:
        granted = said.get(category)
        if granted is not True and (granted is not None or not unknown_allows):
            return category
    return None
