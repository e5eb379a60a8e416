"""One event's story, as values: what was heard, done, answered, and what did not happen and why."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from bridge.explain import words
from bridge.explain.again import Again, NotMet, again, not_met_by_name
from bridge.explain.calls import CallTold, calls_told
from bridge.explain.reasons import Reasons
from bridge.journal.identities import MERGE_USERS
from bridge.journal.records import End, GateRow, Merge, operation_name
from bridge.journal.trace import Ended, Sent, Trace, Traces
from bridge.mapping.rules import Mapping
from bridge.onesignal.platforms import excludes_ios
from bridge.segment.deletion import DELETE

ORDER = ("pending", "held", "dead", "delivered", "no_recipients", "discarded", "skipped")
"""An event is what the first of its operations is that there is one of."""
MERGE = ("", MERGE_USERS)
"""Two users are made one, of which no rule says anything."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Around:
    """What is so today."""

    now_ms: int
    #: Of a source; None: there is no such source any more.
    mapping: Callable[[str], Mapping | None]
    app_id: Callable[[str], str]
    is_bulk: Callable[[str], bool]
    #: Who asks may not see values: the words hold none.
    hides: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """One operation of one rule; both are "" for the event as a whole."""

    rule: str
    operation: str
    #: As in the outcome; or pending, held, `not_done`: the mapping of today does it, that of then did not.
    status: str
    reason: str | None
    detail: str | None
    words: str
    at_ms: int | None = None
    http: int | None = None
    attempts: int = 0
    #: Of a send: the key that OneSignal knows it by.
    key: str | None = None
    #: What would be asked for, of what was not asked yet.
    planned: dict[str, Any] | None = None
    todo: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Unwanted:
    """A rule that does not want the event."""

    rule: str
    words: str
    #: It is about events of another type, name or source.
    other_event: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Story:
    seq: int
    state: str
    source: str
    app: str
    message_id: str
    type: str
    event: str | None
    received_ms: int
    event_ms: int
    #: live or bulk; None: not known any more.
    rank: str | None
    #: As it was sent; None: it is not kept.
    payload: Any
    #: Revisions: when it was planned, and today; None: not known, or there is none.
    planned_with: str | None
    mapping_today: str | None
    operations: list[Told]
    #: Parts of operations that were left out, by today's mapping.
    left_out: list[str]
    rules_not_met: list[Unwanted]
    calls: list[CallTold]
    remarks: list[str]


def stories(traces: Traces, around: Around) -> list[Story]:
    """Newest first, as they were found."""
    return [story(trace, traces, around) for trace in traces.found]


def story(trace: Trace, traces: Traces, around: Around) -> Story:
    mapping, heard = around.mapping(trace.event.source), trace.event
    planned = again(trace, mapping)
    reasons = Reasons(
        trace,
        planned,
        traces.salt,
        around.now_ms,
        hides=around.hides,
        event_names=frozenset() if mapping is None else mapping.event_names,
    )
    teller = _Teller(trace, planned, reasons, traces.gates, around)
    operations = list(teller.operations())
    return Story(
        seq=heard.seq,
        state=state_of([one.status for one in operations]),
        source=heard.source,
        app=heard.app,
        message_id=heard.message_id,
        type=heard.type,
        event=heard.name,
        received_ms=heard.received_ms,
        event_ms=heard.event_ms,
        rank=_rank(trace, planned, around),
        payload=_payload(heard.payload),
        planned_with=teller.planned_with,
        mapping_today=None if mapping is None else mapping.revision,
        operations=operations,
        left_out=[] if planned is None else [words.note(one) for one in planned.plan.notes],
        rules_not_met=[
            _unwanted(one) for one in _not_met(trace, planned, mapping, hides=around.hides)
        ],
        calls=calls_told(trace),
        remarks=list(_remarks(trace, planned, mapping, teller.planned_with)),
    )


def state_of(statuses: Sequence[str]) -> str:
    """The first of `ORDER` that there is."""
    return next((one for one in ORDER if one in statuses), "skipped")


