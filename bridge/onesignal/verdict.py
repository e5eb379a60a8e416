"""What an answer of OneSignal means: a table, and the code that reads it.

::

    answer                                verdict       because
    2xx                                   Accepted
    2xx, errors.invalid_aliases           Accepted      in part; the named members reached nobody
    200, id "", errors                    NoRecipients  not one subscribed device: not a failure
    202, errors [{event_id, ...}]         Accepted      custom events: only the named ones failed
    2xx, success false, not of a send     Refused       the legacy API: not done
    401, 403                              Closed        the key or the app: everything waits
    400, "… a valid REST API key"         Closed        the legacy API's way to say 401
    404 on a user                         Unknown       no such user: create it, or (after a create) wait
    429, naming one user                  Postponed     that user waits; costs no attempt
    429                                   Postponed     the whole endpoint class waits; costs no attempt
    409                                   Refused       an alias belongs to someone else
    408, 425, 5xx                         Failed        try again with the same bytes; it may have been done
    2xx that is not JSON, or of a send    Failed        a proxy answered, or OneSignal said neither yes nor
    without any id                                  no: try again with the same bytes
    any other 4xx                         Refused       certainly not done, and never will be
    no answer                             Failed        it may or may not have been done

The legacy API (`legacy`) names who was not reached in errors.invalid_external_user_ids and
errors.invalid_player_ids, and answers an edit of tags with `{"success": true}`; all else is the same.

Error bodies come in four shapes, and all are read: `{"errors": ["…"]}`, `{"errors": [{"code",
"title"}]}`, `{"errors": "…"}`, `{"success": false}` (onesignal-node-api, "error shapes").
"""

from __future__ import annotations

import email.utils
import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Literal, NamedTuple

import orjson

_NONE: Mapping[str, str] = MappingProxyType({})
RETRY_AFTER_CAP_SECONDS = 3600.0
_ONES = ("Device", "Subscription", "User")
"""Whose limit is one user's; that of anything else is everybody's, because nobody else would wait for it."""
_DETAIL_LENGTH = 300
_REFUSED_KEY = re.compile(r"header of Authorization\b|valid REST API key", re.IGNORECASE)
"""`Please include a case-sensitive header of Authorization: Basic <YOUR-REST-API-KEY-HERE> … with a valid
REST API key.` (OneSignal-Flutter-SDK issue 498, onesignal-python-api issue 26)."""


class Answer(NamedTuple):
    """An HTTP answer, as it came; header names in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class NoAnswer:
    """There was none: `reason` says which way it failed (`timeout`, `connect`, `reset`, …).

    `sent` is False only when the request certainly never reached OneSignal.
    """

    reason: str
    sent: bool = True


class Accepted(NamedTuple):
    status: int
    id: str | None = None
    unreached: frozenset[str] = frozenset()
    failed_events: frozenset[str] = frozenset()
    replayed: bool = False
    #: Of devices that were written, the ids by their tokens.
    subscriptions: Mapping[str, str] = _NONE


@dataclass(frozen=True, slots=True, kw_only=True)
class NoRecipients:
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Unknown:
    """OneSignal does not know this user."""

    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Postponed:
    scope: Literal["user", "class"]
    after_seconds: float | None
    #: OneSignal asked for more than an hour.
    capped: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Closed:
    status: int
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Failed:
    """Try again; `certain` when OneSignal certainly did not act."""

    reason: str
    status: int | None
    detail: str
    certain: bool
    after_seconds: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    reason: str
    status: int
    detail: str


Verdict = Accepted | NoRecipients | Unknown | Postponed | Closed | Failed | Refused


def judge(answer: Answer | NoAnswer, *, now_ms: int, is_send: bool = False) -> Verdict:
    """Read one answer; see the table above. `now_ms` is for a `Retry-After` that is a date."""
    if isinstance(answer, NoAnswer):
        return Failed(
            reason=answer.reason, status=None, detail="no answer", certain=not answer.sent
        )
    body = _json(answer.body)
    if answer.status < 300 and answer.status >= 200:
        return _judge_success(answer, body, is_send=is_send)
    return _judge_error(answer, body, now_ms=now_ms, is_send=is_send)


def _judge_success(answer: Answer, body: Any, *, is_send: bool) -> Verdict:
    if not isinstance(body, dict):
        if (answer.body.strip() and body is None) or is_send:
            return Failed(reason="not_json", status=answer.status, detail="not JSON", certain=False)
        body = {}
    if body.get("success") is False and not is_send:
        return Refused(reason="not_done", status=answer.status, detail=error_text(body))
    id_ = body.get("id")
    if is_send and not id_:
        if "id" in body:
            return NoRecipients(detail=error_text(body))
        # Nothing says that it was sent, and nothing that it was not; the key makes a repeat harmless.
        return Failed(reason="no_id", status=answer.status, detail=error_text(body), certain=False)
    return Accepted(
        status=answer.status,
        id=id_ if isinstance(id_, str) else None,
        unreached=_unreached(body.get("errors")),
        failed_events=_failed_events(body.get("errors")),
        replayed=answer.headers.get("idempotent-replayed", "").lower() == "true",
        subscriptions=_subscriptions(body),
    )


def _subscriptions(body: dict[str, Any]) -> Mapping[str, str]:
    one, several = body.get("subscription"), body.get("subscriptions")
    if one is None and several is None:
        return _NONE
    shown = [one, *(several if isinstance(several, list) else [])]
    pairs = [(each.get("token"), each.get("id")) for each in shown if isinstance(each, dict)]
    return {
        token: id_
        for token, id_ in pairs
        if isinstance(token, str) and isinstance(id_, str) and id_
    }


def _judge_error(answer: Answer, body: Any, *, now_ms: int, is_send: bool) -> Verdict:
    status, detail = answer.status, error_text(body)
    wait = retry_after(answer.headers, now_ms=now_ms)
    if status == 429:
        scope = _limit_scope(body, is_send=is_send)
        asked = _asked(answer.headers, now_ms=now_ms)
        capped = asked is not None and asked > RETRY_AFTER_CAP_SECONDS
        return Postponed(scope=scope, after_seconds=wait, capped=capped)
    if status == 400 and _REFUSED_KEY.search(detail):
        return Closed(status=401, detail=detail)
    if status in {401, 403}:
        return Closed(status=status, detail=detail)
    if status in {404, 410} and not is_send:
        return Unknown(detail=detail)
    if status in {408, 425} or status >= 500 or status < 400:
        return Failed(
            reason=f"http_{status}",
            status=status,
            detail=detail,
            certain=status < 400,
            after_seconds=wait,
        )
    return Refused(reason=f"http_{status}", status=status, detail=detail)


def _limit_scope(body: Any, *, is_send: bool) -> Literal["user", "class"]:
    """Whose limit it was: "Subscription/User Update Per Device" is one user's (Flutter-SDK #748)."""
    limit = body.get("limit") if isinstance(body, dict) else None
    is_named = isinstance(limit, str) and any(f"Per {whose}" in limit for whose in _ONES)
    return "user" if is_named and not is_send else "class"


