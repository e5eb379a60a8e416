"""The only module that talks to OneSignal.

It sends bytes and returns what came back; what that means is `verdict`'s to say. The way there is
`pool`'s connections, or any transport of httpx's: then nothing need be on a network.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Protocol, Self

import httpx

from bridge.onesignal.legacy import PREFIX
from bridge.onesignal.pool import ANSWER_LIMIT, Pool
from bridge.onesignal.verdict import Answer, NoAnswer

DEADLINE_SECONDS = 100.0
"""OneSignal answers within this, or not at all (reference/rate-limits, "Timeouts")."""
CONNECT_SECONDS = 10.0

_HEADERS = {
    "content-type": "application/json; charset=utf-8",
    "accept": "application/json",
    "accept-encoding": "identity",
    "user-agent": "segment-onesignal-bridge",
}
_PATH = re.compile(r"/[!-~]*")
ONESIGNAL = "https://api.onesignal.com"
_OF_LEGACY_API = "https://onesignal.com"
"""Where OneSignal itself answers `/api/v1/…`, and nothing else of ours; whoever stands in for it has one
address for all."""


def authorization(api_key: str) -> str:
    """The header's value: `Key` for today's keys, which begin `os_v2_`, `Basic` for older ones."""
    return f"{'Key' if api_key.startswith('os_v2_') else 'Basic'} {api_key}"


def address(url: str, path: str) -> str:
    """Where a path is asked for."""
    url = url.rstrip("/")
    if url in {ONESIGNAL, _OF_LEGACY_API}:
        url = _OF_LEGACY_API if path.startswith(f"{PREFIX}/") else ONESIGNAL
    return url + path


class Way(Protocol):
    """How requests reach OneSignal, and answers us."""

    async def exchange(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes
    ) -> Answer | NoAnswer:
        """Send one request, once; every way to fail is a value."""

    async def aclose(self) -> None: ...


class OneSignal:
    """One app at OneSignal, ready to be asked."""

    def __init__(
        self,
        *,
        url: str,
        api_keys: Sequence[str],
        transport: httpx.AsyncBaseTransport | None = None,
        deadline: float = DEADLINE_SECONDS,
        connect: float = CONNECT_SECONDS,
    ) -> None:
        """`deadline` and `connect` are seconds: for the whole answer, and for a connection.

        Of several `api_keys`, as they are during a rotation, each call says which one it shows.
        """
        self._url = url
        self._way: Way = (
            Pool(deadline=deadline, connect=connect)
            if transport is None
            else Through(transport, deadline=deadline)
        )
        self.show(api_keys)

    def show(self, api_keys: Sequence[str]) -> None:
        """From the next call on, these keys instead of those before."""
        self._headers = [_HEADERS | {"authorization": authorization(key)} for key in api_keys]

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._way.aclose()

    async def perform(
        self, method: str, path: str, body: bytes, *, key: int = 0
    ) -> Answer | NoAnswer:
        """Send one request with the key of that number; every way to fail is a value."""
        if _PATH.fullmatch(path) is None:
            return NoAnswer(reason="address_invalid", sent=False)
        # Who counted the keys before they were changed may name one too many.
        headers = self._headers[key % len(self._headers)]
        return await self._way.exchange(method, address(self._url, path), headers, body)


class Through:
    """Through a transport of httpx's, which may lead to an application in this very process."""

    def __init__(self, transport: httpx.AsyncBaseTransport, *, deadline: float) -> None:
        self._transport = transport
        self._deadline = deadline

    async def exchange(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes
    ) -> Answer | NoAnswer:
        """See `Way`."""
        try:
            request = httpx.Request(method, url, headers=headers, content=body)
            async with asyncio.timeout(self._deadline):
                response = await self._transport.handle_async_request(request)
                content = await _read(response)
        except httpx.InvalidURL:
            return NoAnswer(reason="address_invalid", sent=False)
        except httpx.ConnectError:
            return NoAnswer(reason="connect_failed", sent=False)
        except (TimeoutError, httpx.TimeoutException):
            return NoAnswer(reason="timeout")
        except (httpx.TransportError, OSError):
            return NoAnswer(reason="connection_lost")
        return Answer(status=response.status_code, headers=response.headers, body=content)

    async def aclose(self) -> None:
        await self._transport.aclose()


async def _read(response: httpx.Response) -> bytes:
    body = bytearray()
    try:
        async for chunk in response.aiter_raw():
            body += chunk
            if len(body) > ANSWER_LIMIT:
                break
    finally:
        await response.aclose()
    return bytes(body)
