"""What a person does with a dead letter: do it again, as it was. Pure but for the journal's two calls.

An update is planned anew from its event, because its values may have been overtaken. A send is
sent as it was written: under its own key when OneSignal may have performed it (the key makes a
repeat harmless), under the key of the next generation when it certainly did not.
"""

from __future__ import annotations

import orjson

from bridge.deliver.keys import key_of
from bridge.journal import Journal
from bridge.journal.records import Dead, NewSend, Replayed, Send
from bridge.onesignal.operations import Recipient, SendNotification
from bridge.onesignal.user_model import NOTIFICATIONS_PATH

OURS = frozenset({"plan_failed", "internal_error", "poison", "source_gone"})
"""Deaths of a whole event by a fault on this side; other whole events that are dead never were events."""


async def replay(journal: Journal, dead_id: int, *, now_ms: int) -> tuple[Replayed, Dead | None]:
    """Put one dead operation back to work; it is done once, however often it is asked for."""
    dead = await journal.dead_letter(dead_id)
    if dead is None:
        return "not-dead", None
    if not (dead.rule or dead.operation) and dead.reason not in OURS:
        return "not-an-event", dead
    send = await journal.send(dead.send_key) if dead.send_key else None
    again = None if send is None else send_again(dead, send, now_ms=now_ms)
    revived = await journal.revive(dead_id, send=again, at_ms=now_ms)
    return ("replayed" if revived else "not-dead"), dead


def send_again(dead: Dead, send: Send, *, now_ms: int) -> NewSend:
    """The send to be written: the same bytes, but for the key when it was certainly refused."""
    generation = send.generation if dead.uncertain else send.generation + 1
    body = dead.request or b"{}"
    key = send.key
    if not dead.uncertain:
        key = key_of(
            app=send.app,
            rule=send.rule,
            operation=send.operation,
            message_id=dead.message_id,
            seq=dead.seq,
            recipient=Recipient(label=send.label, id=send.recipient),
            generation=generation,
        )
        body = orjson.dumps(orjson.loads(body) | {"idempotency_key": key})
    return NewSend(
        key=key,
        seq=dead.seq,
        app=send.app,
        rule=send.rule,
        operation=send.operation,
        user_hash=send.user_hash,
        label=send.label,
        recipient=send.recipient,
        generation=generation,
        revision=send.revision,
        # What a person replays is not too old.
        expires_ms=None,
        method="POST",
        path=NOTIFICATIONS_PATH,
        body=body,
        created_ms=now_ms,
        person_hash=send.person_hash,
        counted=send.operation == SendNotification.name,
        once=send.once,
        once_ms=send.once_ms,
    )
