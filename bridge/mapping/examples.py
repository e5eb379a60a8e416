"""The examples of a mapping, each with its place, and what can be wrong with them before they run.

What an example may say is declared in `document`; `bridge.rehearsal.examples` plays it.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from bridge.mapping import document


class Example(NamedTuple):
    """One example, and where it stands."""

    declared: document.Example
    file: str
    line: int | None


class Mismatch(NamedTuple):
    """Something that an example names and the mapping does not have; `path` is inside the example."""

    path: tuple[str, ...]
    code: str
    message: str
    hint: str


def mismatches(
    example: document.Example, rules: Mapping[str, document.Rule], *, keeps_tokens: bool = False
) -> Iterator[Mismatch]:
    """Rules and operations that cannot happen, because there are none of the name."""
    for section, names in (("gives", example.gives), ("skips", example.skips)):
        for name in names:
            if name == document.EVENT:
                yield from _of_event(example, section, keeps_tokens=keeps_tokens)
            elif name not in rules:
                hint = _nearest(name, rules)
                message = f"example `{example.name}` names a rule `{name}`, which there is not"
                yield Mismatch((section, name), "example-unknown-rule", message, hint)
    for name, operations in example.gives.items():
        if name in rules:
            yield from _operations(example, rules[name], operations)


def _of_event(example: document.Example, section: str, *, keeps_tokens: bool) -> Iterator[Mismatch]:
    """What comes of the events themselves."""
    if not keeps_tokens:
        message = f"example `{example.name}` expects something of the event itself"
        hint = "only push tokens come of it: push_tokens: [ios]"
        yield Mismatch((section, document.EVENT), "example-unknown-rule", message, hint)
    for operation in example.gives[document.EVENT] if section == "gives" else ():
        if operation not in document.OF_EVENTS:
            message = f"example `{example.name}`: no {operation} comes of an event without a rule"
            hint = f"only {', '.join(document.OF_EVENTS)}"
            path = (section, document.EVENT, operation)
            yield Mismatch(path, "example-unknown-operation", message, hint)


def _operations(
    example: document.Example, rule: document.Rule, operations: document.Given
) -> Iterator[Mismatch]:
    does = [name for name in document.Do.model_fields if getattr(rule.do, name) is not None]
    for operation in operations:
        if operation not in does:
            message = f"example `{example.name}`: rule {rule.name} has no {operation}"
            hint = f"its operations: {', '.join(does) or 'none'}"
            path = ("gives", rule.name, operation)
            yield Mismatch(path, "example-unknown-operation", message, hint)


def _nearest(name: str, names: Iterable[str]) -> str:
    known = sorted(names)
    near = difflib.get_close_matches(name, known, n=1)
    return f"did you mean `{near[0]}`?" if near else f"the rules: {', '.join(known) or 'none'}"
