"""Stories as people read them: wrapped and coloured on a terminal, plain lines everywhere else."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, NamedTuple

import orjson
from rich.console import Console
from rich.padding import Padding
from rich.text import Text

from bridge.explain.words import ago

_STYLES = {
    "delivered": "green",
    "no_recipients": "yellow",
    "skipped": "yellow",
    "pending": "cyan",
    "held": "magenta",
    "dead": "red",
    "discarded": "yellow",
    "not_done": "dim",
}
_STATES = {"delivered": "accepted", "no_recipients": "reached nobody", "not_done": "not done"}
"""States whose names would say more than we know, or less."""


class Line(NamedTuple):
    indent: int
    text: str
    style: str = ""


def print_stories(found: dict[str, Any], console: Console, *, payload: bool) -> None:
    """Newest event first, each from its receipt to what can be done about it."""
    for number, event in enumerate(found["events"]):
        if number:
            _out(console, Line(0, ""))
        for line in _story(event, payload=payload):
            _out(console, line)
    for line in _end(found):
        _out(console, line)


def _out(console: Console, line: Line) -> None:
    if console.is_terminal:
        text = Text(line.text, style=line.style, overflow="fold")
        console.print(Padding(text, (0, 0, 0, line.indent)))
    else:
        console.out(" " * line.indent + line.text, highlight=False)


def _end(found: dict[str, Any]) -> Iterator[Line]:
    erased = found.get("erased", [])
    for one in erased:
        yield Line(0, _erased(one))
    if not found["events"]:
        if not erased:
            yield Line(0, _nothing(found))
        return
    more = (
        f"The newest {len(found['events'])} events; --limit shows more. " if found["more"] else ""
    )
    yield Line(0, "")
    yield Line(0, f"{more}Times are UTC. To ask sends nothing.", "dim")


def _erased(one: dict[str, Any]) -> str:
    at = datetime.fromtimestamp(one["at_ms"] / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S")
    if one["under_way"]:
        return f"To erase this user, in the app {one['app']}, was asked for at {at} UTC, and is under way."
    return (
        f"This user was erased in the app {one['app']}, as was asked for at {at} UTC: what was before is kept no"
        " more, and what comes late of it is not taken."
    )


def _nothing(found: dict[str, Any]) -> str:
    if found["user"]:
        return (
            f"Nothing was heard of user {found['user']}, or it is kept no more. Is this the id that"
            " the mapping takes (identity), and does Segment send these events here? Of an event that was"
            " skipped because it names nobody, `--message-id` tells."
        )
    return (
        f"No event has the messageId {found['message_id']}, or it is kept no more. Does Segment's"
        " event delivery page show that it was sent here?"
    )


def _story(event: dict[str, Any], *, payload: bool) -> Iterator[Line]:
    name = f' "{event["event"]}"' if event["event"] else ""
    named = (event["type"] or "not an event") + name
    state = _state(event["state"])
    title = f"{_at(event['received_ms'])}  {named}  {event['message_id']}  {state}"
    yield Line(0, title, f"bold {_STYLES.get(event['state'], '')}")
    yield Line(2, _received(event))
    if payload and event["payload"] is not None:
        yield from _json(event["payload"], 6)
    for one in event["operations"]:
        yield from _operation(one)
    yield from _not_met(event)
    yield from (Line(2, f"left out: {note}", "dim") for note in event["left_out"])
    for call in event["calls"]:
        yield from _call(call)
    yield from (Line(2, remark, "dim") for remark in event["remarks"])


def _state(state: str) -> str:
    return _STATES.get(state, state)


def _received(event: dict[str, Any]) -> str:
    late = event["received_ms"] - event["event_ms"]
    came = f", {ago(late)} after it happened" if late >= 1000 else ""
    rank = f", {event['rank']}" if event["rank"] else ""
    mapping = f", mapping {event['planned_with']}" if event["planned_with"] else ""
    return f"received from source {event['source']} for app {event['app']}{came}{rank}{mapping}"


def _operation(one: dict[str, Any]) -> Iterator[Line]:
    name = " ".join(part for part in (one["rule"], one["operation"]) if part) or "the event"
    reason = f" ({one['reason']})" if one["reason"] else ""
    at = f" at {_at(one['at_ms'])}" if one["at_ms"] else ""
    style = _STYLES.get(one["status"], "")
    yield Line(2, f"{name}: {_state(one['status'])}{reason}{at}", style)
    yield Line(6, one["words"])
    if one["planned"]:
        yield Line(6, f"to be asked: {one['planned']['method']} {one['planned']['path']}", "dim")
        yield from _json(one["planned"]["body"], 8)
    if one["todo"]:
        yield Line(6, f"what to do: {one['todo']}", "bold")


def _not_met(event: dict[str, Any]) -> Iterator[Line]:
    others = [one["rule"] for one in event["rules_not_met"] if one["other_event"]]
    for one in event["rules_not_met"]:
        if not one["other_event"]:
            yield Line(2, f"{one['rule']}: did not act")
            yield Line(6, one["words"])
    if others:
        yield Line(2, f"about other events: {', '.join(others)}", "dim")


def _call(call: dict[str, Any]) -> Iterator[Line]:
    status = call["status"]
    came = f"OneSignal answered {status}" if status else f"no answer: {call['failure']}"
    shared = f", for {call['events']} events" if call["events"] > 1 else ""
    style = "green" if status and status < 300 else "red"
    what = f"{_at(call['at_ms'])}  {call['method']} {call['path']}{shared}"
    yield Line(2, what, "bold")
    yield from _json("the same as before" if call["body"] is None else call["body"], 6)
    yield Line(6, f"{came} after {call['took_ms']} ms", style)
    if call["answer"] not in (None, {}, ""):
        yield from _json(call["answer"], 6)


def _json(value: Any, indent: int) -> Iterator[Line]:
    text = value if isinstance(value, str) else orjson.dumps(value).decode()
    for line in text.splitlines():
        yield Line(indent, line, "dim")


def _at(ms: int) -> str:
    return datetime.fromtimestamp(ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S")
