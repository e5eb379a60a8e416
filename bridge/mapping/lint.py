"""Everything that is legal in a mapping and probably not meant; for `check`, which has the time.

What stops a mapping is found when it is loaded; this adds warnings alone.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from pathlib import Path as FilePath
from typing import Any, Final, NamedTuple

from bridge.errors import ConfigurationError, Finding
from bridge.mapping.compiling import Path, Problem
from bridge.mapping.document import Document
from bridge.mapping.expression import Vars
from bridge.mapping.lint_cases import meet, possible
from bridge.mapping.lint_identity import of_identity
from bridge.mapping.lint_rules import (
    QUESTIONS,
    Around,
    Subject,
    warn,
)
from bridge.mapping.load import Reading, Ruled, Source, read_mapping, read_sources, trapped
from bridge.mapping.traps import traps
from bridge.mapping.tree import Tree
from bridge.onesignal.api import USER_MODEL, Spoken
from bridge.onesignal.platforms import Policy, allowed, meant
from bridge.onesignal.tags import tag_name

_NAMED: Final = 5
"""Rules that one warning names."""
_SAY_WHAT_IS_SERVED: Final = (
    "if the app is on it, add it to BRIDGE_ONESIGNAL_PLATFORMS (or to `platforms` of the app in "
    "bridge.yaml); if not, take it out of the policy"
)


class Judged(NamedTuple):
    """A rule that runs, and where it stands."""

    ruled: Ruled
    subject: Subject


def check_mapping(
    path: FilePath,
    *,
    serves: Collection[str],
    tag_cap: int | None = None,
    names: Vars | None = None,
    sources: Collection[str] | None = None,
    clients: Collection[str] = (),
    dropped: Collection[str] = (),
    spoken: Spoken = USER_MODEL,
    registry: bool | None = None,
) -> list[Finding]:
    """Everything wrong with the mapping at `path`, and every warning about it, in the file's order.

    Args:
        path: A file, or a folder of them.
        serves: The platforms of the app.
        tag_cap: Tags that the plan has for a user, if that is known.
        names: Values that an app or the environment gives `vars`, over those of the files.
        sources: The names of the sources, if they are known.
        clients: Those of them whose events anybody can send.
        dropped: Paths that one of them removes from an event before anything reads it.
        spoken: Which of OneSignal's APIs the app speaks.
        registry: Whether the app has a device registry, if that is known.
    """
    try:
        texts = read_sources(path)
    except ConfigurationError as error:
        return list(error.findings)
    return check_texts(
        texts,
        serves=serves,
        tag_cap=tag_cap,
        names=names,
        sources=sources,
        clients=clients,
        dropped=dropped,
        spoken=spoken,
        registry=registry,
    )


def check_texts(
    texts: list[Source],
    *,
    serves: Collection[str],
    tag_cap: int | None = None,
    names: Vars | None = None,
    sources: Collection[str] | None = None,
    clients: Collection[str] = (),
    dropped: Collection[str] = (),
    spoken: Spoken = USER_MODEL,
    registry: bool | None = None,
) -> list[Finding]:
    """As `check_mapping`, from texts."""
    reading = read_mapping(texts, serves=serves, names=names, spoken=spoken)
    around = Around(
        serves=frozenset(serves),
        tag_cap=tag_cap,
        vars=reading.vars,
        sources=None if sources is None else frozenset(sources),
        clients=frozenset(clients),
        dropped=frozenset(dropped),
        registry=registry,
    )
    return in_order([*reading.findings, *lint(reading, around)])


def in_order(findings: Iterable[Finding]) -> list[Finding]:
    """By file and line; each once."""
    return sorted(
        dict.fromkeys(findings),
        key=lambda one: (one.file or "", one.line or 0, one.column or 0, not one.is_error),
    )


def lint(reading: Reading, around: Around) -> list[Finding]:
    """Warnings about what could be read."""
    known = {(one.code, one.file, one.line) for one in reading.findings}
    found = [
        trapped(source, trap, "warning")
        for source, _, _ in reading.documents
        for trap in traps(source.text)
        if (trap.code, source.name, trap.line) not in known
    ]
    judged = [
        Judged(ruled, _subject(ruled, around))
        for ruled in reading.rules
        if ruled.compiled is not None
    ]
    for one in judged:
        problems = (problem for ask in QUESTIONS for problem in ask(one.subject))
        found += (_placed(one, problem) for problem in problems)
        found += (_placed(one, problem) for problem in _unregistered(one))
    found += (_placed(one, problem) for one, problem in _between(judged, reading))
    found += _push_links(reading)
    found += _unserved(reading, around.serves)
    found += (_finding(*one) for one in of_identity(reading, around))
    return found


def _subject(ruled: Ruled, around: Around) -> Subject:
    assert ruled.compiled is not None  # noqa: S101 — asked by the caller; this tells mypy
    do: Any = ruled.tree.value["rules"][ruled.number]["do"]
    return Subject(
        declared=ruled.declared,
        condition=ruled.compiled.condition,
        do=do if isinstance(do, dict) else {},
        around=around,
        links=ruled.compiled.push.links if ruled.compiled.push else (),
    )


def _placed(one: Judged, problem: Problem) -> Finding:
    path = ("rules", one.ruled.number, *problem.path)
    return _finding(one.ruled.source, one.ruled.tree, problem._replace(path=path))


def _finding(source: Source, tree: Tree, problem: Problem) -> Finding:
    line, column = tree.place(problem.path)
    return Finding(
        code=problem.code,
        message=problem.message,
        level=problem.level,
        file=source.name,
        line=line,
        column=column,
        hint=problem.hint,
    )


# --- between rules -----------------------------------------------------------------------------------------


def _between(judged: list[Judged], reading: Reading) -> Iterator[tuple[Judged, Problem]]:
    yield from _written_twice(judged)
    yield from _more_than_the_plan(judged)
    yield from _pushed_twice(judged)
    if not reading.is_partial:
        yield from _without_example(judged, reading)


def _written_twice(judged: list[Judged]) -> Iterator[tuple[Judged, Problem]]:
    """Tags that two rules write for one event: the later rule's value counts."""
    writers: dict[str, list[Judged]] = {}
    for one in judged:
        for name in one.subject.tags:
            if "{{" in name or "{%" in name:
                continue
            earlier = writers.setdefault(tag_name(name), [])
            first = next(
                (other for other in earlier if other is not one and _meet(other, one)), None
            )
            if first is not None:
                message = (
                    f"rules {first.subject.name} and {one.subject.name} both write the tag {name}; "
                    f"for an event that meets both, {one.subject.name} wins, because it is later"
                )
                hint = "let one rule write it, or let the conditions exclude each other"
                at = ("do", "update_user", "tags", name)
                yield one, warn(at, "tag-written-twice", message, hint)
            earlier.append(one)


