"""The sender: it posts as Segment does, and remembers what was answered 200, and whatever else was."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, TypeGuard

import httpx
import orjson

from tests.faults.canary import SECRET
from tests.faults.story import Event
from tests.harness import signed

Key = tuple[str, str]
"""A source and a messageId."""


@dataclass(slots=True)
class Sent:
    """What was posted, and what its sender was told."""

    #: Everything that was ever in a request, answered or not.
    posted: dict[Key, Event] = field(default_factory=dict)
    #: How often each was answered 200; an element that was rejected is not among them.
    acknowledged: dict[Key, int] = field(default_factory=dict)
    #: Elements that a 200 said are kept as dead.
    rejected: int = 0
    #: Elements without a messageId that a 200 counted.
    unnamed: int = 0
    #: Users who were erased since: nothing of theirs need be there.
    erased: set[str] = field(default_factory=set)
    #: Every body that we were answered.
    answers: list[str] = field(default_factory=list)

    def heard(self, source: str, events: Iterable[Event], answer: httpx.Response) -> None:
        self.answers.append(answer.text)
        said = answer.json() if answer.status_code == 200 else {}
        if "accepted" not in said:
            # No 200, or one to a call that brings no event.
            return
        refused = {one["index"] for one in said["rejected"]}
        self.rejected += len(refused)
        for index, event in enumerate(events):
            if index not in refused:
                self.took(source, event)

    def took(self, source: str, event: Event) -> None:
        message_id = event.get("messageId")
        if not _is_name(message_id):
            self.unnamed += _is_none(message_id)
            return
        key = source, message_id
        self.acknowledged[key] = self.acknowledged.get(key, 0) + 1


@dataclass(slots=True)
class Sender:
    """Posts to one address; `sent` is shared by all senders of a test."""

    sent: Sent
    http: httpx.AsyncClient

    async def post(
        self, events: Event | list[Event], *, source: str = "default", **more: Any
    ) -> httpx.Response | None:
        """One event, or a batch; None when there was no answer. `more` goes to httpx."""
        raw, headers = signed(events, SECRET)
        headers |= more.pop("headers", {})
        return await self.post_raw(raw, headers=headers, source=source, **more)

    async def post_raw(
        self, raw: bytes, *, headers: dict[str, str], source: str = "default", **more: Any
    ) -> httpx.Response | None:
        """These bytes; what can be read of them is remembered."""
        events = _elements(raw)
        for event in events:
            if _is_name(event.get("messageId")):
                self.sent.posted.setdefault((source, event["messageId"]), event)
        try:
            answer = await self.http.post(
                f"/v1/segment/{source}", content=raw, headers=headers, **more
            )
        except httpx.TransportError:
            return None
        self.sent.heard(source, events, answer)
        return answer

    async def must(self, events: Event | list[Event], *, source: str = "default") -> dict[str, Any]:
        """Post what has to be answered 200; the answer."""
        answer = await self.post(events, source=source)
        assert answer is not None, "no answer"
        assert answer.status_code == 200, answer.text
        result: dict[str, Any] = answer.json()
        return result


def _is_name(message_id: object) -> TypeGuard[str]:
    """Whether an event is known by it, as it is written."""
    return isinstance(message_id, str) and 0 < len(message_id) <= 100 and message_id.isprintable()


def _is_none(message_id: Any) -> bool:
    """Whether an event is known by its bytes, or by those of an id that is too long.

    How numbers and letters that cannot be printed are written is the bridge's own affair.
    """
    if isinstance(message_id, str):
        return not message_id or len(message_id) > 100
    return message_id is None or isinstance(message_id, list | dict)


def _elements(raw: bytes) -> list[Event]:
    """What Segment's `messageId` may stand in; a body that we cannot read has none."""
    try:
        body = orjson.loads(raw)
    except orjson.JSONDecodeError:
        try:
            # What JavaScript writes, and some parsers refuse.
            body = json.loads(raw.decode("utf-8-sig", "surrogatepass"))
        except (ValueError, RecursionError):
            return []
    elements = body if isinstance(body, list) else [body]
    return [one if isinstance(one, dict) else {} for one in map(_unwrapped, elements)]


def _unwrapped(element: Any) -> Any:
    return element["json"] if isinstance(element, dict) and set(element) == {"json"} else element
