"""How templates write times, numbers and JSON. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Final

import orjson
from jinja2 import pass_context
from jinja2.runtime import Context
from markupsafe import Markup, escape

from bridge.console.views.words import number, seconds
from bridge.console.web.charts import bars
from bridge.console.web.visit import Visit
from bridge.explain.words import ago as stretch

_LONGEST_SHOWN: Final = 20_000
"""Of one JSON value: who wants more of it has the API."""


def _visit(context: Context) -> Visit:
    visit: Visit = context["visit"]
    return visit


@pass_context
def moment(context: Context, ms: int) -> str:
    """`14:03:22` of today; of other days with the day; where the person is."""
    visit = _visit(context)
    at = datetime.fromtimestamp(ms / 1000, visit.zone)
    if ms >= visit.today_ms:
        return at.strftime("%H:%M:%S")
    now = datetime.fromtimestamp(visit.now_ms / 1000, visit.zone)
    return at.strftime(f"%-d %b{'' if at.year == now.year else ' %Y'}, %H:%M:%S")


@pass_context
def ago(context: Context, ms: int) -> str:
    """`3 min ago`."""
    passed = _visit(context).now_ms - ms
    return "just now" if passed < 1000 else f"{stretch(passed)} ago"


@pass_context
def hour(context: Context, ms: int) -> str:
    """`14:15`, where the person is."""
    return datetime.fromtimestamp(ms / 1000, _visit(context).zone).strftime("%H:%M")


def iso(ms: int) -> str:
    """As a machine reads it, and as the tooltip says it: UTC."""
    return datetime.fromtimestamp(ms / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")[:-4] + "Z"


@pass_context
def field(context: Context, ms: int | None) -> str:
    """As a form of the browser's takes it."""
    if ms is None:
        return ""
    return datetime.fromtimestamp(ms / 1000, _visit(context).zone).strftime("%Y-%m-%dT%H:%M")


def pretty(value: Any) -> str:
    """JSON for people."""
    if isinstance(value, str):
        return value[:_LONGEST_SHOWN]
    text = orjson.dumps(value, option=orjson.OPT_INDENT_2).decode()
    return (
        text
        if len(text) <= _LONGEST_SHOWN
        else f"{text[:_LONGEST_SHOWN]}\n… {len(text):,} characters in all"
    )


_APOSTROPHE: Final = re.compile(r"(?<=\w)'(?=\w)")
_PLACE: Final = re.compile(r"\{\{(.*?)\}\}|\{%.*?%\}", re.DOTALL)


def places(text: str) -> list[tuple[bool, str]]:
    """A text in pieces: what is said, and what an event or OneSignal fills in."""
    found, at = [], 0
    for match in _PLACE.finditer(text):
        found.append((False, text[at : match.start()]))
        if match[1] is not None:
            found.append((True, match[1].partition("|")[0].strip()))
        at = match.end()
    return [piece for piece in (*found, (False, text[at:])) if piece[1]]


def curly(text: str) -> str:
    """With the apostrophe that print has; quotation marks stay."""
    return _APOSTROPHE.sub("\N{RIGHT SINGLE QUOTATION MARK}", text)


def marked(text: str) -> Markup:
    """A message of ours, with what stands between backticks as code; all of it escaped."""
    pieces = curly(text).split("`")
    return Markup("").join(
        Markup("<code>{}</code>").format(piece) if number % 2 else escape(piece)
        for number, piece in enumerate(pieces)
    )


def plural(count: int, one: str, many: str = "") -> str:
    """`1 event`, `2 events`."""
    return f"{number(count)} {one if count == 1 else many or one + 's'}"


def sentence(text: str) -> str:
    """Half of one as a whole one; a question stays a question."""
    return text[:1].upper() + text[1:] + ("" if text.endswith((".", "?", "!")) else ".")


ALL: Final[dict[str, Callable[..., Any]]] = {
    "sentence": sentence,
    "moment": moment,
    "ago": ago,
    "hour": hour,
    "iso": iso,
    "field": field,
    "number": number,
    "seconds": seconds,
    "stretch": stretch,
    "pretty": pretty,
    "places": places,
    "bars": bars,
    "curly": curly,
    "marked": marked,
    "plural": plural,
}
