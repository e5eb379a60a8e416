"""Asking an application in this process, with nothing in between that takes time or threads."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any, NamedTuple

from starlette.types import ASGIApp

Headers = Iterable[tuple[bytes, bytes]]


class Answered(NamedTuple):
    status: int
    headers: list[tuple[bytes, bytes]]
    body: bytes


async def ask(app: ASGIApp, method: str, path: str, headers: Headers, body: bytes) -> Answered:
    """What it answers; what it raises is the caller's."""
    over = asyncio.Event()
    messages = [{"type": "http.request", "body": body, "more_body": False}]
    status, answered, parts = 0, list[tuple[bytes, bytes]](), list[bytes]()

    async def receive() -> Any:
        if messages:
            return messages.pop()
        await over.wait()
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        nonlocal status, answered
        if message["type"] == "http.response.start":
            status, answered = message["status"], list(message.get("headers", []))
        else:
            parts.append(message.get("body", b""))
            if not message.get("more_body", False):
                over.set()

    named, _, query = path.partition("?")
    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": named,
        "raw_path": named.encode(),
        "query_string": query.encode(),
        "root_path": "",
        "headers": list(headers),
        "server": ("here", 80),
        "client": ("127.0.0.1", 1),
    }
    await app(scope, receive, send)
    return Answered(status, answered, b"".join(parts))
