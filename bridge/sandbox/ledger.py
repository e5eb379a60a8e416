"""What the sandbox remembers of the conversation, for tests and for people who look.

Lists are bounded (the oldest entries go first), counters are not: a long run still adds up.
"""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass, field
from typing import Any, Final

from bridge.sandbox.platforms import Platform
from bridge.sandbox.wire import EndpointClass, Request

KEEP_CALLS: Final = 100_000
KEEP_PUSHES: Final = 1_000_000
KEEP_EVENTS: Final = 100_000
KEEP_COMPLAINTS: Final = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One request and how it ended.

    `at_ms` is the time of arrival; `status` is 0 when the client got no answer; `user` is the id
    that the request names (an external id, mostly), None when it names none or several; `fault`
    says what a scripted fault did to it; `applied` is false when the request changed nothing
    because a fault, a limit or the key check came first; `is_legacy` that it came by `/api/v1`.
    """

    at_ms: int
    method: str
    path: str
    status: int
    body: Any
    idempotency_key: str | None
    user: str | None
    app_id: str
    endpoint_class: EndpointClass
    fault: str | None = None
    applied: bool = True
    is_legacy: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Push:
    """One notification shown by one device."""

    at_ms: int
    app_id: str
    notification_id: str
    subscription_id: str
    external_id: str | None
    platform: Platform
    title: str | None
    text: str
    #: Where a tap leads on this device, and the picture that it shows.
    url: str | None
    image: str | None
    data: Any
    idempotency_key: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class CustomEvent:
    """One custom event that was accepted; `payload` is its `properties` or `payload`."""

    at_ms: int
    app_id: str
    name: str
    onesignal_id: str
    external_id: str | None
    timestamp: str | None
    payload: Any
    idempotency_key: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Complaint:
    """Something the client should not do although OneSignal would swallow it."""

    at_ms: int
    code: str
    text: str
    method: str
    path: str


@dataclass(slots=True, kw_only=True)
class Ledger:
    calls: deque[Call] = field(default_factory=lambda: deque(maxlen=KEEP_CALLS))
    pushes: deque[Push] = field(default_factory=lambda: deque(maxlen=KEEP_PUSHES))
    events: deque[CustomEvent] = field(default_factory=lambda: deque(maxlen=KEEP_EVENTS))
    complaints: deque[Complaint] = field(default_factory=lambda: deque(maxlen=KEEP_COMPLAINTS))
    #: Requests per class and second of arrival (seconds since 1970), all apps together.
    per_second: dict[EndpointClass, Counter[int]] = field(
        default_factory=lambda: {each: Counter() for each in EndpointClass}
    )
    #: Requests per class and status (0: no answer).
    statuses: Counter[tuple[EndpointClass, int]] = field(default_factory=Counter)
    #: Complaints per code.
    complained: Counter[str] = field(default_factory=Counter)
    #: Pushes per subscription.
    pushed_to: Counter[str] = field(default_factory=Counter)

    @property
    def pushed(self) -> int:
        return self.pushed_to.total()

    def record(self, call: Call) -> None:
        self.calls.append(call)
        self.per_second[call.endpoint_class][call.at_ms // 1000] += 1
        self.statuses[call.endpoint_class, call.status] += 1

    def delivered(self, push: Push) -> None:
        self.pushes.append(push)
        self.pushed_to[push.subscription_id] += 1

    def complain(self, request: Request, code: str, text: str) -> None:
        self.complained[code] += 1
        self.complaints.append(
            Complaint(
                at_ms=request.at_ms, code=code, text=text, method=request.method, path=request.path
            )
        )

    def peak(self, endpoint_class: EndpointClass) -> int:
        """The most requests of a class that arrived within one second of the clock."""
        return max(self.per_second[endpoint_class].values(), default=0)
