"""What crosses the wire: a request as the handlers see it, an answer, and OneSignal's error shapes.

OneSignal words its errors in several ways (reference/rate-limits and the error pages of its API);
a client has to understand all of them, so each endpoint here uses the one that it really uses::

    {"errors": ["text"]}                              notifications, apps
    {"errors": [{"code": …, "title": …, "meta": …}]}  users, identity, subscriptions
    {}                                                custom events
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final
from uuid import UUID

import orjson

#: Bodies are read with plain dict checks: a model per request would cost more than the rest.
JsonObject = dict[str, Any]


class EndpointClass(StrEnum):
    """OneSignal's limits are per app and class of endpoint."""

    SEND = "send"
    WRITE = "write"
    VIEW = "view"
    EVENT = "event"
    UNKNOWN = "unknown"


@dataclass(slots=True, kw_only=True)
class Request:
    """One request, decoded: `params` are the path's ids without their URL encoding.

    `path` is as it was sent, without query and without the `/api/v1` prefix, which `is_legacy` tells.
    `at_ms` is the time of arrival, milliseconds since 1970.
    """

    method: str
    path: str
    at_ms: int
    body: Any = None
    raw_body: bytes = b""
    query: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    params: Mapping[str, str] = field(default_factory=dict)
    endpoint_class: EndpointClass = EndpointClass.UNKNOWN
    is_legacy: bool = False

    @property
    def app_id(self) -> str:
        """Whose app: named by the path, the body or the query, in this order; "" when by none."""
        named: Any = self.params.get("app_id")
        if named is None and isinstance(self.body, dict):
            named = self.body.get("app_id")
        if named is None:
            named = self.query.get("app_id", "")
        return named if isinstance(named, str) else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What OneSignal answers: a JSON body, or text when `body` is a str, or nothing for None."""

    status: int
    body: Any = None
    headers: Mapping[str, str] = field(default_factory=dict)

    def encoded(self) -> tuple[bytes, str]:
        """The body's bytes and their content type."""
        if self.body is None:
            return b"", "text/plain; charset=utf-8"
        if isinstance(self.body, str):
            return self.body.encode(), "text/plain; charset=utf-8"
        return orjson.dumps(self.body), "application/json; charset=utf-8"


RATE_LIMITED: Final = "API rate limit exceeded"


def refused(text: str, *, status: int = 400) -> Answer:
    """The error shape of notifications and apps."""
    return Answer(status=status, body={"errors": [text]})


def coded(status: int, code: str, title: str, meta: JsonObject | None = None) -> Answer:
    """The error shape of users, identity and subscriptions."""
    error: JsonObject = {"code": code, "title": title}
    if meta:
        error["meta"] = meta
    return Answer(status=status, body={"errors": [error]})


def is_uuid(text: Any) -> bool:
    """Whether a value is a UUID in its usual spelling (RFC 9562)."""
    try:
        return isinstance(text, str) and str(UUID(text)) == text.lower()
    except ValueError:
        return False
