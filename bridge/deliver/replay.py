"""What a person does with what could not be done: it is done again, once.

An update is planned anew from its event, because its values may have been overtaken. A send is
sent as it was written: under its own key when OneSignal may have performed it (the key makes a
repeat harmless), under the key of the next generation when it certainly did not. Then it goes to whom
its recipient was found to be meanwhile, whose id at OneSignal is another by now; and it can also be
planned anew, with the mapping that is in force. What may have been performed is neither; and once
OneSignal has forgotten its key, which it does after 30 days, it is not sent any more at all.

What was skipped because it was too old has nothing that was written: it is planned anew, and nobody
asks again how old it is.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import NamedTuple

import orjson

from bridge import failpoints
from bridge.deliver.held import Nudge, Told
from bridge.deliver.keys import key_of
from bridge.journal import Journal
from bridge.journal.piles import Choice
from bridge.journal.records import Dead, NewSend, Replayed, Send
from bridge.onesignal.api import path_of
from bridge.onesignal.operations import (
    EXTERNAL_ID,
    KEYS_KEPT_MS,
    Recipient,
    SendNotification,
)
from bridge.onesignal.user_model import readdressed

OURS = frozenset({"plan_failed", "internal_error", "poison", "source_gone"})
"""Deaths of a whole event by a fault on this side; other whole events that are dead never were events."""
AT_ONCE = 100
"""Dead letters whose replays share a commit; the loop does other things between them."""

Now = Callable[[], int]
"""Milliseconds since 1970."""


class Replay(NamedTuple):
    """What came of one: how many operations are back at work, and the letter if there was one."""

    done: Replayed
    dead: Dead | None
    operations: int = 0


class Replays(NamedTuple):
    """What came of many."""

    replayed: int
    #: What was sent is no event, so that there is nothing to replay.
    no_events: int
    #: They may have been sent, and OneSignal does not know their keys any more.
    forgotten: int = 0


async def replay(journal: Journal, dead_id: int, *, now_ms: int, replan: bool = False) -> Replay:
    """Put one dead operation back to work; it is done once, however often it is asked for.

    `replan`: a push that was certainly refused is planned with today's mapping.
    """
    dead = await journal.dead_letter(dead_id)
    if dead is None:
        return Replay("not-dead", None)
    if not (dead.rule or dead.operation) and dead.reason not in OURS:
        return Replay("not-an-event", dead)
    replan = replan and not dead.uncertain
    send = await journal.send(dead.send_key) if dead.send_key and not replan else None
    again = None
    if dead.uncertain and send is not None and is_forgotten(send, now_ms):
        return Replay("key-forgotten", dead)
    if send is not None:
        person = await _person(journal, send) if not dead.uncertain else None
        again = send_again(dead, send, person, now_ms=now_ms)
    revived = await journal.revive(dead_id, send=again, at_ms=now_ms, replan=replan)
    failpoints.reached("dead.replayed")
    return Replay("replayed" if revived else "not-dead", dead, revived)


async def replay_all(
    journal: Journal, choice: Choice, *, replan: bool, now: Now, nudge: Nudge
) -> Replays:
    """Replay what is dead of a choice now; what dies meanwhile is not what was asked about."""
    last, after = await journal.piles.last_dead(), 0
    told, total = Told(nudge), Replays(0, 0)
    while ids := await journal.piles.dead_ids(choice, after=after, last=last, limit=AT_ONCE):
        after = ids[-1]
        done = await asyncio.gather(
            *(replay(journal, one, now_ms=now(), replan=replan) for one in ids)
        )
        for one in done:
            if one.dead is not None and one.operations:
                told.add(one.dead.app, frozenset({one.dead.user_hash}))
        total = Replays(
            total.replayed + sum(one.operations for one in done),
            total.no_events + sum(one.done == "not-an-event" for one in done),
            total.forgotten + sum(one.done == "key-forgotten" for one in done),
        )
    told.flush()
    return total


async def discard_all(journal: Journal, choice: Choice, *, now: Now) -> int:
    """End what is dead of a choice now, for good."""
    last, after, total = await journal.piles.last_dead(), 0, 0
    while ids := await journal.piles.dead_ids(choice, after=after, last=last, limit=AT_ONCE):
        after = ids[-1]
        total += await journal.piles.discard_dead(ids, at_ms=now())
    return total


async def replay_skipped(journal: Journal, choice: Choice, *, nudge: Nudge) -> int:
    """Plan what was too old again: what was skipped until now, of the rule that the choice names."""
    counts = await journal.piles.skipped_counts(choice)
    choice = choice._replace(until_ms=max((one.newest_ms for one in counts), default=0))
    left = sum(one.kept for one in counts)
    told, total = Told(nudge), 0
    while left > 0:
        some = await journal.piles.revive_skipped(choice, limit=min(left, AT_ONCE))
        if not some:
            break
        for one in some:
            told.add(one.app, frozenset({one.user_hash}))
        left, total = left - len(some), total + len(some)
    told.flush()
    return total


def is_forgotten(send: Send, now_ms: int) -> bool:
    """Whether a push that may have been sent would be sent again, and no repeat, if it were tried now."""
    is_push = send.operation == SendNotification.name
    return is_push and now_ms > send.key_ms + KEYS_KEPT_MS


async def _person(journal: Journal, send: Send) -> Recipient | None:
    """Whom the recipient was found to be, if it is somebody else."""
    if not journal.identities.any:
        return None
    its = journal.hash_of(send.app, send.label, send.recipient)
    person = await journal.identities.person(its)
    return None if person is None else Recipient(EXTERNAL_ID, person.external_id)


def send_again(dead: Dead, send: Send, person: Recipient | None, *, now_ms: int) -> NewSend:
    """The send to be written: the same bytes, or what was certainly refused under another key.

    `person`: whom the recipient of such a one was found to be.
    """
    generation = send.generation if dead.uncertain else send.generation + 1
    body = dead.request or b"{}"
    key = send.key
    if person is not None:
        before = Recipient(send.label, send.recipient)
        body = orjson.dumps(readdressed(orjson.loads(body), before, person))
        send = send._replace(label=person.label, recipient=person.id)
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
        path=path_of(body),
        body=body,
        created_ms=now_ms,
        person_hash=send.person_hash,
        counted=send.operation == SendNotification.name,
        once=send.once,
        once_ms=send.once_ms,
    )
