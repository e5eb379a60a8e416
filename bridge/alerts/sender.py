"""Posts messages to a chat: the one module beside OneSignal's client that opens connections.

The address is a secret, because whoever knows it can write there; it is never logged.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
from pydantic import SecretStr

from bridge.telemetry import log

TIMEOUT_SECONDS = 10.0


class Sender:
    def __init__(self, url: SecretStr, http: httpx.AsyncClient) -> None:
        self._url = url
        self._http = http

    def __repr__(self) -> str:
        return "<Sender>"

    async def post(self, text: str) -> bool:
        """Say it; whether it was taken. One attempt: who asks comes again."""
        try:
            answer = await self._http.post(self._url.get_secret_value(), json={"text": text})
        except httpx.HTTPError as error:
            log().warning("alert.not_sent", error=type(error).__name__)
            return False
        if not answer.is_success:
            log().warning("alert.not_sent", status=answer.status_code)
        return answer.is_success


@asynccontextmanager
async def sending(
    url: SecretStr, transport: httpx.AsyncBaseTransport | None = None
) -> AsyncIterator[Sender]:
    """A sender, with a connection of its own."""
    async with httpx.AsyncClient(timeout=TIMEOUT_SECONDS, transport=transport) as http:
        yield Sender(url, http)
