"""What is to be said now, given what is the case and what was said. Pure.

One message when a cause begins, one when it is over, and in between at most one in a quarter of an
hour, of what has become more. A cause that was never told of ends without a word.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from bridge.alerts.causes import Cause
from bridge.journal.piles import AlertRow

AGAIN_MS = 15 * 60_000


class Message(NamedTuple):
    key: str
    #: None: there is nothing to say, only to remember.
    text: str | None
    #: What is known to have been told once it is said; None: nothing any more.
    becomes: AlertRow | None


def messages(
    found: Iterable[Cause], told: Mapping[str, AlertRow], now_ms: int
) -> Iterator[Message]:
    """In the order of the causes, then what is over."""
    causes = {cause.key: cause for cause in found}
    for key, cause in causes.items():
        before = told.get(key)
        if before is None and cause.is_grave:
            row = AlertRow(key, cause.words, now_ms, now_ms, cause.count)
            yield Message(key, f"{cause.words}. {_sentence(cause.todo)}", row)
        elif before is not None:
            yield from _again(cause, before, now_ms)
    for key, row in told.items():
        if key not in causes:
            yield Message(key, f"Over after {_age(now_ms - row.since_ms)}: {row.words}.", None)


def _again(cause: Cause, before: AlertRow, now_ms: int) -> Iterator[Message]:
    after = before._replace(words=cause.words, told_of=cause.count)
    if cause.count < before.told_of:
        # Some were dealt with: what comes from now on is news.
        yield Message(cause.key, None, after)
    elif cause.count > before.told_of and now_ms - before.told_ms >= AGAIN_MS:
        yield Message(
            cause.key,
            f"Still: {cause.words}. {_sentence(cause.todo)}",
            after._replace(told_ms=now_ms),
        )


def _sentence(text: str) -> str:
    whole = text[:1].upper() + text[1:] if not text.startswith("segment-bridge") else text
    return whole if whole.endswith("?") else f"{whole}."


def _age(ms: int) -> str:
    minutes = max(0, ms) // 60_000
    if not minutes:
        return "less than a minute"
    return f"{minutes} min" if minutes < 120 else f"{minutes // 60} h"
