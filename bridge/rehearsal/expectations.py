"""What an example says that happens, against what did: every difference, in words for a person. Pure.

Fields compare as a subset, `tags` as a whole; which rules act, and how often, exactly::

    gives: {}                                               no rule acts
    gives: {welcome: {send_notification: {}}}               welcome sends once, whatever it says
    gives: {welcome: {send_notification: {times: 2}}}       ... twice
    gives: {welcome: {send_notification: [{url: a}, {url: b}]}}    ... these two, in this order
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, NamedTuple
from urllib.parse import unquote

import orjson

from bridge.mapping import document
from bridge.mapping.expression import as_tag
from bridge.onesignal.operations import Request
from bridge.plan.values import Skip
from bridge.rehearsal.examples import Played
from bridge.rehearsal.views import done

NOTHING = "nothing"


class Difference(NamedTuple):
    """One thing that is not as the example says; both sides as text."""

    where: str
    expected: str
    actual: str


def differences(example: document.Example, played: Played) -> list[Difference]:
    """Everything in which what happened is not what the example says; none: it passes."""
    return [
        *_unlike(example, played),
        *_merged(example, played),
        *_not_skipped(example, played),
        *_appearing(example, played.requests),
    ]


# What happens


def _unlike(example: document.Example, played: Played) -> Iterator[Difference]:
    did = done(played.happenings)
    for rule, operations in example.gives.items():
        for operation, wanted in operations.items():
            where = f"{rule}.{operation}"
            found = did.get(rule, {}).get(operation, [])
            yield from _each(where, _times(wanted), found, why=_reasons(played, rule))
    for rule, operations in did.items():
        for operation, found in operations.items():
            if operation not in example.gives.get(rule, {}):
                yield Difference(f"{rule}.{operation}", NOTHING, _text(found))


def _merged(example: document.Example, played: Played) -> Iterator[Difference]:
    """Who turned out to be whom."""
    if example.merges is None:
        return
    did = {one.other.id: one.to.id for one in played.merges}
    yield from _whole("merges", example.merges, did)


def _times(wanted: Any) -> list[dict[str, Any]]:
    if isinstance(wanted, list):
        return wanted
    fields = dict(wanted)
    times = fields.pop("times", 1)
    return [fields] * (times if isinstance(times, int) else 1)


def _each(
    where: str, wanted: list[dict[str, Any]], found: list[dict[str, Any]], why: str
) -> Iterator[Difference]:
    if len(wanted) != len(found):
        expected = _count(len(wanted)) if found or len(wanted) > 1 else _text(wanted[0])
        yield Difference(where, expected, _count(len(found)) + why)
        return
    for number, (want, have) in enumerate(zip(wanted, found, strict=True), 1):
        yield from _fields(where if len(wanted) == 1 else f"{where} ({number})", want, have)


def _count(number: int) -> str:
    return {0: NOTHING, 1: "once"}.get(number, f"{number} times")


def _fields(where: str, wanted: dict[str, Any], have: dict[str, Any]) -> Iterator[Difference]:
    """The fields of one operation, some of which a mapping writes shorter than a request."""
    for name, value in wanted.items():
        want = _as_written(name, value)
        if name == "tags" and isinstance(want, dict):
            yield from _whole(f"{where}.{name}", want, have.get(name, {}))
        elif name == "raw" and isinstance(want, dict):
            yield from _subset(where, want, have)  # it stands beside the others in a request
        else:
            yield from _subset(where, {name: want}, have)


def _subset(where: str, wanted: dict[str, Any], have: dict[str, Any]) -> Iterator[Difference]:
    for name, want in wanted.items():
        inside, found = f"{where}.{name}", have.get(name)
        if name not in have:
            yield Difference(inside, _text(want), NOTHING)
        elif isinstance(want, dict) and isinstance(found, dict):
            yield from _subset(inside, want, found)
        elif not _same(want, found):
            yield Difference(inside, _text(want), _text(found))


def _whole(where: str, wanted: dict[str, Any], have: dict[str, Any]) -> Iterator[Difference]:
    for name in [*wanted, *(name for name in have if name not in wanted)]:
        want, found = _shown(wanted, name), _shown(have, name)
        if want != found:
            yield Difference(f"{where}.{name}", want, found)


def _shown(tags: dict[str, Any], name: str) -> str:
    if name not in tags:
        return NOTHING
    return '"" (deleted)' if tags[name] == "" else _text(tags[name])


def _same(want: Any, have: Any) -> bool:
    """As JSON: 1 is 1.0 and never true."""
    if isinstance(want, bool) or isinstance(have, bool):
        return want is have
    if isinstance(want, list) and isinstance(have, list):
        return len(want) == len(have) and all(map(_same, want, have))
    if isinstance(want, dict) and isinstance(have, dict):
        return want.keys() == have.keys() and all(_same(want[key], have[key]) for key in want)
    return bool(want == have)


_TEXTS = {"contents", "headings", "subtitle"}
_CONTACTS = {"email", "phone"}


def _as_written(name: str, value: Any) -> Any:
    """What the mapping language writes shorter than the request does, in the request's form."""
    if name in _TEXTS and isinstance(value, str):
        return {"en": value}
    if name == "ttl" and isinstance(value, str):
        try:
            return document.duration_ms(value) // 1000
        except ValueError:
            return value
    if name in _CONTACTS and not isinstance(value, dict):
        return {"address": value}
    if name == "tags" and isinstance(value, dict):
        return {tag: as_tag(one) for tag, one in value.items()}
    return value


