"""A request to erase a person, as Segment forwards it and as it is kept: `{type: "delete", userId}`.

Of such a request only who it is about is kept, under the id that the person has at OneSignal, whatever
the mapping says by then.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

import orjson

#: The type of the events that Segment forwards for a deletion request. [segment-docs webhooks]
DELETE: Final = "delete"
#: What happens so soon after a request belongs to before it: clocks differ, and apps send late.
ERASED_FOR_MS: Final = 5 * 60_000


def deletion(external_id: str, *, message_id: str, at_ms: int) -> bytes:
    """The request to erase this person, as it is kept."""
    at = datetime.fromtimestamp(at_ms / 1000, UTC).isoformat(timespec="milliseconds")
    event = {"type": DELETE, "messageId": message_id, "userId": external_id, "timestamp": at}
    return orjson.dumps(event)


def deleted_id(payload: bytes) -> str:
    """Whom a kept request is about."""
    return str(orjson.loads(payload)["userId"])
