"""What the bridge tells the outside: logs and metrics, in the same words.

A log line is an event in the past tense with fields (`call.failed`, `reason=http_500`), and a
quiet minute has none. No secret, user id or trait value is ever a field or a label: people are
named by the hash of their id, requests by their messageId and rule.
"""

from __future__ import annotations

import logging
import sys
from bisect import bisect_left
from collections.abc import Callable
from functools import cache
from typing import Any, Literal, TextIO

import structlog
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics

disable_created_metrics()  # type: ignore[no-untyped-call]  # a time for every series that nobody reads

_FAST = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5)
_MANY = (1, 2, 5, 10, 25, 50, 100, 250, 500, 1000, 2000)
_SLOW = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 15, 60, 300, 1800, 7200, 14400)


def log(name: str = "bridge") -> structlog.typing.FilteringBoundLogger:
    """Where to say that something happened."""
    logger: structlog.typing.FilteringBoundLogger = structlog.get_logger(name)
    return logger


def configure_logs(
    style: Literal["auto", "json", "pretty"],
    *,
    level: int = logging.INFO,
    through: Callable[[TextIO], Any] = lambda stream: stream,
) -> None:
    """Send logs to standard error: one JSON object a line, or pretty on a terminal.

    `through`: what stands between the two, such as something that keeps the terminal's last line free.
    """
    pretty = style == "pretty" or (style == "auto" and sys.stderr.isatty())
    renderer: Any = (
        structlog.dev.ConsoleRenderer() if pretty else structlog.processors.JSONRenderer()
    )
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            *([_printable] if pretty else []),
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(through(sys.stderr)),
        cache_logger_on_first_use=True,
    )


def _printable(
    _logger: object, _method: str, said: structlog.typing.EventDict
) -> structlog.typing.EventDict:
    """What came from outside, such as a messageId, tells a terminal nothing."""
    return {
        name: "".join(map(_letter, value)) if isinstance(value, str) else value
        for name, value in said.items()
    }


def _letter(letter: str) -> str:
    return letter if letter.isprintable() or letter == "\n" else "\N{REPLACEMENT CHARACTER}"


TOOK = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0, 60.0, 300.0, 1800.0, 7200.0)
"""Seconds, by which it is counted how long an event was on its way."""
_TOOK = tuple(("took", str(number)) for number in range(len(TOOK) + 1))


class Tally:
    """What happened since somebody last took it, by what it is: for people, who look at hours and minutes.

    ::

        rule, operation, outcome, reason      an operation ended
        in, source                            an event was taken
        out, class and answer                 OneSignal was called
        took, number in `TOOK`                an event was delivered, after so long
        audit, looked or reached              a notification was looked at, and had reached an iPhone
    """

    def __init__(self) -> None:
        self.counts: dict[tuple[str, ...], int] = {}
        #: Told when there is something to take.
        self.begun: Callable[[], None] = lambda: None

    def add(self, key: tuple[str, ...], times: int = 1) -> None:
        counts = self.counts
        if not counts:
            self.begun()
        counts[key] = counts.get(key, 0) + times

    def took(self, seconds: float) -> None:
        self.add(_TOOK[bisect_left(TOOK, seconds)])

    def take(self) -> dict[tuple[str, ...], int]:
        taken, self.counts = self.counts, {}
        return taken


