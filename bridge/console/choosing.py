"""What a request names of a pile: which of it, and whether to act or only to look.

A body that is not clear changes nothing: whoever misspells a filter does not release everything, and whoever
misspells a rule or an app is not told that nothing of it waits.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import orjson
from starlette.requests import Request
from starlette.responses import Response

from bridge.console.api import answer, body_of, number, problem
from bridge.console.naming import LONGEST, Naming
from bridge.console.views.waiting import One, Preview
from bridge.journal.piles import Choice

SAMPLE = 3
_TEXTS = ("app", "rule", "reason", "user")
_TIMES = ("since_ms", "until_ms")
_NEVER_MS = 2**62


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A choice, and what else a body says; `dry_run`: count it and show some of it."""

    choice: Choice
    dry_run: bool
    rest: dict[str, Any]


async def asked(
    request: Request, naming: Naming, *, also: Collection[str] = ()
) -> Asked | Response:
    """What a body asks for, or what to answer instead; `also` are names that it may hold beside a choice."""
    wanted = await _body(request, also)
    if wanted is None:
        return UNCLEAR
    slip = await naming.misspelt(wanted.choice)
    return wanted if slip is None else slip.refusal()


async def sought(query: Mapping[str, str], naming: Naming) -> Choice | Response:
    """The choice of a query string, or what to answer instead."""
    choice = _of_query(query)
    if choice is None:
        return UNCLEAR
    slip = await naming.misspelt(choice)
    return choice if slip is None else slip.refusal()


async def _body(request: Request, also: Collection[str]) -> Asked | None:
    """None: not clear."""
    raw = await body_of(request)
    if raw is None:
        return None
    try:
        body = orjson.loads(raw or b"{}")
    except orjson.JSONDecodeError:
        return None
    if not isinstance(body, dict):
        return None
    body = {name: whole(value) for name, value in body.items()}
    rest = {name: body.pop(name) for name in also if name in body}
    dry_run = body.pop("dry_run", False)
    choice = choice_of(body)
    if choice is None or not isinstance(dry_run, bool):
        return None
    return Asked(choice=choice, dry_run=dry_run, rest=rest)


def whole(value: Any) -> Any:
    """To JSON 5.0 and 5 are one number."""
    if isinstance(value, list):
        return [whole(one) for one in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _of_query(query: Mapping[str, str]) -> Choice | None:
    values: dict[str, Any] = dict(query)
    for name in _TIMES:
        if name in values:
            values[name] = number(values[name])
            if values[name] is None:
                return None
    return choice_of(values)


def choice_of(values: Mapping[str, Any]) -> Choice | None:
    if values.keys() - {*_TEXTS, *_TIMES, "ids"}:
        return None
    texts = all(isinstance(values.get(name), str | None) for name in _TEXTS)
    times = all(_is_time(values.get(name)) for name in _TIMES)
    ids = values.get("ids")
    listed = ids is None or (isinstance(ids, list) and all(map(_is_id, ids)))
    if not (texts and times and listed):
        return None
    return Choice(**{**values, "ids": None if ids is None else tuple(ids)})


def _is_id(value: Any) -> bool:
    return type(value) is str or (type(value) is int and 0 <= value < _NEVER_MS)


def _is_time(value: Any) -> bool:
    return value is None or (type(value) is int and 0 <= value < _NEVER_MS)


def looked(preview: Preview[One], summary: Callable[[One], dict[str, Any]]) -> Response:
    """The answer to a dry run; with its `until_ms` the act is about no more than was counted."""
    return answer(
        {
            "count": preview.count,
            "sample": [summary(one) for one in preview.some],
            "until_ms": preview.until_ms,
            "push": preview.push and asdict(preview.push),
            "gone": preview.gone,
        }
    )


UNCLEAR = problem(
    400,
    "choice-invalid",
    "Choose by `app`, `rule`, `reason`, `user`, `since_ms`, `until_ms` and `ids`; nothing was done.",
)


def no_reason(reason: str | None, known: Collection[str]) -> Response:
    """The answer to who chooses by a reason that nothing of a pile can have."""
    if reason is None or reason in known:
        return UNCLEAR
    said = f"`reason` is {' or '.join(known)} here, not {reason[:LONGEST]}; nothing was done."
    return problem(400, "choice-invalid", said)
