"""What we wrote for a user: said once, and never taken back by something older. Pure.

One row for each user of an app holds a *fact* for every tag, property, alias and subscription that
we write: its value, the event that said so, and when OneSignal accepted it::

    equal to the fact, accepted less than 7 days ago     left out, `unchanged`
    said by an event older than the fact's               left out, `overtaken`
    a tag more than the plan has for a user              left out, `tag_cap` (by `fold`)
    anything else                                        written

An update that ends in any way but accepted leaves the time of its event and takes the acceptance
away: nothing older is written after it, and whatever comes next is, even if nothing has changed.
A value of None is one that was deleted. What was accepted last is kept even then, because a user
that has to be created again gets all of it.

What other users may have as well as this one, an alias, is on disk before it is asked for, under a
name of its own: OneSignal may have heard of it though nobody has heard OneSignal. That goes once an
answer says what the user has, or certainly has not; see `given_up`.

Rows change by *deltas* only, and a delta joins a row whatever has happened to it meanwhile.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Literal, NamedTuple

import orjson
from pydantic import JsonValue

ACCEPTED_FOR_MS = 7 * 86_400_000
"""How long OneSignal's word is taken for a value: what it lost unseen is healed after that."""
FACTS_PER_USER = 1000
"""Above this the oldest are forgotten altogether: a row is read and written with every call."""
TAG = "tags."
ASKED = "asked."
"""The facts of what was asked for; alone, in the row of an alias: when it was last a user's who gave it up."""
GAVE = "gave."
"""The facts of what was given up, by hash: whose row is erased, of that nothing is to stay, either."""
NOTES_PER_USER = 100
"""Of these two kinds, which nothing but time ends: the oldest go first."""
DELETED = ""
"""The fact that the user was deleted: nothing that was said before is written after."""

LeftOut = Literal["unchanged", "overtaken", "tag_cap", "alias_cap"]


class Moment(NamedTuple):
    """When a value was said: by which event, in the order that decides which one is later."""

    event_ms: int
    seq: int
    message_id: str = ""

    def before(self, other: Moment) -> bool:
        return self[:2] < other[:2]


class Fact(NamedTuple):
    value: JsonValue
    at: Moment
    #: None: not known to be at OneSignal.
    accepted_ms: int | None


Row = Mapping[str, Fact]
Values = Mapping[str, JsonValue]
"""What an update says, by name: `tags.tier`, `language`, `alias.crm`, …"""


class Compared(NamedTuple):
    """What of an update is to be written, and why the rest is not."""

    write: dict[str, JsonValue]
    left_out: dict[str, LeftOut]

    @property
    def reason(self) -> LeftOut:
        """Of an update of which nothing is written."""
        reasons = self.left_out.values()
        return "tag_cap" if "tag_cap" in reasons else "overtaken" if self.overtaken else "unchanged"

    @property
    def unchanged(self) -> list[str]:
        return self._because("unchanged")

    @property
    def overtaken(self) -> list[str]:
        return self._because("overtaken")

    @property
    def detail(self) -> str | None:
        """What of an update that is written is not, and had better be known."""
        said = [(reason, self._because(reason)) for reason in ("overtaken", "tag_cap")]
        return "; ".join(f"{reason}: {', '.join(names)}" for reason, names in said if names) or None

    def _because(self, reason: str) -> list[str]:
        return [name for name, found in self.left_out.items() if found == reason]


def compare(
    row: Row, values: Values, at: Moment, now_ms: int, *, always: frozenset[str] = frozenset()
) -> Compared:
    """Against what we wrote before; `always` names what is written even when it is unchanged."""
    if not row:
        return Compared(dict(values), {})
    compared = Compared({}, {})
    for name, value in values.items():
        if (reason := _left_out(row, name, value, at, now_ms, again=name in always)) is None:
            compared.write[name] = value
        else:
            compared.left_out[name] = reason
    return compared


def _left_out(
    row: Row, name: str, value: JsonValue, at: Moment, now_ms: int, *, again: bool
) -> LeftOut | None:
    fact, deleted = row.get(name), row.get(DELETED)
    if deleted is not None and at.before(deleted.at):
        return "overtaken"
    if fact is None:
        return None
    if not again and fact.value == value and _is_accepted(fact, now_ms):
        return "unchanged"
    return "overtaken" if at.before(fact.at) else None


def _is_accepted(fact: Fact, now_ms: int) -> bool:
    return fact.accepted_ms is not None and now_ms - fact.accepted_ms < ACCEPTED_FOR_MS


# Deltas --------------------------------------------------------------------------------------------


def accepted(values: Values, at: Moment, now_ms: int) -> dict[str, Fact]:
    """OneSignal has these now."""
    return {name: Fact(value, at, now_ms) for name, value in values.items()}


def confirmed(row: Row, names: Iterable[str], at: Moment) -> dict[str, Fact]:
    """An event said again what OneSignal has: nothing older than that event may change it."""
    return {name: row[name]._replace(at=at) for name in names if row[name].at.before(at)}


