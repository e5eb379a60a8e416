"""What OneSignal should know in the end, and in which order: folded here again, in the plainest way.

It shares nothing with the bridge: an event's time is read here, its tags are the story's.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, NamedTuple
from urllib.parse import unquote

from tests.faults.sender import Key
from tests.faults.sight import EventRow, Sight
from tests.faults.story import Event, Story

AHEAD_MS = 300_000
Value = str | None


class Word(NamedTuple):
    """What one event says of one tag; ordered by event time, then by arrival."""

    at_ms: int
    seq: int
    value: Value
    #: OneSignal accepted it, and nothing of the event ever died.
    certain: bool
    #: OneSignal accepted it, at once or by a replay.
    delivered: bool


def event_time(event: Event, received_ms: int) -> int:
    """Milliseconds since 1970: its timestamp, but at most five minutes after it was received."""
    text = event.get("timestamp")
    if not isinstance(text, str):
        return received_ms
    moment = datetime.fromisoformat(text)
    said = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return min(round(said.timestamp() * 1000), received_ms + AHEAD_MS)


@dataclass(slots=True)
class Ledger:
    """Everything that was said of every user, from the events as they were posted."""

    #: By user and tag, in order.
    words: dict[str, dict[str, list[Word]]] = field(default_factory=dict)
    #: The user of each event, and its time.
    of_seq: dict[int, tuple[str, int]] = field(default_factory=dict)

    def final(self, user: str, tag: str) -> set[Value]:
        """The values that the tag may have in the end."""
        words = self.words[user][tag]
        delivered = [word for word in words if word.delivered]
        last = delivered[-1] if delivered else None
        # What died may have been performed, and then nobody knows of it.
        doubtful = {word.value for word in words if not word.certain and _after(word, last)}
        return doubtful | {last.value if last else None}

    def since(self, user: str, tag: str, seq: int, at_ms: int) -> set[Value] | None:
        """The values that the tag may have when a push of this event leaves; None: anything."""
        words = self.words[user][tag]
        earlier = [
            word for word in words if word.certain and word.seq < seq and word.at_ms <= at_ms
        ]
        if not earlier:
            return None
        return {word.value for word in words if word[:2] >= earlier[-1][:2]}


def _after(word: Word, last: Word | None) -> bool:
    return last is None or word[:2] > last[:2]


def ledger_of(story: Story, posted: dict[Key, Event], sight: Sight) -> Ledger:
    assert story.tags is not None
    statuses: dict[int, set[str]] = defaultdict(set)
    for outcome in sight.outcomes:
        if outcome.operation in {"update_user", ""}:
            statuses[outcome.seq].add(outcome.status)
    died = {row.seq for row in sight.dead}
    found: dict[str, dict[str, list[Word]]] = defaultdict(lambda: defaultdict(list))
    ledger = Ledger()
    for row, event in _known(sight.events, posted):
        user, at_ms = str(event.get("userId")), event_time(event, row.received_ms)
        ledger.of_seq[row.seq] = user, at_ms
        is_delivered = "delivered" in statuses[row.seq]
        certain = is_delivered and row.seq not in died
        if not is_delivered and not statuses[row.seq] & {"dead", "discarded"}:
            continue
        for tag, value in story.tags(event).items():
            found[user][tag].append(Word(at_ms, row.seq, value, certain, is_delivered))
    ledger.words = {
        user: {tag: sorted(words, key=lambda word: word[:2]) for tag, words in tags.items()}
        for user, tags in found.items()
    }
    return ledger


def _known(
    events: Iterable[EventRow], posted: dict[Key, Event]
) -> Iterator[tuple[EventRow, Event]]:
    for row in events:
        event = posted.get((row.source, row.message_id))
        if event is not None:
            yield row, event


def was_done(call: dict[str, Any]) -> bool:
    """Whether OneSignal did what a call asked for, whatever the bridge heard of it."""
    return bool(call["applied"]) and (call["status"] == 0 or 200 <= call["status"] < 300)


def tags_written(call: dict[str, Any]) -> tuple[str, dict[str, Value]] | None:
    """The user and the tags of a call that writes some."""
    if call["endpoint_class"] != "write" or not isinstance(call["body"], dict):
        return None
    tags = (call["body"].get("properties") or {}).get("tags")
    if not tags or call["user"] is None:
        return None
    return unquote(call["user"]), {name: value or None for name, value in tags.items()}
