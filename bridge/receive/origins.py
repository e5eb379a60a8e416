"""Which pages of a browser may use the device registry, and what the browser is told. Pure.

A page that is not listed could post a form with its visitor's cookies and make its own device the
visitor's; so whatever a request shows, one that comes from another page is refused. Apps and servers
send no `Origin`.
"""

from __future__ import annotations

from collections.abc import Collection

from bridge.receive.body import Headers, Rejected, header

NOT_ALLOWED = Rejected(
    status=403,
    code="origin-not-allowed",
    message="Pages of this origin may not use the device registry: BRIDGE_DEVICES_ORIGINS lists those that may.",
)
METHODS = "POST, DELETE"
_PREFLIGHT_SECONDS = 600


def check_origin(headers: Headers, origins: Collection[str]) -> Rejected | None:
    """Why a request is refused for where it comes from."""
    origin = headers.get(b"origin")
    if origin is not None:
        return None if origin.decode("latin-1") in origins else NOT_ALLOWED
    # Browsers that say nothing of the origin still say that it is another.
    site = header(headers, b"sec-fetch-site")
    return NOT_ALLOWED if site.lower() in {"cross-site", "same-site"} else None


def shared_with(headers: Headers) -> list[tuple[bytes, bytes]]:
    """What lets the page read the answer, its visitor's cookies included; for origins that may."""
    origin = headers.get(b"origin")
    if origin is None:
        return []
    return [
        (b"access-control-allow-origin", origin),
        (b"access-control-allow-credentials", b"true"),
    ]


def preflight(headers: Headers) -> list[tuple[bytes, bytes]]:
    """The answer to a browser that asks before it asks."""
    return [
        *shared_with(headers),
        (b"access-control-allow-methods", METHODS.encode()),
        (b"access-control-allow-headers", b"content-type, authorization"),
        (b"access-control-max-age", str(_PREFLIGHT_SECONDS).encode()),
    ]
