"""Which updates share a call, and what that call says. Pure.

Consecutive updates of one user become one: of each name the later value wins, by event time and
then by seq, and a deletion is a value. A call takes at most 100 of them. Whatever is not an update
of this user's tags and properties is a barrier: a send that is to be written, an alias, a
subscription, another recipient, another answer to an unknown user.

Nothing waits for company that is not told to: what comes while OneSignal's second between two
writes of a user passes is folded, and the first leaves at once. `fold: 5s` lets an update wait so
long from its receipt; a barrier behind it ends that wait, so that a push is never later for it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

from pydantic import JsonValue

from bridge.deliver.state import (
    TAG,
    Compared,
    Fact,
    Moment,
    Row,
    Values,
    accepted,
    compare,
    confirmed,
    forgotten,
    join,
)
from bridge.onesignal.operations import Recipient, UpdateUser
from bridge.onesignal.user_model import PROPERTIES_PER_REQUEST


class Said(NamedTuple):
    """What one event says of a user's tags and properties."""

    to: Recipient
    values: Values
    at: Moment
    #: What is written even when it is unchanged.
    always: frozenset[str]
    #: It may wait until then for further ones, milliseconds since 1970.
    until_ms: int
    #: What becomes of a user that OneSignal does not know.
    unknown: str
    #: Tags that the plan has for a user; None: as many as there are.
    tag_cap: int | None = None


def said_by(
    update: UpdateUser,
    at: Moment,
    *,
    received_ms: int,
    unknown: str = "create",
    tag_cap: int | None = None,
) -> Said:
    until_ms = received_ms + update.fold_ms
    return Said(update.to, values_of(update), at, update.always, until_ms, unknown, tag_cap)


def values_of(update: UpdateUser) -> dict[str, JsonValue]:
    """By name; the tag "" is deleted, and so is a property that is null."""
    tags: dict[str, JsonValue] = {
        f"{TAG}{name}": text or None for name, text in update.tags.items()
    }
    return tags | update.properties


def update_of(values: Values, *, to: Recipient, rules: tuple[str, ...] = ()) -> UpdateUser:
    """The update that says exactly this."""
    return UpdateUser(
        rules=rules,
        to=to,
        tags={
            name.removeprefix(TAG): "" if value is None else str(value)
            for name, value in values.items()
            if name.startswith(TAG)
        },
        properties={name: value for name, value in values.items() if not name.startswith(TAG)},
    )


@dataclass(slots=True)
class Folding:
    """Updates that gather for one call, in the order of their events."""

    said: list[Said] = field(default_factory=list)
    _names: set[str] = field(default_factory=set)

    def takes(self, one: Said) -> bool:
        """Whether one more may go with those that are there."""
        if not self.said:
            return True
        first = self.said[0]
        if (first.to, first.unknown) != (one.to, one.unknown):
            return False
        return len(self._names | one.values.keys()) <= PROPERTIES_PER_REQUEST

    def add(self, one: Said) -> None:
        self.said.append(one)
        self._names |= one.values.keys()

    @property
    def until_ms(self) -> int:
        """How long all of them may wait for further ones, milliseconds since 1970; 0: not at all."""
        if len(self._names) >= PROPERTIES_PER_REQUEST:
            return 0
        return min((one.until_ms for one in self.said), default=0)


class Tags:
    """The tags that a user has by our writes: a new one more than the plan has would sink them all.

    OneSignal refuses such an update as a whole, with the values that would have fitted.
    """

    def __init__(self, row: Row) -> None:
        self._had = {
            name for name, fact in row.items() if name.startswith(TAG) and fact.value is not None
        }

    def fit(self, compared: Compared, cap: int) -> Compared:
        """Without the tags that find no room, the last ones first; a deletion makes some."""
        write, left_out = dict(compared.write), dict(compared.left_out)
        for name, value in compared.write.items():
            if not name.startswith(TAG):
                continue
            if value is None:
                self._had.discard(name)
            elif name in self._had or len(self._had) < cap:
                self._had.add(name)
            else:
                del write[name]
                left_out[name] = "tag_cap"
        return Compared(write, left_out)


class Folded(NamedTuple):
    """One call for many updates."""

    #: What the call says; empty: none is needed.
    write: dict[str, JsonValue]
    #: For each update, in its order, what of it is written and what is left out.
    compared: tuple[Compared, ...]
    #: What the row learns when the call is accepted, and when it ends in any other way.
    if_accepted: dict[str, Fact]
    if_not: dict[str, Fact]


def fold(row: Row, updates: Iterable[Said], now_ms: int) -> Folded:
    """Compare each with what was written before it and with what goes with it.

    A value that equals the row is written all the same when another update in the call says
    something else: that one may have been attempted before, and have been performed.
    """
    compared: list[Compared] = []
    tags: Tags | None = None
    after: Row = row
    said: Row = {}
    if_accepted: dict[str, Fact] = {}
    if_not: dict[str, Fact] = {}
    for one in updates:
        after = join(after, said) if said else after
        found = compare(after, one.values, one.at, now_ms, always=one.always)
        if one.tag_cap is not None:
            tags = tags or Tags(row)
            found = tags.fit(found, one.tag_cap)
        again = confirmed(after, found.unchanged, one.at) if found.left_out else {}
        said = forgotten(after, found.write, one.at) | again
        if_accepted = join(if_accepted, accepted(found.write, one.at, now_ms) | again)
        if_not = join(if_not, said if after is row else forgotten(row, found.write, one.at) | again)
        compared.append(found)
    if len(compared) == 1:
        return Folded(compared[0].write, tuple(compared), if_accepted, if_not)
    names = dict.fromkeys(name for found in compared for name in found.write)
    write = {name: if_accepted[name].value for name in names}
    return Folded(write, tuple(compared), if_accepted, if_not)