# Why something does not happen


def _of(played: Played, rule: str) -> list[Skip]:
    return [skip for skip in played.skips if (skip.rule or document.EVENT) == rule]


def _reasons(played: Played, rule: str) -> str:
    reasons = dict.fromkeys(str(skip) for skip in _of(played, rule))
    return f" ({'; '.join(reasons)})" if reasons else ""


def _not_skipped(example: document.Example, played: Played) -> Iterator[Difference]:
    for rule, wanted in example.skips.items():
        found = _of(played, rule)
        said = {skip.reason for skip in found} | {str(skip) for skip in found}
        for reason in wanted:
            if reason not in said:
                actual = ", ".join(dict.fromkeys(map(str, found))) or NOTHING
                yield Difference(f"{rule}: skipped", reason, actual)


# What never appears


def _appearing(example: document.Example, requests: list[Request]) -> Iterator[Difference]:
    for value in example.never:
        for request in requests:
            body = {k: v for k, v in request.body.items() if k not in _OURS}
            for path, leaf in (("path", request.path), *_leaves(body)):
                if _appears(value, leaf):
                    where = f"{request.method} {request.path}: {path}"
                    yield Difference(where, f"never {_text(value)}", _text(leaf))


_OURS = {"app_id", "idempotency_key"}
"""Made by us, of nothing that a person wrote."""
_KEY_OF_AN_EVENT = re.compile(r"events\[\d+\]\.idempotency_key")


def _leaves(tree: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Every scalar and every name in a JSON value, with the path to it."""
    if isinstance(tree, dict):
        for name, child in tree.items():
            inside = f"{path}.{name}" if path else name
            if not _KEY_OF_AN_EVENT.fullmatch(inside):
                yield inside, name
                yield from _leaves(child, inside)
    elif isinstance(tree, list):
        for number, child in enumerate(tree):
            yield from _leaves(child, f"{path}[{number}]")
    elif tree is not None:
        yield path, tree


def _appears(value: str | float, leaf: Any) -> bool:
    """A text anywhere in a text, percent-encoded or not; a number as a number of its own."""
    text = leaf if isinstance(leaf, str) else _text(leaf)
    texts = (text, unquote(text))
    if isinstance(value, str):
        return any(value.casefold() in one.casefold() for one in texts)
    number = re.compile(rf"(?<![\d.]){re.escape(_text(value))}(?![\d]|\.\d)")
    return any(number.search(one) for one in texts)


def _text(value: Any) -> str:
    return orjson.dumps(value).decode()
