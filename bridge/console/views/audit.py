"""Who did what: lines of the audit trail in words."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import orjson

from bridge.journal import Journal
from bridge.journal.erasures import Noted

PAGE: Final = 100
WHAT: Final = {
    "brake.pulled": "paused",
    "brake.released": "let leave again",
    "held.released": "let held pushes go",
    "held.kept": "stopped what left little by little",
    "held.discarded": "discarded held pushes",
    "dead.replayed": "replayed what was dead",
    "dead.discarded": "discarded what was dead",
    "skipped.replayed": "had done what was too old",
    "user.erasure_asked": "asked to erase a customer",
    "user.erased": "a customer was erased",
}
_NAMED: Final = (
    ("target", ""), ("rule", "rule"), ("reason", "reason"), ("app", "app"), ("user", "of"), ("id", "number"),
    ("per_minute", "a minute"), ("user_hash", "known here as"),
)  # fmt: skip


class Line(NamedTuple):
    id: int
    at_ms: int
    who: str
    what: str
    many: int | None
    detail: str


async def trail(
    journal: Journal, before: int | None, *, hides: bool
) -> tuple[list[Line], int | None]:
    """A page of it, newest first, and the line before which there are older ones; None: there are none.

    `hides`: who asks may not see what customers are called, and that is what they are called here, too.
    """
    found = await journal.looks.trail(before=before, limit=PAGE + 1)
    older = found[PAGE - 1][0] if len(found) > PAGE else None
    return [line_of(number, noted, hides=hides) for number, noted in found[:PAGE]], older


def line_of(number: int, noted: Noted, *, hides: bool) -> Line:
    try:
        detail: Any = orjson.loads(noted.detail)
    except orjson.JSONDecodeError:
        detail = {}
    if hides:
        detail.pop("user_hash", None)
    said = [f"{label} {detail[name]}".strip() for name, label in _NAMED if name in detail]
    if detail.get("replan"):
        said.append("with today's mapping")
    count = detail.get("count", detail.get("events"))
    what = WHAT.get(noted.what, noted.what)
    return Line(number, noted.at_ms, noted.who, what, count, ", ".join(said).replace("/", " "))
