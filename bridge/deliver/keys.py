"""The idempotency key of a send, from what the journal knows of it."""

from __future__ import annotations

from bridge.onesignal.operations import Recipient, send_key
from bridge.segment.events import is_test_message


def key_of(
    *,
    app: str,
    rule: str,
    operation: str,
    message_id: str,
    seq: int,
    recipient: Recipient,
    generation: int,
) -> str:
    """The same for the same push, whatever happens meanwhile; `generation` counts a person's replays.

    Segment's event tester sends the same messageId again and again, and each is meant.
    """
    named = f"{message_id}#{seq}" if is_test_message(message_id) else message_id
    return send_key(
        app=app,
        rule=rule,
        operation=operation,
        message_id=named,
        recipient=recipient,
        generation=generation,
    )