@dataclass(slots=True)
class _Teller:
    """Tells what became of each operation."""

    trace: Trace
    again: Again | None
    reasons: Reasons
    gates: list[GateRow]
    around: Around

    @property
    def planned_with(self) -> str | None:
        sent = [send.revision for send in self.trace.sends]
        return sent[-1] if sent else self.trace.revision

    def operations(self) -> Iterator[Told]:
        ends = {(one.end.rule, one.end.operation): one for one in self.trace.ends}
        sends = {(one.rule, one.operation): one for one in self.trace.sends}
        planned = list(dict.fromkeys(self.again.names())) if self.again else []
        # Whether it is news whose an id is depends on what came before.
        planned = [name for name in planned if name != MERGE]
        if self.trace.merges and MERGE not in ends:
            yield self._merging(self.trace.merges[0])
        rest = [name for name in planned if name not in ends and name not in sends]
        for name in dict.fromkeys([*planned, *ends, *sends]):
            send, end = sends.get(name), ends.get(name)
            if send is not None and send.ended_ms is None:
                yield self._open(send)
            elif end is not None:
                yield self._ended(end, send)
            elif name in rest and (told := self._not_done(*name)) is not None:
                yield told
        if self.trace.pending is not None and not rest:
            yield from self._whole(ends, sends)

    def _merging(self, merge: Merge) -> Told:
        waits = None if merge.state == "moving" else self._waits("write")
        said = words.merging(merge.state, merge.subscriptions, waits)
        return self._told(*MERGE, "pending", None, said, attempts=len(self._calls(MERGE[1], None)))

    def _whole(self, ends: Any, sends: Any) -> Iterator[Told]:
        """The event is pending, and nothing says for what."""
        if any(send.ended_ms is None for send in sends.values()) or (self.again and ends):
            return
        yield self._told("", "", "pending", None, self._waits("write"))

    def _told(
        self, rule: str, operation: str, status: str, reason: str | None, said: str, **more: Any
    ) -> Told:
        return Told(
            rule=rule,
            operation=operation,
            status=status,
            reason=reason,
            detail=more.pop("detail", None),
            words=said,
            **more,
        )

    # What has ended ---------------------------------------------------------------------------------

    def _ended(self, ended: Ended, send: Sent | None) -> Told:
        end = ended.end
        calls = self._calls(end.operation, end.call_key)
        return self._told(
            end.rule,
            end.operation,
            end.status,
            end.reason,
            self._end_words(ended, len(calls), max([one.events for one in calls], default=1)),
            detail=end.detail,
            at_ms=ended.at_ms,
            http=end.http,
            attempts=len(calls),
            key=None if send is None else send.key,
            todo=self._todo(end.status, end.rule, end.operation),
        )

    def _calls(self, operation: str, call_key: str | None) -> list[Any]:
        return [
            one
            for one in self.trace.calls
            if (one.call_key == call_key if call_key else one.operation == operation)
        ]

    def _end_words(self, ended: Ended, attempts: int, events: int) -> str:
        end = ended.end
        match end.status:
            case "delivered" if end.operation == MERGE[1]:
                return words.merged(end.detail)
            case "delivered":
                company = f", in one call for {events} events" if events > 1 else ""
                tries = f", after {attempts} attempts" if attempts > 1 else ""
                left = f"; {end.detail}" if end.detail else ""
                return f"accepted by OneSignal{company}{tries}{left}"
            case "no_recipients":
                return words.no_recipients(end.reason, without_ios=self._is_without_ios(end))
            case "discarded":
                return words.discarded(end.reason)
            case "dead":
                return self._death(ended)
            case _:
                return self.reasons.skip(ended)

    def _is_without_ios(self, end: End) -> bool:
        calls = self._calls(end.operation, end.call_key)
        return any(excludes_ios(one.body) for one in calls if one.body is not None)

    def _death(self, ended: Ended) -> str:
        end = ended.end
        letter = self._letter(end.rule, end.operation)
        said = words.death(end.reason or "", None if self.around.hides else end.detail)
        if letter is None:
            return said
        tries = f", after {letter.attempt} attempts" if letter.attempt > 1 else ""
        shown = letter.answer and letter.http and not self.around.hides
        answer = f": {letter.answer}" if shown else ""
        return f"{said}{answer}{tries}"

    def _letter(self, rule: str, operation: str) -> Any:
        letters = (one for one in self.trace.dead if (one.rule, one.operation) == (rule, operation))
        return next(letters, None)

    def _todo(self, status: str, rule: str, operation: str) -> str | None:
        if status != "dead":
            return None
        letter = self._letter(rule, operation)
        if letter is None:
            return None
        return f"segment-bridge dead show {letter.id}, then dead replay {letter.id}"

    # What has not -----------------------------------------------------------------------------------

    def _open(self, send: Sent) -> Told:
        more: dict[str, Any] = {"key": send.key, "at_ms": send.created_ms}
        more["attempts"] = len(self._calls(send.operation, send.call_key))
        if send.state == "held":
            said = f"held: {self.reasons.hold(send)}; a person decides"
            todo = self._held_todo(send)
            return self._told(send.rule, send.operation, "held", send.hold, said, todo=todo, **more)
        endpoint = "event" if send.operation == "track_custom_event" else "send"
        said = self._sending(send) or self._waits(endpoint)
        return self._told(send.rule, send.operation, "pending", send.last_error, said, **more)

    def _sending(self, send: Sent) -> str | None:
        if send.attempt:
            again_ = self._until(send.not_before_ms or 0)
            may = "; OneSignal may have performed it" if send.uncertain else ""
            return f"{words.wait(send.last_error or '')}; attempt {send.attempt}{again_}{may}"
        if send.shares and send.call_key is None and self._shut("send") is None:
            return "waits for others with the same text, to share a call"
        return None

    def _held_todo(self, send: Sent) -> str:
        if send.hold == "paused":
            paused = {gate.key for gate in self.gates if gate.state == "paused"}
            what = "pushes" if "pushes" in paused else f"rule {send.rule}"
            return f"segment-bridge resume {what}"
        return f"segment-bridge held release --rule {send.rule}, or held discard --rule {send.rule}"

    def _not_done(self, rule: str, operation: str) -> Told | None:
        """It is planned today, and has neither ended nor a send."""
        skips = self.again.plan.skips if self.again else ()
        skip = next((s for s in skips if (s.rule, s.operation) == (rule, operation)), None)
        why = None if skip is None else words.skip(skip.reason, skip.detail)
        pending, heard = self.trace.pending, self.trace.event
        if pending is None:
            said = (
                "today's mapping would do this; when the event was planned, it was not to be done"
            )
            return None if why else self._told(rule, operation, "not_done", None, said)
        if pending.only is not None and operation_name(rule, operation) not in pending.only:
            return None
        if skip is not None and why is not None:
            return self._told(rule, operation, "pending", skip.reason, f"will be skipped: {why}")
        planned = self.again and self.again.request(
            rule, operation, app=heard.app, app_id=self.around.app_id(heard.app)
        )
        endpoint = "send" if operation == "send_notification" else "write"
        said = self._waits(endpoint)
        return self._told(rule, operation, "pending", pending.last_error, said, planned=planned)

    def _waits(self, endpoint: str) -> str:
        """Why it has not been done yet, and until when."""
        pending = self.trace.pending
        if pending is not None and pending.last_error and pending.not_before_ms > 0:
            tries = f"; tried {pending.attempt} times" if pending.attempt else ""
            until = self._until(pending.not_before_ms)
            return f"not yet: {words.wait(pending.last_error)}{tries}{until}"
        if (gate := self._shut(endpoint) or self._shut("write")) is not None:
            return gate
        bulk = pending is not None and pending.rank == 1
        return f"not yet: it waits for its turn{', after live events' if bulk else ''}"

    def _shut(self, endpoint: str) -> str | None:
        key, now = f"gate/{self.trace.event.app}/{endpoint}", self.around.now_ms
        gate = next((one for one in self.gates if one.key == key), None)
        if gate is None or (gate.state == "open" and gate.blocked_until_ms <= now):
            return None
        why = f" ({gate.reason})" if gate.reason else ""
        what = "closed" if gate.state == "closed" else "held"
        until = self._until(gate.blocked_until_ms) if gate.state == "open" else ""
        return f"not yet: the way to OneSignal is {what}{why}{until}, for everybody"

    def _until(self, at_ms: int) -> str:
        left = at_ms - self.around.now_ms
        return f", again in {words.ago(left)}" if left >= 1000 else ", due now"


