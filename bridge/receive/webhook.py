"""`POST /v1/segment/{source}`: a webhook of Segment's, answered when it is on disk.

A plain ASGI application, because this is the one path where every microsecond is paid a thousand
times a second.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import orjson
from starlette.types import Receive, Scope, Send

from bridge.clock import Clock
from bridge.errors import JournalUnavailableError
from bridge.journal import Journal
from bridge.journal.records import Appended, Entry
from bridge.mapping.rules import Mapping
from bridge.receive.accept import Accepted, SourceRoute, accept
from bridge.receive.body import (
    Budget,
    Disconnected,
    Rejected,
    declared_length,
    header,
    read,
    too_large,
    unpack,
)
from bridge.receive.sender import BATCH_REFUSED, Proof
from bridge.segment.audience_calls import read_audience_call
from bridge.segment.body import Element, NotJson, is_array, read_body
from bridge.telemetry import Metrics, log

METHODS = ("POST", "PUT", "PATCH")
_RETRY_AFTER_SECONDS = 10
_FORM = "application/x-www-form-urlencoded"
_AUDIENCE_CALL_BYTES = 65_536
MAX_ELEMENTS = 10_000
"""Events in one request; Segment's batches hold 4,000 at most."""
_TOO_MANY = Rejected(
    status=413,
    code="too-many-events",
    message=f"The batch holds more than {MAX_ELEMENTS} events: lower its size in Segment.",
)


@dataclass(slots=True, kw_only=True)
class Intake:
    """One source's door."""

    source: SourceRoute
    proof: Proof
    journal: Journal
    mapping: Callable[[], Mapping]
    clock: Clock
    metrics: Metrics
    budget: Budget
    max_body: int
    #: Told of every user with new work, after it is on disk: hash and rank.
    appended: Callable[[int, int], None]


class Webhook:
    """The endpoint; `intakes` by source name."""

    def __init__(self, intakes: dict[str, Intake]) -> None:
        self._intakes = intakes
        self._only = next(iter(intakes.values())) if len(intakes) == 1 else None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        parameters = scope.get("path_params", {})
        name = parameters.get("source")
        intake = self._only if name is None else self._intakes.get(name)
        if intake is None:
            await _answer(send, 404, _problem("source-unknown", "There is no source of this name."))
            return
        started = intake.clock.monotonic()
        try:
            result = await _take(intake, scope, receive, parameters.get("token", ""))
        except Disconnected:
            return
        if isinstance(result, Rejected):
            await _refuse(intake, send, result)
        else:
            intake.metrics.accept.labels("200").inc()
            await _answer(send, 200, orjson.dumps(result))
        intake.metrics.accept_seconds.observe(intake.clock.monotonic() - started)


async def _take(
    intake: Intake, scope: Scope, receive: Receive, path_token: str
) -> dict[str, Any] | Rejected:
    """The answer of a request that is taken, or why it is not."""
    if wrong := intake.proof.check_token(_tokens(scope, path_token)):
        return wrong
    length = declared_length(scope)
    if length is not None and length > intake.max_body:
        return too_large(intake.max_body)
    reserved = intake.max_body if length is None else length
    if not intake.budget.take(reserved):
        return _unavailable("too much is arriving at once")
    try:
        body = await _read_plain(intake, scope, receive)
        return body if isinstance(body, Rejected) else await _keep(intake, scope, body)
    finally:
        intake.budget.give_back(reserved)


def _tokens(scope: Scope, path_token: str) -> list[str]:
    bearer = header(scope, b"authorization")
    offered = [header(scope, b"x-bridge-token"), path_token]
    return [*offered, bearer[7:].strip()] if bearer[:7].lower() == "bearer " else offered


async def _read_plain(intake: Intake, scope: Scope, receive: Receive) -> bytes | Rejected:
    body = await read(receive, limit=intake.max_body)
    if isinstance(body, Rejected):
        return body
    if header(scope, b"content-type").partition(";")[0].strip().lower() == _FORM:
        return Rejected(
            status=415,
            code="form-encoded",
            message="Set the content type of the webhook to JSON: a form cannot carry an event.",
        )
    return unpack(body, header(scope, b"content-encoding"), limit=intake.max_body)


