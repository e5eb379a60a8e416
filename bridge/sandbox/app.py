"""The sandbox on the wire: an ASGI application that carries out what `simulator` decides.

OneSignal's paths do not go through Starlette's router, which would decode `%2F` before it matches;
`/sandbox` and below do.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from typing import TYPE_CHECKING, Any, Final

from starlette.applications import Starlette
from starlette.types import Receive, Scope, Send

from bridge.sandbox.inspection import ROUTES
from bridge.sandbox.limits import Limits
from bridge.sandbox.simulator import Outcome, Sandbox
from bridge.sandbox.wire import Answer

if TYPE_CHECKING:
    from bridge.clock import Clock

_DEFAULT_LIMITS: Final = Limits()


def create_sandbox(
    *,
    clock: Clock,
    api_keys: Collection[str] | None = None,
    limits: Limits = _DEFAULT_LIMITS,
) -> Starlette:
    """An application that answers as OneSignal does; its `state.sandbox` is the `Sandbox`.

    Args:
        clock: measures limits, delays and ages.
        api_keys: the keys that are right; None accepts every key, as long as there is one.
        limits: requests per second, per app.
    """
    sandbox = Sandbox(clock=clock, api_keys=api_keys, limits=limits)
    app = Starlette(routes=ROUTES)
    app.state.sandbox = sandbox
    app.router.default = _Wire(sandbox)
    return app


class _Wire:
    def __init__(self, sandbox: Sandbox) -> None:
        self._sandbox = sandbox

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        body = await _read(receive)
        if body is None:
            return
        outcome = self._sandbox.handle(
            method=scope["method"],
            raw_path=(scope.get("raw_path") or scope["path"].encode()).decode("latin-1"),
            query=scope["query_string"].decode("latin-1"),
            headers={
                name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]
            },
            body=body,
        )
        await self._carry_out(outcome, receive, send)

    async def _carry_out(self, outcome: Outcome, receive: Receive, send: Send) -> None:
        if outcome.delay:
            await _until_gone(receive, self._sandbox.clock, outcome.delay)
        if outcome.answer is None:
            await _hang_up(receive)
        else:
            await _send(outcome.answer, send)


async def _read(receive: Receive) -> bytes | None:
    """The whole body; None when the client left in the middle of it."""
    chunks: list[bytes] = []
    while True:
        message = await receive()
        if message["type"] != "http.request":
            return None
        chunks.append(message.get("body", b""))
        if not message.get("more_body", False):
            return b"".join(chunks)


async def _send(answer: Answer, send: Send) -> None:
    body, content_type = answer.encoded()
    headers = {"content-type": content_type, "content-length": str(len(body))}
    headers |= {name.lower(): value for name, value in answer.headers.items()}
    raw = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": answer.status, "headers": raw})
    await send({"type": "http.response.body", "body": body})


async def _until_gone(receive: Receive, clock: Clock, seconds: float) -> None:
    """Wait, but not for a client that has given up: a server must be able to stop."""
    waits = {asyncio.ensure_future(clock.sleep(seconds)), asyncio.ensure_future(receive())}
    try:
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for wait in waits:
            wait.cancel()


async def _hang_up(receive: Receive) -> None:
    """Close the connection without an answer.

    ASGI has no word for that. uvicorn's `receive` is a method of an object that holds the
    transport: aborting it, and waiting until uvicorn has noticed, leaves no trace in its log.
    Elsewhere (a client in this very process) an exception is the nearest thing.
    """
    transport: Any = getattr(getattr(receive, "__self__", None), "transport", None)
    if not hasattr(transport, "abort"):
        raise ConnectionResetError("The sandbox closed the connection, as a fault script asked")
    transport.abort()
    await receive()
