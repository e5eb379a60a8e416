"""A request's body, bounded before it is held: by its length, as it comes, and as it unpacks."""

from __future__ import annotations

import asyncio
import zlib
from dataclasses import dataclass

from starlette.types import Message, Receive

from bridge.clock import Clock

_GZIP_OR_ZLIB = 32 + zlib.MAX_WBITS
_STEP = 1 << 20
_PIECE = 1 << 16
BODY_SECONDS = 30.0
"""For a body that comes in parts; Segment itself gives up after 5 to 10 seconds."""


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
        self.left = limit


class Share:
    """What one request holds of the budget: what has come of it, not what it announces.

    Who announces much and sends nothing takes nothing from anybody.
    """

    __slots__ = ("_budget", "_held")

    def __init__(self, budget: Budget) -> None:
        self._budget = budget
        self._held = 0

    def hold(self, size: int) -> bool:
        """Hold so many bytes in all, instead of what was held; False when there is no room."""
        more = size - self._held
        if more > self._budget.left:
            return False
        self._budget.left -= more
        self._held = size
        return True


Headers = dict[bytes, bytes]
"""A request's headers; names arrive in lower case, and of two the last counts."""


def header(headers: Headers, name: bytes) -> str:
    """A header's value; "" when it is absent."""
    value = headers.get(name)
    return "" if value is None else value.decode("latin-1")


def declared_length(headers: Headers) -> int | None:
    """What `Content-Length` says; None when it is absent or no number."""
    text = header(headers, b"content-length")
    return int(text) if text.isascii() and text.isdigit() and len(text) < 16 else None


async def read(receive: Receive, share: Share, *, limit: int, clock: Clock) -> bytes | Rejected:
    """The body as sent, in `limit` bytes and in `BODY_SECONDS` from its first part on.

    Raises:
        Disconnected: the sender left before the end.
    """
    message = await receive()
    if message["type"] == "http.request" and not message.get("more_body"):
        body: bytes = message.get("body", b"")
        return _refusal(len(body), share, limit) or body
    reading = asyncio.ensure_future(_read_parts(message, receive, share, limit))
    timer = asyncio.ensure_future(clock.sleep(BODY_SECONDS))
    try:
        await asyncio.wait((reading, timer), return_when=asyncio.FIRST_COMPLETED)
        return reading.result() if reading.done() else TOO_SLOW
    finally:
        timer.cancel()
        reading.cancel()


async def _read_parts(
    message: Message, receive: Receive, share: Share, limit: int
) -> bytes | Rejected:
    # One array, because a list of many small parts weighs far more than its bytes.
    body = bytearray()
    while message["type"] == "http.request":
        body += message.get("body", b"")
        if refused := _refusal(len(body), share, limit):
            return refused
        if not message.get("more_body"):
            return bytes(body)
        message = await receive()
    raise Disconnected


def _refusal(size: int, share: Share, limit: int) -> Rejected | None:
    if size > limit:
        return too_large(limit)
    return None if share.hold(size) else TOO_MUCH


def unpack(body: bytes, encoding: str, *, limit: int) -> bytes | Rejected:
    """The body with its `Content-Encoding` undone, never holding more than `limit`."""
    if not encoding:
        return body
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
    parts: list[bytes] = []
    size = read = 0
    try:
        # A piece at a time: what is left of one is copied for each step.
        while read < len(body) and not machine.eof:
            piece = body[read : read + _PIECE]
            read += len(piece)
            while piece and not machine.eof:
                part = machine.decompress(piece, _STEP)
                size += len(part)
                if size > limit:
                    return too_large(limit)
                parts.append(part)
                piece = machine.unconsumed_tail
    except zlib.error:
        return _NOT_PACKED
    # What follows the end is no part of what was unpacked: to take the one is to lose the other.
    whole = machine.eof and not (machine.unused_data + body[read:]).strip(b"\0")
    return b"".join(parts) if whole else _NOT_PACKED


_NOT_PACKED = Rejected(
    status=400, code="not-gzip", message="Content-Encoding says gzip, and the body is not."
)


TOO_MUCH = Rejected(
    status=503,
    code="too-much-at-once",
    message="Nothing was kept; send it again: too much is arriving at once.",
    retry_after=10,
)
TOO_SLOW = Rejected(
    status=503,
    code="body-too-slow",
    message=f"Nothing was kept; send it again: the body did not come within {BODY_SECONDS:.0f} seconds.",
    retry_after=10,
)


def too_large(limit: int) -> Rejected:
    return Rejected(
        status=413,
        code="body-too-large",
        message=f"The body is over {limit} bytes unpacked (BRIDGE_MAX_BODY).",
    )
