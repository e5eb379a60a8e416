"""A request's body, bounded before it is held: by its length, as it comes, and as it unpacks."""

from __future__ import annotations

import zlib
from dataclasses import dataclass

from starlette.types import Receive, Scope

_GZIP_OR_ZLIB = 32 + zlib.MAX_WBITS
_STEP = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Rejected:
    """Why a request is not taken: the HTTP status, and what the answer says."""

    status: int
    code: str
    message: str
    retry_after: int | None = None


class Disconnected(Exception):  # noqa: N818 — nobody is left to answer; not an error of anyone's
    """The sender hung up."""


class Budget:
    """Bytes of bodies in memory, over all requests; what is above it is asked to come again."""

    def __init__(self, limit: int) -> None:
        self._left = limit

    def take(self, size: int) -> bool:
        if size > self._left:
            return False
        self._left -= size
        return True

    def give_back(self, size: int) -> None:
        self._left += size


def header(scope: Scope, name: bytes) -> str:
    """A header's value; "" when it is absent. Header names arrive in lower case."""
    for key, value in scope["headers"]:
        if key == name:
            text: str = value.decode("latin-1")
            return text
    return ""


def declared_length(scope: Scope) -> int | None:
    """What `Content-Length` says; None when it is absent or no number."""
    text = header(scope, b"content-length")
    return int(text) if text.isascii() and text.isdigit() and len(text) < 16 else None


async def read(receive: Receive, *, limit: int) -> bytes | Rejected:
    """The body as sent.

    Raises:
        Disconnected: the sender left before the end.
    """
    message = await receive()
    if message["type"] == "http.request" and not message.get("more_body"):
        body: bytes = message.get("body", b"")
        return body if len(body) <= limit else too_large(limit)
    parts, size = [], 0
    while True:
        if message["type"] != "http.request":
            raise Disconnected
        part = message.get("body", b"")
        size += len(part)
        if size > limit:
            return too_large(limit)
        parts.append(part)
        if not message.get("more_body"):
            return b"".join(parts)
        message = await receive()


def unpack(body: bytes, encoding: str, *, limit: int) -> bytes | Rejected:
    """The body with its `Content-Encoding` undone, never holding more than `limit`."""
    encodings = [name.strip().lower() for name in encoding.split(",") if name.strip()]
    if not encodings or encodings == ["identity"]:
        return body
    if encodings not in (["gzip"], ["x-gzip"], ["deflate"]):
        return Rejected(
            status=415,
            code="encoding-unsupported",
            message="Send the body as it is, or with Content-Encoding: gzip.",
        )
    return _inflate(body, limit=limit)


def _inflate(body: bytes, *, limit: int) -> bytes | Rejected:
    machine = zlib.decompressobj(_GZIP_OR_ZLIB)
    parts, size = [], 0
    try:
        while body and not machine.eof:
            part = machine.decompress(body, _STEP)
            size += len(part)
            if size > limit:
                return too_large(limit)
            parts.append(part)
            body = machine.unconsumed_tail
    except zlib.error:
        return _NOT_PACKED
    return b"".join(parts) if machine.eof else _NOT_PACKED


_NOT_PACKED = Rejected(
    status=400, code="not-gzip", message="Content-Encoding says gzip, and the body is not."
)


def too_large(limit: int) -> Rejected:
    return Rejected(
        status=413,
        code="body-too-large",
        message=f"The body is over {limit} bytes unpacked (BRIDGE_MAX_BODY).",
    )
