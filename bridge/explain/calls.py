"""Attempts at OneSignal, told to who asks about one person: of a call that many share, its own part."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import orjson

from bridge.journal.trace import Call, Sent, Trace


@dataclass(frozen=True, slots=True, kw_only=True)
class CallTold:
    at_ms: int
    operation: str
    method: str
    path: str
    #: None: a repeat, with the bytes of the first attempt.
    body: Any
    #: None: there was no answer.
    status: int | None
    failure: str | None
    answer: Any
    took_ms: int
    #: How many events it was made for.
    events: int
    #: Of a send: the key by which OneSignal knows a repeat.
    key: str | None


def calls_told(trace: Trace) -> list[CallTold]:
    """Oldest first."""
    return [_told(call, trace) for call in trace.calls]


def _told(call: Call, trace: Trace) -> CallTold:
    body = None if call.body is None else _json(call.body)
    answer = _json(call.answer.encode())
    if call.call_key is not None and call.events > 1:
        own = [send for send in trace.sends if send.call_key == call.call_key]
        names = {name for send in own for name in (send.recipient, send.key, *_devices(send))}
        body = None if body is None else _own_part(body, names)
        answer = _own_answer(answer, names)
    return CallTold(
        at_ms=call.at_ms,
        operation=call.operation,
        method=call.method,
        path=call.path,
        body=body,
        status=call.status,
        failure=call.failure,
        answer=answer,
        took_ms=call.took_ms,
        events=call.events,
        key=call.call_key,
    )


def _devices(send: Sent) -> list[str]:
    """The devices that a push names instead of its recipient."""
    part = None if send.part is None else _json(send.part)
    return part if isinstance(part, list) else []


def _json(text: bytes) -> Any:
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return text.decode("utf-8", "replace") or None


def _own_part(body: Any, names: set[str]) -> Any:
    """A shared body without the others who are in it."""
    if not isinstance(body, dict):
        return "(shared)"
    if isinstance(events := body.get("events"), list):
        own = [one for one in events if isinstance(one, dict) and one["idempotency_key"] in names]
        return body | {"events": _others(own, len(events) - len(own))}
    shown = dict(body)
    if isinstance(aliases := body.get("include_aliases"), dict):
        shown["include_aliases"] = {
            label: _own(ids, names) for label, ids in aliases.items() if isinstance(ids, list)
        }
    if isinstance(ids := body.get("include_subscription_ids"), list):
        shown["include_subscription_ids"] = _own(ids, names)
    return shown


def _own(ids: list[Any], names: set[str]) -> list[Any]:
    own = [one for one in ids if one in names]
    return _others(own, len(ids) - len(own))


def _others(own: list[Any], others: int) -> list[Any]:
    return [*own, f"and {others} others"] if others else own


def _own_answer(answer: Any, names: set[str]) -> Any:
    """An answer to a shared call: its id, and of its errors those that name this person's part."""
    if not isinstance(answer, dict):
        return "(shared)" if answer else None
    errors = answer.get("errors")
    if errors is None:
        return answer
    return answer | {"errors": [] if errors == [] else _own_errors(errors, names)}


def _own_errors(errors: Any, names: set[str]) -> Any:
    if isinstance(errors, dict):
        return {name: _own_errors(value, names) for name, value in errors.items()}
    if not isinstance(errors, list):
        return errors
    return [one for one in errors if _is_own(one, names)]


def _is_own(error: Any, names: set[str]) -> bool:
    if isinstance(error, dict):
        return error.get("event_id", next(iter(names), None)) in names
    # Words of OneSignal's about the whole call are everybody's; an id is somebody's.
    return error in names or (isinstance(error, str) and " " in error)