def _json(body: bytes) -> Any:
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        return None


def error_text(body: Any) -> str:
    """The first error of any of the four shapes, shortened; never the request's own values."""
    errors = body.get("errors", body) if isinstance(body, dict) else body
    first = errors[0] if isinstance(errors, list) and errors else errors
    if isinstance(first, dict):
        first = first.get("title") or first.get("code") or ", ".join(sorted(map(str, first)))
    return str(first)[:_DETAIL_LENGTH] if first else ""


def _unreached(errors: Any) -> frozenset[str]:
    """The members that reached nobody; OneSignal repeats an id once per unsubscribed device."""
    if not isinstance(errors, dict):
        return frozenset()
    aliases = errors.get("invalid_aliases")
    lists = list(aliases.values()) if isinstance(aliases, dict) else []
    lists += [errors.get(name) for name in ("invalid_player_ids", "invalid_external_user_ids")]
    return frozenset(str(id_) for ids in lists if isinstance(ids, list) for id_ in ids)


def _failed_events(errors: Any) -> frozenset[str]:
    entries = errors if isinstance(errors, list) else ()
    return frozenset(
        str(entry["event_id"])
        for entry in entries
        if isinstance(entry, dict) and "event_id" in entry
    )


def retry_after(headers: Mapping[str, str], *, now_ms: int) -> float | None:
    """Seconds to wait, of `Retry-After` (or the older `RetryAfter`): a number or an HTTP date.

    None when the header is absent or makes no sense; never negative, never above one hour.
    """
    asked = _asked(headers, now_ms=now_ms)
    return None if asked is None else min(max(asked, 0.0), RETRY_AFTER_CAP_SECONDS)


def said_at(headers: Mapping[str, str]) -> float | None:
    """When OneSignal answered, by its own clock, in seconds since 1970; None when it does not say."""
    try:
        return email.utils.parsedate_to_datetime(headers.get("date", "")).timestamp()
    except (TypeError, ValueError, OverflowError):
        return None


def _asked(headers: Mapping[str, str], *, now_ms: int) -> float | None:
    """Seconds as they were asked for, which may be any number."""
    text = (headers.get("retry-after") or headers.get("retryafter") or "").strip()
    if re.fullmatch(r"-?\d+(\.\d+)?(e\d+)?", text):
        return float(text)
    return _seconds_until(text, now_ms=now_ms)


def _seconds_until(text: str, *, now_ms: int) -> float | None:
    try:
        return email.utils.parsedate_to_datetime(text).timestamp() - now_ms / 1000
    except (ValueError, OverflowError):
        return None
