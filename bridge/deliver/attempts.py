"""One attempt: a turn at the gate, a call, and what its answer means for everybody else.

`updates` and `sends` try until an operation ends or has to wait. Being held at a gate happens
inside (nothing is written, no attempt is spent); a real failure is written to the journal and
comes back as `Wait`, and the chain leaves memory until then.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import NamedTuple

from bridge import failpoints
from bridge.deliver.cautious import out_of_hand
from bridge.deliver.gate import EndpointClass, Gate
from bridge.deliver.means import About, Means, kept
from bridge.deliver.pace import Pass
from bridge.journal.records import Death, End, Status
from bridge.onesignal.verdict import Answer, NoAnswer, Postponed, Verdict, judge


class Ended(NamedTuple):
    """How an operation ended; `death` says more when a person has to look."""

    status: Status
    reason: str | None = None
    detail: str | None = None
    http: int | None = None
    death: Death | None = None
    #: Of devices that were written, the ids by their tokens.
    subscriptions: Mapping[str, str] = MappingProxyType({})

    def end(self, rule: str, operation: str, call_key: str | None = None) -> End:
        return End(rule, operation, self.status, self.reason, self.detail, self.http, call_key)


class Wait(NamedTuple):
    """Not before `until_ms`; or, when something new is heard of the user, not before `news_ms`."""

    until_ms: int
    #: None: news make no difference.
    news_ms: int | None = None
    #: It is for a person to end, so that the user's other events do not wait for it.
    apart: bool = False

    def earlier(self, by_ms: int) -> Wait:
        news_ms = None if self.news_ms is None else self.news_ms - by_ms
        return self._replace(until_ms=self.until_ms - by_ms, news_ms=news_ms)


def first_of(waits: Iterable[Wait | None]) -> Wait | None:
    """The first that everything of the user waits for; when there is none, the first of the others."""
    return min(filter(None, waits), key=lambda one: (one.apart, one.until_ms), default=None)


def turn(gate: Gate, *, bulk: bool, patient: bool = False) -> AbstractAsyncContextManager[None]:
    """Wait for a turn at the gate; within the block it is this call's.

    Raises:
        ShutError: not patient, and the gate is shut for longer than one waits in memory.
        StoppingError: there are no more turns.
    """
    return _Turn(gate, bulk, patient)


@dataclass(slots=True)
class _Turn:
    gate: Gate
    bulk: bool
    patient: bool
    entered: Pass = field(init=False)

    async def __aenter__(self) -> None:
        out_of_hand()
        self.entered = await self.gate.enter(bulk=self.bulk, patient=self.patient)

    async def __aexit__(self, *_: object) -> None:
        self.gate.leave(self.entered)


async def ask(
    means: Means,
    gate: Gate,
    endpoint_class: EndpointClass,
    request: tuple[str, str, bytes],
    about: About,
) -> tuple[Verdict, str]:
    """Call once, tell the gates and log it; the verdict, and the answer's text."""
    verdict, answer = await _asked(means, gate, endpoint_class, request, about)
    return verdict, kept(answer)


async def look(
    means: Means, path: str, *, about: About | None = None
) -> tuple[Verdict, Answer | NoAnswer]:
    """View something at OneSignal, in its turn; the verdict, and the answer as it came."""
    gate = means.destination.views
    async with turn(gate, bulk=True, patient=True):
        return await _asked(means, gate, "view", ("GET", path, b""), about)


async def _asked(
    means: Means,
    gate: Gate,
    endpoint_class: EndpointClass,
    request: tuple[str, str, bytes],
    about: About | None = None,
) -> tuple[Verdict, Answer | NoAnswer]:
    gates, asked_at = means.destination.gates, means.clock.monotonic()
    key = gates.keys[endpoint_class].current
    answer = await means.call(endpoint_class, *request, key=key, about=about)
    is_send = endpoint_class == "send"
    verdict = judge(answer, now_ms=means.clock.now_ms(), is_send=is_send)
    await gates.heard(gate, verdict, key=key, asked_at=asked_at)
    return verdict, answer


async def ask_sealed(
    means: Means,
    gate: Gate,
    endpoint_class: EndpointClass,
    request: tuple[str, str, bytes],
    about: About,
) -> tuple[Verdict, str]:
    """`ask` for what must not be asked twice under another key: the journal has it already."""
    failpoints.reached("call.leaving")
    heard = await ask(means, gate, endpoint_class, request, about)
    failpoints.reached("call.answered")
    return heard


def holds_everyone(verdict: Verdict) -> bool:
    """Whether an answer is about the whole endpoint class, and not about this call."""
    return isinstance(verdict, Postponed) and verdict.scope == "class"