class Metrics:
    """Every metric there is; counters are moved where things happen, gauges read at a scrape."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.tally = Tally()
        counter, histogram = self._counter, self._histogram
        self.accept = counter("accept", "Requests of Segment's, by answer", "result")
        self.accept_200 = self.accept.labels("200")
        self.accept_seconds = histogram("accept_seconds", "From a request to its answer", _FAST)
        self.events = counter("events", "Events accepted, by source and rank", "source", "rank")
        self.dedupe_hits = counter("dedupe_hits", "Events that were heard before")
        self.refused = counter("refused", "Requests and elements refused", "source", "reason")
        self.devices = counter("devices", "Requests to the device registry, by answer", "result")
        self.calls = counter("calls", "Calls to OneSignal", "class", "http")
        self.calls_made = 0
        self.call_seconds = histogram("call_seconds", "A call to OneSignal", _SLOW, "class")
        self.operations = counter(
            "rule_events", "Operations that ended", "rule", "outcome", "reason"
        )
        self.e2e_seconds = histogram("e2e_seconds", "From receiving an event to its end", _SLOW)
        self.notification_age = histogram(
            "notification_age_seconds",
            "From what a push is about to its acceptance by OneSignal",
            _SLOW,
            "rule",
        )
        self.events_per_call = histogram(
            "events_per_call", "Events that shared a call to OneSignal", _MANY, "class"
        )
        self.commit_seconds = histogram("commit_seconds", "A commit of the journal", _FAST)
        self.commit_rows = histogram("commit_rows", "Rows of work that shared it", _MANY)
        self.order_violations = counter(
            "order_violations",
            "Values that an older event wrote over a newer one's, and pushes that overtook an update; must be 0",
        )
        self.lane_takeovers = counter(
            "lane_takeovers",
            "Lanes taken over at a start, and whether they were left in order",
            "clean",
        )
        self.dead = counter("dead", "Operations that died", "reason")
        self.lanes_users = self._gauge(
            "lanes_users", "Users with work, by what they wait for", "app", "state"
        )
        self.ios_reached = counter("ios_reached", "Notifications that reached iOS against our will")
        self.gate_state = self._gauge(
            "gate_state", "0 open, 1 held, 2 closed but for probes", "app", "class"
        )
        self.gate_blocked = self._gauge(
            "gate_blocked_seconds", "Until a gate opens", "app", "class"
        )
        self.pending = self._gauge("pending", "Events with something left to do")
        self.oldest_pending = self._gauge("oldest_pending_seconds", "Age of the oldest of them")
        self.held = self._gauge("held", "Pushes that wait for a person", "rule")
        self.last_event = self._gauge(
            "last_event_seconds",
            "Since a source was heard of, of those heard since the start",
            "source",
        )
        self.lanes_owned = self._gauge("lanes_owned", "Lanes of users that this process works on")
        self.dry_run = self._gauge("dry_run", "1 while nothing is sent to OneSignal at all")
        self.only_users = self._gauge("only_users", "How many people may be reached; -1: everybody")
        self.journal_bytes = self._gauge("journal_bytes", "Size of the database's files", "file")
        self.disk_free = self._gauge("disk_free_bytes", "Left beside the database")
        # To find a child by its labels costs more than to count with it.
        self._operations = cache(self.operations.labels)
        self._calls = cache(self.calls.labels)
        self._call_seconds = cache(self.call_seconds.labels)
        self._events_per_call = cache(self.events_per_call.labels)
        self._notification_age = cache(self.notification_age.labels)

    def ended(
        self, rule: str, operation: str, outcome: str, reason: str | None, times: int = 1
    ) -> None:
        """So many operations of a rule have ended like this."""
        why = reason or ""
        self._operations(rule, outcome, why).inc(times)
        self.tally.add(("rule", rule, operation, outcome, why), times)

    def called(self, endpoint_class: str, http: str, seconds: float, events: int) -> None:
        """OneSignal was called for so many events, and answered so, or why it did not."""
        if events:
            self._events_per_call(endpoint_class).observe(events)
        self._calls(endpoint_class, http).inc()
        self.calls_made += 1
        self._call_seconds(endpoint_class).observe(seconds)
        self.tally.add(("out", f"{endpoint_class} {http}"))

    def pushed(self, rule: str, age_ms: int) -> None:
        """OneSignal has accepted a rule's push about what happened so long ago."""
        self._notification_age(rule).observe(max(0, age_ms) / 1000)

    def committed(self, rows: int, seconds: float) -> None:
        """So many rows of work are on disk, which took so long."""
        self.commit_rows.observe(rows)
        self.commit_seconds.observe(seconds)

    def arrived(self, seconds: float) -> None:
        """Nothing is left to do of an event that was heard so long ago."""
        self.e2e_seconds.observe(seconds)
        self.tally.took(seconds)

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(f"bridge_{name}", text, labels, registry=self.registry)

    def _gauge(self, name: str, text: str, *labels: str) -> Gauge:
        return Gauge(f"bridge_{name}", text, labels, registry=self.registry)

    def _histogram(
        self, name: str, text: str, buckets: tuple[float, ...], *labels: str
    ) -> Histogram:
        return Histogram(f"bridge_{name}", text, labels, buckets=buckets, registry=self.registry)
