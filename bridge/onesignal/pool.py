"""The way to OneSignal over the network: aiohttp's pool of connections, asked for nothing but bytes.

What a client does around a call costs more than the call: addresses taken apart and put together,
cookies, redirects. Nothing of that is ours, so a call here costs a third of one through httpx's API
over the same pool, and a tenth of one over httpx's own.
"""

from __future__ import annotations

from collections.abc import Mapping

import aiohttp
import httpx
import yarl

from bridge.onesignal.verdict import Answer, NoAnswer

CONNECTIONS = 256
"""More than all gates together let out at once: a call never waits for a connection."""
KEPT_SECONDS = 60
ANSWER_LIMIT = 1_000_000
"""Bytes of an answer that are read; the rest is dropped and the answer is not JSON."""


class Pool:
    """Connections, kept for the calls that follow."""

    def __init__(self, *, deadline: float, connect: float) -> None:
        """`deadline` and `connect` are seconds: for the whole answer, and for a connection."""
        self._timeout = aiohttp.ClientTimeout(total=deadline, sock_connect=connect)
        self._session: aiohttp.ClientSession | None = None

    def _open(self) -> aiohttp.ClientSession:
        connector = aiohttp.TCPConnector(
            limit=CONNECTIONS, keepalive_timeout=KEPT_SECONDS, ssl=httpx.create_ssl_context()
        )
        return aiohttp.ClientSession(
            connector=connector,
            timeout=self._timeout,
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
        )

    async def exchange(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes
    ) -> Answer | NoAnswer:
        """Send one request, once; every way to fail is a value."""
        if self._session is None:
            self._session = self._open()
        try:
            response = await self._session.request(
                method,
                # `encoded`: as it is, because what is quoted in it was quoted by us.
                yarl.URL(url, encoded=True),
                headers=headers,
                data=body or None,
                allow_redirects=False,
            )
            content = await _read(response)
        except (aiohttp.ClientError, OSError) as error:
            return _no_answer(error)
        return Answer(status=response.status, headers=response.headers, body=content)

    async def aclose(self) -> None:
        if self._session is not None:
            await self._session.close()


async def _read(response: aiohttp.ClientResponse) -> bytes:
    """As it came: we ask for no compression, and a small answer could unpack to gigabytes."""
    try:
        body = bytearray()
        while len(body) <= ANSWER_LIMIT and (chunk := await response.content.readany()):
            body += chunk
        return bytes(body)
    finally:
        # A connection with something left to read on it is closed, and any other kept.
        response.release()


def _no_answer(error: aiohttp.ClientError | OSError) -> NoAnswer:
    match error:
        case aiohttp.ClientConnectorError() | aiohttp.ConnectionTimeoutError():
            return NoAnswer(reason="connect_failed", sent=False)
        case aiohttp.InvalidURL():
            return NoAnswer(reason="address_invalid", sent=False)
        case TimeoutError():
            return NoAnswer(reason="timeout")
        case aiohttp.ClientConnectionError() | aiohttp.ClientPayloadError() | OSError():
            return NoAnswer(reason="connection_lost")
        case _:
            return NoAnswer(reason="bad_answer")
