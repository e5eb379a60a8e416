"""What was written for two who are found to be one: whose word counts, and what OneSignal lacks. Pure.

Of every name the later word counts, whichever of the two it was said of. What became of the two at
OneSignal says which words their user has, and which have to be written again::

    renamed     only the other was there, and goes by the person's id now
    moved       both were there: the person's user stays, and the other's devices come to it
    absent      the other was not there
    unknown     nobody can say
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal, NamedTuple

from bridge.deliver.contacts import contact_of
from bridge.deliver.given_up import labels, may_have
from bridge.deliver.restore import ALIAS, CONTACT, DEVICE, SUBSCRIPTION, is_property
from bridge.deliver.state import DELETED, Fact, Moment, Row

What = Literal["renamed", "moved", "absent", "unknown"]


class Joined(NamedTuple):
    row: dict[str, Fact]
    #: Properties and aliases that the user lacks.
    names: list[str]
    #: Type and address of what is another's word by now, and to be switched off.
    off: list[list[str]]
    #: Label, id and moment of what one of the two had, and the person has no more.
    left: list[list[Any]]
    #: Labels of which the other's user, or the person's that it has become, has such an id.
    free: list[str]

    @property
    def owed(self) -> dict[str, list[Any]]:
        return {"names": self.names, "off": self.off, "left": self.left, "free": self.free}


def joined(person: Row, other: Row, what: What) -> Joined:
    """The row of both."""
    result = Joined({}, [], [], [], [])
    for name in dict.fromkeys((*person, *other)):
        own, its = person.get(name), other.get(name)
        if name == DELETED or (own is None and _is_gone(person, its)):
            its = None
        fact = _alias(own, its) if name.startswith(ALIAS) else _later(own, its)
        if fact is None:
            continue
        if is_property(name) or name.startswith(ALIAS):
            has = {"renamed": its, "moved": own, "absent": own, "unknown": None}[what]
            fact = _as_known(fact, has)
            # What was refused before, and never accepted, is not asked for again.
            if fact.accepted_ms is None and not (has == fact and fact.value is None):
                result.names.append(name)
        elif name.startswith((SUBSCRIPTION, DEVICE)) and fact is its and what == "absent":
            fact = fact._replace(accepted_ms=None)
        result.row[name] = fact
        result.off.extend(_off(name, own, its, fact))
    for name in labels((person, other)):
        has = result.row.get(name)
        result.left.extend(_left(name, (person, other), has))
        result.free.extend(_free(name, may_have(other, name), has, what))
    return result


def _left(name: str, rows: tuple[Row, Row], has: Fact | None) -> Iterator[list[Any]]:
    """Of an id that either had the last word, whose ever it was."""
    said: dict[str, Moment] = {}
    for row in rows:
        for id_, at in may_have(row, name).items():
            said[id_] = max(said.get(id_, at), at, key=lambda one: one[:2])
    for id_, at in said.items():
        if has is None or id_ != has.value:
            yield [name.removeprefix(ALIAS), id_, *at[:2]]


def _free(name: str, its: dict[str, Moment], has: Fact | None, what: What) -> Iterator[str]:
    """The label, when it may be that nothing that is written takes the place of what the other's user has."""
    # What the person has lost since is not what the other was given before.
    is_lost = what in {"renamed", "unknown"} and (has is None or has.value is None)
    if its and (what == "moved" or is_lost):
        yield name.removeprefix(ALIAS)


def _is_gone(person: Row, its: Fact | None) -> bool:
    """Whether what was said of the other was said before the person was deleted."""
    deleted = person.get(DELETED)
    return deleted is not None and its is not None and its.at.before(deleted.at)


def _later(own: Fact | None, its: Fact | None) -> Fact | None:
    if own is None or its is None:
        return own or its
    return its if own.at.before(its.at) else own


def _alias(own: Fact | None, its: Fact | None) -> Fact | None:
    """An id that was refused leaves its time, and the id that was there before."""
    last = _later(own, its)
    if own is None or its is None or last is None:
        return last
    is_refused = last.value is None and last.accepted_ms is None
    return (own if last is its else its)._replace(at=last.at) if is_refused else last


def _as_known(fact: Fact, has: Fact | None) -> Fact:
    """The fact, accepted if the user that there is has it."""
    same = has is not None and has.value == fact.value
    return fact._replace(accepted_ms=has.accepted_ms if has is not None and same else None)


def _off(name: str, own: Fact | None, its: Fact | None, fact: Fact) -> Iterator[list[str]]:
    if not name.startswith(CONTACT) or own is None or its is None:
        return
    lost = contact_of((own if fact is its else its).value)
    if lost.is_on and lost.address not in {None, contact_of(fact.value).address}:
        yield [name.removeprefix(CONTACT), str(lost.address)]
