"""`POST /v1/segment/{source}`: a webhook of Segment's, answered when it is on disk.

A plain ASGI application, because this is the one path where every microsecond is paid a thousand
times a second.
"""

from __future__ import annotations

import collections
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

import orjson
from prometheus_client import Counter
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from bridge import failpoints
from bridge.clock import Clock
from bridge.errors import JournalUnavailableError
from bridge.journal import Journal
from bridge.journal.records import Appended, Changed, End, Entry, made
from bridge.mapping.rules import Mapping, Rule
from bridge.receive.accept import Accepted, SourceRoute, accept
from bridge.receive.body import (
    TOO_MUCH,
    Budget,
    Disconnected,
    Headers,
    Rejected,
    Share,
    declared_length,
    header,
    read,
    too_large,
    unpack,
)
from bridge.receive.matched import Last, Matched
from bridge.receive.pulse import Pulse
from bridge.receive.refusals import Refusals
from bridge.receive.sender import BATCH_REFUSED, Proof
from bridge.segment import raw_json
from bridge.segment.audience import ReverseEtl
from bridge.segment.audience_calls import read_audience_call
from bridge.segment.body import (
    Element,
    Misread,
    NotJson,
    cut,
    is_array,
    one_by_one,
    read_body,
)
from bridge.telemetry import Metrics, log

METHODS = ("POST", "PUT", "PATCH")
_RETRY_AFTER_SECONDS = 10
_JSON, _FORM = b"application/json", b"application/x-www-form-urlencoded"
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
    #: Told of the users with new work, after it is on disk: their hashes, and its rank.
    appended: Callable[[Iterable[int], int], None]
    #: Told of every user who was found to be another, too: hash, and those of the others.
    linked: Callable[[int, Sequence[int]], None]
    #: Told of every user who is to be erased: whatever the user waits for, it need not.
    erasing: Callable[[int], None]
    pulse: Pulse
    refusals: Refusals
    #: Told which rules an event has met.
    matched: Matched
    #: Of the events taken, by rank; found once, because finding one costs more than moving it.
    counters: tuple[Counter, Counter] = field(init=False)
    #: What the tally calls an event of this source.
    heard: tuple[str, str] = field(init=False)

    def __post_init__(self) -> None:
        events, name = self.metrics.events, self.source.name
        self.counters = events.labels(name, "live"), events.labels(name, "bulk")
        self.heard = ("in", name)


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
            # The name is not logged: what stands there may be a token.
            log().warning("request.refused", reason="source-unknown")
            await _answer(send, 404, _problem("source-unknown", "There is no source of this name."))
            return
        started = intake.clock.monotonic()
        try:
            headers = dict(scope["headers"])
            result = await _take(intake, headers, receive, parameters.get("token", ""))
        except Disconnected:
            return
        if isinstance(result, Rejected):
            await _refuse(intake, send, result)
        else:
            intake.metrics.accept_200.inc()
            failpoints.reached("accept.answering")
            await _answer(send, 200, orjson.dumps(result))
        intake.metrics.accept_seconds.observe(intake.clock.monotonic() - started)


async def looked_at(_request: Request) -> Response:
    """What a browser is told that opens the address, to see whether it is the right one."""
    problem = _problem("method-not-allowed", "This is the address that Segment posts events to.")
    headers = {"allow": ", ".join(METHODS)}
    return Response(problem, 405, headers=headers, media_type="application/json")


async def _take(
    intake: Intake, headers: Headers, receive: Receive, path_token: str
) -> dict[str, Any] | Rejected:
    """The answer of a request that is taken, or why it is not."""
    proof = intake.proof
    if proof.token is not None and (wrong := proof.check_token(_tokens(headers, path_token))):
        return wrong
    length = declared_length(headers)
    if length is not None and length > intake.max_body:
        return too_large(intake.max_body)
    share = Share(intake.budget)
    try:
        body = await _read_plain(intake, headers, receive, share)
        return body if isinstance(body, Rejected) else await _keep(intake, headers, body)
    finally:
        share.hold(0)


