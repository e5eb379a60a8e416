"""The only module that talks to OneSignal.

It sends bytes and returns what came back; what that means is `verdict`'s to say. httpx is the API,
aiohttp the pool below it (httpx's own reaches 600 requests a second here, aiohttp's 4,000).
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from types import TracebackType
from typing import Self

import aiohttp
import httpx
from httpx_aiohttp import AiohttpTransport

from bridge.onesignal.legacy import PREFIX
from bridge.onesignal.verdict import Answer, NoAnswer

DEADLINE_SECONDS = 100.0
"""OneSignal answers within this, or not at all (reference/rate-limits, "Timeouts")."""
CONNECT_SECONDS = 10.0
ANSWER_LIMIT = 1_000_000
"""Bytes of an answer that are read; the rest is dropped and the answer is not JSON."""
CONNECTIONS = 256
"""More than all gates together let out at once: a call never waits for a connection."""

_HEADERS = {
    "content-type": "application/json; charset=utf-8",
    "accept": "application/json",
    "accept-encoding": "identity",
    "user-agent": "segment-onesignal-bridge",
}
ONESIGNAL = "https://api.onesignal.com"
_OF_LEGACY_API = "https://onesignal.com"
"""Where OneSignal itself answers `/api/v1/…`; whoever stands in for it has one address for all."""


def authorization(api_key: str) -> str:
    """The header's value: `Key` for today's keys, which begin `os_v2_`, `Basic` for older ones."""
    return f"{'Key' if api_key.startswith('os_v2_') else 'Basic'} {api_key}"


def address(url: str, path: str) -> str:
    """Where a path is asked for."""
    is_legacy = url == ONESIGNAL and path.startswith(f"{PREFIX}/")
    return (_OF_LEGACY_API if is_legacy else url) + path


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
        self._deadline = deadline
        self._url = url.rstrip("/")
        self._transport = transport or _fast_transport()
        self._options = {"timeout": httpx.Timeout(deadline, connect=connect).as_dict()}
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
        await self._transport.aclose()

    async def perform(
        self, method: str, path: str, body: bytes, *, key: int = 0
    ) -> Answer | NoAnswer:
        """Send one request with the key of that number; every way to fail is a value."""
        try:
            # Who counted the keys before they were changed may name one too many.
            headers = self._headers[key % len(self._headers)]
            request = httpx.Request(
                method,
                address(self._url, path),
                headers=headers,
                content=body,
                extensions=self._options,
            )
            async with asyncio.timeout(self._deadline):
                return await self._exchange(request)
        except TimeoutError:
            return NoAnswer(reason="timeout")
        except httpx.TransportError as error:
            return NoAnswer(reason=_reason(error), sent=not _never_connected(error))
        except aiohttp.ClientError:
            # The transport below passes on what httpx has no word for: an answer that is not HTTP.
            return NoAnswer(reason="bad_answer")
        except OSError:
            return NoAnswer(reason="connection_lost")
        except httpx.InvalidURL:
            return NoAnswer(reason="address_invalid", sent=False)

    async def _exchange(self, request: httpx.Request) -> Answer:
        # The transport itself: a client around it would look for redirects, cookies and ways to log in,
        # at a quarter of the cost of a call.
        response = await self._transport.handle_async_request(request)
        response.request = request
        try:
            body = await _read(response)
        finally:
            await response.aclose()
        return Answer(status=response.status_code, headers=response.headers, body=body)


def _fast_transport() -> httpx.AsyncBaseTransport:
    limits = httpx.Limits(max_connections=CONNECTIONS, keepalive_expiry=60)
    return AiohttpTransport(limits=limits)


async def _read(response: httpx.Response) -> bytes:
    body = bytearray()
    # As it came: we ask for no compression, and a small answer could unpack to gigabytes.
    async for chunk in response.aiter_raw():
        body += chunk
        if len(body) > ANSWER_LIMIT:
            break
    return bytes(body)


def _never_connected(error: httpx.TransportError) -> bool:
    # The transport below reports a server that hung up as a connect timeout; its cause tells which.
    cause = error.__cause__
    if isinstance(cause, aiohttp.ClientError):
        return isinstance(cause, aiohttp.ClientConnectorError | aiohttp.ConnectionTimeoutError)
    return isinstance(error, httpx.ConnectError)


def _reason(error: httpx.TransportError) -> str:
    if _never_connected(error):
        return "connect_failed"
    if isinstance(error, httpx.TimeoutException) and not isinstance(
        error.__cause__, aiohttp.ServerDisconnectedError | aiohttp.ClientOSError
    ):
        return "timeout"
    return "connection_lost"