def _more_than_the_plan(judged: list[Judged]) -> Iterator[tuple[Judged, Problem]]:
    """Tags of all rules together: who meets several of them has more than the plan gives a user."""
    written: set[str] = set()
    for one in judged:
        cap, own = one.subject.around.tag_cap, one.subject.tags
        plain = [name for name, value in own.items() if value != "" and "{" not in name]
        if cap is None or len(plain) > cap:
            return  # not known, or said of that rule already
        for name in plain:
            written.add(tag_name(name))
            if len(written) > cap:
                message = (
                    f"the plan has {cap} tags for a user, and {name} is one more than that of the "
                    "rules so far: OneSignal refuses an update that would make somebody have it"
                )
                hint = "write fewer, or delete some elsewhere; what a person never has at once does no harm"
                yield (
                    one,
                    warn(("do", "update_user", "tags", name), "tags-above-cap", message, hint),
                )
                return


def _meet(one: Judged, other: Judged) -> bool:
    return meet(one.subject.condition.text, other.subject.condition.text)


def _pushed_twice(judged: list[Judged]) -> Iterator[tuple[Judged, Problem]]:
    """Rules that push for the very same events."""
    first: dict[object, Judged] = {}
    for one in judged:
        if not one.subject.pushes:
            continue
        same = frozenset(
            (frozenset(case.ranges.items()), case.others)
            for case in possible(one.subject.condition.text)
        )
        other = first.setdefault(same, one)
        if other is not one and same and not _apart_in_time(one, other):
            message = (
                f"rules {other.subject.name} and {one.subject.name} push for the same events: "
                "each person gets both"
            )
            hint = "make it one rule, or let the conditions exclude each other"
            yield one, warn(("when",), "pushes-twice", message, hint)