def _tokens(headers: Headers, path_token: str) -> list[str]:
    bearer = header(headers, b"authorization")
    offered = [header(headers, b"x-bridge-token"), path_token]
    return [*offered, bearer[7:].strip()] if bearer[:7].lower() == "bearer " else offered


async def _read_plain(
    intake: Intake, headers: Headers, receive: Receive, share: Share
) -> bytes | Rejected:
    body = await read(receive, share, limit=intake.max_body, clock=intake.clock)
    if isinstance(body, Rejected):
        return body
    if _is_form(headers.get(b"content-type", b"")):
        return Rejected(
            status=415,
            code="form-encoded",
            message="Set the content type of the webhook to JSON: a form cannot carry an event.",
        )
    encoding = header(headers, b"content-encoding")
    if not encoding:
        return body
    plain = unpack(body, encoding, limit=intake.max_body)
    return plain if isinstance(plain, Rejected) or share.hold(len(plain)) else TOO_MUCH


def _is_form(content_type: bytes) -> bool:
    return content_type != _JSON and content_type.partition(b";")[0].strip().lower() == _FORM


async def _keep(intake: Intake, headers: Headers, body: bytes) -> dict[str, Any] | Rejected:
    """Verify, read, append; the answer's object."""
    unproven = intake.proof.check_signature(body, header(headers, b"x-signature"))
    if unproven is not None or not intake.proof.secrets:
        # What Segment signed carries data, whatever its fields are called.
        if (answer := _audience_call(body)) is not None:
            return answer
        if unproven is not None:
            return unproven
    accepted = _one_by_one(intake, body) or _at_once(intake, body)
    if isinstance(accepted, Rejected):
        return accepted
    kept = await keep(intake, accepted)
    return kept if isinstance(kept, Rejected) else kept[1]


def _one_by_one(intake: Intake, body: bytes) -> Accepted | Rejected | None:
    """What a batch comes to whose elements can be told apart without reading all of it; None: it is no such."""
    pieces = cut(body, most=MAX_ELEMENTS) if intake.proof.batches else None
    if pieces is None:
        return None
    try:
        accepted = take(intake, islice(one_by_one(pieces), MAX_ELEMENTS + 1))
    except Misread:
        return None
    return _TOO_MANY if len(accepted.entries) > MAX_ELEMENTS else accepted


def _at_once(intake: Intake, body: bytes) -> Accepted | Rejected:
    if _has_too_many(body):
        return _TOO_MANY
    elements = read_body(body)
    if isinstance(elements, NotJson):
        return Rejected(status=400, code=elements.code, message=elements.message)
    if len(elements) > 1 and not intake.proof.batches:
        return BATCH_REFUSED
    return take(intake, elements)


def _audience_call(body: bytes) -> dict[str, Any] | None:
    """The answer to Webhook Audiences' create and get calls: no events, never signed, no effect.

    Only what is small and no batch is looked at: reading what nobody vouches for could cost seconds.
    """
    if len(body) > _AUDIENCE_CALL_BYTES or is_array(body):
        return None
    if b'"audienceName"' not in body and b'"externalId"' not in body:
        return None
    elements = read_body(body)
    call = None if isinstance(elements, NotJson) else read_audience_call(elements[0].value)
    return None if call is None else call.answer


def _has_too_many(body: bytes) -> bool:
    """Whether it is a batch of more than `MAX_ELEMENTS`, before each costs its time and memory."""
    if len(body) < MAX_ELEMENTS or body.count(b",") < MAX_ELEMENTS or not is_array(body):
        return False
    try:
        return len(orjson.loads(body)) > MAX_ELEMENTS
    except orjson.JSONDecodeError:
        slices = raw_json.split(body.removeprefix(b"\xef\xbb\xbf").strip())
        return slices is not None and len(slices) > MAX_ELEMENTS


def take(intake: Intake, elements: Iterable[Element]) -> Accepted:
    """What elements that are vouched for come to."""
    return accept(
        elements, intake.source, intake.mapping(), intake.journal, now_ms=intake.clock.now_ms()
    )


