"""Plays Segment: signed identify calls on many connections, and a memory of what was acknowledged.

Event n says of user n mod `users` that their trait `step` is n, so whoever knows which events were
kept knows what every user must look like in the end.
"""

from __future__ import annotations

import asyncio
import hmac
from collections import Counter
from datetime import UTC, datetime
from itertools import count

import aiohttp
import orjson

from bridge.clock import Clock

SECRET = "a-shared-secret-of-many-letters"
PREFIX = "image-"


def message_id(step: int) -> str:
    return f"{PREFIX}{step:08d}"


class Sender:
    """A Segment that posts to one address until it is stopped or nobody answers any more."""

    def __init__(self, url: str, *, clock: Clock, users: int) -> None:
        self._url = url
        self._clock = clock
        self._users = users
        self._steps = count()
        self._stopping = False
        #: The events that were answered 200 and `accepted: 1`.
        self.acknowledged: set[int] = set()
        #: How many requests ended in which way: a status, or the name of an error.
        self.endings: Counter[str] = Counter()

    def user(self, step: int) -> str:
        return f"user-{step % self._users:04d}"

    def stop(self) -> None:
        self._stopping = True

    async def run(self, connections: int = 32) -> None:
        """Post as fast as it is answered, until `stop` or until nobody listens any more."""
        self._stopping = False
        timeout = aiohttp.ClientTimeout(total=15)
        async with aiohttp.ClientSession(timeout=timeout) as session:
            await asyncio.gather(*(self._post_on(session) for _ in range(connections)))

    async def post_again(self, step: int) -> dict[str, object]:
        """Send an event that was sent before; the answer's body."""
        async with aiohttp.ClientSession() as session:
            body, headers = self._signed(step)
            async with session.post(self._url, data=body, headers=headers) as response:
                answer: dict[str, object] = await response.json()
                return answer

    async def _post_on(self, session: aiohttp.ClientSession) -> None:
        while not self._stopping:
            step = next(self._steps)
            try:
                await self._post(session, step)
            except aiohttp.ClientConnectorError:
                self.endings["nobody listens"] += 1
                return
            except (aiohttp.ClientError, TimeoutError) as error:
                self.endings[type(error).__name__] += 1
            else:
                continue
            await self._clock.sleep(0.01)

    async def _post(self, session: aiohttp.ClientSession, step: int) -> None:
        body, headers = self._signed(step)
        async with session.post(self._url, data=body, headers=headers) as response:
            answer = await response.read()
        self.endings[str(response.status)] += 1
        if response.status == 200 and orjson.loads(answer).get("accepted") == 1:
            self.acknowledged.add(step)

    def _signed(self, step: int) -> tuple[bytes, dict[str, str]]:
        now = datetime.fromtimestamp(self._clock.now_ms() / 1000, UTC).isoformat()
        event = {
            "type": "identify",
            "messageId": message_id(step),
            "userId": self.user(step),
            "timestamp": now,
            "sentAt": now,
            "traits": {"step": step},
            "context": {"library": {"name": "analytics-node", "version": "2.1.0"}},
        }
        body = orjson.dumps(event)
        signature = hmac.new(SECRET.encode(), body, "sha1").hexdigest()
        return body, {"X-Signature": signature, "Content-Type": "application/json"}