def _apart_in_time(one: Judged, other: Judged) -> bool:
    a, b = one.subject.declared, other.subject.declared
    return any(
        early.ends is not None and late.starts is not None and early.ends <= late.starts
        for early, late in ((a, b), (b, a))
    )


def _without_example(judged: list[Judged], reading: Reading) -> Iterator[tuple[Judged, Problem]]:
    """One warning for all of them: a mapping without examples has as many as it has rules."""
    shown = {name for example in reading.examples for name in example.declared.gives}
    bare = [one for one in judged if one.subject.sends and one.subject.name not in shown]
    if bare:
        names = ", ".join(one.subject.name for one in bare[:_NAMED])
        more = f" and {len(bare) - _NAMED} more" if len(bare) > _NAMED else ""
        message = f"no example shows what these rules send: {names}{more}"
        hint = "an example is an event and what it gives; `segment-bridge test` plays it"
        yield bare[0], warn(("name",), "no-examples", message, hint)


def _push_links(reading: Reading) -> Iterator[Finding]:
    for source, tree, parsed in reading.documents:
        for number, link in enumerate(parsed.push.links if parsed.push else ()):
            if link.lower().startswith("http://"):
                message = f"{link} lets links through that anybody on the way can change"
                at = ("push", "links", number)
                yield _finding(
                    source, tree, warn(at, "link-insecure", message, f"https://{link[7:]}")
                )


def _unregistered(one: Judged) -> Iterator[Problem]:
    """A rule that sends to registered devices, where none can be registered."""
    runs = one.ruled.compiled
    if one.subject.around.registry is not False or runs is None or runs.push is None:
        return
    if runs.push.devices is not None:
        message = (
            f"rule {runs.name} sends to registered devices, and the app has no device registry"
        )
        hint = "set BRIDGE_DEVICES_SECRET, or another way to say whose a device is (README)"
        yield warn(("do", "send_notification"), "devices-unregistered", message, hint)


def _unserved(reading: Reading, serves: frozenset[str]) -> Iterator[Finding]:
    """Policies that mean a platform which the app is not said to be on: nobody there would hear."""
    if not any(one.compiled is not None and one.compiled.push for one in reading.rules):
        return
    for source, tree, parsed in reading.documents:
        for at, policy in _policies(parsed):
            absent = meant(policy) - serves
            if absent and allowed(policy, serves):
                message = (
                    f"this means {', '.join(sorted(absent))}, too, and the app is on "
                    f"{', '.join(sorted(serves))}: nobody else gets it"
                )
                yield _finding(
                    source, tree, warn(at, "platform-not-served", message, _SAY_WHAT_IS_SERVED)
                )


def _policies(parsed: Document) -> Iterator[tuple[Path, Policy]]:
    if parsed.push is not None and parsed.push.platforms is not None:
        yield ("push", "platforms"), parsed.push.platforms
    for number, rule in enumerate(parsed.rules):
        send = rule.do.send_notification
        if send is not None and send.platforms is not None:
            yield ("rules", number, "do", "send_notification", "platforms"), send.platforms
