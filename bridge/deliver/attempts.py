"""One attempt: a turn at the gate, a call, and what its answer means for everybody else.

`updates` and `sends` try until an operation ends or has to wait. Being held at a gate happens
inside (nothing is written, no attempt is spent); a real failure is written to the journal and
comes back as `Wait`, and the chain leaves memory until then.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from bridge.deliver.gate import Gate
from bridge.deliver.means import Means
from bridge.journal.records import Death, End, Status
from bridge.onesignal.verdict import Answer, Closed, Failed, Postponed, Verdict, judge
from bridge.telemetry import log

_ASKED_TO_WAIT_SECONDS = 5.0
"""After a 429 that does not say how long."""
_ANSWER_KEPT = 2000


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """How an operation ended; `death` says more when a person has to look."""

    status: Status
    reason: str | None = None
    detail: str | None = None
    http: int | None = None
    death: Death | None = None

    def end(self, rule: str, operation: str, call_key: str | None = None) -> End:
        return End(rule, operation, self.status, self.reason, self.detail, self.http, call_key)


@dataclass(frozen=True, slots=True, kw_only=True)
class Wait:
    """Not before `until_ms`."""

    until_ms: int


@asynccontextmanager
async def turn(gate: Gate, *, bulk: bool) -> AsyncIterator[None]:
    """Wait for a turn at the gate, which may take hours; within the block it is this call's."""
    await gate.enter(bulk=bulk)
    try:
        yield
    finally:
        gate.leave()


async def ask(
    means: Means, gate: Gate, endpoint_class: str, request: tuple[str, str, bytes]
) -> tuple[Verdict, str]:
    """Call once and tell the gate; the verdict, and the answer's text."""
    answer = await means.call(endpoint_class, *request)
    is_send = endpoint_class == "send"
    verdict = judge(answer, now_ms=means.clock.now_ms(), is_send=is_send)
    _tell(gate, verdict)
    text = answer.body if isinstance(answer, Answer) else b""
    return verdict, text[:_ANSWER_KEPT].decode("utf-8", "replace")


def _tell(gate: Gate, verdict: Verdict) -> None:
    """What an answer means for everybody else who waits at this gate."""
    match verdict:
        case Postponed(scope="class", after_seconds=seconds):
            gate.hold(_ASKED_TO_WAIT_SECONDS if seconds is None else seconds)
            log().warning("gate.held", gate=gate.name, seconds=round(gate.held_seconds, 1))
        case Closed(status=status):
            if gate.close(f"http_{status}"):
                log().error("gate.closed", gate=gate.name, reason=f"http_{status}")
        case Failed(reason=reason):
            if gate.failed(reason):
                log().error("gate.closed", gate=gate.name, reason=reason)
        case _:
            if gate.succeeded():
                log().info("gate.opened", gate=gate.name)


def holds_everyone(verdict: Verdict) -> bool:
    """Whether an answer is about the whole endpoint class, and not about this call."""
    return isinstance(verdict, Postponed) and verdict.scope == "class"