async def keep(
    intake: Intake, accepted: Accepted
) -> tuple[list[Appended], dict[str, Any]] | Rejected:
    """Keep it: what became of each entry, and the answer's object."""
    try:
        appended = await intake.journal.append(accepted.entries)
    except JournalUnavailableError as error:
        log().error(
            "accept.unavailable",
            reason=error.code,
            because=error.message,
            source=intake.source.name,
        )
        return _unavailable(error.message)
    failpoints.reached("accept.written")
    _tell(intake, accepted, appended)
    return appended, _result(accepted, appended)


_Fresh = list[tuple[Appended, Entry, tuple[Rule, ...], bytes]]
"""Of each event that was not heard before: its place, what is kept of it, the rules that it met, its text."""


def _tell(intake: Intake, accepted: Accepted, appended: list[Appended]) -> None:
    fresh: _Fresh = [
        (told, told.kept if isinstance(told, Changed) else entry, met, text)
        for told, entry, met, text in zip(
            appended, accepted.entries, accepted.met, accepted.texts, strict=True
        )
        if not told.duplicate
    ]
    if duplicates := len(appended) - len(fresh):
        intake.metrics.dedupe_hits.inc(duplicates)
    if not fresh:
        return
    intake.pulse.beat(len(fresh))
    intake.refusals.taken()
    intake.metrics.tally.add(intake.heard, len(fresh))
    _tell_work(intake, fresh)
    _tell_matched(intake, fresh, accepted.reverse_etl)
    _tell_apart(intake, fresh)


def _tell_work(intake: Intake, fresh: _Fresh) -> None:
    """Whom there is work for, and what has ended instead."""
    working: tuple[list[int], list[int]] = ([], [])
    ended: list[End] = []
    for _, kept, _, _ in fresh:
        if kept.rank is not None:
            working[kept.rank].append(kept.user_hash)
        elif kept.ended is not None:
            ended.append(kept.ended)
    for rank, users in enumerate(working):
        if users:
            intake.counters[rank].inc(len(users))
            intake.appended(users, rank)
    if ended:
        _tell_ended(intake, ended)


def _tell_matched(intake: Intake, fresh: _Fresh, reverse_etl: ReverseEtl | None) -> None:
    for told, kept, met, text in fresh:
        if met and not (kept.ended and isinstance(told, Changed)):
            for rule in met:
                intake.matched.add(made(Last, (rule, told.seq, kept, text, reverse_etl)))


def _tell_apart(intake: Intake, fresh: _Fresh) -> None:
    """Who is to be erased, and who was found to be another."""
    for told, kept, _, _ in fresh:
        if kept.erases_ms is not None:
            intake.erasing(kept.user_hash)
        if isinstance(told, Changed) and told.linked:
            intake.linked(kept.user_hash, told.linked)


def _tell_ended(intake: Intake, ends: list[End]) -> None:
    counts = collections.Counter((end.rule, end.status, end.reason or "") for end in ends)
    for (rule, status, reason), count in counts.items():
        intake.metrics.ended(rule, "", status, reason, count)
        if status == "dead":
            _tell_dead(intake, reason, count)


def _tell_dead(intake: Intake, reason: str, count: int) -> None:
    intake.metrics.refused.labels(intake.source.name, reason).inc(count)
    intake.metrics.dead.labels(reason).inc(count)
    log().warning("elements.rejected", source=intake.source.name, reason=reason, count=count)


def _result(accepted: Accepted, appended: list[Appended]) -> dict[str, Any]:
    duplicates = sum([kept.duplicate for kept in appended])
    if accepted.rejected:
        rejected = {one["index"] for one in accepted.rejected}
        duplicates = sum(kept.duplicate for i, kept in enumerate(appended) if i not in rejected)
    result: dict[str, Any] = {
        "accepted": len(appended) - len(accepted.rejected) - duplicates,
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
    intake.refusals.add(rejected.code)
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
        (b"content-type", _JSON),
        (b"content-length", str(len(body)).encode()),
    ]
    if retry_after is not None:
        headers.append((b"retry-after", str(retry_after).encode()))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