def forgotten(row: Row, values: Values, at: Moment) -> dict[str, Fact]:
    """An update with these was attempted, and ended in another way than accepted."""
    return {name: Fact(_known(row, name), at, None) for name in values}


def doubted(row: Row, names: Iterable[str]) -> dict[str, Fact]:
    """An attempt may have been performed, and the update will be tried again."""
    return {name: row[name]._replace(accepted_ms=None) for name in names if name in row}


def _known(row: Row, name: str) -> JsonValue:
    fact = row.get(name)
    return None if fact is None else fact.value


def join(row: Row, delta: Row) -> dict[str, Fact]:
    """The row after a delta: of each name the later word; doubt is doubt, however old."""
    if not row and DELETED not in delta:
        return dict(delta)
    joined = dict(row)
    for name, fact in delta.items():
        joined[name] = _join(row.get(name), fact)
    for name in _answered(joined, delta):
        del joined[name]
    if (deleted := delta.get(DELETED)) is not None:
        return {
            name: fact
            for name, fact in joined.items()
            if name.startswith(GAVE) or not fact.at.before(deleted.at)
        }
    return joined


def is_note(name: str) -> bool:
    """Whether a fact is for our eyes alone: no user has it at OneSignal."""
    return name.startswith((ASKED, GAVE))


def asked(name: str, value: str) -> str:
    """The name of the fact that this value was asked for."""
    return f"{ASKED}{name}/{value}"


def _answered(row: Row, delta: Row) -> list[str]:
    """What was asked for before that which OneSignal is known to have now."""
    open_ = [name for name in row if name.startswith(ASKED)]
    if not open_:
        return []
    known = {asked(name, ""): one for name, one in delta.items() if one.accepted_ms is not None}
    return [
        name
        for name in open_
        if name not in delta
        and (one := known.get(name.partition("/")[0] + "/"))
        and not one.at.before(row[name].at)
    ]


def _join(known: Fact | None, fact: Fact) -> Fact:
    if known is None:
        return fact
    if fact.at.before(known.at):
        return known if fact.accepted_ms is not None else known._replace(accepted_ms=None)
    return fact if fact.accepted_ms is not None else fact._replace(value=known.value)


def overwritten(row: Row, delta: Row) -> list[str]:
    """What OneSignal had by a later event, and has now by an earlier one that was written after it.

    There should be nothing: an update is compared with the row before it leaves.
    """
    return [
        name
        for name, fact in delta.items()
        if (known := row.get(name)) is not None
        and not is_note(name)
        and fact.at.before(known.at)
        and _is_later(fact, known)
    ]


def _is_later(fact: Fact, known: Fact) -> bool:
    """Whether it was accepted after the other; what was only confirmed keeps when it was accepted."""
    return None not in {fact.accepted_ms, known.accepted_ms} and (fact.accepted_ms or 0) > (
        known.accepted_ms or 0
    )


# On disk -------------------------------------------------------------------------------------------


def encode(row: Row) -> bytes:
    """One compact text: `[[event_ms, seq, messageId, accepted], …]`, `{name: [value, which of them]}`.

    What was written together shares its first half.
    """
    kept = list(row.items())
    if notes := [item for item in kept if is_note(item[0])]:
        kept = [item for item in kept if not is_note(item[0])]
        kept += _latest(_open(notes), NOTES_PER_USER)
    kept = _latest(kept, FACTS_PER_USER)
    marks: dict[tuple[Moment, int | None], int] = {}
    facts = {
        name: [fact.value, marks.setdefault((fact.at, fact.accepted_ms), len(marks))]
        for name, fact in kept
    }
    return orjson.dumps([[[*at, accepted_ms] for at, accepted_ms in marks], facts])


def _open(notes: list[tuple[str, Fact]]) -> list[tuple[str, Fact]]:
    """Without what was asked for and certainly refused, which had to be said once."""
    return [(name, fact) for name, fact in notes if fact.value is not None]


def _latest(facts: list[tuple[str, Fact]], most: int) -> list[tuple[str, Fact]]:
    if len(facts) <= most:
        return facts
    return sorted(facts, key=lambda item: item[1].at[:2])[-most:]


def decode(blob: bytes | None) -> dict[str, Fact]:
    if blob is None:
        return {}
    marks, facts = orjson.loads(blob)
    ats = [(Moment(*mark[:3]), mark[3]) for mark in marks]
    return {name: Fact(value, *ats[mark]) for name, (value, mark) in facts.items()}


def blanked(blob: bytes | None) -> bytes | None:
    """Of a row on disk the names of the tags alone, as if they had never been accepted."""
    names = [name for name in decode(blob) if name.startswith(TAG)]
    never = Fact(None, Moment(0, 0), None)
    return encode(dict.fromkeys(names, never)) if names else None


def joined(blob: bytes | None, delta: Row) -> bytes:
    """The row on disk after a delta."""
    return encode(join(decode(blob), delta))
