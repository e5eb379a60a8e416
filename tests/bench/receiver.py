"""A OneSignal that costs next to nothing: it answers, and writes down what arrived when.

A process of its own. It knows three calls (a user updated or created, a notification, custom events),
every user exists, and it can hold to a limit of writes a second. `GET /figures` says what it saw,
`GET /tags` what the users' tags came to, `GET /pushes` when each person was pushed.
"""

from __future__ import annotations

import asyncio
import gc
import sys
import time
import uuid
from collections import deque
from dataclasses import dataclass, field
from typing import Any, cast
from urllib.parse import unquote

import orjson
import uvloop

WINDOW_SECONDS = 1.0
_LIMITED = b'{"errors":[{"code":"Rate Limit Exceeded","title":"API rate limit exceeded"}]}'


@dataclass(slots=True)
class Rate:
    """What arrived, and the most that did in any second."""

    times: list[float] = field(default_factory=list)
    peak: int = 0
    _window: deque[float] = field(default_factory=deque)

    def add(self, now: float) -> None:
        self.times.append(now)
        self._window.append(now)
        while self._window[0] <= now - WINDOW_SECONDS:
            self._window.popleft()
        self.peak = max(self.peak, len(self._window))

    def within(self, now: float) -> int:
        return sum(1 for at in self._window if at > now - WINDOW_SECONDS)

    def steady(self, skip: float, seconds: float) -> float:
        """Per second, from `skip` seconds after the first on, for so long."""
        if not self.times:
            return 0.0
        start = self.times[0] + skip
        end = min(start + seconds, self.times[-1])
        counted = sum(1 for at in self.times if start <= at < end)
        return counted / (end - start) if end > start else 0.0


@dataclass(slots=True)
class Seen:
    """All that arrived."""

    limit: int | None = None
    writes: Rate = field(default_factory=Rate)
    sends: Rate = field(default_factory=Rate)
    refused: int = 0
    last_write: dict[str, float] = field(default_factory=dict)
    #: The shortest time between two writes to one user, in seconds.
    closest: float = float("inf")
    tags: dict[str, dict[str, str]] = field(default_factory=dict)
    recipients: int = 0
    keys: set[str] = field(default_factory=set)
    pushed: dict[str, float] = field(default_factory=dict)
    repeated: int = 0
    #: From a person's last write to their push, in seconds.
    lags: list[float] = field(default_factory=list)

    def write(self, user: str, body: Any, now: float) -> tuple[int, bytes]:
        if self.limit is not None and self.writes.within(now) >= self.limit:
            self.refused += 1
            return 429, _LIMITED
        self.writes.add(now)
        before = self.last_write.get(user)
        if before is not None:
            self.closest = min(self.closest, now - before)
        self.last_write[user] = now
        kept = self.tags.setdefault(user, {})
        for name, text in body.get("properties", {}).get("tags", {}).items():
            if text == "":
                kept.pop(name, None)
            else:
                kept[name] = text
        return 202, b'{"properties":{}}'

    def send(self, body: Any, now: float) -> tuple[int, bytes]:
        key = body["idempotency_key"]
        answer = b'{"id":"%b"}' % str(uuid.uuid5(uuid.NAMESPACE_OID, key)).encode()
        self.sends.add(now)
        if key in self.keys:
            return 200, answer
        self.keys.add(key)
        for ids in body["include_aliases"].values():
            for person in ids:
                self.recipients += 1
                self.repeated += person in self.pushed
                self.pushed[person] = now
                if person in self.last_write:
                    self.lags.append(now - self.last_write[person])
        return 200, answer

    def figures(self) -> dict[str, Any]:
        lags = sorted(self.lags)
        return {
            "writes": len(self.writes.times),
            "writes_peak_1s": self.writes.peak,
            "writes_per_second_over_a_minute": round(self.writes.steady(5.0, 60.0), 1),
            "closest_writes_to_one_user_s": None if self.closest == float("inf") else self.closest,
            "refused_429": self.refused,
            "sends": len(self.sends.times),
            "sends_peak_1s": self.sends.peak,
            "recipients": self.recipients,
            "pushed_again": self.repeated,
            "push_after_tag_s": {
                "p50": lags[len(lags) // 2],
                "p99": lags[len(lags) * 99 // 100],
                "slowest": lags[-1],
            }
            if lags
            else None,
        }


class Connection(asyncio.Protocol):
    def __init__(self, seen: Seen) -> None:
        self._seen = seen
        self._data = b""
        self._transport: asyncio.WriteTransport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.WriteTransport", transport)

    def data_received(self, data: bytes) -> None:
        self._data += data
        while (request := self._next()) is not None:
            status, body = self._answer(*request)
            head = f"HTTP/1.1 {status} OK\r\ncontent-type: application/json\r\ncontent-length: "
            more = "\r\nretry-after: 1" if status == 429 else ""
            self._transport.write(f"{head}{len(body)}{more}\r\n\r\n".encode() + body)

    def _next(self) -> tuple[str, str, bytes] | None:
        head = self._data.find(b"\r\n\r\n")
        if head < 0:
            return None
        lines = self._data[:head].split(b"\r\n")
        length = 0
        for line in lines[1:]:
            if line[:15].lower() == b"content-length:":
                length = int(line[15:])
        end = head + 4 + length
        if len(self._data) < end:
            return None
        method, path, _ = lines[0].decode().split(" ")
        body, self._data = self._data[head + 4 : end], self._data[end:]
        return method, path, body

    def _answer(self, method: str, path: str, body: bytes) -> tuple[int, bytes]:
        seen = self._seen
        if method == "GET":
            shown: dict[str, Any] = {
                "/figures": seen.figures(),
                "/tags": seen.tags,
                "/pushes": seen.pushed,
            }
            return 200, orjson.dumps(shown.get(path))
        content = orjson.loads(body)
        if path.startswith("/notifications"):
            return seen.send(content, time.time())  # noqa: TID251 — what arrives is compared with another process's clock
        if method == "PATCH":
            user = unquote(path.rpartition("/")[2])
        else:
            user = content["identity"]["external_id"]
        return seen.write(user, content, time.time())  # noqa: TID251 — as above


async def _serve(limit: int | None) -> None:
    loop = asyncio.get_running_loop()
    seen = Seen(limit=limit)
    server = await loop.create_server(lambda: Connection(seen), "127.0.0.1", 0)
    host, port = server.sockets[0].getsockname()[:2]
    sys.stdout.write(f"listening on {host}:{port}\n")
    sys.stdout.flush()
    await server.serve_forever()


def main() -> None:
    """Serve until terminated; the argument is the limit of writes a second, 0 for none."""
    gc.disable()
    limit = int(sys.argv[1]) if len(sys.argv) > 1 else 0
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve(limit or None))


if __name__ == "__main__":
    main()