async def _keep(intake: Intake, scope: Scope, body: bytes) -> dict[str, Any] | Rejected:
    """Verify, read, append; the answer's object."""
    unproven = intake.proof.check_signature(body, header(scope, b"x-signature"))
    if unproven is not None:
        return _audience_call(body) or unproven
    elements = read_body(body)
    if isinstance(elements, NotJson):
        return Rejected(status=400, code=elements.code, message=elements.message)
    if len(elements) == 1 and (call := read_audience_call(elements[0].value)) is not None:
        return call.answer
    if len(elements) > 1 and not intake.proof.batches:
        return BATCH_REFUSED
    return _TOO_MANY if len(elements) > MAX_ELEMENTS else await _append(intake, elements)


def _audience_call(body: bytes) -> dict[str, Any] | None:
    """The answer to Webhook Audiences' create and get calls: no events, never signed, no effect.

    Only what is small and no batch is looked at: reading what nobody vouches for could cost seconds.
    """
    if is_array(body) or len(body) > _AUDIENCE_CALL_BYTES:
        return None
    elements = read_body(body)
    call = None if isinstance(elements, NotJson) else read_audience_call(elements[0].value)
    return None if call is None else call.answer


async def _append(intake: Intake, elements: list[Element]) -> dict[str, Any] | Rejected:
    accepted = accept(
        elements, intake.source, intake.mapping(), intake.journal, now_ms=intake.clock.now_ms()
    )
    try:
        appended = await intake.journal.append(accepted.entries)
    except JournalUnavailableError as error:
        log().error("accept.unavailable", reason=error.code, source=intake.source.name)
        return _unavailable(error.message)
    _tell(intake, accepted, appended)
    return _result(accepted, appended)


def _tell(intake: Intake, accepted: Accepted, appended: list[Appended]) -> None:
    duplicates = 0
    ranks = [0, 0]
    for entry, kept in zip(accepted.entries, appended, strict=True):
        if kept.duplicate:
            duplicates += 1
        elif entry.rank is not None:
            ranks[entry.rank] += 1
            intake.appended(entry.user_hash, entry.rank)
        else:
            _count_ended(intake, entry)
    name = intake.source.name
    for rank, label in enumerate(("live", "bulk")):
        if ranks[rank]:
            intake.metrics.events.labels(name, label).inc(ranks[rank])
    if duplicates:
        intake.metrics.dedupe_hits.inc(duplicates)


def _count_ended(intake: Intake, entry: Entry) -> None:
    if entry.ended is None:
        return
    end = entry.ended
    intake.metrics.operations.labels(end.rule, end.status, end.reason or "").inc()
    if end.status == "dead":
        intake.metrics.refused.labels(intake.source.name, end.reason or "").inc()
        intake.metrics.dead.labels(end.reason or "").inc()
        log().warning("element.rejected", source=intake.source.name, reason=end.reason)


def _result(accepted: Accepted, appended: list[Appended]) -> dict[str, Any]:
    duplicates = sum(1 for kept in appended if kept.duplicate)
    usable = len(appended) - len(accepted.rejected)
    result: dict[str, Any] = {
        "accepted": usable - duplicates,
        "duplicates": duplicates,
        "rejected": accepted.rejected,
    }
    if accepted.note is not None:
        result["note"] = "heard before" if duplicates else accepted.note
    return result


def _unavailable(message: str) -> Rejected:
    return Rejected(
        status=503,
        code="not-durable",
        message=f"Nothing was kept; send it again: {message}.",
        retry_after=_RETRY_AFTER_SECONDS,
    )


async def _refuse(intake: Intake, send: Send, rejected: Rejected) -> None:
    intake.metrics.accept.labels(str(rejected.status)).inc()
    intake.metrics.refused.labels(intake.source.name, rejected.code).inc()
    level = log().error if rejected.status == 503 else log().warning
    level("request.refused", source=intake.source.name, reason=rejected.code)
    await _answer(
        send,
        rejected.status,
        _problem(rejected.code, rejected.message),
        retry_after=rejected.retry_after,
    )


def _problem(code: str, message: str) -> bytes:
    return orjson.dumps({"code": code, "message": message})


async def _answer(send: Send, status: int, body: bytes, *, retry_after: int | None = None) -> None:
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(body)).encode()),
    ]
    if retry_after is not None:
        headers.append((b"retry-after", str(retry_after).encode()))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