def _rank(trace: Trace, planned: Again | None, around: Around) -> str | None:
    if trace.pending is not None:
        return "bulk" if trace.pending.rank else "live"
    if planned is None:
        return None
    return "bulk" if planned.is_bulk(source_is_bulk=around.is_bulk(trace.event.source)) else "live"


def _payload(payload: bytes | None) -> Any:
    try:
        return None if payload is None else orjson.loads(payload)
    except orjson.JSONDecodeError:
        return payload.decode("utf-8", "replace") if payload else None


def _not_met(
    trace: Trace, planned: Again | None, mapping: Mapping | None, *, hides: bool
) -> list[NotMet]:
    if planned is not None:
        return planned.not_met(hides=hides)
    by_whole = [one.end.reason for one in trace.ends if not one.end.rule]
    return not_met_by_name(trace, mapping) if mapping and by_whole == ["no_rule"] else []


def _unwanted(one: NotMet) -> Unwanted:
    said = f"its condition is not met: {' and '.join(one.parts)}"
    return Unwanted(
        rule=one.rule,
        words=said if one.parts else "it is about other events",
        other_event=not one.parts,
    )


def _remarks(
    trace: Trace, planned: Again | None, mapping: Mapping | None, planned_with: str | None
) -> Iterator[str]:
    if trace.external_id is not None and planned is not None and planned.is_another:
        yield "It was heard of another id, which was found to be its user's."
    if trace.event.payload is None:
        yield (
            "The event's payload is not kept (any more), so rules that did not act are told by its"
            " type and name only. BRIDGE_KEEP_UNMATCHED keeps that of events which no rule wants."
        )
    elif trace.event.type == DELETE:  # it goes by no mapping, and may be a person's, of no source
        return
    elif mapping is None:
        yield f"The source {trace.event.source} is not configured any more."
    elif planned is None and trace.event.type:
        yield "The event cannot be planned with today's mapping."
    if mapping is not None and planned_with not in {None, mapping.revision}:
        yield (
            f"The mapping has changed since: it was {planned_with}, and is {mapping.revision} now."
            " What is said of rules that did not act, and their numbers, is by today's."
        )
