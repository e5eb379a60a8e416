"""What is probably not meant in `identity`, and in the aliases of users. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple

from bridge.mapping.compiling import Problem
from bridge.mapping.document import Document, Identity
from bridge.mapping.lint_rules import Around, read_and_dropped, unknown_path, warn
from bridge.mapping.load import Reading, Source
from bridge.mapping.tree import Tree
from bridge.onesignal.operations import ALIASES_PER_USER

_AT: Final = ("identity",)


class Said(NamedTuple):
    """A problem, and the file that it is in."""

    source: Source
    tree: Tree
    problem: Problem


def of_identity(reading: Reading, around: Around) -> Iterator[Said]:
    for source, tree, parsed in reading.documents:
        problems = _of_document(parsed, around)
        yield from (Said(source, tree, problem) for problem in problems)
    yield from _of_aliases(reading)


def _of_document(parsed: Document, around: Around) -> Iterator[Problem]:
    if (identity := parsed.identity) is None:
        return
    yield from _paths(identity, around)
    yield from _without_effect(identity)
    yield from _of_clients(identity, around)


def _paths(identity: Identity, around: Around) -> Iterator[Problem]:
    """Paths to an id that no event has: then every event is nobody's."""
    for text in identity.external_id:
        at = (*_AT, "external_id")
        written = text.strip("{} ")
        yield from unknown_path(written, at)
        yield from read_and_dropped([written], around.dropped, at)


def _without_effect(identity: Identity) -> Iterator[Problem]:
    said = identity.model_fields_set
    wrong = {
        "label": identity.anonymous != "alias",
        "clients": identity.anonymous == "skip",
    }
    for name in sorted(said.intersection(name for name, is_wrong in wrong.items() if is_wrong)):
        message = f"with `anonymous: {identity.anonymous}`, `{name}` does nothing"
        yield warn((*_AT, name), "field-without-effect", message, "take it out")


def _of_clients(identity: Identity, around: Around) -> Iterator[Problem]:
    """Anybody can send as these: whether they may make two users one is said aloud."""
    if identity.anonymous == "skip" or around.sources is None:
        return
    for name in identity.clients:
        if name not in around.clients:
            message = f"{name} is no source that is marked `trust: client`"
            hint = "a source that only your servers send to need not be named"
            yield warn((*_AT, "clients"), "field-without-effect", message, hint)
    for name in sorted(around.clients.difference(identity.clients)):
        message = f"anybody can send as source {name}, so its events make no visitor a user"
        hint = f"clients: [{name}], if its visitors sign up where they can be believed"
        yield warn((*_AT, "anonymous"), "client-never-merges", message, hint)


def _of_aliases(reading: Reading) -> Iterator[Said]:
    """More labels than a user can have, and one that is the visitors'."""
    identity = reading.identity
    visitors = identity.label if identity.anonymous == "alias" else None
    labels = {visitors} - {None}
    for one in reading.rules:
        alias = one.declared.do.create_alias
        if alias is None:
            continue
        at = ("rules", one.number, "do", "create_alias", "label")
        if alias.label == visitors:
            message = f"{alias.label} is the label of anonymous visitors (identity)"
            hint = "give this alias a label of its own, or `identity` another `label`"
            problem = warn(at, "alias-label-taken", message, hint)
            yield Said(one.source, one.tree, problem)
        if alias.label not in labels and len(labels) == ALIASES_PER_USER:
            message = f"{alias.label} is one more than the {ALIASES_PER_USER} aliases of a user"
            problem = warn(at, "aliases-above-limit", message, "a tag can hold an id, too")
            yield Said(one.source, one.tree, problem)
            return
        labels.add(alias.label)
